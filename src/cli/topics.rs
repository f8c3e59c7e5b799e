//! Maps a mistake in a configuration to the documentation that explains it.
//!
//! The topic of a mistake is the table of the configuration file that its line belongs to, or zone
//! files. Each topic links to a section of the reference, some also to a page of the guide.

use std::path::Path;

/// Tables of the configuration file, with the pages that explain them.
const TOPICS: [(&str, &str); 18] = [
    (
        "server",
        "docs/configuration.md#server-the-nameservers-own-sockets",
    ),
    (
        "tls",
        "docs/configuration.md#tls-the-certificate-of-the-encrypted-transports",
    ),
    (
        "limits",
        "docs/configuration.md#limits-memory-and-how-often-one-network-is-answered-over-udp",
    ),
    (
        "admin",
        "docs/configuration.md#admin-where-operators-look-and-act and docs/guide/security.md",
    ),
    (
        "state",
        "docs/configuration.md#state-what-is-kept-across-restarts",
    ),
    (
        "events",
        "docs/configuration.md#events-who-is-told-what-happens",
    ),
    (
        "guard",
        "docs/configuration.md#guard-what-a-reload-may-not-do-unasked",
    ),
    (
        "announce",
        "docs/configuration.md#announce-anycast and docs/guide/anycast.md",
    ),
    (
        "traffic",
        "docs/configuration.md#traffic-what-is-noted-of-who-asks",
    ),
    (
        "zones",
        "docs/configuration.md#zones-where-the-zones-are-and-who-may-ask-for-them",
    ),
    (
        "resolver",
        "docs/configuration.md#resolver-who-is-asked-for-names",
    ),
    (
        "geo",
        "docs/configuration.md#geo-how-clients-are-located and docs/guide/city-database.md",
    ),
    (
        "regions",
        "docs/configuration.md#regionsname-places-where-endpoints-stand",
    ),
    (
        "checks",
        "docs/configuration.md#checksname-how-health-is-asked-for and docs/health.md",
    ),
    (
        "fences",
        "docs/configuration.md#services-names-that-are-steered and docs/guide/policies.md",
    ),
    (
        "policies",
        "docs/configuration.md#policiesname-settings-that-services-share",
    ),
    (
        "pools",
        "docs/configuration.md#poolsname-endpoints-that-services-share",
    ),
    (
        "services",
        "docs/configuration.md#services-names-that-are-steered and docs/guide/policies.md",
    ),
];
/// The pages that explain zone files.
const ZONE_FILES: &str = "docs/configuration.md#zones-where-the-zones-are-and-who-may-ask-for-them and docs/guide/delegate.md";

/// The topics of the mistakes, each once, as `[server]: docs/...`. `text` is that of the
/// configuration `file`.
pub fn of(mistakes: &[String], file: &Path, text: &str) -> Vec<String> {
    let file = format!("{}:", file.display());
    let mut found = Vec::new();
    for mistake in mistakes {
        let topic = match mistake.strip_prefix(&file) {
            Some(place) => topic(text, place),
            None if mistake.contains(".zone:") => Some(format!("zone files: {ZONE_FILES}")),
            None => None,
        };
        if let Some(topic) = topic
            && !found.contains(&topic)
        {
            found.push(topic);
        }
    }
    found
}

/// The first name of the table that a line belongs to: `geo` below `[[geo.networks]]`.
fn table_above(text: &str, line: usize) -> Option<&str> {
    let lines: Vec<&str> = text.lines().take(line).collect();
    let mut lines = lines.iter().rev().map(|line| line.trim_start());
    let header = lines.find(|line| line.starts_with('['))?;
    let name = header.trim_start_matches('[').split(['.', ']']).next()?;
    Some(name.trim())
}

/// The topic of the table at a place that begins with `LINE:`, from 1.
fn topic(text: &str, place: &str) -> Option<String> {
    let (line, _) = place.split_once(':')?;
    let line = line.parse().ok()?;
    let name = table_above(text, line)?;
    let (name, pages) = TOPICS.iter().find(|(known, _)| *known == name)?;
    Some(format!("[{name}]: {pages}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a heading is called in a link.
    fn anchor(heading: &str) -> String {
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>()
            .trim()
            .to_lowercase()
            .replace(' ', "-")
    }

    #[test]
    fn every_table_has_a_topic_and_every_page_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |page: &str| {
            std::fs::read_to_string(root.join(page))
                .unwrap_or_else(|error| panic!("{page}: {error}"))
        };
        for (_, pages) in TOPICS.into_iter().chain([("zone", ZONE_FILES)]) {
            for page in pages.split(" and ") {
                let (file, wanted) = page
                    .split_once('#')
                    .map_or((page, None), |(file, anchor)| (file, Some(anchor)));
                let text = read(file);
                let headings: Vec<String> = text
                    .lines()
                    .filter_map(|line| line.strip_prefix("## "))
                    .map(anchor)
                    .collect();
                assert!(
                    wanted.is_none_or(|wanted| headings.iter().any(|it| it == wanted)),
                    "{page}: {headings:?}"
                );
            }
        }
        let everything = include_str!("../config/everything.toml");
        let headers = everything.lines().filter(|line| line.starts_with('['));
        for name in headers.map(|line| {
            line.trim_start_matches('[')
                .split(['.', ']'])
                .next()
                .unwrap()
        }) {
            assert!(TOPICS.iter().any(|(known, _)| *known == name), "{name}");
        }
    }

    #[test]
    fn mistakes_lead_to_the_table_that_they_stand_in() {
        let text =
            "[server]\nlisten = 1\n[[services]]\nname = \"x\"\n[services.endpoints]\nfra = 1\n";
        let mistakes = [
            "m.toml:6:1: no",
            "m.toml:4:1: no",
            "m.toml:2:1: no",
            "zones/a.zone:3: no",
            "m.toml: no",
        ];
        let found = of(&mistakes.map(str::to_owned), Path::new("m.toml"), text);
        let starts: Vec<&str> = found
            .iter()
            .filter_map(|line| line.split(": ").next())
            .collect();
        assert_eq!(starts, ["[services]", "[server]", "zone files"]);
    }
}

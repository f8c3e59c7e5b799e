//! gdnsd's `service_types` (gdnsd.config(5), "SERVICE_TYPES") as checks.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::draft::TextDraft;
use super::labels::LabelTable;
use super::notes::{ImportNotes, ImportSource};
use super::vscf::{SourcePlace, VscfEntry, VscfHash};
use crate::text::toml_text;

/// Keys that every service type may have.
const GENERIC: [&str; 6] = [
    "plugin",
    "up_thresh",
    "ok_thresh",
    "down_thresh",
    "interval",
    "timeout",
];
/// What gdnsd takes where nothing is stated: interval, up_thresh, down_thresh.
const DEFAULTS: [u64; 3] = [10, 20, 10];
/// Codes that a check may expect.
const STATUS_CODES: RangeInclusive<u16> = 100..=599;
/// Most that `fall` and `rise` may be.
const MOST: u64 = 100;

/// The checks that there are, and those that are used.
#[derive(Debug, Default)]
pub struct ImportedChecks {
    /// By the name of the service type; `None` for one that is always up.
    known: BTreeMap<String, Option<Check>>,
    /// By the name of the check.
    used: BTreeMap<String, Check>,
    labels: LabelTable,
}

/// One check of ours.
#[derive(Debug, Clone)]
struct Check {
    name: String,
    /// Its keys, a line each.
    keys: String,
    source: ImportSource,
}

impl ImportedChecks {
    /// Reads `service_types`.
    pub fn read(types: &VscfHash, notes: &mut ImportNotes) -> ImportedChecks {
        let mut checks = ImportedChecks::default();
        checks.known.insert("up".to_owned(), None);
        for entry in &types.0 {
            let source = ImportSource::new(&entry.place, format!("service type {:?}", entry.key));
            let keys = if notes.refuses(&source) {
                None
            } else {
                check(entry, notes)
            };
            let check = keys.map(|keys| Check {
                name: checks.labels.name(&entry.key),
                keys,
                source,
            });
            checks.known.insert(entry.key.clone(), check);
        }
        checks
    }

    /// The check of an endpoint that has these service types, all of which must be good.
    pub fn of(
        &mut self,
        types: &[String],
        place: &SourcePlace,
        notes: &mut ImportNotes,
    ) -> Option<String> {
        let mut names = Vec::new();
        for name in types {
            match self.known.get(name) {
                // A type that is listed twice is asked about once.
                Some(Some(check)) if names.contains(&check.name) => {}
                Some(Some(check)) => {
                    self.used.insert(check.name.clone(), check.clone());
                    names.push(check.name.clone());
                }
                Some(None) => {}
                None if name == "down" => {
                    notes.add(place, "service_types down: `meridian force down` does that")
                }
                None => notes.add(
                    place,
                    format!("there is no service type {name:?}; it counts as up"),
                ),
            }
        }
        match &names[..] {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(self.all_of(several, place, notes)),
        }
    }

    /// A check that combines others; the first of them if that was refused.
    fn all_of(&mut self, names: &[String], place: &SourcePlace, notes: &mut ImportNotes) -> String {
        let name = self.labels.name(&names.join("-and-"));
        let source = self.used.get(&name).map(|check| check.source.clone());
        let source = source.unwrap_or_else(|| {
            ImportSource::new(place, format!("service_types {}", names.join(", ")))
        });
        if notes.refuses(&source) {
            return names[0].clone();
        }
        let listed: Vec<String> = names.iter().map(|name| toml_text(name)).collect();
        let keys = format!("all = [{}]\n", listed.join(", "));
        self.used.insert(
            name.clone(),
            Check {
                name: name.clone(),
                keys,
                source,
            },
        );
        name
    }

    /// Writes the checks that are used.
    pub fn write(&self, draft: &mut TextDraft) {
        for Check { name, keys, source } in self.used.values() {
            draft.push(&format!("[checks.{name}]\n{keys}\n"), Some(source.clone()));
        }
    }
}

/// The keys of one check; `None` where there is nothing like it.
fn check(entry: &VscfEntry, notes: &mut ImportNotes) -> Option<String> {
    let Some(table) = entry.value.table() else {
        notes.add(
            &entry.place,
            format!("service type {:?} is no hash; it counts as up", entry.key),
        );
        return None;
    };
    let own = match table.text("plugin") {
        Some("http_status") => http_status(entry, table, notes)?,
        Some("tcp_connect") => tcp_connect(table, notes),
        Some("extmon") => extmon(entry, table, notes)?,
        Some("static")
            if table
                .text("state")
                .is_none_or(|state| state.eq_ignore_ascii_case("up")) =>
        {
            return None;
        }
        plugin => {
            let plugin = plugin.unwrap_or("without a plugin");
            let instead = match plugin {
                "extfile" => {
                    "have the script that writes the file call the admin API (force), or be an exec check"
                }
                _ => "what uses it counts as up; `meridian force down` is for what must not be",
            };
            notes.add(
                &entry.place,
                format!("service type {:?} ({plugin}): {instead}", entry.key),
            );
            return None;
        }
    };
    Some(format!("{own}{}", times(entry, table, notes)))
}

fn http_status(entry: &VscfEntry, table: &VscfHash, notes: &mut ImportNotes) -> Option<String> {
    let known = [&GENERIC[..], &["port", "url_path", "vhost", "ok_codes"]].concat();
    notes.unknown_keys(table, &known, "an http check");
    let stated = table
        .get("ok_codes")
        .map_or(vec!["200".to_owned()], |codes| codes.texts());
    let (codes, others): (Vec<String>, Vec<String>) = stated.into_iter().partition(|code| {
        code.parse()
            .is_ok_and(|code: u16| STATUS_CODES.contains(&code))
    });
    if !others.is_empty() {
        let sentence =
            "no status of HTTP (100 to 599, RFC 9110 section 15), so it never counts as good";
        notes.add(
            &entry.place,
            format!("ok_codes {}: {sentence}", others.join(", ")),
        );
    }
    if codes.is_empty() {
        notes.add(
            &entry.place,
            format!(
                "service type {:?} has no code that could be good; it counts as up",
                entry.key
            ),
        );
        return None;
    }
    let mut keys = format!(
        "type = \"http\"\nport = {}\npath = {}\n",
        number(table, "port", 80),
        toml_text(table.text("url_path").unwrap_or("/"))
    );
    if let Some(host) = table.text("vhost") {
        keys += &format!("host = {}\n", toml_text(host));
    }
    Some(keys + &format!("expect = {{ status = {} }}\n", toml_text(&codes.join(","))))
}

fn tcp_connect(table: &VscfHash, notes: &mut ImportNotes) -> String {
    notes.unknown_keys(table, &[&GENERIC[..], &["port"]].concat(), "a tcp check");
    format!("type = \"tcp\"\nport = {}\n", number(table, "port", 0))
}

/// Exit codes other than 0 are a failure there; here 1 would be a warning, so that a shell turns them all into 2.
fn extmon(entry: &VscfEntry, table: &VscfHash, notes: &mut ImportNotes) -> Option<String> {
    notes.unknown_keys(
        table,
        &[&GENERIC[..], &["cmd", "direct"]].concat(),
        "an exec check",
    );
    let command = table
        .get("cmd")
        .map(|command| command.texts())
        .unwrap_or_default();
    if command.is_empty() {
        notes.add(
            &entry.place,
            format!(
                "service type {:?} (extmon) has no cmd; it counts as up",
                entry.key
            ),
        );
        return None;
    }
    let given = command
        .iter()
        .map(|word| toml_text(&word.replace("%%ITEM%%", "{address}")));
    let shell = ["-c", r#""$0" "$@" || exit 2"#].map(toml_text);
    let words: Vec<String> = shell.into_iter().chain(given).collect();
    Some(format!(
        "type = \"exec\"\nprogram = \"/bin/sh\"\narguments = [{}]\n",
        words.join(", ")
    ))
}

/// When and how often it is asked; `quick` is the interval, since gdnsd asks no sooner while it is in doubt.
fn times(entry: &VscfEntry, table: &VscfHash, notes: &mut ImportNotes) -> String {
    let direct = table
        .text("direct")
        .is_some_and(|direct| direct.eq_ignore_ascii_case("true"));
    let [interval, up, down] = DEFAULTS;
    let interval = number(table, "interval", interval).max(1);
    let timeout = number(table, "timeout", interval.div_ceil(2)).clamp(1, interval.min(60));
    let mut count = |key, default| {
        let wanted = if direct {
            1
        } else {
            number(table, key, default)
        };
        if wanted > MOST {
            notes.add(
                &entry.place,
                format!("{key} = {wanted}: fall and rise are at most {MOST}, which is taken"),
            );
        }
        wanted.clamp(1, MOST)
    };
    let (rise, fall) = (count("up_thresh", up), count("down_thresh", down));
    if let Some(stated) = table.0.iter().find(|entry| entry.key == "ok_thresh") {
        notes.add(
            &stated.place,
            "ok_thresh: failures are counted in a row here, so that one success forgets them",
        );
    }
    format!(
        "interval = \"{interval}s\"\nquick = \"{interval}s\"\ntimeout = \"{timeout}s\"\nfall = {fall}\nrise = {rise}\n"
    )
}

/// The number of a key; the default where there is none, and where it is none (which the check of the result tells).
fn number(table: &VscfHash, key: &str, default: u64) -> u64 {
    table
        .text(key)
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

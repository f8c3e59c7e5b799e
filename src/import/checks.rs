//! Converts gdnsd's `service_types` (gdnsd.config(5), "SERVICE_TYPES") to checks.
//!
//! Only checks that an endpoint uses are written. An endpoint with several service types gets a
//! check that combines them, since all of them must pass in gdnsd.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::draft::TextDraft;
use super::labels::LabelTable;
use super::notes::ImportNotes;
use super::source::{ImportSource, SourcePlace};
use super::vscf::{VscfEntry, VscfHash};
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
/// gdnsd's default `interval`, in seconds.
const INTERVAL: u64 = 10;
/// gdnsd's default `up_thresh`.
const UP_THRESHOLD: u64 = 20;
/// gdnsd's default `down_thresh`.
const DOWN_THRESHOLD: u64 = 10;
/// Status codes that a check may expect.
const STATUS_CODES: RangeInclusive<u16> = 100..=599;
/// The highest value of `fall` and `rise`.
const MOST: u64 = 100;

/// All converted checks, and those that endpoints use.
#[derive(Debug, Default)]
pub struct ImportedChecks {
    /// The check of each service type; `None` for one that is always up.
    known: BTreeMap<String, Option<Check>>,
    /// The checks to write, by name.
    used: BTreeMap<String, Check>,
    labels: LabelTable,
}

/// A converted check.
#[derive(Debug, Clone)]
struct Check {
    name: String,
    /// Its keys, one on each line.
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

    /// The check of an endpoint with these service types, all of which must pass.
    pub fn of(
        &mut self,
        types: &[String],
        place: &SourcePlace,
        notes: &mut ImportNotes,
    ) -> Option<String> {
        let mut names = Vec::new();
        for name in types {
            match self.known.get(name) {
                // A type that is listed twice is checked once.
                Some(Some(check)) if names.contains(&check.name) => {}
                Some(Some(check)) => {
                    self.used.insert(check.name.clone(), check.clone());
                    names.push(check.name.clone());
                }
                Some(None) => {}
                None if name == "down" => notes.add(
                    place,
                    "service_types down: use `meridian force down` instead",
                ),
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

    /// A check that combines others, or the first of them if the combination was refused.
    fn all_of(&mut self, names: &[String], place: &SourcePlace, notes: &mut ImportNotes) -> String {
        let name = self.labels.name(&names.join("-and-"));
        let source = match self.used.get(&name) {
            Some(check) => check.source.clone(),
            None => ImportSource::new(place, format!("service_types {}", names.join(", "))),
        };
        if notes.refuses(&source) {
            return names[0].clone();
        }
        let check = Check {
            name: name.clone(),
            keys: format!("all = [{}]\n", quoted(names)),
            source,
        };
        self.used.insert(name.clone(), check);
        name
    }

    /// Writes the checks that endpoints use.
    pub fn write(&self, draft: &mut TextDraft) {
        for Check { name, keys, source } in self.used.values() {
            draft.push(&format!("[checks.{name}]\n{keys}\n"), Some(source.clone()));
        }
    }
}

/// The keys of a check; `None` if it has no counterpart, or is always up.
fn check(entry: &VscfEntry, notes: &mut ImportNotes) -> Option<String> {
    let Some(table) = entry.value.table() else {
        notes.add(
            &entry.place,
            format!(
                "service type {:?} is not a hash; it counts as up",
                entry.key
            ),
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
                    "let the script that writes the file call the admin API (force), or use it as an exec check"
                }
                _ => "its users count as up; use `meridian force down` to take something down",
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
    let stated = match table.get("ok_codes") {
        Some(codes) => codes.texts(),
        None => vec!["200".to_owned()],
    };
    let (mut codes, mut others) = (Vec::new(), Vec::new());
    for code in stated {
        match code.parse() {
            Ok(number) if STATUS_CODES.contains(&number) => codes.push(code),
            _ => others.push(code),
        }
    }
    if !others.is_empty() {
        let sentence =
            "not a status of HTTP (100 to 599, RFC 9110 section 15), so it never matches";
        notes.add(
            &entry.place,
            format!("ok_codes {}: {sentence}", others.join(", ")),
        );
    }
    if codes.is_empty() {
        notes.add(
            &entry.place,
            format!(
                "service type {:?} has no valid code; it counts as up",
                entry.key
            ),
        );
        return None;
    }
    let mut keys = format!(
        "type = \"http\"\nport = {}\npath = {}\n",
        table.number("port").unwrap_or(80u64),
        toml_text(table.text("url_path").unwrap_or("/"))
    );
    if let Some(host) = table.text("vhost") {
        keys += &format!("host = {}\n", toml_text(host));
    }
    Some(keys + &format!("expect = {{ status = {} }}\n", toml_text(&codes.join(","))))
}

fn tcp_connect(table: &VscfHash, notes: &mut ImportNotes) -> String {
    notes.unknown_keys(table, &[&GENERIC[..], &["port"]].concat(), "a tcp check");
    let port: u64 = table.number("port").unwrap_or(0);
    format!("type = \"tcp\"\nport = {port}\n")
}

/// In gdnsd every exit code but 0 is a failure. In Meridian 1 is a warning, so a shell turns every
/// failure into 2.
fn extmon(entry: &VscfEntry, table: &VscfHash, notes: &mut ImportNotes) -> Option<String> {
    notes.unknown_keys(
        table,
        &[&GENERIC[..], &["cmd", "direct"]].concat(),
        "an exec check",
    );
    let command = table.texts("cmd");
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
    let mut words = vec!["-c".to_owned(), r#""$0" "$@" || exit 2"#.to_owned()];
    for word in command {
        words.push(word.replace("%%ITEM%%", "{address}"));
    }
    Some(format!(
        "type = \"exec\"\nprogram = \"/bin/sh\"\narguments = [{}]\n",
        quoted(&words)
    ))
}

/// The schedule and thresholds of a check. `quick` equals the interval, since gdnsd does not probe
/// more often while a state is in doubt.
fn times(entry: &VscfEntry, table: &VscfHash, notes: &mut ImportNotes) -> String {
    let interval = table.number("interval").unwrap_or(INTERVAL).max(1);
    let timeout = table.number("timeout").unwrap_or(interval.div_ceil(2));
    let timeout = timeout.clamp(1, interval.min(60));
    let rise = threshold(entry, table, "up_thresh", UP_THRESHOLD, notes);
    let fall = threshold(entry, table, "down_thresh", DOWN_THRESHOLD, notes);
    if let Some(stated) = table.entry("ok_thresh") {
        notes.add(
            &stated.place,
            "ok_thresh: Meridian counts failures in a row, so one success resets the count",
        );
    }
    format!(
        "interval = \"{interval}s\"\nquick = \"{interval}s\"\ntimeout = \"{timeout}s\"\n\
         fall = {fall}\nrise = {rise}\n"
    )
}

/// `fall` or `rise`; 1 for a monitor whose result counts directly.
fn threshold(
    entry: &VscfEntry,
    table: &VscfHash,
    key: &str,
    default: u64,
    notes: &mut ImportNotes,
) -> u64 {
    if table.flag("direct") == Some(true) {
        return 1;
    }
    let wanted = table.number(key).unwrap_or(default);
    if wanted > MOST {
        notes.add(
            &entry.place,
            format!("{key} = {wanted}: fall and rise are at most {MOST}, so {MOST} is used"),
        );
    }
    wanted.clamp(1, MOST)
}

/// Texts as the elements of a TOML list.
fn quoted(texts: &[String]) -> String {
    let mut quoted = Vec::new();
    for text in texts {
        quoted.push(toml_text(text));
    }
    quoted.join(", ")
}

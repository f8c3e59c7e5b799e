//! `meridian plan`: what a reload of another configuration would change.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::arguments::Plan;
use super::explain::{loaded, refusal};
use super::paper::{Paper, say, say_json};
use super::{progress, traffic};
use crate::answer::explain::percent;
use crate::answer::foresight::{ServiceMove, Traffic, compare};
use crate::control::guard::CoverageChange;
use crate::control::{Loaded, guard, load};
use crate::files::{self, FileKind};
use crate::text::shown;
use crate::zone::{self, RecordChange, Zone};

/// The exit code where something would change; that of `terraform plan -detailed-exitcode`.
const CHANGES: u8 = 2;

/// All that would change.
#[derive(Debug, Serialize)]
struct Changes {
    summary: String,
    settings: Vec<SettingChange>,
    records: Vec<RecordLine>,
    services: Vec<ServiceMove>,
    /// Services of which another part of the clients has a region.
    coverage: Vec<CoverageChange>,
    /// Zones that hold something else under the same serial.
    warnings: Vec<String>,
    /// Why the guard would refuse it.
    refused: Option<String>,
}

/// A key of the configuration that is not what it was.
#[derive(Debug, PartialEq, Serialize)]
struct SettingChange {
    key: String,
    before: Option<Value>,
    after: Option<Value>,
}

/// A [`RecordChange`] in JSON.
#[derive(Debug, Serialize)]
struct RecordLine {
    zone: String,
    name: String,
    #[serde(rename = "type")]
    rtype: String,
    before: Vec<String>,
    after: Vec<String>,
}

/// Prints what would change; exit 0: nothing, 2: something.
pub fn run(arguments: &Plan) -> Result<ExitCode, String> {
    let old = loaded(arguments.config.as_deref())?;
    let new = load(&arguments.new, Some(&old.atlas)).map_err(|mistakes| refusal(&arguments.new, &mistakes))?;
    let seen = arguments
        .traffic
        .as_deref()
        .map(|source| traffic::read(source, &old.config, arguments.ca_file.as_deref()))
        .transpose()?;
    let seen = seen.unwrap_or_default();
    let changes = progress::during("comparing", || Changes::between(&old, &new, &seen))?;
    if arguments.json {
        say_json(serde_json::json!(changes));
    } else {
        changes.print();
    }
    Ok(if changes.is_none() { ExitCode::SUCCESS } else { ExitCode::from(CHANGES) })
}

impl Changes {
    fn between(old: &Loaded, new: &Loaded, traffic: &Traffic) -> Result<Changes, String> {
        let services = compare((&old.snapshot.world, &old.config), (&new.snapshot.world, &new.config), traffic)?;
        let coverage = guard::coverage_with_all_up(&old.snapshot.world, &new.snapshot.world, traffic)?;
        let moves_too_many = old.config.max_move.and_then(|limit| guard::refusal_of(limit, &services));
        let covers_too_few = old.config.min_covered.and_then(|limit| guard::uncovering(limit, &coverage));
        let mut changes = Changes {
            summary: String::new(),
            settings: settings(&document(old)?, &document(new)?),
            records: zone::differences(&zones(old)?, &zones(new)?).into_iter().map(RecordLine::from).collect(),
            warnings: new.prints.same_serials(&old.prints),
            refused: moves_too_many.or(covers_too_few),
            coverage,
            services: services.into_iter().filter(ServiceMove::is_any).collect(),
        };
        changes.summary = changes.sentence();
        Ok(changes)
    }

    fn is_none(&self) -> bool {
        self.settings.is_empty() && self.records.is_empty() && self.services.is_empty()
    }

    fn sentence(&self) -> String {
        if self.is_none() {
            return "a reload would change nothing".to_owned();
        }
        let count = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let (settings, records) = (self.settings.len(), self.records.len());
        let worst = self.services.iter().max_by(|one, other| one.moved_percent.total_cmp(&other.moved_percent));
        let moved = worst.map_or("nobody is sent elsewhere".to_owned(), |worst| {
            format!("of {} {} of the address space is sent elsewhere", worst.name, percent(worst.moved_percent))
        });
        let (settings, records) = (count(settings, "key", "keys"), count(records, "RRset", "RRsets"));
        format!("a reload would change {settings} of the configuration and {records}; {moved}")
    }

    fn print(&self) {
        let paper = Paper::stdout();
        paper.bold(&shown(&self.summary).to_string());
        for it in &self.settings {
            let text = |value: &Value| value.to_string();
            line(
                &it.key,
                &it.before.iter().map(text).collect::<Vec<_>>(),
                &it.after.iter().map(text).collect::<Vec<_>>(),
            );
        }
        for it in &self.records {
            line(&format!("{} {}", it.name, it.rtype), &it.before, &it.after);
        }
        for service in &self.services {
            say!("\n{}", shown(service.sentence()));
            let row = |region: &crate::answer::foresight::RegionMove| {
                let change = region.after_percent - region.before_percent;
                let change = if change.abs() >= 0.05 { format!("{change:+.1}") } else { String::new() };
                vec![region.region.clone(), percent(region.before_percent), percent(region.after_percent), change]
            };
            paper.table(&["region", "before", "after", "change"], &service.regions.iter().map(row).collect::<Vec<_>>());
        }
        for CoverageChange { name, rtype, before_percent, after_percent, .. } in &self.coverage {
            let (before, after) = (percent(*before_percent), percent(*after_percent));
            say!("\n{}", shown(format!("{name} {rtype}: {after} of the clients have a region, before {before}")));
        }
        if !self.warnings.is_empty() {
            say!();
        }
        self.warnings.iter().for_each(|warning| say!("warning: {}", shown(warning)));
        if let Some(sentence) = &self.refused {
            say!("\nthe server would refuse it: {}", shown(sentence));
        }
    }
}

/// `+ what: new`, `- what: old` or `~ what: old -> new`.
fn line(what: &str, before: &[String], after: &[String]) {
    let (old, new) = (before.join(", "), after.join(", "));
    let line = match (before.is_empty(), after.is_empty()) {
        (true, _) => format!("+ {what}: {new}"),
        (_, true) => format!("- {what}: {old}"),
        _ => format!("~ {what}: {old} -> {new}"),
    };
    say!("{}", shown(line));
}

impl From<RecordChange> for RecordLine {
    fn from(change: RecordChange) -> RecordLine {
        let RecordChange { zone, name, rtype, before, after } = change;
        RecordLine { zone, name, rtype: rtype.to_string(), before, after }
    }
}

/// The file as written. It was read a moment ago and held no mistake.
fn document(loaded: &Loaded) -> Result<Value, String> {
    let file = &loaded.config.file;
    let content = files::read(file, FileKind::Configuration).map_err(|error| format!("{}: {error}", file.display()))?;
    toml::from_slice(&content.octets).map_err(|error| format!("{}: {error}", file.display()))
}

fn zones(loaded: &Loaded) -> Result<Vec<Zone>, String> {
    let read = zone::load_directory(&loaded.config.zones_directory);
    let lines = |mistakes: Vec<zone::ZoneError>| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>();
    read.map(|read| read.zones).map_err(|mistakes| refusal(&loaded.config.zones_directory, &lines(mistakes)))
}

/// Every key that differs, with its way from the top: `services.www.example.com.ttl`.
fn settings(before: &Value, after: &Value) -> Vec<SettingChange> {
    let mut found = Vec::new();
    walk("", Some(before), Some(after), &mut found);
    found
}

fn walk(key: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<SettingChange>) {
    if before == after {
        return;
    }
    let parts = |value: Option<&Value>| value.map_or(Some(Vec::new()), named);
    let (Some(old), Some(new)) = (parts(before), parts(after)) else {
        return found.push(SettingChange { key: key.to_owned(), before: before.cloned(), after: after.cloned() });
    };
    let value =
        |parts: &[(String, Value)], name: &str| parts.iter().find(|(it, _)| it == name).map(|(_, it)| it.clone());
    let added = new.iter().filter(|(name, _)| !old.iter().any(|(known, _)| known == name));
    let reordered = before.is_some() && after.is_some() && old.len() == new.len();
    let count = found.len();
    for (name, _) in old.iter().chain(added) {
        let path = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        walk(&path, value(&old, name).as_ref(), value(&new, name).as_ref(), found);
    }
    if found.len() == count && reordered {
        let names =
            |parts: &[(String, Value)]| Value::from(parts.iter().map(|(name, _)| &name[..]).collect::<Vec<_>>());
        let (before, after) = (Some(names(&old)), Some(names(&new)));
        found.push(SettingChange { key: format!("{key} (order)"), before, after });
    }
}

/// The parts of a table, or of a list of tables that have names; `None`: a value.
fn named(value: &Value) -> Option<Vec<(String, Value)>> {
    match value {
        Value::Object(table) => Some(table.iter().map(|(name, value)| (name.clone(), value.clone())).collect()),
        Value::Array(list) => {
            let name = |it: &Value| Some((it.get("name")?.as_str()?.to_owned(), it.clone()));
            list.iter().map(name).collect::<Option<Vec<_>>>().filter(|list| !list.is_empty())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<String> {
        let text = |value: &Option<Value>| value.as_ref().map_or("none".to_owned(), Value::to_string);
        let found = settings(&toml::from_str(before).unwrap(), &toml::from_str(after).unwrap());
        found.iter().map(|it| format!("{}: {} > {}", it.key, text(&it.before), text(&it.after))).collect()
    }

    #[test]
    fn keys_are_told_by_their_way_from_the_top() {
        let before = "[regions.fra]\nweight = 1\n[[services]]\nname = \"www.example.com\"\nttl = 30\n\
                      [services.endpoints]\nfra = \"192.0.2.1\"\n";
        let after = "[regions.iad]\n[regions.fra]\nweight = 2\n[[services]]\nname = \"new.example.com\"\n\
                     [[services]]\nname = \"www.example.com\"\n[services.endpoints]\nfra = [\"192.0.2.1\"]\n";
        let found = told(before, after);
        assert!(found.contains(&"regions.fra.weight: 1 > 2".to_owned()), "{found:?}");
        assert!(found.contains(&"services.www.example.com.ttl: 30 > none".to_owned()), "{found:?}");
        let endpoints = "services.www.example.com.endpoints.fra: \"192.0.2.1\" > [\"192.0.2.1\"]".to_owned();
        assert!(found.contains(&endpoints), "{found:?}");
        assert!(found.contains(&"services.new.example.com.name: none > \"new.example.com\"".to_owned()), "{found:?}");
        assert_eq!(told(before, before), [""; 0]);
    }
}

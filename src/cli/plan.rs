//! `meridian plan`: shows what a reload would change.
//!
//! With a new configuration, the command compares it with the present one: settings, records and
//! the clients of each service. Without one, it asks a running server to compare its files with
//! what it serves. The exit code tells scripts whether something would change.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::arguments::{DEFAULT_ADMIN, PlanArgs, RemoteArgs};
use super::client::AdminClient;
use super::explain::{loaded, refusal};
use super::traffic;
use crate::control::comparison::{ConfigComparison, Difference, RecordDifference, largest_move};
use crate::control::guard::CoverageChange;
use crate::control::settings::{SettingChange, settings};
use crate::control::{LoadedState, guard, load};
use crate::daemon::progress;
use crate::explain::percent;
use crate::files::{self, FileKind};
use crate::foresight::{NotedTraffic, RegionMove, ServiceMove, compare};
use crate::terminal::{TextOutput, say, say_json};
use crate::text::{counted, shown};
use crate::zone::{self, RecordChange, Zone};

/// The exit code if something would change, as of `terraform plan -detailed-exitcode`.
const CHANGES: u8 = 2;

/// All differences.
#[derive(Debug, Serialize)]
struct Changes {
    summary: String,
    settings: Vec<SettingChange>,
    records: Vec<RecordLine>,
    services: Vec<ServiceMove>,
    /// Services where the part of the clients with a region changes.
    coverage: Vec<CoverageChange>,
    /// Zones whose content changes under the same serial.
    warnings: Vec<String>,
    /// Why the guard would refuse it.
    refused: Option<String>,
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

/// Prints what would change. Exits with 0 if that is nothing, and with 2 otherwise.
pub fn run(arguments: &PlanArgs) -> Result<ExitCode, String> {
    let Some(file) = &arguments.new else {
        return ask(arguments);
    };
    let old = loaded(arguments.config.as_deref())?;
    let new = load(file, Some(&old.atlas)).map_err(|mistakes| refusal(file, &mistakes))?;
    let traffic = match &arguments.traffic {
        Some(source) => traffic::read(source, &old.config, arguments.ca_file.as_deref())?,
        None => NotedTraffic::default(),
    };
    let changes = progress::during("comparing", || Changes::between(&old, &new, &traffic))?;
    if arguments.json {
        say_json(serde_json::json!(changes));
    } else {
        changes.print();
    }
    Ok(exit_code(changes.is_none()))
}

fn exit_code(is_same: bool) -> ExitCode {
    if is_same {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(CHANGES)
    }
}

/// Asks a running server what a reload would change.
fn ask(arguments: &PlanArgs) -> Result<ExitCode, String> {
    let PlanArgs {
        admin,
        token_file,
        ca_file,
        ..
    } = arguments;
    let admin = admin.clone().unwrap_or_else(|| DEFAULT_ADMIN.to_owned());
    let client = AdminClient::new(&RemoteArgs {
        admin,
        token_file: token_file.clone(),
        ca_file: ca_file.clone(),
    })?;
    let comparison: ConfigComparison = client.post("/v1/plan", &serde_json::json!({}))?;
    if arguments.json {
        say_json(serde_json::json!(comparison));
    } else {
        print_comparison(&comparison);
    }
    Ok(exit_code(comparison.is_none()))
}

fn print_comparison(comparison: &ConfigComparison) {
    TextOutput::stdout().bold(&shown(&comparison.summary).to_string());
    print_settings(&comparison.settings);
    more(
        comparison.settings_differing,
        comparison.settings.len(),
        "keys",
    );
    for record in &comparison.records {
        print_record(record);
    }
    more(
        comparison.records_differing,
        comparison.records.len(),
        "RRsets",
    );
    print_effects(
        &comparison.services,
        &comparison.coverage,
        &comparison.warnings,
        comparison.refused.as_deref(),
    );
}

/// Prints how many are not listed.
fn more(all: usize, listed: usize, what: &str) {
    if all > listed {
        say!("and {} more {what}", all - listed);
    }
}

fn print_settings(settings: &[SettingChange]) {
    for it in settings {
        let before: Vec<String> = it.before.iter().map(Value::to_string).collect();
        let after: Vec<String> = it.after.iter().map(Value::to_string).collect();
        print_change(&it.key, &before, &after);
    }
}

/// Per cent, with a sign; empty where nothing would be seen.
fn change_text(change: f64) -> String {
    if change.abs() >= 0.05 {
        format!("{change:+.1}")
    } else {
        String::new()
    }
}

fn print_coverage(change: &CoverageChange) {
    let (name, rtype) = (&change.name, &change.rtype);
    let before = percent(change.before_percent);
    let after = percent(change.after_percent);
    let sentence = format!("{name} {rtype}: {after} of the clients have a region, before {before}");
    say!("\n{}", shown(sentence));
}

fn print_record(record: &RecordDifference) {
    let sign = match record.change {
        Difference::New => '+',
        Difference::Gone => '-',
        Difference::Changed => '~',
    };
    let RecordDifference { name, rtype, .. } = record;
    say!("{sign} {}", shown(format!("{name} {rtype}")));
}

/// Prints the clients of a service that move, and the share of each region.
fn print_move(service: &ServiceMove) {
    say!("\n{}", shown(service.sentence()));
    let rows: Vec<Vec<String>> = service.regions.iter().map(region_row).collect();
    TextOutput::stdout().table(&["region", "before", "after", "change"], &rows);
}

fn region_row(region: &RegionMove) -> Vec<String> {
    vec![
        region.region.clone(),
        percent(region.before_percent),
        percent(region.after_percent),
        change_text(region.after_percent - region.before_percent),
    ]
}

/// Prints the effects: clients that move, changes of coverage, warnings, and the guard.
fn print_effects(
    services: &[ServiceMove],
    coverage: &[CoverageChange],
    warnings: &[String],
    refused: Option<&str>,
) {
    for service in services {
        print_move(service);
    }
    for change in coverage {
        print_coverage(change);
    }
    if !warnings.is_empty() {
        say!();
    }
    for warning in warnings {
        say!("warning: {}", shown(warning));
    }
    if let Some(sentence) = refused {
        say!("\nthe server would refuse it: {}", shown(sentence));
    }
}

impl Changes {
    fn between(
        old: &LoadedState,
        new: &LoadedState,
        traffic: &NotedTraffic,
    ) -> Result<Changes, String> {
        let services = compare(
            (&old.snapshot.catalog, &old.config),
            (&new.snapshot.catalog, &new.config),
            traffic,
        )?;
        let coverage =
            guard::coverage_with_all_up(&old.snapshot.catalog, &new.snapshot.catalog, traffic)?;
        let records = zone::differences(&zones(old)?, &zones(new)?);
        let mut changes = Changes {
            summary: String::new(),
            settings: settings(&document(old)?, &document(new)?),
            records: records.into_iter().map(RecordLine::from).collect(),
            warnings: new.prints.same_serials(&old.prints.zones()),
            refused: guard::refusal_by(&old.config, &services, &coverage),
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
        let moved = largest_move(&self.services);
        let settings = counted(self.settings.len(), "key");
        let records = counted(self.records.len(), "RRset");
        format!("a reload would change {settings} of the configuration and {records}; {moved}")
    }

    fn print(&self) {
        TextOutput::stdout().bold(&shown(&self.summary).to_string());
        print_settings(&self.settings);
        for it in &self.records {
            let name = format!("{} {}", it.name, it.rtype);
            print_change(&name, &it.before, &it.after);
        }
        print_effects(
            &self.services,
            &self.coverage,
            &self.warnings,
            self.refused.as_deref(),
        );
    }
}

/// Prints `+ what: new`, `- what: old` or `~ what: old -> new`.
fn print_change(what: &str, before: &[String], after: &[String]) {
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
        let RecordChange {
            zone,
            name,
            rtype,
            before,
            after,
        } = change;
        RecordLine {
            zone,
            name,
            rtype: rtype.to_string(),
            before,
            after,
        }
    }
}

/// Reads the configuration file as a plain document. It has just been loaded without a mistake.
fn document(loaded: &LoadedState) -> Result<Value, String> {
    let file = &loaded.config.file;
    let content = files::read(file, FileKind::Configuration)
        .map_err(|error| format!("{}: {error}", file.display()))?;
    toml::from_slice(&content.octets).map_err(|error| format!("{}: {error}", file.display()))
}

fn zones(loaded: &LoadedState) -> Result<Vec<Zone>, String> {
    let directory = &loaded.config.zones_directory;
    match zone::load_directory(directory) {
        Ok(read) => Ok(read.zones),
        Err(mistakes) => {
            let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            Err(refusal(directory, &lines))
        }
    }
}

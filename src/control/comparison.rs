//! Computes what a reload would change, for `meridian plan`.
//!
//! The files are read and checked as a reload does it, and compared with what is served: the keys
//! of the configuration, the records of zones, and where clients of each service are sent. Nothing
//! is published. The answer also says whether the guard would refuse the reload.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::build::with_services;
use super::guard::{self, CoverageChange};
use super::load::LoadedState;
use super::running::Control;
use super::settings::{SettingChange, settings};
use super::signing::LoadPurpose;
use super::worker::NotDone;
use crate::catalog::Catalog;
use crate::catalog::records::{RrsetTable, WireRrset};
use crate::config::{Config, SourceFile};
use crate::dns::{Name, RecordType};
use crate::explain::percent;
use crate::foresight::{NotedTraffic, ServiceMove, compare};
use crate::text::counted;

/// Most keys, and most RRsets, that are listed.
const MOST: usize = 1000;

/// What a reload would change. Keys are added, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigComparison {
    /// A summary in one sentence.
    pub summary: String,
    /// The keys of the configuration that differ, at most 1000.
    pub settings: Vec<SettingChange>,
    /// How many differ.
    pub settings_differing: usize,
    /// The RRsets that differ, at most 1000.
    pub records: Vec<RecordDifference>,
    /// How many differ.
    pub records_differing: usize,
    /// Services whose clients would move to other regions.
    pub services: Vec<ServiceMove>,
    /// Services whose share of clients with a region would change.
    pub coverage: Vec<CoverageChange>,
    /// Zones whose records differ under the same serial, and warnings about the files.
    pub warnings: Vec<String>,
    /// Why the guard would refuse it; null: it would not.
    pub refused: Option<String>,
}

/// An RRset that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RecordDifference {
    /// The zone's apex.
    pub zone: String,
    /// The owner.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The kind of difference.
    pub change: Difference,
}

/// The kind of difference between two RRsets.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Difference {
    /// It is only in the files.
    New,
    /// It is served, but no longer in the files.
    Gone,
    /// It has another TTL or other data.
    Changed,
}

impl ConfigComparison {
    /// Whether a reload would change nothing.
    pub fn is_none(&self) -> bool {
        self.settings_differing == 0 && self.records_differing == 0 && self.services.is_empty()
    }

    fn sentence(&self) -> String {
        if self.is_none() {
            return "a reload would change nothing".to_owned();
        }
        let moved = largest_move(&self.services);
        let keys = counted(self.settings_differing, "key");
        let records = counted(self.records_differing, "RRset");
        format!("a reload would change {keys} of the configuration and {records}; {moved}")
    }
}

impl Control {
    /// Reads what a reload would read, on the thread for reloads, and compares it with what is
    /// served.
    ///
    /// # Errors
    /// The reload thread is busy, or the files have errors.
    pub async fn compare_with_files(
        self: &Arc<Control>,
    ) -> Result<Result<ConfigComparison, Vec<String>>, NotDone> {
        let control = self.clone();
        self.threads.reload.run(move || control.compare_now()).await
    }

    fn compare_now(&self) -> Result<ConfigComparison, Vec<String>> {
        let state = self.state();
        let base = &state.derived.base;
        let mut loaded = self
            .origin()
            .load_settled(&state.files.atlas, LoadPurpose::Inspect)?;
        let snapshot = &state.snapshot;
        // Leases and weights of overrides are not in the files, and a reload does not change them.
        let catalog = if Arc::ptr_eq(base, &state.derived.config) {
            snapshot.catalog.clone()
        } else {
            with_services(snapshot, base).catalog
        };
        let mut warnings = loaded.prints.same_serials(&state.files.prints.zones());
        warnings.append(&mut loaded.warnings);
        let served = ServedFiles {
            catalog: &catalog,
            config: base,
            sources: &state.files.sources,
        };
        served
            .compare_with(&loaded, warnings)
            .map_err(|sentence| vec![sentence])
    }
}

/// What is served, without overrides and leases.
struct ServedFiles<'s> {
    catalog: &'s Catalog,
    config: &'s Config,
    /// The files of the configuration.
    sources: &'s [SourceFile],
}

impl ServedFiles<'_> {
    fn compare_with(
        &self,
        loaded: &LoadedState,
        warnings: Vec<String>,
    ) -> Result<ConfigComparison, String> {
        let (before, after) = (self.catalog, &loaded.snapshot.catalog);
        let traffic = NotedTraffic::of(before);
        let mut services = compare((before, self.config), (after, &loaded.config), &traffic)?;
        let coverage = guard::coverage_with_all_up(before, after, &traffic)?;
        let refused = guard::refusal_by(self.config, &services, &coverage);
        services.retain(ServiceMove::is_any);
        let mut settings = settings(&parsed(self.sources)?, &parsed(&loaded.sources)?);
        let mut records = differences(before, after);
        let (settings_differing, records_differing) = (settings.len(), records.len());
        settings.truncate(MOST);
        records.truncate(MOST);
        let mut comparison = ConfigComparison {
            summary: String::new(),
            settings,
            settings_differing,
            records,
            records_differing,
            services,
            coverage,
            warnings,
            refused,
        };
        comparison.summary = comparison.sentence();
        Ok(comparison)
    }
}

/// How much of which service moves at most.
pub fn largest_move(services: &[ServiceMove]) -> String {
    let worst = services
        .iter()
        .max_by(|one, other| one.moved_percent.total_cmp(&other.moved_percent));
    match worst {
        Some(worst) => format!(
            "of {} {} of the address space is sent elsewhere",
            worst.name,
            percent(worst.moved_percent)
        ),
        None => "no client moves".to_owned(),
    }
}

/// The configuration as one tree: the tables of all files, and their lists one after another.
fn parsed(sources: &[SourceFile]) -> Result<Value, String> {
    let mut whole = Value::Object(serde_json::Map::new());
    for source in sources {
        let file = toml::from_str(&source.text).map_err(|error| error.to_string())?;
        join(&mut whole, file);
    }
    Ok(whole)
}

/// Adds the entries of a tree to another.
fn join(whole: &mut Value, more: Value) {
    match (whole, more) {
        (Value::Object(whole), Value::Object(more)) => {
            for (key, value) in more {
                match whole.get_mut(&key) {
                    Some(known) => join(known, value),
                    None => drop(whole.insert(key, value)),
                }
            }
        }
        (Value::Array(whole), Value::Array(more)) => whole.extend(more),
        (whole, more) => *whole = more,
    }
}

/// Every RRset that differs between two catalogs, by zone, owner and type.
fn differences(old: &Catalog, new: &Catalog) -> Vec<RecordDifference> {
    let mut found = Vec::new();
    one_way(new, old, Difference::New, &mut found);
    one_way(old, new, Difference::Gone, &mut found);
    found.sort_unstable();
    found
}

/// The RRsets of `here` that `there` does not have. When `here` is the new catalog, also those with
/// other data.
fn one_way(
    here: &Catalog,
    there: &Catalog,
    missing: Difference,
    found: &mut Vec<RecordDifference>,
) {
    for id in here.names.ids() {
        let Some(node) = here.names.node(id) else {
            continue;
        };
        let wire = here.names.name_of(node);
        let others = there
            .names
            .get(wire)
            .map_or(&[][..], |other| there.records.of(other.rrsets));
        for rrset in here.records.of(node.rrsets) {
            let change = match others.iter().find(|other| other.rtype == rrset.rtype) {
                None => missing,
                Some(_) if missing == Difference::Gone => continue,
                Some(other) if is_same(&here.records, rrset, &there.records, other) => continue,
                Some(_) => Difference::Changed,
            };
            found.extend(difference(here, wire, rrset.rtype, change));
        }
    }
}

fn is_same(here: &RrsetTable, rrset: &WireRrset, there: &RrsetTable, other: &WireRrset) -> bool {
    here.octets(rrset) == there.octets(other) && here.pointers(rrset) == there.pointers(other)
}

fn difference(
    catalog: &Catalog,
    wire: &[u8],
    rtype: RecordType,
    change: Difference,
) -> Option<RecordDifference> {
    let name = Name::from_wire(wire).ok()?;
    let zone = catalog
        .zone_of(&name)
        .map_or(String::new(), |zone| zone.origin.to_string());
    Some(RecordDifference {
        zone,
        name: name.to_string(),
        rtype: rtype.to_string(),
        change,
    })
}

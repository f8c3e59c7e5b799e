//! What a reload would change: the files as they are now, read and checked as a reload does, beside what is served. Nothing
//! is published.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::with_services;
use super::guard::{self, CoverageChange};
use super::load::LoadedState;
use super::running::Control;
use super::settings::{SettingChange, settings};
use super::worker::NotDone;
use crate::catalog::Catalog;
use crate::dns::{Name, RecordType};
use crate::explain::percent;
use crate::foresight::{NotedTraffic, ServiceMove, compare};
use crate::text::counted;

/// Most keys, and most RRsets, that are listed.
const MOST: usize = 1000;

/// What a reload would change. Keys are added, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigComparison {
    /// All of it in a sentence.
    pub summary: String,
    /// The keys of the configuration that differ, at most 1000.
    pub settings: Vec<SettingChange>,
    /// How many differ.
    pub settings_differing: usize,
    /// The RRsets that differ, at most 1000.
    pub records: Vec<RecordDifference>,
    /// How many differ.
    pub records_differing: usize,
    /// Services of which clients would be sent elsewhere.
    pub services: Vec<ServiceMove>,
    /// Services of which another part of the clients would have a region.
    pub coverage: Vec<CoverageChange>,
    /// Zones whose records differ under the same serial, and what is odd about the files.
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
    /// How it differs.
    pub change: Difference,
}

/// How something differs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Difference {
    /// It is in the files alone.
    New,
    /// It is served, and not in the files any more.
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
        let worst = self
            .services
            .iter()
            .max_by(|one, other| one.moved_percent.total_cmp(&other.moved_percent));
        let moved = worst.map_or("nobody is sent elsewhere".to_owned(), |worst| {
            format!(
                "of {} {} of the address space is sent elsewhere",
                worst.name,
                percent(worst.moved_percent)
            )
        });
        let (keys, records) = (
            counted(self.settings_differing, "key"),
            counted(self.records_differing, "RRset"),
        );
        format!("a reload would change {keys} of the configuration and {records}; {moved}")
    }
}

impl Control {
    /// Reads what a reload would read, and compares it with what is served, on the thread for reloads.
    ///
    /// # Errors
    /// A reload is under way, and some wait for it already; or the files hold mistakes.
    pub async fn compare_with_files(
        self: &Arc<Control>,
    ) -> Result<Result<ConfigComparison, Vec<String>>, NotDone> {
        let control = self.clone();
        self.threads.reload.run(move || control.compare_now()).await
    }

    fn compare_now(&self) -> Result<ConfigComparison, Vec<String>> {
        let state = self.state();
        let (base, laid, prints, text) = (
            &state.derived.base,
            &state.derived.config,
            &state.files.prints,
            &state.files.text,
        );
        let mut loaded = self.origin().load_settled(&state.files.atlas)?;
        let snapshot = &state.snapshot;
        // Leases and ordered weights are not in the files, and outlive a reload.
        let plain = (!Arc::ptr_eq(base, laid)).then(|| with_services(snapshot, base));
        let catalog = plain
            .as_ref()
            .map_or(&snapshot.catalog, |plain| &plain.catalog);
        let mut warnings = loaded.prints.same_serials(&prints.zones());
        warnings.append(&mut loaded.warnings);
        compared((catalog, base, text), &loaded, warnings).map_err(|sentence| vec![sentence])
    }
}

/// What is served beside what was read.
fn compared(
    (catalog, config, text): (&Catalog, &crate::config::Config, &str),
    loaded: &LoadedState,
    warnings: Vec<String>,
) -> Result<ConfigComparison, String> {
    let LoadedState {
        snapshot: new,
        config: new_config,
        ..
    } = loaded;
    let traffic = NotedTraffic::of(catalog);
    let services = compare((catalog, config), (&new.catalog, new_config), &traffic)?;
    let coverage = guard::coverage_with_all_up(catalog, &new.catalog, &traffic)?;
    let moves_too_many = config
        .max_move
        .and_then(|limit| guard::refusal_of(limit, &services));
    let covers_too_few = config
        .min_covered
        .and_then(|limit| guard::uncovering(limit, &coverage));
    let read = |text: &str| toml::from_str(text).map_err(|error| error.to_string());
    let mut settings = settings(&read(text)?, &read(&loaded.text)?);
    let mut records = differences(catalog, &new.catalog);
    let (settings_differing, records_differing) = (settings.len(), records.len());
    settings.truncate(MOST);
    records.truncate(MOST);
    let mut comparison = ConfigComparison {
        summary: String::new(),
        settings,
        settings_differing,
        records,
        records_differing,
        services: services.into_iter().filter(ServiceMove::is_any).collect(),
        coverage,
        warnings,
        refused: moves_too_many.or(covers_too_few),
    };
    comparison.summary = comparison.sentence();
    Ok(comparison)
}

/// Every RRset of two Worlds that is not the same in both, by zone, owner and type.
fn differences(old: &Catalog, new: &Catalog) -> Vec<RecordDifference> {
    let mut found = Vec::new();
    one_way(new, old, Difference::New, &mut found);
    one_way(old, new, Difference::Gone, &mut found);
    found.sort_unstable();
    found
}

/// The RRsets of a catalog that the other one has not (`missing`), and, of the new one, those that it has otherwise.
fn one_way(
    here: &Catalog,
    there: &Catalog,
    missing: Difference,
    found: &mut Vec<RecordDifference>,
) {
    for node in here.names.ids().filter_map(|id| here.names.node(id)) {
        let wire = here.names.name_of(node);
        let others = there
            .names
            .get(wire)
            .map_or(&[][..], |other| there.records.of(other.rrsets));
        for rrset in here.records.of(node.rrsets) {
            let change = match others.iter().find(|other| other.rtype == rrset.rtype) {
                None => missing,
                Some(_) if missing == Difference::Gone => continue,
                Some(other) => {
                    let octets = here.records.octets(rrset) == there.records.octets(other);
                    if octets && here.records.pointers(rrset) == there.records.pointers(other) {
                        continue;
                    }
                    Difference::Changed
                }
            };
            found.extend(difference(here, wire, rrset.rtype, change));
        }
    }
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

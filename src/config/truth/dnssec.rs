//! `[zones.dnssec]`: which zones are signed, and by which policy.
//!
//! The zones are loaded later, so this module cannot check that a zone exists. A policy that is named
//! but not declared is an error, and so is a zone that two policies name. A policy without zones that
//! nothing names is probably a mistake.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::model::{DnssecConfig, SigningRules};
use super::names::DeclaredNames;
use super::upstreams::resolve_servers;
use crate::config::document::error::SourceLine;
use crate::config::document::{ConfigReport, NamedEntry, Setting, TableField, WithOffset};
use crate::config::tables::{Dnssec, SigningPolicy};
use crate::config::values::words::ZoneSelector;
use crate::dns::Name;
use crate::dnssec::rollover::RollDelays;
use crate::dnssec::{SerialRule, TokenSetup, TokenUri, ZoneDenial, token};

/// Stands for the folder of keys where there are none.
const ELSEWHERE: &str = "elsewhere";

/// Checks the table. `None`: no zone is signed, and there are no keys for steered names in zones that
/// are signed in their files.
pub fn resolve_dnssec(
    raw: Dnssec,
    folder: &Path,
    has_state: bool,
    report: &mut ConfigReport,
) -> Option<DnssecConfig> {
    let raw_policies = raw.policies.or_default().0;
    let mut names = DeclaredNames::declare("signing policy", &raw_policies, report);
    let is_elsewhere = raw.keys.value == Path::new(ELSEWHERE);
    let mut zones = PolicyZones {
        // Serials come with the signatures where the keys are elsewhere.
        keeps_serials: has_state || is_elsewhere,
        ..PolicyZones::default()
    };
    let mut rules = Vec::new();
    for NamedEntry { value, .. } in raw_policies {
        let policy = value.or_default();
        if is_elsewhere {
            refuse_compact(&policy, report);
        }
        rules.push(zones.add(policy, report));
    }
    let default = SigningPolicy::default();
    let mut policy = rules_of(&default);
    if let TableField::Given(named) = raw.policy
        && let Some(id) = names.find(&named, report)
        && let Some(found) = rules.get(usize::from(id))
    {
        policy = *found;
    }
    let bundle = bundle_of(raw.bundle, &raw.keys, &raw.generate, report);
    let tokens = TokenSetup {
        new_keys: new_keys(raw.token, is_elsewhere, report),
        module: stated_path(raw.token_module, folder),
        pin_file: stated_path(raw.token_pin_file, folder),
    };
    let parent_servers = resolve_servers(raw.parent_servers.or_default(), report);
    let selected = selected_zones(raw.sign.value.0, report);
    if selected.is_none() && raw.keys.at().is_none() {
        return None;
    }
    Some(DnssecConfig {
        zones: selected.unwrap_or(Some(Vec::new())),
        keys: folder.join(raw.keys.value),
        bundle: bundle.map(|bundle| folder.join(bundle)),
        tokens,
        generate: raw.generate.value,
        rolls: raw.rolls.value,
        bootstrap: raw.bootstrap.value,
        notify_parent: raw.notify_parent.value,
        parent_servers,
        compact_rate: raw.compact_rate.value.as_u32(),
        policy,
        policies: zones.policies,
    })
}

/// The token in which new keys are made.
fn new_keys(
    token: TableField<TokenUri>,
    is_elsewhere: bool,
    report: &mut ConfigReport,
) -> Option<TokenUri> {
    let WithOffset { at, value } = token.given()?;
    if is_elsewhere {
        let sentence = "keys that are elsewhere are not made here; take token out";
        report.error(at, sentence.to_owned());
    } else if let Some(sentence) = token::missing_feature() {
        report.error(at, sentence.to_owned());
    }
    Some(value)
}

/// A path that may be stated, against the folder of the configuration.
fn stated_path(path: TableField<PathBuf>, folder: &Path) -> Option<PathBuf> {
    let path = path.given()?;
    Some(folder.join(path.value))
}

/// The bundle of signatures, if the keys are elsewhere.
fn bundle_of(
    bundle: TableField<PathBuf>,
    keys: &Setting<PathBuf>,
    generate: &Setting<bool>,
    report: &mut ConfigReport,
) -> Option<PathBuf> {
    let is_elsewhere = keys.value == Path::new(ELSEWHERE);
    if let Some(at) = generate.at()
        && is_elsewhere
        && generate.value
    {
        report.error(
            at,
            "keys that are elsewhere cannot be generated here; take generate out".to_owned(),
        );
    }
    match bundle {
        TableField::Given(bundle) if is_elsewhere => Some(bundle.value),
        TableField::Given(bundle) => {
            let sentence = "a bundle is only used with keys = \"elsewhere\"; take one of them out";
            report.error(bundle.at, sentence.to_owned());
            None
        }
        TableField::Absent if is_elsewhere => {
            let sentence = "keys that are elsewhere need their signatures: bundle = \"FILE\" as \
                            `meridian sign` writes it";
            report.error(keys.at().unwrap_or(0), sentence.to_owned());
            None
        }
        _ => None,
    }
}

/// Refuses compact denial where the keys are elsewhere.
fn refuse_compact(policy: &SigningPolicy, report: &mut ConfigReport) {
    if policy.denial.value.0 == ZoneDenial::Compact {
        let sentence = "denial = \"compact\" signs when somebody asks, so it needs the keys here; with \
                        keys = \"elsewhere\" take \"nsec3\" or \"nsec\"";
        report.error(policy.denial.at().unwrap_or(0), sentence.to_owned());
    }
}

/// The zones that policies name.
#[derive(Default)]
struct PolicyZones {
    /// Whether serials outlive a restart.
    keeps_serials: bool,
    stated: HashMap<Name, SourceLine>,
    policies: Vec<(SourceLine, Name, SigningRules)>,
}

impl PolicyZones {
    fn add(&mut self, raw: SigningPolicy, report: &mut ConfigReport) -> SigningRules {
        let rules = rules_of(&raw);
        if let Some(at) = raw.serial.at()
            && rules.serial != SerialRule::Keep
            && !self.keeps_serials
        {
            let sentence = "a serial that rises by itself must outlive a restart; add [state] with \
                            directory = \"FOLDER\"";
            report.error(at, sentence.to_owned());
        }
        for WithOffset { at, value: zone } in raw.zones.value.0 {
            let line = report.line(at);
            match self.stated.insert(zone.clone(), line.clone()) {
                Some(before) => {
                    let before = before.seen_from(&line);
                    report.error(at, format!("{zone} has its policy already in {before}"));
                }
                None => self.policies.push((line, zone, rules)),
            }
        }
        rules
    }
}

fn rules_of(raw: &SigningPolicy) -> SigningRules {
    SigningRules {
        algorithm: raw.algorithm.value.0,
        split_keys: raw.split_keys.value,
        serial: raw.serial.value.0,
        denial: raw.denial.value.0,
        delays: RollDelays {
            propagation: seconds(raw.propagation.value.0),
            parent_propagation: seconds(raw.parent_propagation.value.0),
            parent_ds_ttl: seconds(raw.parent_ds_ttl.value.0),
        },
    }
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// The zones that are signed; `Some(None)`: all of them; `None`: none.
fn selected_zones(
    selectors: Vec<WithOffset<ZoneSelector>>,
    report: &mut ConfigReport,
) -> Option<Option<Vec<(SourceLine, Name)>>> {
    let mut zones = Vec::new();
    let mut all = false;
    for WithOffset { at, value } in selectors {
        match value {
            ZoneSelector::All => all = true,
            ZoneSelector::Zone(zone) => zones.push((report.line(at), zone)),
        }
    }
    match (all, zones.is_empty()) {
        (true, _) => Some(None),
        (false, true) => None,
        (false, false) => Some(Some(zones)),
    }
}

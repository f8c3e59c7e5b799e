//! Compares the DS records that the parents have with the keys of the zones that are served.
//!
//! A DS record in the parent tells resolvers to refuse everything that is not signed by its key. So one
//! that is of no key of the zone, or of a zone that is not signed, takes the whole zone away from every
//! resolver that validates. `meridian check --online` looks for that. The questions go to the servers
//! that `parent_servers` names, or else to the resolver, and take a minute at most.

use std::time::{Duration, Instant};

use super::LoadedState;
use super::start::StartReport;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::dns::{Name, RecordType};
use crate::dnssec::ZoneKey;
use crate::dnssec::zone_key::key_tag;
use crate::resolve::{ask_parent, look_up_ds};
use crate::text::counted;

/// The longest that all questions may take.
const LONGEST: Duration = Duration::from_secs(60);
/// The most zones that are asked about.
const MOST_ZONES: usize = 1000;

/// What follows from a DS record that is of no key.
const REFUSED: &str = "so resolvers that validate refuse all of it";

/// What the parents of all zones say, as findings. Must be called inside a tokio runtime.
pub async fn examine(loaded: &LoadedState) -> StartReport {
    let mut found = StartReport::default();
    let end = Instant::now() + LONGEST;
    let zones = &loaded.snapshot.catalog.zones;
    for (asked, zone) in zones.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now());
        if asked >= MOST_ZONES || left.is_zero() {
            found.warnings.push(not_asked(zones.len(), asked));
            break;
        }
        if !zone.origin.is_root() {
            examine_zone(loaded, &zone.origin, left, &mut found).await;
        }
    }
    found
}

fn not_asked(zones: usize, asked: usize) -> String {
    let count = counted(zones.saturating_sub(asked), "zone");
    format!("the parents of {count} were not asked")
}

async fn examine_zone(loaded: &LoadedState, zone: &Name, left: Duration, found: &mut StartReport) {
    let asked = tokio::time::timeout(left, ds_records(&loaded.config, zone)).await;
    let answer = asked.unwrap_or_else(|_| Err("gave no answer in time".to_owned()));
    judge(&loaded.snapshot.catalog, zone, answer, found);
}

/// The DS records of a zone, from every server that is asked.
async fn ds_records(config: &Config, zone: &Name) -> Result<Vec<Vec<u8>>, String> {
    let upstream = config.resolver.servers();
    let servers = match &config.dnssec {
        Some(dnssec) if !dnssec.parent_servers.is_empty() => &dnssec.parent_servers,
        _ => return look_up_ds(zone, &upstream).await,
    };
    let mut all = Vec::new();
    for (server, records) in ask_parent(zone, servers, &upstream).await? {
        let (records, _) = records.map_err(|reason| format!("{server} {reason}"))?;
        all.extend(records);
    }
    all.sort();
    all.dedup();
    Ok(all)
}

fn judge(
    catalog: &Catalog,
    zone: &Name,
    answer: Result<Vec<Vec<u8>>, String>,
    found: &mut StartReport,
) {
    let keys = catalog.plain_data_at(zone, RecordType::DNSKEY);
    match answer {
        Ok(records) => DelegationState::of(zone, &keys, &records).report(found),
        // Who does not sign has nothing to compare.
        Err(_) if keys.is_empty() => {}
        Err(reason) => {
            let sentence = format!("the parent of {zone} was asked for DS records: {reason}");
            found.warnings.push(sentence);
        }
    }
}

/// The DS records of a zone beside its keys.
struct DelegationState<'z> {
    zone: &'z Name,
    is_signed: bool,
    /// Whether a record is of a key.
    is_good: bool,
    /// The tags of the records that are of no key.
    other: Vec<String>,
}

impl<'z> DelegationState<'z> {
    fn of(zone: &'z Name, keys: &[Vec<u8>], records: &[Vec<u8>]) -> DelegationState<'z> {
        let mut state = DelegationState {
            zone,
            is_signed: !keys.is_empty(),
            is_good: false,
            other: vec![],
        };
        for record in records {
            state.add(keys, record);
        }
        state
    }

    fn add(&mut self, keys: &[Vec<u8>], record: &[u8]) {
        if keys.iter().any(|key| is_of_key(self.zone, key, record)) {
            self.is_good = true;
        } else {
            self.other.push(tag_of(record).to_string());
        }
    }

    fn report(&self, found: &mut StartReport) {
        match (self.is_signed, self.is_good, self.other.is_empty()) {
            (false, _, true) | (true, true, true) => {}
            (false, _, false) => found.refusals.push(self.not_signed()),
            (true, false, false) => found.refusals.push(self.of_no_key()),
            (true, true, false) => found.warnings.push(self.one_too_many()),
            (true, false, true) => found.notes.push(self.none()),
        }
    }

    /// What the parent has.
    fn stated(&self) -> String {
        let (zone, tags) = (self.zone, self.other.join(", "));
        format!("the parent of {zone} has a DS record ({tags})")
    }

    fn not_signed(&self) -> String {
        let stated = self.stated();
        format!(
            "{stated}, but the zone is not signed, {REFUSED}; sign it ([zones.dnssec] sign), or have \
             the DS record removed"
        )
    }

    fn of_no_key(&self) -> String {
        let (stated, zone) = (self.stated(), self.zone);
        format!(
            "{stated} that is of no key of the zone, and no other, {REFUSED}; give it what \
             `meridian keys ds {zone}` prints, or bring that key"
        )
    }

    fn one_too_many(&self) -> String {
        let stated = self.stated();
        format!("{stated} that is of no key of the zone; have it removed")
    }

    fn none(&self) -> String {
        let zone = self.zone;
        format!(
            "the parent of {zone} has no DS record, so nobody validates the zone; `meridian keys ds \
             {zone}` prints it"
        )
    }
}

/// The key tag of a DS record.
fn tag_of(record: &[u8]) -> u16 {
    record
        .first_chunk()
        .map_or(0, |tag| u16::from_be_bytes(*tag))
}

/// Whether a DS record is of a key, both as record data.
fn is_of_key(zone: &Name, key: &[u8], record: &[u8]) -> bool {
    let is_alike = key_tag(key) == tag_of(record) && key.get(3) == record.get(2);
    is_alike && has_digest(zone, key, record)
}

/// Whether the digests agree. Where it cannot be computed, tag and algorithm decide.
fn has_digest(zone: &Name, key: &[u8], record: &[u8]) -> bool {
    match (ZoneKey::from_rdata(zone, key), record.get(3)) {
        (Ok(key), Some(2 | 4)) => key.matches_ds(record),
        _ => true,
    }
}

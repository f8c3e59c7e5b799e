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

/// What the parents of all zones say, as findings. Must be called inside a tokio runtime.
pub async fn examine(loaded: &LoadedState) -> StartReport {
    let mut found = StartReport::default();
    let end = Instant::now() + LONGEST;
    let catalog = &loaded.snapshot.catalog;
    for (asked, zone) in catalog.zones.iter().enumerate() {
        let left = end.saturating_duration_since(Instant::now());
        if asked >= MOST_ZONES || left.is_zero() {
            let count = counted(catalog.zones.len().saturating_sub(asked), "zone");
            found
                .warnings
                .push(format!("the parents of {count} were not asked"));
            break;
        }
        if zone.origin.is_root() {
            continue;
        }
        let asked = tokio::time::timeout(left, ds_records(&loaded.config, &zone.origin)).await;
        let answer = asked.unwrap_or_else(|_| Err("gave no answer in time".to_owned()));
        judge(catalog, &zone.origin, answer, &mut found);
    }
    found
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
        for record in records {
            if !all.contains(&record) {
                all.push(record);
            }
        }
    }
    Ok(all)
}

fn judge(
    catalog: &Catalog,
    zone: &Name,
    answer: Result<Vec<Vec<u8>>, String>,
    found: &mut StartReport,
) {
    let keys = catalog.plain_data_at(zone, RecordType::DNSKEY);
    let records = match answer {
        Ok(records) => records,
        // Who does not sign has nothing to compare.
        Err(_) if keys.is_empty() => return,
        Err(reason) => {
            let sentence = format!("the parent of {zone} was asked for DS records: {reason}");
            found.warnings.push(sentence);
            return;
        }
    };
    let (mut good, mut other) = (0, Vec::new());
    for record in &records {
        if keys.iter().any(|key| is_of_key(zone, key, record)) {
            good += 1;
        } else {
            other.push(tag_of(record).to_string());
        }
    }
    let tags = other.join(", ");
    if keys.is_empty() && !records.is_empty() {
        found.refusals.push(format!(
            "the parent of {zone} has a DS record ({tags}), but the zone is not signed, so resolvers that \
             validate refuse all of it; sign it ([zones.dnssec] sign), or have the DS record removed"
        ));
    } else if good == 0 && !other.is_empty() {
        found.refusals.push(format!(
            "the parent of {zone} has a DS record ({tags}) that is of no key of the zone, and no other, \
             so resolvers that validate refuse all of it; give the parent what `meridian keys ds {zone}` \
             prints, or bring that key"
        ));
    } else if !other.is_empty() {
        found.warnings.push(format!(
            "the parent of {zone} has a DS record ({tags}) that is of no key of the zone; have it removed"
        ));
    } else if good == 0 && !keys.is_empty() {
        found.notes.push(format!(
            "the parent of {zone} has no DS record, so nobody validates the zone; `meridian keys ds \
             {zone}` prints it"
        ));
    }
}

/// The key tag of a DS record.
fn tag_of(record: &[u8]) -> u16 {
    record
        .first_chunk()
        .map_or(0, |tag| u16::from_be_bytes(*tag))
}

/// Whether a DS record is of a key, both as record data. Where the digest cannot be computed, tag and
/// algorithm decide.
fn is_of_key(zone: &Name, key: &[u8], record: &[u8]) -> bool {
    if key_tag(key) != tag_of(record) || key.get(3) != record.get(2) {
        return false;
    }
    match (ZoneKey::from_rdata(zone, key), record.get(3)) {
        (Ok(key), Some(2 | 4)) => key.matches_ds(record),
        _ => true,
    }
}

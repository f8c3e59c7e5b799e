//! The serials of signed zones that rise by themselves (`serial = "unixtime"` or `"increment"`).
//!
//! A serial belongs to contents: the records of the zone, the keys that sign it, the services in it,
//! and its signatures. What is known of them before anything is signed is kept as a fingerprint, and
//! of the signatures the moment when the first of them is made anew. While the contents are the same
//! and that moment has not come, the zone keeps its serial, whatever is loaded. The file in the state
//! directory is written before the load is served, so a serial that was seen by others is never
//! forgotten.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::ActiveKeys;
use super::selection::apex_of;
use crate::catalog::signed::ZoneSigners;
use crate::config::{Config, ServiceConfig};
use crate::control::keep::{self, StateList};
use crate::disk;
use crate::dns::{Name, RecordType};
use crate::dnssec::SerialRule;
use crate::dnssec::validity::is_before;
use crate::zone::Zone;

/// The rights of the file.
const MODE: u32 = 0o600;

/// What is kept of a zone's serial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptSerial {
    /// The apex.
    zone: String,
    /// The serial that was served last.
    served: u32,
    /// The serial in the file then.
    file: u32,
    /// The fingerprint of the contents: 32 hexadecimal digits.
    contents: String,
    /// When the first of the signatures is made anew, in seconds since 1970.
    due: u64,
}

/// The serials of all zones, and where they are kept.
#[derive(Default)]
pub(super) struct SerialBook {
    /// `None`: they are only looked at.
    file: Option<PathBuf>,
    /// By apex, as served last.
    kept: BTreeMap<String, KeptSerial>,
    /// By apex, the services in each zone whose serial rises by itself.
    services: HashMap<Name, SipHasher24>,
    /// Zones with a new serial, by their index.
    risen: Vec<(usize, String)>,
    /// Sentences about serials.
    pub(super) warnings: Vec<String>,
    now: u64,
}

/// A zone whose serial is to be found.
pub(super) struct SerialRequest<'z> {
    pub(super) index: usize,
    pub(super) zone: &'z mut Zone,
    pub(super) rule: SerialRule,
    pub(super) keys: &'z ActiveKeys,
}

impl SerialBook {
    /// Reads what is kept. The file is written only with `writes`.
    pub(super) fn read(config: &Config, zones: &[Zone], writes: bool, now: u64) -> SerialBook {
        let mut book = SerialBook {
            now,
            ..SerialBook::default()
        };
        let Some(directory) = &config.state_directory else {
            return book;
        };
        let kept: Vec<KeptSerial> = if writes {
            let (list, warning) = keep::load(directory, keep::SERIALS);
            book.warnings.extend(warning);
            book.file = Some(directory.join(keep::SERIALS));
            list.items
        } else {
            keep::look(directory, keep::SERIALS).items
        };
        for serial in kept {
            book.kept.insert(serial.zone.clone(), serial);
        }
        book.services = services_by_zone(config, zones);
        book
    }

    /// Gives a zone its serial. All of its other records are there already.
    pub(super) fn settle(&mut self, request: SerialRequest<'_>) {
        let SerialRequest {
            index,
            zone,
            rule,
            keys,
        } = request;
        let Some(file) = zone.serial() else { return };
        let name = zone.origin.to_lower().to_string();
        let kept = self.kept.get(&name);
        if rule == SerialRule::Keep {
            let back = kept.filter(|kept| is_before(file, kept.served));
            self.warnings
                .extend(back.map(|kept| went_back(zone, file, kept)));
            return;
        }
        let contents = self.contents(zone, keys);
        if let Some(kept) = kept
            && kept.contents == contents
            && kept.file == file
            && self.now < kept.due
        {
            zone.set_serial(kept.served);
            return;
        }
        let served = rule.next(file, kept.map(|kept| kept.served), self.now);
        zone.set_serial(served);
        let serial = KeptSerial {
            zone: name.clone(),
            served,
            file,
            contents,
            due: u64::MAX,
        };
        self.kept.insert(name.clone(), serial);
        self.risen.push((index, name));
    }

    /// The fingerprint of everything that is served of a zone, but for its signatures.
    fn contents(&self, zone: &Zone, keys: &ActiveKeys) -> String {
        let services = self.services.get(&zone.origin.to_lower());
        let mut hasher = services.cloned().unwrap_or_default();
        for key in keys.sign_keys.iter().chain(&keys.sign_zone) {
            put(&mut hasher, &key.public().dnskey_rdata());
        }
        hasher.write_usize(keys.sign_keys.len());
        for rrset in zone.rrsets() {
            put(&mut hasher, &rrset.owner().to_ascii_lowercase());
            hasher.write_u16(rrset.rtype().0);
            hasher.write_u32(rrset.ttl());
            for data in rrset.rdata() {
                // The serial is kept apart.
                let octets = match rrset.rtype() {
                    RecordType::SOA => without_serial(data),
                    _ => data.to_vec(),
                };
                put(&mut hasher, &octets);
            }
        }
        format!("{:032x}", hasher.finish128().as_u128())
    }

    /// Keeps the new serials, with the moments at which they rise again.
    pub(super) fn save(&mut self, signers: &ZoneSigners) -> Result<(), String> {
        if self.risen.is_empty() {
            return Ok(());
        }
        for (index, name) in self.risen.drain(..) {
            let due = signers.of(index).and_then(|signer| signer.next_due());
            if let (Some(kept), Some(due)) = (self.kept.get_mut(&name), due) {
                kept.due = due;
            }
        }
        let Some(file) = &self.file else {
            return Ok(());
        };
        write(file, self.kept.values().cloned().collect())
    }
}

fn write(file: &Path, items: Vec<KeptSerial>) -> Result<(), String> {
    let list = StateList {
        items,
        ..StateList::default()
    };
    let failed = |reason: String| format!("{}: cannot be written: {reason}", file.display());
    let text = keep::text(&list).map_err(|error| failed(error.to_string()))?;
    disk::replace(file, &text, MODE).map_err(|error| failed(error.to_string()))
}

/// The data of an SOA without its serial.
fn without_serial(data: &[u8]) -> Vec<u8> {
    match data.split_last_chunk::<16>() {
        Some((head, numbers)) => {
            let names = head.get(..head.len().saturating_sub(4)).unwrap_or_default();
            [names, numbers].concat()
        }
        None => data.to_vec(),
    }
}

fn put(hasher: &mut SipHasher24, octets: &[u8]) {
    hasher.write_u64(octets.len() as u64);
    hasher.write(octets);
}

/// What the services of each zone may answer.
fn services_by_zone(config: &Config, zones: &[Zone]) -> HashMap<Name, SipHasher24> {
    let apexes = zones.iter().map(|zone| &zone.origin).collect();
    let mut services: HashMap<Name, SipHasher24> = HashMap::new();
    for service in &config.services {
        if let Some(apex) = apex_of(&service.name, &apexes) {
            put_service(services.entry(apex.to_lower()).or_default(), service);
        }
    }
    services
}

fn put_service(hasher: &mut SipHasher24, service: &ServiceConfig) {
    put(hasher, service.name.to_lower().as_wire());
    hasher.write_u32(service.ttl);
    for region in &service.regions {
        for endpoint in &region.endpoints {
            put(hasher, endpoint.target.to_string().as_bytes());
        }
    }
    for binding in &service.bindings {
        hasher.write_u16(binding.rtype.0);
        for part in [&binding.head, &binding.middle, &binding.tail] {
            put(hasher, part);
        }
    }
}

/// Says that secondaries will not follow a zone.
fn went_back(zone: &Zone, file: u32, kept: &KeptSerial) -> String {
    format!(
        "{}: the serial {file} is before {}, which was served when it rose by itself; secondaries keep \
         the old zone until the file has a higher one",
        zone.file.display(),
        kept.served
    )
}

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

use super::active::ActiveKeys;
use super::selection::apex_of;
use crate::catalog::signed::ZoneSigners;
use crate::config::{
    Config, DnssecConfig, ServiceConfig, ServiceRegion, SigningRules, SvcbTemplate,
};
use crate::control::keep::{self, StateList};
use crate::disk;
use crate::dns::{Name, RecordType};
use crate::dnssec::SerialRule;
use crate::dnssec::validity::is_before;
use crate::zone::{RRset, Zone};

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
        if config.dnssec.as_ref().is_some_and(is_any_rising) {
            book.services = services_by_zone(config, zones);
        }
        if let Some(directory) = &config.state_directory {
            for serial in book.read_kept(directory, writes) {
                book.kept.insert(serial.zone.clone(), serial);
            }
        }
        book
    }

    fn read_kept(&mut self, directory: &Path, writes: bool) -> Vec<KeptSerial> {
        if !writes {
            return keep::look(directory, keep::SERIALS).items;
        }
        let (list, warning) = keep::load(directory, keep::SERIALS);
        self.warnings.extend(warning);
        self.file = Some(directory.join(keep::SERIALS));
        list.items
    }

    /// Gives a zone its serial. All of its other records are there already.
    pub(super) fn settle(&mut self, request: SerialRequest<'_>) {
        let Some(file) = request.zone.serial() else {
            return;
        };
        let name = request.zone.origin.to_lower().to_string();
        if request.rule == SerialRule::Keep {
            self.warn_of_the_way_back(request.zone, &name, file);
            return;
        }
        let contents = self.contents(request.zone, request.keys);
        let serial = match self.unchanged(&name, file, &contents) {
            Some(served) => served,
            None => self.raise(&request, name, file, contents),
        };
        request.zone.set_serial(serial);
    }

    /// A zone whose serial has risen by itself, and is that of the file again.
    fn warn_of_the_way_back(&mut self, zone: &Zone, name: &str, file: u32) {
        if let Some(kept) = self.kept.get(name)
            && is_before(file, kept.served)
        {
            self.warnings.push(went_back(zone, file, kept.served));
        }
    }

    /// The serial that was served last, if nothing has changed since.
    fn unchanged(&self, name: &str, file: u32, contents: &str) -> Option<u32> {
        let kept = self.kept.get(name)?;
        let is_same = kept.contents == contents && kept.file == file && self.now < kept.due;
        is_same.then_some(kept.served)
    }

    /// A new serial.
    fn raise(
        &mut self,
        request: &SerialRequest<'_>,
        zone: String,
        file: u32,
        contents: String,
    ) -> u32 {
        let before = self.kept.get(&zone).map(|kept| kept.served);
        let served = request.rule.next(file, before, self.now);
        self.risen.push((request.index, zone.clone()));
        let serial = KeptSerial {
            zone: zone.clone(),
            served,
            file,
            contents,
            due: u64::MAX,
        };
        self.kept.insert(zone, serial);
        served
    }

    /// The fingerprint of everything that is served of a zone, but for its signatures.
    fn contents(&self, zone: &Zone, keys: &ActiveKeys) -> String {
        let services = self.services.get(&zone.origin.to_lower());
        let mut hasher = services.cloned().unwrap_or_default();
        for key in keys.sign_keys.iter().chain(&keys.sign_zone) {
            put(&mut hasher, &key.public().dnskey_rdata());
        }
        hasher.write_u64(keys.sign_keys.len() as u64);
        for rrset in zone.rrsets() {
            put_rrset(&mut hasher, rrset);
        }
        format!("{:032x}", hasher.finish128().as_u128())
    }

    /// Keeps the new serials, with the moments at which they rise again.
    pub(super) fn save(&mut self, signers: &ZoneSigners) -> Result<(), String> {
        let risen = std::mem::take(&mut self.risen);
        for (index, name) in &risen {
            let due = signers.of(*index).and_then(|signer| signer.next_due());
            if let (Some(kept), Some(due)) = (self.kept.get_mut(name), due) {
                kept.due = due;
            }
        }
        match &self.file {
            Some(file) if !risen.is_empty() => write(file, self.kept.values().cloned().collect()),
            _ => Ok(()),
        }
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
    let (head, numbers) = data.split_at(data.len().saturating_sub(16));
    let names = head.len().saturating_sub(4);
    [head.get(..names).unwrap_or_default(), numbers].concat()
}

/// A serial is kept apart from the contents.
fn put_rrset(hasher: &mut SipHasher24, rrset: RRset<'_>) {
    put(hasher, &rrset.owner().to_ascii_lowercase());
    hasher.write_u16(rrset.rtype().0);
    hasher.write_u32(rrset.ttl());
    for data in rrset.rdata() {
        put_data(hasher, rrset.rtype(), data);
    }
}

fn put_data(hasher: &mut SipHasher24, rtype: RecordType, data: &[u8]) {
    match rtype {
        RecordType::SOA => put(hasher, &without_serial(data)),
        _ => put(hasher, data),
    }
}

fn put(hasher: &mut SipHasher24, octets: &[u8]) {
    hasher.write_u64(octets.len() as u64);
    hasher.write(octets);
}

/// Whether the serial of some zone rises by itself.
fn is_any_rising(dnssec: &DnssecConfig) -> bool {
    let rises = |rules: &SigningRules| rules.serial != SerialRule::Keep;
    rises(&dnssec.policy) || dnssec.policies.iter().any(|(_, _, rules)| rises(rules))
}

/// What the services of each zone may answer.
fn services_by_zone(config: &Config, zones: &[Zone]) -> HashMap<Name, SipHasher24> {
    let apexes = zones.iter().map(|zone| &zone.origin).collect();
    let mut found: HashMap<_, SipHasher24> = HashMap::new();
    for service in &config.services {
        if let Some(apex) = apex_of(&service.name, &apexes) {
            put_service(found.entry(apex.to_lower()).or_default(), service);
        }
    }
    found
}

fn put_service(hasher: &mut SipHasher24, service: &ServiceConfig) {
    put(hasher, service.name.to_lower().as_wire());
    hasher.write_u32(service.ttl);
    for region in &service.regions {
        put_region(hasher, region);
    }
    for binding in &service.bindings {
        put_binding(hasher, binding);
    }
}

fn put_region(hasher: &mut SipHasher24, region: &ServiceRegion) {
    for endpoint in &region.endpoints {
        put(hasher, endpoint.target.to_string().as_bytes());
    }
}

fn put_binding(hasher: &mut SipHasher24, binding: &SvcbTemplate) {
    hasher.write_u16(binding.rtype.0);
    for part in [&binding.head, &binding.middle, &binding.tail] {
        put(hasher, part);
    }
}

/// Says that secondaries will not follow a zone.
fn went_back(zone: &Zone, file: u32, served: u32) -> String {
    let path = zone.file.display();
    format!(
        "{path}: the serial {file} is before {served}, which was served before; raise it, or \
         secondaries keep the old zone"
    )
}

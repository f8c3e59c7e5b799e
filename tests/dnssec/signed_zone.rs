//! A zone that is signed by our code as a whole, with its chain of NSEC or NSEC3 records, and written as text for the
//! verifiers of others. All data are written in the form of RFC 3597, so that no printer of ours can hide a mistake.

use std::collections::{BTreeMap, BTreeSet};

use meridian::dns::{Name, RecordType};
use meridian::dnssec::nsec3::{NSEC3PARAM, nsec3_hash, nsec3_label, nsec3_rdata};
use meridian::dnssec::validity::owner_hash;
use meridian::dnssec::{
    RrsetHead, SignedData, SigningKey, TypeSet, ValidityRules, nsec::nsec_rdata, sign_rrset,
};

use super::programs::hex;

const TTL: u32 = 300;

/// How names that are missing are denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    Nsec,
    Nsec3,
}

/// The records of a name by type.
type NameData = BTreeMap<RecordType, Vec<Vec<u8>>>;

pub struct SignedZone {
    pub apex: Name,
    /// By sort key, so in canonical order.
    names: BTreeMap<Name, (Name, NameData)>,
}

impl SignedZone {
    pub fn new(apex: &Name) -> SignedZone {
        SignedZone {
            apex: apex.clone(),
            names: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, owner: &Name, rtype: RecordType, rdata: Vec<u8>) {
        let key = owner.to_lower();
        let entry = self
            .names
            .entry(key)
            .or_insert_with(|| (owner.clone(), NameData::new()));
        entry.1.entry(rtype).or_default().push(rdata);
    }

    /// The number of RRsets.
    pub fn rrsets(&self) -> usize {
        self.names.values().map(|(_, data)| data.len()).sum()
    }

    /// Whether a name is a delegation.
    fn is_cut(&self, owner: &Name, data: &NameData) -> bool {
        *owner != self.apex && data.contains_key(&RecordType::NS)
    }

    /// The names that have authority here: all that are not below a delegation.
    fn authoritative(&self) -> Vec<(Name, bool, Vec<RecordType>)> {
        let mut names = Vec::new();
        let mut cut: Option<Name> = None;
        for (owner, data) in self.names.values() {
            if cut.as_ref().is_some_and(|cut| owner.is_within(cut)) {
                continue;
            }
            let is_cut = self.is_cut(owner, data);
            if is_cut {
                cut = Some(owner.clone());
            }
            names.push((owner.clone(), is_cut, data.keys().copied().collect()));
        }
        names
    }

    /// Adds the chain of NSEC records.
    fn add_nsec(&mut self) {
        let names = self.authoritative();
        for (index, (owner, _, types)) in names.iter().enumerate() {
            let next = &names[(index + 1) % names.len()].0.to_lower();
            let mut types: TypeSet = types.iter().copied().collect();
            types.insert(RecordType::NSEC);
            types.insert(RecordType::RRSIG);
            let rdata = nsec_rdata(next.as_wire(), &types);
            self.add(owner, RecordType::NSEC, rdata);
        }
    }

    /// Adds the chain of NSEC3 records, those of empty non-terminals among them.
    fn add_nsec3(&mut self) {
        self.add(
            &self.apex.clone(),
            RecordType::NSEC3PARAM,
            NSEC3PARAM.to_vec(),
        );
        let mut hashes = BTreeMap::new();
        for (owner, is_cut, types) in self.authoritative() {
            let mut set: TypeSet = types.iter().copied().collect();
            if !is_cut || set.contains(RecordType::DS) {
                set.insert(RecordType::RRSIG);
            }
            // It may have been entered as an empty non-terminal before.
            hashes.insert(nsec3_hash(owner.to_lower().as_wire()), set);
            let mut parent = owner.parent();
            while let Some(name) = parent.filter(|name| name.is_within(&self.apex)) {
                hashes
                    .entry(nsec3_hash(name.to_lower().as_wire()))
                    .or_default();
                parent = name.parent();
            }
        }
        let order: Vec<[u8; 20]> = hashes.keys().copied().collect();
        for (index, (hash, types)) in hashes.iter().enumerate() {
            let owner = self.apex.child(&nsec3_label(hash)).unwrap();
            let rdata = nsec3_rdata(&order[(index + 1) % order.len()], types);
            self.add(&owner, RecordType::NSEC3, rdata);
        }
    }

    /// Adds chain and signatures. `keys` sign everything; those that are not for the DNSKEY RRset
    /// alone. Returns the zone as text.
    pub fn sign(
        mut self,
        keys: &[(&SigningKey, BTreeSet<RecordTypeChoice>)],
        denial: Denial,
        now: u64,
    ) -> String {
        for (key, _) in keys {
            self.add(
                &self.apex.clone(),
                RecordType::DNSKEY,
                key.public().dnskey_rdata(),
            );
        }
        match denial {
            Denial::Nsec => self.add_nsec(),
            Denial::Nsec3 => self.add_nsec3(),
        }
        let authoritative: BTreeMap<Name, bool> = self
            .authoritative()
            .into_iter()
            .map(|(owner, is_cut, _)| (owner, is_cut))
            .collect();
        let rules = ValidityRules::default();
        let mut buffer = SignedData::new();
        let mut text = String::new();
        for (owner, data) in self.names.values() {
            let lower = owner.to_lower();
            for (rtype, rdatas) in data {
                for rdata in rdatas {
                    push_record(&mut text, owner, *rtype, rdata);
                }
                let is_signed = match authoritative.get(owner) {
                    Some(true) => matches!(*rtype, RecordType::DS | RecordType::NSEC),
                    Some(false) => true,
                    None => false,
                };
                if !is_signed {
                    continue;
                }
                let rrset = RrsetHead {
                    owner: owner.as_wire(),
                    rtype: *rtype,
                    ttl: TTL,
                };
                let times = rules.period(owner_hash(lower.as_wire()), now);
                let choice = RecordTypeChoice::of(*rtype);
                for (key, choices) in keys {
                    if choices.contains(&choice) {
                        let rdatas = rdatas.iter().map(|rdata| &rdata[..]);
                        let (fields, signature) =
                            sign_rrset(key, rrset, rdatas, times, &mut buffer).unwrap();
                        let rdata = fields.rdata(signature.as_slice());
                        push_record(&mut text, owner, RecordType::RRSIG, &rdata);
                    }
                }
            }
        }
        text
    }
}

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordTypeChoice {
    Keys,
    Others,
}

impl RecordTypeChoice {
    fn of(rtype: RecordType) -> RecordTypeChoice {
        match rtype {
            RecordType::DNSKEY => RecordTypeChoice::Keys,
            _ => RecordTypeChoice::Others,
        }
    }
}

fn push_record(text: &mut String, owner: &Name, rtype: RecordType, rdata: &[u8]) {
    let number = rtype.0;
    text.push_str(&format!(
        "{owner}. {TTL} IN TYPE{number} \\# {} {}\n",
        rdata.len(),
        hex(rdata)
    ));
}

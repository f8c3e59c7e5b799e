//! Signs the zones of a catalog.
//!
//! Every RRset for which a zone is authoritative is signed (RFC 4035 section 2.2), and every record of
//! its chain of denial, which `links` makes. Signatures that the store has are taken from there. The
//! work is divided over two threads.

use super::presigned::{FileSignatures, ZoneRemarks};
use super::table::TableBuilder;
use super::{SignedZone, SignedZones};
use crate::catalog::names::{NameNode, NameRole, NameTable, NodeId, ZoneId};
use crate::catalog::records::RrsetTable;
use crate::config::ServiceConfig;
use crate::dns::{Name, RecordType};
use crate::dnssec::validity::{earlier, is_before};
use crate::dnssec::{
    MadeSignature, RrsetHead, SigningError, SigningRoom, SigningSession, ZoneSigner,
};
use crate::two_threads::try_each;
use crate::zone;

/// RRsets or names that a thread signs at a time.
pub(super) const TOGETHER: usize = 1 << 12;

/// Who signs which zone. Of a zone that is signed in its file, only the steered names are signed.
#[derive(Debug, Default)]
pub struct ZoneSigners {
    /// By zone, in the order of the zones that are compiled; `None`: nothing of it is signed.
    pub zones: Vec<Option<ZoneSigner>>,
}

impl ZoneSigners {
    /// The signer of a zone.
    pub fn of(&self, zone: usize) -> Option<&ZoneSigner> {
        self.zones.get(zone)?.as_ref()
    }

    /// What all of them share; `None`: nothing is signed.
    fn session(&self) -> Option<&SigningSession> {
        let first = self.zones.iter().flatten().next();
        first.map(ZoneSigner::session)
    }

    /// Whether the store of signatures is half full.
    pub fn is_half_full(&self) -> bool {
        self.session().is_some_and(SigningSession::is_half_full)
    }

    /// How many signatures were made, and not found in the store.
    pub fn made(&self) -> u64 {
        self.session().map_or(0, SigningSession::made)
    }

    /// Writes the signatures that were made since the last time to their file. Signing goes on
    /// meanwhile.
    ///
    /// # Errors
    /// A sentence: the file cannot be written.
    pub fn keep(&self) -> Result<(), String> {
        self.session().map_or(Ok(()), SigningSession::keep)
    }

    /// Whether no zone is signed.
    pub fn is_empty(&self) -> bool {
        self.zones.iter().all(Option::is_none)
    }
}

/// A zone that could not be signed.
#[derive(Debug)]
pub struct SigningFault {
    /// The zone.
    pub zone: Name,
    /// The reason.
    pub error: SigningError,
}

/// An RRset of a zone, and what is known of it.
#[derive(Clone, Copy)]
pub struct RrsetToSign<'z> {
    /// Its number in the table of records.
    pub number: u32,
    /// Its owner.
    pub node: NodeId,
    /// The index of its zone.
    pub zone: usize,
    /// Its records.
    pub rrset: zone::RRset<'z>,
}

/// The parts of a catalog that signing needs.
pub struct SigningInput<'c> {
    /// The names of all zones.
    pub names: &'c NameTable,
    /// Their records.
    pub records: &'c RrsetTable,
    /// The zones as they were loaded.
    pub zones: &'c [zone::Zone],
    /// By zone, whether its file has the signatures.
    pub presigned: &'c [bool],
    /// By zone, the number of the SOA for negative answers.
    pub negative_soas: &'c [u32],
    /// By number, all RRsets of the zones.
    pub rrsets: &'c [RrsetToSign<'c>],
    /// The services, by number.
    pub services: &'c [ServiceConfig],
    /// The signers.
    pub signers: &'c ZoneSigners,
}

impl SignedZones {
    /// Signs everything static.
    ///
    /// # Errors
    /// A zone that could not be signed.
    pub fn build(input: &SigningInput<'_>) -> Result<SignedZones, SigningFault> {
        let mut table = TableBuilder::default();
        let mut expires = vec![None; input.zones.len()];
        let mut remarks = ZoneRemarks::default();
        let files = FileSignatures::of_zones(input);
        let parts: Vec<&[RrsetToSign<'_>]> = input.rrsets.chunks(TOGETHER).collect();
        try_each(
            &parts,
            |rrsets| input.sign_rrsets(rrsets, &files),
            |part| {
                for (zone, expiration) in &part.expirations {
                    expires[*zone] = Some(earlier(expires[*zone], *expiration));
                }
                table.append(part.table);
            },
        )?;
        let mut soas = vec![0; input.zones.len()];
        for rrset in input.rrsets {
            if rrset.rrset.rtype() == RecordType::SOA {
                soas[rrset.zone] = rrset.number;
            }
            if let Some(file) = &files[rrset.zone] {
                remarks.look(input, rrset, &file.of(rrset.node, rrset.rrset.rtype()));
            }
        }
        let mut zones = Vec::with_capacity(input.zones.len());
        let mut drafts = input.chain_drafts();
        for (zone, soa) in soas.into_iter().enumerate() {
            zones.push(match (&files[zone], input.signers.of(zone)) {
                (Some(file), _) => Some(file.zone(input, zone, soa, &mut remarks)?),
                (None, None) => None,
                (None, Some(signer)) => {
                    let (chain, expiration) = input.chain(zone, &mut drafts, signer)?;
                    let expires = earlier(expires[zone], expiration);
                    Some(SignedZone {
                        id: ZoneId(zone as u32),
                        soa,
                        chain,
                        expires,
                        is_presigned: false,
                    })
                }
            });
        }
        let has_compact = zones.iter().flatten().any(|zone| zone.chain.is_compact());
        Ok(SignedZones {
            zones,
            has_compact,
            signatures: table.finish(),
            remarks: remarks.sentences,
        })
    }
}

/// RRsets that were signed, and for runs of the same zone the first expiration.
#[derive(Default)]
pub(super) struct SignedPart {
    pub(super) table: TableBuilder,
    pub(super) expirations: Vec<(usize, u32)>,
}

impl SignedPart {
    pub(super) fn note(&mut self, zone: usize, made: &[MadeSignature]) {
        for signature in made {
            let expiration = signature.fields.times.expiration;
            match self
                .expirations
                .last_mut()
                .filter(|(last, _)| *last == zone)
            {
                Some((_, first)) if is_before(expiration, *first) => *first = expiration,
                Some(_) => {}
                None => self.expirations.push((zone, expiration)),
            }
        }
    }
}

impl SigningInput<'_> {
    pub(super) fn fault(&self, zone: usize, error: SigningError) -> SigningFault {
        SigningFault {
            zone: self.zones[zone].origin.clone(),
            error,
        }
    }

    fn sign_rrsets(
        &self,
        rrsets: &[RrsetToSign<'_>],
        files: &[Option<FileSignatures<'_>>],
    ) -> Result<SignedPart, SigningFault> {
        let mut part = SignedPart::default();
        let session = self.signers.session();
        let mut room = session.map_or_else(SigningRoom::default, SigningSession::part);
        for rrset in rrsets {
            part.table.next();
            if let Some(file) = &files[rrset.zone] {
                let found = file.of(rrset.node, rrset.rrset.rtype());
                part.table.add(&found);
                continue;
            }
            let Some(signer) = self.signers.of(rrset.zone) else {
                continue;
            };
            let Some(node) = self.names.node(rrset.node) else {
                continue;
            };
            if !is_signed(node, rrset.rrset.rtype()) {
                continue;
            }
            let unsigned = RrsetHead {
                owner: self.names.name_of(node),
                rtype: rrset.rrset.rtype(),
                ttl: rrset.rrset.ttl(),
            };
            signer
                .sign(unsigned, rrset.rrset.rdata(), &mut room)
                .map_err(|error| self.fault(rrset.zone, error))?;
            part.table.add(&room.made);
            part.note(rrset.zone, &room.made);
        }
        Ok(part)
    }
}

/// Whether the zone signs an RRset of a name (RFC 4035 section 2.2).
pub(super) fn is_signed(node: &NameNode, rtype: RecordType) -> bool {
    match (node.role, rtype) {
        (_, RecordType::RRSIG) => false,
        (NameRole::Apex | NameRole::Ordinary, _) => true,
        (NameRole::Cut, RecordType::DS) => true,
        (NameRole::Cut | NameRole::Occluded | NameRole::Outside, _) => false,
    }
}

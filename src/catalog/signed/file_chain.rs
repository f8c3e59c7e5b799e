//! The chain of a zone file while it is put together.
//!
//! NSEC and NSEC3 records are read in different ways (`presigned`, `hashed_file`), and become the same
//! chain here. Records and signatures are taken as they are.

use super::chain::{ChainLink, DenialChain};
use super::table::{BitmapTable, TableBuilder};
use crate::catalog::names::NodeId;
use crate::dns::RecordType;
use crate::dnssec::validity::earlier;
use crate::dnssec::{MadeSignature, SignatureFields, SignatureOctets};
use crate::text::shown;
use crate::zone::Zone;

/// A chain that is being made.
#[derive(Default)]
pub(super) struct FileChain {
    /// Without bitmaps and signatures.
    pub(super) chain: DenialChain,
    pub(super) bitmaps: BitmapTable,
    /// Signatures by the place in the chain.
    pub(super) table: TableBuilder,
    /// When the first of the signatures expires: seconds since 1970, modulo 2^32.
    pub(super) expires: Option<u32>,
    /// What is wrong with it, sentences that begin with the file.
    pub(super) remarks: Vec<String>,
}

impl FileChain {
    /// A chain without names, whose records live for so many seconds.
    pub(super) fn new(zone: &Zone, ttl: Option<u32>) -> FileChain {
        FileChain {
            chain: empty(zone, ttl),
            ..FileChain::default()
        }
    }

    /// Adds a record behind all others.
    pub(super) fn add(&mut self, node: NodeId, types: &[u8], signatures: &[MadeSignature]) {
        let types = self.bitmaps.index_of(types);
        self.chain.links.push(ChainLink { node, types });
        for signature in signatures {
            let expiration = signature.fields.times.expiration;
            self.expires = Some(earlier(self.expires, expiration));
        }
        self.table.next();
        self.table.add(signatures);
    }

    /// The chain with everything that it needs.
    pub(super) fn finish(self) -> DenialChain {
        DenialChain {
            bitmaps: self.bitmaps.bitmaps,
            signatures: self.table.finish(),
            ..self.chain
        }
    }
}

fn empty(zone: &Zone, ttl: Option<u32>) -> DenialChain {
    DenialChain {
        ttl: ttl.unwrap_or(0),
        apex_labels: zone.origin.label_count() as u8,
        apex_length: zone.origin.as_wire().len() as u8,
        ..DenialChain::default()
    }
}

/// The type that a signature covers.
pub(super) fn covered_type(rdata: &[u8]) -> RecordType {
    let covered = rdata.first_chunk::<2>();
    RecordType(covered.map_or(0, |it| u16::from_be_bytes(*it)))
}

/// The fields and the octets of an RRSIG record's data; `None`: they are cut off.
pub(super) fn made_of(rdata: &[u8]) -> Option<MadeSignature> {
    let (fields, octets) = SignatureFields::parse(rdata)?;
    let octets = SignatureOctets::from_slice(octets);
    Some(MadeSignature { fields, octets })
}

/// A sentence about a line of a zone file.
pub(super) fn told(zone: &Zone, line: u32, sentence: &str) -> String {
    format!("{}:{line}: {sentence}", shown(zone.file.display()))
}

//! Signatures of the signed zones, and the chains that prove what does not exist (DNSSEC, RFC 4035).
//!
//! Everything is signed when a zone is loaded. A query that sets DO copies signatures from here; it
//! never makes one. The signature of an RRset is found by the RRset's number, and the record for a
//! missing name by a search in the zone's [`DenialChain`]. `build` makes all of it, and `links` the
//! chains.

#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod build;
mod chain;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod file_chain;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod hashed_file;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod links;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
pub mod presigned;
mod signatures;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod steered_file;
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod table;

use super::names::ZoneId;

pub use build::{RrsetToSign, SigningFault, SigningInput, ZoneSigners};
pub use chain::{DenialChain, DenialRecord};
pub use links::steered_types;
pub use signatures::{SignatureRef, SignatureTable, SignatureTerms};

/// All signed zones of a catalog.
#[derive(Debug, Default)]
pub struct SignedZones {
    /// By [`ZoneId`]; `None`: the zone is not signed.
    zones: Vec<Option<SignedZone>>,
    /// By the number of an RRset.
    signatures: SignatureTable,
    /// Sentences about zones that are signed in their files; each begins with the file.
    pub remarks: Vec<String>,
    /// Whether a zone has compact denial.
    has_compact: bool,
}

/// What answers need to know of a signed zone.
#[derive(Debug)]
pub struct SignedZone {
    /// The zone.
    pub id: ZoneId,
    /// The number of the SOA RRset at its own TTL, which its signature covers.
    pub soa: u32,
    /// Proves what does not exist.
    pub chain: DenialChain,
    /// When the first of its signatures expires: seconds since 1970, modulo 2^32.
    pub expires: u32,
    /// Whether its file has the signatures.
    pub is_presigned: bool,
}

impl SignedZones {
    /// A zone, if it is signed.
    pub fn zone(&self, zone: ZoneId) -> Option<&SignedZone> {
        self.zones.get(zone.0 as usize)?.as_ref()
    }

    /// Whether a zone has compact denial (RFC 9824).
    pub fn has_compact(&self) -> bool {
        self.has_compact
    }

    /// The signatures of an RRset by its number.
    #[inline]
    pub fn of_rrset(&self, number: u32) -> impl Iterator<Item = SignatureRef<'_>> {
        self.signatures.of(number)
    }

    /// Number of signatures.
    pub fn count(&self) -> usize {
        let mut count = self.signatures.count();
        for zone in self.zones.iter().flatten() {
            count = count.saturating_add(zone.chain.signature_count());
        }
        count
    }
}

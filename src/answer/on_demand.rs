//! Records that are signed when somebody asks for them: denials of names that do not exist, in zones
//! with compact denial (RFC 9824).
//!
//! The solver asks a [`DenialSigner`] for them, if the context of the query has one. The workers of UDP
//! have none, so a query that needs one is answered by another thread. This module has neither keys nor
//! clocks; both are behind the trait.

use std::fmt::Debug;
use std::sync::Arc;

use crate::catalog::ZoneId;

/// An NSEC record to sign.
#[derive(Debug, Clone, Copy)]
pub struct DenialToSign<'r> {
    /// Its zone.
    pub zone: ZoneId,
    /// Its owner, a lower-cased name in wire form.
    pub owner: &'r [u8],
    /// Its data.
    pub rdata: &'r [u8],
    /// Seconds.
    pub ttl: u32,
}

/// The data of the RRSIG records of one record.
pub type DenialSignatures = Arc<[Box<[u8]>]>;

/// Signs denials, within limits.
pub trait DenialSigner: Debug + Send + Sync {
    /// The signatures of a record; `None`: it cannot be signed now, because there are too many or
    /// the key does not sign.
    fn sign(&self, record: &DenialToSign<'_>) -> Option<DenialSignatures>;
}

//! How a signed zone proves what does not exist.
//!
//! The records of a denial are signed ahead with the rest of the zone. The kind decides which records
//! there are, what they reveal, and what they cost.

/// How a zone proves what does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ZoneDenial {
    /// A chain of the names (RFC 4034 section 4), with which a zone can be read name by name.
    #[default]
    Nsec,
    /// A chain of the hashes of the names (RFC 5155), with the parameters of RFC 9276.
    Nsec3,
}

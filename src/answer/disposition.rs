//! How a query was disposed of, for counters and logs.
//!
//! Every query ends in one of these, whatever it was. Each has a number, which is its place in the
//! counters of a worker, and a word in metrics and explanations.

/// How a query was handled. Each query has exactly one disposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Disposition {
    /// No reply was sent.
    Dropped,
    /// The rate limit of the client's network applied: no reply, or TC and no records.
    Limited,
    /// FORMERR
    Malformed,
    /// NOTIMP
    NotImplemented,
    /// BADVERS
    BadVersion,
    /// REFUSED, or NOTAUTH for an unknown key
    Refused,
    /// Records of a zone file.
    Static,
    /// Endpoints of a service.
    Steered,
    /// The name exists, but has no record of the type.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// A delegation.
    Referral,
    /// SERVFAIL
    Failed,
}

impl Disposition {
    /// The number of dispositions.
    pub const COUNT: usize = 12;

    /// Every disposition, in numeric order.
    pub const ALL: [Disposition; Disposition::COUNT] = [
        Disposition::Dropped,
        Disposition::Limited,
        Disposition::Malformed,
        Disposition::NotImplemented,
        Disposition::BadVersion,
        Disposition::Refused,
        Disposition::Static,
        Disposition::Steered,
        Disposition::NoData,
        Disposition::NxDomain,
        Disposition::Referral,
        Disposition::Failed,
    ];
}

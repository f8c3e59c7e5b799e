//! Response codes and the length of the header that holds them (RFC 1035 section 4.1.1).

/// Header octets (RFC 1035 section 4.1.1).
pub const HEADER: usize = 12;

/// The response codes that this server sends (IANA "DNS RCODEs").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Rcode {
    /// 0
    NoError = 0,
    /// 1
    FormErr = 1,
    /// 2
    ServFail = 2,
    /// 3
    NxDomain = 3,
    /// 4
    NotImp = 4,
    /// 5
    Refused = 5,
    /// 6
    YxDomain = 6,
    /// 9: the query is signed with an unknown key (RFC 8945 section 5.2.1).
    NotAuth = 9,
    /// 16: unsupported EDNS version; its upper bits need an OPT record (RFC 6891 section 6.1.3).
    BadVers = 16,
    /// 23: the server cookie is not valid (RFC 7873 section 8); needs an OPT record too.
    BadCookie = 23,
}

//! Response codes and the length of the header that holds them (RFC 1035 section 4.1.1).

/// Header octets (RFC 1035 section 4.1.1).
pub const HEADER: usize = 12;

/// The response codes that this server sends (IANA "DNS RCODEs").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Rcode {
    /// 0: no error; also where a name exists without records of the type.
    NoError = 0,
    /// 1: the query cannot be understood.
    FormErr = 1,
    /// 2: the server cannot answer.
    ServFail = 2,
    /// 3: the name does not exist.
    NxDomain = 3,
    /// 4: an operation that this server does not have.
    NotImp = 4,
    /// 5: the server does not serve this name to this client.
    Refused = 5,
    /// 6: a DNAME makes the name too long (RFC 6672 section 2.2).
    YxDomain = 6,
    /// 9: the query is signed with an unknown key (RFC 8945 section 5.2.1).
    NotAuth = 9,
    /// 16: unsupported EDNS version; its upper bits need an OPT record (RFC 6891 section 6.1.3).
    BadVers = 16,
    /// 23: the server cookie is not valid (RFC 7873 section 8); needs an OPT record too.
    BadCookie = 23,
}

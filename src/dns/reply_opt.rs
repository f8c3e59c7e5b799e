//! The OPT record of a reply (RFC 6891) and its options.
//!
//! Its size is known before the first record of a reply is written, so
//! [`Reply::start`](super::Reply::start) reserves the room for it. It is written last, when the
//! scope of the answer is known.

use super::cookie::{self, OPTION_COOKIE};
use super::edns::{
    ClientSubnet, Edns, FLAG_CO, FLAG_DO, OPTION_CLIENT_SUBNET, OPTION_EXTENDED_ERROR,
    OPTION_KEEPALIVE, OPTION_NSID,
};
use super::rcode::Rcode;
use super::{RecordType, UDP_PAYLOAD};

/// Octets of an OPT record without options.
const OPT_FIXED: usize = 11;
/// Octets of an option before its value: code and length.
const OPTION_HEADER: usize = 4;

/// The OPT record that a reply will have.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReplyOpt<'d> {
    /// Octets that it takes; 0: no OPT record, because the query has none (RFC 6891 section 7).
    size: usize,
    /// The upper octet of the flags: DO, copied (RFC 3225 section 3), and perhaps CO.
    flags: u8,
    /// The client subnet to echo.
    client_subnet: Option<&'d ClientSubnet>,
    /// Further options, which few replies have.
    extras: Option<&'d ReplyExtras<'d>>,
}

/// The options of a reply besides the client subnet.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReplyExtras<'d> {
    /// NSID (RFC 5001), at most 255 octets.
    pub nsid: Option<&'d [u8]>,
    /// The cookie (RFC 7873).
    pub cookie: Option<[u8; cookie::WHOLE]>,
    /// How long an idle connection is kept, in tenths of a second (RFC 7828).
    pub keepalive: Option<u16>,
    /// An extended error that explains the answer.
    pub error: Option<ExtendedError>,
}

/// An extended error (RFC 8914 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedError {
    /// INFO-CODE
    pub code: u16,
    /// EXTRA-TEXT
    pub text: &'static str,
}

impl ExtendedError {
    /// The name is in none of our zones (RFC 8914 section 4.21).
    pub const NOT_AUTHORITATIVE: ExtendedError = ExtendedError { code: 20, text: "" };
    /// Access rules exclude the client (RFC 8914 section 4.19).
    pub const PROHIBITED: ExtendedError = ExtendedError { code: 18, text: "" };
    /// No region is available, so the all-down rule makes the answer (RFC 8914 section 4.1).
    pub const ALL_DOWN: ExtendedError = ExtendedError {
        code: 0,
        text: "all regions down",
    };
    /// The type exists only in messages (RFC 9824 section 3.5).
    pub const INVALID_TYPE: ExtendedError = ExtendedError { code: 30, text: "" };
    /// More denials were asked for than may be signed (RFC 8914 section 4.1).
    pub const TOO_MANY_DENIALS: ExtendedError = ExtendedError {
        code: 0,
        text: "too many denials to sign",
    };
    /// Not sent: the reply has CO instead. The code is one for private use.
    pub const COMPACT_ANSWER: ExtendedError = ExtendedError {
        code: u16::MAX,
        text: "",
    };
    /// Not sent: there is no reply yet, because a denial must be signed first, which who answers does
    /// not do. The code is one for private use.
    pub const UNSIGNED_DENIAL: ExtendedError = ExtendedError {
        code: u16::MAX - 1,
        text: "",
    };
    /// An alias is not resolved yet (RFC 8914 section 4.15).
    pub const NOT_READY: ExtendedError = ExtendedError { code: 14, text: "" };
}

impl ReplyExtras<'_> {
    /// Octets that the options take.
    #[cold]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "four options of at most 259 octets"
    )]
    fn size(&self) -> usize {
        let mut size = 0;
        if let Some(nsid) = self.nsid {
            size += OPTION_HEADER + nsid.len();
        }
        if let Some(cookie) = &self.cookie {
            size += OPTION_HEADER + cookie.len();
        }
        if self.keepalive.is_some() {
            size += OPTION_HEADER + 2;
        }
        if let Some(error) = &self.error {
            size += OPTION_HEADER + 2 + error.text.len();
        }
        size
    }

    /// Writes the options into `place`, which is [`ReplyExtras::size`] long.
    #[cold]
    fn write(&self, mut place: &mut [u8]) -> Option<()> {
        if let Some(nsid) = self.nsid {
            place = put_option(place, OPTION_NSID, nsid, &[])?;
        }
        if let Some(cookie) = &self.cookie {
            place = put_option(place, OPTION_COOKIE, cookie, &[])?;
        }
        if let Some(keepalive) = self.keepalive {
            place = put_option(place, OPTION_KEEPALIVE, &keepalive.to_be_bytes(), &[])?;
        }
        if let Some(error) = &self.error {
            let (code, text) = (error.code.to_be_bytes(), error.text.as_bytes());
            put_option(place, OPTION_EXTENDED_ERROR, &code, text)?;
        }
        Some(())
    }
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "options have a few hundred octets; only what was added is subtracted"
)]
impl<'d> ReplyOpt<'d> {
    /// An OPT record without options, with the query's DO; none for `None`.
    pub fn plain(dnssec_ok: Option<bool>) -> ReplyOpt<'static> {
        let size = if dnssec_ok.is_some() { OPT_FIXED } else { 0 };
        let flags = dnssec_ok.map_or(0, |is_ok| u8::from(is_ok) * FLAG_DO);
        ReplyOpt {
            size,
            flags,
            ..ReplyOpt::default()
        }
    }

    /// The OPT record in reply to a query's, with the client subnet echoed.
    #[inline]
    pub fn owed(edns: Option<&'d Edns>) -> ReplyOpt<'d> {
        let Some(edns) = edns else {
            return ReplyOpt::default();
        };
        let client_subnet = edns.client_subnet.as_ref();
        let size = OPT_FIXED + client_subnet.map_or(0, |subnet| OPTION_HEADER + subnet.size());
        ReplyOpt {
            size,
            flags: edns.flags & FLAG_DO,
            client_subnet,
            extras: None,
        }
    }

    /// The same with these options in place of its others; no OPT record stays none.
    pub fn with<'e>(self, extras: &'e ReplyExtras<'e>) -> ReplyOpt<'e>
    where
        'd: 'e,
    {
        if self.size == 0 {
            return self;
        }
        let before = self.extras.map_or(0, ReplyExtras::size);
        ReplyOpt {
            size: self.size - before + extras.size(),
            extras: Some(extras),
            ..self
        }
    }

    /// The same with CO (RFC 9824 section 5.1); no OPT record stays none.
    pub fn with_compact(self) -> ReplyOpt<'d> {
        ReplyOpt {
            flags: self.flags | FLAG_CO,
            ..self
        }
    }

    /// The options besides the client subnet.
    pub fn extras(&self) -> ReplyExtras<'d> {
        self.extras.copied().unwrap_or_default()
    }

    /// Octets that the record takes.
    #[inline]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Writes the record into `place`, which is [`ReplyOpt::size`] long.
    #[inline]
    pub(super) fn write(&self, place: &mut [u8], rcode: Rcode, scope: u8) -> Option<()> {
        let (fixed, mut options) = place.split_first_chunk_mut::<OPT_FIXED>()?;
        let [class1, class0] = UDP_PAYLOAD.to_be_bytes();
        let [length1, length0] = (options.len() as u16).to_be_bytes();
        let extended = (rcode as u16 >> 4) as u8;
        *fixed = [
            0,
            0,
            RecordType::OPT.0 as u8,
            class1,
            class0,
            extended,
            0,
            self.flags,
            0,
            length1,
            length0,
        ];
        if let Some(subnet) = self.client_subnet {
            let (value, rest) = option(options, OPTION_CLIENT_SUBNET, subnet.size())?;
            subnet.write(scope, value)?;
            options = rest;
        }
        if let Some(extras) = self.extras {
            extras.write(options)?;
        }
        Some(())
    }
}

/// Writes the header of an option. Returns the place of its value and what is behind that.
#[inline]
fn option(place: &mut [u8], code: u16, size: usize) -> Option<(&mut [u8], &mut [u8])> {
    let (header, rest) = place.split_first_chunk_mut::<OPTION_HEADER>()?;
    let ([code1, code0], [size1, size0]) = (code.to_be_bytes(), (size as u16).to_be_bytes());
    *header = [code1, code0, size1, size0];
    rest.split_at_mut_checked(size)
}

/// Writes an option whose value has two parts. Returns what is behind it.
fn put_option<'p>(
    place: &'p mut [u8],
    code: u16,
    first: &[u8],
    second: &[u8],
) -> Option<&'p mut [u8]> {
    let size = first.len().checked_add(second.len())?;
    let (value, rest) = option(place, code, size)?;
    let (start, end) = value.split_at_mut_checked(first.len())?;
    start.copy_from_slice(first);
    end.copy_from_slice(second);
    Some(rest)
}

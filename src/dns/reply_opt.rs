//! The OPT record of a reply (RFC 6891) with its options.
//!
//! What it will say is known before the first record of a reply is written, so that its room is kept free from the start
//! ([`Reply::start`](super::Reply::start)). It is written last, when the scope of the answer is known.

use super::cookie::{self, OPTION_COOKIE};
use super::edns::{
    ClientSubnet, Edns, OPTION_CLIENT_SUBNET, OPTION_EXTENDED_ERROR, OPTION_KEEPALIVE, OPTION_NSID,
};
use super::query::Rcode;
use super::{RecordType, UDP_PAYLOAD};

/// Octets of an OPT record without options.
const OPT_FIXED: usize = 11;

/// What the OPT record of the reply will say, known before the first record is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReplyOpt<'d> {
    /// Octets it takes; 0: there is none, because the query had none (RFC 6891 section 7).
    size: usize,
    /// DO, copied (RFC 3225 section 3).
    dnssec_ok: bool,
    /// The client subnet to echo.
    client_subnet: Option<&'d ClientSubnet>,
    /// Options that few replies have, written behind it.
    extras: Option<&'d ReplyExtras<'d>>,
}

/// Options that few replies have.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReplyExtras<'d> {
    /// What NSID answers (RFC 5001), at most 255 octets.
    pub nsid: Option<&'d [u8]>,
    /// The cookie (RFC 7873).
    pub cookie: Option<[u8; cookie::WHOLE]>,
    /// How long an idle connection is kept, in tenths of a second (RFC 7828).
    pub keepalive: Option<u16>,
    /// Why the answer is what it is.
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
    /// The name lies in none of our zones (RFC 8914 section 4.21).
    pub const NOT_AUTHORITATIVE: ExtendedError = ExtendedError { code: 20, text: "" };
    /// The client may not ask (RFC 8914 section 4.19).
    pub const PROHIBITED: ExtendedError = ExtendedError { code: 18, text: "" };
    /// No region is available, and the answer is what the all-down rule gives (RFC 8914 section 4.1).
    pub const ALL_DOWN: ExtendedError = ExtendedError {
        code: 0,
        text: "all regions down",
    };
    /// An alias was not resolved yet (RFC 8914 section 4.15).
    pub const NOT_READY: ExtendedError = ExtendedError { code: 14, text: "" };
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "texts that the operator or we gave, each at most 255 octets"
)]
impl ReplyExtras<'_> {
    /// Octets that they take.
    #[cold]
    fn size(&self) -> usize {
        let option = |size: usize| 4 + size;
        self.nsid.map_or(0, |id| option(id.len()))
            + self.cookie.map_or(0, |cookie| option(cookie.len()))
            + self.keepalive.map_or(0, |_| option(2))
            + self.error.map_or(0, |error| option(2 + error.text.len()))
    }

    /// Writes them into `place`, which is [`ReplyExtras::size`] long.
    #[cold]
    fn write(&self, mut place: &mut [u8]) -> Option<()> {
        let cookie = self
            .cookie
            .as_ref()
            .map(|cookie| (OPTION_COOKIE, &cookie[..], &[][..]));
        let keepalive = self.keepalive.map(u16::to_be_bytes);
        let keepalive = keepalive
            .as_ref()
            .map(|tenths| (OPTION_KEEPALIVE, &tenths[..], &[][..]));
        let code = self.error.map(|error| error.code.to_be_bytes());
        let text = self.error.map_or("", |error| error.text).as_bytes();
        let error = code
            .as_ref()
            .map(|code| (OPTION_EXTENDED_ERROR, &code[..], text));
        let nsid = self.nsid.map(|id| (OPTION_NSID, id, &[][..]));
        for (code, first, second) in [nsid, cookie, keepalive, error].into_iter().flatten() {
            let (value, rest) = option(place, code, first.len() + second.len())?;
            value
                .iter_mut()
                .zip(first.iter().chain(second))
                .for_each(|(place, octet)| *place = *octet);
            place = rest;
        }
        Some(())
    }
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "options of a few hundred octets, of which none is taken off that was not added"
)]
impl<'d> ReplyOpt<'d> {
    /// One without options, if the query has one; DO is copied.
    pub fn plain(dnssec_ok: Option<bool>) -> ReplyOpt<'static> {
        let size = if dnssec_ok.is_some() { OPT_FIXED } else { 0 };
        ReplyOpt {
            size,
            dnssec_ok: dnssec_ok.unwrap_or(false),
            client_subnet: None,
            extras: None,
        }
    }

    /// The OPT record owed to a query, with the client subnet echoed.
    #[inline]
    pub fn owed(edns: Option<&'d Edns>) -> ReplyOpt<'d> {
        let Some(edns) = edns else {
            return ReplyOpt::default();
        };
        let client_subnet = edns.client_subnet.as_ref();
        let size = OPT_FIXED + client_subnet.map_or(0, |subnet| 4 + subnet.size());
        ReplyOpt {
            size,
            dnssec_ok: edns.dnssec_ok,
            client_subnet,
            extras: None,
        }
    }

    /// The same with these options instead of those it had; without OPT there is no place for any.
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

    /// The options besides the client subnet.
    pub fn extras(&self) -> ReplyExtras<'d> {
        self.extras.copied().unwrap_or_default()
    }

    /// Octets it takes.
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
        let flags = if self.dnssec_ok { 0x80 } else { 0 };
        *fixed = [
            0,
            0,
            RecordType::OPT.0 as u8,
            class1,
            class0,
            extended,
            0,
            flags,
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

/// Writes the head of an option; what follows it, split behind its value.
#[inline]
fn option(place: &mut [u8], code: u16, size: usize) -> Option<(&mut [u8], &mut [u8])> {
    let (head, rest) = place.split_first_chunk_mut::<4>()?;
    let ([code1, code0], [size1, size0]) = (code.to_be_bytes(), (size as u16).to_be_bytes());
    *head = [code1, code0, size1, size0];
    rest.split_at_mut_checked(size)
}

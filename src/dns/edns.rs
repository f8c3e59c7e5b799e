//! EDNS(0): the OPT record of a query (RFC 6891) and the client subnet option (RFC 7871).
//!
//! Reading is strict about the client subnet, as RFC 7871 demands, and skips unknown options. The
//! options that only a few queries have are read off the hot path.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cookie::{self, OPTION_COOKIE};

/// Option code of edns-tcp-keepalive (RFC 7828).
pub const OPTION_KEEPALIVE: u16 = 11;
/// Option code of padding (RFC 7830).
pub const OPTION_PADDING: u16 = 12;
/// Option code of Extended DNS Errors (RFC 8914).
pub const OPTION_EXTENDED_ERROR: u16 = 15;
/// Option code of NSID (RFC 5001).
pub const OPTION_NSID: u16 = 3;
/// DO in the upper octet of the flags (RFC 3225 section 3).
pub(super) const FLAG_DO: u8 = 0x80;
/// CO in the same octet (RFC 9824 section 5.1).
pub(super) const FLAG_CO: u8 = 0x40;
/// Option code of EDNS Client Subnet (RFC 7871 section 6).
pub const OPTION_CLIENT_SUBNET: u16 = 8;

/// The OPT record of a query.
#[derive(Debug, Clone, Copy, Default)]
pub struct Edns {
    /// The largest UDP payload that the client accepts, in octets, as sent.
    pub payload: u16,
    /// EDNS version.
    pub version: u8,
    /// The upper octet of the flags: DO and CO.
    pub(super) flags: u8,
    /// The client subnet option, if there is one.
    pub client_subnet: Option<ClientSubnet>,
    /// The query has one of the options in `requests`; otherwise `requests` has no meaning.
    pub(super) has_requests: bool,
    pub(super) requests: EdnsRequests,
}

/// The options that ask for an option in the reply. Few queries have one.
#[derive(Debug, Clone, Copy, Default)]
pub struct EdnsRequests {
    /// The client asks for NSID (RFC 5001).
    pub nsid: bool,
    /// The client wants to keep the connection (RFC 7828); without meaning over UDP.
    pub keepalive: bool,
    /// The first cookie (RFC 7873 section 5.2.2), if there is one.
    pub cookie: Option<cookie::CookieOption>,
}

/// Address family of a client subnet (IANA "Address Family Numbers").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubnetFamily {
    /// 0: only with source prefix 0, which means "do not use my address"; `dig +subnet=0` sends it.
    None,
    /// 1
    V4,
    /// 2
    V6,
}

/// A client subnet option that passed every check of RFC 7871 section 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSubnet {
    /// Address family.
    pub family: SubnetFamily,
    /// SOURCE PREFIX-LENGTH, at most 32 or 128.
    pub source: u8,
    /// The address, left-aligned, with zeros behind the prefix.
    bits: u128,
}

impl Edns {
    /// Replaces this record by the one with this class, TTL and data; `None` if an option is
    /// malformed.
    #[inline(always)]
    pub fn read(&mut self, class: u16, ttl: u32, data: &[u8]) -> Option<()> {
        self.payload = class;
        self.version = (ttl >> 16) as u8;
        self.flags = (ttl >> 8) as u8;
        self.client_subnet = None;
        self.has_requests = false;
        // The options of another version may look different; the query is refused anyway (RFC 6891
        // section 6.1.3).
        if self.version != 0 {
            return Some(());
        }
        let mut rest = data;
        while let Some((&[c1, c0, l1, l0], after)) = rest.split_first_chunk::<4>() {
            let (value, next) =
                after.split_at_checked(usize::from(u16::from_be_bytes([l1, l0])))?;
            match u16::from_be_bytes([c1, c0]) {
                OPTION_CLIENT_SUBNET if self.client_subnet.is_some() => return None,
                OPTION_CLIENT_SUBNET => self.client_subnet = Some(ClientSubnet::read(value)?),
                code => self.read_request(code, value)?,
            }
            rest = next;
        }
        if rest.is_empty() { Some(()) } else { None }
    }

    /// Reads an option that few queries have, or skips an unknown one.
    #[cold]
    fn read_request(&mut self, code: u16, value: &[u8]) -> Option<()> {
        if !self.has_requests {
            self.requests = EdnsRequests::default();
        }
        match code {
            OPTION_NSID => self.requests.nsid = true,
            OPTION_KEEPALIVE => self.requests.keepalive = true,
            OPTION_COOKIE if self.requests.cookie.is_none() => {
                self.requests.cookie = Some(cookie::CookieOption::read(value)?)
            }
            _ => return Some(()),
        }
        self.has_requests = true;
        Some(())
    }

    /// DO: the client wants signatures (RFC 3225 section 3).
    #[inline]
    pub fn dnssec_ok(&self) -> bool {
        self.flags & FLAG_DO != 0
    }

    /// CO: the client knows compact denial (RFC 9824 section 5.1).
    #[inline]
    pub fn compact_ok(&self) -> bool {
        self.flags & FLAG_CO != 0
    }

    /// The options that ask for an option in the reply, if there are any.
    #[inline]
    pub fn requests(&self) -> Option<&EdnsRequests> {
        self.has_requests.then_some(&self.requests)
    }
}

impl ClientSubnet {
    /// The subnet of `prefix` bits around an address; a prefix beyond the address's length means
    /// all of it.
    pub fn around(address: IpAddr, prefix: u8) -> ClientSubnet {
        let (family, bits, most) = match address {
            IpAddr::V4(address) => (SubnetFamily::V4, u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (SubnetFamily::V6, address.to_bits(), 128),
        };
        let source = prefix.min(most);
        ClientSubnet {
            family,
            source,
            bits: bits & !bits_behind(source),
        }
    }

    /// Reads the option's value; `None` where RFC 7871 section 7.2.1 demands FORMERR: an unknown
    /// family, a prefix that is too long for the family, too few or too many octets, bits behind
    /// the prefix, or a scope in a query.
    #[inline]
    pub fn read(value: &[u8]) -> Option<ClientSubnet> {
        let (&[f1, f0, source, scope], octets) = value.split_first_chunk::<4>()?;
        let (family, most) = match u16::from_be_bytes([f1, f0]) {
            1 => (SubnetFamily::V4, 32),
            2 => (SubnetFamily::V6, 128),
            0 => (SubnetFamily::None, 0),
            _ => return None,
        };
        if source > most || scope != 0 || octets.len() != usize::from(source).div_ceil(8) {
            return None;
        }
        let partial = source % 8;
        if partial > 0
            && octets
                .last()
                .is_some_and(|last| last & (0xff >> partial) != 0)
        {
            return None;
        }
        let bits = match octets {
            // A /24, which resolvers send for IPv4, is by far the most frequent.
            &[a, b, c] => u128::from(u32::from_be_bytes([a, b, c, 0])) << 96,
            _ => {
                let mut bits = 0;
                for &octet in octets.iter().rev() {
                    bits = bits >> 8 | u128::from(octet) << 120;
                }
                bits
            }
        };
        Some(ClientSubnet {
            family,
            source,
            bits,
        })
    }

    /// The first address of the subnet; `None` if the prefix is 0, "do not use" (RFC 7871 section
    /// 7.1.2).
    #[inline]
    pub fn address(&self) -> Option<IpAddr> {
        match self.family {
            _ if self.source == 0 => None,
            SubnetFamily::None => None,
            SubnetFamily::V4 => Some(IpAddr::V4(Ipv4Addr::from_bits((self.bits >> 96) as u32))),
            SubnetFamily::V6 => Some(IpAddr::V6(Ipv6Addr::from_bits(self.bits))),
        }
    }

    /// Octets of the option's value.
    #[inline]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "an address has at most 16 octets"
    )]
    pub fn size(&self) -> usize {
        4 + usize::from(self.source).div_ceil(8)
    }

    /// Writes the option's value with a SCOPE PREFIX-LENGTH; `None` if `place` is not
    /// [`ClientSubnet::size`] long.
    #[inline]
    pub fn write(&self, scope: u8, place: &mut [u8]) -> Option<()> {
        let (head, octets) = place.split_first_chunk_mut::<4>()?;
        *head = [0, self.family as u8, self.source, scope];
        let address = self.bits.to_be_bytes();
        match (octets, address) {
            // A /24, as in [`ClientSubnet::read`].
            ([first, second, third], [a, b, c, ..]) => (*first, *second, *third) = (a, b, c),
            (octets, address) => octets.copy_from_slice(address.get(..octets.len())?),
        }
        Some(())
    }
}

/// The bits behind a prefix.
#[inline]
fn bits_behind(prefix: u8) -> u128 {
    u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_subnets_read() {
        let subnet = ClientSubnet::read(&[0, 1, 24, 0, 203, 0, 113]).unwrap();
        assert_eq!(subnet.address(), Some("203.0.113.0".parse().unwrap()));
        let subnet = ClientSubnet::read(&[0, 2, 33, 0, 0x20, 1, 0xd, 0xb8, 0x80]).unwrap();
        assert_eq!(subnet.address(), Some("2001:db8:8000::".parse().unwrap()));
        assert_eq!(ClientSubnet::read(&[0, 1, 0, 0]).unwrap().address(), None);
        assert_eq!(
            ClientSubnet::read(&[0, 0, 0, 0]).unwrap().family,
            SubnetFamily::None
        );
    }

    #[test]
    fn every_prefix_is_written_as_it_was_read() {
        let (v4, v6) = (
            "203.0.113.255".parse().unwrap(),
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap(),
        );
        let prefixes = (0..=32)
            .map(|prefix| (v4, prefix))
            .chain((0..=128).map(|prefix| (v6, prefix)));
        for (address, prefix) in prefixes {
            let subnet = ClientSubnet::around(address, prefix);
            let mut value = [0; 20];
            let place = &mut value[..subnet.size()];
            subnet.write(0, place).unwrap();
            assert_eq!(
                ClientSubnet::read(place),
                Some(subnet),
                "{address}/{prefix}"
            );
        }
    }

    #[test]
    fn bad_subnets_are_refused() {
        let bad: [&[u8]; 10] = [
            &[],
            &[0, 1, 24],
            &[0, 3, 0, 0],
            &[0, 0, 8, 0, 10],
            &[0, 1, 33, 0, 1, 2, 3, 4, 5],
            &[
                0, 2, 129, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
            &[0, 1, 24, 0, 203, 0],
            &[0, 1, 24, 0, 203, 0, 113, 0],
            &[0, 1, 23, 0, 203, 0, 113],
            &[0, 1, 24, 24, 203, 0, 113],
        ];
        for value in bad {
            assert_eq!(ClientSubnet::read(value), None, "{value:?}");
        }
    }

    fn read(class: u16, ttl: u32, data: &[u8]) -> Option<Edns> {
        let mut edns = Edns::default();
        edns.read(class, ttl, data).map(|()| edns)
    }

    #[test]
    fn options_are_walked_whole() {
        let subnet = [0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113];
        let nsid = [0, 3, 0, 0];
        let both = [&nsid[..], &subnet].concat();
        let edns = read(1232, 0x8000, &both).unwrap();
        assert!(edns.requests().unwrap().nsid && edns.dnssec_ok() && edns.client_subnet.is_some());
        assert!(
            read(1232, 0, &[&subnet[..], &subnet].concat()).is_none(),
            "two subnets"
        );
        assert!(read(1232, 0, &[0, 3, 0]).is_none(), "a cut option header");
        assert!(
            read(1232, 0, &[0, 3, 0, 1]).is_none(),
            "an option past the end"
        );
        assert!(read(512, 0, &nsid.repeat(200)).is_some());
    }
}

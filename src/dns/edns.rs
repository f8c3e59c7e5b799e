//! EDNS(0) (RFC 6891) and the client subnet option (RFC 7871).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cookie::{self, OPTION_COOKIE};

/// Option code of NSID (RFC 5001).
pub const OPTION_NSID: u16 = 3;
/// Option code of EDNS Client Subnet (RFC 7871 section 6).
pub const OPTION_CLIENT_SUBNET: u16 = 8;

/// What the OPT record of a query says.
#[derive(Debug, Clone, Copy)]
pub struct Edns<'d> {
    /// The largest UDP payload that the client takes, in octets, as sent.
    pub payload: u16,
    /// EDNS version.
    pub version: u8,
    /// DO bit (RFC 3225 section 3).
    pub dnssec_ok: bool,
    /// NSID was asked for.
    pub nsid: bool,
    /// The client's part of a cookie (RFC 7873), if there is one; of several, the first (section 5.2.2).
    pub cookie: Option<[u8; cookie::CLIENT]>,
    /// The client subnet option, if there is one.
    pub client_subnet: Option<ClientSubnet<'d>>,
}

/// Address family of a client subnet (IANA "Address Family Numbers").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// 0: only with source prefix 0, "do not use my address" as `dig +subnet=0` sends it.
    None,
    /// 1
    V4,
    /// 2
    V6,
}

/// A client subnet option that passed every check of RFC 7871 section 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSubnet<'d> {
    /// Family.
    pub family: Family,
    /// SOURCE PREFIX-LENGTH, at most 32 or 128.
    pub source: u8,
    /// The address octets as sent: exactly as many as the prefix needs, no bit set beyond it.
    pub octets: &'d [u8],
}

impl<'d> Edns<'d> {
    /// Reads an OPT record from its class, TTL and data; `None` when an option is malformed.
    pub fn read(class: u16, ttl: u32, data: &'d [u8]) -> Option<Edns<'d>> {
        let mut edns = Edns {
            payload: class,
            version: (ttl >> 16) as u8,
            dnssec_ok: ttl & 0x8000 != 0,
            nsid: false,
            cookie: None,
            client_subnet: None,
        };
        // Another version may lay its options out differently; it is refused by its number (RFC 6891 section 6.1.3).
        if edns.version != 0 {
            return Some(edns);
        }
        let mut rest = data;
        while let Some((&[c1, c0, l1, l0], after)) = rest.split_first_chunk::<4>() {
            let (value, next) = after.split_at_checked(usize::from(u16::from_be_bytes([l1, l0])))?;
            match u16::from_be_bytes([c1, c0]) {
                OPTION_NSID => edns.nsid = true,
                OPTION_COOKIE if edns.cookie.is_none() => edns.cookie = Some(cookie::read(value)?),
                OPTION_CLIENT_SUBNET if edns.client_subnet.is_some() => return None,
                OPTION_CLIENT_SUBNET => edns.client_subnet = Some(ClientSubnet::read(value)?),
                _ => {}
            }
            rest = next;
        }
        rest.is_empty().then_some(edns)
    }
}

impl<'d> ClientSubnet<'d> {
    /// Reads the option's value; `None` for what RFC 7871 section 7.2.1 answers with FORMERR: an unknown family, a
    /// prefix that the family does not have, too few or too many octets, bits beyond the prefix, a scope in a query.
    pub fn read(value: &'d [u8]) -> Option<ClientSubnet<'d>> {
        let (&[f1, f0, source, scope], octets) = value.split_first_chunk::<4>()?;
        let (family, most) = match u16::from_be_bytes([f1, f0]) {
            0 => (Family::None, 0),
            1 => (Family::V4, 32),
            2 => (Family::V6, 128),
            _ => return None,
        };
        let right_length = octets.len() == usize::from(source).div_ceil(8);
        if source > most || scope != 0 || !right_length {
            return None;
        }
        let beyond = 0xffu8.checked_shr(u32::from(source % 8)).unwrap_or(0);
        let clean = source % 8 == 0 || octets.last().is_none_or(|last| last & beyond == 0);
        clean.then_some(ClientSubnet { family, source, octets })
    }

    /// The first address of the subnet; `None` when the prefix is 0: "do not use" (RFC 7871 section 7.1.2).
    pub fn address(&self) -> Option<IpAddr> {
        if self.source == 0 {
            return None;
        }
        match self.family {
            Family::None => None,
            Family::V4 => padded(self.octets).map(|octets: [u8; 4]| IpAddr::V4(Ipv4Addr::from(octets))),
            Family::V6 => padded(self.octets).map(|octets: [u8; 16]| IpAddr::V6(Ipv6Addr::from(octets))),
        }
    }

    /// The family's number on the wire.
    pub fn family_number(&self) -> u16 {
        self.family as u16
    }
}

/// `octets` with zeros behind; `None` if they are too many.
fn padded<const N: usize>(octets: &[u8]) -> Option<[u8; N]> {
    let mut whole = [0; N];
    whole.get_mut(..octets.len())?.copy_from_slice(octets);
    Some(whole)
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
        assert_eq!(ClientSubnet::read(&[0, 0, 0, 0]).unwrap().family, Family::None);
    }

    #[test]
    fn bad_subnets_are_refused() {
        let bad: [&[u8]; 10] = [
            &[],
            &[0, 1, 24],
            &[0, 3, 0, 0],
            &[0, 0, 8, 0, 10],
            &[0, 1, 33, 0, 1, 2, 3, 4, 5],
            &[0, 2, 129, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0, 1, 24, 0, 203, 0],
            &[0, 1, 24, 0, 203, 0, 113, 0],
            &[0, 1, 23, 0, 203, 0, 113],
            &[0, 1, 24, 24, 203, 0, 113],
        ];
        for value in bad {
            assert_eq!(ClientSubnet::read(value), None, "{value:?}");
        }
    }

    #[test]
    fn options_are_walked_whole() {
        let subnet = [0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113];
        let nsid = [0, 3, 0, 0];
        let both = [&nsid[..], &subnet].concat();
        let edns = Edns::read(1232, 0x8000, &both).unwrap();
        assert!(edns.nsid && edns.dnssec_ok && edns.client_subnet.is_some());
        assert!(Edns::read(1232, 0, &[&subnet[..], &subnet].concat()).is_none(), "two subnets");
        assert!(Edns::read(1232, 0, &[0, 3, 0]).is_none(), "a cut option header");
        assert!(Edns::read(1232, 0, &[0, 3, 0, 1]).is_none(), "an option past the end");
        assert!(Edns::read(512, 0, &nsid.repeat(200)).is_some());
    }
}

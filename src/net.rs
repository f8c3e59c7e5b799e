//! Addresses and networks of clients, in canonical form.
//!
//! An IPv4 address can also be written as an IPv6 address, `::ffff:192.0.2.1` (RFC 4291 section
//! 2.5.5.2). A dual-stack socket, a PROXY header or a configuration file may use either form.
//! Access lists, limits, cookies and steering must not see a difference, so they take the types of
//! this module, which convert the IPv6 form to IPv4.

use std::fmt;
use std::net::{AddrParseError, IpAddr};
use std::str::FromStr;

/// Bits before the IPv4 address in its IPv6 form.
const MAPPED: u8 = 96;

/// The address of a client; never an IPv4 address in IPv6 form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// The address.
    #[inline(always)]
    pub fn ip(self) -> IpAddr {
        self.0
    }
}

impl<A: Into<IpAddr>> From<A> for ClientAddress {
    #[inline]
    fn from(address: A) -> ClientAddress {
        ClientAddress(address.into().to_canonical())
    }
}

impl FromStr for ClientAddress {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<ClientAddress, AddrParseError> {
        text.parse::<IpAddr>().map(ClientAddress::from)
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A network in CIDR form with its host bits zero; never an IPv4 network in IPv6 form.
///
/// A network that is wider than `::ffff:0:0/96`, such as `::/0`, is IPv6 and contains no IPv4
/// address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The network of `prefix` bits around an address; a prefix beyond the address's length means
    /// all of it.
    pub fn around(address: IpAddr, prefix: u8) -> Cidr {
        match (address.to_canonical(), prefix.checked_sub(MAPPED)) {
            (IpAddr::V4(mapped), Some(prefix)) if address.is_ipv6() => {
                Cidr::masked(mapped.into(), prefix)
            }
            _ => Cidr::masked(address, prefix),
        }
    }

    /// The address with the bits after the prefix cleared.
    fn masked(address: IpAddr, prefix: u8) -> Cidr {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.min(bits);
        let kept = u128::MAX.checked_shl(u32::from(bits - prefix)).unwrap_or(0);
        let address = match address {
            IpAddr::V4(address) => IpAddr::V4((address.to_bits() & kept as u32).into()),
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & kept).into()),
        };
        Cidr { address, prefix }
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The prefix length: 0..=32 or 0..=128.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The first and the last address.
    pub fn bounds(&self) -> (IpAddr, IpAddr) {
        let last = match self.address {
            IpAddr::V4(first) => {
                let host = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V4((first.to_bits() | host).into())
            }
            IpAddr::V6(first) => {
                let host = u128::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V6((first.to_bits() | host).into())
            }
        };
        (self.address, last)
    }

    /// Whether the network contains an address.
    pub fn contains(&self, address: ClientAddress) -> bool {
        let (first, last) = self.bounds();
        first.is_ipv4() == address.ip().is_ipv4() && (first..=last).contains(&address.ip())
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> ClientAddress {
        text.parse().unwrap()
    }

    fn network(address: &str, prefix: u8) -> Cidr {
        Cidr::around(address.parse().unwrap(), prefix)
    }

    #[test]
    fn an_address_has_one_spelling() {
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_eq!(client("::ffff:c000:201").to_string(), "192.0.2.1");
        for other in [
            "192.0.2.1",
            "2001:db8::1",
            "::192.0.2.1",
            "64:ff9b::c000:201",
            "::ffff:0:c000:201",
        ] {
            assert_eq!(client(other).ip(), other.parse::<IpAddr>().unwrap());
        }
    }

    #[test]
    fn a_network_has_one_spelling() {
        for (address, prefix, shown) in [
            ("::ffff:192.0.2.0", 120, "192.0.2.0/24"),
            ("::ffff:0.0.0.0", 96, "0.0.0.0/0"),
            ("::ffff:192.0.2.1", 128, "192.0.2.1/32"),
            ("::ffff:192.0.2.1", 95, "::fffe:0:0/95"),
            ("::", 0, "::/0"),
            ("192.0.2.9", 24, "192.0.2.0/24"),
            ("192.0.2.9", 200, "192.0.2.9/32"),
            ("2001:db8::1", 32, "2001:db8::/32"),
        ] {
            assert_eq!(network(address, prefix).to_string(), shown);
        }
    }

    #[test]
    fn a_network_holds_the_clients_of_its_family() {
        let v4 = network("::ffff:192.0.2.0", 120);
        assert!(v4.contains(client("192.0.2.255")) && v4.contains(client("::ffff:192.0.2.7")));
        assert!(!v4.contains(client("192.0.3.0")) && !v4.contains(client("::192.0.2.7")));
        let all = network("::", 0);
        assert!(all.contains(client("2001:db8::1")) && !all.contains(client("::ffff:192.0.2.7")));
    }
}

//! Resolving: the addresses of endpoints that are given as names, looked up in the background and never for a query.
//!
//! [`StubResolver`] asks other servers and keeps what they say under its own TTL; [`NameResolver`] asks it for every configured name
//! again and again, for each family of addresses by itself; [`ResolvedName`] is what is known of one name, the last good
//! addresses among it.

mod ask;
mod known;
mod names;

pub use ask::{FamilyAnswer, LookupResult, ResolverSettings, StubResolver, UpstreamServers};
pub use known::{ResolvedName, ResolverEvent};
pub use names::{KnownNames, NameResolver};

use std::net::{IpAddr, Ipv4Addr};

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IpFamily {
    /// A
    V4 = 0,
    /// AAAA
    V6 = 1,
}

impl IpFamily {
    /// By number.
    pub const ALL: [IpFamily; 2] = [IpFamily::V4, IpFamily::V6];

    /// That of an address.
    pub fn of(address: IpAddr) -> IpFamily {
        if address.is_ipv4() {
            IpFamily::V4
        } else {
            IpFamily::V6
        }
    }

    /// The other one.
    pub fn other(self) -> IpFamily {
        match self {
            IpFamily::V4 => IpFamily::V6,
            IpFamily::V6 => IpFamily::V4,
        }
    }
}

impl std::fmt::Display for IpFamily {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            IpFamily::V4 => "A",
            IpFamily::V6 => "AAAA",
        })
    }
}

/// Whether an address is in loopback, private or link-local space (RFC 1122, 1918, 3927, 4193, 4291): a client elsewhere
/// that is given it reaches a machine of its own.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_private() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

/// Most addresses of one family that are taken of one name.
pub const MOST_ADDRESSES: usize = 16;

/// Whether an address that came from outside can be that of a host: neither unspecified nor a group, neither broadcast nor
/// of 0.0.0.0/8, no IPv4 address in IPv6 form, and none that means something on one link only.
pub fn is_of_a_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.octets()[0] != 0 && !address.is_multicast() && address != Ipv4Addr::BROADCAST
        }
        IpAddr::V6(address) => {
            let is_plain = !address.is_unspecified() && !address.is_multicast();
            is_plain && !address.is_unicast_link_local() && address.to_ipv4_mapped().is_none()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_host_has_are_known() {
        for bad in [
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "ff02::1",
            "fe80::1",
            "::ffff:192.0.2.1",
        ] {
            assert!(!is_of_a_host(bad.parse().unwrap()), "{bad}");
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["172.32.0.1", "192.0.2.1", "100.64.0.1", "2001:db8::1"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
        for good in ["127.0.0.1", "10.0.0.1", "192.0.2.1", "::1", "2001:db8::1"] {
            assert!(is_of_a_host(good.parse().unwrap()), "{good}");
        }
    }
}

//! Endpoint names: resolves the endpoints that are configured by name.
//!
//! Lookups happen in the background and never while a query waits. [`StubResolver`] asks recursive
//! servers and caches their answers. [`NameResolver`] looks up every configured name again when its
//! answer expires, separately for IPv4 and IPv6. [`ResolvedName`] is the result for one name. It
//! keeps the last good addresses while lookups fail.
//!
//! `control` starts the resolver and turns the addresses into endpoints.

mod dsync;
mod name_resolver;
mod parent;
mod resolved_name;
mod stub;

pub use dsync::{NotifyTarget, notify_targets};
pub use name_resolver::{KnownNames, NameResolver};
pub use parent::{DsRecords, ask_parent, look_up_ds};
pub use resolved_name::{ResolvedName, ResolverEvent};
pub use stub::{FamilyAnswer, LookupResult, ResolverSettings, StubResolver, UpstreamServers};

use std::net::{IpAddr, Ipv4Addr};

use crate::dns::Name;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IpFamily {
    /// IPv4: A records.
    V4 = 0,
    /// IPv6: AAAA records.
    V6 = 1,
}

impl IpFamily {
    /// Both families, in the order of their numbers.
    pub const ALL: [IpFamily; 2] = [IpFamily::V4, IpFamily::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> IpFamily {
        if address.is_ipv4() {
            IpFamily::V4
        } else {
            IpFamily::V6
        }
    }

    /// The other family.
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

/// A name and the family to look up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct LookupKey {
    name: Name,
    family: IpFamily,
}

/// Whether an address is loopback, private or link-local (RFC 1122, 1918, 3927, 4193, 4291). A
/// remote client that gets such an address reaches a machine in its own network.
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

/// The most addresses of one family that a name can have. Others are ignored.
pub const MOST_ADDRESSES: usize = 16;

/// Whether an address can belong to a host. Excludes unspecified, multicast and broadcast
/// addresses, 0.0.0.0/8, IPv4-mapped IPv6 addresses, and link-local IPv6 addresses.
pub fn is_of_a_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.octets()[0] != 0 && !address.is_multicast() && address != Ipv4Addr::BROADCAST
        }
        IpAddr::V6(address) => {
            !address.is_unspecified()
                && !address.is_multicast()
                && !address.is_unicast_link_local()
                && address.to_ipv4_mapped().is_none()
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

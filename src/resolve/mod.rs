//! Resolving: the addresses of endpoints that are given as names, looked up in the background and never for a query.
//!
//! [`Resolver`] asks other servers and keeps what they say under its own TTL; [`Names`] asks it for every configured name
//! again and again; [`Resolved`] is what is known of one, the last good addresses among it.

mod ask;
mod known;
mod names;

pub use ask::{Answer, Found, Resolver, Servers, Settings};
pub use known::{News, Resolved};
pub use names::{Known, Names};

use std::net::{IpAddr, Ipv4Addr};

/// Most addresses of one family that are taken of one name.
pub const MOST_ADDRESSES: usize = 16;

/// Whether an address that came from outside can be that of a host: neither unspecified nor a group, neither broadcast nor
/// of 0.0.0.0/8, no IPv4 address in IPv6 form, and none that means something on one link only.
pub fn is_of_a_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[0] != 0 && !address.is_multicast() && address != Ipv4Addr::BROADCAST,
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
        for bad in
            ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "fe80::1", "::ffff:192.0.2.1"]
        {
            assert!(!is_of_a_host(bad.parse().unwrap()), "{bad}");
        }
        for good in ["127.0.0.1", "10.0.0.1", "192.0.2.1", "::1", "2001:db8::1"] {
            assert!(is_of_a_host(good.parse().unwrap()), "{good}");
        }
    }
}

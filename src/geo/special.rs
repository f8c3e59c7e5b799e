//! Address space without a location: private and special-purpose networks.
//!
//! The lists follow the IANA registries of special-purpose IPv4 and IPv6 addresses (RFC 6890,
//! RFC 8190) and the multicast registries. Such an address has a location only if the configuration
//! or a database states one. IPv6 forms that carry an IPv4 address are listed apart. They are
//! translated before any look-up, so a database's entries for them do not count, and no ECS scope
//! may extend into them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks that have no location unless the configuration or a database states one.
pub const SPECIAL_PURPOSE: &[(IpAddr, u8)] = &[
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128),
    // Translation inside one network (RFC 8215).
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
    // Benchmarking (RFC 5180) and the two generations of ORCHID, which are no addresses at all.
    v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48),
    v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28),
    v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    // Documentation, too (RFC 9637), and identifiers of segment routing (RFC 9602).
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

/// IPv6 networks that carry IPv4: mapped (RFC 4291), translated (RFC 6052), Teredo (RFC 4380), 6to4
/// (RFC 3056). Databases often repeat all of IPv4 in each of them.
pub const CARRIERS_OF_IPV4: &[(IpAddr, u8)] = &[
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
];

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> (IpAddr, u8) {
    (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], length: u8) -> (IpAddr, u8) {
    (IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), length)
}

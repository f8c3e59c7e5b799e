//! The address that a client is looked up by, and the scope of an answer for it.
//!
//! A client is looked up by its client subnet (RFC 7871) if the service uses one, else by the
//! query's source address. An IPv6 address that carries an IPv4 address is looked up as IPv4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::dns::ClientSubnet;
use crate::geo::catchment::UNROUTABLE;
use crate::geo::{FoundBlock, OutcomeTable};
use crate::net::ClientAddress;
use crate::steering::ClientHash;
use crate::steering::pick::{STABLE_PREFIX_V4, STABLE_PREFIX_V6};

/// An address as it is looked up: IPv4 where an IPv6 form carries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupAddress {
    /// IPv4.
    V4 {
        /// The address.
        bits: u32,
        /// Bits before it in its IPv6 form; 0 for a plain address.
        before: u8,
    },
    /// IPv6 that carries no IPv4.
    V6(u128),
}

impl LookupAddress {
    /// The address of a client, read out of an IPv6 address that carries one: mapped (RFC 4291
    /// section 2.5.5.2), the well-known translation prefix (RFC 6052 section 2.1), 6to4 (RFC 3056
    /// section 2), and Teredo (RFC 4380 section 4: the client's address stands last, inverted).
    #[inline(always)]
    pub fn of(address: ClientAddress) -> LookupAddress {
        LookupAddress::of_any(address.ip())
    }

    /// The address of a client subnet; `None` when its prefix is 0. A scope counts the bits that
    /// the resolver sent, so an IPv4 subnet in IPv6 form keeps the number of bits before it.
    #[inline(always)]
    pub fn of_subnet(subnet: &ClientSubnet) -> Option<LookupAddress> {
        subnet.address().map(LookupAddress::of_any)
    }

    #[inline(always)]
    fn of_any(address: IpAddr) -> LookupAddress {
        match address {
            IpAddr::V4(v4) => LookupAddress::V4 {
                bits: v4.to_bits(),
                before: 0,
            },
            IpAddr::V6(v6) => LookupAddress::of_v6(v6.to_bits()),
        }
    }

    fn of_v6(bits: u128) -> LookupAddress {
        match (bits >> 96) as u32 {
            0x2001_0000 => LookupAddress::V4 {
                bits: !(bits as u32),
                before: 96,
            },
            _ if bits >> 32 == 0xffff || bits >> 32 == 0x0064_ff9b << 64 => LookupAddress::V4 {
                bits: bits as u32,
                before: 96,
            },
            _ if bits >> 112 == 0x2002 => LookupAddress::V4 {
                bits: (bits >> 80) as u32,
                before: 16,
            },
            _ => LookupAddress::V6(bits),
        }
    }

    /// The address.
    pub fn address(&self) -> IpAddr {
        match *self {
            LookupAddress::V4 { bits, .. } => Ipv4Addr::from_bits(bits).into(),
            LookupAddress::V6(bits) => Ipv6Addr::from_bits(bits).into(),
        }
    }

    /// Bits before the address that is looked up.
    #[inline(always)]
    fn before(&self) -> u8 {
        if let LookupAddress::V4 { before, .. } = *self {
            before
        } else {
            0
        }
    }

    /// The scope of an answer that depends on the client's stable prefix alone.
    #[inline(always)]
    #[expect(clippy::arithmetic_side_effects, reason = "96 bits and 32 at most")]
    fn stable_scope(&self) -> u8 {
        self.before()
            + if let LookupAddress::V4 { .. } = self {
                STABLE_PREFIX_V4
            } else {
                STABLE_PREFIX_V6
            }
    }

    #[inline(always)]
    fn find_in(&self, table: &OutcomeTable) -> FoundBlock {
        match *self {
            LookupAddress::V4 { bits, .. } => table.find_v4(bits),
            LookupAddress::V6(bits) => table.find_v6(bits),
        }
    }

    #[inline(always)]
    fn client(&self) -> ClientHash {
        match *self {
            LookupAddress::V4 { bits, .. } => ClientHash::at_v4(bits),
            LookupAddress::V6(bits) => ClientHash::at_v6(bits),
        }
    }
}

/// A client found in a table.
#[derive(Debug, Clone, Copy)]
pub struct LocatedClient {
    /// The table's value.
    pub value: u32,
    /// Decides shares and sticky picks.
    pub client: ClientHash,
    /// It was looked up by its subnet, not by the query's source address.
    pub by_subnet: bool,
    /// SCOPE PREFIX-LENGTH of an answer that depends on the value alone. Wider than it needs to be,
    /// so that the compiler keeps each field in a register instead of packing them into one.
    scope: u32,
    stable_scope: u32,
}

impl LocatedClient {
    /// Looks a client up by its subnet, or by the query's source address if there is no subnet or
    /// it is private or special-purpose space.
    ///
    /// The scope is the block around the subnet in both cases. So a client in private space shares
    /// its answer with that private block, not with the public space around it.
    #[inline(always)]
    #[expect(clippy::arithmetic_side_effects, reason = "96 bits and 32 at most")]
    pub fn find(
        table: &OutcomeTable,
        source: ClientAddress,
        subnet: Option<&ClientSubnet>,
    ) -> LocatedClient {
        let Some(seen) = subnet.and_then(LookupAddress::of_subnet) else {
            let seen = LookupAddress::of(source);
            return LocatedClient::new(seen, seen.find_in(table), 0, 0, false);
        };
        let found = seen.find_in(table);
        // A scope of 0 is one answer for all clients, whatever the form of their addresses.
        let scope = if found.scope == 0 {
            0
        } else {
            found.scope + seen.before()
        };
        if found.value == UNROUTABLE {
            let (value, client) = by_source(table, source);
            return LocatedClient {
                value,
                client,
                by_subnet: false,
                scope: scope.into(),
                stable_scope: scope.into(),
            };
        }
        LocatedClient::new(seen, found, scope, seen.stable_scope(), true)
    }

    #[inline(always)]
    fn new(
        seen: LookupAddress,
        found: FoundBlock,
        scope: u8,
        stable_scope: u8,
        by_subnet: bool,
    ) -> LocatedClient {
        LocatedClient {
            value: found.value,
            client: seen.client(),
            by_subnet,
            scope: scope.into(),
            stable_scope: stable_scope.into(),
        }
    }

    /// The address that was looked up, for a client that was found by this source and subnet.
    pub fn address(&self, source: ClientAddress, subnet: Option<&ClientSubnet>) -> IpAddr {
        let by_subnet = subnet.filter(|_| self.by_subnet);
        let seen = by_subnet.and_then(LookupAddress::of_subnet);
        seen.unwrap_or_else(|| LookupAddress::of(source)).address()
    }

    /// SCOPE PREFIX-LENGTH (RFC 7871 section 7.2.1); `stable`: the answer also depends on the
    /// client's stable prefix.
    #[inline]
    pub fn scope(&self, stable: bool) -> u8 {
        let scope = if stable {
            self.scope.max(self.stable_scope)
        } else {
            self.scope
        };
        scope as u8
    }
}

/// Looks up the source address of a query whose subnet has no place; the scope is still the
/// subnet's.
#[cold]
fn by_source(table: &OutcomeTable, source: ClientAddress) -> (u32, ClientHash) {
    let source = LookupAddress::of(source);
    (source.find_in(table).value, source.client())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_forms_of_ipv4_are_ipv4() {
        // A source is IPv4 however its socket spells it; a subnet keeps the bits that were sent
        // before it.
        let source = LookupAddress::of("::ffff:203.0.113.7".parse().unwrap());
        assert_eq!(
            (source.address().to_string().as_str(), source.before()),
            ("203.0.113.7", 0)
        );
        let subnet = ClientSubnet::around("::ffff:203.0.113.7".parse().unwrap(), 128);
        let subnet = LookupAddress::of_subnet(&subnet).unwrap();
        assert_eq!(
            (subnet.address().to_string().as_str(), subnet.before()),
            ("203.0.113.7", 96)
        );
        for (form, before) in [
            ("203.0.113.7", 0),
            ("64:ff9b::203.0.113.7", 96),
            ("2002:cb00:7107::1", 16),
            ("2001:0:4136:e378:8000:63bf:34ff:8ef8", 96),
        ] {
            let seen = LookupAddress::of(form.parse().unwrap());
            assert_eq!(
                (seen.address().to_string().as_str(), seen.before()),
                ("203.0.113.7", before),
                "{form}"
            );
        }
        for form in ["2001:db8::1", "::1", "64:ff9b:1::203.0.113.7", "2003::1"] {
            assert_eq!(
                LookupAddress::of(form.parse().unwrap())
                    .address()
                    .to_string(),
                form.parse::<IpAddr>().unwrap().to_string()
            );
        }
    }
}

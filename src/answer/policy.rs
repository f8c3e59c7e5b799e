//! What the operator configures about queries in general: access rules, rate limits, cookies, and
//! what the server says about itself.
//!
//! A [`ServerPolicy`] is made from the configuration and published with the rest of a snapshot.
//! Access rules and rate limits are checked before a query is parsed, so that a flood costs little.

use std::net::IpAddr;

use crate::catalog::{CatalogZone, ZoneId};
use crate::config::{Cidr, Config, RateLimitConfig, ZoneAccessConfig};
use crate::dns::UDP_PAYLOAD;
use crate::dns::cookie::CookieSecrets;
use crate::net::ClientAddress;

/// The policy of a server, compiled for queries.
#[derive(Debug, Clone)]
pub struct ServerPolicy {
    /// The answer to NSID (RFC 5001), at most 255 octets.
    pub nsid: Option<Box<[u8]>>,
    /// The secrets of server cookies; `None`: cookies are off.
    pub cookies: Option<CookieSecrets>,
    /// The text of `id.server.` in class CHAOS (RFC 4892), at most 255 octets.
    pub chaos_id: Option<Box<[u8]>>,
    /// The text of `version.bind.`, at most 255 octets.
    pub chaos_version: Option<Box<[u8]>>,
    /// The longest UDP reply to a client without a valid cookie, 512 to 1232 octets.
    pub unverified_payload: u16,
    /// How long an idle TCP connection is kept, in tenths of a second (RFC 7828).
    pub keepalive: u16,
    /// Which clients are answered.
    pub access: AccessRule,
    /// How often one network is answered; `None`: without limit.
    pub limits: Option<RateLimits>,
    /// The proxies whose PROXY headers count; `None`: there are none.
    pub fronts: Option<NetworkSet>,
    /// A query whose seed has none of these bits adds its client to the traffic sample. The number
    /// of bits sets the rate: with five bits, one query in 32.
    pub sample_mask: u64,
    /// Which clients may ask for which zone; `None`: every client for every zone.
    pub zones: Option<ZoneAccess>,
}

/// The access rule of each zone.
#[derive(Debug, Clone)]
pub struct ZoneAccess(Box<[AccessRule]>);

impl ZoneAccess {
    /// Compiles the rules of a configuration; `None` if it has none.
    ///
    /// # Errors
    /// The rules of zones that do not exist.
    pub fn of<'c>(
        rules: &'c [ZoneAccessConfig],
        zones: &[CatalogZone],
    ) -> Result<Option<ZoneAccess>, Vec<&'c ZoneAccessConfig>> {
        let mut access = vec![AccessRule::default(); zones.len()];
        let mut unknown = Vec::new();
        for rule in rules {
            let position = zones.iter().position(|zone| zone.origin == rule.zone);
            match position.and_then(|position| access.get_mut(position)) {
                Some(place) => *place = AccessRule::of(&rule.allow, &rule.deny, &[]),
                None => unknown.push(rule),
            }
        }
        if !unknown.is_empty() {
            Err(unknown)
        } else if rules.is_empty() {
            Ok(None)
        } else {
            Ok(Some(ZoneAccess(access.into())))
        }
    }

    /// Whether this client may ask for names of this zone.
    pub fn admits(&self, zone: ZoneId, client: ClientAddress) -> bool {
        match self.0.get(zone.0 as usize) {
            Some(access) => access.admit(client) == Admission::Serve,
            None => true,
        }
    }
}

/// The load of one answer.
pub const ANSWER: u32 = 16;
/// Beats in a second.
const BEATS: f64 = 10.0;

/// How often one network is answered over UDP.
///
/// Each answer adds to the load of its network, and the load decays with every beat (a tenth of a
/// second). A network whose load is at the maximum is limited.
#[derive(Debug, Clone)]
pub struct RateLimits {
    /// The configured rate and burst, and what happens above them.
    pub rates: RateLimitConfig,
    /// Networks without a limit.
    pub exempt: NetworkSet,
    /// The maximum load of one address.
    pub most: u32,
    /// The part of a load that is left after 1, 2, 4, 8 and so on beats, in units of 1/2^32.
    decay: [u32; 16],
}

impl RateLimits {
    /// The decay per beat is the part of the maximum load that the configured rate adds in a beat.
    /// So a client that never stops asking is answered at that rate.
    pub fn of(rates: &RateLimitConfig) -> RateLimits {
        let burst = f64::from(rates.burst.max(rates.rate).max(1));
        let left_after_beat = 1.0 - f64::from(rates.rate) / BEATS / burst;
        RateLimits {
            rates: rates.clone(),
            exempt: NetworkSet::of(&rates.exempt),
            most: rates.burst.saturating_mul(ANSWER),
            decay: std::array::from_fn(|power| {
                (left_after_beat.powi(1 << power) * 4_294_967_296.0) as u32
            }),
        }
    }

    /// The part of a load that is left after so many beats.
    #[inline]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "the product of two 32-bit numbers fits into 64 bits"
    )]
    pub fn decayed(&self, load: u32, beats: u16) -> u32 {
        if beats == 0 {
            return load;
        }
        let mut left = load;
        for (power, part) in self.decay.iter().enumerate() {
            if beats >> power & 1 == 1 {
                left = ((u64::from(left) * u64::from(*part)) >> 32) as u32;
            }
        }
        left
    }
}

impl Default for ServerPolicy {
    /// Every client is answered without limit, and the server says nothing about itself.
    fn default() -> ServerPolicy {
        ServerPolicy {
            nsid: None,
            cookies: None,
            chaos_id: None,
            chaos_version: None,
            unverified_payload: UDP_PAYLOAD,
            sample_mask: u64::MAX,
            keepalive: 100,
            access: AccessRule::default(),
            limits: None,
            fronts: None,
            zones: None,
        }
    }
}

impl ServerPolicy {
    /// The policy of a configuration. `cookies` come from their own file, `zones` are compiled with
    /// the catalog.
    pub fn of(
        config: &Config,
        cookies: Option<CookieSecrets>,
        zones: Option<ZoneAccess>,
    ) -> ServerPolicy {
        let server = &config.server;
        let sample_mask = match &config.traffic_sample {
            Some(sample) => u64::from(sample.one_in).saturating_sub(1),
            None => u64::MAX,
        };
        let fronts = if server.proxy_from.is_empty() {
            None
        } else {
            Some(NetworkSet::of(&server.proxy_from))
        };
        ServerPolicy {
            nsid: octets_of(&server.nsid),
            cookies,
            chaos_id: octets_of(&server.chaos_id),
            chaos_version: octets_of(&server.chaos_version),
            unverified_payload: server.max_nocookie_response.unwrap_or(UDP_PAYLOAD),
            sample_mask,
            keepalive: u16::try_from(server.tcp_idle.as_millis() / 100).unwrap_or(u16::MAX),
            access: AccessRule::of(&server.allow, &server.deny, &server.drop),
            limits: config.limits.as_ref().map(RateLimits::of),
            fronts,
            zones,
        }
    }

    /// The limits that apply to this client; `None`: it has none.
    #[inline]
    pub fn limits_of(&self, client: ClientAddress) -> Option<&RateLimits> {
        self.limits
            .as_ref()
            .filter(|limits| !limits.exempt.contains(client))
    }
}

fn octets_of(text: &Option<String>) -> Option<Box<[u8]>> {
    text.as_ref().map(|text| text.as_bytes().into())
}

/// What access rules decide for a client, before its query is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Answer its queries.
    Serve,
    /// Answer REFUSED.
    Refuse,
    /// Send nothing.
    Ignore,
}

/// Which clients are answered.
#[derive(Debug, Clone, Default)]
pub struct AccessRule {
    /// One of the lists below is not empty.
    restricted: bool,
    /// `None`: every client.
    allow: Option<NetworkSet>,
    deny: NetworkSet,
    drop: NetworkSet,
}

impl AccessRule {
    /// An empty `allow` allows every client that is in neither of the other lists.
    pub fn of(allow: &[Cidr], deny: &[Cidr], drop: &[Cidr]) -> AccessRule {
        let restricted = !(allow.is_empty() && deny.is_empty() && drop.is_empty());
        let allow = if allow.is_empty() {
            None
        } else {
            Some(NetworkSet::of(allow))
        };
        AccessRule {
            restricted,
            allow,
            deny: NetworkSet::of(deny),
            drop: NetworkSet::of(drop),
        }
    }

    /// What the lists decide for a client: drop comes before deny, and deny before allow.
    #[inline]
    pub fn admit(&self, client: ClientAddress) -> Admission {
        if self.restricted {
            self.admit_by_lists(client)
        } else {
            Admission::Serve
        }
    }

    #[inline(never)]
    fn admit_by_lists(&self, client: ClientAddress) -> Admission {
        if self.drop.contains(client) {
            return Admission::Ignore;
        }
        let allowed = self
            .allow
            .as_ref()
            .is_none_or(|allow| allow.contains(client));
        if allowed && !self.deny.contains(client) {
            Admission::Serve
        } else {
            Admission::Refuse
        }
    }
}

/// A set of addresses, as sorted ranges that do not overlap.
#[derive(Debug, Clone, Default)]
pub struct NetworkSet {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl NetworkSet {
    /// The union of these networks.
    pub fn of(networks: &[Cidr]) -> NetworkSet {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network.bounds() {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.to_bits(), last.to_bits())),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((first.to_bits(), last.to_bits())),
                _ => {}
            }
        }
        NetworkSet {
            v4: without_nested(v4),
            v6: without_nested(v6),
        }
    }

    /// Whether an address is in the set.
    #[inline]
    pub fn contains(&self, address: ClientAddress) -> bool {
        match address.ip() {
            IpAddr::V4(address) => lies_in(&self.v4, address.to_bits()),
            IpAddr::V6(address) => lies_in(&self.v6, address.to_bits()),
        }
    }
}

/// Sorts ranges and removes those inside others. Two networks are nested or apart, so the rest do
/// not overlap.
fn without_nested<T: Copy + Ord>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_by(|(a, a_end), (b, b_end)| a.cmp(b).then(b_end.cmp(a_end)));
    let mut kept: Vec<(T, T)> = Vec::new();
    for (first, last) in ranges {
        if kept.last().is_none_or(|&(_, end)| end < last) {
            kept.push((first, last));
        }
    }
    kept.into()
}

#[inline]
fn lies_in<T: Copy + Ord>(ranges: &[(T, T)], address: T) -> bool {
    let behind = ranges.partition_point(|&(first, _)| first <= address);
    behind
        .checked_sub(1)
        .and_then(|at| ranges.get(at))
        .is_some_and(|&(_, last)| address <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Cidr> {
        let network = |text: &&str| {
            let (address, prefix) = text.split_once('/').unwrap();
            Cidr::around(address.parse().unwrap(), prefix.parse().unwrap())
        };
        texts.iter().map(network).collect()
    }

    #[test]
    fn a_set_holds_what_its_networks_hold() {
        let set = NetworkSet::of(&networks(&[
            "192.0.2.0/24",
            "10.0.0.0/8",
            "192.0.2.128/25",
            "2001:db8::/32",
            "::1/128",
        ]));
        for inside in [
            "192.0.2.0",
            "192.0.2.127",
            "192.0.2.255",
            "10.255.255.255",
            "2001:db8:ffff::1",
            "::1",
        ] {
            assert!(set.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "192.0.1.255",
            "192.0.3.0",
            "9.255.255.255",
            "11.0.0.0",
            "2001:db9::",
            "::",
            "::2",
        ] {
            assert!(!set.contains(outside.parse().unwrap()), "{outside}");
        }
        let mapped = NetworkSet::of(&networks(&["::ffff:192.0.2.0/120"]));
        assert!(
            mapped.contains("192.0.2.7".parse().unwrap())
                && mapped.contains("::ffff:192.0.2.7".parse().unwrap())
        );
        assert!(
            NetworkSet::of(&networks(&["0.0.0.0/0"])).contains("255.255.255.255".parse().unwrap())
        );
        assert!(!NetworkSet::default().contains("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn drop_comes_before_deny_and_deny_before_allow() {
        let access = AccessRule::of(
            &networks(&["192.0.2.0/24"]),
            &networks(&["192.0.2.128/25"]),
            &networks(&["192.0.2.192/26", "203.0.113.0/24"]),
        );
        let admit = |address: &str| access.admit(address.parse().unwrap());
        assert_eq!(admit("192.0.2.1"), Admission::Serve);
        assert_eq!(admit("192.0.2.129"), Admission::Refuse);
        assert_eq!(admit("198.51.100.1"), Admission::Refuse);
        assert_eq!(
            (admit("192.0.2.200"), admit("203.0.113.1")),
            (Admission::Ignore, Admission::Ignore)
        );
        assert_eq!(
            AccessRule::default().admit("192.0.2.1".parse().unwrap()),
            Admission::Serve
        );
    }
}

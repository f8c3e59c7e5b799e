//! What the operator allows: who is answered and how often, what an unproven address gets, what the server says of
//! itself. Made from the configuration, and swapped with the rest.

use std::net::IpAddr;

use crate::catalog::{CatalogZone, ZoneId};
use crate::config::{self, Cidr, Config, RateLimitConfig};
use crate::dns::UDP_PAYLOAD;
use crate::dns::cookie::CookieSecrets;
use crate::net::ClientAddress;

/// What is allowed, ready to be asked.
#[derive(Debug, Clone)]
pub struct ServerPolicy {
    /// What NSID answers (RFC 5001), at most 255 octets.
    pub nsid: Option<Box<[u8]>>,
    /// What server cookies are made with; `None`: cookies are off.
    pub cookies: Option<CookieSecrets>,
    /// What `id.server.` is in class CHAOS (RFC 4892), at most 255 octets.
    pub chaos_id: Option<Box<[u8]>>,
    /// What `version.bind.` is there, at most 255 octets.
    pub chaos_version: Option<Box<[u8]>>,
    /// Longest reply over UDP to an address that no cookie vouches for, 512 to 1232 octets.
    pub unverified_payload: u16,
    /// How long an idle TCP connection is kept, in tenths of a second (RFC 7828).
    pub keepalive: u16,
    /// Who is answered.
    pub access: AccessRule,
    /// How often one network is answered; `None`: as often as it asks.
    pub limits: Option<RateLimits>,
    /// Fronts that say who the client is; `None`: there are none.
    pub fronts: Option<NetworkSet>,
    /// The clients of queries whose seed has none of these bits are noted in the World's sample: one of a power of two of them.
    pub passed_over: u64,
    /// Who may ask for which zone; `None`: whoever may ask may ask for each.
    pub zones: Option<ZoneAccess>,
}

/// Who may ask for which zone.
#[derive(Debug, Clone)]
pub struct ZoneAccess(Box<[AccessRule]>);

impl ZoneAccess {
    /// `None` where nothing is stated.
    ///
    /// # Errors
    /// What is stated of zones that are not there.
    pub fn of<'c>(
        stated: &'c [config::ZoneAccessConfig],
        zones: &[CatalogZone],
    ) -> Result<Option<ZoneAccess>, Vec<&'c config::ZoneAccessConfig>> {
        let at = |stated: &config::ZoneAccessConfig| {
            zones.iter().position(|zone| zone.origin == stated.zone)
        };
        let unknown: Vec<_> = stated
            .iter()
            .filter(|stated| at(stated).is_none())
            .collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let mut access = vec![AccessRule::default(); zones.len()];
        for (stated, place) in stated
            .iter()
            .filter_map(|stated| Some((stated, at(stated)?)))
        {
            access
                .get_mut(place)
                .into_iter()
                .for_each(|it| *it = AccessRule::of(&stated.allow, &stated.deny, &[]));
        }
        Ok((!stated.is_empty()).then_some(ZoneAccess(access.into())))
    }

    /// Whether this client may ask for names of this zone.
    pub fn admits(&self, zone: ZoneId, client: ClientAddress) -> bool {
        self.0
            .get(zone.0 as usize)
            .is_none_or(|access| access.admit(client) == Admission::Serve)
    }
}

/// Load of one answer.
pub const ANSWER: u32 = 16;
/// Beats in a second.
const BEATS: f64 = 10.0;

/// How often one network is answered over UDP.
#[derive(Debug, Clone)]
pub struct RateLimits {
    /// Rate, burst, and what becomes of the rest.
    pub rates: RateLimitConfig,
    /// Who is answered as often as he asks.
    pub exempt: NetworkSet,
    /// Most load of one address.
    pub most: u32,
    /// What is left of a load after 1, 2, 4, 8 and so on beats, in parts of 2^32.
    decay: [u32; 16],
}

impl RateLimits {
    /// A load at its most falls by the rate: whoever asks all the time is answered that often.
    pub fn of(rates: &RateLimitConfig) -> RateLimits {
        let beat =
            1.0 - f64::from(rates.rate) / BEATS / f64::from(rates.burst.max(rates.rate).max(1));
        let decay = std::array::from_fn(|power| (beat.powi(1 << power) * 4_294_967_296.0) as u32);
        let most = rates.burst.saturating_mul(ANSWER);
        RateLimits {
            rates: rates.clone(),
            exempt: NetworkSet::of(&rates.exempt),
            most,
            decay,
        }
    }

    /// What is left of a load after so many beats (tenths of a second).
    #[inline]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "two numbers of 32 bits in 64"
    )]
    pub fn decayed(&self, load: u32, beats: u16) -> u32 {
        if beats == 0 {
            return load;
        }
        let passed = self
            .decay
            .iter()
            .enumerate()
            .filter(|(power, _)| beats >> power & 1 == 1);
        passed.fold(load, |load, (_, part)| {
            ((u64::from(load) * u64::from(*part)) >> 32) as u32
        })
    }
}

impl Default for ServerPolicy {
    /// Everybody is answered as often as he asks, and nothing is told.
    fn default() -> ServerPolicy {
        ServerPolicy {
            nsid: None,
            cookies: None,
            chaos_id: None,
            chaos_version: None,
            unverified_payload: UDP_PAYLOAD,
            passed_over: u64::MAX,
            keepalive: 100,
            access: AccessRule::default(),
            limits: None,
            fronts: None,
            zones: None,
        }
    }
}

impl ServerPolicy {
    /// The policy of a configuration. `cookies` are read from elsewhere, `zones` are compiled beside the World.
    pub fn of(
        config: &Config,
        cookies: Option<CookieSecrets>,
        zones: Option<ZoneAccess>,
    ) -> ServerPolicy {
        let text = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().into());
        let server = &config.server;
        ServerPolicy {
            nsid: text(&server.nsid),
            cookies,
            chaos_id: text(&server.chaos_id),
            chaos_version: text(&server.chaos_version),
            unverified_payload: server.max_nocookie_response.unwrap_or(UDP_PAYLOAD),
            passed_over: config.traffic_sample.map_or(u64::MAX, |sample| {
                u64::from(sample.one_in).saturating_sub(1)
            }),
            keepalive: u16::try_from(server.tcp_idle.as_millis() / 100).unwrap_or(u16::MAX),
            access: AccessRule::of(&server.allow, &server.deny, &server.drop),
            limits: config.limits.as_ref().map(RateLimits::of),
            fronts: Some(&server.proxy_from[..])
                .filter(|fronts| !fronts.is_empty())
                .map(NetworkSet::of),
            zones,
        }
    }

    /// How often this client's network is answered; `None`: as often as it asks.
    #[inline]
    pub fn limits_of(&self, client: ClientAddress) -> Option<&RateLimits> {
        self.limits
            .as_ref()
            .filter(|limits| !limits.exempt.contains(client))
    }
}

/// What becomes of a client before anybody looks at what it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is answered.
    Serve,
    /// It is told that it may not ask.
    Refuse,
    /// It hears nothing.
    Ignore,
}

/// Who is answered.
#[derive(Debug, Clone, Default)]
pub struct AccessRule {
    /// Something is said below.
    restricted: bool,
    /// `None`: everybody.
    allow: Option<NetworkSet>,
    deny: NetworkSet,
    drop: NetworkSet,
}

impl AccessRule {
    /// `allow` empty: everybody who is in none of the others.
    pub fn of(allow: &[Cidr], deny: &[Cidr], drop: &[Cidr]) -> AccessRule {
        let restricted = !(allow.is_empty() && deny.is_empty() && drop.is_empty());
        let some = Some(allow).filter(|allow| !allow.is_empty());
        AccessRule {
            restricted,
            allow: some.map(NetworkSet::of),
            deny: NetworkSet::of(deny),
            drop: NetworkSet::of(drop),
        }
    }

    /// What becomes of a client.
    #[inline]
    pub fn admit(&self, client: ClientAddress) -> Admission {
        if self.restricted {
            self.judge(client)
        } else {
            Admission::Serve
        }
    }

    #[inline(never)]
    fn judge(&self, client: ClientAddress) -> Admission {
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

/// A set of addresses: ranges in order that do not touch.
#[derive(Debug, Clone, Default)]
pub struct NetworkSet {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl NetworkSet {
    /// Everything that lies in one of these.
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
            v4: merged(v4),
            v6: merged(v6),
        }
    }

    /// Whether an address lies in it.
    #[inline]
    pub fn contains(&self, address: ClientAddress) -> bool {
        match address.ip() {
            IpAddr::V4(address) => lies_in(&self.v4, address.to_bits()),
            IpAddr::V6(address) => lies_in(&self.v6, address.to_bits()),
        }
    }
}

/// Networks lie in one another or apart, so what is left after those inside others is in order and apart.
fn merged<T: Copy + Ord>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
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

//! A sample of who asks for which service: real clients for foresight to count. Off unless it is asked for, and bounded: the
//! latest stay, and of a client no more than a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::{HashMap, HashMapExt};

use super::ServiceId;
use crate::config::{Cidr, TrafficSample};

/// How many are kept.
const PLACES: usize = 16_384;
/// A place that is taken. Below it stand the service in 17 bits, whether the client has IPv6, and its network in 45.
const TAKEN: u64 = 1 << 63;
const SERVICE: u32 = 46;
const IS_V6: u64 = 1 << 45;
const NETWORK: u64 = IS_V6 - 1;
/// What global unicast addresses of IPv6 start with (RFC 4291 section 2.4), in the upper 48 bits.
const GLOBAL: u64 = 0b001 << 45;

/// Who asked lately.
#[derive(Debug, Default)]
pub struct ClientSample {
    rules: Option<TrafficSample>,
    /// Empty where nobody is noted.
    places: Box<[AtomicU64]>,
    next: AtomicUsize,
}

/// A network that asked for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampledNetwork {
    /// What it asked for.
    pub service: ServiceId,
    /// The client's address, and zeros behind the network's prefix.
    pub client: IpAddr,
}

impl ClientSample {
    /// Nobody yet.
    pub fn new(rules: Option<TrafficSample>) -> ClientSample {
        let places = if rules.is_some() { PLACES } else { 0 };
        ClientSample {
            rules,
            places: (0..places).map(|_| AtomicU64::new(0)).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// How queries are sampled; `None`: they are not.
    pub fn rules(&self) -> Option<TrafficSample> {
        self.rules
    }

    /// Notes one client instead of the oldest, from any thread. A private or special address of IPv6 is nobody.
    #[cold]
    pub fn note(&self, service: ServiceId, client: IpAddr) {
        let Some(packed) = self.rules.and_then(|rules| pack(rules, service, client)) else {
            return;
        };
        let at = self.next.fetch_add(1, Ordering::Relaxed) % PLACES;
        if let Some(place) = self.places.get(at) {
            place.store(packed, Ordering::Relaxed);
        }
    }

    /// Who is noted, and how often.
    pub fn noted(&self) -> Vec<(SampledNetwork, u64)> {
        let mut counts: HashMap<SampledNetwork, u64> = HashMap::new();
        for noted in self.latest() {
            *counts.entry(noted).or_default() += 1;
        }
        let mut counts: Vec<(SampledNetwork, u64)> = counts.into_iter().collect();
        counts.sort_unstable();
        counts
    }

    /// Takes over what another sample has noted, of services that are still there under this or that number.
    pub fn go_on_from(
        &self,
        before: &ClientSample,
        successor: impl Fn(ServiceId) -> Option<ServiceId>,
    ) {
        for SampledNetwork { service, client } in before.latest() {
            successor(service)
                .into_iter()
                .for_each(|service| self.note(service, client));
        }
    }

    /// From the oldest on, roughly.
    fn latest(&self) -> impl Iterator<Item = SampledNetwork> + '_ {
        let oldest = self.next.load(Ordering::Relaxed) % PLACES;
        let (newer, older) = self.places.split_at(oldest.min(self.places.len()));
        older
            .iter()
            .chain(newer)
            .filter_map(|place| unpack(place.load(Ordering::Relaxed)))
    }
}

fn pack(rules: TrafficSample, service: ServiceId, client: IpAddr) -> Option<u64> {
    let network = match client {
        IpAddr::V4(address) => {
            u64::from(address.to_bits() & u32::MAX << (32 - rules.ipv4_prefix.clamp(1, 24)))
        }
        IpAddr::V6(address) => {
            let upper = (address.to_bits() >> 80) as u64;
            let kept = upper & u64::MAX << (48 - rules.ipv6_prefix.clamp(1, 48));
            (upper & !NETWORK == GLOBAL).then_some(IS_V6 | kept & NETWORK)?
        }
    };
    Some(TAKEN | u64::from(service.0) << SERVICE | network)
}

fn unpack(packed: u64) -> Option<SampledNetwork> {
    let network = packed & NETWORK;
    let client = match packed & IS_V6 {
        0 => Ipv4Addr::from_bits(network as u32).into(),
        _ => Ipv6Addr::from_bits(u128::from(GLOBAL | network) << 80).into(),
    };
    (packed & TAKEN != 0).then_some(SampledNetwork {
        service: ServiceId(((packed & !TAKEN) >> SERVICE) as u32),
        client,
    })
}

impl SampledNetwork {
    /// The network.
    pub fn network(&self, rules: TrafficSample) -> Cidr {
        let prefix = if self.client.is_ipv4() {
            rules.ipv4_prefix
        } else {
            rules.ipv6_prefix
        };
        Cidr::around(self.client, prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: TrafficSample = TrafficSample {
        one_in: 1,
        ipv4_prefix: 24,
        ipv6_prefix: 48,
    };

    fn texts(sample: &ClientSample) -> Vec<String> {
        let text = |(noted, count): (SampledNetwork, u64)| {
            format!("{} {} {count}", noted.service.0, noted.client)
        };
        sample.noted().into_iter().map(text).collect()
    }

    fn note(sample: &ClientSample, service: u32, client: &str) {
        sample.note(ServiceId(service), client.parse().unwrap());
    }

    #[test]
    fn networks_are_counted_by_service() {
        let sample = ClientSample::new(Some(RULES));
        for client in [
            "203.0.113.7",
            "203.0.113.99",
            "2a02:1234:5678:9abc::1",
            "fd00::1",
            "fe80::1",
            "3fff:ffff:ffff::1",
        ] {
            note(&sample, 131_071, client);
        }
        note(&sample, 0, "255.255.255.255");
        let seen = [
            "0 255.255.255.0 1",
            "131071 203.0.113.0 2",
            "131071 2a02:1234:5678:: 1",
            "131071 3fff:ffff:ffff:: 1",
        ];
        assert_eq!(texts(&sample), seen);
        let coarse = ClientSample::new(Some(TrafficSample {
            one_in: 64,
            ipv4_prefix: 8,
            ipv6_prefix: 16,
        }));
        coarse.go_on_from(&sample, |service| service.0.checked_sub(1).map(ServiceId));
        assert_eq!(
            texts(&coarse),
            ["131070 203.0.0.0 2", "131070 2a02:: 1", "131070 3fff:: 1"]
        );
    }

    #[test]
    fn the_latest_stay() {
        let sample = ClientSample::new(Some(RULES));
        for at in 0..PLACES as u32 + 100 {
            sample.note(ServiceId(at), Ipv4Addr::from_bits(at << 8).into());
        }
        let noted = sample.noted();
        assert_eq!(
            (noted.len(), noted[0].0.service.0, noted[0].1),
            (PLACES, 100, 1)
        );
        let next = ClientSample::new(Some(RULES));
        next.go_on_from(&sample, Some);
        assert_eq!(
            next.latest().next().unwrap().service.0,
            100,
            "the oldest first"
        );
        let off = ClientSample::new(None);
        note(&off, 1, "203.0.113.7");
        off.go_on_from(&sample, Some);
        assert!(off.noted().is_empty());
    }
}

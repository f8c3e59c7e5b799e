//! A sample of the client networks that ask for each service, for foresight to count.
//!
//! Sampling is off unless the configuration enables it. The sample is a ring of fixed size: a new
//! client replaces the oldest. Only the network of a client is kept, never its full address. Any
//! thread may add a client without a lock.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::{HashMap, HashMapExt};

use super::ServiceId;
use crate::config::{Cidr, TrafficSample};

/// How many clients are kept.
const PLACES: usize = 16_384;
/// Set in a place that is taken. The bits below hold the service (17 bits), whether the client has
/// IPv6, and its network (45 bits).
const TAKEN: u64 = 1 << 63;
const SERVICE: u32 = 46;
const IS_V6: u64 = 1 << 45;
const NETWORK: u64 = IS_V6 - 1;
/// The prefix of global unicast addresses of IPv6 (RFC 4291 section 2.4), in the upper 48 bits.
const GLOBAL: u64 = 0b001 << 45;

/// The client networks that asked lately.
#[derive(Debug, Default)]
pub struct ClientSample {
    rules: Option<TrafficSample>,
    /// Empty when sampling is off.
    places: Box<[AtomicU64]>,
    next: AtomicUsize,
}

/// A network that asked for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampledNetwork {
    /// The service.
    pub service: ServiceId,
    /// The client's address with zeros after the network's prefix.
    pub client: IpAddr,
}

impl ClientSample {
    /// An empty sample.
    pub fn new(rules: Option<TrafficSample>) -> ClientSample {
        let places = if rules.is_some() { PLACES } else { 0 };
        ClientSample {
            rules,
            places: std::iter::repeat_with(AtomicU64::default)
                .take(places)
                .collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// How queries are sampled; `None` when sampling is off.
    pub fn rules(&self) -> Option<TrafficSample> {
        self.rules
    }

    /// Adds a client in place of the oldest. IPv6 addresses that are not global unicast are
    /// ignored.
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

    /// The networks in the sample, and how often each occurs.
    pub fn noted(&self) -> Vec<(SampledNetwork, u64)> {
        let mut counts: HashMap<SampledNetwork, u64> = HashMap::new();
        for noted in self.latest() {
            let count = counts.entry(noted).or_default();
            *count = count.saturating_add(1);
        }
        let mut counts: Vec<(SampledNetwork, u64)> = counts.into_iter().collect();
        counts.sort_unstable();
        counts
    }

    /// Takes over the clients of another sample. `successor` gives the new number of a service that
    /// still exists.
    pub fn go_on_from(
        &self,
        before: &ClientSample,
        successor: impl Fn(ServiceId) -> Option<ServiceId>,
    ) {
        for SampledNetwork { service, client } in before.latest() {
            if let Some(service) = successor(service) {
                self.note(service, client);
            }
        }
    }

    /// The clients, roughly from the oldest on.
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
            let hidden = 32u8.saturating_sub(rules.ipv4_prefix.clamp(1, 24));
            u64::from(address.to_bits() & u32::MAX << hidden)
        }
        IpAddr::V6(address) => {
            let upper = (address.to_bits() >> 80) as u64;
            if upper & !NETWORK != GLOBAL {
                return None;
            }
            let hidden = 48u8.saturating_sub(rules.ipv6_prefix.clamp(1, 48));
            IS_V6 | upper & u64::MAX << hidden & NETWORK
        }
    };
    Some(TAKEN | u64::from(service.0) << SERVICE | network)
}

fn unpack(packed: u64) -> Option<SampledNetwork> {
    if packed & TAKEN == 0 {
        return None;
    }
    Some(SampledNetwork {
        service: ServiceId(((packed & !TAKEN) >> SERVICE) as u32),
        client: unpack_network(packed),
    })
}

fn unpack_network(packed: u64) -> IpAddr {
    let network = packed & NETWORK;
    match packed & IS_V6 {
        0 => Ipv4Addr::from_bits(network as u32).into(),
        _ => Ipv6Addr::from_bits(u128::from(GLOBAL | network) << 80).into(),
    }
}

impl SampledNetwork {
    /// The network with the prefix length that the rules set.
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

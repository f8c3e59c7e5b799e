//! Response rate limiting: a table of fixed size, shared by all workers, of the recent load of each
//! network.
//!
//! An address belongs to several networks, the smallest of which is the address itself. An answer
//! raises the load of each network, and the load decays with time. A client gets no answer when one
//! of its networks is at its limit. The table is set-associative: a network without an entry
//! replaces the least loaded entry of its set, so the busiest networks stay.
//!
//! The table has no locks. Two workers that count the same network at the same time may lose a
//! count.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::answer::policy::{ANSWER, RateLimits};
use crate::net::ClientAddress;

/// Entries of one set.
const WAYS: usize = 4;
/// Number of sets, a power of two; the table has 4 MiB.
const SETS: usize = 1 << 17;
/// Most networks that an address belongs to.
const NETWORKS: usize = 5;
/// Prefix lengths, each with its limit as a multiple of the limit of one address.
const V4: [(u8, u32); 4] = [(32, 1), (24, 32), (20, 256), (18, 768)];
const V6: [(u8, u32); NETWORKS] = [(128, 1), (64, 2), (56, 3), (48, 4), (32, 64)];
/// Times from here on, modulo 2^16, are slightly in the future: another worker wrote them.
const AHEAD: u16 = 0xff00;

/// The entries of one hash value. Each holds, from the upper bits down, a tag (16 bits), the time
/// in beats (16 bits) and the load in parts of an answer (32 bits).
#[derive(Default)]
#[repr(align(32))]
struct Set([AtomicU64; WAYS]);

/// The rate limiter of a server.
pub struct RateLimiter {
    sets: Box<[Set]>,
    keys: [u64; 2],
    beats: &'static AtomicU32,
}

/// The new entries of a client's networks, to be stored when the client gets an answer.
pub struct LimitClaim([Option<ClaimedEntry>; NETWORKS]);

/// The new value of one entry, and its position in the table.
struct ClaimedEntry {
    set: u32,
    way: u8,
    value: u64,
}

impl RateLimiter {
    /// An empty table. `beats` counts tenths of a second; the caller keeps it running.
    pub fn new(beats: &'static AtomicU32) -> RateLimiter {
        // With random keys an attacker cannot choose addresses that evict a certain network.
        let keys = [
            RandomState::new().hash_one(0),
            RandomState::new().hash_one(1),
        ];
        RateLimiter {
            sets: (0..SETS).map(|_| Set::default()).collect(),
            keys,
            beats,
        }
    }

    /// The claim of a client to one more answer; `None` if one of its networks is at its limit.
    #[inline]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "prefixes are from 1 bit to all of an address"
    )]
    pub fn claim(&self, limits: &RateLimits, client: ClientAddress) -> Option<LimitClaim> {
        let now = self.beats.load(Ordering::Relaxed) as u16;
        let mut claim = LimitClaim([const { None }; NETWORKS]);
        match client.ip() {
            IpAddr::V4(client) => {
                for (place, (length, times)) in claim.0.iter_mut().zip(V4) {
                    let network = u64::from(client.to_bits() >> (32 - length));
                    *place = Some(self.place(limits, self.key(network, length), times, now)?);
                }
            }
            IpAddr::V6(client) => {
                for (place, (length, times)) in claim.0.iter_mut().zip(V6) {
                    let network = client.to_bits() >> (128 - length);
                    let network = fold(
                        network as u64 ^ self.keys[0],
                        (network >> 64) as u64 ^ self.keys[1],
                    );
                    *place = Some(self.place(limits, self.key(network, length), times, now)?);
                }
            }
        }
        Some(claim)
    }

    /// Counts the answer that `claim` allows.
    #[inline]
    pub fn record(&self, claim: &LimitClaim) {
        for claimed in claim.0.iter().flatten() {
            if let Some(set) = self.sets.get(claimed.set as usize)
                && let Some(entry) = set.0.get(usize::from(claimed.way))
            {
                entry.store(claimed.value, Ordering::Relaxed);
            }
        }
    }

    /// The hash of a network: the upper bits select its set, the lower 16 are its tag.
    #[inline]
    fn key(&self, network: u64, length: u8) -> u64 {
        fold(
            network ^ self.keys[0],
            self.keys[1].rotate_left(u32::from(length)) | 1,
        )
    }

    /// The entry of a network after one more answer; `None` if the network is at its limit.
    #[inline]
    #[expect(clippy::arithmetic_side_effects, reason = "there are sets")]
    fn place(&self, limits: &RateLimits, key: u64, times: u32, now: u16) -> Option<ClaimedEntry> {
        let number = (key >> 16) as u32 % SETS as u32;
        let tag = key as u16;
        let set = self.sets.get(number as usize)?;
        let known = set
            .0
            .iter()
            .zip(0..)
            .map(|(entry, way)| (way, entry.load(Ordering::Relaxed)));
        let found = known.clone().find(|(_, entry)| (entry >> 48) as u16 == tag);
        let (way, load) = match found {
            Some((way, entry)) => (way, load(limits, entry, now)),
            None => (
                known
                    .min_by_key(|(_, entry)| load(limits, *entry, now))
                    .map_or(0, |(way, _)| way),
                0,
            ),
        };
        let most = limits.most.saturating_mul(times);
        let raised = load.saturating_add(ANSWER);
        if raised > most {
            return None;
        }
        let value = u64::from(tag) << 48 | u64::from(now) << 32 | u64::from(raised);
        Some(ClaimedEntry {
            set: number,
            way,
            value,
        })
    }
}

/// The load of an entry after decay.
#[inline]
fn load(limits: &RateLimits, entry: u64, now: u16) -> u32 {
    let passed = now.wrapping_sub((entry >> 32) as u16);
    limits.decayed(entry as u32, if passed >= AHEAD { 0 } else { passed })
}

#[inline]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "two numbers of 64 bits in 128"
)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RateLimitConfig;

    fn limits(rate: u32, burst: u32) -> RateLimits {
        RateLimits::of(&RateLimitConfig {
            rate,
            burst,
            slip: 1,
            exempt: Vec::new(),
            dry_run: false,
        })
    }

    fn limiter() -> (RateLimiter, &'static AtomicU32) {
        let beats: &'static AtomicU32 = Box::leak(Box::default());
        (RateLimiter::new(beats), beats)
    }

    /// How many of `queries` queries are answered.
    fn answered(limiter: &RateLimiter, limits: &RateLimits, client: &str, queries: u32) -> u32 {
        let client = client.parse().unwrap();
        let one = |_: &u32| {
            limiter
                .claim(limits, client)
                .map(|claim| limiter.record(&claim))
                .is_some()
        };
        (0..queries).filter(one).count() as u32
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let (limiter, beats) = limiter();
        let limits = limits(50, 125);
        assert_eq!(answered(&limiter, &limits, "192.0.2.1", 1000), 125);
        assert_eq!(
            answered(&limiter, &limits, "192.0.2.2", 10),
            10,
            "a neighbour is not in the way"
        );
        let mut later = 0;
        for _ in 0..100 {
            beats.fetch_add(1, Ordering::Relaxed);
            later += answered(&limiter, &limits, "192.0.2.1", 100);
        }
        assert!((480..=520).contains(&later), "{later} in ten seconds");
        beats.fetch_add(300, Ordering::Relaxed);
        assert_eq!(
            answered(&limiter, &limits, "192.0.2.1", 1000),
            125,
            "half a minute later all is forgotten"
        );
    }

    #[test]
    fn a_network_has_a_limit_too() {
        let limits = limits(10, 10);
        for (networks, limit) in [
            (
                (0..256)
                    .map(|host| format!("192.0.2.{host}"))
                    .collect::<Vec<_>>(),
                320,
            ),
            (
                (0..4096)
                    .map(|host| format!("192.0.{}.{}", host / 256, host % 256))
                    .collect(),
                2560,
            ),
            (
                (0..256).map(|host| format!("2001:db8::{host:x}")).collect(),
                20,
            ),
            (
                (0..256)
                    .map(|host| format!("2001:db8:0:{host:x}::1"))
                    .collect(),
                30,
            ),
            (
                (0..256)
                    .map(|host| format!("2001:db8:0:{host:x}00::1"))
                    .collect(),
                40,
            ),
            (
                (0..256)
                    .map(|host| format!("2001:db8:{host:x}::1"))
                    .collect(),
                640,
            ),
        ] {
            let (limiter, _) = limiter();
            let total: u32 = networks
                .iter()
                .map(|client| answered(&limiter, &limits, client, 20))
                .sum();
            assert_eq!(total, limit, "{}", networks[0]);
        }
    }

    #[test]
    fn who_asks_most_is_remembered_through_a_flood_from_everywhere() {
        let (limiter, _) = limiter();
        let limits = limits(50, 125);
        assert_eq!(answered(&limiter, &limits, "192.0.2.1", 1000), 125);
        for number in 0..1_000_000u32 {
            let client = ClientAddress::from((number.wrapping_mul(0x9e37_79b9) | 1).to_be_bytes());
            if let Some(claim) = limiter.claim(&limits, client) {
                limiter.record(&claim);
            }
        }
        assert_eq!(answered(&limiter, &limits, "192.0.2.1", 1000), 0);
    }

    #[test]
    fn time_that_wraps_or_lags_takes_nothing_away() {
        let (limiter, beats) = limiter();
        let limits = limits(50, 125);
        beats.store(65_535, Ordering::Relaxed);
        assert_eq!(answered(&limiter, &limits, "192.0.2.1", 1000), 125);
        beats.store(65_534, Ordering::Relaxed);
        assert_eq!(answered(&limiter, &limits, "192.0.2.1", 10), 0);
        beats.store(65_536, Ordering::Relaxed);
        assert!((4..=6).contains(&answered(&limiter, &limits, "192.0.2.1", 100)));
    }
}

//! When signatures begin and end, as a function of the owner and the time.
//!
//! An owner's signatures are renewed when half of their lifetime is over, always at the same moments:
//! every `lifetime / 2` seconds, shifted by one of 64 slots that a hash of the owner picks. So
//! renewals come spread evenly instead of all at once, and the same owner has the same times within a
//! period, whoever signs. A signature from the store is good for the whole period.
//!
//! ```
//! use meridian::dnssec::validity::{ValidityRules, owner_hash};
//!
//! let (rules, now) = (ValidityRules::default(), 1_800_000_000);
//! let period = rules.period(owner_hash(b"\x03www\x07example\x03com\0"), now);
//! assert!(!rules.is_due(period, now));
//! assert!(rules.is_due(period, now + 7 * 86_400));
//! ```

/// The slots over which renewals are spread.
pub const SLOTS: u32 = 64;
const DAY: u32 = 86_400;

/// How long signatures are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidityRules {
    /// From the moment of signing to the expiration, in seconds; from 2 minutes to 60 years. A new
    /// signature is valid for at least half of that.
    pub lifetime: u32,
    /// How far the inception lies back, for validators whose clock is slow, in seconds.
    pub backdate: u32,
}

impl Default for ValidityRules {
    /// 14 days, and one hour back.
    fn default() -> Self {
        ValidityRules {
            lifetime: 14 * DAY,
            backdate: 3600,
        }
    }
}

/// The times of a signature (RFC 4034 section 3.1.5): seconds since 1970 modulo 2^32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidityPeriod {
    /// It is not valid before.
    pub inception: u32,
    /// It is not valid after.
    pub expiration: u32,
}

impl ValidityPeriod {
    /// Whether a validator whose clock shows `now` accepts the times.
    pub fn contains(self, now: u64) -> bool {
        let now = now as u32;
        !is_before(now, self.inception) && !is_before(self.expiration, now)
    }

    /// Seconds until it expires; negative if it has expired.
    pub fn left(self, now: u64) -> i32 {
        self.expiration.wrapping_sub(now as u32) as i32
    }
}

impl ValidityRules {
    /// The times of signatures of this owner that are made now. They change every half of a
    /// lifetime, and at the change of period the signature before is [due](Self::is_due).
    pub fn period(self, owner_hash: u64, now: u64) -> ValidityPeriod {
        let refresh = u64::from(self.refresh());
        let shift = slot_of(owner_hash) as u64 * refresh / u64::from(SLOTS);
        // Periods start at `shift` and every `refresh` after it.
        let age = (now + refresh - shift) % refresh.max(1);
        let start = (now as u32).wrapping_sub(age as u32);
        ValidityPeriod {
            inception: start.wrapping_sub(self.backdate),
            expiration: start.wrapping_add(self.lifetime),
        }
    }

    /// Whether a signature is to be made anew: half of its lifetime is over, or it is not valid yet,
    /// or not any more.
    pub fn is_due(self, period: ValidityPeriod, now: u64) -> bool {
        let start = period.inception.wrapping_add(self.backdate);
        let half = period.expiration.wrapping_sub(start) / 2;
        !period.contains(now) || !is_before(now as u32, start.wrapping_add(half))
    }

    /// Seconds until a signature is due to be made anew; 0 if it is due.
    pub fn until_due(self, period: ValidityPeriod, now: u64) -> u32 {
        if self.is_due(period, now) {
            return 0;
        }
        let start = period.inception.wrapping_add(self.backdate);
        let half = period.expiration.wrapping_sub(start) / 2;
        start.wrapping_add(half).wrapping_sub(now as u32)
    }

    /// Seconds between two signatures of an owner.
    pub fn refresh(self) -> u32 {
        self.lifetime / 2
    }
}

/// The slot of an owner with this hash.
pub fn slot_of(owner_hash: u64) -> usize {
    (owner_hash % u64::from(SLOTS)) as usize
}

/// Whether a time is before another in serial number arithmetic (RFC 1982, RFC 4034 section
/// 3.1.5).
pub fn is_before(one: u32, other: u32) -> bool {
    (one.wrapping_sub(other) as i32) < 0
}

/// The earlier of two times in the same arithmetic.
pub fn earlier(one: Option<u32>, other: u32) -> u32 {
    one.filter(|one| is_before(*one, other)).unwrap_or(other)
}

/// A hash of an owner in wire form, in any case, the same on every machine and in every version: the
/// FNV-1a hash of its lower case, mixed so that the low bits are even.
pub fn owner_hash(owner: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for octet in owner {
        hash = (hash ^ u64::from(octet.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
    }
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn renewals_are_spread_evenly() {
        let rules = ValidityRules::default();
        let mut counts = std::collections::BTreeMap::new();
        for number in 0..64_000 {
            let owner = format!("host-{number}");
            let period = rules.period(owner_hash(owner.as_bytes()), NOW);
            *counts.entry(period.expiration).or_insert(0_u32) += 1;
        }
        assert_eq!(counts.len(), 64);
        assert!(
            counts.values().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }

    proptest! {
        #[test]
        fn a_period_is_constant_until_it_is_due(
            hash in any::<u64>(),
            now in 0..10_000_000_000_u64,
            later in 0..1_300_000_u64,
            lifetime in 120..2_000_000_u32,
        ) {
            let rules = ValidityRules { lifetime, backdate: 3600.min(lifetime / 4) };
            let period = rules.period(hash, now);
            prop_assert!(period.contains(now) && !rules.is_due(period, now));
            prop_assert!(period.left(now) as u32 >= lifetime / 2);
            let then = rules.period(hash, now + later);
            prop_assert_eq!(then != period, rules.is_due(period, now + later));
            let due = now + u64::from(rules.until_due(period, now));
            prop_assert!(rules.is_due(period, due) && !rules.is_due(period, due - 1));
        }
    }

    #[test]
    fn a_signature_of_the_future_is_due() {
        let rules = ValidityRules::default();
        let period = rules.period(7, NOW);
        assert!(rules.is_due(period, NOW - 30 * 86_400));
        assert!(!period.contains(NOW + 30 * 86_400));
        assert!(period.left(NOW + 30 * 86_400) < 0);
    }
}

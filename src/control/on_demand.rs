//! Signs denials when somebody asks: those of names that do not exist, in zones with compact denial
//! (RFC 9824).
//!
//! Signatures are kept for an hour in a bounded cache, so a name that many ask for is signed once. A
//! bucket holds as many signatures as may be made in one second; when it is empty, nothing is signed.
//! So a flood of random names costs as much of a processor as the configuration says, and no more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;

use crate::answer::on_demand::{DenialSignatures, DenialSigner, DenialToSign};
use crate::catalog::signed::ZoneSigners;
use crate::dns::RecordType;
use crate::dnssec::{MadeSignature, RrsetHead, SigningRoom};

/// Records whose signatures are kept: some 6 MB.
const KEPT: u64 = 10_000;
/// How long they are kept. Signatures are good for days longer.
const KEPT_FOR: Duration = Duration::from_secs(3600);

static SIGNED: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Denials since the start of the process, through every reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DenialCounts {
    /// Those that were signed because somebody asked.
    pub signed: u64,
    /// Those that were not, because there were too many, or the key does not sign.
    pub refused: u64,
}

/// How many denials were signed when somebody asked.
pub fn denial_counts() -> DenialCounts {
    DenialCounts {
        signed: SIGNED.load(Ordering::Relaxed),
        refused: REFUSED.load(Ordering::Relaxed),
    }
}

/// Signs denials within a rate.
pub(super) struct OnDemandSigner {
    signers: ZoneSigners,
    bucket: Mutex<SignatureBucket>,
    /// By zone, owner and data.
    signed: Cache<Box<[u8]>, DenialSignatures>,
}

impl OnDemandSigner {
    /// A signer that makes at most `rate` signatures per second.
    pub(super) fn new(signers: ZoneSigners, rate: u32) -> OnDemandSigner {
        let cache = Cache::builder().max_capacity(KEPT);
        OnDemandSigner {
            signers,
            bucket: Mutex::new(SignatureBucket::full(rate, Instant::now())),
            signed: cache.time_to_live(KEPT_FOR).build(),
        }
    }

    /// Takes one signature from the bucket.
    fn may_sign(&self) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(Instant::now())
    }

    fn make(&self, record: &DenialToSign<'_>) -> Option<DenialSignatures> {
        if !self.may_sign() {
            return None;
        }
        let signer = self.signers.of(record.zone.0 as usize)?;
        let rrset = RrsetHead {
            owner: record.owner,
            rtype: RecordType::NSEC,
            ttl: record.ttl,
        };
        let mut room = SigningRoom::default();
        let rdata = std::iter::once(record.rdata);
        if let Err(error) = signer.sign(rrset, rdata, &mut room) {
            tracing::debug!(zone = %signer.apex(), %error, "a denial is not signed");
            return None;
        }
        Some(rdatas(&room.made))
    }
}

/// The data of RRSIG records.
fn rdatas(made: &[MadeSignature]) -> DenialSignatures {
    let mut rdatas = Vec::new();
    for signature in made {
        let octets = signature.octets.as_slice();
        rdatas.push(signature.fields.rdata(octets).into());
    }
    rdatas.into()
}

impl DenialSigner for OnDemandSigner {
    fn sign(&self, record: &DenialToSign<'_>) -> Option<DenialSignatures> {
        let zone = record.zone.0.to_be_bytes();
        let key = [&zone[..], record.owner, record.rdata].concat();
        if let Some(signatures) = self.signed.get(&key[..]) {
            return Some(signatures);
        }
        let made = self.make(record);
        let counter = if made.is_some() { &SIGNED } else { &REFUSED };
        counter.fetch_add(1, Ordering::Relaxed);
        let signatures = made?;
        self.signed.insert(key.into(), Arc::clone(&signatures));
        Some(signatures)
    }
}

impl std::fmt::Debug for OnDemandSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnDemandSigner")
    }
}

/// What may be signed now: at most what may be signed in a second.
struct SignatureBucket {
    /// Signatures per second.
    rate: f64,
    left: f64,
    /// When `left` was right.
    at: Instant,
}

impl SignatureBucket {
    fn full(rate: u32, now: Instant) -> SignatureBucket {
        SignatureBucket {
            rate: rate.into(),
            left: rate.into(),
            at: now,
        }
    }

    /// Takes one signature; false: there is none left.
    fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + since * self.rate).min(self.rate);
        let is_some = self.left >= 1.0;
        if is_some {
            self.left -= 1.0;
        }
        is_some
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_more_is_taken_than_the_rate_and_one_second_ahead(
            rate in 1..500_u32,
            waits in prop::collection::vec(0..30_u64, 1..500),
        ) {
            let start = Instant::now();
            let mut bucket = SignatureBucket::full(rate, start);
            let (mut now, mut taken) = (start, 0_u64);
            for wait in waits {
                now += Duration::from_millis(wait);
                taken += u64::from(bucket.take(now));
            }
            let seconds = (now - start).as_secs_f64();
            prop_assert!(taken as f64 <= f64::from(rate) * (1.0 + seconds) + 0.001);
        }
    }

    #[test]
    fn a_bucket_fills_up_again() {
        let start = Instant::now();
        let mut bucket = SignatureBucket::full(10, start);
        assert_eq!((0..20).filter(|_| bucket.take(start)).count(), 10);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..20).filter(|_| bucket.take(later)).count(), 5);
        let much_later = start + Duration::from_secs(500);
        assert_eq!((0..20).filter(|_| bucket.take(much_later)).count(), 10);
    }
}

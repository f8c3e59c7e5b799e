//! A rate limit for log lines about refused calls: one line a second for each address.
//!
//! It keeps a client without a token from filling the log. Calls that get no line are counted, and
//! the next line of their address says how many there were. The number of addresses that are
//! remembered is limited; when more are refused within a second, the others share one line.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time between two lines.
const PAUSE: Duration = Duration::from_secs(1);
/// Most addresses that are remembered.
const MOST: usize = 256;

/// When each address last had a line.
#[derive(Debug, Default)]
pub struct RefusalLog(Mutex<RefusalTimes>);

#[derive(Debug, Default)]
struct RefusalTimes {
    addresses: HashMap<IpAddr, LastRefusal>,
    /// All addresses that are not remembered, as one.
    others: Option<LastRefusal>,
}

/// The last line of an address.
#[derive(Debug, Clone, Copy)]
struct LastRefusal {
    at: Instant,
    /// Calls refused since then.
    unlisted: u64,
}

impl RefusalLog {
    /// Notes a refused call of an address, `None` being the unix socket. If it may be logged,
    /// returns how many calls were refused without a line since the last one.
    pub fn note(&self, address: Option<IpAddr>, now: Instant) -> Option<u64> {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.note(address, now)
    }
}

impl RefusalTimes {
    fn note(&mut self, address: Option<IpAddr>, now: Instant) -> Option<u64> {
        let Some(address) = address else {
            return self.note_other(now);
        };
        if let Some(last) = self.addresses.get_mut(&address) {
            return last.note(now);
        }
        if self.addresses.len() >= MOST {
            self.forget(now);
        }
        if self.addresses.len() >= MOST {
            return self.note_other(now);
        }
        self.addresses.insert(address, LastRefusal::new(now));
        Some(0)
    }

    fn note_other(&mut self, now: Instant) -> Option<u64> {
        if let Some(last) = &mut self.others {
            return last.note(now);
        }
        self.others = Some(LastRefusal::new(now));
        Some(0)
    }

    /// Makes room: first at the cost of old addresses without unlisted calls, then of all old ones.
    fn forget(&mut self, now: Instant) {
        self.addresses
            .retain(|_, last| last.unlisted > 0 || last.is_recent(now));
        if self.addresses.len() >= MOST {
            self.addresses.retain(|_, last| last.is_recent(now));
        }
    }
}

impl LastRefusal {
    fn new(at: Instant) -> LastRefusal {
        LastRefusal { at, unlisted: 0 }
    }

    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < PAUSE
    }

    fn note(&mut self, now: Instant) -> Option<u64> {
        if self.is_recent(now) {
            self.unlisted += 1;
            return None;
        }
        self.at = now;
        Some(std::mem::take(&mut self.unlisted))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn each_address_has_one_line_a_second_and_the_next_one_says_how_many_there_were() {
        let (refusals, start) = (RefusalLog::default(), Instant::now());
        let note = |address: u32, after: u64| {
            refusals.note(
                Some(Ipv4Addr::from_bits(address).into()),
                start + Duration::from_millis(after),
            )
        };
        assert_eq!(
            [note(1, 0), note(1, 10), note(2, 20), note(1, 999)],
            [Some(0), None, Some(0), None]
        );
        assert_eq!(
            [note(1, 1001), note(1, 1002), note(2, 1500)],
            [Some(2), None, Some(0)]
        );
    }

    #[test]
    fn memory_is_bounded_and_a_crowd_shares_one_line() {
        let (refusals, start) = (RefusalLog::default(), Instant::now());
        let lines = |second: u64| {
            let at = start + Duration::from_secs(second);
            (0..10_000)
                .filter(|host| {
                    refusals
                        .note(Some(Ipv4Addr::from_bits(*host).into()), at)
                        .is_some()
                })
                .count()
        };
        assert_eq!([lines(0), lines(0), lines(2)], [MOST + 1, 0, MOST + 1]);
        assert_eq!(refusals.0.lock().unwrap().addresses.len(), MOST);
    }
}

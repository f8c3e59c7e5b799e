//! Lines about refused calls: one a second for each address, so that whoever may do nothing here cannot fill the log.
//!
//! What is not told is counted, and the next line of that address says how many there were. So many addresses are
//! remembered; while more than these are refused within a second, the rest share one line.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time between two lines.
const PAUSE: Duration = Duration::from_secs(1);
/// Most addresses that are remembered.
const MOST: usize = 256;

/// When each address was last told of.
#[derive(Debug, Default)]
pub struct RefusalLog(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    addresses: HashMap<IpAddr, Last>,
    /// Of all that are not remembered.
    others: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    at: Instant,
    /// Refused since then.
    untold: u64,
}

impl RefusalLog {
    /// Whether a refused call of this address is to be told at `now`, and then how many were not told since the last one.
    /// `None` stands for the unix socket.
    pub fn tell(&self, address: Option<IpAddr>, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Told { addresses, others } = &mut *told;
        let Some(address) = address else {
            return turn(others, now);
        };
        if let Some(last) = addresses.get_mut(&address) {
            return last.turn(now);
        }
        if addresses.len() >= MOST {
            addresses.retain(|_, last| {
                last.untold > 0 || now.saturating_duration_since(last.at) < PAUSE
            });
        }
        if addresses.len() >= MOST {
            addresses.retain(|_, last| now.saturating_duration_since(last.at) < PAUSE);
        }
        if addresses.len() >= MOST {
            return turn(others, now);
        }
        addresses.insert(address, Last { at: now, untold: 0 });
        Some(0)
    }
}

fn turn(last: &mut Option<Last>, now: Instant) -> Option<u64> {
    match last {
        Some(last) => last.turn(now),
        None => {
            *last = Some(Last { at: now, untold: 0 });
            Some(0)
        }
    }
}

impl Last {
    fn turn(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.at) < PAUSE {
            self.untold += 1;
            return None;
        }
        self.at = now;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn each_address_has_one_line_a_second_and_the_next_one_says_how_many_there_were() {
        let (refusals, start) = (RefusalLog::default(), Instant::now());
        let tell = |address: u32, after: u64| {
            refusals.tell(
                Some(Ipv4Addr::from_bits(address).into()),
                start + Duration::from_millis(after),
            )
        };
        assert_eq!(
            [tell(1, 0), tell(1, 10), tell(2, 20), tell(1, 999)],
            [Some(0), None, Some(0), None]
        );
        assert_eq!(
            [tell(1, 1001), tell(1, 1002), tell(2, 1500)],
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
                        .tell(Some(Ipv4Addr::from_bits(*host).into()), at)
                        .is_some()
                })
                .count()
        };
        assert_eq!([lines(0), lines(0), lines(2)], [MOST + 1, 0, MOST + 1]);
        assert_eq!(refusals.0.lock().unwrap().addresses.len(), MOST);
    }
}

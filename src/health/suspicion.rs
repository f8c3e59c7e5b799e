//! Self-suspicion: a monitor that sees every endpoint fall silent at once has probably lost its own
//! network.
//!
//! An endpoint is silent if its probes time out or cannot be routed. A silent endpoint goes down
//! only if another address was reached since its failures began. A reached address is one that
//! passed, answered with an error, or refused the connection. If none was reached, the monitor
//! holds the last agreed state. An endpoint that answers with an error goes down by its own
//! failures.
//!
//! With fewer than three serving addresses the monitor cannot tell, so failures always count.
//!
//! The hold only serves services without an alternative. A service with a region that needs no
//! check ignores it (`control::availability`).

use std::net::IpAddr;
use std::time::Duration;

/// The fewest serving addresses for which simultaneous failure is suspicious.
pub const FEWEST: usize = 3;

/// The addresses that were reached most recently.
#[derive(Debug, Clone, Default)]
pub struct LastReached {
    latest: Option<Contact>,
    /// The latest contact with an address other than that of `latest`.
    latest_other: Option<Contact>,
}

#[derive(Debug, Clone, Copy)]
struct Contact {
    at: Duration,
    address: IpAddr,
}

impl LastReached {
    /// Notes that an address was reached.
    pub fn note(&mut self, at: Duration, address: IpAddr) {
        if let Some(latest) = self.latest
            && latest.address != address
        {
            self.latest_other = self.latest;
        }
        self.latest = Some(Contact { at, address });
    }

    /// Whether an address other than this one was reached at or after `since`.
    pub fn other_since(&self, since: Duration, address: IpAddr) -> bool {
        for contact in [self.latest, self.latest_other].into_iter().flatten() {
            if contact.at >= since && contact.address != address {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_address_since_then_is_a_witness() {
        let second = Duration::from_secs;
        let [one, two] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse::<IpAddr>().unwrap());
        let mut reached = LastReached::default();
        assert!(!reached.other_since(second(0), one));
        reached.note(second(1), two);
        reached.note(second(2), one);
        reached.note(second(3), one);
        assert!(reached.other_since(second(1), one));
        assert!(!reached.other_since(second(2), one));
        assert!(reached.other_since(second(3), two));
    }
}

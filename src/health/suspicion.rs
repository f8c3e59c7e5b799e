//! Self-suspicion: a monitor that sees everything fall silent at once is more likely cut off than right.
//!
//! Silence is a time-out, or no way to the host. Before a serving endpoint falls for being silent, somebody else must have
//! been reached since its failures began: have passed, have failed with an answer, or have refused the connection itself.
//! Nobody else reached means: the last agreed state is held. An endpoint that was reached and says something bad falls by
//! its own failures. With fewer than three endpoints there is no telling, and each falls by its own failures, too.
//!
//! The hold is for services that have nowhere else to go: one with a region that needs no check is never held
//! (`control::standing`).

use std::net::IpAddr;
use std::time::Duration;

/// From how many serving addresses on everything failing at once is suspicious.
pub const FEWEST: usize = 3;

/// Who was reached last: the latest moment, and the latest by another address.
#[derive(Debug, Clone, Default)]
pub struct LastReached {
    latest: Option<(Duration, IpAddr)>,
    latest_other: Option<(Duration, IpAddr)>,
}

impl LastReached {
    /// This address was heard from.
    pub fn note(&mut self, at: Duration, address: IpAddr) {
        if self.latest.is_some_and(|(_, known)| known != address) {
            self.latest_other = self.latest;
        }
        self.latest = Some((at, address));
    }

    /// Whether an address other than this one was reached at or after a moment.
    pub fn other_since(&self, moment: Duration, address: IpAddr) -> bool {
        let proves = |seen: &Option<(Duration, IpAddr)>| {
            seen.is_some_and(|(at, by)| at >= moment && by != address)
        };
        proves(&self.latest) || proves(&self.latest_other)
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

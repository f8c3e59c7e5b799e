//! What a server remembers of its fleet's votes over a restart.
//!
//! A server that restarts while it hears nobody must go on as before: too few groups decide nothing, and
//! what was agreed last holds. For that it needs both what was agreed, by the digests of the checks'
//! definitions, and how many groups there are. A check whose definition has changed has another digest
//! and inherits nothing. What is too old is not used: after [`LONGEST_VERDICTS`] the server's own probes
//! know more, and after a day groups are forgotten in any case.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::board::REMEMBERED;

/// How long before the restart a verdict may have been in force for the last time. Reboots and upgrades
/// are shorter.
pub const LONGEST_VERDICTS: Duration = Duration::from_secs(3600);

/// The last verdicts of a fleet, and its groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteMemory {
    /// The name of the fleet.
    pub fleet: String,
    /// The digests of the checks that were agreed to be up.
    pub up: Vec<u64>,
    /// The digests of the checks that were agreed to be down.
    pub down: Vec<u64>,
    /// How many seconds before each group of others was heard.
    pub groups: BTreeMap<String, u64>,
}

impl VoteMemory {
    /// What still counts for the fleet `fleet` when this was written so long ago.
    pub fn after(mut self, gap: Duration, fleet: &str) -> VoteMemory {
        if self.fleet != fleet || gap > REMEMBERED {
            return VoteMemory::default();
        }
        if gap > LONGEST_VERDICTS {
            self.up.clear();
            self.down.clear();
        }
        for seconds in self.groups.values_mut() {
            *seconds = seconds.saturating_add(gap.as_secs());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_verdicts_do_not_count_and_old_groups_neither() {
        let memory = VoteMemory {
            fleet: "world".to_owned(),
            up: vec![1],
            down: vec![2],
            groups: BTreeMap::from([("west".to_owned(), 3)]),
        };
        let after = |seconds| memory.clone().after(Duration::from_secs(seconds), "world");
        assert_eq!(after(0), memory);
        let soon = after(3600);
        assert_eq!((soon.up, soon.groups["west"]), (vec![1], 3603));
        let late = after(3601);
        assert!(late.up.is_empty() && late.down.is_empty());
        assert_eq!(late.groups["west"], 3604);
        assert_eq!(after(86_401), VoteMemory::default());
        let other = memory.clone().after(Duration::ZERO, "other");
        assert_eq!(other, VoteMemory::default());
    }
}

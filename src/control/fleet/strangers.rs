//! Voters that have no check in common with this server.
//!
//! Two fleets that have the same name and the same NATS servers hear each other. That shows in one way
//! only: their servers have never shared a check. Their views do not count from the first on, which is
//! the board's part (`BoardVoter::is_stranger`). People are told after a while, because a server that
//! starts may be about to read the configuration of the others.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fleet::member::FleetMember;
use crate::text::{list, shown};

/// After this time without a check in common, a voter is a stranger.
const LASTING: Duration = Duration::from_secs(10);
/// Most strangers that a line of the log names.
const MOST_NAMED: usize = 4;

/// Since when each voter has no check in common.
#[derive(Default)]
pub(super) struct StrangerList {
    since: BTreeMap<String, Duration>,
    were: usize,
}

impl StrangerList {
    /// The strangers at `now`, by name.
    pub(super) fn note(&mut self, member: &FleetMember, now: Duration) -> Vec<String> {
        let mut since = BTreeMap::new();
        for (name, voter) in member.board().voters() {
            if voter.is_fresh(now) && voter.is_stranger() {
                let before = self.since.get(name).copied();
                since.insert(name.to_owned(), before.unwrap_or(now));
            }
        }
        self.since = since;
        let mut strangers = Vec::new();
        for (name, since) in &self.since {
            if now.saturating_sub(*since) >= LASTING {
                strangers.push(name.clone());
            }
        }
        self.tell(&member.settings().fleet, &strangers);
        strangers
    }

    fn tell(&mut self, fleet: &str, strangers: &[String]) {
        if strangers.len() > self.were {
            let names = list(strangers, MOST_NAMED);
            tracing::warn!(
                "fleet {fleet}: no check in common with {}: another configuration, or another \
                 fleet with the name {fleet} on the same NATS servers; what they say does not count",
                shown(&names)
            );
        }
        self.were = strangers.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::member::MemberSettings;
    use crate::health::quorum::{CheckVote, QuorumSettings};

    fn member(voter: &str, checks: [u64; 2]) -> FleetMember {
        let settings = MemberSettings {
            fleet: "world".into(),
            voter: voter.into(),
            group: voter.into(),
            quorum: QuorumSettings::default(),
        };
        let mut member = FleetMember::new(settings, 1, Duration::ZERO);
        member.set_votes(&checks.map(|check| (check, CheckVote::Up)).into());
        member
    }

    #[test]
    fn who_shares_no_check_for_ten_seconds_is_a_stranger() {
        let mut own = member("ams", [1 << 60, 2 << 60]);
        let mut friend = member("iad", [2 << 60, 3 << 60]);
        let mut other = member("web", [5 << 60, 6 << 60]);
        let mut list = StrangerList::default();
        for second in 0..=11 {
            let now = Duration::from_secs(second);
            // Each spells out what the others do not have once it has heard them.
            for (name, voter) in [("iad", &mut friend), ("web", &mut other)] {
                let view = own.next_view(now);
                let _ = voter.hear(now, "ams", &view);
                own.hear(now, name, &voter.next_view(now)).unwrap();
            }
            let strangers = list.note(&own, now);
            assert_eq!(strangers.is_empty(), second < 10, "{second}: {strangers:?}");
        }
        assert_eq!(list.note(&own, Duration::from_secs(11)), ["web"]);
        let later = Duration::from_secs(60);
        assert!(list.note(&own, later).is_empty(), "it is silent");
    }
}

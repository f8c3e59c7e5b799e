//! What the announcer of this server last said about itself.
//!
//! `meridian announce` calls the admin API every round. [`AnnouncementDesk`] keeps what it said for
//! `LEASE`, for the server's view in its fleet, the status and the metrics. When nothing is heard for
//! so long, nothing is known: the announcer is gone, or this server was too busy to listen.

use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::announcement::AnnounceState;

/// How long what an announcer said counts. It speaks every two seconds or more often.
const LEASE: Duration = Duration::from_secs(10);

/// Keeps what the announcer said last.
#[derive(Debug, Default)]
pub struct AnnouncementDesk {
    said: ArcSwapOption<SaidByAnnouncer>,
}

#[derive(Debug)]
struct SaidByAnnouncer {
    state: AnnounceState,
    reason: String,
    /// When it said this state first.
    since: Instant,
    at: Instant,
}

/// What the announcer of this server does. Keys are added, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnnouncementReport {
    /// `announced`, `doubtful` (announced, though outvoted), `held` (withdrawn, because outvoted),
    /// `withdrawn`, or `silent`: the announcer has said nothing for ten seconds.
    pub state: String,
    /// Why: a sentence of the announcer.
    pub reason: String,
    /// Seconds since the announcer said this state first.
    pub since_seconds: u64,
    /// Seconds since it said something last.
    pub age_seconds: u64,
}

impl AnnouncementDesk {
    /// Takes what the announcer says. Returns whether it said something else before.
    pub fn hear(&self, state: AnnounceState, reason: String) -> bool {
        self.hear_at(Instant::now(), state, reason)
    }

    fn hear_at(&self, now: Instant, state: AnnounceState, reason: String) -> bool {
        let before = self.said.load();
        let same = before
            .as_ref()
            .filter(|said| said.state == state && said.is_fresh(now));
        let since = same.map_or(now, |said| said.since);
        let is_new = same.is_none();
        let said = SaidByAnnouncer {
            state,
            reason,
            since,
            at: now,
        };
        self.said.store(Some(said.into()));
        is_new
    }

    /// The state of the announcer; `None`: none was heard lately.
    pub fn state(&self) -> Option<AnnounceState> {
        self.state_at(Instant::now())
    }

    fn state_at(&self, now: Instant) -> Option<AnnounceState> {
        let said = self.said.load();
        let fresh = said.as_ref().filter(|said| said.is_fresh(now))?;
        Some(fresh.state)
    }

    /// For people; `None`: no announcer was heard since the start.
    pub fn report(&self) -> Option<AnnouncementReport> {
        let now = Instant::now();
        let said = self.said.load_full()?;
        let state = if said.is_fresh(now) {
            said.state.word()
        } else {
            "silent"
        };
        Some(AnnouncementReport {
            state: state.to_owned(),
            reason: said.reason.clone(),
            since_seconds: now.saturating_duration_since(said.since).as_secs(),
            age_seconds: now.saturating_duration_since(said.at).as_secs(),
        })
    }
}

impl SaidByAnnouncer {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) <= LEASE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_counts_for_ten_seconds_and_repeating_it_is_nothing_new() {
        let desk = AnnouncementDesk::default();
        assert!(desk.report().is_none());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(desk.hear_at(at(0), AnnounceState::Announced, "a".into()));
        assert!(!desk.hear_at(at(9), AnnounceState::Announced, "b".into()));
        assert_eq!(desk.state_at(at(19)), Some(AnnounceState::Announced));
        assert_eq!(desk.state_at(at(20)), None);
        assert!(desk.hear_at(at(20), AnnounceState::Announced, "c".into()));
        assert!(desk.hear_at(at(21), AnnounceState::Withdrawn, "d".into()));
        assert_eq!(desk.report().unwrap().state, "withdrawn");
    }
}

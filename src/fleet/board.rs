//! The board: the latest view of every other voter, and which of them count now.
//!
//! A view counts for [`FRESH`] after it arrived, by the receiver's monotonic clock, which is an
//! argument. What clocks of other servers say plays no part. Within one process of a voter the
//! sequence rises, so a late message is recognized. A restarted server has a new epoch. Two servers
//! with one name are told from a restart because both go on speaking; then neither counts. A stranger,
//! who has never had a check in common with this server, does not count either: it is of another fleet
//! that has the same name.
//!
//! The memory is bounded: at most [`MOST_VOTERS`], each with one view.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::bounds::{FRESH, MOST_VOTERS};
use super::check_list::{AlignedVotes, CheckList, DigestRanges};
use super::speakers::Speakers;
use super::stale_checks::StaleChecks;
use super::view::{KnownBlocks, ReadView, RegionFigures, VoterView};
use super::view_error::HearError;
use crate::health::quorum::FreshView;

/// How long a silent voter's group is still known. Who hears nobody forgets nobody.
pub const REMEMBERED: Duration = Duration::from_secs(86_400);

/// The views of all other voters.
#[derive(Debug, Clone, Default)]
pub struct ViewBoard {
    voters: BTreeMap<String, BoardVoter>,
    /// Groups that were heard before a restart, and when they are forgotten.
    recalled: BTreeMap<String, Duration>,
}

/// One other voter.
#[derive(Debug, Clone)]
pub struct BoardVoter {
    /// Its last view that was not late.
    pub view: VoterView,
    /// Its votes, in the order of the own checks.
    pub aligned: AlignedVotes,
    /// When that view arrived.
    pub heard_at: Duration,
    /// As in [`ReadView::packed`].
    packed: Vec<u8>,
    speakers: Speakers,
    kinship: VoterKinship,
}

/// Whether a voter is of this server's fleet, or of another one with the same name. A restart of
/// either, or a view that spells nothing out, does not make it unclear again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum VoterKinship {
    /// Its checks are not known yet.
    #[default]
    Unclear,
    /// All of its checks were known, and none was one of this server's.
    Stranger,
    /// It has had a check in common with this server.
    Kin,
}

impl BoardVoter {
    /// Whether its view is a fresh one of one server.
    pub fn is_fresh(&self, now: Duration) -> bool {
        now.saturating_sub(self.heard_at) <= FRESH && !self.is_disputed(now)
    }

    /// Whether its view counts at `now`.
    pub fn counts(&self, now: Duration) -> bool {
        self.is_fresh(now) && !self.is_stranger()
    }

    /// Whether its checks are known, and none of them was ever one of this server's. A server of this
    /// fleet that has new definitions of all its checks is none, because it had the old ones.
    pub fn is_stranger(&self) -> bool {
        self.kinship == VoterKinship::Stranger
    }

    fn align(&mut self, list: &CheckList, stale: &mut StaleChecks) {
        let before = std::mem::replace(&mut self.aligned, list.align(&self.view));
        stale.add_changes(&before.votes, &self.aligned.votes);
        if self.aligned.shared > 0 {
            self.kinship = VoterKinship::Kin;
        } else if self.aligned.is_foreign && self.kinship == VoterKinship::Unclear {
            self.kinship = VoterKinship::Stranger;
        }
    }

    /// Whether two servers have its name.
    pub fn is_disputed(&self, now: Duration) -> bool {
        self.speakers.are_several(now)
    }

    /// What it measures of each region.
    pub fn regions(&self) -> &[RegionFigures] {
        &self.view.regions
    }
}

impl ViewBoard {
    /// Takes a view that arrived at `now`. Returns whether it says something else than the last one
    /// of the voter, or counts again. Checks about which it says something else become stale.
    ///
    /// # Errors
    /// The view is late, its voter's name is used twice, or there are too many voters.
    pub fn hear(
        &mut self,
        now: Duration,
        read: ReadView<'_>,
        list: &CheckList,
        stale: &mut StaleChecks,
    ) -> Result<bool, HearError> {
        let ReadView { view, packed } = read;
        let Some(voter) = self.voters.get_mut(&view.voter) else {
            self.make_room(now)?;
            let mut speakers = Speakers::default();
            speakers.hear(now, view.epoch, view.sequence)?;
            let name = view.voter.clone();
            let mut voter = BoardVoter {
                view,
                aligned: AlignedVotes::default(),
                heard_at: now,
                packed: packed.to_vec(),
                speakers,
                kinship: VoterKinship::Unclear,
            };
            voter.align(list, stale);
            self.voters.insert(name, voter);
            return Ok(true);
        };
        let was_fresh = voter.is_fresh(now);
        let heard = voter.speakers.hear(now, view.epoch, view.sequence);
        if voter.is_disputed(now) {
            return Err(HearError::TwoServers { voter: view.voter });
        }
        heard?;
        let has_same_blocks = Arc::ptr_eq(&view.blocks, &voter.view.blocks);
        if !has_same_blocks {
            voter.packed = packed.to_vec();
        }
        let is_same = has_same_blocks
            && view.group == voter.view.group
            && view.known_groups == voter.view.known_groups;
        voter.view = view;
        voter.heard_at = now;
        if !is_same {
            voter.align(list, stale);
        }
        Ok(!is_same || !was_fresh)
    }

    /// The checks and votes of a voter's last view; `None`: there is none.
    pub fn blocks_of(&self, voter: &str) -> Option<KnownBlocks<'_>> {
        let voter = self.voters.get(voter)?;
        if voter.packed.is_empty() {
            return None;
        }
        Some(KnownBlocks {
            packed: &voter.packed,
            blocks: &voter.view.blocks,
        })
    }

    /// Puts all votes in the order of another list, all of whose checks are stale then.
    pub fn realign(&mut self, list: &CheckList, stale: &mut StaleChecks) {
        stale.add_all();
        for voter in self.voters.values_mut() {
            voter.align(list, stale);
        }
    }

    /// The voters, by name.
    pub fn voters(&self) -> impl Iterator<Item = (&str, &BoardVoter)> {
        self.voters
            .iter()
            .map(|(name, voter)| (name.as_str(), voter))
    }

    /// The views that count at `now`.
    pub fn fresh_views(&self, now: Duration) -> Vec<FreshView<'_>> {
        let mut views = Vec::with_capacity(self.voters.len() + 1);
        for voter in self.voters.values() {
            if voter.counts(now) {
                views.push(FreshView {
                    group: &voter.view.group,
                    known_groups: usize::from(voter.view.known_groups),
                    votes: &voter.aligned.votes,
                });
            }
        }
        views
    }

    /// Where the checks of any fresh voter differ from the own. Strangers are told, too, so that they
    /// know that they are.
    pub fn differing(&self, now: Duration) -> DigestRanges {
        let mut differing = DigestRanges::default();
        for voter in self.voters.values() {
            if voter.is_fresh(now) {
                differing.extend(voter.aligned.differing);
            }
        }
        differing
    }

    /// The number of groups that have been heard lately, with the own.
    pub fn known_groups(&self, own: &str) -> u16 {
        let mut groups = BTreeSet::from([own]);
        groups.extend(self.recalled.keys().map(String::as_str));
        for voter in self.voters.values() {
            if !voter.is_stranger() {
                groups.insert(&voter.view.group);
            }
        }
        u16::try_from(groups.len()).unwrap_or(u16::MAX)
    }

    /// When a fresh view will be too old, if nothing arrives.
    pub fn next_expiry(&self, now: Duration) -> Option<Duration> {
        let fresh = self.voters.values().filter(|voter| voter.is_fresh(now));
        fresh.map(|voter| voter.heard_at + FRESH).min()
    }

    /// How many seconds ago each group of others was heard.
    pub fn group_ages(&self, now: Duration) -> BTreeMap<String, u64> {
        let mut ages = BTreeMap::new();
        for (group, end) in &self.recalled {
            let left = end.saturating_sub(now);
            ages.insert(group.clone(), REMEMBERED.saturating_sub(left).as_secs());
        }
        for voter in self.voters.values().filter(|voter| !voter.is_stranger()) {
            let age = now.saturating_sub(voter.heard_at).as_secs();
            let known = ages.entry(voter.view.group.clone()).or_insert(age);
            *known = age.min(*known);
        }
        ages
    }

    /// Knows groups that were heard so many seconds before `now`, in an earlier process.
    pub fn recall(&mut self, ages: &BTreeMap<String, u64>, now: Duration) {
        for (group, age) in ages.iter().take(MOST_VOTERS) {
            let left = REMEMBERED.saturating_sub(Duration::from_secs(*age));
            self.recalled.insert(group.clone(), now + left);
        }
    }

    /// Forgets voters and groups that were silent for a day, if others are heard.
    pub fn forget(&mut self, now: Duration) {
        if self.voters.values().any(|voter| voter.counts(now)) {
            self.recalled.retain(|_, end| *end > now);
            self.voters
                .retain(|_, voter| now.saturating_sub(voter.heard_at) <= REMEMBERED);
        }
    }

    /// Makes room for another voter, in the place of the one that was silent longest.
    fn make_room(&mut self, now: Duration) -> Result<(), HearError> {
        if self.voters.len() < MOST_VOTERS {
            return Ok(());
        }
        let oldest = self.voters.iter().min_by_key(|(_, voter)| voter.heard_at);
        match oldest {
            Some((name, voter)) if !voter.is_fresh(now) => {
                let name = name.clone();
                self.voters.remove(&name);
                Ok(())
            }
            _ => Err(HearError::TooMany),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::testing;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn hear(board: &mut ViewBoard, when: u64, view: VoterView) -> Result<bool, HearError> {
        let mut stale = StaleChecks::default();
        // The real reader finds the blocks again that say the same.
        let octets = view.write();
        let read = VoterView::read_beside(&octets, "world", |voter| board.blocks_of(voter));
        let read = read.expect("a view of this fleet");
        board.hear(at(when), read, &CheckList::default(), &mut stale)
    }

    #[test]
    fn a_view_counts_for_three_seconds_after_it_arrived() {
        let mut board = ViewBoard::default();
        assert_eq!(hear(&mut board, 1000, testing::view("a", 1)), Ok(true));
        assert_eq!(hear(&mut board, 2000, testing::view("a", 2)), Ok(false));
        assert_eq!(board.next_expiry(at(2500)), Some(at(5000)));
        assert_eq!(board.fresh_views(at(5000)).len(), 1);
        assert_eq!(board.fresh_views(at(5001)).len(), 0);
        assert_eq!(board.known_groups("east"), 2, "it is silent, but known");
        let again = hear(&mut board, 9000, testing::view("a", 3));
        assert_eq!(again, Ok(true), "it counts again");
    }

    #[test]
    fn late_messages_are_left_out_and_restarts_are_not() {
        let mut board = ViewBoard::default();
        assert_eq!(hear(&mut board, 0, testing::view("a", 5)), Ok(true));
        for sequence in [4, 5] {
            let late = hear(&mut board, 10, testing::view("a", sequence));
            assert_eq!(late, Err(HearError::Late));
        }
        let restarted = |sequence| VoterView {
            epoch: 2,
            ..testing::view("a", sequence)
        };
        assert_eq!(hear(&mut board, 500, restarted(1)), Ok(false));
        let straggler = hear(&mut board, 600, testing::view("a", 6));
        assert_eq!(straggler, Err(HearError::Late));
        assert_eq!(hear(&mut board, 1500, restarted(2)), Ok(false));
        assert_eq!(board.fresh_views(at(1500)).len(), 1);
    }

    #[test]
    fn two_servers_with_one_name_do_not_count_until_one_stops() {
        for servers in 2..6 {
            let mut board = ViewBoard::default();
            let mut disputed = 0;
            for second in 0..10 {
                for epoch in 0..servers {
                    let view = VoterView {
                        epoch,
                        ..testing::view("a", second)
                    };
                    let heard = hear(&mut board, second * 1000 + epoch, view);
                    disputed += u64::from(matches!(heard, Err(HearError::TwoServers { .. })));
                }
            }
            assert!(disputed >= servers * 8, "{servers}: {disputed}");
            assert!(board.fresh_views(at(9100)).is_empty());
            for second in 10..14 {
                // One of them is left, whichever it is.
                let view = VoterView {
                    epoch: servers / 2,
                    ..testing::view("a", second)
                };
                let _ = hear(&mut board, second * 1000, view);
            }
            assert_eq!(board.fresh_views(at(13_000)).len(), 1, "{servers}");
        }
    }

    #[test]
    fn groups_from_before_a_restart_are_known_until_others_are_heard_and_their_day_is_over() {
        let mut before = ViewBoard::default();
        let _ = hear(&mut before, 0, testing::view("a", 1));
        let ages = before.group_ages(at(10_000));
        assert_eq!(ages, BTreeMap::from([("west".to_owned(), 10)]));
        let mut board = ViewBoard::default();
        board.recall(&ages, at(500));
        assert_eq!(board.known_groups("east"), 2);
        assert_eq!(board.group_ages(at(60_500))["west"], 70);
        let day = 86_400_000;
        board.forget(at(day * 3));
        assert_eq!(board.known_groups("east"), 2, "it hears nobody");
        let view = VoterView {
            group: "north".to_owned(),
            ..testing::view("b", 1)
        };
        let _ = hear(&mut board, day * 3, view);
        board.forget(at(day * 3));
        assert_eq!(board.known_groups("east"), 2, "north instead of west");
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut board = ViewBoard::default();
        for voter in 0..MOST_VOTERS {
            let view = testing::view(&format!("v{voter}"), 1);
            assert_eq!(hear(&mut board, 0, view), Ok(true));
        }
        let more = hear(&mut board, 1, testing::view("more", 1));
        assert_eq!(more, Err(HearError::TooMany));
        let later = hear(&mut board, 4000, testing::view("more", 2));
        assert_eq!(later, Ok(true), "in the place of a silent one");
        assert_eq!(board.voters().count(), MOST_VOTERS);
        let day = 86_400_000;
        let _ = hear(&mut board, day + 3500, testing::view("more", 3));
        board.forget(at(day + 3500));
        assert_eq!(board.voters().count(), 1);
        board.forget(at(day * 3));
        assert_eq!(board.voters().count(), 1, "who hears nobody forgets nobody");
    }
}

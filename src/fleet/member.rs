//! A member of the fleet: what one server says, what it hears, and what follows for its checks.
//!
//! [`FleetMember`] is the whole state machine of votes. It has no clock, no socket and no thread:
//! every method takes the time, and the adapters of [`super::votes`] carry the octets. The simulation
//! in `tests/fleet` runs the same machine with a simulated engine.
//!
//! A member publishes its view when something changed, at most ten times a second, and once a second
//! regardless. The view is whole, so a message that is lost costs a second, and a server that starts
//! knows everything after one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::announcement::AnnounceState;
use super::board::ViewBoard;
use super::bounds::{FRESH, MOST_CHECKS};
use super::check_list::{CheckList, DigestRanges};
use super::dissents::{DissentKey, DissentLog};
use super::speakers::Speakers;
use super::stale_checks::StaleChecks;
use super::view::{RegionFigures, VoterView};
use super::view_error::HearError;
use super::vote_memory::VoteMemory;
use crate::health::quorum::{
    self, AgreedStates, CheckVote, FreshView, GroupCount, GroupedVotes, QuorumSettings,
    QuorumVerdict,
};

/// A view is published at least this often.
pub const REGULAR: Duration = Duration::from_secs(1);
/// A view is published at most this often.
pub const SOONEST: Duration = Duration::from_millis(100);

/// Who a server is in its fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSettings {
    /// The name of the fleet.
    pub fleet: String,
    /// The name of this server, unique in the fleet.
    pub voter: String,
    /// Its vantage group.
    pub group: String,
    /// When votes decide.
    pub quorum: QuorumSettings,
}

/// One server's part in the fleet.
#[derive(Debug, Clone)]
pub struct FleetMember {
    settings: MemberSettings,
    epoch: u64,
    sequence: u64,
    list: CheckList,
    own: Vec<CheckVote>,
    regions: Vec<RegionFigures>,
    announcement: Option<AnnounceState>,
    board: ViewBoard,
    /// Other servers with this server's name.
    rivals: Speakers,
    started: Duration,
    agreed: AgreedStates,
    settled: Vec<CheckVote>,
    /// The last verdicts, and the checks on which they may be others now.
    verdicts: Vec<QuorumVerdict>,
    stale: StaleChecks,
    basis: VerdictBasis,
    /// Own checks that the fleet decides about now and this server does not see.
    unseen: usize,
    groups: GroupCount,
    /// The number of groups that this server knows, and how often it was another one.
    known_groups: u16,
    group_changes: u64,
    dissents: DissentLog,
    pace: PublishPace,
}

/// Who counted when verdicts were made, by name and group, and whether that was enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct VerdictBasis {
    voters: Vec<(String, String)>,
    is_enough: bool,
}

/// When views are published.
#[derive(Debug, Clone, Copy, Default)]
struct PublishPace {
    last: Option<Duration>,
    /// Something changed since then.
    has_news: bool,
    /// The blocks that were spelled out then.
    spelled: DigestRanges,
    /// The number of groups that were known then.
    known_groups: u16,
}

impl FleetMember {
    /// A server that begins at `now`. The epoch is a random number.
    pub fn new(settings: MemberSettings, epoch: u64, now: Duration) -> FleetMember {
        FleetMember {
            settings,
            epoch,
            sequence: 0,
            list: CheckList::default(),
            own: Vec::new(),
            regions: Vec::new(),
            announcement: None,
            board: ViewBoard::default(),
            rivals: Speakers::default(),
            started: now,
            agreed: AgreedStates::default(),
            settled: Vec::new(),
            verdicts: Vec::new(),
            stale: StaleChecks::default(),
            basis: VerdictBasis::default(),
            unseen: 0,
            groups: GroupCount::default(),
            known_groups: 0,
            group_changes: 0,
            dissents: DissentLog::default(),
            pace: PublishPace::default(),
        }
    }

    /// Goes on with what was agreed before a restart, and knows the groups that were heard then.
    pub fn recall(&mut self, memory: &VoteMemory, now: Duration) {
        self.agreed.recall(&memory.up, true);
        self.agreed.recall(&memory.down, false);
        self.board.recall(&memory.groups, now);
        self.note_groups();
    }

    /// What is to outlive a restart.
    pub fn memory(&self, now: Duration) -> VoteMemory {
        VoteMemory {
            fleet: self.settings.fleet.clone(),
            up: self.agreed.all_in(true),
            down: self.agreed.all_in(false),
            groups: self.board.group_ages(now),
        }
    }

    /// Rises when [`FleetMember::memory`] has other verdicts, or more or fewer groups.
    pub fn memory_changes(&self) -> u64 {
        self.agreed.changes() + self.group_changes
    }

    /// Who this server is.
    pub fn settings(&self) -> &MemberSettings {
        &self.settings
    }

    /// Takes the own votes, by the digest of each check, sorted.
    pub fn set_votes(&mut self, votes: &BTreeMap<u64, CheckVote>) {
        let digests = votes.keys().take(MOST_CHECKS);
        if !digests.eq(self.list.digests()) {
            self.take_list(CheckList::new(votes.keys().copied().collect()));
        }
        let own: Vec<CheckVote> = votes.values().take(MOST_CHECKS).copied().collect();
        if own != self.own {
            self.stale.add_changes(&self.own, &own);
            self.own = own;
            self.pace.has_news = true;
        }
    }

    fn take_list(&mut self, list: CheckList) {
        self.agreed.keep(list.digests());
        self.board.realign(&list, &mut self.stale);
        self.list = list;
        self.settled.clear();
        self.verdicts.clear();
        self.pace.has_news = true;
    }

    /// Takes what is measured of each region. It is published with the next view.
    pub fn set_regions(&mut self, regions: Vec<RegionFigures>) {
        self.regions = regions;
    }

    /// Takes what the announcer of this server does; `None`: nothing is known of one.
    pub fn set_announcement(&mut self, announcement: Option<AnnounceState>) {
        if announcement != self.announcement {
            self.announcement = announcement;
            self.pace.has_news = true;
        }
    }

    /// Takes a message that arrived at `now` on the subject of a voter. Returns whether
    /// [`FleetMember::decide`] may now decide otherwise.
    ///
    /// # Errors
    /// The message is no view that counts. Nothing has changed, except that a name that turns out to
    /// be used twice no longer counts.
    pub fn hear(&mut self, now: Duration, subject: &str, octets: &[u8]) -> Result<bool, HearError> {
        let fleet = &self.settings.fleet;
        let read = VoterView::read_beside(octets, fleet, |voter| self.board.blocks_of(voter))?;
        let view = &read.view;
        if view.voter != subject {
            return Err(HearError::OtherVoter {
                subject: subject.to_owned(),
                voter: view.voter.clone(),
            });
        }
        if view.voter == self.settings.voter {
            return self.hear_own_name(now, view);
        }
        let changed = self.board.hear(now, read, &self.list, &mut self.stale)?;
        if self.board.differing(now) != self.pace.spelled {
            self.pace.has_news = true;
        }
        self.note_groups();
        Ok(changed)
    }

    /// A view under the own name: the own one, which the engine sends back, or a rival's.
    fn hear_own_name(&mut self, now: Duration, view: &VoterView) -> Result<bool, HearError> {
        if view.epoch == self.epoch {
            return Ok(false);
        }
        let heard = self.rivals.hear(now, view.epoch, view.sequence);
        if self.is_disputed(now) {
            return Err(HearError::TwoServers {
                voter: view.voter.clone(),
            });
        }
        heard.map(|()| false)
    }

    /// Whether another server has this server's name, so that its votes do not count.
    pub fn is_disputed(&self, now: Duration) -> bool {
        self.rivals.go_on_beside(self.started, now)
    }

    fn note_groups(&mut self) {
        let known = self.board.known_groups(&self.settings.group);
        self.pace.has_news |= known != self.pace.known_groups;
        let before = std::mem::replace(&mut self.known_groups, known);
        self.group_changes += u64::from(known != before);
    }

    /// The verdict on every check, in the order of [`FleetMember::settled`].
    pub fn verdicts(&self, now: Duration) -> Vec<QuorumVerdict> {
        let views = self.views(now);
        quorum::decide(self.settings.quorum, &views, self.list.digests().len())
    }

    /// The verdicts of the last decision.
    pub fn decided(&self) -> &[QuorumVerdict] {
        &self.verdicts
    }

    /// Decides about every check, and returns whether a settled vote has changed.
    pub fn decide(&mut self, now: Duration) -> bool {
        self.board.forget(now);
        self.note_groups();
        self.note_basis(now);
        let checks = self.list.digests().len();
        let stale = self.stale.take(checks);
        let mut changed = self.settled.len() != checks;
        self.settled.resize(checks, CheckVote::Absent);
        self.verdicts.resize(checks, QuorumVerdict::Undecided);
        for (place, verdict) in self.verdicts_on(&stale, now) {
            changed |= self.settle(place, verdict);
        }
        self.count_unseen();
        self.note_dissents(&stale, now);
        changed
    }

    /// Notes who counts now. If these are others than last, every verdict may be another one.
    fn note_basis(&mut self, now: Duration) {
        self.groups = GroupCount::of(&self.views(now));
        let mut basis = VerdictBasis {
            voters: Vec::with_capacity(self.basis.voters.len()),
            is_enough: self.has_quorum(),
        };
        for (name, voter) in self.board.voters().filter(|(_, voter)| voter.counts(now)) {
            basis
                .voters
                .push((name.to_owned(), voter.view.group.clone()));
        }
        if !self.is_disputed(now) {
            let MemberSettings { voter, group, .. } = &self.settings;
            basis.voters.push((voter.clone(), group.clone()));
        }
        if basis != self.basis || self.dissents.is_full() {
            self.stale.add_all();
            self.basis = basis;
        }
    }

    /// The verdicts on stale checks, by place.
    fn verdicts_on(&self, stale: &StaleChecks, now: Duration) -> Vec<(usize, QuorumVerdict)> {
        let mut verdicts = Vec::with_capacity(stale.places.len());
        if stale.places.is_empty() {
            return verdicts;
        }
        let votes = GroupedVotes::of(self.settings.quorum, &self.views(now));
        for place in &stale.places {
            verdicts.push((*place, votes.verdict(*place)));
        }
        verdicts
    }

    /// Settles a verdict, and returns whether the vote is another one now.
    fn settle(&mut self, place: usize, verdict: QuorumVerdict) -> bool {
        let (digest, own) = (self.list.digests().get(place), self.own.get(place));
        let known = (self.verdicts.get_mut(place), self.settled.get_mut(place));
        let (Some(digest), Some(own), (Some(last), Some(settled))) = (digest, own, known) else {
            return false;
        };
        *last = verdict;
        let vote = self.agreed.settle(*digest, verdict, *own);
        std::mem::replace(settled, vote) != vote
    }

    fn count_unseen(&mut self) {
        self.unseen = 0;
        for (verdict, own) in self.verdicts.iter().zip(&self.own) {
            let is_decided = *verdict != QuorumVerdict::Undecided;
            self.unseen += usize::from(is_decided && !own.is_clear());
        }
    }

    /// The views that count now, with the own.
    fn views(&self, now: Duration) -> Vec<FreshView<'_>> {
        let mut views = self.board.fresh_views(now);
        if !self.is_disputed(now) {
            views.push(FreshView {
                group: &self.settings.group,
                known_groups: usize::from(self.known_groups),
                votes: &self.own,
            });
        }
        views
    }

    fn note_dissents(&mut self, stale: &StaleChecks, now: Duration) {
        if stale.places.is_empty() && !stale.are_all {
            return;
        }
        let mut voters = Vec::new();
        for (name, voter) in self.board.voters().filter(|(_, voter)| voter.is_fresh(now)) {
            voters.push((name, voter.aligned.votes.as_slice()));
        }
        voters.push((self.settings.voter.as_str(), self.own.as_slice()));
        let (digests, settled) = (self.list.digests(), self.settled.as_slice());
        self.dissents.note(now, stale, digests, &voters, settled);
    }

    /// The settled vote on every check, by digest, in rising order.
    pub fn settled(&self) -> impl Iterator<Item = (u64, CheckVote)> {
        self.list
            .digests()
            .iter()
            .copied()
            .zip(self.settled.iter().copied())
    }

    /// The settled vote on one check; `None`: this server does not have it, or nothing was decided yet.
    pub fn settled_on(&self, check: u64) -> Option<CheckVote> {
        let at = self.list.digests().binary_search(&check).ok()?;
        self.settled.get(at).copied()
    }

    /// The own votes, in the order of [`FleetMember::settled`].
    pub fn own_votes(&self) -> &[CheckVote] {
        &self.own
    }

    /// The number of own checks.
    pub fn checks(&self) -> usize {
        self.own.len()
    }

    /// Own checks that the fleet decided about last while this server saw nothing of them, such as one
    /// whose monitor suspects itself.
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// How many groups decided last, and of how many.
    pub fn groups(&self) -> GroupCount {
        self.groups
    }

    /// Whether so many groups may decide.
    pub fn has_quorum(&self) -> bool {
        self.groups.is_enough(self.settings.quorum.min_groups)
    }

    /// Every voter that says something else than the fleet, and since when.
    pub fn dissents(&self) -> &BTreeMap<DissentKey, Duration> {
        self.dissents.since()
    }

    /// What each voter whose view counts says about a check, the own vote last: voter, group, vote.
    /// Voters that do not have the check, or cannot be read, are left out.
    pub fn votes_on(&self, check: u64, now: Duration) -> Vec<(&str, &str, CheckVote)> {
        let Ok(at) = self.list.digests().binary_search(&check) else {
            return Vec::new();
        };
        let mut votes = Vec::new();
        for (name, voter) in self.board.voters() {
            let vote = voter.aligned.votes.get(at).copied().unwrap_or_default();
            let is_said = !matches!(vote, CheckVote::Absent | CheckVote::Unread);
            if is_said && voter.is_fresh(now) {
                votes.push((name, voter.view.group.as_str(), vote));
            }
        }
        let MemberSettings { voter, group, .. } = &self.settings;
        votes.push((voter, group, self.own.get(at).copied().unwrap_or_default()));
        votes
    }

    /// The other voters.
    pub fn board(&self) -> &ViewBoard {
        &self.board
    }

    /// Epoch and sequence of every view that counts now, the own included, sorted.
    pub fn fresh_marks(&self, now: Duration) -> Vec<(u64, u64)> {
        let mut marks = vec![self.mark()];
        for (_, voter) in self.board.voters() {
            if voter.counts(now) {
                marks.push((voter.view.epoch, voter.view.sequence));
            }
        }
        marks.sort_unstable();
        marks
    }

    /// Epoch and sequence of the last view that was published.
    pub fn mark(&self) -> (u64, u64) {
        (self.epoch, self.sequence)
    }

    /// Whether the last view that was published says all that there is to say.
    pub fn is_published(&self) -> bool {
        self.pace.last.is_some() && !self.pace.has_news
    }

    /// Publishes at the next occasion, because others may not have heard the last view.
    pub fn speak_again(&mut self) {
        self.pace.has_news = true;
    }

    /// When the next view is due.
    pub fn next_due(&self) -> Duration {
        match self.pace.last {
            None => Duration::ZERO,
            Some(last) if self.pace.has_news => last + SOONEST,
            Some(last) => last + REGULAR,
        }
    }

    /// When [`FleetMember::decide`] must be called though nothing arrives.
    pub fn next_expiry(&self, now: Duration) -> Duration {
        self.board.next_expiry(now).unwrap_or(now + FRESH)
    }

    /// The view to publish now.
    pub fn next_view(&mut self, now: Duration) -> Vec<u8> {
        self.sequence += 1;
        self.pace = PublishPace {
            last: Some(now),
            has_news: false,
            spelled: self.board.differing(now),
            known_groups: self.board.known_groups(&self.settings.group),
        };
        VoterView {
            fleet: self.settings.fleet.clone(),
            voter: self.settings.voter.clone(),
            group: self.settings.group.clone(),
            epoch: self.epoch,
            sequence: self.sequence,
            known_groups: self.pace.known_groups,
            bits: self.list.bits(),
            blocks: self.list.blocks(&self.own, &self.pace.spelled).into(),
            regions: self.regions.clone(),
            announcement: self.announcement,
        }
        .write()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fleet::testing;
    use crate::health::quorum::QuorumRule;

    fn member(voter: &str, vote: CheckVote) -> FleetMember {
        member_with(voter, 0, &[vote; 4])
    }

    /// A member whose checks have the numbers from `first` on.
    fn member_with(voter: &str, first: u64, votes: &[CheckVote]) -> FleetMember {
        let settings = MemberSettings {
            fleet: "world".into(),
            voter: voter.into(),
            group: voter.into(),
            quorum: QuorumSettings {
                rule: QuorumRule::Majority,
                min_groups: 1,
            },
        };
        let mut member = FleetMember::new(settings, testing::spread(1), Duration::ZERO);
        let checks = (first..).map(testing::spread);
        member.set_votes(&checks.zip(votes.iter().copied()).collect());
        member
    }

    /// All hear all, twice: what differs is spelled out in the second round.
    fn talk(members: &mut [FleetMember], now: Duration) {
        for round in 0..2 {
            let at = now + Duration::from_millis(round * 200);
            for speaker in 0..members.len() {
                let name = members[speaker].settings().voter.clone();
                let view = members[speaker].next_view(at);
                for listener in members.iter_mut() {
                    let _ = listener.hear(at, &name, &view);
                }
            }
        }
    }

    fn any_vote() -> impl Strategy<Value = CheckVote> {
        prop::sample::select(vec![CheckVote::Up, CheckVote::Down, CheckVote::Unknown])
    }

    proptest! {
        #[test]
        fn strangers_have_no_effect_on_verdicts_and_groups(
            own in prop::collection::vec([any_vote(), any_vote()], 1..5),
            strangers in prop::collection::vec([any_vote(), any_vote()], 1..5),
            silent in 0usize..5,
        ) {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            for (at, votes) in own.iter().enumerate() {
                with.push(member_with(&format!("own{at}"), 0, votes));
            }
            without.extend(with.iter().cloned());
            for (at, votes) in strangers.iter().enumerate() {
                with.push(member_with(&format!("other{at}"), 100, votes));
            }
            talk(&mut with, Duration::ZERO);
            talk(&mut without, Duration::ZERO);
            // Some of the own fleet fall silent, and the strangers go on.
            let stay = own.len().saturating_sub(silent).max(1);
            with.drain(stay..own.len());
            without.drain(stay..);
            let later = Duration::from_secs(5);
            talk(&mut with, later);
            talk(&mut without, later);
            let now = later + Duration::from_secs(1);
            for (alone, disturbed) in without.iter_mut().zip(&mut with) {
                alone.decide(now);
                disturbed.decide(now);
                prop_assert_eq!(alone.groups(), disturbed.groups());
                prop_assert_eq!(alone.verdicts(now), disturbed.verdicts(now));
                prop_assert!(alone.settled().eq(disturbed.settled()));
            }
        }
    }

    #[test]
    fn who_had_a_check_in_common_is_no_stranger_with_new_definitions() {
        let mut members = [member("a", CheckVote::Up), member("b", CheckVote::Up)];
        talk(&mut members, Duration::ZERO);
        let votes = (100..104).map(|check| (testing::spread(check), CheckVote::Up));
        members[1].set_votes(&votes.collect());
        talk(&mut members, Duration::from_secs(1));
        let (name, voter) = members[0].board().voters().next().unwrap();
        assert_eq!((name, voter.aligned.shared), ("b", 0));
        assert!(!voter.is_stranger());
        members[0].decide(Duration::from_secs(2));
        assert_eq!(members[0].groups().known, 2);
    }

    #[test]
    fn checks_that_only_others_see_are_counted_while_others_decide() {
        let mut own = member("c", CheckVote::Unknown);
        own.decide(Duration::ZERO);
        assert_eq!(own.unseen(), 0, "nobody decides");
        for voter in ["a", "b"] {
            let view = member(voter, CheckVote::Up).next_view(Duration::ZERO);
            own.hear(Duration::ZERO, voter, &view).unwrap();
        }
        own.decide(Duration::from_secs(1));
        assert_eq!((own.unseen(), own.checks()), (4, 4));
        own.decide(Duration::from_secs(9));
        assert_eq!(own.unseen(), 0, "the others are silent");
    }

    #[test]
    fn what_the_announcer_does_is_told_with_the_next_view() {
        let mut own = member("c", CheckVote::Up);
        own.next_view(Duration::ZERO);
        assert!(own.is_published());
        own.set_announcement(Some(AnnounceState::Held));
        assert!(!own.is_published());
        let octets = own.next_view(Duration::from_secs(1));
        let view = VoterView::read(&octets, "world").unwrap();
        assert_eq!(view.announcement, Some(AnnounceState::Held));
        own.set_announcement(Some(AnnounceState::Held));
        assert!(own.is_published());
    }
}

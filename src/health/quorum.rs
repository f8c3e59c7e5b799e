//! The quorum: what several vantage points together say about a check.
//!
//! Every server of a fleet probes by itself and publishes its view. [`decide`] turns the fresh views
//! into one verdict for each check, so that one bad uplink sends no clients elsewhere. It is a pure
//! function of the views and the settings, and follows these laws, each with a test:
//!
//! 1. The same views give the same verdicts, in whatever order they arrived.
//! 2. A vantage group has one vote, however many voters it has: that of the majority of its voters.
//! 3. By [`QuorumRule::Majority`], most of the groups that see a check up or down decide. A group
//!    that says the opposite of all others changes nothing, if there are at least two others.
//! 4. A tie decides nothing. Neither do too few groups: fewer than half of those that are known, or
//!    fewer than half of those that have the check. A vote that cannot be read yet counts either way.
//! 5. A view without the check, or with another definition of it, does not count.
//! 6. Another voter that sees a check up never turns a verdict from up to down.
//!
//! What decides nothing holds what was agreed last ([`AgreedStates`]); before the first agreement, a
//! server's own view counts.

use std::collections::{BTreeMap, HashMap};

use super::machine::HealthState;

/// What one voter says about one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CheckVote {
    /// The voter does not have the check, or another definition of it.
    #[default]
    Absent,
    /// The voter has other checks than the reader, and has not spelled out yet whether it has this
    /// one.
    Unread,
    /// The voter has the check, but does not know the state: it has no result, or it suspects its
    /// own network.
    Unknown,
    /// The endpoint serves, perhaps with warnings.
    Up,
    /// The endpoint does not serve.
    Down,
}

impl CheckVote {
    /// The vote for an agreed state. A state that is only held is no evidence.
    pub fn of(state: HealthState, is_held: bool) -> CheckVote {
        match state {
            _ if is_held => CheckVote::Unknown,
            HealthState::Unknown => CheckVote::Unknown,
            HealthState::Up | HealthState::Degraded => CheckVote::Up,
            HealthState::Down => CheckVote::Down,
        }
    }

    /// Whether it says up or down.
    pub fn is_clear(self) -> bool {
        matches!(self, CheckVote::Up | CheckVote::Down)
    }
}

/// How many groups must say that an endpoint is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum QuorumRule {
    /// More than half of the groups that say up or down.
    #[default]
    Majority,
    /// At least this share of them, in percent, 1..=100.
    Percent(u8),
    /// At least this many of them, or all if they are fewer.
    Count(u16),
}

/// When the votes of a fleet decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuorumSettings {
    /// How many groups must say up.
    pub rule: QuorumRule,
    /// With fewer fresh groups, nothing is decided; 0 means 1.
    pub min_groups: usize,
}

/// The fresh view of one voter.
#[derive(Debug, Clone, Copy)]
pub struct FreshView<'v> {
    /// The vantage group of the voter.
    pub group: &'v str,
    /// How many groups the voter has heard lately, its own included.
    pub known_groups: usize,
    /// By check, in the order of the server that decides. Missing votes are absent.
    pub votes: &'v [CheckVote],
}

/// What the quorum says about a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuorumVerdict {
    /// Enough groups see it up.
    Up,
    /// Too few groups see it up.
    Down,
    /// Nothing is decided: what was agreed last holds.
    Undecided,
}

/// How many groups speak, and of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupCount {
    /// The groups with a fresh view.
    pub fresh: usize,
    /// The groups that most voters have heard lately.
    pub known: usize,
}

impl GroupCount {
    /// Counts the groups of the fresh views.
    ///
    /// Every view says how many groups its voter has heard lately. The middle one of these numbers
    /// counts, so a single voter that lies or has just started does not change it.
    pub fn of(views: &[FreshView<'_>]) -> GroupCount {
        let mut claims: BTreeMap<&str, usize> = BTreeMap::new();
        for view in views {
            let claim = claims.entry(view.group).or_default();
            *claim = view.known_groups.max(*claim);
        }
        let mut numbers: Vec<usize> = claims.into_values().collect();
        numbers.sort_unstable();
        let fresh = numbers.len();
        let middle = numbers.get(fresh / 2).copied().unwrap_or_default();
        GroupCount {
            fresh,
            known: middle.max(fresh),
        }
    }

    /// Whether so many groups may decide: at least half of those known, and `min_groups`.
    pub fn is_enough(self, min_groups: usize) -> bool {
        self.fresh >= min_groups.max(1) && self.fresh * 2 >= self.known
    }
}

/// The verdicts on the first `checks` checks of these views.
pub fn decide(
    settings: QuorumSettings,
    views: &[FreshView<'_>],
    checks: usize,
) -> Vec<QuorumVerdict> {
    let votes = GroupedVotes::of(settings, views);
    let mut verdicts = Vec::with_capacity(checks);
    for check in 0..checks {
        verdicts.push(votes.verdict(check));
    }
    verdicts
}

/// The views by group, to decide about single checks.
pub struct GroupedVotes<'v> {
    rule: QuorumRule,
    is_enough: bool,
    groups: Vec<Vec<&'v [CheckVote]>>,
}

impl<'v> GroupedVotes<'v> {
    /// Groups these views.
    pub fn of(settings: QuorumSettings, views: &[FreshView<'v>]) -> GroupedVotes<'v> {
        let mut groups: BTreeMap<&str, Vec<&[CheckVote]>> = BTreeMap::new();
        for view in views {
            groups.entry(view.group).or_default().push(view.votes);
        }
        GroupedVotes {
            rule: settings.rule,
            is_enough: GroupCount::of(views).is_enough(settings.min_groups),
            groups: groups.into_values().collect(),
        }
    }

    /// The verdict on the check in this place.
    pub fn verdict(&self, check: usize) -> QuorumVerdict {
        if !self.is_enough {
            return QuorumVerdict::Undecided;
        }
        let mut tally = VoteTally::default();
        for voters in &self.groups {
            tally.add(group_vote(voters, check));
        }
        tally.verdict(self.rule)
    }
}

/// The vote of a group: up or down by the majority of its voters that say so; a tie is unknown.
fn group_vote(voters: &[&[CheckVote]], check: usize) -> CheckVote {
    let mut tally = VoteTally::default();
    for votes in voters {
        tally.add(votes.get(check).copied().unwrap_or_default());
    }
    let clear = tally.up + tally.down;
    if clear + tally.unknown + tally.unread == 0 {
        CheckVote::Absent
    } else if tally.unread > 0 && tally.unread >= tally.up.abs_diff(tally.down) {
        CheckVote::Unread
    } else if tally.up > tally.down {
        CheckVote::Up
    } else if tally.down > tally.up {
        CheckVote::Down
    } else {
        CheckVote::Unknown
    }
}

/// How often each vote was given.
#[derive(Debug, Clone, Copy, Default)]
struct VoteTally {
    up: usize,
    down: usize,
    unknown: usize,
    unread: usize,
}

impl VoteTally {
    fn add(&mut self, vote: CheckVote) {
        match vote {
            CheckVote::Absent => {}
            CheckVote::Unread => self.unread += 1,
            CheckVote::Unknown => self.unknown += 1,
            CheckVote::Up => self.up += 1,
            CheckVote::Down => self.down += 1,
        }
    }

    /// The verdict. Votes that cannot be read yet decide nothing, so it must be the same whatever
    /// they are.
    fn verdict(self, rule: QuorumRule) -> QuorumVerdict {
        let clear = self.up + self.down;
        if clear == 0 || clear < self.unknown + self.unread {
            return QuorumVerdict::Undecided;
        }
        let verdict = by_rule(rule, self.up, self.down);
        let at_best = by_rule(rule, self.up + self.unread, self.down);
        let at_worst = by_rule(rule, self.up, self.down + self.unread);
        if verdict == at_best && verdict == at_worst {
            verdict
        } else {
            QuorumVerdict::Undecided
        }
    }
}

/// The verdict by the number of groups that say up and down.
fn by_rule(rule: QuorumRule, up: usize, down: usize) -> QuorumVerdict {
    let clear = up + down;
    let is_up = match rule {
        QuorumRule::Majority if up == down => return QuorumVerdict::Undecided,
        QuorumRule::Majority => up > down,
        QuorumRule::Percent(percent) => up > 0 && up * 100 >= clear * usize::from(percent),
        QuorumRule::Count(count) => up > 0 && up >= usize::from(count).min(clear),
    };
    if is_up {
        QuorumVerdict::Up
    } else {
        QuorumVerdict::Down
    }
}

/// What was agreed last about each check, by the digest of the check's definition.
#[derive(Debug, Clone, Default)]
pub struct AgreedStates {
    states: HashMap<u64, bool>,
    changes: u64,
}

impl AgreedStates {
    /// Notes a verdict, and returns the vote that counts now: the verdict; if it is undecided, what
    /// was agreed last; before the first agreement, the server's own vote.
    pub fn settle(&mut self, check: u64, verdict: QuorumVerdict, own: CheckVote) -> CheckVote {
        let agreed = match verdict {
            QuorumVerdict::Up => Some(true),
            QuorumVerdict::Down => Some(false),
            QuorumVerdict::Undecided => self.states.get(&check).copied(),
        };
        let Some(is_up) = agreed else { return own };
        let before = self.states.insert(check, is_up);
        self.changes += u64::from(before != Some(is_up));
        if is_up {
            CheckVote::Up
        } else {
            CheckVote::Down
        }
    }

    /// Forgets all checks but these, which are sorted.
    pub fn keep(&mut self, checks: &[u64]) {
        self.states
            .retain(|check, _| checks.binary_search(check).is_ok());
    }

    /// Takes what was agreed before a restart about these checks.
    pub fn recall(&mut self, checks: &[u64], is_up: bool) {
        for check in checks {
            self.states.insert(*check, is_up);
        }
    }

    /// The checks that were agreed last to be in this state, sorted.
    pub fn all_in(&self, is_up: bool) -> Vec<u64> {
        let mut checks = Vec::new();
        for (check, state) in &self.states {
            if *state == is_up {
                checks.push(*check);
            }
        }
        checks.sort_unstable();
        checks
    }

    /// How often something else was agreed so far.
    pub fn changes(&self) -> u64 {
        self.changes
    }
}

/// The state that counts, from the own state and the settled vote. It stays the own state where both
/// say the same, so that warnings are kept.
pub fn state_by_vote(own: HealthState, settled: CheckVote) -> HealthState {
    match settled {
        CheckVote::Up if !own.serves() => HealthState::Up,
        CheckVote::Down => HealthState::Down,
        CheckVote::Up | CheckVote::Unknown | CheckVote::Unread | CheckVote::Absent => own,
    }
}

#[cfg(test)]
mod tests;

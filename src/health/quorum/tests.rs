//! The laws of the quorum, one test for each, and what settles when nothing is decided.

use proptest::prelude::*;

use super::CheckVote::{Absent, Down, Unknown, Unread, Up};
use super::*;

/// The verdict on one check by `(group, vote)`; every voter knows all groups.
fn verdict(rule: QuorumRule, votes: &[(&str, CheckVote)]) -> QuorumVerdict {
    let each: Vec<[CheckVote; 1]> = votes.iter().map(|(_, vote)| [*vote]).collect();
    let views: Vec<FreshView<'_>> = votes
        .iter()
        .zip(&each)
        .map(|((group, _), votes)| FreshView {
            group,
            known_groups: 0,
            votes,
        })
        .collect();
    let settings = QuorumSettings {
        rule,
        min_groups: 0,
    };
    decide(settings, &views, 1)[0]
}

fn majority(votes: &[(&str, CheckVote)]) -> QuorumVerdict {
    verdict(QuorumRule::Majority, votes)
}

fn any_vote() -> impl Strategy<Value = CheckVote> {
    prop::sample::select(vec![Absent, Unread, Unknown, Up, Down])
}

fn any_rule() -> impl Strategy<Value = QuorumRule> {
    prop_oneof![
        Just(QuorumRule::Majority),
        (1u8..=100).prop_map(QuorumRule::Percent),
        (1u16..8).prop_map(QuorumRule::Count),
    ]
}

fn any_votes() -> impl Strategy<Value = Vec<(&'static str, CheckVote)>> {
    let group = prop::sample::select(vec!["a", "b", "c", "d", "e"]);
    prop::collection::vec((group, any_vote()), 0..12)
}

proptest! {
    #[test]
    fn law_1_the_order_of_views_does_not_matter(
        rule in any_rule(),
        (votes, shuffled) in any_votes().prop_flat_map(|votes| {
            (Just(votes.clone()), Just(votes).prop_shuffle())
        }),
    ) {
        prop_assert_eq!(verdict(rule, &votes), verdict(rule, &shuffled));
    }

    #[test]
    fn law_2_a_group_of_many_votes_like_a_group_of_one(
        rule in any_rule(),
        votes in prop::collection::vec(any_vote(), 1..5),
        copies in 1usize..5,
    ) {
        let names = ["a", "b", "c", "d", "e"];
        let one: Vec<_> = names.into_iter().zip(votes.iter().copied()).collect();
        let mut many = one.clone();
        for _ in 1..copies {
            many.push(one[0]);
        }
        prop_assert_eq!(verdict(rule, &one), verdict(rule, &many));
    }

    #[test]
    fn law_3_one_group_against_all_others_changes_nothing(
        others in 2usize..20,
        truth in prop::sample::select(vec![Up, Down]),
        lie in any_vote(),
    ) {
        let names: Vec<String> = (0..=others).map(|at| format!("g{at}")).collect();
        let mut votes: Vec<(&str, CheckVote)> =
            names.iter().map(|name| (name.as_str(), truth)).collect();
        let honest = majority(&votes);
        votes[0].1 = lie;
        prop_assert_eq!(majority(&votes), honest);
    }

    #[test]
    fn law_3_one_group_cannot_change_how_many_are_known(
        others in 2usize..20,
        known in 0usize..30,
        lie in any::<u16>(),
    ) {
        let names: Vec<String> = (0..=others).map(|at| format!("g{at}")).collect();
        let mut views: Vec<FreshView<'_>> = Vec::new();
        for name in &names {
            views.push(FreshView { group: name, known_groups: known, votes: &[] });
        }
        let honest = GroupCount::of(&views);
        views[0].known_groups = usize::from(lie);
        prop_assert_eq!(GroupCount::of(&views), honest);
    }

    #[test]
    fn law_5_absent_votes_do_not_count(rule in any_rule(), votes in any_votes()) {
        let present: Vec<_> = votes.iter().copied().filter(|(_, vote)| *vote != Absent).collect();
        prop_assert_eq!(verdict(rule, &votes), verdict(rule, &present));
    }

    #[test]
    fn law_6_another_voter_that_says_up_takes_nothing_down(
        rule in any_rule(),
        votes in any_votes(),
        group in prop::sample::select(vec!["a", "b", "c", "d", "e", "f"]),
    ) {
        let mut more = votes.clone();
        more.push((group, Up));
        if verdict(rule, &votes) == QuorumVerdict::Up {
            prop_assert_ne!(verdict(rule, &more), QuorumVerdict::Down);
        }
    }

    #[test]
    fn settling_keeps_what_was_agreed_until_it_is_agreed_otherwise(
        steps in prop::collection::vec((0u8..3, any_vote()), 1..40),
    ) {
        let mut agreed = AgreedStates::default();
        let mut last = None;
        for (verdict, own) in steps {
            let (verdict, now) = match verdict {
                0 => (QuorumVerdict::Up, Some(Up)),
                1 => (QuorumVerdict::Down, Some(Down)),
                _ => (QuorumVerdict::Undecided, last),
            };
            last = now;
            prop_assert_eq!(agreed.settle(7, verdict, own), last.unwrap_or(own));
        }
    }
}

#[test]
fn law_3_most_groups_decide() {
    let up = QuorumVerdict::Up;
    let down = QuorumVerdict::Down;
    assert_eq!(majority(&[("a", Up), ("b", Up), ("c", Down)]), up);
    assert_eq!(majority(&[("a", Up), ("b", Down), ("c", Down)]), down);
    assert_eq!(majority(&[("a", Down), ("b", Unknown), ("c", Down)]), down);
    assert_eq!(majority(&[("a", Up)]), up, "a server alone decides as ever");
    assert_eq!(majority(&[("a", Down), ("b", Absent), ("c", Absent)]), down);
    let group_of_three = [("a", Down), ("a", Down), ("a", Down), ("b", Up), ("c", Up)];
    assert_eq!(majority(&group_of_three), up);
}

#[test]
fn law_4_ties_and_too_few_decide_nothing() {
    let undecided = QuorumVerdict::Undecided;
    assert_eq!(majority(&[]), undecided);
    assert_eq!(majority(&[("a", Up), ("b", Down)]), undecided);
    assert_eq!(majority(&[("a", Up), ("a", Down)]), undecided);
    assert_eq!(
        majority(&[("a", Down), ("b", Unknown), ("c", Unknown)]),
        undecided
    );
    assert_eq!(majority(&[("a", Up), ("b", Unread)]), undecided);
    assert_eq!(
        majority(&[("a", Up), ("b", Up), ("c", Unread)]),
        QuorumVerdict::Up
    );
    for (known, min_groups, is_enough) in [(2, 0, true), (4, 2, true), (4, 3, false), (5, 0, false)]
    {
        let votes = [Up];
        let views = ["a", "b"].map(|group| FreshView {
            group,
            known_groups: known,
            votes: &votes,
        });
        let settings = QuorumSettings {
            min_groups,
            ..QuorumSettings::default()
        };
        let expected = if is_enough {
            QuorumVerdict::Up
        } else {
            undecided
        };
        assert_eq!(decide(settings, &views, 1), [expected], "2 of {known}");
    }
}

#[test]
fn shares_and_counts_say_how_many_must_see_it_up() {
    let six = ["a", "b", "c", "d", "e", "f"];
    for (rule, needed) in [
        (QuorumRule::Percent(18), 2),
        (QuorumRule::Percent(50), 3),
        (QuorumRule::Percent(100), 6),
        (QuorumRule::Percent(1), 1),
        (QuorumRule::Count(2), 2),
        (QuorumRule::Count(9), 6),
    ] {
        for up in 0..=6 {
            let votes: Vec<_> = six
                .iter()
                .enumerate()
                .map(|(at, group)| (*group, if at < up { Up } else { Down }))
                .collect();
            let expected = if up >= needed {
                QuorumVerdict::Up
            } else {
                QuorumVerdict::Down
            };
            assert_eq!(verdict(rule, &votes), expected, "{rule:?} with {up} of 6");
        }
    }
}

#[test]
fn what_the_monitor_only_holds_is_no_vote() {
    assert_eq!(CheckVote::of(HealthState::Up, true), Unknown);
    assert_eq!(CheckVote::of(HealthState::Degraded, false), Up);
    assert_eq!(CheckVote::of(HealthState::Unknown, false), Unknown);
    assert_eq!(CheckVote::of(HealthState::Down, false), Down);
    assert_eq!(
        state_by_vote(HealthState::Degraded, Up),
        HealthState::Degraded
    );
    assert_eq!(state_by_vote(HealthState::Down, Up), HealthState::Up);
    assert_eq!(state_by_vote(HealthState::Unknown, Down), HealthState::Down);
    assert_eq!(state_by_vote(HealthState::Down, Unknown), HealthState::Down);
}

//! Tests of the decision: what each rule says, and what no sequence of rounds can break.
//!
//! The last ones play several servers whose views reach each other late.

use proptest::prelude::*;

use super::*;
use crate::fleet::announcement::AnnounceCount;
use AnnounceState::{Announced, Doubtful, Held, Withdrawn};

fn rules() -> AnnounceRules {
    AnnounceRules {
        fall: 3,
        rise: 5,
        pause: Duration::from_secs(30),
        keep: 1,
        outvoted: 0.5,
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn round(answers: bool, fleet: Option<FleetFacts>) -> RoundFacts {
    let answers = if answers {
        Ok(())
    } else {
        Err("no answer".to_owned())
    };
    RoundFacts { answers, fleet }
}

fn fleet(outvoted: usize, announcing: usize, staying: usize) -> Option<FleetFacts> {
    Some(FleetFacts {
        checks: 10,
        outvoted,
        announcing,
        staying,
    })
}

/// Plays rounds of a second each from `start`; the state after each.
fn play(decision: &mut AnnounceDecision, start: u64, rounds: &[RoundFacts]) -> Vec<AnnounceState> {
    let mut states = Vec::new();
    for (second, facts) in (start..).zip(rounds) {
        decision.step(at(second), facts);
        states.push(decision.state());
    }
    states
}

#[test]
fn it_begins_after_rise_rounds_ends_after_fall_and_waits_before_it_begins_again() {
    let mut decision = AnnounceDecision::new(rules());
    assert_eq!(decision.is_announcing(), None, "routes stay as they are");
    let good = vec![round(true, None); 5];
    assert_eq!(play(&mut decision, 0, &good)[3..], [Withdrawn, Announced]);
    let bad = vec![round(false, None); 3];
    let states = play(&mut decision, 10, &bad);
    assert_eq!(states, [Announced, Announced, Withdrawn]);
    assert!(
        decision.reason().contains("no answer"),
        "{}",
        decision.reason()
    );
    let good = vec![round(true, None); 40];
    let states = play(&mut decision, 13, &good);
    assert_eq!(
        states.iter().position(|state| *state == Announced),
        Some(29)
    );
    // The next pause is twice as long.
    play(&mut decision, 60, &bad);
    let states = play(&mut decision, 63, &vec![round(true, None); 90]);
    assert_eq!(
        states.iter().position(|state| *state == Announced),
        Some(59)
    );
}

#[test]
fn an_announcer_that_starts_beside_a_dead_server_withdraws() {
    let mut decision = AnnounceDecision::new(rules());
    play(&mut decision, 0, &[round(false, None), round(false, None)]);
    assert_eq!(decision.is_announcing(), None);
    play(&mut decision, 2, &[round(false, None)]);
    assert_eq!(decision.is_announcing(), Some(false));
}

#[test]
fn one_round_that_fails_between_good_ones_changes_nothing() {
    let mut decision = AnnounceDecision::new(rules());
    play(&mut decision, 0, &vec![round(true, None); 5]);
    for start in 0..50 {
        let rounds = [round(false, None), round(false, None), round(true, None)];
        let states = play(&mut decision, 10 + start * 3, &rounds);
        assert_eq!(states, [Announced; 3]);
    }
}

#[test]
fn an_outvoted_server_leaves_if_enough_others_stay_and_returns_if_too_few_do() {
    let mut decision = AnnounceDecision::new(rules());
    play(&mut decision, 0, &vec![round(true, fleet(0, 2, 2)); 5]);
    let few = play(&mut decision, 100, &[round(true, fleet(4, 2, 2))]);
    assert_eq!(few, [Announced], "fewer than half of its checks");
    let states = play(&mut decision, 101, &vec![round(true, fleet(5, 2, 2)); 4]);
    assert_eq!(states, [Doubtful, Doubtful, Doubtful, Held]);
    let states = play(&mut decision, 105, &[round(true, fleet(5, 1, 1))]);
    assert_eq!(states, [Held]);
    let states = play(&mut decision, 106, &[round(true, fleet(5, 0, 0))]);
    assert_eq!(states, [Doubtful], "at once, because nobody else is left");
    let states = play(&mut decision, 200, &vec![round(true, fleet(9, 1, 0)); 20]);
    assert_eq!(
        states, [Doubtful; 20],
        "the other one is outvoted too, and comes later"
    );
    let states = play(&mut decision, 300, &[round(true, None)]);
    assert_eq!(states, [Announced], "who hears nobody is not outvoted");
}

#[test]
fn a_server_that_fails_withdraws_though_nobody_else_announces() {
    let mut decision = AnnounceDecision::new(rules());
    play(&mut decision, 0, &vec![round(true, fleet(0, 0, 0)); 5]);
    let states = play(&mut decision, 10, &vec![round(false, fleet(0, 0, 0)); 3]);
    assert_eq!(states[2], Withdrawn);
    let states = play(&mut decision, 13, &vec![round(true, fleet(0, 0, 0)); 5]);
    assert_eq!(
        states[4], Announced,
        "without a pause, because nobody else announces"
    );
}

fn any_facts() -> impl Strategy<Value = RoundFacts> {
    let standing = prop::option::of((0usize..11, 0usize..4, 0usize..4));
    (prop::bool::weighted(0.8), standing).prop_map(|(answers, facts)| {
        let facts = facts.and_then(|(outvoted, announcing, staying)| {
            fleet(outvoted, announcing, staying.min(announcing))
        });
        round(answers, facts)
    })
}

proptest! {
    #[test]
    fn no_sequence_of_rounds_breaks_the_rules(
        rounds in prop::collection::vec(any_facts(), 1..400),
    ) {
        let rules = rules();
        let mut decision = AnnounceDecision::new(rules);
        let (mut good, mut bad, mut left_at) = (0, 0, None);
        for (second, facts) in (0..).zip(&rounds) {
            let before = decision.state();
            decision.step(at(second), facts);
            let state = decision.state();
            if facts.answers.is_ok() { good += 1; bad = 0 } else { bad += 1; good = 0 }
            prop_assert!(!(state.is_announcing() && bad >= rules.fall), "it fails and announces");
            prop_assert!(!(state == Held && bad >= rules.fall), "it fails and could announce");
            let is_short = facts.fleet.is_some_and(|fleet| fleet.announcing < rules.keep);
            if state.is_announcing() && !before.is_announcing() {
                prop_assert!(good >= rules.rise || before == Held);
                prop_assert!(good > 0);
                if let Some(left_at) = left_at {
                    prop_assert!(is_short || second - left_at >= rules.pause.as_secs());
                }
            }
            if before.is_announcing() && !state.is_announcing() {
                left_at = Some(second);
                let stays = facts.fleet.map_or(0, |fleet| fleet.staying);
                prop_assert!(bad >= rules.fall || stays >= rules.keep, "too few are left");
            }
            prop_assert!(!decision.reason().is_empty());
        }
    }

    /// Views reach the others a round later. While every server answers, at least `keep` announce,
    /// however they are outvoted.
    #[test]
    fn while_all_answer_the_minimum_announces(
        servers in 1usize..7,
        keep in 1usize..5,
        doubts in prop::collection::vec(any::<u8>(), 1..120),
        lasting in 1u64..12,
    ) {
        let rules = AnnounceRules { keep, pause: at(2), ..rules() };
        let names: Vec<String> = (0..servers).map(|at| format!("ns{at}")).collect();
        let mut decisions = vec![AnnounceDecision::new(rules); servers];
        let mut told = vec![Withdrawn; servers];
        for second in 0..doubts.len() as u64 * lasting {
            let doubt = doubts[(second / lasting) as usize];
            let before = told.clone();
            for server in 0..servers {
                let mut count = AnnounceCount::default();
                for other in 0..servers {
                    if other != server {
                        count.add(&names[server], &names[other], before[other]);
                    }
                }
                let outvoted = usize::from(second > 10 && doubt >> server & 1 == 1) * 10;
                let facts = fleet(outvoted, count.announcing, count.staying);
                decisions[server].step(at(second), &round(true, facts));
            }
            for server in 0..servers {
                told[server] = decisions[server].state();
            }
            let announcing = told.iter().filter(|state| state.is_announcing()).count();
            prop_assert!(
                second < 10 || announcing >= keep.min(servers),
                "second {second}: {told:?}"
            );
        }
    }
}

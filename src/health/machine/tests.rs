//! The rules of the health state machine, on a simulated clock.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);
const OUTCOMES: [ProbeResult; 3] = [ProbeResult::Pass, ProbeResult::Warn, ProbeResult::Fail];

fn up(rules: HealthRules) -> HealthMachine {
    HealthMachine::resume(rules, HealthState::Up, Duration::ZERO)
}

/// Rule 1, for every sequence of eleven results.
#[test]
fn no_verdict_changes_without_its_row_of_evidence() {
    let rules = HealthRules {
        fall: 2,
        rise: 3,
        ..HealthRules::default()
    };
    for start in [
        HealthState::Unknown,
        HealthState::Up,
        HealthState::Degraded,
        HealthState::Down,
    ] {
        for number in 0..3usize.pow(11) {
            let row: Vec<ProbeResult> = (0..11)
                .map(|place| OUTCOMES[number / 3usize.pow(place) % 3])
                .collect();
            let mut machine = HealthMachine::resume(rules.clone(), start, Duration::ZERO);
            for (index, &outcome) in row.iter().enumerate() {
                let Some(turn) = machine.observe(Duration::from_secs(index as u64), outcome, true)
                else {
                    continue;
                };
                assert_ne!(turn.from, turn.to);
                let seen = &row[..=index];
                let last = |count: usize, wanted: fn(ProbeResult) -> bool| {
                    seen.len() >= count
                        && seen[seen.len() - count..]
                            .iter()
                            .all(|&outcome| wanted(outcome))
                };
                let proved = match (turn.from, turn.to) {
                    (HealthState::Unknown, _) => index == 0,
                    (_, HealthState::Down) => last(2, |outcome| outcome == ProbeResult::Fail),
                    (HealthState::Down, _) => last(3, |outcome| outcome != ProbeResult::Fail),
                    (_, HealthState::Degraded) => last(2, |outcome| outcome == ProbeResult::Warn),
                    (_, _) => last(3, |outcome| outcome == ProbeResult::Pass),
                };
                assert!(proved, "{turn:?} after {seen:?}");
            }
        }
    }
}

/// Time from a failure at `death` until the endpoint is down. `lasts` is the duration of each probe
/// after that.
fn time_to_fall(
    rules: &HealthRules,
    death: Duration,
    jitters: [f64; 2],
    lasts: impl Fn(usize) -> Duration,
) -> Duration {
    let cadence = Cadence {
        interval: rules.interval,
        quick: rules.quick,
        phase: Duration::ZERO,
    };
    let mut machine = up(rules.clone());
    let (mut started, mut failures) = (Duration::ZERO, 0);
    for probe in 0..100 {
        let dead = started >= death;
        let ended = started
            + if dead {
                lasts(failures)
            } else {
                Duration::ZERO
            };
        failures += usize::from(dead);
        let outcome = if dead {
            ProbeResult::Fail
        } else {
            ProbeResult::Pass
        };
        if machine
            .observe(ended, outcome, true)
            .is_some_and(|turn| turn.to == HealthState::Down)
        {
            return ended - death;
        }
        started = cadence.next(machine.pace(), started, ended, jitters[probe % 2]);
    }
    panic!("it never falls");
}

/// Rule 2, for a failure in every millisecond of the interval and every extreme of the jitter.
#[test]
fn a_refusing_endpoint_is_out_within_4_s_and_a_hanging_one_within_10_s() {
    let rules = HealthRules::default();
    let (mut refused, mut hanging) = (Duration::ZERO, Duration::ZERO);
    for death in 1..6_000 {
        for jitters in [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.5, 0.3]] {
            let death = MILLISECOND * death;
            refused = refused.max(time_to_fall(&rules, death, jitters, |_| MILLISECOND));
            hanging = hanging.max(time_to_fall(&rules, death, jitters, |_| rules.timeout));
            // Each failure may be quick or slow.
            for pattern in 0..8usize {
                let lasts = |failure: usize| {
                    if pattern >> failure & 1 == 1 {
                        rules.timeout
                    } else {
                        MILLISECOND
                    }
                };
                assert!(time_to_fall(&rules, death, jitters, lasts) <= Duration::from_secs(10));
            }
        }
    }
    assert!(refused <= Duration::from_secs(4), "{refused:?}");
    assert!(hanging <= Duration::from_secs(10), "{hanging:?}");
    assert!(
        refused > Duration::from_secs(3) && hanging > Duration::from_secs(9),
        "the test finds the worst case"
    );
}

/// Counts the state changes of a target over `duration`, with probe results from `result`.
fn changes(
    rules: &HealthRules,
    duration: Duration,
    mut result: impl FnMut(&HealthMachine) -> ProbeResult,
) -> usize {
    let cadence = Cadence {
        interval: rules.interval,
        quick: rules.quick,
        phase: Duration::ZERO,
    };
    let mut machine = up(rules.clone());
    let (mut now, mut changes) = (Duration::ZERO, 0);
    while now < duration {
        let outcome = result(&machine);
        changes += usize::from(machine.observe(now, outcome, true).is_some());
        now = cadence.next(machine.pace(), now, now, 0.0);
    }
    changes
}

#[test]
fn failing_every_other_probe_changes_at_most_once() {
    let mut fails = false;
    let result = |_: &HealthMachine| {
        fails = !fails;
        if fails {
            ProbeResult::Fail
        } else {
            ProbeResult::Pass
        }
    };
    assert!(changes(&HealthRules::default(), Duration::from_secs(600), result) <= 1);
}

#[test]
fn three_failures_in_ten_change_a_few_times_an_hour() {
    let mut worst = 0;
    for seed in 1..50u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 10
        };
        let result = |_: &HealthMachine| {
            if draw() < 3 {
                ProbeResult::Fail
            } else {
                ProbeResult::Pass
            }
        };
        worst = worst.max(changes(
            &HealthRules::default(),
            Duration::from_secs(3600),
            result,
        ));
    }
    assert!((2..=14).contains(&worst), "{worst}");
}

/// Rule 3 in the worst case: the endpoint fails whenever it is up and passes whenever it is down.
#[test]
fn even_an_endpoint_that_means_it_changes_at_most_26_times_an_hour() {
    let result = |machine: &HealthMachine| {
        if machine.state().serves() {
            ProbeResult::Fail
        } else {
            ProbeResult::Pass
        }
    };
    let changes = changes(&HealthRules::default(), Duration::from_secs(3600), result);
    assert!((10..=26).contains(&changes), "{changes}");
}

#[test]
fn damping_is_bounded_and_forgotten_after_an_hour() {
    let mut machine = up(HealthRules {
        fall: 1,
        rise: 1,
        ..HealthRules::default()
    });
    let mut now = Duration::ZERO;
    for _ in 0..20 {
        machine.observe(now, ProbeResult::Fail, true);
        now += MILLISECOND;
        (0..machine.needed_rise(now)).for_each(|_| {
            machine.observe(now, ProbeResult::Pass, true);
        });
        assert_eq!(machine.state(), HealthState::Up);
    }
    assert_eq!(machine.needed_rise(now), 32);
    assert_eq!(machine.needed_rise(now + Damping::default().memory), 1);
}

/// Rule 4.
#[test]
fn probes_of_what_stays_down_slow_down_to_a_quarter() {
    let slowest = |interval: u64| {
        let mut machine = HealthMachine::new(HealthRules {
            interval: Duration::from_secs(interval),
            ..HealthRules::default()
        });
        for second in 0..1000 {
            machine.observe(Duration::from_secs(second), ProbeResult::Fail, true);
        }
        let slow = machine.pace();
        machine.observe(Duration::from_secs(1000), ProbeResult::Pass, true);
        assert_eq!(
            machine.pace(),
            ProbePace::Regular,
            "a first success ends it"
        );
        slow
    };
    assert_eq!(
        [3, 10, 20, 60].map(slowest),
        [
            ProbePace::Slow(4),
            ProbePace::Slow(2),
            ProbePace::Regular,
            ProbePace::Regular
        ]
    );
}

#[test]
fn the_first_result_decides_where_nothing_was_agreed() {
    for (outcome, state) in
        OUTCOMES
            .into_iter()
            .zip([HealthState::Up, HealthState::Degraded, HealthState::Down])
    {
        let mut machine = HealthMachine::new(HealthRules::default());
        assert_eq!(
            machine
                .observe(MILLISECOND, outcome, true)
                .map(|turn| turn.to),
            Some(state)
        );
    }
}

#[test]
fn what_is_held_stays_up_until_it_is_released() {
    let mut machine = up(HealthRules::default());
    assert!((0..10).all(|_| {
        machine
            .observe(MILLISECOND, ProbeResult::Fail, false)
            .is_none()
    }));
    assert!(machine.is_held());
    assert_eq!(
        machine.pace(),
        ProbePace::Regular,
        "a monitor that doubts itself does not hammer"
    );
    assert_eq!(
        machine.release(MILLISECOND).map(|turn| turn.to),
        Some(HealthState::Down)
    );
    assert_eq!(machine.release(MILLISECOND), None);
}

proptest! {
    /// Failures instead of successes never improve the state.
    #[test]
    fn more_failures_are_never_better(
        row in proptest::collection::vec(any::<(bool, bool)>(), 1..60),
    ) {
        // Results are too far apart for damping, which depends on earlier falls.
        let rules = HealthRules { rise: 2, fall: 2, ..HealthRules::default() };
        let (mut worse, mut better) = (up(rules.clone()), up(rules));
        for (index, (fails, also)) in row.into_iter().enumerate() {
            let now = Damping::default().memory * 2 * index as u32;
            let outcome = |fails| if fails { ProbeResult::Fail } else { ProbeResult::Pass };
            worse.observe(now, outcome(fails || also), true);
            better.observe(now, outcome(fails), true);
            prop_assert!(!worse.state().serves() || better.state().serves());
        }
    }

    /// No state changes earlier than predicted.
    #[test]
    fn no_flip_comes_before_its_time(
        row in proptest::collection::vec(any::<bool>(), 1..80),
        jitter in 0.0f64..=1.0,
    ) {
        let rules = HealthRules::default();
        let cadence = Cadence {
            interval: rules.interval,
            quick: rules.quick,
            phase: Duration::ZERO,
        };
        let (mut machine, mut now, mut allowed) = (up(rules), Duration::ZERO, Duration::ZERO);
        for passes in row {
            let result = if passes { ProbeResult::Pass } else { ProbeResult::Fail };
            let turn = machine.observe(now, result, true);
            prop_assert!(turn.is_none() || now >= allowed);
            let next = cadence.next(machine.pace(), now, now, jitter);
            let possible = now + machine.time_to_possible_flip(&cadence, next, now);
            allowed = if turn.is_some() { possible } else { allowed.max(possible) };
            now = next;
        }
    }
}

//! Simulations of the monitor on a paused clock, which advances only while every task sleeps.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::health::check::{HealthCheck, ProbeKind};
use crate::health::machine::{HealthRules, ProbeResult};

/// Simulated endpoints. Those in `dead` are silent, those in `hung` hang, those in `refusing`
/// refuse connections, and those in `spoiled` answer with errors.
#[derive(Default)]
struct Stage {
    dead: Mutex<HashSet<IpAddr>>,
    hung: Mutex<HashSet<IpAddr>>,
    spoiled: Mutex<HashSet<IpAddr>>,
    /// Simulates a shortage on this machine, so that nothing can be probed.
    short: Mutex<Option<ShortageKind>>,
    refusing: Mutex<HashSet<IpAddr>>,
    running: Mutex<HashSet<TargetKey>>,
    most_running: AtomicUsize,
    starts: Mutex<Vec<Duration>>,
    begin: Mutex<Option<Instant>>,
}

impl Stage {
    fn kill(&self, addresses: &[u8]) {
        *self.dead.lock().unwrap() = addresses
            .iter()
            .map(|&last| IpAddr::from([192, 0, 2, last]))
            .collect();
    }

    /// Makes endpoints answer with errors.
    fn spoil(&self, addresses: &[u8]) {
        *self.spoiled.lock().unwrap() = addresses
            .iter()
            .map(|&last| IpAddr::from([192, 0, 2, last]))
            .collect();
    }

    /// Makes endpoints refuse connections.
    fn refuse(&self, addresses: &[u8]) {
        *self.refusing.lock().unwrap() = addresses
            .iter()
            .map(|&last| IpAddr::from([192, 0, 2, last]))
            .collect();
    }

    fn hang(&self, addresses: &[u8]) {
        *self.hung.lock().unwrap() = addresses
            .iter()
            .map(|&last| IpAddr::from([192, 0, 2, last]))
            .collect();
    }
}

impl ProbeMaker for Stage {
    fn probe<'a>(
        &'a self,
        target: &'a ProbeTarget,
    ) -> Pin<Box<dyn Future<Output = ProbeAttempt> + Send + 'a>> {
        Box::pin(async move {
            let begin = *self.begin.lock().unwrap().get_or_insert_with(Instant::now);
            self.starts.lock().unwrap().push(begin.elapsed());
            {
                let mut running = self.running.lock().unwrap();
                assert!(
                    running.insert(target.key()),
                    "no target is probed twice at once"
                );
                self.most_running
                    .fetch_max(running.len(), Ordering::Relaxed);
            }
            let address = target.address.ip();
            tokio::time::sleep(Duration::from_millis(5)).await;
            let hung = self.hung.lock().unwrap().contains(&address);
            if hung {
                tokio::time::sleep(target.check.rules.timeout).await;
            }
            self.running.lock().unwrap().remove(&target.key());
            if let Some(kind) = *self.short.lock().unwrap() {
                return ProbeAttempt::NotMade(Shortage::new(kind, &"in a play"));
            }
            let dead = hung || self.dead.lock().unwrap().contains(&address);
            if self.spoiled.lock().unwrap().contains(&address) {
                let phases = crate::health::probe::ProbePhases {
                    connect: Some(Duration::from_millis(5)),
                    ..Default::default()
                };
                return Observation {
                    phases,
                    ..Observation::fail("it says 503")
                }
                .into();
            }
            if self.refusing.lock().unwrap().contains(&address) {
                let phases = crate::health::probe::ProbePhases {
                    refused: Some(Duration::from_millis(5)),
                    ..Default::default()
                };
                return Observation {
                    phases,
                    ..Observation::fail("it refuses")
                }
                .into();
            }
            let observation = if dead {
                Observation::fail("it is dead")
            } else {
                Observation::pass()
            };
            observation.into()
        })
    }
}

fn check(rules: HealthRules) -> Arc<HealthCheck> {
    Arc::new(HealthCheck {
        name: "web".into(),
        rules,
        probe: ProbeKind::Tcp,
    })
}

fn target(last: u8) -> ProbeTarget {
    ProbeTarget {
        address: ([192, 0, 2, last], 80).into(),
        check: check(HealthRules::default()),
    }
}

fn targets(count: u8) -> Vec<ProbeTarget> {
    (1..=count).map(target).collect()
}

fn start(stage: &Arc<Stage>, count: u8) -> Monitor {
    Monitor::start(stage.clone(), targets(count), &SavedStates::new(), 100)
}

async fn seconds(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

fn state(monitor: &Monitor, last: u8) -> HealthState {
    monitor.health().targets[&target(last).key()].state
}

#[tokio::test(start_paused = true)]
async fn the_first_round_distinguishes_live_and_dead_within_a_timeout() {
    let stage = Arc::new(Stage::default());
    stage.kill(&[2]);
    stage.hang(&[3]);
    let monitor = start(&stage, 3);
    let begin = Instant::now();
    assert!(monitor.first_round().await);
    assert!(
        begin.elapsed() <= Duration::from_millis(2200),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(
        [1, 2, 3].map(|last| state(&monitor, last)),
        [HealthState::Up, HealthState::Down, HealthState::Down]
    );
}

#[tokio::test(start_paused = true)]
async fn one_dead_endpoint_is_out_within_its_bound_though_others_are_rarely_probed() {
    for (hangs, bound) in [(false, 4.1), (true, 10.1)] {
        let stage = Arc::new(Stage::default());
        let monitor = start(&stage, 3);
        monitor.first_round().await;
        seconds(20.0).await;
        if hangs {
            stage.hang(&[2])
        } else {
            stage.kill(&[2])
        };
        seconds(bound).await;
        assert_eq!(
            [1, 2, 3].map(|last| state(&monitor, last)),
            [HealthState::Up, HealthState::Down, HealthState::Up]
        );
        let events = monitor.timeline(3);
        assert_eq!(
            events
                .iter()
                .map(|event| (event.from, event.to))
                .collect::<Vec<_>>(),
            [(HealthState::Up, HealthState::Down)]
        );
        assert_eq!(events[0].cause.as_deref(), Some("it is dead"));
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_the_endpoints_dying_at_once_is_believed() {
    let stage = Arc::new(Stage::default());
    let monitor = start(&stage, 20);
    monitor.first_round().await;
    seconds(20.0).await;
    stage.kill(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    seconds(4.1).await;
    assert!((1..=10).all(|last| state(&monitor, last) == HealthState::Down));
    assert!((11..=20).all(|last| state(&monitor, last) == HealthState::Up));
    assert!(!monitor.health().suspect);
}

#[tokio::test(start_paused = true)]
async fn two_thousand_endpoints_dying_at_once_are_out_in_time() {
    let stage = Arc::new(Stage::default());
    let address = |number: u16| IpAddr::from([10, 0, (number >> 8) as u8, number as u8]);
    let common = check(HealthRules::default());
    let targets = (0..4000).map(|number| ProbeTarget {
        address: (address(number), 80).into(),
        check: common.clone(),
    });
    let monitor = Monitor::start(stage.clone(), targets.collect(), &SavedStates::new(), 1024);
    assert!(monitor.first_round().await);
    seconds(20.0).await;
    *stage.dead.lock().unwrap() = (0..2000).map(address).collect();
    seconds(4.1).await;
    let health = monitor.health();
    let down = |number: u16| {
        health.targets[&TargetKey {
            check: "web".into(),
            address: (address(number), 80).into(),
        }]
            .state
            == HealthState::Down
    };
    assert_eq!((0..4000).filter(|&number| down(number)).count(), 2000);
    assert!((0..2000).all(down) && !health.suspect);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_flaps_every_second_changes_a_few_times_and_affects_no_other() {
    let stage = Arc::new(Stage::default());
    let monitor = start(&stage, 20);
    monitor.first_round().await;
    let begin = monitor.timeline(0).len();
    for second in 0..600u64 {
        stage.kill(if second % 2 == 0 { &[1] } else { &[] });
        seconds(1.0).await;
    }
    let changes = monitor.timeline(0).len() - begin;
    assert!(changes <= 10, "{changes} changes in ten minutes");
    assert!((2..=20).all(|last| state(&monitor, last) == HealthState::Up));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_an_hour_changes_nothing_and_starts_no_burst() {
    let stage = Arc::new(Stage::default());
    let monitor = start(&stage, 20);
    monitor.first_round().await;
    seconds(20.0).await;
    let before = (
        monitor.timeline(0).len(),
        stage.starts.lock().unwrap().len(),
    );
    tokio::time::advance(Duration::from_secs(3600)).await;
    seconds(3.0).await;
    assert_eq!(monitor.timeline(0).len(), before.0, "no state changes");
    let probes = stage.starts.lock().unwrap().len() - before.1;
    assert!(
        (20..=60).contains(&probes),
        "{probes} probes of 20 targets: what was missed is not made up for"
    );
}

#[tokio::test(start_paused = true)]
async fn everything_failing_at_once_is_held_until_somebody_is_reached() {
    let stage = Arc::new(Stage::default());
    let monitor = start(&stage, 4);
    monitor.first_round().await;
    seconds(20.0).await;
    stage.kill(&[1, 2, 3, 4]);
    seconds(3600.0).await;
    assert!(monitor.health().suspect);
    assert!(
        (1..=4).all(|last| state(&monitor, last) == HealthState::Up),
        "held for an hour"
    );
    // The network is back, and one endpoint is really dead.
    stage.kill(&[3]);
    seconds(4.0).await;
    assert!(!monitor.health().suspect);
    assert_eq!(
        [1, 2, 3, 4].map(|last| state(&monitor, last) == HealthState::Up),
        [true, true, false, true]
    );
}

#[tokio::test(start_paused = true)]
async fn everything_that_answers_with_errors_falls() {
    let stage = Arc::new(Stage::default());
    let monitor = start(&stage, 4);
    monitor.first_round().await;
    seconds(20.0).await;
    stage.spoil(&[1, 2, 3, 4]);
    seconds(5.0).await;
    assert!(!monitor.health().suspect);
    assert!(
        (1..=4).all(|last| state(&monitor, last) == HealthState::Down),
        "they are there, and say that they are down"
    );
}

#[tokio::test(start_paused = true)]
async fn everything_that_refuses_falls_and_proves_the_path() {
    let stage = Arc::new(Stage::default());
    let monitor = start(&stage, 4);
    monitor.first_round().await;
    seconds(20.0).await;
    stage.refuse(&[1, 2, 3, 4]);
    seconds(5.0).await;
    assert!(!monitor.health().suspect);
    assert!(
        (1..=4).all(|last| state(&monitor, last) == HealthState::Down),
        "their hosts say that nothing is there"
    );
    // One refusal proves that the network works, so the silent ones go down.
    stage.refuse(&[]);
    seconds(400.0).await;
    stage.kill(&[1, 2, 3]);
    stage.refuse(&[4]);
    seconds(15.0).await;
    assert!(!monitor.health().suspect);
    assert!((1..=4).all(|last| state(&monitor, last) == HealthState::Down));
}

#[tokio::test(start_paused = true)]
async fn with_two_endpoints_both_may_fall() {
    let stage = Arc::new(Stage::default());
    let monitor = start(&stage, 2);
    monitor.first_round().await;
    stage.kill(&[1, 2]);
    seconds(5.0).await;
    assert_eq!(
        [1, 2].map(|last| state(&monitor, last)),
        [HealthState::Down; 2]
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_begins_with_what_was_agreed() {
    let stage = Arc::new(Stage::default());
    let known = SavedStates::from([
        (target(1).key(), HealthState::Down),
        (target(2).key(), HealthState::Up),
    ]);
    let monitor = Monitor::start(stage.clone(), targets(2), &known, 100);
    assert_eq!(
        [1, 2].map(|last| state(&monitor, last)),
        [HealthState::Down, HealthState::Up]
    );
    monitor.first_round().await;
    assert_eq!(
        state(&monitor, 1),
        HealthState::Down,
        "one success brings nothing back"
    );
    seconds(16.0).await;
    assert_eq!(state(&monitor, 1), HealthState::Up);
}

#[tokio::test(start_paused = true)]
async fn replacing_targets_keeps_what_is_known_of_those_that_stay() {
    let stage = Arc::new(Stage::default());
    stage.kill(&[1]);
    let monitor = start(&stage, 2);
    monitor.first_round().await;
    let mut changes = monitor.changes();
    changes.mark_unchanged();
    let patient = ProbeTarget {
        check: check(HealthRules {
            rise: 9,
            ..HealthRules::default()
        }),
        ..target(1)
    };
    monitor.replace(vec![patient, target(3)]);
    assert!(changes.has_changed().unwrap());
    assert_eq!(state(&monitor, 1), HealthState::Down);
    assert!(!monitor.health().targets.contains_key(&target(2).key()));
    assert!(monitor.first_round().await);
    assert_eq!(state(&monitor, 3), HealthState::Up);
    let count = || stage.starts.lock().unwrap().len();
    monitor.replace(Vec::new());
    seconds(1.0).await;
    let before = count();
    seconds(60.0).await;
    assert_eq!(count(), before, "nobody is probed any more");
    assert!(
        monitor.first_round().await,
        "of nobody there is nothing to wait for"
    );
}

#[tokio::test(start_paused = true)]
async fn probes_are_spread_and_capped() {
    let stage = Arc::new(Stage::default());
    let monitor = Monitor::start(stage.clone(), targets(200), &SavedStates::new(), 7);
    monitor.first_round().await;
    seconds(300.0).await;
    assert_eq!(
        stage.most_running.load(Ordering::Relaxed),
        7,
        "the first round fills the cap and no more"
    );
    let mut windows = vec![0u32; 3100];
    stage
        .starts
        .lock()
        .unwrap()
        .iter()
        .for_each(|at| windows[at.as_millis() as usize / 100] += 1);
    let settled = &windows[50..2990];
    let mean = f64::from(settled.iter().sum::<u32>()) / settled.len() as f64;
    let most = f64::from(*settled.iter().max().unwrap());
    assert!(
        (6.5..8.5).contains(&mean) && most <= mean * 3.0,
        "mean {mean}, most {most}"
    );
    assert!(
        monitor
            .health()
            .targets
            .values()
            .all(|health| health.settled && health.observed_ago.is_some())
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_targets_are_no_herd() {
    let stage = Arc::new(Stage::default());
    let address = |number: u16| ([192, 0, 2 + (number >> 8) as u8, number as u8], 80).into();
    let targets = (0..1000)
        .map(|number| ProbeTarget {
            address: address(number),
            check: check(HealthRules::default()),
        })
        .collect();
    let monitor = Monitor::start(stage.clone(), targets, &SavedStates::new(), 100);
    monitor.first_round().await;
    seconds(120.0).await;
    let mut starts: Vec<Duration> = stage.starts.lock().unwrap().iter().copied().collect();
    starts.sort();
    let settled = &starts[starts.partition_point(|start| start.as_secs() < 10)..];
    let window = Duration::from_millis(100);
    let within =
        |first: usize| settled[first..].partition_point(|start| *start < settled[first] + window);
    let most = (0..settled.len()).map(within).max().unwrap();
    let mean =
        settled.len() as f64 / (settled[settled.len() - 1] - settled[0]).as_secs_f64() / 10.0;
    assert!(
        (30.0..50.0).contains(&mean) && most as f64 <= mean * 2.0,
        "mean {mean}, most {most}"
    );
}

#[tokio::test(start_paused = true)]
async fn observations_are_reported() {
    let stage = Arc::new(Stage::default());
    stage.kill(&[1]);
    let monitor = start(&stage, 1);
    monitor.first_round().await;
    let health = monitor.health();
    let known = &health.targets[&target(1).key()];
    assert_eq!(
        known.last.as_ref().map(|last| last.result),
        Some(ProbeResult::Fail)
    );
    assert!(
        known.flip_possible_in >= Duration::from_secs(9),
        "five successes, at best 2.46 s apart"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shortage_on_this_machine_changes_no_health_state() {
    let stage = Arc::new(Stage::default());
    stage.kill(&[2]);
    let monitor = start(&stage, 3);
    monitor.first_round().await;
    let agreed = [HealthState::Up, HealthState::Down, HealthState::Up];
    *stage.short.lock().unwrap() = Some(ShortageKind::Descriptors);
    stage.kill(&[1]);
    seconds(600.0).await;
    assert_eq!(
        [1, 2, 3].map(|last| state(&monitor, last)),
        agreed,
        "a shortage counts neither as a failure nor as a success"
    );
    let health = monitor.health();
    assert!(
        health
            .targets
            .values()
            .all(|known| known.not_made.is_some()),
        "it is shown"
    );
    let shortages = monitor.shortages();
    assert_eq!(
        (shortages.len(), shortages[0].kind, shortages[0].held),
        (1, ShortageKind::Descriptors, 3)
    );
    assert!(
        shortages[0].count > 300,
        "it is tried again at the usual pace: {shortages:?}"
    );
    // The shortage is over, and the usual rules apply.
    *stage.short.lock().unwrap() = None;
    seconds(30.0).await;
    assert_eq!(
        [1, 2, 3].map(|last| state(&monitor, last)),
        [HealthState::Down, HealthState::Up, HealthState::Up]
    );
    assert_eq!(monitor.shortages()[0].held, 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_could_not_be_probed_takes_no_clients_and_is_probed_soon() {
    let stage = Arc::new(Stage::default());
    *stage.short.lock().unwrap() = Some(ShortageKind::Ports);
    let monitor = start(&stage, 1);
    assert!(!monitor.first_round().await);
    assert_eq!(state(&monitor, 1), HealthState::Unknown);
    *stage.short.lock().unwrap() = None;
    seconds(0.6).await;
    assert_eq!(state(&monitor, 1), HealthState::Up);
}

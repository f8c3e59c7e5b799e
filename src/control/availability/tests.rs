//! Folds invented facts into availability, and checks what is remembered between folds.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::config;
use crate::control::clock::BootTime;
use crate::control::overrides;
use crate::health::probe::Observation;

const CONFIGURATION: &str = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n\
    [checks.web]\ntype = \"tcp\"\nport = 80\n[[services]]\nname = \"www.example.com\"\ncheck = \"web\"\n\
    [services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n";

struct Play {
    config: Config,
    plan: ProbePlan,
    memory: AvailabilityMemory,
    states: HashMap<TargetKey, TargetHealth>,
    effect: EffectiveOverrides,
}

fn read(text: &str) -> Config {
    config::parse(text, Path::new("meridian.toml"))
        .unwrap()
        .config
}

impl Play {
    fn new() -> Play {
        Play::with("")
    }

    /// With these keys of the service.
    fn with(keys: &str) -> Play {
        let config = read(
            &CONFIGURATION.replace("check = \"web\"\n", &format!("check = \"web\"\n{keys}\n")),
        );
        let plan = ProbePlan::of(&config, &Default::default());
        Play {
            config,
            plan,
            memory: AvailabilityMemory::default(),
            states: HashMap::new(),
            effect: EffectiveOverrides::default(),
        }
    }

    fn set(&mut self, target: usize, state: HealthState) {
        self.report(target, state, 0, None);
    }

    /// A state that may change in so many seconds, from an endpoint that says how busy it is.
    fn report(&mut self, target: usize, state: HealthState, flip: u64, load: Option<f64>) {
        let last = if state.serves() {
            Observation::pass()
        } else {
            Observation::fail("it is dead")
        };
        self.observe(target, state, flip, Observation { load, ..last });
    }

    fn observe(&mut self, target: usize, state: HealthState, flip: u64, last: Observation) {
        let health = TargetHealth {
            state,
            lasting: Duration::ZERO,
            observed_ago: None,
            last: Some(Arc::new(last)),
            not_made: None,
            settled: true,
            held: false,
            flip_possible_in: Duration::from_secs(flip),
            outvoted: false,
        };
        self.states.insert(self.plan.targets[target].key(), health);
    }

    /// Shares in per cent.
    fn shares(&mut self, second: u64) -> Vec<u32> {
        let regions = &self.fold(second).regions;
        regions
            .iter()
            .map(|region| (region.share.fraction() * 100.0).round() as u32)
            .collect()
    }

    fn fold(&mut self, second: u64) -> ServiceAvailability {
        let facts = AvailabilityFacts {
            config: &self.config,
            plan: &self.plan,
            targets: &self.states,
            effect: &self.effect,
            catalog: None,
            now: Duration::from_secs(second),
        };
        let folded = self.memory.fold(&facts).availability;
        folded.of(0).unwrap().clone()
    }
}

#[test]
fn only_regions_that_were_down_ramp_up() {
    let mut play = Play::new();
    assert_eq!(
        play.shares(0),
        [0, 0],
        "without a result nobody is sent anywhere"
    );
    play.set(0, HealthState::Up);
    play.set(1, HealthState::Down);
    assert_eq!(play.shares(1), [100, 0], "a first result needs no ramp");
    play.set(1, HealthState::Up);
    assert_eq!(play.shares(100), [100, 10]);
    assert_eq!(play.shares(130), [100, 55]);
    assert_eq!(play.shares(160), [100, 100]);
}

#[test]
fn a_reload_keeps_the_memory_of_the_regions_that_stay() {
    let mut play = Play::new();
    play.set(0, HealthState::Down);
    play.set(1, HealthState::Up);
    play.shares(1);
    play.set(0, HealthState::Up);
    assert_eq!(play.shares(10), [10, 100]);
    let turned = CONFIGURATION.replace(
        "fra = \"192.0.2.1\"\niad = \"192.0.2.2\"",
        "iad = \"192.0.2.2\"\nfra = \"192.0.2.1\"",
    );
    let config = read(&turned);
    play.memory = play.memory.carried_over(&play.config, &config);
    play.plan = ProbePlan::of(&config, &Default::default());
    play.config = config;
    assert_eq!(
        play.shares(40),
        [100, 55],
        "the regions have changed places, and fra still ramps"
    );
}

#[test]
fn a_restart_neither_drops_nor_lengthens_a_ramp() {
    let mut play = Play::new();
    play.set(0, HealthState::Down);
    play.set(1, HealthState::Up);
    play.shares(1);
    play.set(0, HealthState::Up);
    assert_eq!(play.shares(1000), [10, 100]);
    let ramps = play.memory.ramps(&play.config, Duration::from_secs(1015));
    assert_eq!(
        ramps,
        [SavedRamp {
            service: "www.example.com".into(),
            region: "fra".into(),
            milliseconds: 15_000
        }]
    );
    for (gap, share) in [(0, 32), (15, 55), (45, 100), (86_400, 100)] {
        play.memory = AvailabilityMemory::default();
        play.memory.resume_ramps(
            &play.config,
            &ramps,
            Duration::from_secs(gap),
            Duration::from_secs(2000),
        );
        assert_eq!(play.shares(2000), [share, 100], "{gap} s later");
    }
    play.memory = AvailabilityMemory::default();
    play.memory.resume_ramps(
        &play.config,
        &ramps,
        Duration::ZERO,
        Duration::from_secs(2000),
    );
    play.set(0, HealthState::Down);
    assert_eq!(play.shares(2000), [0, 100], "it died meanwhile");
    assert!(
        play.memory
            .ramps(&play.config, Duration::from_secs(2000))
            .is_empty()
    );
}

#[test]
fn a_drain_is_no_outage() {
    let mut play = Play::new();
    play.set(0, HealthState::Up);
    play.set(1, HealthState::Up);
    let order = |region: &str, endpoint: Option<&str>, action| overrides::Override {
        subject: overrides::OverrideSubject {
            service: endpoint.map(|_| "www.example.com".to_owned()),
            region: Some(region.to_owned()),
            endpoint: endpoint.map(str::to_owned),
        },
        action,
        reason: "X".to_owned(),
        by: "me".to_owned(),
        since: 0,
        ends: None,
        pace: None,
        scope: overrides::OrderScope::default(),
    };
    for drain in [
        order("fra", None, overrides::OverrideAction::Drain),
        order("fra", Some("192.0.2.1"), overrides::OverrideAction::Drain),
    ] {
        play.effect = EffectiveOverrides::of(
            &crate::control::book::OverrideBook::of(vec![drain]),
            &play.config,
            BootTime::default(),
        );
        assert_eq!(play.shares(1), [0, 100]);
        play.effect = EffectiveOverrides::default();
        assert_eq!(play.shares(2), [100, 100]);
    }
    play.set(0, HealthState::Down);
    play.effect = EffectiveOverrides::of(
        &crate::control::book::OverrideBook::of(vec![order(
            "fra",
            None,
            overrides::OverrideAction::ForceUp,
        )]),
        &play.config,
        BootTime::default(),
    );
    assert_eq!(play.shares(3), [100, 100], "forced up, whatever probes say");
}

/// Everything that is checked is silent: the monitor holds what was agreed.
#[test]
fn a_service_with_a_region_that_needs_no_check_is_never_held() {
    let sorry = CONFIGURATION.replace(
        "iad = \"192.0.2.2\"",
        "iad = \"192.0.2.2\"\nlhr = \"192.0.2.9\"",
    );
    let sorry = sorry.replace("check = \"web\"\n", "order = \"priority\"\n").replace(
        "fra = \"192.0.2.1\"\niad = \"192.0.2.2\"",
        "fra = { address = \"192.0.2.1\", check = \"web\" }\niad = { address = \"192.0.2.2\", check = \"web\" }",
    );
    let sorry = sorry.replace(
        "[checks.web]",
        "[regions.lhr]\nlocation = \"LHR\"\n[checks.web]",
    );
    let hold = |play: &mut Play| {
        for target in 0..2 {
            play.observe(target, HealthState::Up, 0, Observation::fail("no answer"));
            let key = play.plan.targets[target].key();
            play.states.get_mut(&key).unwrap().held = true;
        }
    };
    let mut held = Play::new();
    hold(&mut held);
    assert_eq!(held.shares(1), [100, 100]);
    let config = read(&sorry);
    let mut free = Play {
        plan: ProbePlan::of(&config, &Default::default()),
        config,
        ..Play::new()
    };
    hold(&mut free);
    assert_eq!(free.shares(1), [0, 0, 100], "the fallback is given");
    let subject = overrides::OverrideSubject {
        service: None,
        region: Some("lhr".to_owned()),
        endpoint: None,
    };
    let (reason, by) = (String::new(), "me".to_owned());
    let drain = overrides::Override {
        subject,
        action: overrides::OverrideAction::Drain,
        reason,
        by,
        since: 0,
        ends: None,
        pace: None,
        scope: overrides::OrderScope::default(),
    };
    free.effect = EffectiveOverrides::of(
        &crate::control::book::OverrideBook::of(vec![drain]),
        &free.config,
        BootTime::default(),
    );
    assert_eq!(free.shares(2)[2], 0);
    assert!(
        free.shares(2)[0] > 0,
        "without a fallback what was agreed is held"
    );
}

#[test]
fn an_endpoint_that_is_down_and_answers_again_is_seen_alive_unless_an_override_removes_it() {
    let mut play = Play::new();
    play.set(0, HealthState::Down);
    play.observe(1, HealthState::Down, 0, Observation::pass());
    let seen = |play: &mut Play| {
        let now = play.fold(1);
        now.regions
            .iter()
            .map(|region| (region.share, region.seen_alive[0]))
            .collect::<Vec<_>>()
    };
    assert_eq!(seen(&mut play), [(Share::NONE, false), (Share::NONE, true)]);
    let subject = overrides::OverrideSubject {
        service: None,
        region: Some("iad".to_owned()),
        endpoint: None,
    };
    let (reason, by) = (String::new(), "me".to_owned());
    let drain = overrides::Override {
        subject,
        action: overrides::OverrideAction::Drain,
        reason,
        by,
        since: 0,
        ends: None,
        pace: None,
        scope: overrides::OrderScope::default(),
    };
    play.effect = EffectiveOverrides::of(
        &crate::control::book::OverrideBook::of(vec![drain]),
        &play.config,
        BootTime::default(),
    );
    assert_eq!(
        seen(&mut play),
        [(Share::NONE, false), (Share::NONE, false)]
    );
}

#[test]
fn a_service_has_its_own_ramp_min_endpoints_and_brake() {
    let mut play = Play::with("ramp = \"10s\"");
    play.set(0, HealthState::Down);
    play.set(1, HealthState::Up);
    play.shares(1);
    play.set(0, HealthState::Up);
    assert_eq!(
        (play.shares(100), play.shares(105), play.shares(110)),
        (vec![10, 100], vec![55, 100], vec![100, 100])
    );
    let mut play = Play::with("max_removed = \"50%\"");
    play.set(0, HealthState::Down);
    play.set(1, HealthState::Down);
    assert_eq!(
        play.shares(1).iter().sum::<u32>(),
        100,
        "one of two is kept"
    );
    let config = CONFIGURATION.replace("check = \"web\"\n", "check = \"web\"\nmin_endpoints = 2\n");
    let config = read(
        &config
            .replace("\"192.0.2.1\"", "[\"192.0.2.1\", \"192.0.2.3\"]")
            .replace("\"192.0.2.2\"", "[\"192.0.2.2\", \"192.0.2.4\"]"),
    );
    let mut play = Play {
        plan: ProbePlan::of(&config, &Default::default()),
        config,
        ..Play::new()
    };
    (0..4).for_each(|target| {
        play.set(
            target,
            if target == 1 {
                HealthState::Down
            } else {
                HealthState::Up
            },
        )
    });
    assert_eq!(
        play.shares(1),
        [0, 100],
        "one of the two that fra needs is down"
    );
    play.set(1, HealthState::Up);
    assert_eq!(
        play.shares(2),
        [10, 100],
        "a region that comes back ramps up, though it had an endpoint all along"
    );
}

#[test]
fn a_ttl_follows_the_time_to_the_next_possible_flip() {
    let mut play = Play::with("ttl = { max = 60, min = 5 }");
    for (flips, ttl) in [([300, 400], 60), ([300, 17], 17), ([2, 300], 5)] {
        play.report(0, HealthState::Up, flips[0], None);
        play.report(1, HealthState::Up, flips[1], None);
        assert_eq!(play.fold(1).ttl, Some(ttl));
    }
    let mut play = Play::with("ttl = 60");
    play.set(0, HealthState::Up);
    assert_eq!(play.fold(1).ttl, None, "a fixed one stays");
}

#[test]
fn reported_load_moves_weights_smoothly_and_none_becomes_zero() {
    let mut play = Play::with("pick = \"least-load\"");
    play.set(0, HealthState::Up);
    play.set(1, HealthState::Up);
    assert_eq!(
        play.fold(0).regions[0].weights,
        None,
        "nobody says anything"
    );
    play.report(0, HealthState::Up, 0, Some(0.0));
    let weight = |play: &mut Play, second| {
        let now = play.fold(second);
        let weights = now
            .regions
            .iter()
            .map(|region| region.weights.as_ref().unwrap().region);
        weights.collect::<Vec<u32>>()
    };
    assert_eq!(
        weight(&mut play, 1),
        [3200, 3200],
        "who says nothing is taken for average"
    );
    play.report(1, HealthState::Up, 0, Some(0.0));
    assert_eq!(weight(&mut play, 2), [3200, 3200]);
    play.report(1, HealthState::Up, 0, Some(5.0));
    let way: Vec<u32> = (3..200)
        .map(|second| weight(&mut play, second)[1])
        .collect();
    assert!(
        way[0] > 2000 && way.is_sorted_by(|one, next| one >= next),
        "{way:?}"
    );
    assert_eq!(way.last(), Some(&300), "a tenth is left");
}

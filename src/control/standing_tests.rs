//! Standing with made-up facts: what verdicts come to, and what is remembered from one to the next.

use std::path::Path;

use super::*;
use crate::config;
use crate::control::orders;

const CONFIGURATION: &str = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n\
    [checks.web]\ntype = \"tcp\"\nport = 80\n[[services]]\nname = \"www.example.com\"\ncheck = \"web\"\n\
    [services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n";

struct Play {
    config: Config,
    plan: Plan,
    memory: Memory,
    verdicts: HashMap<TargetKey, TargetHealth>,
    effect: Effect,
}

fn read(text: &str) -> Config {
    config::parse(text, Path::new("meridian.toml")).unwrap().config
}

impl Play {
    fn new() -> Play {
        let config = read(CONFIGURATION);
        let plan = Plan::of(&config);
        Play { config, plan, memory: Memory::default(), verdicts: HashMap::new(), effect: Effect::default() }
    }

    fn set(&mut self, target: usize, verdict: Verdict) {
        let health = TargetHealth {
            verdict,
            lasting: Duration::ZERO,
            observed_ago: None,
            last: None,
            settled: true,
            held: false,
            flip_possible_in: Duration::ZERO,
        };
        self.verdicts.insert(self.plan.targets[target].key(), health);
    }

    /// Shares in per cent.
    fn shares(&mut self, second: u64) -> Vec<u32> {
        let facts = Facts {
            config: &self.config,
            plan: &self.plan,
            targets: &self.verdicts,
            effect: &self.effect,
            now: Duration::from_secs(second),
        };
        let folded = self.memory.fold(&facts);
        let regions = &folded.availability.services[0].regions;
        regions.iter().map(|region| (region.share.fraction() * 100.0).round() as u32).collect()
    }
}

#[test]
fn only_what_was_really_down_comes_back_slowly() {
    let mut play = Play::new();
    assert_eq!(play.shares(0), [0, 0], "without a result nobody is sent anywhere");
    play.set(0, Verdict::Up);
    play.set(1, Verdict::Down);
    assert_eq!(play.shares(1), [100, 0], "a first result needs no ramp");
    play.set(1, Verdict::Up);
    assert_eq!(play.shares(100), [100, 10]);
    assert_eq!(play.shares(130), [100, 55]);
    assert_eq!(play.shares(160), [100, 100]);
}

#[test]
fn a_reload_forgets_nothing_of_what_stays() {
    let mut play = Play::new();
    play.set(0, Verdict::Down);
    play.set(1, Verdict::Up);
    play.shares(1);
    play.set(0, Verdict::Up);
    assert_eq!(play.shares(10), [10, 100]);
    let turned =
        CONFIGURATION.replace("fra = \"192.0.2.1\"\niad = \"192.0.2.2\"", "iad = \"192.0.2.2\"\nfra = \"192.0.2.1\"");
    let config = read(&turned);
    play.memory = play.memory.carried_over(&play.config, &config);
    play.plan = Plan::of(&config);
    play.config = config;
    assert_eq!(play.shares(40), [100, 55], "the regions have changed places, and fra still ramps");
}

#[test]
fn a_drain_is_no_outage() {
    let mut play = Play::new();
    play.set(0, Verdict::Up);
    play.set(1, Verdict::Up);
    let order = |region: &str, endpoint: Option<&str>, demand| orders::Order {
        subject: orders::Subject {
            service: endpoint.map(|_| "www.example.com".to_owned()),
            region: Some(region.to_owned()),
            endpoint: endpoint.map(str::to_owned),
        },
        demand,
        reason: "X".to_owned(),
        by: "me".to_owned(),
        since: 0,
        until: None,
    };
    for drain in [order("fra", None, orders::Demand::Drain), order("fra", Some("192.0.2.1"), orders::Demand::Drain)] {
        play.effect = Effect::of(&orders::Book::of(vec![drain]), &play.config);
        assert_eq!(play.shares(1), [0, 100]);
        play.effect = Effect::default();
        assert_eq!(play.shares(2), [100, 100]);
    }
    play.set(0, Verdict::Down);
    play.effect = Effect::of(&orders::Book::of(vec![order("fra", None, orders::Demand::ForceUp)]), &play.config);
    assert_eq!(play.shares(3), [100, 100], "forced up, whatever probes say");
}

//! A simulation of everything between probes and answers: the monitor, the controller's step, the
//! compiled live state, and the code that answers. It runs on a paused clock that only advances
//! when every task sleeps. Faults come from a seed, which a failed assertion names.
//! `MERIDIAN_SEED=7 cargo test simulation` runs that seed again.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::build::LoadedFiles;
use super::change::{Action, Change, ChangeReply, Observations, StepFacts};
use super::clock::{BootTime, ClockReading};
use super::inputs::{ControlInputs, Derived};
use super::load::AtlasCache;
use super::state::ControlState;
use super::targets::ProbePlan;
use super::{ConfigOrigin, LoadedState};
use crate::answer::{Snapshot, Transport, answer};
use crate::dns::{QueryScratch, RecordType};
use crate::health::check::ProbeTarget;
use crate::health::machine::{HealthState, ProbeResult};
use crate::health::monitor::{Monitor, ProbeMaker};
use crate::health::probe::{Observation, ProbeAttempt, ProbePhases};
use crate::health::state::SavedStates;
use crate::resolve::KnownNames;
use crate::steering::pick::next_draw;
use crate::steering::{AllDown, Share};

/// How long a simulation lasts.
const HOUR: Duration = Duration::from_secs(3600);
/// A hanging endpoint is down after at most 10 s. If it was probed just before a network returned,
/// it takes a little longer.
const DETECTED: Duration = Duration::from_secs(15);
/// An endpoint that failed often needs 160 good probes, and the first may be 12 s away.
const RETURNED: Duration = Duration::from_secs(520);
/// The most changes of one endpoint's health in an hour. Damping doubles the time of each return,
/// up to 432 s.
const MOST_CHANGES: usize = 40;

const ZONE: &str =
    "$ORIGIN example.com.\n$TTL 60\n@ SOA ns1 h 7 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n";

/// Clients of every continent.
const CLIENTS: [&str; 7] = [
    "193.0.6.1",
    "8.8.4.1",
    "200.160.2.1",
    "202.12.29.1",
    "196.216.2.1",
    "1.1.1.1",
    "203.0.113.1",
];

/// How an endpoint is for a while.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum Condition {
    #[default]
    Good,
    /// It serves, and says that something is wrong.
    Warns,
    Refuses,
    Hangs,
    /// It answers, with an error.
    Errs,
    /// Good and refusing by turns of so many milliseconds.
    Flaps(u64),
}

/// What happens to each endpoint and when, and when this node is cut off from all of them.
#[derive(Debug, Default)]
struct Script {
    /// By endpoint, from when on it is how; in order.
    conditions: BTreeMap<IpAddr, Vec<(Duration, Condition)>>,
    /// The times between which nothing can be reached.
    cut_off: Vec<(Duration, Duration)>,
}

impl Script {
    /// What an endpoint is, and since when.
    fn condition(&self, address: IpAddr, now: Duration) -> (Condition, Duration) {
        let known = self.conditions.get(&address).map_or(&[][..], Vec::as_slice);
        let (since, condition) = known
            .iter()
            .rev()
            .find(|(from, _)| *from <= now)
            .copied()
            .unwrap_or_default();
        (condition, since)
    }

    fn is_cut_off(&self, now: Duration) -> bool {
        self.cut_off
            .iter()
            .any(|(from, to)| (*from..*to).contains(&now))
    }

    /// Whether this node was cut off lately.
    fn is_confused(&self, now: Duration) -> bool {
        self.cut_off
            .iter()
            .any(|(from, to)| (*from..*to + DETECTED).contains(&now))
    }

    /// It has failed for so long that it must be out.
    fn is_surely_dead(&self, address: IpAddr, now: Duration) -> bool {
        let (condition, since) = self.condition(address, now);
        matches!(
            condition,
            Condition::Refuses | Condition::Hangs | Condition::Errs
        ) && now >= since + DETECTED
    }

    /// It has served for so long that it must be in.
    fn is_surely_alive(&self, address: IpAddr, now: Duration) -> bool {
        let known = self.conditions.get(&address).map_or(&[][..], Vec::as_slice);
        let served = |condition| matches!(condition, Condition::Good | Condition::Warns);
        let mut since = None;
        for (from, condition) in known.iter().filter(|(from, _)| *from <= now) {
            since = if served(*condition) {
                since.or(Some(*from))
            } else {
                None
            };
        }
        since.is_some_and(|since| now >= since + RETURNED)
    }
}

/// Probes that find what the script says.
struct Stage {
    script: Script,
    begin: Instant,
}

impl ProbeMaker for Stage {
    fn probe<'a>(
        &'a self,
        target: &'a ProbeTarget,
    ) -> Pin<Box<dyn Future<Output = ProbeAttempt> + Send + 'a>> {
        Box::pin(async move {
            let now = self.begin.elapsed();
            tokio::time::sleep(Duration::from_millis(5)).await;
            let (condition, _) = self.script.condition(target.address.ip(), now);
            let observation = match condition {
                _ if self.script.is_cut_off(now) => self.hang(target).await,
                Condition::Hangs => self.hang(target).await,
                Condition::Good => Observation::pass(),
                Condition::Warns => Observation::warn("it warns"),
                Condition::Refuses => refusal(),
                Condition::Errs => {
                    let phases = ProbePhases {
                        connect: Some(Duration::from_millis(5)),
                        ..ProbePhases::default()
                    };
                    Observation {
                        phases,
                        ..Observation::fail("it says 503")
                    }
                }
                Condition::Flaps(turn) if (now.as_millis() as u64 / turn).is_multiple_of(2) => {
                    Observation::pass()
                }
                Condition::Flaps(_) => refusal(),
            };
            observation.into()
        })
    }
}

/// The host says that nothing is there.
fn refusal() -> Observation {
    let phases = ProbePhases {
        refused: Some(Duration::from_millis(5)),
        ..ProbePhases::default()
    };
    Observation {
        phases,
        ..Observation::fail("it refuses")
    }
}

impl Stage {
    async fn hang(&self, target: &ProbeTarget) -> Observation {
        tokio::time::sleep(target.check.rules.timeout).await;
        Observation::fail("it hangs")
    }
}

/// Numbers by chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = next_draw(self.0);
        self.0 % limit
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    fn moment(&mut self) -> Duration {
        Duration::from_millis(self.below(HOUR.as_millis() as u64))
    }
}

/// A configuration of three services with whatever may be chosen.
fn configuration(chance: &mut Chance) -> String {
    let places = ["FRA", "IAD", "SIN", "GRU", "SYD", "JNB"];
    let regions = &places[..2 + chance.below(5) as usize];
    let mut text = "[checks.web]\ntype = \"tcp\"\nport = 80\n".to_owned();
    for region in regions {
        text += &format!(
            "[regions.{}]\nlocation = \"{region}\"\n",
            region.to_lowercase()
        );
    }
    for service in 0..3 {
        let order = chance.one_of(&["nearest", "priority", "none"]);
        let pick = chance.one_of(&["weighted", "round-robin", "sticky"]);
        let all_down = chance.one_of(&["answer-all", "last-good", "nodata", "servfail"]);
        let (answers, ramp) = (1 + chance.below(3), chance.one_of(&["0s", "60s", "10m"]));
        text += &format!(
            "[[services]]\nname = \"s{service}.example.com\"\ncheck = \"web\"\norder = \"{order}\"\n"
        );
        text += &format!(
            "pick = \"{pick}\"\nall_down = \"{all_down}\"\nanswers = {answers}\nramp = \"{ramp}\"\n"
        );
        text += "[services.endpoints]\n";
        for (at, region) in regions.iter().enumerate() {
            let endpoint =
                |number: u64| format!("\"192.0.{service}.{}\"", 10 * (at as u64 + 1) + number);
            let endpoints: Vec<String> = (0..1 + chance.below(3)).map(endpoint).collect();
            text += &format!("{} = [{}]\n", region.to_lowercase(), endpoints.join(", "));
        }
    }
    text
}

/// Faults for these endpoints.
fn script(chance: &mut Chance, endpoints: impl Iterator<Item = IpAddr>) -> Script {
    use Condition::{Errs, Flaps, Good, Hangs, Refuses, Warns};
    let kinds = [
        Good,
        Good,
        Warns,
        Refuses,
        Hangs,
        Errs,
        Flaps(1_000),
        Flaps(7_000),
        Flaps(45_000),
    ];
    let mut script = Script::default();
    for endpoint in endpoints {
        let mut changes: Vec<Duration> = (0..chance.below(6)).map(|_| chance.moment()).collect();
        changes.sort();
        let first = (Duration::ZERO, chance.one_of(&[Good, Good, Good, Refuses]));
        let rest = changes
            .into_iter()
            .map(|moment| (moment, chance.one_of(&kinds)));
        let all = std::iter::once(first).chain(rest).collect();
        script.conditions.insert(endpoint, all);
    }
    if chance.below(2) == 0 {
        let from = chance.moment();
        script
            .cut_off
            .push((from, from + Duration::from_secs(1 + chance.below(90))));
    }
    script
}

/// The built-in geography, read once for all plays.
fn load(configuration: String) -> LoadedState {
    static ATLAS: OnceLock<AtlasCache> = OnceLock::new();
    let loaded = ConfigOrigin::BuiltIn {
        configuration,
        zone: ZONE,
    }
    .load(ATLAS.get());
    let loaded = loaded.unwrap_or_else(|mistakes| panic!("{}", mistakes.join("\n")));
    ATLAS.get_or_init(|| loaded.atlas.clone());
    loaded
}

/// A server without threads and sockets. The script decides the results of probes.
struct Play {
    state: ControlState,
    monitor: Monitor,
    stage: Arc<Stage>,
    draw: u64,
}

impl Play {
    async fn begin(seed: u64, loaded: LoadedState, script: Script) -> Play {
        let inputs = ControlInputs::new(Arc::new(loaded.config), Arc::default(), Arc::default());
        let derived = Derived::first(&inputs, BootTime::default());
        let files = LoadedFiles {
            atlas: loaded.atlas,
            prints: loaded.prints,
            sources: loaded.sources,
        };
        let clocks = ClockReading {
            boot: BootTime::default(),
            wall: Duration::ZERO,
        };
        let stage = Arc::new(Stage {
            script,
            begin: Instant::now(),
        });
        let targets = derived.plan.targets.clone();
        let monitor = Monitor::start_by(seed, stage.clone(), targets, &SavedStates::new(), 64);
        assert!(monitor.first_round().await);
        let state = ControlState::new(
            inputs,
            derived,
            Arc::new(loaded.snapshot),
            files,
            None,
            clocks,
        );
        let mut play = Play {
            state,
            monitor,
            stage,
            draw: seed,
        };
        play.step(|reply| Change::Begin {
            ramps: Vec::new(),
            gap: Duration::ZERO,
            reply,
        });
        play.step(|reply| Change::Observed { reply });
        play
    }

    /// Takes a change in as the controller does.
    fn step(&mut self, change: impl FnOnce(ChangeReply<()>) -> Change) {
        let (reply, mut done) = tokio::sync::oneshot::channel();
        let elapsed = self.now();
        let health = self.monitor.health();
        let observations = Observations {
            targets: health.targets,
            events: self.monitor.timeline(self.state.log.event),
            shortages: self.monitor.shortages(),
            states: Some(self.monitor.states()),
        };
        let clocks = ClockReading {
            boot: BootTime::default().after(elapsed),
            wall: elapsed,
        };
        let effects = self.state.step(
            change(reply),
            StepFacts {
                clocks,
                observations: Some(observations),
            },
        );
        for action in effects.actions {
            if let Action::Probe(targets) = action {
                self.monitor.replace(targets);
            }
        }
        for answer in effects.replies {
            answer.send(&[]);
        }
        done.try_recv().expect("each of these is answered at once");
    }

    fn now(&self) -> Duration {
        self.stage.begin.elapsed()
    }

    fn snapshot(&self) -> &Snapshot {
        &self.state.snapshot
    }

    /// Advances to the next second, or to the next change of a state.
    async fn advance(&mut self) {
        let mut changes = self.monitor.changes();
        changes.mark_unchanged();
        let second = self.stage.begin + Duration::from_secs(self.now().as_secs() + 1);
        let is_changed = tokio::select! {
            biased;
            _ = changes.changed() => true,
            () = tokio::time::sleep_until(second) => false,
        };
        if is_changed {
            self.step(|reply| Change::Observed { reply });
        } else {
            self.step(|reply| Change::Tick { reply });
        }
    }

    /// The addresses that a client gets, and the response code.
    fn ask(&mut self, service: usize, client: IpAddr) -> (Vec<IpAddr>, u8) {
        self.draw = next_draw(self.draw);
        let name = format!("\x02s{service}\x07example\x03com\0");
        let query = [
            b"\0\x01\x01\0\0\x01\0\0\0\0\0\0",
            name.as_bytes(),
            &[0, RecordType::A.0 as u8, 0, 1],
        ]
        .concat();
        let mut reply = [0; 1232];
        let moment = self.snapshot().client_context(0, self.draw);
        let answered = answer(
            &query,
            client.into(),
            Transport::Udp,
            &moment,
            &mut QueryScratch::default(),
            &mut reply,
        );
        let count = usize::from(reply[7]);
        let records = reply[query.len()..answered.length].chunks(16).take(count);
        let address = |record: &[u8]| {
            IpAddr::from(Ipv4Addr::new(
                record[12], record[13], record[14], record[15],
            ))
        };
        (records.map(address).collect(), reply[3] & 0xf)
    }

    /// The laws that hold at every moment.
    fn check(&mut self, seed: u64) {
        let now = self.now();
        for service in 0..self.state.derived.config.services.len() {
            let configured = self.state.derived.config.services[service].clone();
            let mut listed = configured
                .regions
                .iter()
                .flat_map(|region| &region.endpoints);
            let alive =
                listed.any(|endpoint| self.stage.script.is_surely_alive(address_of(endpoint), now));
            let standing = &self.snapshot().live.availability().services[service];
            let open = standing
                .regions
                .iter()
                .any(|region| region.share > Share::NONE);
            let health = self.monitor.health().targets;
            let seen = |address: IpAddr| {
                let target = health
                    .iter()
                    .find(|(key, _)| key.address.ip() == address)
                    .map(|(_, target)| target);
                target.and_then(|target| Some((target.state, target.last.as_ref()?.result)))
            };
            let endpoints = || {
                configured
                    .regions
                    .iter()
                    .flat_map(|region| &region.endpoints)
                    .map(address_of)
            };
            let some_seen_alive = endpoints()
                .any(|address| seen(address).is_some_and(|(_, last)| last != ProbeResult::Fail));
            let may_be_empty = !open
                && !some_seen_alive
                && matches!(configured.all_down, AllDown::NoData | AllDown::ServFail);
            for client in CLIENTS {
                let (given, rcode) = self.ask(service, client.parse().unwrap());
                let context = format!("seed {seed}, {now:?}, s{service} for {client}: {given:?}");
                assert!(
                    may_be_empty || rcode == 0 && !given.is_empty(),
                    "an empty answer; {context}, rcode {rcode}"
                );
                let is_dead = |address: &&IpAddr| {
                    seen(**address)
                        .is_some_and(|(state, last)| !state.serves() && last == ProbeResult::Fail)
                };
                if some_seen_alive {
                    let dead = given.iter().find(is_dead);
                    assert_eq!(
                        dead, None,
                        "an endpoint that was not seen alive is given, although another was; {context}"
                    );
                }
                if alive && !self.stage.script.is_confused(now) {
                    assert!(open, "all are out while one is alive; {context}");
                    let dead = given
                        .iter()
                        .find(|address| self.stage.script.is_surely_dead(**address, now));
                    assert_eq!(
                        dead, None,
                        "a dead endpoint is given while another is alive; {context}"
                    );
                }
            }
        }
    }
}

fn address_of(endpoint: &crate::config::Endpoint) -> IpAddr {
    match endpoint.target {
        crate::config::EndpointTarget::Address(address) => address,
        ref other => panic!("{other:?} is no address"),
    }
}

async fn play(seed: u64) {
    let mut chance = Chance(seed);
    let loaded = load(configuration(&mut chance));
    let regions = loaded
        .config
        .services
        .iter()
        .flat_map(|service| &service.regions);
    let endpoints: Vec<IpAddr> = regions
        .flat_map(|region| &region.endpoints)
        .map(address_of)
        .collect();
    let script = script(&mut chance, endpoints.into_iter());
    let mut play = Play::begin(seed, loaded, script).await;
    while play.now() < HOUR {
        play.check(seed);
        play.advance().await;
    }
    let mut changes: HashMap<_, usize> = HashMap::new();
    for event in play
        .monitor
        .timeline(0)
        .iter()
        .filter(|event| event.from != HealthState::Unknown)
    {
        *changes.entry(event.target.clone()).or_default() += 1;
    }
    for (target, count) in changes {
        assert!(
            count <= MOST_CHANGES,
            "seed {seed}: {count} changes of {target:?} in an hour"
        );
    }
}

/// Seeds to play: the one that is asked for, or the usual ones.
fn seeds() -> Vec<u64> {
    match std::env::var("MERIDIAN_SEED") {
        Ok(seed) => vec![seed.parse().expect("a seed is a number")],
        Err(_) => (1..=40).collect(),
    }
}

fn run(play: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(play);
}

#[test]
fn whatever_fails_answers_are_never_empty_and_never_dead_while_one_is_alive() {
    for seed in seeds() {
        run(play(seed));
    }
}

#[test]
fn the_same_seed_is_the_same_play() {
    let changes = |seed| {
        let mut answers = Vec::new();
        run(async {
            let mut chance = Chance(seed);
            let loaded = load(configuration(&mut chance));
            let plan = ProbePlan::of(&loaded.config, &KnownNames::new());
            let script = script(
                &mut chance,
                plan.targets.iter().map(|target| target.address.ip()),
            );
            let mut play = Play::begin(seed, loaded, script).await;
            while play.now() < HOUR / 4 {
                play.advance().await;
                answers.push((play.now(), play.ask(0, IpAddr::from([8, 8, 8, 8]))));
            }
        });
        answers
    };
    assert_eq!(changes(3), changes(3));
}

/// Sixty networks each in Germany, Britain and Singapore.
fn clients(loaded: &LoadedState) -> Vec<IpAddr> {
    let (atlas, mut chance) = (&loaded.snapshot.catalog.atlas, Chance(1));
    let mut found: HashMap<&str, Vec<IpAddr>> = HashMap::new();
    while found.len() < 3 || found.values().any(|clients| clients.len() < 60) {
        let address = IpAddr::from(Ipv4Addr::from_bits(chance.below(1 << 32) as u32));
        let country = atlas.place(atlas.locate(address).place).country;
        let Some(wanted) = ["DE", "GB", "SG"]
            .into_iter()
            .find(|it| country.is_some_and(|code| code.as_str() == *it))
        else {
            continue;
        };
        let clients = found.entry(wanted).or_default();
        if clients.len() < 60 {
            clients.push(address);
        }
    }
    found.into_values().flatten().collect()
}

#[test]
fn survivors_stay_within_their_capacity() {
    let configuration = "[checks.web]\ntype = \"tcp\"\nport = 80\n[regions.fra]\nlocation = \"FRA\"\n[regions.lhr]\n\
        location = \"LHR\"\n[regions.sin]\nlocation = \"SIN\"\n[[services]]\nname = \"s0.example.com\"\ncheck = \"web\"\n\
        capacity = { fra = 100, lhr = 100, sin = 100 }\n[services.endpoints]\nfra = \"192.0.0.1\"\n\
        lhr = \"192.0.0.2\"\nsin = \"192.0.0.3\"\n";
    let second = Duration::from_secs;
    let mut script = Script::default();
    let dies = vec![
        (second(0), Condition::Good),
        (second(100), Condition::Refuses),
    ];
    script.conditions.insert("192.0.0.2".parse().unwrap(), dies);
    run(async {
        let loaded = load(configuration.to_owned());
        let clients = clients(&loaded);
        let mut play = Play::begin(1, loaded, script).await;
        let mut counts: HashMap<IpAddr, Vec<u64>> = HashMap::new();
        let mut asked = 0;
        while play.now() < second(300) {
            play.advance().await;
            if play.now().as_secs() > asked {
                asked = play.now().as_secs();
                for client in &clients {
                    let (given, _) = play.ask(0, *client);
                    counts.entry(given[0]).or_insert_with(|| vec![0; 301])[asked as usize] += 1;
                }
            }
        }
        let rate = |last: u8, from: usize, to: usize| {
            let counts = counts
                .get(&IpAddr::from([192, 0, 0, last]))
                .map_or(&[][..], Vec::as_slice);
            counts
                .get(from..to)
                .map_or(0, |counts| counts.iter().sum::<u64>()) as f64
                / (to - from) as f64
        };
        assert_eq!(
            [rate(1, 50, 100), rate(2, 50, 100), rate(3, 50, 100)],
            [60.0; 3],
            "each has its own"
        );
        let after = [rate(1, 150, 300), rate(2, 150, 300), rate(3, 150, 300)];
        assert!(
            after[1] == 0.0 && after[0] <= 105.0 && after[2] <= 105.0,
            "{after:?}"
        );
        assert!(
            after[2] >= 70.0,
            "what Frankfurt cannot take goes to Singapore: {after:?}"
        );
    });
}

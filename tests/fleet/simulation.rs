//! Fleets in simulation: the real state machines of health and votes, an engine that is not real, and
//! faults from a seed. What happens is the same in every run of the same seed.
//!
//! Every world has a few servers that probe the same endpoints. Endpoints die and return while messages
//! are lost, links work one way only, servers freeze, restart, have clocks that jump, lie, or edit their
//! checks, and the engine goes away. After every tenth of a second the invariants are checked:
//!
//! 1. Two servers with the same fresh views come to the same verdicts, and never to opposite ones.
//! 2. What the majority of a server's fresh views sees up is not out there for longer than a tick,
//!    if it can read them: who has edited its checks, and hears nobody, does not spell them out.
//! 3. No service is ever empty.
//! 4. One vantage that lies, flaps or is cut off changes nothing on any server.
//! 5. When the faults are over, every server knows the truth.
//!
//! `cargo test --test fleet simulation` runs a few thousand failovers.
//! `MERIDIAN_FLEET_FAILOVERS=1000000 cargo test --release --test fleet simulation` runs a million.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use meridian::fleet::member::{FleetMember, MemberSettings};
use meridian::fleet::view::VoterView;
use meridian::health::fold::{CheckCombination, EndpointInput, FoldRules, RegionInput, fold};
use meridian::health::machine::{Damping, HealthMachine, HealthRules, ProbeResult};
use meridian::health::quorum::{
    CheckVote, QuorumRule, QuorumSettings, QuorumVerdict, state_by_vote,
};

/// Milliseconds of a step.
const STEP: u64 = 100;
/// A tick of the controller, in steps.
const TICK: u64 = 10;
const REGIONS: usize = 3;
const ENDPOINTS: usize = 9;
/// How long after the last fault everybody must know the truth, in steps: what was lost is said again
/// after a second, a liar's last view counts for three, and probes need some tenths.
const HEALING: u64 = 60;

/// A generator of random numbers (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `bound` times.
    fn once_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

/// The votes of a view that was published, by digest.
type PublishedVotes = BTreeMap<u64, CheckVote>;

/// A view that was published.
struct PublishedView {
    at: u64,
    group: String,
    votes: PublishedVotes,
}

/// What is wrong with a server at the moment.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Mischief {
    None,
    /// It publishes nonsense that changes all the time.
    Lies,
    /// It publishes the opposite of what it sees.
    Inverts,
    /// Its probes fail by turns.
    Flaps,
    /// It reaches no endpoint.
    Blind,
    /// It reaches neither endpoints nor the engine.
    CutOff,
}

struct SimServer {
    member: FleetMember,
    machines: Vec<HealthMachine>,
    /// What its clock shows beyond the world's, in milliseconds.
    ahead: u64,
    frozen_until: u64,
    mischief: Mischief,
    /// Endpoints whose check it has in another definition.
    edited: [bool; ENDPOINTS],
    inbox: Vec<SimMessage>,
    settled: BTreeMap<u64, CheckVote>,
    /// Changes of settled votes so far.
    changes: u64,
    /// Since when a check is out although the majority sees it up, in steps.
    wrong_since: HashMap<u64, u64>,
}

#[derive(Clone)]
struct SimMessage {
    due: u64,
    from: usize,
    octets: std::rc::Rc<[u8]>,
}

/// The faults of the engine and of the links to it.
#[derive(Default)]
struct SimEngine {
    is_gone: bool,
    /// Some messages come late or twice.
    is_disorderly: bool,
    /// One message in so many is lost; 0: none.
    loses_one_in: usize,
    /// Links that lose everything in one direction, by sender and receiver.
    blocked: Vec<(usize, usize)>,
}

struct SimWorld {
    dice: Dice,
    now: u64,
    truth: [bool; ENDPOINTS],
    servers: Vec<SimServer>,
    engine: SimEngine,
    rule: QuorumRule,
    published: HashMap<(u64, u64), PublishedView>,
    seed: u64,
}

fn digest(endpoint: usize, is_edited: bool) -> u64 {
    let number = endpoint as u64 + if is_edited { 1000 } else { 0 };
    Dice(number).next()
}

fn rules() -> HealthRules {
    HealthRules {
        interval: Duration::from_millis(500),
        quick: Duration::from_millis(STEP),
        fall: 2,
        rise: 2,
        damping: Damping {
            doublings: 0,
            ..Damping::default()
        },
        ..HealthRules::default()
    }
}

impl SimWorld {
    fn new(seed: u64) -> SimWorld {
        let mut dice = Dice(seed);
        let count = 3 + dice.below(5);
        let rule = match dice.below(10) {
            0 => QuorumRule::Percent(18),
            1 => QuorumRule::Count(2),
            _ => QuorumRule::Majority,
        };
        let mut servers = Vec::new();
        for at in 0..count {
            // The first three are groups of their own; others may share one.
            let group = if at >= 3 && dice.once_in(3) {
                at - 3
            } else {
                at
            };
            let settings = MemberSettings {
                fleet: "sim".into(),
                voter: format!("s{at}"),
                group: format!("g{group}"),
                quorum: QuorumSettings {
                    rule,
                    min_groups: 0,
                },
            };
            let ahead = dice.next() % 1_000_000_000;
            servers.push(SimServer {
                member: FleetMember::new(settings, dice.next(), Duration::from_millis(ahead)),
                machines: vec![HealthMachine::new(rules()); ENDPOINTS],
                ahead,
                frozen_until: 0,
                mischief: Mischief::None,
                edited: [false; ENDPOINTS],
                inbox: Vec::new(),
                settled: BTreeMap::new(),
                changes: 0,
                wrong_since: HashMap::new(),
            });
        }
        SimWorld {
            dice,
            now: 0,
            truth: [true; ENDPOINTS],
            servers,
            engine: SimEngine::default(),
            rule,
            published: HashMap::new(),
            seed,
        }
    }

    fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            self.step();
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        for at in 0..self.servers.len() {
            if self.servers[at].frozen_until <= self.now {
                self.turn(at);
            }
        }
        self.check_agreement();
        for at in 0..self.servers.len() {
            if self.servers[at].frozen_until <= self.now {
                self.check_majority(at);
            }
        }
        if self.now.is_multiple_of(10 * STEP) {
            self.forget_old_views();
        }
    }

    /// One server does what is due.
    fn turn(&mut self, at: usize) {
        let clock = Duration::from_millis(self.now + self.servers[at].ahead);
        let messages = std::mem::take(&mut self.servers[at].inbox);
        let (due, later) = messages
            .into_iter()
            .partition(|message| message.due <= self.now);
        let due: Vec<SimMessage> = due;
        self.servers[at].inbox = later;
        for message in due {
            // Late messages and a restarted server's are refused, which is what is tried here.
            let subject = format!("s{}", message.from);
            let _ = self.servers[at]
                .member
                .hear(clock, &subject, &message.octets);
        }
        self.probe(at, clock);
        let votes = self.votes(at);
        let server = &mut self.servers[at];
        server.member.set_votes(&votes);
        server.member.decide(clock);
        let (decided, anew) = (server.member.decided(), server.member.verdicts(clock));
        assert_eq!(
            decided, anew,
            "seed {}: verdicts that were not made anew",
            self.seed
        );
        let settled: BTreeMap<u64, CheckVote> = server.member.settled().collect();
        if settled != server.settled {
            server.changes += u64::from(!server.settled.is_empty());
            server.settled = settled;
            self.check_services(at);
        }
        let server = &mut self.servers[at];
        if server.member.next_due() <= clock {
            let mut octets = server.member.next_view(clock);
            if server.mischief == Mischief::Lies
                && let Ok(mut view) = VoterView::read(&octets, "sim")
            {
                view.known_groups = self.dice.below(1000) as u16;
                octets = view.write();
            }
            self.publish(at, octets.into(), votes);
        }
    }

    fn probe(&mut self, at: usize, clock: Duration) {
        for endpoint in 0..ENDPOINTS {
            let server = &mut self.servers[at];
            let is_due = (self.now / STEP + (at + endpoint) as u64).is_multiple_of(5)
                || !server.machines[endpoint].is_settled();
            if !is_due {
                continue;
            }
            let passes = match server.mischief {
                Mischief::Blind | Mischief::CutOff => false,
                Mischief::Flaps => self.now / STEP % 20 < 10,
                _ => self.truth[endpoint],
            };
            let result = if passes {
                ProbeResult::Pass
            } else {
                ProbeResult::Fail
            };
            server.machines[endpoint].observe(clock, result, true);
        }
    }

    /// What a server says, by digest.
    fn votes(&mut self, at: usize) -> PublishedVotes {
        let mut votes = BTreeMap::new();
        for endpoint in 0..ENDPOINTS {
            let server = &self.servers[at];
            let honest = CheckVote::of(server.machines[endpoint].state(), false);
            let key = digest(endpoint, server.edited[endpoint]);
            let vote = match (server.mischief, honest) {
                (Mischief::Lies, _) => {
                    [CheckVote::Unknown, CheckVote::Up, CheckVote::Down][self.dice.below(3)]
                }
                (Mischief::Inverts, CheckVote::Up) => CheckVote::Down,
                (Mischief::Inverts, CheckVote::Down) => CheckVote::Up,
                (_, honest) => honest,
            };
            votes.insert(key, vote);
        }
        votes
    }

    fn publish(&mut self, from: usize, octets: std::rc::Rc<[u8]>, votes: PublishedVotes) {
        let member = &self.servers[from].member;
        let view = PublishedView {
            at: self.now,
            group: member.settings().group.clone(),
            votes,
        };
        self.published.insert(member.mark(), view);
        if self.engine.is_gone || self.servers[from].mischief == Mischief::CutOff {
            return;
        }
        for to in 0..self.servers.len() {
            let is_lost =
                self.engine.loses_one_in > 0 && self.dice.once_in(self.engine.loses_one_in);
            let is_cut = self.engine.blocked.contains(&(from, to))
                || self.servers[to].mischief == Mischief::CutOff;
            if is_lost || is_cut {
                continue;
            }
            let is_disorderly = self.engine.is_disorderly;
            for _ in 0..1 + usize::from(is_disorderly && self.dice.once_in(50)) {
                let is_late = is_disorderly && self.dice.once_in(50);
                let delay = if is_late { self.dice.next() % 700 } else { 20 };
                self.servers[to].inbox.push(SimMessage {
                    due: self.now + delay,
                    from,
                    octets: octets.clone(),
                });
            }
        }
    }

    /// Forgets views that count nowhere any more: a frozen server hears them some seconds late.
    fn forget_old_views(&mut self) {
        let now = self.now;
        self.published.retain(|_, view| view.at + 20_000 > now);
    }

    /// Invariant 1.
    fn check_agreement(&self) {
        type Said = (BTreeMap<u64, QuorumVerdict>, bool);
        let mut seen: HashMap<Vec<(u64, u64)>, Said> = HashMap::new();
        for server in &self.servers {
            let clock = Duration::from_millis(self.now + server.ahead);
            if server.frozen_until > self.now || !server.member.is_published() {
                continue;
            }
            let digests = server.member.settled().map(|(digest, _)| digest);
            let verdicts: BTreeMap<u64, QuorumVerdict> =
                digests.zip(server.member.verdicts(clock)).collect();
            let mut fresh = server.member.board().voters();
            let reads_all =
                !fresh.any(|(_, voter)| voter.aligned.votes.contains(&CheckVote::Unread));
            let marks = server.member.fresh_marks(clock);
            let Some((others, other_reads_all)) = seen.get(&marks) else {
                seen.insert(marks, (verdicts, reads_all));
                continue;
            };
            for (digest, verdict) in &verdicts {
                let Some(other) = others.get(digest) else {
                    continue;
                };
                let is_opposite = verdict != other
                    && *verdict != QuorumVerdict::Undecided
                    && *other != QuorumVerdict::Undecided;
                let must_be_same = reads_all && *other_reads_all;
                assert!(
                    verdict == other || !(is_opposite || must_be_same),
                    "seed {} at {}: the same views, but {verdict:?} and {other:?}",
                    self.seed,
                    self.now
                );
            }
        }
    }

    /// Invariant 2, by another count than the quorum's own: from the votes as they were published.
    fn check_majority(&mut self, at: usize) {
        if self.rule != QuorumRule::Majority {
            return;
        }
        let server = &mut self.servers[at];
        let clock = Duration::from_millis(self.now + server.ahead);
        let mut fresh = server.member.board().voters();
        let reads_all = !fresh.any(|(_, voter)| voter.aligned.votes.contains(&CheckVote::Unread));
        if !server.member.is_published() || !server.member.has_quorum() || !reads_all {
            server.wrong_since.clear();
            return;
        }
        let marks = server.member.fresh_marks(clock);
        for (check, settled) in &server.settled {
            if *settled != CheckVote::Down {
                server.wrong_since.remove(check);
                continue;
            }
            let mut by_group: BTreeMap<&str, i32> = BTreeMap::new();
            for mark in &marks {
                let Some(view) = self.published.get(mark) else {
                    panic!("seed {}: a view that nobody published", self.seed);
                };
                *by_group.entry(&view.group).or_default() += match view.votes.get(check) {
                    Some(CheckVote::Up) => 1,
                    Some(CheckVote::Down) => -1,
                    _ => 0,
                };
            }
            let up = by_group.values().filter(|sum| **sum > 0).count();
            let is_wrong = up * 2 > by_group.len();
            if !is_wrong {
                server.wrong_since.remove(check);
                continue;
            }
            let since = *server.wrong_since.entry(*check).or_insert(self.now);
            assert!(
                self.now - since <= TICK * STEP,
                "seed {} at {}: s{at} has a check out that most see up: {by_group:?}",
                self.seed,
                self.now
            );
        }
    }

    /// Invariant 3: the fold of what is settled leaves every service something.
    fn check_services(&self, at: usize) {
        let server = &self.servers[at];
        let mut regions = Vec::new();
        for region in 0..REGIONS {
            let mut endpoints = Vec::new();
            for endpoint in region * 3..region * 3 + 3 {
                let key = digest(endpoint, server.edited[endpoint]);
                let settled = server.settled.get(&key).copied().unwrap_or_default();
                let own = server.machines[endpoint].state();
                endpoints.push(EndpointInput {
                    states: vec![state_by_vote(own, settled)],
                    combine: CheckCombination::All,
                    order: None,
                });
            }
            regions.push(RegionInput {
                endpoints,
                min_endpoints: 1,
                order: None,
                weight: 100,
                up_since: None,
                last_good: true,
            });
        }
        let rules = FoldRules {
            max_removed: 0.7,
            ..FoldRules::default()
        };
        let standing = fold(&rules, &regions, Duration::from_millis(self.now));
        let is_empty = standing.regions.iter().all(|region| region.share == 0.0);
        assert!(
            !is_empty,
            "seed {} at {}: an empty answer",
            self.seed, self.now
        );
    }

    /// Invariant 5.
    fn check_truth(&self) {
        for (at, server) in self.servers.iter().enumerate() {
            for endpoint in 0..ENDPOINTS {
                let key = digest(endpoint, server.edited[endpoint]);
                let expected = if self.truth[endpoint] {
                    CheckVote::Up
                } else {
                    CheckVote::Down
                };
                assert_eq!(
                    server.settled.get(&key),
                    Some(&expected),
                    "seed {} at {}: s{at} about endpoint {endpoint} of {} servers",
                    self.seed,
                    self.now,
                    self.servers.len(),
                );
            }
        }
    }

    fn restart(&mut self, at: usize) {
        let settings = self.servers[at].member.settings().clone();
        let clock = Duration::from_millis(self.now + self.servers[at].ahead);
        let epoch = self.dice.next();
        let server = &mut self.servers[at];
        let memory = server.member.memory(clock);
        server.member = FleetMember::new(settings, epoch, clock);
        server.member.recall(&memory, clock);
        server.inbox.clear();
        for machine in &mut server.machines {
            *machine = HealthMachine::resume(rules(), machine.state(), clock);
        }
    }

    /// Endpoints die or return. Returns how many.
    fn fail_over(&mut self) -> u64 {
        let before = self.truth;
        match self.dice.below(4) {
            0 => {
                let region = self.dice.below(REGIONS);
                let is_up = !self.truth[region * 3];
                self.truth[region * 3..region * 3 + 3].fill(is_up);
            }
            1 => self.truth = [true; ENDPOINTS],
            _ => {
                for endpoint in 0..ENDPOINTS {
                    if self.dice.once_in(2) {
                        self.truth[endpoint] = !self.truth[endpoint];
                    }
                }
            }
        }
        let changed = before.iter().zip(&self.truth).filter(|(was, is)| was != is);
        changed.count() as u64
    }

    /// Something goes wrong.
    fn break_something(&mut self) {
        let count = self.servers.len();
        let at = self.dice.below(count);
        match self.dice.below(9) {
            0 => self.engine.is_gone = true,
            1 => self.engine.loses_one_in = 2 + self.dice.below(10),
            2 => {
                // A link that works in one direction only, or a partition.
                for to in 0..count {
                    if self.dice.once_in(2) {
                        self.engine.blocked.push((at, to));
                        if self.dice.once_in(2) {
                            self.engine.blocked.push((to, at));
                        }
                    }
                }
            }
            3 => self.servers[at].frozen_until = self.now + self.dice.next() % 5000,
            4 => self.restart(at),
            5 => self.servers[at].ahead += self.dice.next() % 3_600_000,
            6 => {
                let endpoint = self.dice.below(ENDPOINTS);
                self.servers[at].edited[endpoint] ^= true;
            }
            7 => {
                let kinds = [Mischief::Blind, Mischief::Flaps, Mischief::CutOff];
                self.servers[at].mischief = kinds[self.dice.below(3)];
            }
            _ => {
                let kinds = [Mischief::Lies, Mischief::Inverts];
                self.servers[at].mischief = kinds[self.dice.below(2)];
            }
        }
    }

    fn heal(&mut self) {
        self.engine = SimEngine::default();
        for server in &mut self.servers {
            server.mischief = Mischief::None;
            server.frozen_until = 0;
        }
    }
}

/// The number of failovers to simulate.
fn failovers() -> u64 {
    match std::env::var("MERIDIAN_FLEET_FAILOVERS") {
        Ok(number) => number
            .parse()
            .expect("MERIDIAN_FLEET_FAILOVERS is a number"),
        Err(_) => 4000,
    }
}

/// Runs worlds until so many endpoints have died or returned, on two threads.
fn run_worlds(wanted: u64, play: fn(u64) -> u64) -> u64 {
    let mut total = 0;
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for half in 0..2 {
            threads.push(scope.spawn(move || {
                let (mut done, mut seed) = (0, half);
                while done < wanted / 2 {
                    done += play(seed);
                    seed += 2;
                }
                done
            }));
        }
        for thread in threads {
            total += thread.join().expect("the worlds keep their invariants");
        }
    });
    total
}

#[test]
fn failovers_with_faults_break_no_invariant() {
    let done = run_worlds(failovers(), |seed| {
        let mut world = SimWorld::new(seed);
        world.run(15);
        let mut done = 0;
        for _ in 0..8 {
            world.engine.is_disorderly = true;
            for _ in 0..world.dice.below(4) {
                world.break_something();
            }
            let steps = 5 + world.dice.next() % 30;
            world.run(steps);
            done += world.fail_over();
            for _ in 0..world.dice.below(2) {
                world.break_something();
            }
            let steps = 5 + world.dice.next() % 30;
            world.run(steps);
            world.heal();
            world.run(HEALING);
            world.check_truth();
        }
        done
    });
    println!("{done} failovers, 0 violations");
}

#[test]
fn without_faults_everybody_follows_the_majority_at_once() {
    run_worlds(failovers() / 4, |seed| {
        let mut world = SimWorld::new(seed);
        world.run(15);
        let mut done = 0;
        for _ in 0..8 {
            done += world.fail_over();
            // The last server may probe after half a second, and agrees with a second probe a tenth
            // later; the view and the verdict follow within two more tenths.
            world.run(5 + 1 + 2);
            world.check_truth();
        }
        done
    });
}

#[test]
fn a_restart_of_a_server_that_hears_nobody_changes_nothing() {
    run_worlds(failovers() / 4, |seed| {
        let mut world = SimWorld::new(seed);
        if world.rule != QuorumRule::Majority {
            return 0;
        }
        world.run(15);
        world.fail_over();
        world.run(HEALING);
        world.check_truth();
        let before: Vec<u64> = world.servers.iter().map(|server| server.changes).collect();
        // Each is a lone group of three or more, and sees endpoints fail.
        for server in &mut world.servers {
            server.mischief = Mischief::CutOff;
        }
        for _ in 0..4 {
            // Its last views of others are still fresh, or not any more.
            let steps = world.dice.next() % 50;
            world.run(steps);
            let at = world.dice.below(world.servers.len());
            world.restart(at);
        }
        world.run(20);
        for (at, server) in world.servers.iter().enumerate() {
            assert_eq!(server.changes, before[at], "seed {seed}: s{at}");
        }
        4
    });
}

#[test]
fn one_bad_vantage_changes_nothing() {
    run_worlds(failovers() / 4, |seed| {
        let mut world = SimWorld::new(seed);
        world.rule = QuorumRule::Majority;
        if !matches!(
            world.servers[0].member.settings().quorum.rule,
            QuorumRule::Majority
        ) {
            return 0;
        }
        world.run(15);
        world.fail_over();
        world.run(HEALING);
        world.check_truth();
        let before: Vec<u64> = world.servers.iter().map(|server| server.changes).collect();
        let bad = world.dice.below(world.servers.len());
        for _ in 0..6 {
            let kinds = [
                Mischief::Lies,
                Mischief::Inverts,
                Mischief::Flaps,
                Mischief::Blind,
                Mischief::CutOff,
                Mischief::None,
            ];
            world.servers[bad].mischief = kinds[world.dice.below(6)];
            if world.dice.once_in(4) {
                world.servers[bad].frozen_until = world.now + world.dice.next() % 6000;
            }
            let steps = 10 + world.dice.next() % 50;
            world.run(steps);
        }
        for (at, server) in world.servers.iter().enumerate() {
            assert_eq!(
                server.changes, before[at],
                "seed {seed}: s{at} with a bad s{bad}"
            );
        }
        6
    });
}

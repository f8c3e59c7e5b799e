//! A fleet of these state machines, with faults by chance: what no order of events may lead to.

use proptest::prelude::*;

use super::*;

const SOAK: Duration = Duration::from_secs(60);
/// The rings of the simulated servers.
const RINGS: [u8; 6] = [0, 0, 1, 1, 2, 2];

/// Something that happens.
#[derive(Debug, Clone)]
enum FleetEvent {
    /// A release is pushed. Bit n: server n refuses it, or serves it and fails.
    Push { refusing: u8, failing: u8 },
    /// What was pushed last is taken back.
    Back,
    /// A server reads the next values of the bucket.
    Read(usize, usize),
    /// A server carries out its next step.
    Step(usize),
    /// Time passes, in seconds.
    Pass(u64),
    /// A server ends and starts again.
    Restart(usize),
    /// Bit n: server n is in touch with this server.
    Touch(usize, u8),
}

fn event() -> impl Strategy<Value = FleetEvent> {
    let server = 0..RINGS.len();
    let some = prop_oneof![2 => Just(0_u8), 1 => any::<u8>(), 1 => Just(255)];
    prop_oneof![
        2 => (some.clone(), some).prop_map(|(refusing, failing)| FleetEvent::Push { refusing, failing }),
        1 => Just(FleetEvent::Back),
        20 => (server.clone(), 1..20_usize).prop_map(|(server, count)| FleetEvent::Read(server, count)),
        30 => server.clone().prop_map(FleetEvent::Step),
        6 => (0..90_u64).prop_map(FleetEvent::Pass),
        2 => server.clone().prop_map(FleetEvent::Restart),
        2 => (server, any::<u8>()).prop_map(|(server, mask)| FleetEvent::Touch(server, mask)),
    ]
}

/// What stands in the bucket.
#[derive(Debug, Clone)]
enum BucketValue {
    Release(ReleaseFacts),
    Report(String, ReleaseReport),
}

/// A release, and who does not like it.
struct PushedRelease {
    facts: ReleaseFacts,
    refusing: u8,
    failing: u8,
}

struct SimulatedFleet {
    members: Vec<ReleaseMember>,
    read: Vec<usize>,
    told: Vec<Option<ReleaseReport>>,
    bucket: Vec<BucketValue>,
    pushed: Vec<PushedRelease>,
    now: Duration,
    /// Who has proven which release.
    proven: BTreeSet<(u64, usize)>,
    /// Who has served which release by its ring.
    served: BTreeSet<(u64, usize)>,
}

fn settings(server: usize) -> RingSettings {
    RingSettings {
        server: name(server),
        ring: RINGS[server],
        soak: SOAK,
    }
}

fn name(server: usize) -> String {
    format!("ns{server}")
}

fn names(mask: u8) -> BTreeSet<String> {
    let servers = (0..RINGS.len()).filter(|server| mask & (1 << server) != 0);
    servers.map(name).collect()
}

impl SimulatedFleet {
    fn new() -> SimulatedFleet {
        let mut fleet = SimulatedFleet {
            members: Vec::new(),
            read: vec![0; RINGS.len()],
            told: vec![None; RINGS.len()],
            bucket: Vec::new(),
            pushed: Vec::new(),
            now: Duration::ZERO,
            proven: BTreeSet::new(),
            served: BTreeSet::new(),
        };
        for server in 0..RINGS.len() {
            let memory = ReleaseMemory::default();
            let mut member = ReleaseMember::new(settings(server), memory, fleet.now);
            member.take_touch(names(255));
            fleet.members.push(member);
            fleet.tell(server);
        }
        fleet
    }

    fn push(&mut self, digest: Option<String>, refusing: u8, failing: u8) {
        let number = self.pushed.len() as u64 + 1;
        let facts = ReleaseFacts {
            number,
            is_return: digest.is_some(),
            digest: digest.unwrap_or_else(|| format!("archive {number}")),
        };
        self.bucket.push(BucketValue::Release(facts.clone()));
        self.pushed.push(PushedRelease {
            facts,
            refusing,
            failing,
        });
    }

    fn play(&mut self, event: FleetEvent) {
        match event {
            FleetEvent::Push { refusing, failing } => self.push(None, refusing, failing),
            FleetEvent::Back => {
                if let [.., before, _] = &self.pushed[..] {
                    let (digest, refusing, failing) =
                        (before.facts.digest.clone(), before.refusing, before.failing);
                    self.push(Some(digest), refusing, failing);
                }
            }
            FleetEvent::Read(server, count) => self.read(server, count),
            FleetEvent::Step(server) => self.step(server),
            FleetEvent::Pass(seconds) => self.now += Duration::from_secs(seconds),
            FleetEvent::Restart(server) => {
                let memory = self.members[server].memory().clone();
                let written = serde_json::to_string(&memory).unwrap();
                let memory = serde_json::from_str(&written).unwrap();
                self.members[server] = ReleaseMember::new(settings(server), memory, self.now);
                self.read[server] = 0;
            }
            FleetEvent::Touch(server, mask) => self.members[server].take_touch(names(mask)),
        }
    }

    fn read(&mut self, server: usize, count: usize) {
        for value in self.bucket.iter().skip(self.read[server]).take(count) {
            self.read[server] += 1;
            match value {
                BucketValue::Release(facts) => {
                    let seen = self.members[server].memory().seen;
                    let taken = self.members[server].take_release(facts.clone(), false);
                    assert_eq!(taken, facts.number >= seen);
                }
                BucketValue::Report(by, report) => {
                    self.members[server].take_report(by, Some(report.clone()));
                }
            }
        }
    }

    fn step(&mut self, server: usize) {
        let now = self.now;
        let member = &mut self.members[server];
        // Answers are looked at before the soak can end.
        let soaked = member.target().filter(|_| member.is_soaking());
        if let Some(facts) = soaked
            && self.pushed[facts.number as usize - 1].failing & (1 << server) != 0
        {
            member.fail("a jump".to_owned());
        }
        let step = member.step(now);
        if member.report().state == ReleaseState::Proven {
            self.proven.insert((member.memory().seen, server));
        }
        let Some(facts) = member.target().cloned() else {
            return;
        };
        let pushed = &self.pushed[facts.number as usize - 1];
        let refuses = pushed.refusing & (1 << server) != 0;
        match step {
            ReleaseStep::Rest => {}
            ReleaseStep::Fetch => member.fetched(facts.number),
            ReleaseStep::Check if refuses => member.refuse(facts.number, "broken".to_owned()),
            ReleaseStep::Check => member.checked(facts.number),
            ReleaseStep::Serve => self.serve(server, &facts, refuses),
            ReleaseStep::GoBack => member.returned(),
        }
        self.tell(server);
    }

    fn serve(&mut self, server: usize, facts: &ReleaseFacts, refuses: bool) {
        let skips = self.members[server].skips_rings(facts);
        if !skips {
            for lower in 0..RINGS[server] {
                let proven = |other: &usize| {
                    RINGS[*other] == lower && self.proven.contains(&(facts.number, *other))
                };
                assert!(
                    (0..RINGS.len()).any(|other| proven(&other)),
                    "ns{server} is ahead of its ring with release {}",
                    facts.number
                );
            }
        }
        let member = &mut self.members[server];
        member.begin(facts.number);
        if refuses {
            member.refuse(facts.number, "broken".to_owned());
            return;
        }
        member.served(facts, self.now);
        assert_eq!(member.memory().seen, facts.number, "never an older one");
        if member.report().state == ReleaseState::Proven {
            self.proven.insert((facts.number, server));
        }
        if !skips {
            self.served.insert((facts.number, server));
        }
    }

    /// Writes the report of a server, if it says something new.
    fn tell(&mut self, server: usize) {
        let report = self.members[server].report();
        if self.told[server].as_ref() != Some(&report) {
            self.told[server] = Some(report.clone());
            self.bucket.push(BucketValue::Report(name(server), report));
        }
    }

    /// A release that no server likes was served by ring 0 only.
    fn check_bad_releases(&self) {
        for pushed in &self.pushed {
            let all = (1 << RINGS.len()) - 1;
            if (pushed.refusing | pushed.failing) & all != all {
                continue;
            }
            for (number, server) in &self.served {
                assert!(*number != pushed.facts.number || RINGS[*server] == 0);
            }
        }
    }

    /// Nothing is lost any more, and everybody is in touch.
    fn settle(&mut self) {
        for _ in 0..80 {
            for server in 0..RINGS.len() {
                self.members[server].take_touch(names(255));
                self.read(server, usize::MAX);
                self.step(server);
            }
            self.now += Duration::from_secs(20);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_server_is_never_ahead_of_its_ring_and_a_bad_release_reaches_ring_0_only(
        events in prop::collection::vec(event(), 0..400)
    ) {
        let mut fleet = SimulatedFleet::new();
        for event in events {
            fleet.play(event);
            fleet.check_bad_releases();
        }
        // A good release reaches everybody, also those that were away.
        fleet.push(None, 0, 0);
        let last = fleet.pushed.len() as u64;
        fleet.settle();
        for member in &fleet.members {
            let report = member.report();
            prop_assert_eq!((report.serving, report.state), (last, ReleaseState::Proven));
        }
    }

    #[test]
    fn a_refusal_by_anyone_halts_and_those_on_trial_go_back(
        refuser in 0..RINGS.len(), fails in any::<bool>()
    ) {
        let mut fleet = SimulatedFleet::new();
        fleet.push(None, 0, 0);
        fleet.settle();
        let mask = 1 << refuser;
        fleet.push(None, if fails { 0 } else { mask }, if fails { mask } else { 0 });
        fleet.settle();
        for (server, member) in fleet.members.iter().enumerate() {
            let report = member.report();
            // A refusal before its turn halts ring 0, too.
            let has_proven = fails && RINGS[server] < RINGS[refuser];
            prop_assert_eq!(report.serving, if has_proven { 2 } else { 1 }, "{}: {:?}", server, report);
            let halt = member.halt();
            prop_assert_eq!(halt.map(|(by, _)| by), Some(name(refuser)));
        }
        // Going back needs no ring.
        fleet.push(Some("archive 1".to_owned()), 0, 0);
        for server in 0..RINGS.len() {
            fleet.read(server, usize::MAX);
            for _ in 0..3 {
                fleet.step(server);
            }
            let report = fleet.members[server].report();
            prop_assert_eq!((report.serving, report.state), (3, ReleaseState::Proven));
        }
    }
}

#[test]
fn a_release_that_ends_the_server_is_not_tried_again() {
    let mut member = ReleaseMember::new(settings(0), ReleaseMemory::default(), Duration::ZERO);
    let facts = ReleaseFacts {
        number: 1,
        digest: "archive 1".to_owned(),
        is_return: false,
    };
    assert!(member.take_release(facts.clone(), true));
    assert_eq!(member.step(Duration::ZERO), ReleaseStep::Serve);
    member.begin(1);
    let memory = member.memory().clone();
    let mut member = ReleaseMember::new(settings(0), memory.clone(), Duration::ZERO);
    assert!(member.take_release(facts.clone(), true));
    assert_eq!(member.step(Duration::ZERO), ReleaseStep::Rest);
    assert_eq!(member.report().state, ReleaseState::Failed);
    // It had been named as the served one already.
    let mut memory = memory;
    memory.find_served(Some("archive 1".to_owned()));
    let mut member = ReleaseMember::new(settings(0), memory, Duration::ZERO);
    assert!(member.take_release(facts, true));
    assert_eq!(member.report().serving, 1);
    assert_eq!(member.step(Duration::ZERO), ReleaseStep::GoBack);
    member.returned();
    assert_eq!(member.report().serving, 0);
    assert_eq!(member.report().state, ReleaseState::Failed);
    assert!(member.report().why.contains("ended while"));
}

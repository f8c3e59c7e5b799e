//! What a fleet costs one of its servers: 50 voters with 10,000 checks each.
//!
//! `cargo bench --bench fleet` prints the octets of a view, the processor time of a second in which
//! nothing changes, the time from a deciding view's arrival to the verdicts, and the memory of the
//! board. Parsing, the board, the quorum and the own view are the real ones; the engine is left out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use meridian::fleet::member::{FleetMember, MemberSettings};
use meridian::health::quorum::{CheckVote, QuorumSettings};

const VOTERS: u64 = 50;
const CHECKS: u64 = 10_000;

fn member(voter: u64) -> FleetMember {
    let settings = MemberSettings {
        fleet: "world".into(),
        voter: format!("ns{voter}"),
        group: format!("site{voter}"),
        quorum: QuorumSettings::default(),
    };
    let mut member = FleetMember::new(settings, voter + 1, Duration::ZERO);
    member.set_votes(&votes(CheckVote::Up));
    member
}

/// All up but the first check.
fn votes(first: CheckVote) -> BTreeMap<u64, CheckVote> {
    let digest = |number: u64| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut votes: BTreeMap<u64, CheckVote> = (0..CHECKS)
        .map(|number| (digest(number), CheckVote::Up))
        .collect();
    votes.insert(digest(0), first);
    votes
}

/// Resident memory in octets.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number") * 4096
}

fn main() {
    let mut others: Vec<FleetMember> = (1..VOTERS).map(member).collect();
    let mut own = member(0);
    let before = resident();
    let mut now = Duration::from_secs(1);
    let say = |own: &mut FleetMember, others: &mut [FleetMember], now: Duration| {
        let views: Vec<(String, Vec<u8>)> = others
            .iter_mut()
            .map(|other| (other.settings().voter.clone(), other.next_view(now)))
            .collect();
        let start = Instant::now();
        for (voter, octets) in &views {
            own.hear(now, voter, octets).expect("it counts");
        }
        (start.elapsed(), views[0].1.len())
    };
    let (first, octets) = say(&mut own, &mut others, now);
    own.decide(now);
    println!(
        "a view: {octets} octets; {VOTERS} a second: {} kB/s",
        octets as u64 * VOTERS / 1000
    );
    println!("the first {} views: {first:?}", VOTERS - 1);
    println!(
        "memory of the board: {} MB",
        (resident() - before) / 1_000_000
    );
    let mut quiet = Duration::ZERO;
    const SECONDS: u32 = 20;
    for _ in 0..SECONDS {
        now += Duration::from_secs(1);
        quiet += say(&mut own, &mut others, now).0;
        let start = Instant::now();
        own.decide(now);
        own.next_view(now);
        quiet += start.elapsed();
    }
    let second = quiet / SECONDS;
    let percent = second.as_secs_f64() * 100.0;
    println!("a second without news: {second:?}, {percent:.2} % of a core");
    let mut slowest = Duration::ZERO;
    for round in 0..20_u32 {
        let vote = if round % 2 == 0 {
            CheckVote::Down
        } else {
            CheckVote::Up
        };
        for other in &mut others[..30] {
            other.set_votes(&votes(vote));
        }
        now += Duration::from_secs(1);
        let (heard, _) = say(&mut own, &mut others, now);
        let start = Instant::now();
        let changed = own.decide(now);
        assert!(changed, "30 of 50 decide");
        slowest = slowest.max(start.elapsed() + heard / (VOTERS as u32 - 1));
    }
    println!("from a deciding view to the verdicts: {slowest:?} at most");
}

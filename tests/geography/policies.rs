//! Scopes over services that share policies, lists of fences and pools, and the same World said without sharing.
//!
//! `MERIDIAN_SEEDS=100..140 cargo nextest run --test geography policies` runs other seeds than the usual ones.

use std::net::IpAddr;
use std::ops::Range;

use meridian::catalog::LiveState;
use meridian::catalog::availability::Availability;
use meridian::catalog::services::ServiceFamily;
use meridian::control::LoadedState;
use meridian::foresight::{ScopeBasis, scopes};

use crate::generated::{TwoSpellings, two_spellings};
use crate::harness::types::{A, AAAA};
use crate::scopes::{address, answers, ask_whole, block, random_address, scope};
use crate::world::{Random, ask_for, world};

/// What the ordinary run takes.
const SEEDS: Range<u64> = 1..5;
/// States of health that each World goes through.
const STATES: usize = 3;
/// Clients that are asked for in each state of each service.
const CLIENTS: usize = 60;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("MERIDIAN_SEEDS") else {
        return SEEDS;
    };
    let (start, end) = text.split_once("..").expect("START..END");
    start.parse().expect("a number")..end.parse().expect("a number")
}

/// Takes regions and endpoints of some services out of, or back into, every World given. They have the same services.
fn change(random: &mut Random, worlds: &mut [&mut LoadedState]) {
    let seed = random.next();
    for loaded in worlds {
        let mut random = Random(seed);
        let mut availability: Availability = loaded.snapshot.live.availability().clone();
        for service in availability.services_mut() {
            let count = service.regions.len();
            let region = &mut service.regions[random.below(count as u64) as usize];
            let endpoint = random.below(5) as usize;
            match region.endpoints.get_mut(endpoint) {
                Some(is_up) => *is_up = !*is_up,
                None => region.endpoints.fill(random.below(2) == 0),
            }
        }
        let snapshot = &mut loaded.snapshot;
        snapshot.live = LiveState::compile(&snapshot.catalog, &availability, Some(&snapshot.live));
    }
}

/// The scopes of a service are those of the whole address space, and everybody in one has the same answer.
fn verify(loaded: &LoadedState, name: &str, random: &mut Random, seed: u64) {
    let parsed = name.parse().expect("a name");
    let standing = (&loaded.snapshot, &loaded.config);
    scopes(standing, &parsed, ServiceFamily::V4, &ScopeBasis::Now)
        .unwrap_or_else(|mistake| panic!("seed {seed}: {name}: {mistake}"));
    for v4 in [true, false] {
        let mut blocks = Vec::new();
        for _ in 0..CLIENTS {
            let (client, draw) = (random_address(random, v4), random.next());
            let reply = ask_whole(loaded, name, client, draw);
            let (first, last) = block(client, scope(&reply));
            blocks.push((first, last));
            let between = first + random.wide() % (last - first).saturating_add(1).max(1);
            for other in [first, last, between].map(|value| address(value, v4)) {
                let again = ask_whole(loaded, name, other, draw);
                assert_eq!(
                    (steady(loaded, name, &answers(&reply)), scope(&reply)),
                    (steady(loaded, name, &answers(&again)), scope(&again)),
                    "seed {seed}: {name}: {client} and {other} are in the same scope"
                );
            }
        }
        blocks.sort_unstable();
        blocks.dedup();
        for pair in blocks.windows(2) {
            assert!(pair[0].1 < pair[1].0, "seed {seed}: {name}: {pair:x?}");
        }
    }
}

/// The answers that depend on the client alone: round robin also depends on how often it was asked.
fn steady(loaded: &LoadedState, name: &str, answers: &[&str]) -> Vec<String> {
    let mut services = loaded.config.services.iter();
    let service = services.find(|service| service.name.to_string() == name);
    let in_turn = service.is_some_and(|it| it.pick == meridian::steering::PickMethod::RoundRobin);
    let mut kept: Vec<String> = answers.iter().map(|&data| data.to_owned()).collect();
    if in_turn {
        kept.truncate(0);
    }
    kept
}

#[test]
fn scopes_are_true_and_never_overlap_where_services_share_policies() {
    for seed in seeds() {
        let spellings = two_spellings(seed);
        let mut loaded = world(&spellings.shared);
        let mut random = Random(seed ^ 0x5c09e);
        for _ in 0..STATES {
            for name in &spellings.names {
                verify(&loaded, name, &mut random, seed);
            }
            change(&mut random, &mut [&mut loaded]);
        }
    }
}

/// What both say differently, in words.
fn differences(worlds: [&LoadedState; 2], names: &[String], random: &mut Random) -> Vec<String> {
    let mut found = Vec::new();
    for name in names {
        for _ in 0..CLIENTS {
            let v4 = random.below(2) == 0;
            let (client, draw) = (random_address(random, v4), random.next());
            let longest = if v4 { 32 } else { 128 };
            let length = [longest, longest / 4 * 3, longest / 2][random.below(3) as usize];
            let rtype = [A, AAAA][random.below(2) as usize];
            let source = [client, IpAddr::from([192, 0, 2, 250])][random.below(2) as usize];
            let subnet = (random.below(4) > 0).then_some((client, length));
            let replies = worlds.map(|loaded| {
                let reply = ask_for(loaded, name, rtype, source, subnet, draw);
                format!("{reply:?}")
            });
            if replies[0] != replies[1] {
                let [shared, written_out] = replies;
                found.push(format!(
                    "{name} {rtype:?} {source} {subnet:?}:\n{shared}\n{written_out}"
                ));
            }
        }
    }
    found
}

/// Compares both spellings in every state.
fn compare(spellings: &TwoSpellings, seed: u64) -> Vec<String> {
    let mut shared = world(&spellings.shared);
    let mut written_out = world(&spellings.written_out);
    let mut random = Random(seed ^ 0xd1ff);
    let mut found = Vec::new();
    for _ in 0..STATES {
        found.extend(differences(
            [&shared, &written_out],
            &spellings.names,
            &mut random,
        ));
        change(&mut random, &mut [&mut shared, &mut written_out]);
    }
    found
}

#[test]
fn a_world_with_policies_answers_as_the_same_world_written_out() {
    for seed in seeds() {
        let spellings = two_spellings(seed);
        let found = compare(&spellings, seed);
        assert!(
            found.is_empty(),
            "seed {seed}: {} differences, first\n{}\n{}\n{}",
            found.len(),
            found[0],
            spellings.shared,
            spellings.written_out
        );
    }
}

#[test]
fn one_key_that_is_written_out_wrongly_is_a_difference() {
    let changes = [
        ("answers = 2", "answers = 1"),
        ("ttl = 7", "ttl = 8"),
        ("\"nodata\"", "\"servfail\""),
    ];
    let mut told_apart = 0;
    for seed in SEEDS.take(2) {
        for (right, wrong) in changes {
            let spellings = two_spellings(seed);
            let mistaken = spellings.written_out.replace(right, wrong);
            let is_other = mistaken != spellings.written_out;
            let spellings = TwoSpellings {
                written_out: mistaken,
                ..spellings
            };
            told_apart += usize::from(is_other && !compare(&spellings, seed).is_empty());
        }
    }
    assert!(told_apart >= 2, "{told_apart}");
}

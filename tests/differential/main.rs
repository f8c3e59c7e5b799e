//! Random zones and queries, and what Meridian, Knot, NSD and BIND say of them: each difference is an item of
//! `docs/differential.md` or a defect.
//!
//! `MERIDIAN_SEEDS=100..140 cargo nextest run --test differential --no-capture` runs other seeds than the usual ones.

#[path = "../harness/mod.rs"]
mod harness;

mod compare;
mod known;
mod names;
mod queries;
mod random;
mod servers;
mod signed;
mod types;
mod zones;

use std::collections::BTreeMap;
use std::ops::Range;

use compare::View;
use harness::{Message, Reply, Transport};
use known::{Case, ITEMS};
use queries::Asked;
use random::Random;
use servers::{Other, Servers};
use zones::Zone;

/// What the ordinary run takes.
const SEEDS: Range<u64> = 1..4;
const ZONES: usize = 300;
const QUERIES: usize = 12;
/// Unexplained differences that are shown whole.
const SHOWN: usize = 30;
/// Octets that one of our replies may be longer than another server's that says the same: an extended error that BIND
/// does not give.
const MOST_LONGER: usize = 6;
/// Octets of all of our replies for 1000 of another server's.
const MOST_IN_ALL: usize = 1000;

#[test]
fn every_difference_from_knot_nsd_and_bind_is_explained() {
    let mut sum = Sum::default();
    seeds().for_each(|seed| run(seed, &mut sum));
    println!(
        "{} zones, {} queries, {} replies compared",
        sum.zones, sum.queries, sum.compared
    );
    sum.explained
        .iter()
        .for_each(|(item, count)| println!("{item:32} {count:>6}"));
    for (who, lengths) in &sum.lengths {
        println!(
            "{} equal replies have {} octets here, {} from {who}",
            lengths.replies, lengths.ours, lengths.theirs
        );
        assert!(
            lengths.ours * 1000 <= lengths.theirs * MOST_IN_ALL,
            "longer than those of {who} in all: {lengths:?}"
        );
        assert!(
            lengths.longest_excess <= MOST_LONGER,
            "a reply is longer than that of {who}: {lengths:?}"
        );
    }
    sum.expect_explained();
}

#[test]
fn the_written_list_has_every_item() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/differential.md");
    let text = std::fs::read_to_string(path).expect("the list");
    let written: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    assert_eq!(
        written,
        ITEMS.map(|item| item.name),
        "the headings of docs/differential.md and the items of known.rs"
    );
}

/// How long replies are that say the same.
#[derive(Debug, Default)]
struct Lengths {
    replies: usize,
    ours: usize,
    theirs: usize,
    /// By how many octets one of ours is longer at most.
    longest_excess: usize,
}

impl Lengths {
    fn add(&mut self, ours: usize, theirs: usize) {
        self.replies += 1;
        self.ours += ours;
        self.theirs += theirs;
        self.longest_excess = self.longest_excess.max(ours.saturating_sub(theirs));
    }
}

/// What came out so far.
#[derive(Default)]
struct Sum {
    lengths: BTreeMap<&'static str, Lengths>,
    zones: usize,
    queries: usize,
    compared: usize,
    explained: BTreeMap<String, usize>,
    unexplained: Vec<String>,
}

impl Sum {
    #[track_caller]
    fn expect_explained(&self) {
        let shown: Vec<&String> = self.unexplained.iter().take(SHOWN).collect();
        assert!(
            shown.is_empty(),
            "{} unexplained differences:\n{}",
            self.unexplained.len(),
            shown.iter().map(|s| &s[..]).collect::<Vec<_>>().join("\n")
        );
    }

    fn lengths(&mut self, who: &'static str) -> &mut Lengths {
        self.lengths.entry(who).or_default()
    }
}

/// `MERIDIAN_SEEDS=7` or `MERIDIAN_SEEDS=7..20`.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("MERIDIAN_SEEDS") else {
        return SEEDS;
    };
    let (from, to) = text.split_once("..").unwrap_or((&text, ""));
    let from = from.parse().expect("MERIDIAN_SEEDS is a number or a range");
    from..to.parse().unwrap_or(from + 1)
}

fn run(seed: u64, sum: &mut Sum) {
    let mut random = Random::new(seed);
    let zones = zones::zones(&mut random, ZONES);
    let servers = Servers::start(&zones);
    sum.zones += zones.len();
    for zone in &zones {
        for _ in 0..QUERIES {
            let asked = queries::query(&mut random, zone);
            sum.queries += 1;
            compare_views(seed, &servers, &zones, zone, &asked, View::of, sum);
        }
    }
}

fn compare_views(
    seed: u64,
    servers: &Servers,
    zones: &[Zone],
    zone: &Zone,
    asked: &Asked,
    view: fn(&Message) -> View,
    sum: &mut Sum,
) {
    let mut replies = vec![ask_ours(servers, asked, asked.transport)];
    replies.extend(
        servers
            .others
            .iter()
            .map(|other| ask_other(other, asked, asked.transport)),
    );
    // What one server fits into a datagram another does not, so whole replies are compared.
    if replies.iter().any(Message::is_truncated) {
        let whole = ask_ours(servers, asked, Transport::Tcp);
        let most = asked
            .question
            .opt
            .as_ref()
            .map_or(512, |opt| usize::from(opt.payload.clamp(512, 1232)));
        let what = || {
            format!(
                "seed {seed}: {} {}\n{}",
                asked.name,
                asked.question.rtype,
                zone.text()
            )
        };
        assert!(
            !replies[0].is_truncated() || whole.length > most,
            "TC without need: {}",
            what()
        );
        replies = vec![whole];
        replies.extend(
            servers
                .others
                .iter()
                .map(|other| ask_other(other, asked, Transport::Tcp)),
        );
    }
    let views: Vec<View> = replies.iter().map(view).collect();
    for (number, other) in servers.others.iter().enumerate() {
        sum.compared += 1;
        let (ours, theirs) = (&views[0], &views[number + 1]);
        let parts = ours.differences(theirs);
        if parts.is_empty() {
            sum.lengths(other.name)
                .add(replies[0].length, replies[number + 1].length);
            continue;
        }
        let case = Case {
            asked,
            who: other.name,
            ours,
            theirs,
            parts: &parts,
            all: &views[1..],
            zones,
        };
        match ITEMS.iter().find(|item| (item.applies)(&case)) {
            Some(item) => {
                *sum.explained
                    .entry(format!("{}: {}", other.name, item.name))
                    .or_default() += 1
            }
            None => sum.unexplained.push(format!(
                "--- seed {seed}: {} {} {parts:?}, {}\n{}\nours {ours}\n{} {theirs}",
                asked.name,
                asked.question.rtype,
                other.name,
                zone.text(),
                other.name
            )),
        }
    }
}

fn ask_ours(servers: &Servers, asked: &Asked, transport: Transport) -> Message {
    let octets = servers.ours.exchange(&asked.question.octets(), transport);
    let octets = octets.unwrap_or_else(|| {
        panic!(
            "Meridian does not answer {} {}",
            asked.name, asked.question.rtype
        )
    });
    Reply::checked(&asked.question, transport, &octets).message
}

fn ask_other(other: &Other, asked: &Asked, transport: Transport) -> Message {
    let what = || format!("{} to {} {}", other.name, asked.name, asked.question.rtype);
    let octets = other
        .exchange(&asked.question.octets(), transport)
        .unwrap_or_else(|| panic!("no reply of {}", what()));
    Message::read(&octets).unwrap_or_else(|fault| panic!("{fault}: {}", what()))
}

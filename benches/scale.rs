//! How cost grows: with the number of rule sets over one map, and with the services of a configuration.
//!
//! `MERIDIAN_CITY_DB=GeoLite2-City.mmdb cargo bench --bench scale` (several files: separated by `:`). Without the
//! variable it uses the table that is part of the program. Each rule set is another choice of twelve regions.
//! `cargo bench --bench scale -- configuration` measures the configuration alone.

#[path = "scale/configuration.rs"]
mod configuration;
mod meter;

#[path = "regions/mod.rs"]
#[allow(dead_code)]
mod regions;
#[path = "wire/mod.rs"]
mod wire;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant;

use meridian::geo::Atlas;
use meridian::geo::catchment::{Catchment, Outcomes};
use meridian::geo::fences::CatchmentRules;
use meridian::steering::failover::{RegionCapacity, Share};
use meridian::steering::tiers::Candidate;
use meridian::steering::{Bias, Point, RegionStates};

use meter::{processor_time, resident};
use wire::Random;

/// Frankfurt, London, Stockholm, Ashburn, San Jose, Dallas, Sao Paulo, Johannesburg, Mumbai, Singapore, Tokyo, Sydney.
const REGIONS: [(f64, f64); 12] = [
    (50.1, 8.7),
    (51.5, -0.1),
    (59.3, 18.1),
    (39.0, -77.5),
    (37.3, -121.9),
    (32.8, -96.8),
    (-23.5, -46.6),
    (-26.2, 28.0),
    (19.1, 72.9),
    (1.35, 103.8),
    (35.7, 139.7),
    (-33.9, 151.2),
];
/// Addresses that are looked up in each table.
const ASKED: usize = 100;

fn main() {
    configuration::measure();
    if !std::env::args().any(|word| word == "configuration") {
        measure_rule_sets();
    }
}

fn measure_rule_sets() {
    let atlas =
        Atlas::compile(&regions::databases(), &[]).unwrap_or_else(|error| panic!("{error}"));
    println!("rule sets  zones  compile wall  processor  MB more  flip at once  widened  look-up");
    for count in [1, 10, 100, 1000] {
        measure(&rule_sets(count), &atlas);
    }
}

fn measure(rules: &[CatchmentRules], atlas: &Atlas) {
    let before = resident("VmRSS:");
    let (wall, processor) = (Instant::now(), processor_time());
    let rules: Vec<&CatchmentRules> = rules.iter().collect();
    let catchments = Catchment::compile_all(&rules, atlas);
    let outcomes: Vec<Outcomes> = catchments
        .iter()
        .map(|it| it.outcomes(&states(None)))
        .collect();
    let (wall, processor) = (wall.elapsed(), processor_time() - processor);
    let more = (resident("VmRSS:").saturating_sub(before)) as f64 / 1024.0;
    let start = Instant::now();
    for catchment in &catchments {
        black_box(catchment.outcomes_at_once(&states(Some(0))));
    }
    let at_once = start.elapsed();
    let start = Instant::now();
    for catchment in &catchments {
        black_box(catchment.outcomes(&states(Some(0))));
    }
    let widened = start.elapsed();
    let mut random = Random(7);
    let start = Instant::now();
    for outcomes in &outcomes {
        for _ in 0..ASKED {
            black_box(
                outcomes
                    .table
                    .find(Ipv4Addr::from(random.next() as u32).into()),
            );
        }
    }
    let look_up = start.elapsed() / (outcomes.len() * ASKED) as u32;
    let zones = catchments[0].class_of_zone().len();
    println!(
        "{:9} {zones:6} {wall:13.3?} {processor:10.3?} {more:8.1} {at_once:13.3?} {widened:8.1?} {look_up:8.0?}",
        rules.len()
    );
}

/// Different choices of regions; the first one is all of them.
fn rule_sets(count: usize) -> Vec<CatchmentRules> {
    let mut random = Random(5);
    let mut choices = BTreeSet::from([(1u64 << REGIONS.len()) - 1]);
    while choices.len() < count {
        let choice = random.next() & ((1 << REGIONS.len()) - 1);
        if choice.count_ones() > 1 {
            choices.insert(choice);
        }
    }
    let mut rules = Vec::new();
    for choice in choices {
        let mut candidates = Vec::new();
        for (at, (latitude, longitude)) in REGIONS.into_iter().enumerate() {
            if choice >> at & 1 == 1 {
                let point = Point::new(latitude, longitude).ok();
                candidates.push(Candidate {
                    location: point.map(Point::unit_vector),
                    bias: Bias::default(),
                });
            }
        }
        let mut set = regions::rules();
        set.rules.candidates = candidates;
        rules.push(set);
    }
    rules
}

/// Every region up, but perhaps one.
fn states(down: Option<usize>) -> RegionStates {
    let mut capacities = vec![
        RegionCapacity {
            share: Share::ALL,
            weight: 1,
        };
        REGIONS.len()
    ];
    if let Some(down) = down {
        capacities[down].share = Share::NONE;
    }
    RegionStates {
        capacities,
        ..RegionStates::default()
    }
}

//! From a database to the tables that queries look up: time, processor time and memory of each step.
//!
//! `MERIDIAN_CITY_DB=GeoLite2-City.mmdb cargo bench --bench start` (several files: separated by `:`). Without the
//! variable it compiles the table that is part of the program.

mod meter;

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use meridian::geo::catchment::{Catchment, CatchmentRules};
use meridian::geo::{Atlas, Sources};
use meridian::steering::outcome::{Share, Standing};
use meridian::steering::tiers::Candidate;
use meridian::steering::{AllDown, Bias, Order, Point, Rules};

use meter::{processor_time, resident};

/// Six regions on four continents, as in the side-by-side comparison.
const REGIONS: [(f64, f64); 6] =
    [(50.1, 8.7), (51.5, -0.1), (40.7, -74.0), (37.8, -122.4), (1.35, 103.8), (-23.5, -46.6)];

fn main() {
    let databases: Vec<PathBuf> =
        std::env::var_os("MERIDIAN_CITY_DB").map(|paths| std::env::split_paths(&paths).collect()).unwrap_or_default();
    let sources = Sources { databases, ..Sources::default() };
    let start = Meter::start();
    let atlas = Atlas::compile(&sources, &[]).unwrap_or_else(|error| panic!("{error}"));
    start.report("atlas");
    let start = Meter::start();
    let catchment = Catchment::compile(&rules(), &atlas);
    start.report("catchment");
    let start = Meter::start();
    let up = [Standing { share: Share::ALL, weight: 1 }; REGIONS.len()];
    let outcomes = black_box(catchment.outcomes(&up, AllDown::AnswerAll, &[]));
    start.report("outcomes");
    let (v4, v6) = atlas.range_counts();
    println!("atlas: {v4} + {v6} ranges, {} places, {} octets", atlas.places().len(), atlas.memory());
    let (v4, v6) = catchment.ranges();
    println!("catchment: {v4} + {v6} ranges, {} classes, {} octets", catchment.classes().len(), catchment.memory());
    println!("outcomes: {} outcomes, {} octets", outcomes.1.len(), outcomes.0.memory());
}

fn rules() -> CatchmentRules {
    let candidates = REGIONS.iter().map(|&(latitude, longitude)| Candidate {
        location: Point::new(latitude, longitude).ok().map(Point::unit_vector),
        bias: Bias::default(),
    });
    let band = "0%".parse().unwrap_or_else(|_| unreachable!("a band that the documentation names"));
    CatchmentRules { rules: Rules { order: Order::Nearest, band, candidates: candidates.collect() }, fences: vec![] }
}

/// What a step takes.
struct Meter {
    wall: Instant,
    processor: Duration,
}

impl Meter {
    fn start() -> Meter {
        Meter { wall: Instant::now(), processor: processor_time() }
    }

    fn report(self, step: &str) {
        let (wall, processor) = (self.wall.elapsed(), processor_time() - self.processor);
        let (now, peak) = (resident("VmRSS:"), resident("VmHWM:"));
        println!("{step:10} {wall:>9.3?} wall {processor:>9.3?} processor, {now} kB resident, {peak} kB at most");
    }
}

//! From a database to the tables that queries look up: time, processor time and memory of each step.
//!
//! `MERIDIAN_CITY_DB=GeoLite2-City.mmdb cargo bench --bench start` (several files: separated by `:`). Without the
//! variable it compiles the table that is part of the program.

mod meter;

#[path = "regions/mod.rs"]
mod regions;

use std::hint::black_box;
use std::time::{Duration, Instant};

use meridian::geo::Atlas;
use meridian::geo::catchment::Catchment;

use meter::{processor_time, resident};

fn main() {
    let start = Meter::start();
    let atlas =
        Atlas::compile(&regions::databases(), &[]).unwrap_or_else(|error| panic!("{error}"));
    start.report("atlas");
    let start = Meter::start();
    let catchment = Catchment::compile(&regions::rules(), &atlas);
    start.report("catchment");
    let start = Meter::start();
    let outcomes = black_box(regions::all_up(&catchment));
    start.report("outcomes");
    let (v4, v6) = atlas.range_counts();
    println!(
        "atlas: {v4} + {v6} ranges, {} places, {} octets",
        atlas.places().len(),
        atlas.memory()
    );
    let (v4, v6) = catchment.zones().len();
    println!(
        "catchment: map of {v4} + {v6} ranges, {} classes, {} octets",
        catchment.classes().len(),
        catchment.memory()
    );
    println!(
        "outcomes: {} outcomes, {} octets",
        outcomes.chains.len(),
        outcomes.table.memory()
    );
}

/// What a step takes.
struct Meter {
    wall: Instant,
    processor: Duration,
}

impl Meter {
    fn start() -> Meter {
        Meter {
            wall: Instant::now(),
            processor: processor_time(),
        }
    }

    fn report(self, step: &str) {
        let (wall, processor) = (self.wall.elapsed(), processor_time() - self.processor);
        let (now, peak) = (resident("VmRSS:"), resident("VmHWM:"));
        println!(
            "{step:10} {wall:>9.3?} wall {processor:>9.3?} processor, {now} kB resident, {peak} kB at most"
        );
    }
}

//! Six regions on four continents, as in the side-by-side comparison, and the databases to be compiled for them.

use std::path::PathBuf;

use meridian::geo::AtlasSources;
use meridian::geo::catchment::{Catchment, Outcomes};
use meridian::geo::fences::CatchmentRules;
use meridian::steering::failover::{RegionCapacity, Share};
use meridian::steering::tiers::Candidate;
use meridian::steering::{Bias, Point, RegionOrder, RegionStates, SteeringRules};

const REGIONS: [(f64, f64); 6] = [
    (50.1, 8.7),
    (51.5, -0.1),
    (40.7, -74.0),
    (37.8, -122.4),
    (1.35, 103.8),
    (-23.5, -46.6),
];

/// The databases named in `MERIDIAN_CITY_DB`, separated by `:`; without it, none.
pub fn databases() -> AtlasSources {
    let named = std::env::var_os("MERIDIAN_CITY_DB");
    let databases: Vec<PathBuf> = named
        .map(|paths| std::env::split_paths(&paths).collect())
        .unwrap_or_default();
    AtlasSources {
        databases,
        ..AtlasSources::default()
    }
}

/// The nearest region, and no other beside it.
pub fn rules() -> CatchmentRules {
    let candidates = REGIONS.iter().map(|&(latitude, longitude)| Candidate {
        location: Point::new(latitude, longitude).ok().map(Point::unit_vector),
        bias: Bias::default(),
    });
    let band = "0%"
        .parse()
        .unwrap_or_else(|_| unreachable!("a band that the documentation names"));
    CatchmentRules {
        rules: SteeringRules {
            order: RegionOrder::Nearest,
            band,
            candidates: candidates.collect(),
        },
        fences: vec![],
    }
}

/// What queries look up while every region is up.
pub fn all_up(catchment: &Catchment) -> Outcomes {
    let up = [RegionCapacity {
        share: Share::ALL,
        weight: 1,
    }; REGIONS.len()];
    catchment.outcomes(&RegionStates {
        capacities: up.to_vec(),
        ..RegionStates::default()
    })
}

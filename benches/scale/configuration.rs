//! How reading a configuration grows with its services: time and memory until it is checked.
//!
//! Ten services share a policy and a pool. Each policy has its own fences by network, so no two are the same.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use crate::meter::{processor_time, resident};

/// Regions of the configuration; each pool has four of them.
const REGIONS: usize = 40;

/// Reads configurations of 1,000 to 100,000 services.
pub fn measure() {
    println!("services  policies      text  read and checked  processor  MB more");
    for services in [1000, 10_000, 100_000] {
        let text = text(services, services / 10);
        let before = resident("VmRSS:");
        let (wall, processor) = (Instant::now(), processor_time());
        let loaded = meridian::config::parse(&text, Path::new("meridian.toml"));
        let (wall, processor) = (wall.elapsed(), processor_time() - processor);
        let loaded = loaded.unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
        let more = resident("VmHWM:").saturating_sub(before) as f64 / 1024.0;
        assert_eq!(loaded.config.services.len(), services);
        println!(
            "{services:8} {:9} {:6.1} MB {wall:17.3?} {processor:10.3?} {more:8.1}",
            services / 10,
            text.len() as f64 / 1e6
        );
    }
}

fn text(services: usize, policies: usize) -> String {
    let mut text = "[checks.web]\ntype = \"http\"\n".to_owned();
    for region in 0..REGIONS {
        let (latitude, longitude) = (region as f64 * 4.0 - 80.0, region as f64 * 9.0 - 180.0);
        let _ = writeln!(
            text,
            "[regions.r{region}]\nlocation = [{latitude:?}, {longitude:?}]"
        );
    }
    for policy in 0..policies {
        let (high, low) = (policy / 250, policy % 250);
        let regions = pool_regions(policy);
        let _ = write!(
            text,
            "[[fences.f{policy}]]\nclients = {{ networks = [\"10.{high}.{low}.0/24\"] }}\nregions = [\"r{}\"]\n\
             [policies.p{policy}]\nttl = {}\ncheck = \"web\"\nfences = \"f{policy}\"\n[pools.p{policy}]\n",
            regions[0],
            20 + policy % 40
        );
        for (at, region) in regions.into_iter().enumerate() {
            let _ = writeln!(
                text,
                "r{region} = [\"192.{}.{high}.{low}\", \"193.{}.{high}.{low}\"]",
                10 + at,
                10 + at
            );
        }
    }
    for service in 0..services {
        let policy = service % policies;
        let _ = write!(
            text,
            "[[services]]\nname = \"s{service}.example.com\"\npolicy = \"p{policy}\"\npool = \"p{policy}\"\n"
        );
    }
    text
}

fn pool_regions(policy: usize) -> [usize; 4] {
    [0, 7, 15, 26].map(|step| (policy + step) % REGIONS)
}

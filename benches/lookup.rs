//! Looking addresses up in tables as large as a city database makes them: a thousand random ones at a time, so that what
//! is measured is how many a second, as for a batch of queries.
//!
//! `MERIDIAN_CITY_DB=file` (several: separated by `:`) makes `served_v4` and `served_v6` the tables of a service with six
//! regions; without it they are those of the built-in table.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use meridian::geo::catchment::Catchment;
use meridian::geo::{Atlas, OutcomeTable};

#[path = "regions/mod.rs"]
mod regions;
#[path = "wire/mod.rs"]
mod wire;
use wire::Random;

/// IPv4 and IPv6 ranges of GeoLite2 City in six regions.
const RANGES: (usize, usize) = (780_000, 490_000);
/// Addresses asked for in turn: more than any cache holds of the table.
const ASKED: usize = 1 << 16;
/// Addresses asked for in one measurement.
const AT_A_TIME: usize = 1 << 10;

fn main() {
    divan::main();
}

#[divan::bench]
fn v4(bencher: Bencher<'_, '_>) {
    look_up(bencher, &SYNTHETIC, addresses_v4());
}

#[divan::bench]
fn v6(bencher: Bencher<'_, '_>) {
    look_up(bencher, &SYNTHETIC, addresses_v6());
}

#[divan::bench]
fn served_v4(bencher: Bencher<'_, '_>) {
    look_up(bencher, &SERVED, addresses_v4());
}

#[divan::bench]
fn served_v6(bencher: Bencher<'_, '_>) {
    look_up(bencher, &SERVED, addresses_v6());
}

fn look_up(bencher: Bencher<'_, '_>, table: &OutcomeTable, addresses: Vec<IpAddr>) {
    let mut turns = addresses.chunks_exact(AT_A_TIME).cycle();
    bencher.counter(ItemsCount::new(AT_A_TIME)).bench_local(|| {
        let asked = black_box(turns.next().unwrap_or_default());
        asked
            .iter()
            .fold(0, |values, address| values ^ table.find(*address).value)
    });
}

fn addresses_v4() -> Vec<IpAddr> {
    let mut random = Random(1);
    (0..ASKED)
        .map(|_| IpAddr::from((random.next() as u32).to_be_bytes()))
        .collect()
}

/// Uniform over 2000::/12 to 2f00::/12, where addresses are given out.
fn addresses_v6() -> Vec<IpAddr> {
    let mut random = Random(2);
    (0..ASKED)
        .map(|_| IpAddr::from(given_out(&mut random).to_be_bytes()))
        .collect()
}

fn given_out(random: &mut Random) -> u128 {
    u128::from(0x2000_0000_0000_0000 | random.next() >> 4) << 64 | u128::from(random.next())
}

static SYNTHETIC: LazyLock<OutcomeTable> = LazyLock::new(|| {
    let mut random = Random(3);
    let mut v4: Vec<(u32, u32)> = (0..RANGES.0)
        .map(|at| (random.next() as u32 & !0xff, at as u32 % 251))
        .collect();
    let mut v6: Vec<(u128, u32)> = (0..RANGES.1)
        .map(|at| (given_out(&mut random) >> 80 << 80, at as u32 % 251))
        .collect();
    v4.push((0, 0));
    v6.push((0, 0));
    v4.sort_unstable();
    v6.sort_unstable();
    v4.dedup_by_key(|range| range.0);
    v6.dedup_by_key(|range| range.0);
    OutcomeTable::from_ranges(v4, v6)
});

static SERVED: LazyLock<Arc<OutcomeTable>> = LazyLock::new(|| {
    let atlas =
        Atlas::compile(&regions::databases(), &[]).unwrap_or_else(|error| panic!("{error}"));
    regions::all_up(&Catchment::compile(&regions::rules(), &atlas)).table
});

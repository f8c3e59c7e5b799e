//! Looking addresses up in tables as large as a city database makes them.
//!
//! `MERIDIAN_CITY_DB=file` adds that database, sorted into its places.

use std::net::IpAddr;
use std::sync::LazyLock;

use divan::{Bencher, black_box};
use meridian::geo::{AddressTable, Atlas, Sources};

#[path = "wire/mod.rs"]
mod wire;
use wire::Random;

/// IPv4 and IPv6 ranges of GeoLite2 City in six regions.
const RANGES: (usize, usize) = (780_000, 490_000);
/// Addresses asked for in turn: more than any cache holds of the table.
const ASKED: usize = 1 << 16;

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
fn city_v4(bencher: Bencher<'_, '_>) {
    if let Some(table) = &*CITY {
        look_up(bencher, table, addresses_v4());
    }
}

#[divan::bench]
fn city_v6(bencher: Bencher<'_, '_>) {
    if let Some(table) = &*CITY {
        look_up(bencher, table, addresses_v6());
    }
}

fn look_up(bencher: Bencher<'_, '_>, table: &AddressTable, addresses: Vec<IpAddr>) {
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % ASKED;
        table.find(black_box(addresses[at]))
    });
}

fn addresses_v4() -> Vec<IpAddr> {
    let mut random = Random(1);
    (0..ASKED).map(|_| IpAddr::from((random.next() as u32).to_be_bytes())).collect()
}

/// Uniform over 2000::/12 to 2f00::/12, where addresses are given out.
fn addresses_v6() -> Vec<IpAddr> {
    let mut random = Random(2);
    (0..ASKED).map(|_| IpAddr::from(given_out(&mut random).to_be_bytes())).collect()
}

fn given_out(random: &mut Random) -> u128 {
    u128::from(0x2000_0000_0000_0000 | random.next() >> 4) << 64 | u128::from(random.next())
}

static SYNTHETIC: LazyLock<AddressTable> = LazyLock::new(|| {
    let mut random = Random(3);
    let mut v4: Vec<(u32, u32)> = (0..RANGES.0).map(|at| (random.next() as u32 & !0xff, at as u32 % 251)).collect();
    let mut v6: Vec<(u128, u32)> =
        (0..RANGES.1).map(|at| (given_out(&mut random) >> 80 << 80, at as u32 % 251)).collect();
    v4.push((0, 0));
    v6.push((0, 0));
    v4.sort_unstable();
    v6.sort_unstable();
    v4.dedup_by_key(|range| range.0);
    v6.dedup_by_key(|range| range.0);
    AddressTable::from_ranges(v4, v6)
});

static CITY: LazyLock<Option<AddressTable>> = LazyLock::new(|| {
    let database = std::env::var_os("MERIDIAN_CITY_DB")?;
    let sources = Sources { databases: vec![database.into()], ..Sources::default() };
    let atlas = Atlas::compile(&sources, &[]).ok()?;
    let v4 = atlas.ranges_v4().map(|(start, place)| (start, place.0));
    Some(AddressTable::from_ranges(v4, atlas.ranges_v6().map(|(start, place)| (start, place.0))))
});

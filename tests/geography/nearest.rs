//! Served against computed: for random addresses, the region that is served is the one that a second calculation,
//! which shares no code with the server, finds nearest in the same files.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use maxminddb::Reader;
use meridian::geo::build::build;
use meridian::geo::special::CARRIERS_OF_IPV4;
use serde_json::Value;

use crate::world::{Random, ask, world};

/// Regions as a large cloud provider has them: latitude, longitude in degrees.
const REGIONS: [(&str, f64, f64); 12] = [
    ("fra", 50.11, 8.68),
    ("dub", 53.43, -6.25),
    ("arn", 59.65, 17.92),
    ("bom", 19.08, 72.88),
    ("sin", 1.36, 103.99),
    ("nrt", 35.77, 140.39),
    ("syd", -33.95, 151.18),
    ("gru", -23.43, -46.47),
    ("cpt", -33.97, 18.6),
    ("iad", 38.95, -77.45),
    ("pdx", 45.59, -122.6),
    ("bah", 26.27, 50.63),
];

/// How many addresses are compared for each family.
const ADDRESSES: u32 = 100_000;

/// Great-circle distance on a sphere in kilometres, by the haversine formula.
fn haversine((lat1, lon1): (f64, f64), (lat2, lon2): (f64, f64)) -> f64 {
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let inner =
        half(lat1, lat2) + lat1.to_radians().cos() * lat2.to_radians().cos() * half(lon1, lon2);
    2.0 * 6371.0088 * inner.sqrt().min(1.0).asin()
}

/// What files say of an address: the coordinates in the first that knows any, in either of the two common layouts.
struct Files(Vec<Reader<Vec<u8>>>);

impl Files {
    fn open(paths: &[PathBuf]) -> Files {
        Files(
            paths
                .iter()
                .map(|path| Reader::open_readfile(path).expect("a MaxMind DB file"))
                .collect(),
        )
    }

    /// `None`: nobody knows, or only the country, so that the built-in data or a country's centre decide.
    fn point(&self, address: IpAddr) -> Option<(f64, f64)> {
        let record = self
            .0
            .iter()
            .find_map(|reader| reader.lookup(address).ok()?.decode::<Value>().ok()?)?;
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
        let nested = record.get("location").unwrap_or(&record);
        let point = (
            number(nested.get("latitude")?)?,
            number(nested.get("longitude")?)?,
        );
        (point != (0.0, 0.0)).then_some(point)
    }
}

/// A configuration with every region, one address each: 192.0.2.N for the region of index N.
fn config(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths
        .iter()
        .map(|path| format!("{:?}", path.display().to_string()))
        .collect();
    let mut text = format!(
        "[geo]\ndatabases = [{}]\ncoarse_points = \"database\"\n",
        names.join(", ")
    );
    for (name, latitude, longitude) in REGIONS {
        let _ = writeln!(
            text,
            "[regions.{name}]\nlocation = [{latitude}, {longitude}]"
        );
    }
    text.push_str("[[services]]\nname = \"www.example.test\"\n[services.endpoints]\n");
    for (index, (name, ..)) in REGIONS.iter().enumerate() {
        let _ = writeln!(text, "{name} = \"192.0.2.{index}\"");
    }
    text
}

/// IPv6 forms of IPv4 are never looked up as what they are.
fn carries_ipv4(address: IpAddr) -> bool {
    CARRIERS_OF_IPV4
        .iter()
        .any(|&(network, prefix)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= u32::from(prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= u32::from(prefix)
            }
            _ => false,
        })
}

/// Compares served with computed for `ADDRESSES` addresses that `draw` gives; the disagreements.
fn disagreements(paths: &[PathBuf], mut draw: impl FnMut() -> IpAddr) -> (u32, Vec<String>) {
    let (loaded, files) = (world(&config(paths)), Files::open(paths));
    let (mut compared, mut tried, mut wrong) = (0, 0u32, Vec::new());
    while compared < ADDRESSES && tried < 200 * ADDRESSES {
        tried += 1;
        let address = draw();
        let Some(point) = files.point(address).filter(|_| !carries_ipv4(address)) else {
            continue;
        };
        compared += 1;
        let reply = ask(&loaded, "www.example.test", address, None, 0);
        let served = reply.answers[0]
            .data
            .rsplit('.')
            .next()
            .and_then(|index| index.parse::<usize>().ok());
        let served = served.expect("192.0.2.N");
        let distance =
            |(_, latitude, longitude): &(&str, f64, f64)| haversine(point, (*latitude, *longitude));
        let least = REGIONS.iter().map(distance).fold(f64::INFINITY, f64::min);
        // Two ways of computing differ in the last digits; a millimetre decides nothing.
        if distance(&REGIONS[served]) > least + 1e-6 {
            wrong.push(format!(
                "{address} at {point:?}: {} is served",
                REGIONS[served].0
            ));
        }
    }
    (compared, wrong)
}

#[track_caller]
fn expect_agreement(what: &str, paths: &[PathBuf], draw: impl FnMut() -> IpAddr) {
    let (compared, wrong) = disagreements(paths, draw);
    println!(
        "{what}: {compared} addresses compared, {} disagreements",
        wrong.len()
    );
    assert!(
        wrong.is_empty(),
        "{what}: {} of {compared}, first {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
    assert_eq!(
        compared, ADDRESSES,
        "{what}: too few addresses are in the database"
    );
}

/// A large database made here: networks of both families at random places, many of them inside each other.
fn made_up(folder: &Path) -> PathBuf {
    let mut random = Random(7);
    let mut table = String::from("network,latitude,longitude,country\n");
    let mut networks = std::collections::HashSet::new();
    while networks.len() < 200_000 {
        let network = if random.below(2) == 0 {
            let prefix = 8 + random.below(25) as u32;
            let address = (random.next() as u32) & u32::MAX << (32 - prefix);
            format!("{}/{prefix}", Ipv4Addr::from(address))
        } else {
            // Half of them in one /24, so that they nest.
            let prefix = 24 + random.below(41) as u32;
            let near = 0x2a00_0000u128 << 96 | random.wide() >> 24;
            let far = 0x2u128 << 124 | random.wide() >> 3;
            let address =
                if random.below(2) == 0 { near } else { far } & u128::MAX << (128 - prefix);
            format!("{}/{prefix}", Ipv6Addr::from(address))
        };
        let address: IpAddr = network
            .split('/')
            .next()
            .and_then(|text| text.parse().ok())
            .expect("an address");
        if carries_ipv4(address) || !networks.insert(network.clone()) {
            continue;
        }
        let degrees = |limit: u64, random: &mut Random| {
            random.below(limit * 20_000) as f64 / 10_000.0 - limit as f64
        };
        let (latitude, longitude) = (degrees(90, &mut random), degrees(180, &mut random));
        let country = ["", "DE", "US", "JP", ""][random.below(5) as usize];
        let _ = writeln!(table, "{network},{latitude},{longitude},{country}");
    }
    let (input, output) = (folder.join("table.csv"), folder.join("table.mmdb"));
    fs::write(&input, table).expect("writable");
    build(&input, &output).unwrap_or_else(|error| panic!("{error}"));
    output
}

fn random_v4(seed: u64) -> impl FnMut() -> IpAddr {
    let mut random = Random(seed);
    move || Ipv4Addr::from(random.next() as u32).into()
}

/// Addresses in the part of 2000::/3 that is in use, or in 2a00::/24.
fn random_v6(seed: u64) -> impl FnMut() -> IpAddr {
    let mut random = Random(seed);
    move || {
        let in_use = [
            0x2001u128, 0x2400, 0x2404, 0x2600, 0x2607, 0x2800, 0x2a00, 0x2a02, 0x2c0f,
        ];
        let top = in_use[random.below(in_use.len() as u64) as usize] << 112;
        Ipv6Addr::from(top | random.wide() >> [8, 16, 24][random.below(3) as usize]).into()
    }
}

#[test]
fn the_nearest_region_is_served_from_a_made_up_database() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = [made_up(folder.path())];
    expect_agreement("made-up database, IPv4", &paths, random_v4(1));
    expect_agreement("made-up database, IPv6", &paths, random_v6(2));
}

/// With real files: `tools/verify-city` fetches them, names them in MERIDIAN_CITY_DB and runs this.
#[test]
#[ignore = "needs MERIDIAN_CITY_DB; run tools/verify-city"]
fn the_nearest_region_is_served_from_real_databases() {
    let named = std::env::var_os("MERIDIAN_CITY_DB")
        .expect("MERIDIAN_CITY_DB names MMDB files, separated by colons");
    let paths: Vec<PathBuf> = std::env::split_paths(&named).collect();
    let what: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    expect_agreement(
        &format!("{}, IPv4", what.join(" and ")),
        &paths,
        random_v4(3),
    );
    expect_agreement(
        &format!("{}, IPv6", what.join(" and ")),
        &paths,
        random_v6(4),
    );
}

#[test]
fn the_second_calculation_is_right() {
    // Frankfurt to Washington as published by the airports: 6560 km and 6550 km, depending on the ellipsoid.
    let distance = haversine((50.03, 8.57), (38.95, -77.45));
    assert!((6500.0..6620.0).contains(&distance), "{distance}");
    assert!((haversine((0.0, 0.0), (0.0, 180.0)) - 20015.1).abs() < 0.1);
}

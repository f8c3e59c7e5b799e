//! The atlas on small databases: what MaxMind publishes for tests, damaged copies of them, and files written here.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::*;
use crate::geo::builtin::BuiltinTable;
use crate::geo::database::Database;
use crate::geo::{GeoError, Place};
use crate::steering::Point;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/mmdb")
        .join(name)
}

fn open(name: &str) -> Database {
    Database::open(&fixture(name)).unwrap()
}

/// Without a built-in table.
fn atlas(databases: Vec<Database>, networks: &[OperatorNetwork]) -> Result<Atlas, GeoError> {
    Atlas::layered(
        databases,
        CoarsePoints::Database,
        networks,
        &BuiltinTable::empty(),
    )
}

fn located(atlas: &Atlas, address: &str) -> Place {
    *atlas.place(atlas.locate(address.parse().unwrap()).place)
}

fn words(place: Place) -> String {
    let code =
        |code: Option<crate::geo::PlaceCode>| code.map_or("-".to_owned(), |code| code.to_string());
    let [continent, country, subdivision] =
        [place.continent, place.country, place.subdivision].map(code);
    format!(
        "{continent} {country} {subdivision} {}",
        place.asn.map_or("-".to_owned(), |asn| asn.to_string())
    )
}

fn network(cidr: &str) -> OperatorNetwork {
    let (address, prefix) = cidr.split_once('/').unwrap();
    let cidr = Cidr::around(address.parse().unwrap(), prefix.parse().unwrap());
    OperatorNetwork {
        cidr,
        point: None,
        country: None,
        subdivision: None,
        asn: None,
    }
}

#[test]
fn a_city_database_knows_both_families() {
    let atlas = atlas(vec![open("GeoIP2-City-Test.mmdb")], &[]).unwrap();
    assert_eq!(words(located(&atlas, "81.2.69.160")), "EU GB ENG -");
    assert_eq!(
        located(&atlas, "81.2.69.160").point,
        Point::new(51.5142, -0.0931).ok()
    );
    assert_eq!(words(located(&atlas, "2001:218::1")), "AS JP - -");
    assert!(located(&atlas, "2001:218::1").coarse);
    assert_eq!(
        atlas.locate("8.8.8.8".parse().unwrap()).place,
        PlaceId::UNKNOWN
    );
}

#[test]
fn ipv4_seen_through_ipv6_is_not_repeated() {
    let atlas = atlas(vec![open("GeoIP2-City-Test.mmdb")], &[]).unwrap();
    for address in ["::ffff:81.2.69.160", "2002:5102:45a0::1"] {
        assert_eq!(
            atlas.locate(address.parse().unwrap()).place,
            PlaceId::UNROUTABLE,
            "{address}"
        );
    }
}

#[test]
fn the_first_database_that_knows_the_client_wins() {
    let databases = vec![
        open("GeoIP2-Country-Test.mmdb"),
        open("GeoIP2-City-Test.mmdb"),
    ];
    let found = located(&atlas(databases, &[]).unwrap(), "81.2.69.160");
    assert_eq!(
        (words(found), found.source, found.coarse),
        ("EU GB - -".to_owned(), 1, true)
    );
}

#[test]
fn the_as_number_comes_from_the_first_database_that_has_one() {
    let databases = vec![
        open("GeoIP2-City-Test.mmdb"),
        open("GeoLite2-ASN-Test.mmdb"),
    ];
    let atlas = atlas(databases, &[]).unwrap();
    assert_eq!(located(&atlas, "1.128.0.1").asn, NonZeroU32::new(1221));
    assert_eq!(words(located(&atlas, "89.160.20.112")), "EU SE E 29518");
    assert_eq!(atlas.sources().len(), 4);
    assert_eq!(atlas.sources()[2].name, "GeoLite2-ASN");
}

#[test]
fn the_operator_has_the_last_word() {
    let here = Point::new(52.52, 13.4).ok();
    let networks = [
        OperatorNetwork {
            asn: Some(64500),
            ..network("89.160.20.112/28")
        },
        OperatorNetwork {
            point: here,
            ..network("10.1.0.0/16")
        },
        OperatorNetwork {
            country: "DE".parse().ok(),
            ..network("10.1.0.0/16")
        },
        OperatorNetwork {
            point: here,
            ..network("81.2.69.0/24")
        },
        OperatorNetwork {
            country: "FR".parse().ok(),
            subdivision: "IDF".parse().ok(),
            ..network("0.0.0.0/0")
        },
    ];
    let databases = || {
        vec![
            open("GeoIP2-City-Test.mmdb"),
            open("GeoLite2-ASN-Test.mmdb"),
        ]
    };
    let all = atlas(databases(), &networks[..4]).unwrap();
    assert_eq!(words(located(&all, "89.160.20.113")), "EU SE E 64500");
    assert_eq!(located(&all, "10.1.2.3").country.unwrap().as_str(), "DE");
    let germany = located(&all, "10.1.2.3").point;
    assert!(
        germany.is_some_and(|centre| Some(centre) != here),
        "the centre of the country"
    );
    assert_eq!(
        all.locate("10.2.0.0".parse().unwrap()).place,
        PlaceId::UNROUTABLE
    );
    assert_eq!(
        (
            located(&all, "81.2.69.160").point,
            located(&all, "81.2.69.160").country
        ),
        (here, None)
    );
    let whole = atlas(databases(), &networks).unwrap();
    assert_eq!(
        words(located(&whole, "203.0.113.1"))
            .split_once(' ')
            .unwrap()
            .1,
        "FR IDF -"
    );
    assert_eq!(located(&whole, "10.1.2.3").country.unwrap().as_str(), "DE");
}

/// A database of a table that is written here.
fn built(table: &str) -> Database {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.csv"), folder.path().join("out.mmdb"));
    std::fs::write(&input, table).unwrap();
    crate::geo::build::build(&input, &output).unwrap();
    Database::open(&output).unwrap()
}

#[test]
fn what_a_database_states_of_private_space_counts() {
    let own = built(
        "network,country,asn,latitude,longitude\n10.1.0.0/16,DE,64512,,\n10.2.0.0/16,,64513,,\nfd12::/16,,,52.52,13.4\n\
         203.0.113.0/25,FR,,,\n",
    );
    let all = Atlas::layered(
        vec![own],
        CoarsePoints::Database,
        &[],
        &BuiltinTable::embedded(),
    )
    .unwrap();
    assert_eq!(words(located(&all, "10.1.2.3")), "EU DE - 64512");
    assert_eq!(located(&all, "fd12::1").point, Point::new(52.52, 13.4).ok());
    assert_eq!(words(located(&all, "203.0.113.1")), "EU FR - -");
    // What it does not state is nowhere as before, and so is what it knows no place of.
    for address in [
        "10.0.255.255",
        "10.2.0.1",
        "10.3.0.0",
        "fd13::1",
        "203.0.113.128",
        "192.168.1.1",
    ] {
        assert_eq!(
            all.locate(address.parse().unwrap()).place,
            PlaceId::UNROUTABLE,
            "{address}"
        );
    }
    for address in [
        "2002:a01:203::1",
        "::ffff:10.1.2.3",
        "64:ff9b::a01:203",
        "2001:0:1::1",
    ] {
        assert_eq!(
            all.locate(address.parse().unwrap()).place,
            PlaceId::UNROUTABLE,
            "{address}"
        );
    }
    // The operator comes before it, and may state an AS number alone.
    let networks = [
        OperatorNetwork {
            country: "JP".parse().ok(),
            ..network("10.1.1.0/24")
        },
        OperatorNetwork {
            asn: Some(7),
            ..network("192.168.0.0/16")
        },
    ];
    let own = built("network,country\n10.1.0.0/16,DE\n");
    let all = atlas(vec![own], &networks).unwrap();
    assert_eq!(
        [located(&all, "10.1.1.1"), located(&all, "10.1.2.1")].map(words),
        ["AS JP - -", "EU DE - -"]
    );
    assert_eq!(located(&all, "192.168.1.1").asn, NonZeroU32::new(7));
}

#[test]
fn special_space_is_nowhere_and_its_neighbours_are_somewhere() {
    let atlas = Atlas::builtin();
    let place = |address: &str| atlas.locate(address.parse().unwrap()).place;
    let nowhere = "0.0.0.1 10.0.0.0 10.255.255.255 100.64.0.1 127.0.0.1 169.254.1.1 172.31.255.255 192.0.0.9 192.0.2.1
        192.168.1.1 198.19.255.255 198.51.100.7 203.0.113.7 224.0.0.1 255.255.255.255 :: ::1 fc00::1 fd12::1 fe80::1
        ff02::1 2001:db8::1 100::1 3fff::1";
    for address in nowhere.split_whitespace() {
        assert_eq!(place(address), PlaceId::UNROUTABLE, "{address}");
    }
    for address in [
        "9.255.255.255",
        "11.0.0.0",
        "172.32.0.0",
        "198.51.101.0",
        "223.255.254.1",
        "2001:4860::8888",
    ] {
        assert!(place(address) > PlaceId::UNROUTABLE, "{address}");
    }
    assert_eq!(place("::ffff:8.8.8.8"), PlaceId::UNROUTABLE);
    // An address of Stanford University.
    assert_eq!(
        located(&atlas, "171.64.1.1").subdivision.unwrap().as_str(),
        "CA"
    );
}

#[test]
fn ranges_cover_the_space_and_neighbours_differ() {
    let atlas = atlas(vec![open("GeoIP2-City-Test.mmdb")], &[]).unwrap();
    let ranges: Vec<_> = atlas.ranges_v6().collect();
    assert_eq!(ranges[0].0, 0);
    assert!(
        ranges
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1)
    );
    for (start, place) in atlas.ranges_v4() {
        let found = atlas.locate(IpAddr::V4(start.into()));
        assert_eq!(
            (found.place, found.first),
            (place, IpAddr::V4(start.into()))
        );
    }
}

#[test]
fn coarse_records_may_stand_where_the_database_puts_them() {
    let coarse = |points| {
        Atlas::layered(
            vec![open("GeoIP2-City-Test.mmdb")],
            points,
            &[],
            &BuiltinTable::empty(),
        )
        .unwrap()
    };
    let found = located(&coarse(CoarsePoints::Database), "2001:218::1");
    assert_eq!(found.point, Point::new(35.68536, 139.75309).ok());
    let centre = crate::geo::locations::country_point("JP".parse().unwrap());
    assert_eq!(
        located(&coarse(CoarsePoints::Population), "2001:218::1").point,
        centre.or(found.point)
    );
}

#[test]
fn a_database_without_places_is_refused() {
    let refused = atlas(vec![open("GeoIP2-Anonymous-IP-Test.mmdb")], &[]).unwrap_err();
    assert!(refused.path().ends_with("GeoIP2-Anonymous-IP-Test.mmdb"));
    assert!(
        refused
            .reason()
            .starts_with("holds no country, no coordinates and no AS number"),
        "{refused}"
    );
}

#[test]
fn damaged_files_are_refused_by_name() {
    let files: Vec<_> = std::fs::read_dir(fixture("bad"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() > 20);
    for path in files {
        let refused = Database::open(&path).and_then(|database| atlas(vec![database], &[]));
        assert_eq!(refused.expect_err(&path.display().to_string()).path(), path);
    }
}

#[test]
fn missing_empty_and_truncated_files_are_refused() {
    assert!(
        Database::open(&fixture("none.mmdb"))
            .unwrap_err()
            .reason()
            .starts_with("cannot be read")
    );
    let file = std::fs::read(fixture("GeoIP2-City-Test.mmdb")).unwrap();
    for length in [0, 1, 100, file.len() / 2, file.len() - 1000] {
        let cut = Database::from_octets("cut.mmdb".as_ref(), file[..length].to_vec());
        assert!(
            cut.and_then(|database| atlas(vec![database], &[])).is_err(),
            "{length} octets"
        );
    }
}

#[test]
fn flipped_octets_never_panic() {
    let files = ["GeoIP2-City-Test.mmdb", "GeoLite2-ASN-Test.mmdb"]
        .map(|name| std::fs::read(fixture(name)).unwrap());
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    for round in 0..1000 {
        let mut file = files[round % 2].clone();
        for _ in 0..=random(8) {
            let at = random(file.len());
            file[at] = random(256) as u8;
        }
        let database = Database::from_octets("flipped.mmdb".as_ref(), file);
        if let Err(refused) = database.and_then(|database| atlas(vec![database], &[])) {
            assert!(refused.to_string().starts_with("flipped.mmdb: "));
        }
    }
}

/// A file in the flat layout with one network; the writer of the library sets the IP version.
fn flat(ip_version: mmdb_writer::IpVersion, cidr: &str, fields: &[(&str, &str)]) -> Database {
    let mut writer = mmdb_writer::Writer::builder("flat")
        .ip_version(ip_version)
        .build();
    let (address, prefix) = cidr.split_once('/').unwrap();
    let (first, last): (IpAddr, IpAddr) = match address.parse().unwrap() {
        IpAddr::V4(v4) => {
            let (first, last) =
                crate::geo::address::AddressBits::prefix(u32::from(v4), prefix.parse().unwrap());
            (IpAddr::V4(first.into()), IpAddr::V4(last.into()))
        }
        IpAddr::V6(v6) => {
            let (first, last) =
                crate::geo::address::AddressBits::prefix(u128::from(v6), prefix.parse().unwrap());
            (IpAddr::V6(first.into()), IpAddr::V6(last.into()))
        }
    };
    let value = mmdb_writer::Value::map(
        fields
            .iter()
            .map(|(key, value)| (*key, mmdb_writer::Value::from(*value))),
    );
    writer.insert_range(first, last, &value).unwrap();
    Database::from_octets("flat.mmdb".as_ref(), writer.to_bytes().unwrap()).unwrap()
}

#[test]
fn ipv4_and_ipv6_files_keep_to_their_families() {
    use mmdb_writer::IpVersion;
    let v4 = flat(
        IpVersion::V4,
        "81.2.69.0/24",
        &[
            ("country_code", "GB"),
            ("latitude", "51.5"),
            ("longitude", "0.1"),
        ],
    );
    let v6 = flat(
        IpVersion::V6,
        "2a00::/16",
        &[("country", "FR"), ("asn", "AS3215")],
    );
    let both = atlas(vec![v4, v6], &[]).unwrap();
    assert_eq!(
        words(located(&both, "81.2.69.1"))
            .split_once(' ')
            .unwrap()
            .1,
        "GB - -"
    );
    assert_eq!(
        located(&both, "81.2.69.1").point,
        Point::new(51.5, 0.1).ok()
    );
    assert_eq!(
        words(located(&both, "2a00::1")).split_once(' ').unwrap().1,
        "FR - 3215"
    );
    assert_eq!(
        both.range_counts().0,
        atlas(
            vec![flat(IpVersion::V4, "81.2.69.0/24", &[("country", "GB")])],
            &[]
        )
        .unwrap()
        .range_counts()
        .0
    );
}

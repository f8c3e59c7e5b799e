//! Tables are built, read back with the reader that the server uses, and compared with what they say.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use maxminddb::{Reader, WithinOptions};
use mmdb_writer::ipnet::Ipv4Net;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
struct City {
    country: Option<Iso>,
    continent: Option<Continent>,
    #[serde(default)]
    subdivisions: Vec<Iso>,
    location: Option<Location>,
    autonomous_system_number: Option<u32>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Iso {
    iso_code: String,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Continent {
    code: String,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Location {
    latitude: f64,
    longitude: f64,
}

/// Builds the table in a folder of its own and gives the summary and the file's octets.
fn built(table: &str) -> Result<(BuildSummary, Vec<u8>), BuildError> {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (
        folder.path().join("networks.csv"),
        folder.path().join("networks.mmdb"),
    );
    fs::write(&input, table).unwrap();
    let summary = build(&input, &output)?;
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        2,
        "nothing is left beside the output"
    );
    Ok((summary, fs::read(output).unwrap()))
}

fn reader(table: &str) -> Reader<Vec<u8>> {
    let reader = Reader::from_source(built(table).unwrap().1).unwrap();
    reader.verify().unwrap();
    reader
}

fn city(reader: &Reader<Vec<u8>>, address: &str) -> Option<City> {
    reader
        .lookup(address.parse().unwrap())
        .unwrap()
        .decode()
        .unwrap()
}

fn system(reader: &Reader<Vec<u8>>, address: IpAddr) -> Option<u32> {
    let found: Option<City> = reader.lookup(address).unwrap().decode().unwrap();
    found.and_then(|city| city.autonomous_system_number)
}

/// The mistakes of the table, without the name of its file.
fn mistakes(table: &str) -> Vec<(u64, String)> {
    match built(table) {
        Err(BuildError::Rows(errors)) => errors.listed().to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_column_comes_back() {
    let reader = reader(
        "network,latitude,longitude,country,subdivision,asn\n\
         192.0.2.0/24,52.52,13.4,DE,BE,64512\n\
         2001:db8::/32,,,us,US-CA,AS4200000000\n\
         198.51.100.7,-1.5,-180,,,\n\
         203.0.113.0/24,,,,,\n",
    );
    let berlin = city(&reader, "192.0.2.255").unwrap();
    assert_eq!(berlin.country.unwrap().iso_code, "DE");
    assert_eq!(berlin.continent.unwrap().code, "EU");
    assert_eq!(berlin.subdivisions[0].iso_code, "BE");
    assert_eq!(
        berlin.location,
        Some(Location {
            latitude: 52.52,
            longitude: 13.4
        })
    );
    assert_eq!(berlin.autonomous_system_number, Some(64512));
    let california = city(&reader, "2001:db8:ffff::1").unwrap();
    assert_eq!(
        (california.country.unwrap().iso_code, california.location),
        ("US".to_owned(), None)
    );
    assert_eq!(california.subdivisions[0].iso_code, "CA");
    assert_eq!(california.autonomous_system_number, Some(4_200_000_000));
    let alone = city(&reader, "198.51.100.7").unwrap();
    assert_eq!(
        alone.location,
        Some(Location {
            latitude: -1.5,
            longitude: -180.0
        })
    );
    assert_eq!(
        city(&reader, "203.0.113.9"),
        Some(City::default()),
        "a network of which nothing is known"
    );
    assert_eq!(city(&reader, "198.51.100.8"), None);
    assert_eq!(city(&reader, "2001:db9::"), None);
}

#[test]
fn columns_may_be_missing_and_in_any_order() {
    let reader = reader(
        "# ours\n\nASN, network\n64512, 10.0.0.0/8 \n# theirs\n\"64513\",\"2001:db8::/32\"\n",
    );
    assert_eq!(
        city(&reader, "10.1.2.3").unwrap().autonomous_system_number,
        Some(64512)
    );
    assert_eq!(
        city(&reader, "2001:db8::1")
            .unwrap()
            .autonomous_system_number,
        Some(64513)
    );
}

#[test]
fn the_longest_prefix_wins_in_any_order_of_rows() {
    let mut rows = [
        "10.0.0.0/8,1",
        "10.1.0.0/16,2",
        "10.1.2.0/24,3",
        "10.1.2.3,4",
        "0.0.0.0/0,5",
        "::/0,6",
    ];
    for _ in 0..rows.len() {
        rows.rotate_left(1);
        let reader = reader(&format!("network,asn\n{}\n", rows.join("\n")));
        for (address, expected) in [
            ("10.2.0.0", 1),
            ("10.1.0.0", 2),
            ("10.1.2.0", 3),
            ("10.1.2.3", 4),
            ("11.0.0.0", 5),
            ("2400::", 6),
        ] {
            assert_eq!(
                system(&reader, address.parse().unwrap()),
                Some(expected),
                "{address}"
            );
        }
    }
}

#[test]
fn a_network_around_all_of_ipv6_says_nothing_of_ipv4() {
    let reader = reader("network,asn\n::/80,7\n::/0,6\n192.0.2.0/24,4\n");
    assert_eq!(city(&reader, "198.51.100.1"), None);
    assert_eq!(system(&reader, "192.0.2.1".parse().unwrap()), Some(4));
    assert_eq!(
        system(&reader, "::fffe:192.0.2.1".parse().unwrap()),
        Some(7)
    );
    assert_eq!(system(&reader, "::1:0:0:0".parse().unwrap()), Some(6));
    assert_eq!(system(&reader, "2003::".parse().unwrap()), Some(6));
    assert_eq!(system(&reader, "2001:1::".parse().unwrap()), Some(6));
    assert_eq!(
        system(&reader, "::ffff:192.0.2.1".parse().unwrap()),
        Some(4),
        "IPv4-mapped"
    );
    assert_eq!(
        system(&reader, "2002:c000:201::1".parse().unwrap()),
        Some(4),
        "6to4 holds 192.0.2.1"
    );
}

#[test]
fn every_mistake_is_reported_with_its_line() {
    let found = mistakes(
        "network,latitude,longitude,country,subdivision,asn\r\n\
         # one mistake each\r\n\
         10.0.0/8,,,,,\r\n\
         10.1.2.3/16,,,,,\r\n\
         \r\n\
         192.0.2.0/24,91,0,,,\r\n\
         192.0.3.0/24,0,NaN,,,\r\n\
         192.0.4.0/24,0,,,,\r\n\
         192.0.5.0/24,,0,,,\r\n\
         192.0.6.0/24,,,UK,,\r\n\
         192.0.7.0/24,,,,CA,\r\n\
         192.0.8.0/24,,,US,DE-CA,\r\n\
         192.0.9.0/24,,,,,4294967296\r\n\
         192.0.9.0/24,,,,,AS\r\n\
         192.0.10.0/24,,\r\n\
         2002:a00::/24,,,,,\r\n\
         192.0.11.0/24,x,0,XX,,-1",
    );
    let expected = [
        (3, "\"10.0.0/8\" is no network"),
        (4, "write 10.1.0.0/16"),
        (6, "latitude 91 lies outside"),
        (7, "longitude NaN lies outside"),
        (8, "latitude without longitude"),
        (9, "longitude without latitude"),
        (10, "\"UK\" is no country"),
        (11, "subdivision \"CA\" without a country"),
        (12, "\"DE-CA\" is no subdivision"),
        (13, "\"4294967296\" is no autonomous system number"),
        (14, "\"AS\" is no autonomous system number"),
        (14, "192.0.9.0/24 stands on line 13 already"),
        (15, "3 fields where the header has 6"),
        (16, "lies in 2002::/16, which stands for IPv4"),
        (17, "\"x\" is no number of degrees"),
        (17, "\"XX\" is no country"),
        (17, "\"-1\" is no autonomous system number"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((line, mistake), (expected_line, words)) in found.iter().zip(expected) {
        assert!(
            *line == expected_line && mistake.contains(words),
            "{line}: {mistake}; expected {words}"
        );
    }
}

#[test]
fn an_unreadable_header_is_reported() {
    for (table, words) in [
        ("", "no header"),
        ("# nothing else\n", "no header"),
        ("latitude,longitude\n0,0\n", "no column network"),
        (
            "network,lat\n",
            "unknown column \"lat\"; the columns are network, latitude",
        ),
        ("network,asn,Network\n", "column network stands twice"),
        ("10.0.0.0/8,0,0\n", "unknown column \"10.0.0.0/8\""),
    ] {
        let found = mistakes(table);
        assert!(
            found.len() == 1 && found[0].0 == 1 && found[0].1.contains(words),
            "{table:?}: {found:?}"
        );
    }
}

#[test]
fn a_hundred_mistakes_are_listed_and_the_rest_are_counted() {
    let table = format!("network\n{}", "nonsense\n".repeat(250));
    let error = built(&table).unwrap_err();
    let BuildError::Rows(errors) = &error else {
        panic!("{error}")
    };
    assert_eq!((errors.listed().len(), errors.left_out()), (100, 150));
    let text = error.to_string();
    assert!(
        text.contains("networks.csv:2: \"nonsense\" is no network"),
        "{text}"
    );
    assert!(text.ends_with("networks.csv: 150 more mistakes"), "{text}");
}

#[test]
fn a_refused_table_leaves_the_old_database_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.csv"), folder.path().join("out.mmdb"));
    fs::write(&output, "old").unwrap();
    assert!(matches!(build(&input, &output), Err(BuildError::Input(..))));
    fs::write(&input, "network\n10.0.0.1/8\n").unwrap();
    assert!(matches!(build(&input, &output), Err(BuildError::Rows(_))));
    assert_eq!(fs::read(&output).unwrap(), b"old");
    fs::write(&input, "network\n10.0.0.0/8\n").unwrap();
    let nowhere = folder.path().join("missing/out.mmdb");
    let error = build(&input, &nowhere).unwrap_err();
    assert!(
        error.to_string().contains("out.mmdb: cannot be written"),
        "{error}"
    );
    build(&input, &output).unwrap();
    assert_ne!(fs::read(&output).unwrap(), b"old");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[test]
fn the_same_table_gives_the_same_octets_in_any_order_of_rows() {
    let rows = |table: &str| rows::parse(Path::new("x"), table.as_bytes()).unwrap();
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let first = encode(
        &rows("network,asn\n10.0.0.0/8,1\n2001:db8::/32,2\n10.1.0.0/16,3\n"),
        date,
    )
    .unwrap();
    let second = encode(
        &rows("network,asn\n10.1.0.0/16,3\n10.0.0.0/8,1\n2001:db8::/32,2\n"),
        date,
    )
    .unwrap();
    assert_eq!(first, second);
    let reader = Reader::from_source(first).unwrap();
    assert_eq!(reader.metadata().build_epoch, 1_700_000_000);
    assert_eq!(
        (
            reader.metadata().database_type.as_str(),
            reader.metadata().ip_version
        ),
        ("Meridian-City", 6)
    );
}

#[test]
fn an_empty_table_is_a_database_that_knows_nothing() {
    let reader = reader("network\n");
    assert_eq!(city(&reader, "10.0.0.1"), None);
    assert_eq!(city(&reader, "2001:db8::1"), None);
}

/// Networks crowded into few bits, so that they lie inside each other often.
fn networks() -> impl Strategy<Value = BTreeMap<IpNet, u32>> {
    let ipv4 = (any::<u32>(), 0..=32u8).prop_map(|(bits, length)| {
        let crowded = bits & 0x0303_c0c3;
        IpNet::V4(
            Ipv4Net::new(Ipv4Addr::from(crowded), length)
                .unwrap()
                .trunc(),
        )
    });
    let ipv6 = (any::<u128>(), 0..=128u8).prop_map(|(bits, length)| {
        let crowded = 0x2400_u128 << 112 | bits & 0x0103_0000_0003_0000_0003_0000_0000_0003;
        IpNet::V6(
            Ipv6Net::new(Ipv6Addr::from(crowded), length)
                .unwrap()
                .trunc(),
        )
    });
    proptest::collection::btree_map(prop_oneof![ipv4, ipv6], any::<u32>(), 0..200)
}

/// What the table says of an address, by looking at every row.
fn by_all_rows(networks: &BTreeMap<IpNet, u32>, address: IpAddr) -> Option<u32> {
    let around = networks
        .iter()
        .filter(|(network, _)| network.contains(&address));
    around
        .max_by_key(|(network, _)| network.prefix_len())
        .map(|(_, system)| *system)
}

/// The addresses at and just outside a network's ends.
fn edges(network: &IpNet) -> Vec<IpAddr> {
    match network {
        IpNet::V4(network) => {
            let (first, last) = (u32::from(network.network()), u32::from(network.broadcast()));
            let edges = [first, last, first.wrapping_sub(1), last.wrapping_add(1)];
            edges
                .map(|bits| IpAddr::from(Ipv4Addr::from(bits)))
                .to_vec()
        }
        IpNet::V6(network) => {
            let (first, last) = (
                u128::from(network.network()),
                u128::from(network.broadcast()),
            );
            let edges = [first, last, first.wrapping_sub(1), last.wrapping_add(1)];
            // The first address of ::/0 lies in the space of IPv4, which the tree does not hold as IPv6.
            let outside_of_ipv4 = edges.into_iter().filter(|bits| bits >> 32 != 0);
            outside_of_ipv4
                .map(|bits| IpAddr::from(Ipv6Addr::from(bits)))
                .collect()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lookups_agree_with_a_search_through_all_rows(networks in networks()) {
        let mut rows: Vec<String> = networks.iter().map(|(network, system)| format!("{network},{system}\n")).collect();
        // The numbers are random, so this shuffles.
        rows.sort_by_key(|row| row.split(',').next_back().map(str::to_owned));
        let (summary, octets) = built(&format!("network,asn\n{}", rows.concat())).unwrap();
        prop_assert_eq!(summary.ipv4_networks + summary.ipv6_networks, networks.len());
        let reader = Reader::from_source(octets).unwrap();
        reader.verify().unwrap();
        for address in networks.keys().flat_map(edges) {
            prop_assert_eq!(system(&reader, address), by_all_rows(&networks, address), "{}", address);
        }
        for network in reader.networks(WithinOptions::default()).unwrap() {
            let network = network.unwrap().network().unwrap();
            // The reader returns the network of all IPv4 addresses as an IPv6 network.
            let first = match network.network() {
                IpAddr::V6(address) if address.to_bits() >> 32 == 0 => Ipv4Addr::from(address.to_bits() as u32).into(),
                address => address,
            };
            prop_assert!(by_all_rows(&networks, first).is_some(), "{} is in no row", network);
        }
    }

    #[test]
    fn any_octets_are_answered(octets in proptest::collection::vec(any::<u8>(), 0..200), header in any::<bool>()) {
        let header: &[u8] = if header { b"network,latitude,longitude,country,subdivision,asn\n" } else { b"" };
        let table = [header, &octets].concat();
        let _ = rows::parse(Path::new("x"), &table).map_err(|errors| errors.to_string());
    }
}

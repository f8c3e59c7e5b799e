//! The scope of an answer (RFC 7871 section 7.2.1) is true for the whole of it, and no two scopes overlap.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use meridian::control::LoadedState;
use meridian::geo::build::build;

use crate::harness::Message;
use crate::world::{Random, ask, world};

const CONFIG: &str = r#"
[[geo.networks]]
cidr = ["203.0.113.0/24", "10.7.0.0/16", "2001:db8:7::/48"]
location = "FRA"
[[geo.networks]]
cidr = "10.7.9.128/25"
location = "IAD"

[regions.fra]
location = "FRA"
[regions.iad]
location = "IAD"
[regions.nrt]
location = "NRT"
bias = 20
[regions.gru]
location = "GRU"

[[services]]
name = "near.example.test"
[services.endpoints]
fra = "192.0.2.1"
iad = "192.0.2.2"
nrt = "192.0.2.3"
gru = "192.0.2.4"

[[services]]
name = "fenced.example.test"
[services.endpoints]
fra = "192.0.2.1"
iad = "192.0.2.2"
[[services.fence]]
clients = { countries = ["DE", "FR"], networks = ["198.51.100.64/26", "2a02:100::/29"] }
regions = ["iad"]

[[services]]
name = "sticky.example.test"
pick = "sticky"
[services.endpoints]
fra = ["192.0.2.1", "192.0.2.11", "192.0.2.21"]
iad = ["192.0.2.2", "192.0.2.12"]

[[services]]
name = "listed.example.test"
order = "priority"
[services.endpoints]
fra = "192.0.2.1"
iad = "192.0.2.2"
"#;

const NAMES: [&str; 4] = [
    "near.example.test",
    "fenced.example.test",
    "sticky.example.test",
    "listed.example.test",
];

pub fn scope(reply: &Message) -> u8 {
    reply
        .opt
        .as_ref()
        .and_then(|opt| opt.option(8).next())
        .expect("a client subnet")[3]
}

/// The block of this many bits around an address, as its first and last address.
pub fn block(address: IpAddr, bits: u8) -> (u128, u128) {
    let (value, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let all = u128::MAX >> (128 - width);
    let host = all.checked_shr(bits.into()).unwrap_or(0);
    (value & !host, value | host)
}

pub fn address(value: u128, v4: bool) -> IpAddr {
    if v4 {
        Ipv4Addr::from(value as u32).into()
    } else {
        Ipv6Addr::from(value).into()
    }
}

pub fn random_address(random: &mut Random, v4: bool) -> IpAddr {
    let special = [
        0x0a07_0900u128,
        0xc633_6440,
        0xcb00_7100,
        0x7f00_0000,
        0xc0a8_0000,
    ];
    match (v4, random.below(8)) {
        (true, 0) => address(
            special[random.below(5) as usize] ^ (random.wide() % 1024),
            true,
        ),
        (true, _) => address(random.wide() & 0xffff_ffff, true),
        (false, 0) => address(0x2001_0db8_0007u128 << 80 ^ random.wide() >> 46, false),
        (false, 1) => address(0xffff_0000_0000 | random.wide() & 0xffff_ffff, false),
        (false, 2) => address(0x2002u128 << 112 | random.wide() >> 16, false),
        (false, 3) => address(random.wide(), false),
        (false, _) => address(0x2a00u128 << 112 | random.wide() >> 7, false),
    }
}

/// All subnets are as long as a whole address, so that the scope is the answer's own.
pub fn ask_whole(loaded: &LoadedState, name: &str, client: IpAddr, draw: u64) -> Message {
    let length = if client.is_ipv4() { 32 } else { 128 };
    ask(
        loaded,
        name,
        IpAddr::from([192, 0, 2, 250]),
        Some((client, length)),
        draw,
    )
}

pub fn answers(reply: &Message) -> Vec<&str> {
    reply
        .answers
        .iter()
        .map(|record| &record.data[..])
        .collect()
}

#[test]
fn everybody_in_a_scope_has_the_same_answer_and_the_same_scope() {
    let loaded = world(CONFIG);
    let mut random = Random(11);
    for round in 0..40_000u32 {
        let (name, v4) = (NAMES[round as usize % NAMES.len()], random.below(2) == 0);
        let client = random_address(&mut random, v4);
        let draw = random.next();
        let reply = ask_whole(&loaded, name, client, draw);
        let (first, last) = block(client, scope(&reply));
        let inside = [
            first,
            last,
            first + random.wide() % (last - first).saturating_add(1).max(1),
        ];
        for other in inside.map(|value| address(value, v4)) {
            let again = ask_whole(&loaded, name, other, draw);
            let same = (answers(&reply), scope(&reply)) == (answers(&again), scope(&again));
            assert!(
                same,
                "{name}: {client} has {reply:?}, {other} in the same scope {again:?}"
            );
        }
    }
}

#[test]
fn scopes_of_one_name_never_overlap() {
    let loaded = world(CONFIG);
    let mut random = Random(12);
    for name in NAMES {
        for v4 in [true, false] {
            let mut blocks: Vec<(u128, u128)> = (0..5000)
                .map(|_| {
                    let client = random_address(&mut random, v4);
                    block(client, scope(&ask_whole(&loaded, name, client, 0)))
                })
                .collect();
            blocks.sort_unstable();
            blocks.dedup();
            for pair in blocks.windows(2) {
                assert!(pair[0].1 < pair[1].0, "{name}: {pair:x?}");
            }
        }
    }
}

#[test]
fn a_shorter_source_gets_the_scope_of_its_first_address() {
    let loaded = world(CONFIG);
    let mut random = Random(13);
    for _ in 0..5000 {
        let client = random_address(&mut random, true);
        for source in [8, 16, 20, 24] {
            let resolver = IpAddr::from([192, 0, 2, 250]);
            let reply = ask(&loaded, NAMES[0], resolver, Some((client, source)), 0);
            let first = address(block(client, source).0, true);
            let whole = ask_whole(&loaded, NAMES[0], first, 0);
            assert_eq!(
                (answers(&reply), scope(&reply)),
                (answers(&whole), scope(&whole)),
                "{client}/{source}"
            );
        }
    }
}

/// Private networks that only the operator's own database knows: near where it says, in scopes that end where it ends.
#[test]
fn private_networks_of_a_database_are_steered() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, output) = (
        folder.path().join("own.csv"),
        folder.path().join("own.mmdb"),
    );
    let table = "network,latitude,longitude\n10.1.0.0/16,50.1,8.7\n10.2.0.0/16,40.7,-74.0\nfd12:3::/32,40.7,-74.0\n\
                 192.0.2.240/28,40.7,-74.0\n";
    fs::write(&input, table).expect("writable");
    build(&input, &output).unwrap_or_else(|error| panic!("{error}"));
    let loaded = world(&format!(
        "[geo]\ndatabases = [{:?}]\n[regions.fra]\nlocation = \"FRA\"\n[regions.nyc]\nlocation = \"JFK\"\n[[services]]\n\
         name = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\nnyc = \"192.0.2.2\"\n",
        output.display().to_string()
    ));
    // The resolver of `ask_whole` is in 192.0.2.240/28, so whoever falls back to its place is sent to New York.
    for (client, address, widest) in [
        ("10.1.2.3", "192.0.2.1", 16),
        ("10.2.2.3", "192.0.2.2", 16),
        ("10.3.0.1", "192.0.2.2", 16),
        ("fd12:3::1", "192.0.2.2", 32),
        ("172.16.0.1", "192.0.2.2", 12),
    ] {
        let reply = ask_whole(
            &loaded,
            "www.example.test",
            client.parse().expect("an address"),
            1,
        );
        assert_eq!(answers(&reply), [address], "{client}");
        assert!(scope(&reply) >= widest, "{client}: {}", scope(&reply));
    }
}

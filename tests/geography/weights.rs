//! A million clients divided by weight, through whole replies: every count within three standard deviations.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use meridian::answer::{Transport, answer};
use meridian::dns::QueryScratch;

use crate::harness::query::Question;
use crate::harness::types;
use crate::world::{Random, world};

/// How many replies are counted.
const DRAWS: u32 = 1_000_000;

/// Three regions of 70, 20 and 10, with two endpoints of 3 and 1 in each.
const CONFIG: &str = r#"
[regions.large]
weight = 70
[regions.middle]
weight = 20
[regions.small]
weight = 10

[[services]]
name = "weighted.example.test"
order = "none"
pick = "weighted"
[services.endpoints]
large = [{ address = "192.0.2.1", weight = 3 }, { address = "192.0.2.2", weight = 1 }]
middle = [{ address = "192.0.2.3", weight = 3 }, { address = "192.0.2.4", weight = 1 }]
small = [{ address = "192.0.2.5", weight = 3 }, { address = "192.0.2.6", weight = 1 }]

[[services]]
name = "sticky.example.test"
order = "none"
pick = "sticky"
[services.endpoints]
large = [{ address = "192.0.2.1", weight = 3 }, { address = "192.0.2.2", weight = 1 }]
middle = [{ address = "192.0.2.3", weight = 3 }, { address = "192.0.2.4", weight = 1 }]
small = [{ address = "192.0.2.5", weight = 3 }, { address = "192.0.2.6", weight = 1 }]
"#;

/// What each endpoint is due, by the last octet of its address.
const DUE: [(u8, f64); 6] = [
    (1, 0.525),
    (2, 0.175),
    (3, 0.15),
    (4, 0.05),
    (5, 0.075),
    (6, 0.025),
];

/// Asks for a name a million times, each time with the next client and draw; counts by last octet of the address.
fn counts(name: &str, mut next: impl FnMut() -> (IpAddr, u64)) -> HashMap<u8, u32> {
    let loaded = world(CONFIG);
    let query = Question::new(name, types::A).octets();
    let mut counts = HashMap::new();
    for _ in 0..DRAWS {
        let (client, draw) = next();
        let mut buffer = [0; 512];
        let answered = answer(
            &query,
            client.into(),
            Transport::Udp,
            &loaded.snapshot.context(draw),
            &mut QueryScratch::default(),
            &mut buffer,
        );
        let reply = &buffer[..answered.length];
        // One answer and nothing behind it, so that the address stands last.
        assert_eq!(reply[6..12], [0, 1, 0, 0, 0, 0], "{reply:02x?}");
        *counts.entry(reply[reply.len() - 1]).or_default() += 1;
    }
    counts
}

#[track_caller]
fn expect_due(counts: &HashMap<u8, u32>) {
    assert_eq!(counts.len(), DUE.len(), "{counts:?}");
    for (octet, share) in DUE {
        let (count, draws) = (f64::from(counts[&octet]), f64::from(DRAWS));
        let sigma = (draws * share * (1.0 - share)).sqrt();
        let off = (count - draws * share) / sigma;
        assert!(
            off.abs() < 3.0,
            "192.0.2.{octet} came {count} times, {off:.2} standard deviations off"
        );
    }
}

#[test]
fn weighted_picks_divide_one_client_by_weight() {
    let mut random = Random(1);
    let client = IpAddr::from([203, 0, 113, 7]);
    expect_due(&counts("weighted.example.test", || (client, random.next())));
}

#[test]
fn weighted_picks_divide_many_clients_by_weight() {
    let mut random = Random(2);
    expect_due(&counts("weighted.example.test", || {
        (Ipv4Addr::from(random.next() as u32).into(), random.next())
    }));
}

/// Each client is another /24, the unit that sticks; the draw has no say.
#[test]
fn sticky_picks_divide_clients_by_weight() {
    let mut network = 0x0100_0000u32;
    let clients = || {
        network += 0x100;
        (Ipv4Addr::from(network | 9).into(), 0)
    };
    expect_due(&counts("sticky.example.test", clients));
}

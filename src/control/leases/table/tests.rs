//! The table of leases alone, and the tables of three servers that hear of each other late, twice, in
//! any order or not at all.

use proptest::prelude::*;

use super::super::FleetLease;
use super::*;

fn at(seconds: u64) -> BootTime {
    BootTime::default().after(Duration::from_secs(seconds))
}

fn clocks(seconds: u64) -> ClockReading {
    ClockReading {
        boot: at(seconds),
        wall: Duration::from_secs(seconds),
    }
}

/// One that ends so many seconds after the boot.
fn lease(region: &str, address: &str, until: u64) -> Lease {
    Lease {
        service: "www.example.com".to_owned(),
        region: region.to_owned(),
        address: address.parse().unwrap(),
        weight: 100,
        port: None,
        ttl: 30,
        ends: Deadline::after(at(0), Duration::from_secs(until)),
        by: "me".to_owned(),
        server: String::new(),
        renewed_at: 0,
    }
}

fn table(server: &str) -> LeaseTable {
    LeaseTable::of(Vec::new(), server, at(0))
}

/// What another server is told of a lease now.
fn told(table: &LeaseTable, key: &LeaseKey, now: u64) -> Lease {
    let news = table.news_of(key, at(now)).unwrap();
    FleetLease::told(news, &table.server, at(now)).lease
}

#[test]
fn what_is_not_renewed_leaves() {
    let wall = Duration::ZERO;
    let mut leases = LeaseTable::default();
    assert_eq!(leases.put(lease("fra", "192.0.2.9", 10), wall), Ok(true));
    assert_eq!(
        leases.put(lease("fra", "192.0.2.9", 20), wall),
        Ok(false),
        "only renewed"
    );
    let lighter = Lease {
        weight: 5,
        ..lease("fra", "192.0.2.9", 30)
    };
    assert_eq!(leases.put(lighter, wall), Ok(true));
    assert!(
        leases.put(lease("iad", "192.0.2.9", 30), wall).is_err(),
        "one address is in one region"
    );
    assert_eq!(leases.expire(at(29)), []);
    assert_eq!(leases.expire(at(30)).len(), 1);
    assert!(leases.is_empty());
}

#[test]
fn after_a_restart_every_lease_has_its_full_time() {
    for wall in [0, 1_000_000] {
        let before = ClockReading {
            boot: at(5),
            wall: Duration::from_secs(wall),
        };
        let record = lease("fra", "192.0.2.9", 10_000).record(&before);
        let mut leases = LeaseTable::of(vec![record], "", at(1000));
        assert_eq!(leases.expire(at(1029)), []);
        assert_eq!(leases.expire(at(1030)).len(), 1);
    }
}

#[test]
fn a_lease_of_another_server_joins_and_leaves() {
    let (mut a, mut b) = (table("a"), table("b"));
    let key = lease("fra", "192.0.2.9", 30).key();
    a.put(lease("fra", "192.0.2.9", 30), Duration::from_secs(1))
        .unwrap();
    let begun = told(&a, &key, 0);
    let heard = b.hear(begun.clone(), false, at(0));
    assert_eq!(heard, Ok(LeaseHeard::Joined(begun.clone(), None)));
    assert_eq!(b.hear(begun.clone(), false, at(0)), Ok(LeaseHeard::Nothing));
    assert_eq!(b.held_here(at(0)), [], "a holds it");
    // It is ended where it was not begun, and a late renewal changes nothing.
    let ended = b.end(&key, &clocks(2)).unwrap();
    assert_eq!(b.hear(begun, false, at(3)), Ok(LeaseHeard::Nothing));
    let heard = a.hear(ended, true, at(2)).unwrap();
    assert!(matches!(heard, LeaseHeard::Left(..)), "{heard:?}");
    assert!(a.is_empty() && b.is_empty());
}

#[test]
fn without_the_engine_the_leases_of_others_stay_and_own_ones_run_out() {
    let (mut a, mut b) = (table("a"), table("b"));
    for (table, address) in [(&mut a, "192.0.2.1"), (&mut b, "192.0.2.2")] {
        table
            .put(lease("fra", address, 30), Duration::from_secs(1))
            .unwrap();
    }
    let of_b = told(&b, &lease("fra", "192.0.2.2", 0).key(), 0);
    a.hear(of_b, false, at(0)).unwrap();
    a.set_linked(false, at(10));
    let own = a.expire(at(10_000));
    assert_eq!(own.len(), 1);
    assert_eq!(own[0].address.to_string(), "192.0.2.1");
    a.set_linked(true, at(10_000));
    assert_eq!(a.expire(at(10_029)), [], "there is time to hear of it");
    assert_eq!(a.expire(at(10_030)).len(), 1);
}

/// What happens to a lease, and on which of three servers.
#[derive(Debug, Clone)]
enum Step {
    Put(usize, &'static str, u32),
    End(usize, &'static str),
    /// A message of the past arrives at a server.
    Hear(usize, prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let region = prop::sample::select(vec!["fra", "iad"]);
    prop_oneof![
        (0..3_usize, region.clone(), 1..4_u32)
            .prop_map(|(at, region, weight)| Step::Put(at, region, weight)),
        (0..3_usize, region).prop_map(|(at, region)| Step::End(at, region)),
        (0..3_usize, any::<prop::sample::Index>()).prop_map(|(at, which)| Step::Hear(at, which)),
    ]
}

proptest! {
    /// Clocks differ by hours, messages arrive late, twice, in any order or not at all. Once every
    /// server has heard everything, all have the same endpoints.
    #[test]
    fn servers_that_have_heard_the_same_have_the_same_leases(
        steps in prop::collection::vec(step(), 1..40),
        skews in prop::array::uniform3(0..10_000_u64),
        order in any::<u64>(),
    ) {
        let names = ["a", "b", "c"];
        let mut tables = names.map(table);
        let mut sent: Vec<(Lease, bool)> = Vec::new();
        for (second, step) in (1..).zip(steps) {
            match step {
                Step::Put(server, region, weight) => {
                    let begun = Lease { weight, ..lease(region, "192.0.2.9", 1000) };
                    let wall = Duration::from_secs(skews[server] + second);
                    let key = begun.key();
                    if tables[server].put(begun, wall).is_ok() {
                        sent.push((told(&tables[server], &key, 0), false));
                    }
                }
                Step::End(server, region) => {
                    let now = ClockReading { boot: at(0), ..clocks(skews[server] + second) };
                    let key = lease(region, "192.0.2.9", 0).key();
                    if let Some(ended) = tables[server].end(&key, &now) {
                        sent.push((ended, true));
                    }
                }
                Step::Hear(server, which) => {
                    if !sent.is_empty() {
                        let (lease, is_ended) = which.get(&sent).clone();
                        tables[server].hear(lease, is_ended, at(0)).unwrap();
                    }
                }
            }
        }
        // In another order for each server.
        for (server, table) in tables.iter_mut().enumerate() {
            let mut all = sent.clone();
            let mut seed = order.wrapping_add(server as u64);
            for last in (1..all.len()).rev() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                all.swap(last, (seed >> 33) as usize % (last + 1));
            }
            // Twice, because of two regions that lease one address the later counts, and it may have
            // arrived first.
            for (lease, is_ended) in all.iter().chain(&all) {
                table.hear(lease.clone(), *is_ended, at(0)).unwrap();
            }
        }
        let ends = tables.each_ref().map(|table| {
            let stated = table.iter().map(|lease| (lease.key(), lease.weight, lease.renewed_at));
            stated.collect::<Vec<_>>()
        });
        prop_assert_eq!(&ends[0], &ends[1]);
        prop_assert_eq!(&ends[1], &ends[2]);
    }
}

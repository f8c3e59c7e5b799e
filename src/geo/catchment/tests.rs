//! Tests of catchments: many rule sets over one map, against an arrangement of each client alone.

use std::net::IpAddr;

use super::*;
use crate::geo::fences::Fence;
use crate::net::{Cidr, ClientAddress};
use crate::steering::failover::{RegionCapacity, Share};
use crate::steering::tiers::Candidate;
use crate::steering::{Bias, Point, RegionOrder, SteeringRules};

/// Frankfurt, Ashburn, Singapore, Sao Paulo, and one without a location.
fn candidates(biases: [i64; 5]) -> Vec<Candidate> {
    let places = [
        Some((50.1, 8.7)),
        Some((39.0, -77.5)),
        Some((1.35, 103.8)),
        Some((-23.5, -46.6)),
        None,
    ];
    let mut candidates = Vec::new();
    for (place, bias) in places.into_iter().zip(biases) {
        let point = place.and_then(|(latitude, longitude)| Point::new(latitude, longitude).ok());
        candidates.push(Candidate {
            location: point.map(Point::unit_vector),
            bias: Bias::new(bias).unwrap(),
        });
    }
    candidates
}

fn rules(order: RegionOrder, band: &str, take: &[usize], fences: Vec<Fence>) -> CatchmentRules {
    let all = candidates([0, 0, 30, -20, 0]);
    CatchmentRules {
        rules: SteeringRules {
            order,
            band: band.parse().unwrap(),
            candidates: take.iter().map(|at| all[*at]).collect(),
        },
        fences,
    }
}

fn cidr(text: &str) -> Cidr {
    let (address, prefix) = text.split_once('/').unwrap();
    Cidr::around(address.parse().unwrap(), prefix.parse().unwrap())
}

/// Rule sets of every kind: subsets, bands, biases, orders, fences by country and by network.
fn rule_sets() -> Vec<CatchmentRules> {
    let german = Fence {
        countries: vec!["DE".parse().unwrap()],
        of_unknown: true,
        allowed: vec![1, 0],
        ..Fence::default()
    };
    let office = Fence {
        networks: [
            "198.51.100.0/25",
            "10.1.0.0/16",
            "2a00:1450::/33",
            "2a00:1450:1::7/128",
        ]
        .map(cidr)
        .to_vec(),
        allowed: vec![2],
        ..Fence::default()
    };
    let home = Fence {
        networks: vec![cidr("198.51.100.64/26"), cidr("8.8.8.0/24")],
        continents: vec!["SA".parse().unwrap()],
        allowed: vec![0],
        ..Fence::default()
    };
    let nearest = RegionOrder::Nearest;
    vec![
        rules(nearest, "0%", &[0, 1, 2, 3], vec![]),
        rules(nearest, "0%", &[1, 2, 3], vec![]),
        rules(nearest, "25%", &[0, 1, 2, 3], vec![]),
        rules(nearest, "3000km", &[3, 2, 1, 0, 4], vec![]),
        rules(
            nearest,
            "0%",
            &[0, 1, 2],
            vec![german.clone(), office.clone()],
        ),
        rules(
            nearest,
            "25%",
            &[0, 1, 2],
            vec![office.clone(), home.clone()],
        ),
        rules(RegionOrder::Priority, "0%", &[2, 1, 0], vec![home, german]),
        rules(RegionOrder::None, "0%", &[0, 1, 2], vec![office]),
        rules(RegionOrder::Priority, "0%", &[0, 1], vec![]),
    ]
}

/// Addresses at the edges of networks, and others from all over.
fn addresses() -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for edge in [
        "198.51.100.0",
        "198.51.100.64",
        "198.51.100.128",
        "10.1.0.0",
        "10.2.0.0",
        "8.8.8.0",
        "8.8.9.0",
        "9.0.0.0",
        "127.0.0.1",
        "2a00:1450::",
        "2a00:1450:8000::",
        "2a00:1450:1::7",
        "2a00:1450:1::8",
        "2800::",
        "fc00::1",
    ] {
        match edge.parse().unwrap() {
            IpAddr::V4(edge) => {
                addresses.push(IpAddr::V4(edge));
                addresses.push(IpAddr::V4((edge.to_bits() - 1).into()));
            }
            IpAddr::V6(edge) => {
                addresses.push(IpAddr::V6(edge));
                addresses.push(IpAddr::V6((edge.to_bits() - 1).into()));
            }
        }
    }
    let mut state = 7u64;
    for _ in 0..3000 {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        addresses.push(IpAddr::V4(((state >> 32) as u32).into()));
        let upper = 0x2000_0000_0000_0000 | state >> 4;
        addresses.push(IpAddr::V6((u128::from(upper) << 64).into()));
    }
    addresses
}

/// The tiers of one client, without any map. `None`: it is unroutable.
fn offered(rules: &CatchmentRules, atlas: &Atlas, address: IpAddr) -> Option<Tiers> {
    let place = atlas.locate(address).place;
    let holds = |fence: usize| rules.fences[fence].holds(ClientAddress::from(address));
    if place == Cell::UNROUTABLE.place && !(0..rules.fences.len()).any(holds) {
        return None;
    }
    Some(tiers_at(rules, atlas.place(place), holds))
}

#[test]
fn every_client_has_the_tiers_of_each_rule_set() {
    let (atlas, sets) = (Atlas::builtin(), rule_sets());
    let compiled = Catchment::compile_all(&sets.iter().collect::<Vec<_>>(), &atlas);
    for address in addresses() {
        for (number, (rules, catchment)) in sets.iter().zip(&compiled).enumerate() {
            let class = catchment.table().find(address).value;
            if catchment.is_uniform() {
                assert_eq!(class, 1);
                continue;
            }
            let found = (class != UNROUTABLE).then(|| &catchment.classes()[class as usize]);
            let expected = offered(rules, &atlas, address);
            assert_eq!(
                found,
                expected.as_ref(),
                "{address} under rule set {number}"
            );
        }
    }
}

#[test]
fn a_rule_set_has_the_same_blocks_beside_others_as_alone() {
    let (atlas, sets) = (Atlas::builtin(), rule_sets());
    let beside = Catchment::compile_all(&sets.iter().collect::<Vec<_>>(), &atlas);
    let addresses = addresses();
    for (number, (rules, beside)) in sets.iter().zip(&beside).enumerate() {
        let alone = Catchment::compile(rules, &atlas);
        assert_eq!(alone.classes(), beside.classes(), "rule set {number}");
        for states in [states(None), states(Some(0)), states(Some(1))] {
            let (a, b) = (alone.outcomes(&states), beside.outcomes(&states));
            for address in &addresses {
                let (a_found, b_found) = (a.table.find(*address), b.table.find(*address));
                assert_eq!(a_found.scope, b_found.scope, "{address}, rule set {number}");
                assert_eq!(
                    a.chains[a_found.value as usize], b.chains[b_found.value as usize],
                    "{address}, rule set {number}"
                );
            }
        }
    }
}

#[test]
fn outcomes_at_once_are_those_of_each_class() {
    let (atlas, sets) = (Atlas::builtin(), rule_sets());
    for catchment in Catchment::compile_all(&sets.iter().collect::<Vec<_>>(), &atlas) {
        for states in [states(None), states(Some(0)), states(Some(2))] {
            let by_class = catchment.outcomes_by_class(&states);
            let (at_once, wide) = (
                catchment.outcomes_at_once(&states),
                catchment.outcomes(&states),
            );
            for address in addresses() {
                let chain = |outcomes: &Outcomes| {
                    let found = outcomes.table.find(address);
                    (outcomes.chains[found.value as usize].clone(), found.scope)
                };
                let (class, narrow, wide) = (chain(&by_class), chain(&at_once), chain(&wide));
                assert_eq!((&class.0, &class.0), (&narrow.0, &wide.0), "{address}");
                assert!(wide.1 <= narrow.1 && narrow.1 == class.1, "{address}");
            }
        }
    }
}

/// Every region up, but perhaps one.
fn states(down: Option<usize>) -> RegionStates {
    let mut capacities = vec![
        RegionCapacity {
            share: Share::ALL,
            weight: 1,
        };
        5
    ];
    if let Some(down) = down {
        capacities[down].share = Share::NONE;
    }
    RegionStates {
        capacities,
        ..RegionStates::default()
    }
}

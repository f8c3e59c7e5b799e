//! Shares against counts by hand, under changes, and against the decisions that the server takes.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::config;
use crate::geo::Atlas;

const CONFIGURATION: &str = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n\
    [regions.nrt]\nlocation = \"NRT\"\n\
    [[services]]\nname = \"www.example.com\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n\
    nrt = \"192.0.2.3\"\n\
    [[services]]\nname = \"all.example.com\"\norder = \"none\"\n[services.endpoints]\nfra = \"192.0.2.1\"\n\
    iad = [\"192.0.2.2\", \"192.0.2.4\"]\n";
const ZONE: &str =
    "$ORIGIN example.com.\n$TTL 60\n@ SOA ns1 h 7 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n";

fn play(configuration: &str) -> (Snapshot, Config) {
    let config = config::parse(configuration, Path::new("meridian.toml"))
        .unwrap()
        .config;
    let zones =
        crate::zone::load_text(Path::new("example.com.zone"), ZONE.as_bytes(), None, None).unwrap();
    let catalog =
        crate::catalog::Catalog::compile(&config, &zones.zones, Arc::new(Atlas::builtin()))
            .unwrap();
    let live = crate::catalog::LiveState::compile(
        &catalog,
        &crate::catalog::Availability::all_up(&config),
        None,
    );
    static CLOCK: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let turns = Arc::new(crate::answer::RoundRobinCounters::new(
        catalog.services.len(),
    ));
    (
        Snapshot {
            on_demand: None,
            catalog: Arc::new(catalog),
            live,
            policy: Arc::default(),
            clock: &CLOCK,
            turns,
        },
        config,
    )
}

fn foresight(configuration: &str, name: &str, change: &PlannedChange) -> Result<Foresight, String> {
    let (snapshot, config) = play(configuration);
    let name = name.parse().unwrap();
    foresee(
        (&snapshot, &config),
        None,
        ForecastRequest {
            name: &name,
            family: ServiceFamily::V4,
            over: ShareBasis::Addresses,
            traffic: NotedTraffic::NONE,
            change,
        },
    )
}

fn after(foresight: &Foresight) -> Vec<(&str, f64)> {
    foresight
        .regions
        .iter()
        .map(|region| (region.region.as_str(), region.after_percent))
        .collect()
}

#[test]
fn shares_sum_to_all_and_no_client_moves_without_a_change() {
    let now = foresight(CONFIGURATION, "www.example.com", &PlannedChange::default()).unwrap();
    let sum: f64 = now.regions.iter().map(|region| region.before_percent).sum();
    assert!((sum - 100.0).abs() < 0.01, "{sum}");
    // There are 3,706,650,624 public IPv4 addresses, and the built-in table knows nearly all of
    // them.
    assert!(
        (3_000_000_000..3_706_650_624).contains(&(now.addresses + now.unlocated)),
        "{}",
        now.addresses
    );
    assert_eq!((now.moved_percent, now.movers.len()), (0.0, 0));
    let germany = now
        .countries
        .iter()
        .find(|country| country.country == "DE")
        .unwrap();
    assert!(germany.before["fra"] > 99.0, "{germany:?}");
    assert!(now.distance.before_mean_km < now.distance.before_p95_km);
    assert!(
        now.summary
            .starts_with("iad serves the most of www.example.com: "),
        "{}",
        now.summary
    );
}

#[test]
fn the_clients_of_a_region_that_is_down_go_to_the_next() {
    let change = PlannedChange {
        down: vec!["fra".to_owned()],
        ..PlannedChange::default()
    };
    let then = foresight(CONFIGURATION, "www.example.com", &change).unwrap();
    assert_eq!(then.regions[0].after_percent, 0.0);
    assert!((then.moved_percent - then.regions[0].before_percent).abs() < 0.01);
    let germany = then
        .movers
        .iter()
        .find(|mover| mover.country == "DE")
        .unwrap();
    assert_eq!(
        (germany.from.as_deref(), germany.to.as_deref()),
        (Some("fra"), Some("iad"))
    );
    assert!(then.distance.after_mean_km > then.distance.before_mean_km);
    assert!(
        then.summary.contains("most of it to iad"),
        "{}",
        then.summary
    );
}

#[test]
fn weights_divide_a_tier_and_bias_moves_a_border() {
    let change = PlannedChange {
        weights: vec![("fra".to_owned(), 300)],
        ..PlannedChange::default()
    };
    let then = foresight(CONFIGURATION, "all.example.com", &change).unwrap();
    assert_eq!(after(&then), [("fra", 75.0), ("iad", 25.0)]);
    assert_eq!(
        (then.regions[0].before_percent, then.moved_percent),
        (50.0, 25.0)
    );
    let change = PlannedChange {
        biases: vec![("fra".to_owned(), crate::steering::Bias::new(90).unwrap())],
        ..PlannedChange::default()
    };
    let then = foresight(CONFIGURATION, "www.example.com", &change).unwrap();
    assert!(
        then.regions[0].after_percent > then.regions[0].before_percent + 10.0,
        "{:?}",
        then.regions
    );
    assert_eq!(then.regions[0].bias, 90);
}

#[test]
fn in_turn_endpoints_count() {
    let configuration = CONFIGURATION.replace(
        "order = \"none\"",
        "order = \"none\"\npick = \"round-robin\"",
    );
    let now = foresight(&configuration, "all.example.com", &PlannedChange::default()).unwrap();
    assert_eq!(after(&now), [("fra", 33.333), ("iad", 66.667)]);
}

#[test]
fn another_configuration_has_regions_of_its_own() {
    let (now, then) = (
        play(CONFIGURATION),
        play(&CONFIGURATION.replace("nrt", "sin").replace("NRT", "SIN")),
    );
    let name = "www.example.com".parse().unwrap();
    let change = PlannedChange {
        down: vec!["iad".to_owned()],
        ..PlannedChange::default()
    };
    let wanted = ForecastRequest {
        name: &name,
        family: ServiceFamily::V4,
        over: ShareBasis::Addresses,
        traffic: NotedTraffic::NONE,
        change: &change,
    };
    let seen = foresee((&now.0, &now.1), Some((&then.0, &then.1)), wanted).unwrap();
    let names: Vec<&str> = seen
        .regions
        .iter()
        .map(|region| region.region.as_str())
        .collect();
    assert_eq!(names, ["fra", "iad", "nrt", "sin"]);
    let zero = |index: usize| {
        (
            seen.regions[index].before_percent == 0.0,
            seen.regions[index].after_percent == 0.0,
        )
    };
    assert_eq!(
        [0, 1, 2, 3].map(zero),
        [(false, false), (false, true), (false, true), (true, false)]
    );
    let japan = seen
        .movers
        .iter()
        .find(|mover| mover.country == "JP")
        .unwrap();
    assert_eq!(
        (japan.from.as_deref(), japan.to.as_deref()),
        (Some("nrt"), Some("sin"))
    );
    // A service that the other configuration does not have answers no client.
    let without = play(
        CONFIGURATION
            .split("[[services]]\nname = \"all")
            .next()
            .unwrap(),
    );
    let name = "all.example.com".parse().unwrap();
    let wanted = ForecastRequest {
        name: &name,
        change: &PlannedChange::default(),
        ..wanted
    };
    let gone = foresee((&now.0, &now.1), Some((&without.0, &without.1)), wanted).unwrap();
    assert_eq!(
        gone.summary,
        "all.example.com: no client would get an answer"
    );
}

#[test]
fn people_are_counted_where_they_live() {
    let (snapshot, config) = play(CONFIGURATION);
    let name = "www.example.com".parse().unwrap();
    let wanted = ForecastRequest {
        name: &name,
        family: ServiceFamily::V4,
        over: ShareBasis::Population,
        traffic: NotedTraffic::NONE,
        change: &PlannedChange::default(),
    };
    let seen = foresee((&snapshot, &config), None, wanted).unwrap();
    assert!(
        (7_000_000_000..8_500_000_000).contains(&seen.addresses),
        "{}",
        seen.addresses
    );
    let country = |code: &str| {
        seen.countries
            .iter()
            .find(|country| country.country == code)
            .unwrap()
    };
    // GeoNames' number, whatever the addresses are.
    assert!(
        (1_350_000_000..1_356_000_000).contains(&country("IN").addresses),
        "{}",
        country("IN").addresses
    );
    let sum: f64 = seen
        .regions
        .iter()
        .map(|region| region.before_percent)
        .sum();
    assert!((sum - 100.0).abs() < 0.01, "{sum}");
    // America has the addresses, Asia the people.
    let addresses = foresight(CONFIGURATION, "www.example.com", &PlannedChange::default()).unwrap();
    assert!(
        seen.regions[1].before_percent < addresses.regions[1].before_percent - 10.0,
        "{:?}",
        seen.regions
    );
    assert!(
        seen.summary.ends_with("of the population"),
        "{}",
        seen.summary
    );
}

#[test]
fn traffic_is_counted_where_it_came_from() {
    let (snapshot, config) = play(CONFIGURATION);
    let name = "WWW.example.com".parse().unwrap();
    let client = |service: &str, client: &str, queries| ClientTraffic {
        service: service.to_owned(),
        client: client.to_owned(),
        queries,
    };
    // The Netherlands, Japan, Germany by IPv6; one of another service, one from nowhere.
    let clients = vec![
        client("www.example.com", "193.0.0.0/24", 5),
        client("www.example.com", "133.11.0.0/16", 2),
        client("www.example.com", "2a01:4f8::/48", 1),
        client("www.example.com", "10.0.0.0/24", 9),
        client("all.example.com", "133.11.0.0/16", 100),
    ];
    let traffic = NotedTraffic {
        sample: Some(64),
        queries: 117,
        clients,
    };
    let change = PlannedChange {
        down: vec!["nrt".to_owned()],
        ..PlannedChange::default()
    };
    let wanted = ForecastRequest {
        name: &name,
        family: ServiceFamily::V4,
        over: ShareBasis::Traffic,
        traffic: &traffic,
        change: &change,
    };
    let then = foresee((&snapshot, &config), None, wanted).unwrap();
    assert_eq!((then.addresses, then.moved_percent), (8, 25.0), "{then:?}");
    let shares: Vec<f64> = then
        .regions
        .iter()
        .map(|region| region.before_percent)
        .collect();
    assert_eq!(shares, [75.0, 0.0, 25.0]);
    assert!(
        then.summary
            .contains("25% of the traffic recorded recently would be sent elsewhere"),
        "{}",
        then.summary
    );
    let japan = then
        .cells
        .iter()
        .find(|cell| cell.before.as_deref() == Some("nrt"))
        .unwrap();
    assert_eq!(
        (japan.example.to_string(), japan.addresses),
        ("133.11.0.0".to_owned(), 2)
    );

    let of = |traffic: &NotedTraffic| {
        foresee(
            (&snapshot, &config),
            None,
            ForecastRequest { traffic, ..wanted },
        )
    };
    let sentence = of(NotedTraffic::NONE).unwrap_err();
    assert!(
        sentence.starts_with("the server does not sample its traffic; "),
        "{sentence}"
    );
    let nobody = NotedTraffic {
        sample: Some(64),
        ..NotedTraffic::default()
    };
    let nobody = of(&nobody).unwrap();
    assert_eq!(
        nobody.summary,
        "WWW.example.com: nobody whose place is known was noted yet"
    );
    let wrong = NotedTraffic {
        clients: vec![client("www.example.com", "somewhere", 1)],
        ..traffic.clone()
    };
    assert_eq!(
        of(&wrong).unwrap_err(),
        "traffic: client \"somewhere\" is not ADDRESS/PREFIX"
    );

    // The same clients under another configuration: Tokyo gives its place to Singapore.
    let then = play(&CONFIGURATION.replace("nrt", "sin").replace("NRT", "SIN"));
    let moves = compare(
        (&snapshot.catalog, &config),
        (&then.0.catalog, &then.1),
        &traffic,
    )
    .unwrap();
    let www = moves
        .iter()
        .find(|moved| moved.name == "www.example.com" && moved.rtype == "A")
        .unwrap();
    assert_eq!(
        www.traffic,
        Some(TrafficMove {
            queries: 17,
            moved_percent: 11.765
        })
    );
    let sentence =
        " of the address space and 11.8% of 17 queries recorded recently are sent elsewhere";
    assert!(www.sentence().ends_with(sentence), "{}", www.sentence());
}

#[test]
fn what_is_above_a_capacity_is_marked_and_ways_beyond_the_nearest_are_counted() {
    let full = CONFIGURATION.replacen(
        "[services.endpoints]",
        "capacity = { iad = \"50%\" }\n[services.endpoints]",
        1,
    );
    let change = PlannedChange {
        down: vec!["fra".to_owned()],
        ..PlannedChange::default()
    };
    let then = foresight(&full, "www.example.com", &change).unwrap();
    assert_eq!(
        (
            then.regions[1].capacity_percent,
            then.regions[1].over_capacity
        ),
        (Some(50.0), true),
        "{then:?}"
    );
    assert_eq!(
        (
            then.regions[2].capacity_percent,
            then.regions[2].over_capacity
        ),
        (None, false)
    );
    let distance = &then.distance;
    assert_eq!(
        (distance.before_extra_mean_km, distance.before_extra_p95_km),
        (Some(0.0), Some(0.0))
    );
    assert!(
        distance.after_extra_mean_km > Some(100.0) && distance.after_extra_p95_km > Some(1000.0),
        "{distance:?}"
    );
}

#[test]
fn what_cannot_be_is_said() {
    let change = PlannedChange {
        down: vec!["lhr".to_owned()],
        ..PlannedChange::default()
    };
    let error = |name, change: &PlannedChange| foresight(CONFIGURATION, name, change).unwrap_err();
    assert_eq!(
        error("www.example.com", &change),
        "there is no region \"lhr\"; the regions are fra, iad, nrt"
    );
    let sentence =
        "x.example.com is not a service; the services are www.example.com, all.example.com";
    assert_eq!(error("x.example.com", &PlannedChange::default()), sentence);
    let nodata = CONFIGURATION.replace(
        "order = \"none\"",
        "order = \"none\"\nall_down = \"nodata\"",
    );
    let change = PlannedChange {
        down: vec!["fra".to_owned(), "iad".to_owned()],
        ..PlannedChange::default()
    };
    let then = foresight(&nodata, "all.example.com", &change).unwrap();
    assert_eq!(
        then.summary,
        "all.example.com: no client would get an answer"
    );
    assert_eq!(then.moved_percent, 100.0);
}

#[test]
fn clients_whose_fence_holds_only_a_dead_region_are_listed_by_country() {
    let fence = "[[services.fence]]\nclients = { continents = [\"EU\"] }\nregions = [\"fra\"]\n\
                 [[services.fence]]\nclients = { countries = [\"KP\"] }\nregions = []\n";
    let (www, all) = CONFIGURATION
        .split_once("[[services]]\nname = \"all")
        .unwrap();
    let configuration = format!("{www}{fence}[[services]]\nname = \"all{all}");
    let change = PlannedChange {
        down: vec!["fra".to_owned()],
        ..PlannedChange::default()
    };
    let then = foresight(&configuration, "www.example.com", &change).unwrap();
    let (before, after) = (then.before_coverage, then.after_coverage);
    assert!(
        (before.live_percent + before.excluded_percent - 100.0).abs() < 1e-6,
        "{before:?}"
    );
    assert!(
        before.excluded_percent > 0.0 && before.excluded_percent == after.excluded_percent,
        "{after:?}"
    );
    let sum =
        after.live_percent + after.displaced_percent + after.dead_percent + after.excluded_percent;
    assert!(
        (sum - 100.0).abs() < 1e-6 && after.dead_percent > 15.0 && after.displaced_percent > 1.0,
        "{after:?}"
    );
    assert!(
        then.losing.len() == 10 && then.losing_countries > 40,
        "{:?}",
        then.losing
    );
    assert!(then.losing[0].addresses >= then.losing[1].addresses);
    assert!(
        then.losing.iter().any(|loser| loser.country == "DE"),
        "{:?}",
        then.losing
    );
    assert!(
        then.summary.contains("; NO LIVE REGION for ") && then.summary.ends_with(" more countries"),
        "{}",
        then.summary
    );
    // With another region in the fence no client loses its region.
    let two = configuration.replace("regions = [\"fra\"]", "regions = [\"fra\", \"iad\"]");
    let then = foresight(&two, "www.example.com", &change).unwrap();
    assert_eq!(
        (then.after_coverage.uncovered_percent(), then.losing.len()),
        (0.0, 0)
    );
}

/// Compares the forecast with 20,000 decisions, for regions that take only a part of their clients.
#[test]
fn the_forecast_of_partial_shares_agrees_with_a_count_of_decisions() {
    use crate::answer::steered::decide;
    use crate::steering::Share;
    use crate::steering::pick::next_draw;
    let (mut snapshot, config) = play(CONFIGURATION);
    let mut availability = snapshot.live.availability().clone();
    Arc::make_mut(&mut availability.services[1]).regions[0].share = Share::from_fraction(0.25);
    Arc::make_mut(&mut availability.services[1]).regions[1].share = Share::from_fraction(0.5);
    snapshot.live = crate::catalog::LiveState::compile(&snapshot.catalog, &availability, None);
    let name: Name = "all.example.com".parse().unwrap();
    let change = &PlannedChange::default();
    let wanted = ForecastRequest {
        name: &name,
        family: ServiceFamily::V4,
        over: ShareBasis::Addresses,
        traffic: NotedTraffic::NONE,
        change,
    };
    let now = foresee((&snapshot, &config), None, wanted).unwrap();
    let (id, service) = snapshot.catalog.service_named(&name).unwrap();
    let view = snapshot
        .live
        .service(id)
        .unwrap()
        .view(ServiceFamily::V4)
        .unwrap();
    let clients = 20_000u32;
    let mut in_first_region = 0u32;
    for number in 0..clients {
        let address = std::net::Ipv4Addr::from((5 << 24) + number * 256);
        let seed = next_draw(number.into());
        let decision = decide(service, view, address.into(), None, seed, || 0);
        if let Some((0, _)) = decision.picks().iter().next() {
            in_first_region += 1;
        }
    }
    let counted = f64::from(in_first_region) / f64::from(clients) * 100.0;
    assert!(
        (counted - now.regions[0].before_percent).abs() < 1.5,
        "{counted} {:?}",
        now.regions
    );
}

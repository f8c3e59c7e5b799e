//! Tests with a small catalog: the sentences of explanations, and that the explained endpoints are
//! those that the server answers with.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config;
use crate::geo::{Atlas, AtlasSources, OperatorNetwork};
use crate::zone;

const CONFIGURATION: &str = r#"
[[geo.networks]]
cidr = "5.0.0.0/16"
location = [52.52, 13.40]
country = "DE"
[[geo.networks]]
cidr = "5.1.0.0/16"
location = [28.61, 77.21]
country = "IN"
[[geo.networks]]
cidr = "5.2.0.0/16"
location = [40.71, -74.01]
country = "US"
asn = 64500

[regions.fra]
location = [50.11, 8.68]
[regions.ams]
location = [52.31, 4.76]
[regions.iad]
location = [38.95, -77.45]
bias = 10
[regions.bom]
location = [19.08, 72.88]
[regions.spare]
location = [50.0, 8.0]
weight = 0

[[services]]
name = "www.example.com"
[services.endpoints]
fra = ["192.0.2.1", "2001:db8::1"]
ams = "192.0.2.2"
iad = "192.0.2.3"
bom = "192.0.2.4"

[[services]]
name = "api.example.com"
band = "500km"
[services.endpoints]
fra = [{ address = "192.0.2.10", weight = 80 }, { address = "192.0.2.11", weight = 20 }]
ams = "192.0.2.12"
spare = "192.0.2.13"
bom = "192.0.2.14"

[[services]]
name = "list.example.com"
order = "priority"
pick = "round-robin"
all_down = "servfail"
[services.endpoints]
fra = ["192.0.2.20", "192.0.2.21", "2001:db8::20"]
bom = "192.0.2.22"
[[services.fence]]
clients = { countries = ["IN"], asns = [64500] }
regions = ["bom"]

[[fences.india]]
clients = { countries = ["IN"] }
regions = ["bom", "fra"]

[[services]]
name = "shared.example.com"
fences = "india"
order = "priority"
[services.endpoints]
fra = "192.0.2.50"
iad = "192.0.2.51"

[[services]]
name = "barred.example.com"
all_down = "servfail"
[services.endpoints]
fra = "192.0.2.40"
[[services.fence]]
clients = { countries = ["IN"] }
regions = []

[[services]]
name = "stick.example.com"
order = "none"
pick = "sticky"
answers = 2
[services.endpoints]
fra = ["192.0.2.30", "192.0.2.31"]
bom = "192.0.2.32"

[[services]]
name = "cdn.example.com"
[services.endpoints]
fra = { cname = "eu.example.net" }
bom = { cname = "as.example.net" }
"#;

const ZONE: &str = "$ORIGIN example.com.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n\
    shop CNAME www\ntext TXT hello\nsub NS ns.sub\nns.sub A 192.0.2.99\n";

static CLOCK: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

fn snapshot() -> Snapshot {
    let config = config::parse(CONFIGURATION, Path::new("test.toml"))
        .unwrap()
        .config;
    let networks: Vec<OperatorNetwork> = config
        .geo
        .networks
        .iter()
        .map(OperatorNetwork::from)
        .collect();
    let atlas = Arc::new(Atlas::compile(&AtlasSources::default(), &networks).unwrap());
    let zones = zone::load_text(Path::new("test.zone"), ZONE.as_bytes(), None, None).unwrap();
    let catalog = Catalog::compile(&config, &zones.zones, atlas).unwrap();
    let live = LiveState::compile(&catalog, &Availability::all_up(&config), None);
    Snapshot {
        turns: Arc::new(RoundRobinCounters::new(catalog.services.len())),
        on_demand: None,
        catalog: Arc::new(catalog),
        live,
        policy: Arc::default(),
        clock: &CLOCK,
    }
}

fn question(name: &str, rtype: &str, client: &str, down: &[&str]) -> ExplainQuestion {
    ExplainQuestion {
        name: name.parse().unwrap(),
        rtype: rtype.parse().unwrap(),
        client: client.parse().unwrap(),
        down: down.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn summary(snapshot: &Snapshot, name: &str, rtype: &str, client: &str, down: &[&str]) -> String {
    explain(snapshot, &question(name, rtype, client, down), 7)
        .unwrap()
        .summary
}

#[test]
fn one_sentence_says_what_matters() {
    let snapshot = snapshot();
    let say = |name, rtype, client, down: &[&str]| summary(&snapshot, name, rtype, client, down);
    for (said, expected) in [
        (
            say("www.example.com", "A", "5.0.0.1", &[]),
            "www.example.com A for 5.0.0.1 (DE, 52.52,13.40): fra, 192.0.2.1, because it is the nearest of 4 \
             (423 km; next ams, 586 km)",
        ),
        (
            say("www.example.com", "A", "5.0.0.0/16", &["fra"]),
            "www.example.com A for 5.0.0.0/16 (DE, 52.52,13.40): ams, 192.0.2.2, because it is the nearest that is \
             left (586 km; next iad, 6732 km, counted as 6058 km); fra is switched off in this \
             what-if",
        ),
        (
            say("list.example.com", "A", "5.2.0.1", &[]),
            "list.example.com A for 5.2.0.1 (US, 40.71,-74.01): bom, 192.0.2.22, because it is the first listed; \
             fence 1 (countries IN; ASNs 64500) leaves only bom",
        ),
        (
            say("list.example.com", "A", "5.0.0.1", &[]),
            "list.example.com A for 5.0.0.1 (DE, 52.52,13.40): fra 192.0.2.20 or fra 192.0.2.21 in turn, because it \
             is the first listed",
        ),
        (
            say("list.example.com", "A", "5.1.0.1", &["bom"]),
            "list.example.com A for 5.1.0.1 (IN, 28.61,77.21): nothing, because every region is down and all_down is \
             servfail; fence 1 (countries IN; ASNs 64500) leaves only bom",
        ),
        (
            say("list.example.com", "AAAA", "5.1.0.1", &[]),
            "list.example.com AAAA for 5.1.0.1 (IN, 28.61,77.21): nothing, because no region for this client has an \
             endpoint that answers AAAA; fence 1 (countries IN; ASNs 64500) leaves only bom",
        ),
        (
            say("shared.example.com", "A", "5.1.0.1", &[]),
            "shared.example.com A for 5.1.0.1 (IN, 28.61,77.21): fra, 192.0.2.50, because it is the first listed; fence \
             india (countries IN) leaves only fra",
        ),
        (
            say("barred.example.com", "A", "5.1.0.1", &["fra"]),
            "barred.example.com A for 5.1.0.1 (IN, 28.61,77.21): nothing, fenced: no region is meant for these clients \
             (fence 1, countries IN)",
        ),
        (
            say("cdn.example.com", "AAAA", "5.1.0.1", &[]),
            "cdn.example.com AAAA for 5.1.0.1 (IN, 28.61,77.21): bom, as.example.net, because it is the nearest of 2 \
             (1147 km; next fra, 6117 km)",
        ),
        (
            say("www.example.com", "A", "10.0.0.1", &[]),
            "www.example.com A for 10.0.0.1 (private or special-purpose space): fra, 192.0.2.1, because the location \
             of the client is unknown, so the listed order decides",
        ),
        (
            say("text.example.com", "TXT", "5.1.0.1", &[]),
            "text.example.com TXT for 5.1.0.1 (IN, 28.61,77.21): TXT \"hello\", from the zone example.com",
        ),
        (
            say("none.example.com", "A", "5.1.0.1", &[]),
            "none.example.com A for 5.1.0.1 (IN, 28.61,77.21): NXDOMAIN, because the zone example.com has no such name",
        ),
        (
            say("www.example.com", "TXT", "5.1.0.1", &[]),
            "www.example.com TXT for 5.1.0.1 (IN, 28.61,77.21): no records, because the zone example.com has the name \
             but no TXT there",
        ),
        (
            say("a.sub.example.com", "A", "5.1.0.1", &[]),
            "a.sub.example.com A for 5.1.0.1 (IN, 28.61,77.21): a referral, because the zone example.com delegates \
             the name",
        ),
        (
            say("example.org", "A", "5.1.0.1", &[]),
            "example.org A for 5.1.0.1 (IN, 28.61,77.21): refused, because the name is in no zone of this server",
        ),
        (
            say("shop.example.com", "A", "5.0.0.1/24", &[]),
            "shop.example.com A for 5.0.0.0/24 (DE, 52.52,13.40): alias of www.example.com: fra, 192.0.2.1, because \
             it is the nearest of 4 (423 km; next ams, 586 km)",
        ),
    ] {
        assert_eq!(said, expected);
    }
}

#[test]
fn every_region_has_its_reason() {
    let snapshot = snapshot();
    let reasons = |name: &str, rtype: &str, client: &str, down: &[&str]| -> Vec<String> {
        let explanation = explain(&snapshot, &question(name, rtype, client, down), 7).unwrap();
        let candidates = explanation.service.unwrap().candidates;
        candidates
            .iter()
            .map(|region| format!("{} {}", region.region, region.reason))
            .collect()
    };
    assert_eq!(
        reasons("api.example.com", "A", "5.0.0.1", &[]),
        [
            "fra is one of the nearest",
            "spare is a standby",
            "ams is one of the nearest",
            "bom is farther than the tier that serves"
        ]
    );
    assert_eq!(
        reasons("api.example.com", "A", "5.0.0.1", &["fra", "ams"])[..3],
        [
            "fra is switched off in this what-if",
            "spare is the nearest that is left",
            "ams is switched off in this what-if"
        ]
    );
    assert_eq!(
        reasons("list.example.com", "A", "5.1.0.1", &[]),
        [
            "bom is the first listed",
            "fra is fenced off from this client"
        ]
    );
    assert_eq!(
        reasons("www.example.com", "AAAA", "5.1.0.1", &[]),
        [
            "fra is the nearest",
            "ams has no endpoint of this family",
            "iad has no endpoint of this family",
            "bom has no endpoint of this family"
        ]
    );
    assert_eq!(
        reasons("www.example.com", "AAAA", "5.1.0.1", &["fra"])[0],
        "fra is switched off in this what-if, and no other region is left: the all-down rule serves it"
    );
}

#[test]
fn a_region_that_is_not_configured_is_refused() {
    let refused = explain(
        &snapshot(),
        &question("www.example.com", "A", "5.0.0.1", &["lhr"]),
        1,
    )
    .unwrap_err();
    assert_eq!(
        refused,
        "there is no region \"lhr\"; the regions are fra, ams, iad, bom, spare"
    );
}

/// The data of what the server answers to the same question, over many draws and turns.
fn answered(snapshot: &Snapshot, question: &ExplainQuestion, draws: u64) -> HashMap<String, u32> {
    let live = without(snapshot, &question.down).unwrap();
    let live = live.as_ref().unwrap_or(&snapshot.live);
    let mut counts = HashMap::new();
    for draw in 0..draws {
        let context = crate::answer::QueryContext {
            live,
            ..snapshot.context(crate::steering::pick::next_draw(draw))
        };
        for record in reply::ask(&question.name, question.rtype, &question.client, &context).records
        {
            *counts
                .entry(record.data.trim_end_matches('.').to_owned())
                .or_default() += 1;
        }
    }
    counts
}

#[test]
fn odds_are_what_comes_of_many_answers() {
    let snapshot = snapshot();
    let question = question("api.example.com", "A", "5.0.0.1", &[]);
    let explanation = explain(&snapshot, &question, 1).unwrap();
    let counts = answered(&snapshot, &question, 20_000);
    let endpoints = explanation.service.unwrap().endpoints;
    assert_eq!(
        endpoints
            .iter()
            .map(|endpoint| endpoint.percent)
            .collect::<Vec<_>>(),
        [40.0, 10.0, 50.0]
    );
    for endpoint in endpoints {
        let (n, p) = (20_000.0, endpoint.percent / 100.0);
        let count = f64::from(counts[&endpoint.endpoint]);
        assert!(
            (count - n * p).abs() < 4.0 * (n * p * (1.0 - p)).sqrt(),
            "{endpoint:?}: {count}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn what_is_explained_is_what_is_answered(
        clients in prop::collection::vec((prop_oneof![Just(0u32), 0..3u32, any::<u32>()], any::<u32>(), 0..=33u8), 20),
        down in prop::collection::hash_set(prop::sample::select(vec!["fra", "ams", "iad", "bom", "spare"]), 0..4),
    ) {
        static BASE: std::sync::OnceLock<Snapshot> = std::sync::OnceLock::new();
        let base = BASE.get_or_init(snapshot);
        let down: Vec<String> = down.into_iter().map(str::to_owned).collect();
        // Once for all clients: it goes through the whole address space.
        let live = LiveState::compile(
            &base.catalog,
            &take_down(&base.catalog, base.live.availability().clone(), &down),
            Some(&base.live),
        );
        let turns = Arc::new(RoundRobinCounters::new(base.catalog.services.len()));
        let snapshot = Snapshot { turns, catalog: base.catalog.clone(), live, policy: Arc::default(), clock: &CLOCK, on_demand: None };
        for (high, low, prefix) in clients {
            let address = if high < 3 { 5 << 24 | high << 16 | low & 0xffff } else { low };
            let address = std::net::Ipv4Addr::from_bits(address);
            let client = if prefix == 33 { address.to_string() } else { format!("{address}/{prefix}") };
            for name in ["www", "api", "list", "stick", "cdn"] {
                let question = question(&format!("{name}.example.com"), "A", &client, &[]);
                let explanation = explain(&snapshot, &question, 3).unwrap();
                let service = explanation.service.expect("a service");
                let explained: HashSet<String> = service.endpoints.iter().map(|e| e.endpoint.clone()).collect();
                let given: HashSet<String> = answered(&snapshot, &question, 200).into_keys().collect();
                prop_assert_eq!(&given, &explained, "{} for {} without {:?}", name, client, down);
                let serving: HashSet<&str> =
                    service.candidates.iter().filter(|c| c.serves).map(|c| c.region.as_str()).collect();
                let regions: HashSet<&str> = service.endpoints.iter().map(|e| e.region.as_str()).collect();
                prop_assert_eq!(serving, regions);
                let total: f64 = service.endpoints.iter().map(|e| e.percent).sum();
                prop_assert!(service.pick == "sticky" || service.endpoints.is_empty() || (total - 100.0).abs() < 1e-6);
            }
        }
    }
}

//! The rules of a service, for `GET /v1/status?rules=true`.
//!
//! They show how the service picks an answer: order, band, fences, weights, capacities and checks.
//! They also say where a setting has no effect, such as a weight that is never used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_facts::{CheckFacts, checks_of};
use crate::catalog;
use crate::catalog::Catalog;
use crate::config::{Capacity, Config, Endpoint, EndpointTarget, ServiceConfig, ServiceRegion};
use crate::explain::{FenceFacts, all_down_word, fences_of, order_word, pick_word};
use crate::steering::{PickMethod, RegionOrder};

/// How a service decides. Keys are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceRules {
    /// Its policy in `[policies]`; absent if it names none.
    #[serde(default)]
    pub policy: Option<String>,
    /// The pool in `[pools]` that has its endpoints; absent if they are its own.
    #[serde(default)]
    pub pool: Option<String>,
    /// `nearest`, `priority` or `none`.
    pub order: String,
    /// How much farther than the nearest a region may be and still share its clients: `0%`,
    /// `150km`.
    pub band: String,
    /// `weighted`, `round-robin`, `sticky` or `least-load`.
    pub pick: String,
    /// Endpoints per reply.
    pub answers: u8,
    /// Usable endpoints that a region needs to take clients.
    pub min_endpoints: usize,
    /// The answer when no region is available: `answer-all`, `last-good`, `nodata` or `servfail`.
    pub all_down: String,
    /// Seconds; the most where it follows health.
    pub ttl: u32,
    /// The least where it follows health; absent where it is fixed.
    pub least_ttl: Option<u32>,
    /// Whether the client subnet of a query is used, not the address of the resolver alone.
    pub client_subnet: bool,
    /// Its fences; the first one that matches a client applies.
    pub fences: Vec<FenceFacts>,
    /// The tiers of regions, if they are the same for every client without a fence; else empty.
    pub tiers: Vec<Vec<String>>,
    /// The rules of its regions, as listed.
    pub regions: Vec<RegionRules>,
    /// The checks of its endpoints; combined checks come before their parts.
    pub checks: Vec<CheckFacts>,
}

/// The configured rules of one region of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionRules {
    /// Its name.
    pub region: String,
    /// How a tier is divided between its regions; 0 is a standby.
    pub weight: u32,
    /// Whether the weight has an effect: the region shares clients with another one, by weight.
    pub weight_counts: bool,
    /// The bias of its distance, in per cent.
    pub bias: i8,
    /// Whether the bias has an effect: distances decide, and it is not the only region.
    pub bias_counts: bool,
    /// Its capacity: `30%` of the answers, or `2000/s`; absent if none is configured.
    pub capacity: Option<String>,
    /// Its endpoints, as listed.
    pub endpoints: Vec<EndpointRules>,
}

/// The configured rules of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointRules {
    /// Its address or name.
    pub endpoint: String,
    /// The name of its check; absent if it is not probed, so that it counts as up.
    pub check: Option<String>,
    /// Whether its weight changes anything: its region has another one of the same kind, and the
    /// pick is by weight.
    pub weight_counts: bool,
}

/// The rules of a service; `None` if it was removed by a reload in the meantime.
pub fn rules_of(config: &Config, catalog: &Catalog, name: &str) -> Option<ServiceRules> {
    let name = name.parse().ok()?;
    let service = config
        .services
        .iter()
        .find(|service| service.name == name)?;
    let (_, compiled) = catalog.service_named(&name)?;
    Some(ServiceRules {
        policy: service.policy.as_deref().map(str::to_owned),
        pool: service.pool.as_deref().map(str::to_owned),
        order: order_word(service.order).to_owned(),
        band: service.band.to_string(),
        pick: pick_word(service.pick).to_owned(),
        answers: service.answers,
        min_endpoints: service.min_endpoints,
        all_down: all_down_word(service.all_down).to_owned(),
        ttl: service.ttl,
        least_ttl: service.least_ttl,
        client_subnet: service.client_subnet,
        fences: fences_of(catalog, compiled),
        tiers: tiers(config, service),
        regions: service
            .regions
            .iter()
            .map(|region| region_rules((config, service), region, catalog, compiled))
            .collect(),
        checks: checks_of(config, service),
    })
}

fn region_name(config: &Config, region: &ServiceRegion) -> String {
    config
        .regions
        .get(usize::from(region.region.0))
        .map_or_else(String::new, |region| region.name.clone())
}

/// The tiers of all clients; empty if distance decides, because each client then has its own.
fn tiers(config: &Config, service: &ServiceConfig) -> Vec<Vec<String>> {
    let names = service
        .regions
        .iter()
        .map(|region| region_name(config, region));
    match service.order {
        RegionOrder::Nearest => Vec::new(),
        RegionOrder::Priority => names.map(|name| vec![name]).collect(),
        RegionOrder::None => vec![names.collect()],
    }
}

fn region_rules(
    (config, service): (&Config, &ServiceConfig),
    region: &ServiceRegion,
    catalog: &Catalog,
    compiled: &catalog::SteeredService,
) -> RegionRules {
    let configured = config.regions.get(usize::from(region.region.0));
    let name = region_name(config, region);
    let by_weight = is_by_weight(service.pick);
    let weight_counts = by_weight
        && compiled
            .views
            .iter()
            .flatten()
            .any(|view| view.shares(catalog, &name));
    let mut endpoints = Vec::with_capacity(region.endpoints.len());
    for endpoint in &region.endpoints {
        endpoints.push(endpoint_rules(config, region, endpoint, by_weight));
    }
    RegionRules {
        weight: configured.map_or(0, |region| region.weight),
        weight_counts,
        bias: configured.map_or(0, |region| region.bias.percent()),
        bias_counts: service.order == RegionOrder::Nearest && service.regions.len() > 1,
        capacity: region.capacity.map(|capacity| match capacity {
            Capacity::Part(part) => format!("{}%", part * 100.0),
            Capacity::Rate(rate) => format!("{rate}/s"),
        }),
        endpoints,
        region: name,
    }
}

fn endpoint_rules(
    config: &Config,
    region: &ServiceRegion,
    endpoint: &Endpoint,
    by_weight: bool,
) -> EndpointRules {
    let check = endpoint
        .check
        .and_then(|check| config.checks.get(usize::from(check.0)));
    let alternatives = region
        .endpoints
        .iter()
        .filter(|other| is_alike(endpoint, other));
    EndpointRules {
        endpoint: endpoint.target.to_string(),
        check: check.map(|check| check.name.clone()),
        weight_counts: by_weight && alternatives.count() > 1,
    }
}

/// Whether weights affect the pick. Round robin treats all weights except 0 alike.
fn is_by_weight(pick: PickMethod) -> bool {
    match pick {
        PickMethod::Weighted | PickMethod::Sticky | PickMethod::LeastLoad => true,
        PickMethod::RoundRobin => false,
    }
}

/// Whether the same query may be answered with either endpoint.
fn is_alike(one: &Endpoint, other: &Endpoint) -> bool {
    match (&one.target, &other.target) {
        (EndpointTarget::Address(one), EndpointTarget::Address(other)) => {
            one.is_ipv4() == other.is_ipv4()
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::ConfigOrigin;

    const ZONE: &str =
        "$ORIGIN example.com.\n$TTL 60\n@ SOA ns1 h 7 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n";
    const REGIONS: &str = "[regions]\nfra = { location = \"FRA\" }\niad = { location = \"IAD\", weight = 20 }\n\
                           ams = { location = \"AMS\" }\n";
    const ENDPOINTS: &str = "[services.endpoints]\nfra = [\"192.0.2.1\", \"192.0.2.4\", \"2001:db8::1\"]\n\
                             iad = \"192.0.2.2\"\nams = \"192.0.2.3\"\n";

    fn rules(service: &str, rest: &str) -> ServiceRules {
        let configuration = format!(
            "{REGIONS}{rest}\n[[services]]\nname = \"www.example.com\"\n{service}\n{ENDPOINTS}"
        );
        let loaded = ConfigOrigin::BuiltIn {
            configuration,
            zone: ZONE,
        }
        .load(None)
        .unwrap();
        rules_of(&loaded.config, &loaded.snapshot.catalog, "www.example.com").unwrap()
    }

    fn counting(rules: &ServiceRules) -> Vec<bool> {
        rules
            .regions
            .iter()
            .map(|region| region.weight_counts)
            .collect()
    }

    #[test]
    fn a_weight_counts_where_regions_share_clients() {
        let nearest = rules("", "");
        assert_eq!(
            (
                nearest.order.as_str(),
                nearest.band.as_str(),
                nearest.tiers.len()
            ),
            ("nearest", "0%", 0)
        );
        assert_eq!(counting(&nearest), [false; 3]);
        assert!(nearest.regions.iter().all(|region| region.bias_counts));
        // Some are nearly as near to one as to another, on both sides of the Atlantic.
        assert_eq!(counting(&rules("band = \"300km\"", "")), [true; 3]);
        let priority = rules("order = \"priority\"", "");
        assert_eq!(counting(&priority), [false; 3]);
        assert_eq!(priority.tiers, [["fra"], ["iad"], ["ams"]]);
        assert!(priority.regions.iter().all(|region| !region.bias_counts));
        let none = rules("order = \"none\"", "");
        assert_eq!(
            (counting(&none), none.regions[1].weight),
            (vec![true; 3], 20)
        );
        assert_eq!(none.tiers, [["fra", "iad", "ams"]]);
        assert_eq!(
            counting(&rules("order = \"none\"\npick = \"round-robin\"", "")),
            [false; 3]
        );
    }

    #[test]
    fn the_weight_of_an_endpoint_counts_beside_another_of_its_kind() {
        let rules = rules("", "");
        let counting = |region: usize| -> Vec<bool> {
            rules.regions[region]
                .endpoints
                .iter()
                .map(|endpoint| endpoint.weight_counts)
                .collect()
        };
        assert_eq!(
            (counting(0), counting(1)),
            (vec![true, true, false], vec![false])
        );
    }

    #[test]
    fn fences_are_described_as_in_an_explanation() {
        let fence = "[[services.fence]]\nclients = { groups = [\"EU-27\"], countries = [\"CH\"] }\nregions = [\"fra\"]\n";
        let configuration =
            format!("{REGIONS}[[services]]\nname = \"www.example.com\"\n{ENDPOINTS}{fence}");
        let loaded = ConfigOrigin::BuiltIn {
            configuration,
            zone: ZONE,
        }
        .load(None)
        .unwrap();
        let rules = rules_of(&loaded.config, &loaded.snapshot.catalog, "www.example.com").unwrap();
        let [fence] = &rules.fences[..] else {
            panic!("{rules:?}")
        };
        assert_eq!((fence.number, fence.regions.join(" ").as_str()), (1, "fra"));
        assert!(
            fence.clients.contains("EU-27") && fence.clients.contains("CH"),
            "{}",
            fence.clients
        );
    }

    #[test]
    fn checks_are_listed_with_their_settings() {
        let checks = "[checks.web]\ntype = \"https\"\npath = \"/health?key=secret\"\ninterval = \"5s\"\nfall = 2\n\
                      [checks.port]\ntype = \"tcp\"\nport = 5432\n[checks.both]\nall = [\"web\", \"port\"]\n\
                      [checks.other]\ntype = \"tcp\"\nport = 1\n";
        let rules = rules("check = \"both\"", checks);
        let told: Vec<(&str, &str)> = rules
            .checks
            .iter()
            .map(|check| (check.name.as_str(), check.asks.as_str()))
            .collect();
        let expected = [
            ("both", "all of web, port"),
            ("web", "HTTPS GET /health?..., port 443"),
            ("port", "a TCP connection, port 5432"),
        ];
        assert_eq!(told, expected);
        let web = &rules.checks[1];
        assert_eq!(
            (web.interval.as_deref(), web.fall, web.rise),
            (Some("5s"), Some(2), Some(5))
        );
        assert_eq!(rules.checks[0].interval, None);
        assert!(
            rules.regions[0]
                .endpoints
                .iter()
                .all(|endpoint| endpoint.check.as_deref() == Some("both"))
        );
    }
}

//! Makes the effective configuration: the written one with leases, aliases and weights applied.
//!
//! [`effective`] adds leased endpoints, replaces aliases by the addresses that they resolve to,
//! and sets the weights that operators have overridden. Probes, the catalog and status see only
//! the result, so they need not know about leases. Without any of these the result is the written
//! configuration itself, without a copy.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::book::OverrideBook;
use super::leases::{Lease, LeaseTable};
use super::overrides::{Override, OverrideAction, OverrideKind};
use crate::config::{
    CheckId, Config, Endpoint, EndpointTarget, RegionId, ServiceConfig, ServiceRegion,
};
use crate::resolve::{IpFamily, KnownNames, is_private};

/// The effective configuration; `base` itself where nothing changes it.
pub fn effective(
    base: &Arc<Config>,
    book: &OverrideBook,
    leases: &LeaseTable,
    names: &KnownNames,
) -> Arc<Config> {
    let weights: Vec<&Override> = book
        .iter()
        .filter(|order| order.action.kind() == OverrideKind::Weight)
        .collect();
    if weights.is_empty() && leases.is_empty() && !base.services.iter().any(has_alias) {
        return base.clone();
    }
    let mut config = Config::clone(base);
    for lease in leases.iter() {
        if let Ok(lease) = lease.resolve(base) {
            add(&mut config, &lease);
        }
    }
    // The addresses of an alias share its overridden weight, and each may have an override itself.
    // So weights are set before and after aliases are expanded.
    weigh_all(&mut config, &weights);
    for service in &mut config.services {
        if has_alias(service) {
            expand(service, names);
        }
    }
    weigh_all(&mut config, &weights);
    Arc::new(config)
}

fn weigh_all(config: &mut Config, weights: &[&Override]) {
    for override_ in weights {
        weigh(config, override_);
    }
}

fn has_alias(service: &ServiceConfig) -> bool {
    let mut endpoints = service.regions.iter().flat_map(|region| &region.endpoints);
    endpoints.any(|endpoint| matches!(endpoint.target, EndpointTarget::Alias(_)))
}

/// Replaces aliases by their addresses, each once in the whole service. An alias with missing
/// addresses stays beside them as an endpoint that is down, so that status shows the reason.
fn expand(service: &mut ServiceConfig, names: &KnownNames) {
    let endpoints = service.regions.iter().flat_map(|region| &region.endpoints);
    let mut seen: HashSet<IpAddr> = endpoints.filter_map(address_of).collect();
    for region in &mut service.regions {
        let listed = std::mem::take(&mut region.endpoints);
        for endpoint in listed {
            region.endpoints.extend(addresses_of(
                endpoint,
                names,
                service.private_targets,
                &mut seen,
            ));
        }
    }
}

fn address_of(endpoint: &Endpoint) -> Option<IpAddr> {
    match endpoint.target {
        EndpointTarget::Address(address) => Some(address),
        _ => None,
    }
}

/// The endpoint itself, or the endpoints that its alias resolves to.
fn addresses_of(
    endpoint: Endpoint,
    names: &KnownNames,
    private_targets: bool,
    seen: &mut HashSet<IpAddr>,
) -> Vec<Endpoint> {
    let EndpointTarget::Alias(name) = &endpoint.target else {
        return vec![endpoint];
    };
    let Some(known) = names.get(name) else {
        return vec![endpoint];
    };
    let (allowed, refused): (Vec<IpAddr>, Vec<IpAddr>) = known
        .addresses()
        .into_iter()
        .partition(|address| private_targets || !is_private(*address));
    // If all addresses of a family are refused, it counts as unknown and is not cached as empty.
    let mut unknown = Vec::new();
    for family in IpFamily::ALL {
        let is_refused = has_family(&refused, family) && !has_family(&allowed, family);
        if is_refused || !known.is_known(family) {
            unknown.push(family);
        }
    }
    let mut fresh = Vec::with_capacity(allowed.len());
    for address in allowed {
        if seen.insert(address) {
            fresh.push(address);
        }
    }
    let v4 = fresh.iter().filter(|address| address.is_ipv4()).count();
    let mut endpoints = Vec::with_capacity(fresh.len());
    for address in &fresh {
        let siblings = if address.is_ipv4() {
            v4
        } else {
            fresh.len() - v4
        };
        endpoints.push(Endpoint {
            target: EndpointTarget::Address(*address),
            weight: part_of(endpoint.weight, siblings),
            alias: Some(name.clone()),
            unknown: Vec::new(),
            ..endpoint.clone()
        });
    }
    if endpoints.is_empty() || !unknown.is_empty() || !refused.is_empty() {
        endpoints.push(Endpoint {
            unknown,
            ..endpoint
        });
    }
    endpoints
}

fn has_family(addresses: &[IpAddr], family: IpFamily) -> bool {
    addresses
        .iter()
        .any(|address| IpFamily::of(*address) == family)
}

/// The weight of one of `count` addresses of an alias. The addresses of a family share the weight
/// of the alias. The result is 0, a standby, only if the weight of the alias is 0.
fn part_of(weight: u32, count: usize) -> u32 {
    let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
    if weight == 0 {
        0
    } else {
        ((weight + count / 2) / count).max(1)
    }
}

fn leased_endpoint(lease: &Lease, check: Option<CheckId>) -> Endpoint {
    Endpoint {
        target: EndpointTarget::Address(lease.address),
        weight: lease.weight,
        check,
        port: lease.port,
        alias: None,
        unknown: Vec::new(),
    }
}

/// Adds a leased endpoint, with the check of the service.
fn add(config: &mut Config, lease: &Lease) {
    let Some(region) = region_of(config, &lease.region) else {
        return;
    };
    let wanted = lease.service.parse().ok();
    let Some(service) = config
        .services
        .iter_mut()
        .find(|service| Some(&service.name) == wanted.as_ref())
    else {
        return;
    };
    let endpoint = leased_endpoint(lease, service.check);
    match service
        .regions
        .iter_mut()
        .find(|listed| listed.region == region)
    {
        Some(listed) => listed.endpoints.push(endpoint),
        None => service.regions.push(ServiceRegion {
            region,
            endpoints: vec![endpoint],
            capacity: None,
        }),
    }
}

/// Sets an overridden weight.
fn weigh(config: &mut Config, order: &Override) {
    let OverrideAction::Weight { weight } = order.action else {
        return;
    };
    let Some(region) = order
        .subject
        .region
        .as_deref()
        .and_then(|name| region_of(config, name))
    else {
        return;
    };
    let Some((service, endpoint)) = order
        .subject
        .service
        .as_ref()
        .zip(order.subject.endpoint.as_ref())
    else {
        config.regions[usize::from(region.0)].weight = weight;
        return;
    };
    let wanted = service.parse().ok();
    for service in &mut config.services {
        if Some(&service.name) != wanted.as_ref() {
            continue;
        }
        for listed in &mut service.regions {
            if listed.region == region {
                set_endpoint_weight(listed, endpoint, weight);
            }
        }
    }
}

fn set_endpoint_weight(region: &mut ServiceRegion, endpoint: &str, weight: u32) {
    for found in &mut region.endpoints {
        if found.target.to_string().eq_ignore_ascii_case(endpoint) {
            found.weight = weight;
        }
    }
}

fn region_of(config: &Config, name: &str) -> Option<RegionId> {
    let at = config
        .regions
        .iter()
        .position(|region| region.name == name)?;
    u16::try_from(at).ok().map(RegionId)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::super::clock::BootTime;
    use super::*;
    use crate::catalog::keys::RegionKey;
    use crate::config;
    use crate::control::clock::Deadline;
    use crate::control::effect::EffectiveOverrides;
    use crate::control::overrides::OverrideSubject;
    use crate::resolve::{FamilyAnswer, LookupResult, ResolvedName};

    const CONFIGURATION: &str = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n\
        [checks.web]\ntype = \"tcp\"\nport = 80\n\
        [[services]]\nname = \"www.example.com\"\ncheck = \"web\"\n[services.endpoints]\nfra = \"192.0.2.1\"\n";

    fn base() -> Arc<Config> {
        Arc::new(
            config::parse(CONFIGURATION, Path::new("meridian.toml"))
                .unwrap()
                .config,
        )
    }

    fn weight(endpoint: Option<&str>, weight: u32) -> Override {
        let service = endpoint.map(|_| "www.example.com".to_owned());
        let subject = OverrideSubject {
            service,
            region: Some("fra".to_owned()),
            endpoint: endpoint.map(str::to_owned),
        };
        let (reason, by) = (String::new(), "me".to_owned());
        Override {
            subject,
            action: OverrideAction::Weight { weight },
            reason,
            by,
            since: 0,
            ends: None,
            pace: None,
            scope: crate::control::overrides::OrderScope::default(),
        }
    }

    fn leased(leases: Vec<Lease>) -> LeaseTable {
        let mut all = LeaseTable::default();
        for lease in leases {
            all.put(lease, Duration::ZERO)
                .expect("they fit beside each other");
        }
        all
    }

    fn lease(region: &str, address: &str) -> Lease {
        let (service, region) = ("www.example.com".to_owned(), region.to_owned());
        let address = address.parse().unwrap();
        Lease {
            service,
            region,
            address,
            weight: 7,
            port: Some(8080),
            ttl: 30,
            ends: Deadline::default(),
            by: "me".to_owned(),
            server: String::new(),
            renewed_at: 0,
        }
    }

    #[test]
    fn without_leases_and_weights_the_configuration_is_unchanged() {
        let base = base();
        assert!(Arc::ptr_eq(
            &effective(
                &base,
                &OverrideBook::default(),
                &LeaseTable::default(),
                &KnownNames::new()
            ),
            &base
        ));
    }

    #[test]
    fn leased_endpoints_follow_the_configured_ones_and_have_the_same_checks() {
        let leases = vec![
            lease("fra", "192.0.2.8"),
            lease("iad", "192.0.2.9"),
            lease("fra", "192.0.2.1"),
        ];
        let config = effective(
            &base(),
            &OverrideBook::default(),
            &leased(leases),
            &KnownNames::new(),
        );
        let service = &config.services[0];
        let listed = |region: usize| -> Vec<String> {
            service.regions[region]
                .endpoints
                .iter()
                .map(|endpoint| endpoint.target.to_string())
                .collect()
        };
        assert_eq!(
            (listed(0), listed(1)),
            (
                vec!["192.0.2.1".into(), "192.0.2.8".into()],
                vec!["192.0.2.9".into()]
            )
        );
        let leased = &service.regions[0].endpoints[1];
        assert_eq!((leased.weight, leased.port), (7, Some(8080)));
        assert_eq!(leased.check, service.regions[0].endpoints[0].check);
        assert!(leased.check.is_some());
    }

    #[test]
    fn weights_of_overrides_replace_configured_weights() {
        let book = OverrideBook::of(vec![weight(None, 3), weight(Some("192.0.2.8"), 5)]);
        let config = effective(
            &base(),
            &book,
            &leased(vec![lease("fra", "192.0.2.8")]),
            &KnownNames::new(),
        );
        assert_eq!(config.regions[0].weight, 3);
        let weights: Vec<u32> = config.services[0].regions[0]
            .endpoints
            .iter()
            .map(|endpoint| endpoint.weight)
            .collect();
        assert_eq!(weights, [100, 5]);
    }

    /// A name that has these addresses, and nothing of a family that is not among them.
    fn resolved(texts: &[&str]) -> ResolvedName {
        let addresses: Vec<IpAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let mut known = ResolvedName::default();
        for family in IpFamily::ALL {
            let of_family: Vec<IpAddr> = addresses
                .iter()
                .copied()
                .filter(|address| IpFamily::of(*address) == family)
                .collect();
            take(
                &mut known,
                family,
                if of_family.is_empty() {
                    LookupResult::Nothing
                } else {
                    LookupResult::Addresses(of_family)
                },
            );
        }
        known
    }

    fn take(known: &mut ResolvedName, family: IpFamily, result: LookupResult) {
        let answer = FamilyAnswer {
            result,
            ttl: Duration::from_secs(60),
            until: Instant::now(),
        };
        known.take(family, &answer);
    }

    #[test]
    fn the_unresolved_family_of_an_alias_is_unknown() {
        let text = CONFIGURATION.replace("\"192.0.2.1\"", "{ alias = \"lb.example.net\" }");
        let base = Arc::new(
            config::parse(&text, Path::new("meridian.toml"))
                .unwrap()
                .config,
        );
        let endpoints = |known: ResolvedName| {
            let names = KnownNames::from([("lb.example.net".parse().unwrap(), known)]);
            let config = effective(
                &base,
                &OverrideBook::default(),
                &LeaseTable::default(),
                &names,
            );
            let shown =
                |endpoint: &Endpoint| (endpoint.target.to_string(), endpoint.unknown.clone());
            config.services[0].regions[0]
                .endpoints
                .iter()
                .map(shown)
                .collect::<Vec<_>>()
        };
        let lb = |unknown: &[IpFamily]| ("lb.example.net".to_owned(), unknown.to_vec());
        let address = |text: &str| (text.to_owned(), Vec::new());
        assert_eq!(endpoints(ResolvedName::default()), [lb(&IpFamily::ALL)]);
        let mut half = ResolvedName::default();
        take(
            &mut half,
            IpFamily::V6,
            LookupResult::Addresses(vec!["2001:db8::1".parse().unwrap()]),
        );
        assert_eq!(
            endpoints(half.clone()),
            [address("2001:db8::1"), lb(&[IpFamily::V4])]
        );
        take(
            &mut half,
            IpFamily::V4,
            LookupResult::Failed("no answer".to_owned()),
        );
        assert_eq!(
            endpoints(half.clone()),
            [address("2001:db8::1"), lb(&[IpFamily::V4])]
        );
        take(&mut half, IpFamily::V4, LookupResult::Nothing);
        assert_eq!(endpoints(half), [address("2001:db8::1")]);
        // Private targets are refused, one by one.
        let rebound = resolved(&["10.0.0.1", "2001:db8::1"]);
        assert_eq!(
            endpoints(rebound.clone()),
            [address("2001:db8::1"), lb(&[IpFamily::V4])]
        );
        assert_eq!(
            endpoints(resolved(&["10.0.0.1", "192.0.2.7"])),
            [address("192.0.2.7"), lb(&[])]
        );
        let text = text.replace(
            "check = \"web\"\n",
            "check = \"web\"\nprivate_targets = true\n",
        );
        let base = Arc::new(
            config::parse(&text, Path::new("meridian.toml"))
                .unwrap()
                .config,
        );
        let names = KnownNames::from([("lb.example.net".parse().unwrap(), rebound)]);
        let config = effective(
            &base,
            &OverrideBook::default(),
            &LeaseTable::default(),
            &names,
        );
        assert_eq!(listed(&config)[0].len(), 2);
        assert_eq!(listed(&config)[0][0].0, "10.0.0.1");
    }

    fn listed(config: &Config) -> Vec<Vec<(String, u32)>> {
        let shown = |endpoint: &Endpoint| (endpoint.target.to_string(), endpoint.weight);
        config.services[0]
            .regions
            .iter()
            .map(|region| region.endpoints.iter().map(shown).collect())
            .collect()
    }

    #[test]
    fn the_addresses_of_an_alias_share_its_place_and_its_weight() {
        let text = CONFIGURATION.replace(
            "fra = \"192.0.2.1\"",
            "fra = [\"192.0.2.1\", { alias = \"lb.example.net\", weight = 90 }]\niad = { alias = \"us.example.net\" }",
        );
        let base = Arc::new(
            config::parse(&text, Path::new("meridian.toml"))
                .unwrap()
                .config,
        );
        let names = |texts: &[(&str, &[&str])]| -> KnownNames {
            texts
                .iter()
                .map(|(name, texts)| (name.parse().unwrap(), resolved(texts)))
                .collect()
        };
        let overlaid = |book: &OverrideBook, names: &KnownNames| {
            listed(&effective(&base, book, &LeaseTable::default(), names))
        };
        let row = |texts: &[(&str, u32)]| -> Vec<(String, u32)> {
            texts
                .iter()
                .map(|(text, weight)| ((*text).to_owned(), *weight))
                .collect()
        };
        let unknown = overlaid(&OverrideBook::default(), &KnownNames::new());
        assert_eq!(
            unknown,
            [
                row(&[("192.0.2.1", 100), ("lb.example.net", 90)]),
                row(&[("us.example.net", 100)])
            ]
        );
        // The endpoint that is there already is not there twice, nor one of another alias.
        let lb: &[&str] = &["192.0.2.1", "192.0.2.5", "192.0.2.6", "2001:db8::5"];
        let known = names(&[("lb.example.net", lb), ("us.example.net", &["192.0.2.6"])]);
        let fra = [
            ("192.0.2.1", 100),
            ("192.0.2.5", 45),
            ("192.0.2.6", 45),
            ("2001:db8::5", 90),
        ];
        assert_eq!(
            overlaid(&OverrideBook::default(), &known),
            [row(&fra), row(&[("us.example.net", 100)])]
        );
        let book = OverrideBook::of(vec![
            weight(Some("lb.example.net"), 10),
            weight(Some("192.0.2.6"), 1),
        ]);
        let fra = [
            ("192.0.2.1", 100),
            ("192.0.2.5", 5),
            ("192.0.2.6", 1),
            ("2001:db8::5", 10),
        ];
        assert_eq!(overlaid(&book, &known)[0], row(&fra));
        let config = effective(
            &base,
            &OverrideBook::default(),
            &LeaseTable::default(),
            &known,
        );
        let drain = |endpoint: &str| {
            let subject = OverrideSubject {
                endpoint: Some(endpoint.to_owned()),
                ..weight(Some(""), 0).subject
            };
            let subject = subject.resolve(&config).expect("it is known");
            let book = OverrideBook::of(vec![Override {
                subject,
                action: OverrideAction::Drain,
                ..weight(None, 0)
            }]);
            let effect = EffectiveOverrides::of(&book, &config, BootTime::default());
            let key = RegionKey {
                service: 0,
                region: 0,
            };
            let overrides = effect.of_region(key).expect("the region has an override");
            overrides
                .endpoints
                .keys()
                .copied()
                .collect::<BTreeSet<usize>>()
        };
        assert_eq!(
            drain("LB.example.net."),
            BTreeSet::from([1, 2, 3]),
            "all that it came to"
        );
        assert_eq!(drain("192.0.2.6"), BTreeSet::from([2]));
        assert_eq!(
            [
                part_of(0, 3),
                part_of(1, 3),
                part_of(100, 3),
                part_of(1_000_000, 1)
            ],
            [0, 1, 33, 1_000_000]
        );
    }
}

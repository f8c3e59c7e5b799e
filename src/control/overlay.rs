//! Overlay: the configuration as written, with leased endpoints and ordered weights laid over it.
//!
//! Everything after the configuration (probes, World, status) sees the result only, so none of it knows of leases.

use std::sync::Arc;

use super::leases::{Lease, Leases};
use super::orders::{Book, Demand, Kind, Order};
use crate::config::{Config, Endpoint, RegionId, ServiceRegion, Target};

/// The configuration to work with; `base` itself where nothing is laid over it.
pub fn effective(base: &Arc<Config>, book: &Book, leases: &Leases) -> Arc<Config> {
    let weights: Vec<&Order> = book.iter().filter(|order| order.demand.kind() == Kind::Weight).collect();
    if weights.is_empty() && leases.is_empty() {
        return base.clone();
    }
    let mut config = Config::clone(base);
    leases.iter().filter_map(|lease| lease.resolve(base).ok()).for_each(|lease| add(&mut config, &lease));
    weights.into_iter().for_each(|order| weigh(&mut config, order));
    Arc::new(config)
}

/// Adds a leased endpoint, checked as the service's own are.
fn add(config: &mut Config, lease: &Lease) {
    let Some(region) = region_of(config, &lease.region) else { return };
    let wanted = lease.service.parse().ok();
    let Some(service) = config.services.iter_mut().find(|service| Some(&service.name) == wanted.as_ref()) else {
        return;
    };
    let target = Target::Address(lease.address);
    let endpoint = Endpoint { target, weight: lease.weight, check: service.check, port: lease.port };
    match service.regions.iter_mut().find(|listed| listed.region == region) {
        Some(listed) => listed.endpoints.push(endpoint),
        None => service.regions.push(ServiceRegion { region, endpoints: vec![endpoint], capacity: None }),
    }
}

/// Sets an ordered weight.
fn weigh(config: &mut Config, order: &Order) {
    let Demand::Weight { weight } = order.demand else { return };
    let Some(region) = order.subject.region.as_deref().and_then(|name| region_of(config, name)) else { return };
    let Some((service, endpoint)) = order.subject.service.as_ref().zip(order.subject.endpoint.as_ref()) else {
        config.regions[usize::from(region.0)].weight = weight;
        return;
    };
    let wanted = service.parse().ok();
    let services = config.services.iter_mut().filter(|service| Some(&service.name) == wanted.as_ref());
    let regions = services.flat_map(|service| &mut service.regions).filter(|listed| listed.region == region);
    for found in regions.flat_map(|listed| &mut listed.endpoints) {
        if found.target.to_string().eq_ignore_ascii_case(endpoint) {
            found.weight = weight;
        }
    }
}

fn region_of(config: &Config, name: &str) -> Option<RegionId> {
    let at = config.regions.iter().position(|region| region.name == name)?;
    u16::try_from(at).ok().map(RegionId)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;
    use crate::control::orders::Subject;

    const CONFIGURATION: &str = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n\
        [checks.web]\ntype = \"tcp\"\nport = 80\n\
        [[services]]\nname = \"www.example.com\"\ncheck = \"web\"\n[services.endpoints]\nfra = \"192.0.2.1\"\n";

    fn base() -> Arc<Config> {
        Arc::new(config::parse(CONFIGURATION, Path::new("meridian.toml")).unwrap().config)
    }

    fn weight(endpoint: Option<&str>, weight: u32) -> Order {
        let service = endpoint.map(|_| "www.example.com".to_owned());
        let subject = Subject { service, region: Some("fra".to_owned()), endpoint: endpoint.map(str::to_owned) };
        let (reason, by) = (String::new(), "me".to_owned());
        Order { subject, demand: Demand::Weight { weight }, reason, by, since: 0, until: None }
    }

    fn lease(region: &str, address: &str) -> Lease {
        let (service, region) = ("www.example.com".to_owned(), region.to_owned());
        let address = address.parse().unwrap();
        Lease { service, region, address, weight: 7, port: Some(8080), ttl: 30, until: 100, by: "me".to_owned() }
    }

    #[test]
    fn without_leases_and_weights_the_configuration_stays_itself() {
        let base = base();
        assert!(Arc::ptr_eq(&effective(&base, &Book::default(), &Leases::default()), &base));
    }

    #[test]
    fn leased_endpoints_stand_behind_the_configured_ones_and_are_checked_alike() {
        let leases = vec![lease("fra", "192.0.2.8"), lease("iad", "192.0.2.9"), lease("fra", "192.0.2.1")];
        let config = effective(&base(), &Book::default(), &Leases::of(leases, 0));
        let service = &config.services[0];
        let listed = |region: usize| -> Vec<String> {
            service.regions[region].endpoints.iter().map(|endpoint| endpoint.target.to_string()).collect()
        };
        assert_eq!((listed(0), listed(1)), (vec!["192.0.2.1".into(), "192.0.2.8".into()], vec!["192.0.2.9".into()]));
        let leased = &service.regions[0].endpoints[1];
        assert_eq!((leased.weight, leased.port), (7, Some(8080)));
        assert_eq!(leased.check, service.regions[0].endpoints[0].check);
        assert!(leased.check.is_some());
    }

    #[test]
    fn ordered_weights_take_the_place_of_configured_ones() {
        let book = Book::of(vec![weight(None, 3), weight(Some("192.0.2.8"), 5)]);
        let config = effective(&base(), &book, &Leases::of(vec![lease("fra", "192.0.2.8")], 0));
        assert_eq!(config.regions[0].weight, 3);
        let weights: Vec<u32> =
            config.services[0].regions[0].endpoints.iter().map(|endpoint| endpoint.weight).collect();
        assert_eq!(weights, [100, 5]);
    }
}

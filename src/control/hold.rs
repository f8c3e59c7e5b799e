//! Decides which services keep the last agreed health when every probe fails at once.
//!
//! When every endpoint times out at once, this server has more likely lost its network than all
//! endpoints have died (`health::suspicion`). Meridian then keeps the last agreed health. A service
//! with a region that needs no check is never held: that region counts as up, so clients can be
//! sent there.

use std::collections::HashSet;
use std::net::IpAddr;

use super::effect::{EffectiveOverrides, WinningOverride};
use super::targets::{Evidence, ProbePlan, ProbeRef};
use crate::catalog::keys::{EndpointKey, RegionKey};
use crate::config::{Config, ServiceConfig};
use crate::health::fold::HealthOverride;
use crate::health::suspicion::FEWEST;
use crate::resolve::KnownNames;

/// The most services that the note names.
const MOST_NAMED: usize = 4;

/// Which probe results count for a service: those that are held, or not.
pub fn evidence(
    plan: &ProbePlan,
    effect: &EffectiveOverrides,
    index: usize,
    service: &ServiceConfig,
) -> Evidence {
    for (at, region) in service.regions.iter().enumerate() {
        let key = RegionKey {
            service: index,
            region: at,
        };
        let overrides = effect.of_region(key);
        if takes_out(overrides.and_then(|it| it.order.as_ref())) {
            continue;
        }
        let mut unchecked = 0;
        for endpoint in 0..region.endpoints.len() {
            let winning = overrides.and_then(|it| it.endpoints.get(&endpoint));
            if plan.probes_of(key.endpoint(endpoint)).is_none() && !takes_out(winning) {
                unchecked += 1;
            }
        }
        if unchecked >= service.min_endpoints.max(1) {
            return Evidence::Unheld;
        }
    }
    Evidence::Agreed
}

/// Whether an override takes a region or an endpoint out of service.
fn takes_out(winning: Option<&WinningOverride>) -> bool {
    winning.is_some_and(|winning| winning.order != HealthOverride::ForceUp)
}

/// A sentence on which services the hold covers; `None`: too few addresses are checked for a hold.
pub fn note(config: &Config) -> Option<String> {
    let plan = ProbePlan::of(config, &KnownNames::new());
    let addresses: HashSet<IpAddr> = plan
        .targets
        .iter()
        .map(|target| target.address.ip())
        .collect();
    if addresses.len() < FEWEST {
        return None;
    }
    let mut free = Vec::new();
    for (index, service) in config.services.iter().enumerate() {
        let is_held =
            evidence(&plan, &EffectiveOverrides::default(), index, service) == Evidence::Agreed;
        if is_checked(&plan, index, service) && !is_held {
            free.push(service.name.to_string());
        }
    }
    let held =
        "when everything that is checked falls silent at once, the last agreed health is held";
    if free.is_empty() {
        return Some(held.to_owned());
    }
    let more = if free.len() > MOST_NAMED {
        format!(" and {} more", free.len() - MOST_NAMED)
    } else {
        String::new()
    };
    free.truncate(MOST_NAMED);
    let named = free.join(", ");
    Some(format!(
        "{held}, but not of {named}{more}: a region there needs no check"
    ))
}

/// Whether some endpoint of the service is probed.
fn is_checked(plan: &ProbePlan, index: usize, service: &ServiceConfig) -> bool {
    for (at, region) in service.regions.iter().enumerate() {
        let key = RegionKey {
            service: index,
            region: at,
        };
        for endpoint in 0..region.endpoints.len() {
            if has_probe(plan, key.endpoint(endpoint)) {
                return true;
            }
        }
    }
    false
}

fn has_probe(plan: &ProbePlan, endpoint: EndpointKey) -> bool {
    match plan.probes_of(endpoint) {
        None | Some(ProbeRef::NotProbed { .. }) => false,
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    #[test]
    fn the_note_names_the_services_that_are_not_held() {
        let note = |endpoints: &str| {
            let regions = "[regions.a]\n[regions.b]\n[regions.c]\n[regions.d]\n[checks.web]\ntype = \"tcp\"\nport = 80\n";
            let service = "[[services]]\nname = \"www.example.com\"\norder = \"priority\"\n[services.endpoints]\n";
            let text = format!("{regions}{service}{endpoints}");
            note(
                &config::parse(&text, Path::new("meridian.toml"))
                    .unwrap()
                    .config,
            )
        };
        let checked = |region: &str, last: u8| {
            format!("{region} = {{ address = \"192.0.2.{last}\", check = \"web\" }}\n")
        };
        let three = format!("{}{}{}", checked("a", 1), checked("b", 2), checked("c", 3));
        let held =
            "when everything that is checked falls silent at once, the last agreed health is held";
        assert_eq!(note(&three).as_deref(), Some(held));
        let sorry = note(&format!("{three}d = \"192.0.2.9\"\n")).unwrap();
        assert_eq!(
            sorry,
            format!("{held}, but not of www.example.com: a region there needs no check")
        );
        assert_eq!(
            note(&checked("a", 1)),
            None,
            "of fewer than three each falls by itself"
        );
    }
}

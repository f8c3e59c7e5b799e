//! Hold: for which services the last agreed health is held while the monitor doubts itself.
//!
//! When everything that is checked falls silent at once, it is likelier that this server is cut off than that all are dead
//! (`health::suspicion`), so nobody is taken out. A service with a region that needs no check is never held: there is
//! somewhere to go that nobody can be wrong about.

use std::collections::HashSet;
use std::net::IpAddr;

use super::effect::{EffectiveOverrides, WinningOverride};
use super::targets::{Evidence, ProbePlan, ProbeRef};
use crate::config::{Config, ServiceConfig};
use crate::health::fold::HealthOverride;
use crate::health::suspicion::FEWEST;
use crate::resolve::KnownNames;

/// Most services that are named one by one.
const MOST_NAMED: usize = 4;

/// What counts for a service: the last agreed health, held or not.
pub fn evidence(
    plan: &ProbePlan,
    effect: &EffectiveOverrides,
    index: usize,
    service: &ServiceConfig,
) -> Evidence {
    for (at, region) in service.regions.iter().enumerate() {
        let bearing = effect.bearing(index, at);
        let is_drained = |counting: &WinningOverride| counting.order != HealthOverride::ForceUp;
        if bearing
            .and_then(|bearing| bearing.order.as_ref())
            .is_some_and(is_drained)
        {
            continue;
        }
        let is_free = |endpoint: &usize| {
            let order = bearing.and_then(|bearing| bearing.endpoints.get(endpoint));
            plan.asked(index, at, *endpoint).is_none() && !order.is_some_and(is_drained)
        };
        if (0..region.endpoints.len()).filter(is_free).count() >= service.min_endpoints.max(1) {
            return Evidence::Unheld;
        }
    }
    Evidence::Agreed
}

/// Where the hold applies, for people; `None`: fewer addresses are checked than it takes.
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
    let more = if free.len() > MOST_NAMED {
        format!(" and {} more", free.len() - MOST_NAMED)
    } else {
        String::new()
    };
    free.truncate(MOST_NAMED);
    Some(match &free[..] {
        [] => held.to_owned(),
        named => format!(
            "{held}, but not of {}{more}: a region there needs no check",
            named.join(", ")
        ),
    })
}

fn is_checked(plan: &ProbePlan, index: usize, service: &ServiceConfig) -> bool {
    let mut regions = service.regions.iter().enumerate();
    regions.any(|(at, region)| {
        let mut asked =
            (0..region.endpoints.len()).filter_map(|endpoint| plan.asked(index, at, endpoint));
        asked.any(|asked| !matches!(asked, ProbeRef::Nobody { .. }))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    #[test]
    fn people_are_told_where_the_hold_applies() {
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

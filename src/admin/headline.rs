//! The headline: the worst thing that is true now, and how many other things are.
//!
//! What takes their region from clients comes first, then what is down, then what nobody could ask, then what operators
//! keep out, then what is on its way back. Of things that are equally bad the one that moves more traffic comes first, then the
//! one that lasts longer.

use std::time::Duration;

use super::health::{EndpointHealth, RegionHealth};
use super::status::ServiceStatus;
use crate::config::values::duration_text;
use crate::control::availability::FULL;
use crate::foresight::coverage::Coverage;

/// How bad something is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    /// Clients of a service have no live region.
    Uncovered,
    /// Regions are down.
    RegionDown,
    /// An endpoint is down, and its region is not.
    EndpointDown,
    /// Something cannot be asked, for want of something on this server's side.
    NotProbed,
    /// An order keeps regions or endpoints out.
    Ordered,
    /// A region takes a part of its clients only.
    Partial,
}

/// One thing that is not as it should be.
#[derive(Debug)]
struct Finding {
    severity: Severity,
    /// The part of the clients without a live region, in per cent.
    uncovered: f64,
    /// Answers per second that went elsewhere.
    moved: f64,
    /// Since how many seconds.
    seconds: u64,
    sentence: String,
}

/// The sentence. `holds`: the monitor doubts itself, and what was agreed is held.
pub fn headline(services: &[ServiceStatus], holds: bool) -> String {
    if holds {
        return "nothing can be reached from here at the moment, so the last agreed health is held"
            .to_owned();
    }
    let mut findings: Vec<Finding> = services.iter().flat_map(findings_of).collect();
    findings.extend(not_probed(services));
    // Of equals, the first listed.
    findings.sort_by(|one, other| {
        let moved = other
            .moved
            .total_cmp(&one.moved)
            .then(other.uncovered.total_cmp(&one.uncovered));
        one.severity
            .cmp(&other.severity)
            .then(moved)
            .then(other.seconds.cmp(&one.seconds))
    });
    match &findings[..] {
        [] => "every region serves".to_owned(),
        [only] => only.sentence.clone(),
        [worst, others @ ..] => format!("{}; and {} more", worst.sentence, others.len()),
    }
}

/// What is not as it should be in one service. Regions that are down are told with the clients that they leave alone.
fn findings_of(service: &ServiceStatus) -> Vec<Finding> {
    let is_down = |region: &&RegionHealth| is_out(region) && !is_ordered_out(region);
    let is_ordered = |region: &&RegionHealth| is_out(region) && is_ordered_out(region);
    let down = regions_out(
        service,
        Severity::RegionDown,
        service.health.iter().filter(is_down).collect(),
    );
    let ordered = regions_out(
        service,
        Severity::Ordered,
        service.health.iter().filter(is_ordered).collect(),
    );
    let mut out: Vec<Finding> = [down, ordered].into_iter().flatten().collect();
    if let Some(coverage) = worst_coverage(service) {
        out = vec![uncovered(service, coverage, out)];
    }
    out.extend(
        service
            .health
            .iter()
            .filter(|region| !is_out(region))
            .filter_map(|region| partly(service, region)),
    );
    out
}

/// The family of which the most clients have no live region.
fn worst_coverage(service: &ServiceStatus) -> Option<&Coverage> {
    let losing = service
        .coverage
        .iter()
        .filter(|coverage| !coverage.is_whole());
    losing.max_by(|one, other| {
        // Of equals, the first listed.
        one.worst_percent()
            .total_cmp(&other.worst_percent())
            .then(std::cmp::Ordering::Greater)
    })
}

/// Clients without a live region, and why.
fn uncovered(service: &ServiceStatus, coverage: &Coverage, causes: Vec<Finding>) -> Finding {
    let mut finding = Finding {
        severity: Severity::Uncovered,
        uncovered: coverage.worst_percent(),
        moved: 0.0,
        seconds: 0,
        sentence: coverage.sentence(&service.name),
    };
    for cause in causes {
        finding.moved += cause.moved;
        finding.seconds = finding.seconds.max(cause.seconds);
        finding.sentence += &format!("; {}", cause.sentence);
    }
    finding
}

/// `1 of 3 regions of www.example.com is down: fra (connection refused, for 12s)`
fn regions_out(
    service: &ServiceStatus,
    severity: Severity,
    out: Vec<&RegionHealth>,
) -> Option<Finding> {
    if out.is_empty() {
        return None;
    }
    let (count, all) = (out.len(), service.health.len());
    let be = if count == 1 { "is" } else { "are" };
    let regions = if all == 1 { "region" } else { "regions" };
    let causes: Vec<String> = out
        .iter()
        .map(|region| cause(&region.region, region))
        .collect();
    let word = match severity {
        Severity::Ordered => ordered_word(&out),
        _ => "down",
    };
    Some(Finding {
        severity,
        uncovered: 0.0,
        moved: out.iter().map(|region| region.moved_per_second).sum(),
        seconds: out.iter().map(|region| lasting(region)).max().unwrap_or(0),
        sentence: format!(
            "{count} of {all} {regions} of {} {be} {word}: {}",
            service.name,
            causes.join(", ")
        ),
    })
}

/// What is not as it should be in a region that serves somebody.
fn partly(service: &ServiceStatus, region: &RegionHealth) -> Option<Finding> {
    let finding = |severity, sentence| Finding {
        severity,
        uncovered: 0.0,
        moved: region.moved_per_second,
        seconds: lasting(region),
        sentence,
    };
    if region.endpoints.iter().any(|endpoint| !endpoint.up) {
        let (severity, word) = match is_ordered_out(region) {
            true => (Severity::Ordered, ordered_word(&[region])),
            false => (Severity::EndpointDown, "down"),
        };
        let cause = cause(&region.region, region);
        return Some(finding(
            severity,
            format!("an endpoint of {} is {word}: {cause}", service.name),
        ));
    }
    (region.share_percent < 100.0).then(|| {
        let (share, name) = (region.share_percent, &region.region);
        let why = if region.full {
            FULL
        } else {
            region.order.as_deref().unwrap_or("is returning")
        };
        finding(
            Severity::Partial,
            format!(
                "{name} of {} {why}; it takes {share:.0}% of its clients",
                service.name
            ),
        )
    })
}

/// Each reason for which something cannot be asked.
fn not_probed(services: &[ServiceStatus]) -> Vec<Finding> {
    let regions = services.iter().flat_map(|service| &service.health);
    let mut reasons: Vec<&String> = Vec::new();
    for reason in regions
        .flat_map(|region| &region.endpoints)
        .filter_map(|endpoint| endpoint.not_probed.as_ref())
    {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let finding = |reason: &String| Finding {
        severity: Severity::NotProbed,
        uncovered: 0.0,
        moved: 0.0,
        seconds: 0,
        sentence: format!("the agreed health is held where nobody can be asked: {reason}"),
    };
    reasons.into_iter().map(finding).collect()
}

/// For how many seconds the first endpoint that is out has been; 0: none is.
fn lasting(region: &RegionHealth) -> u64 {
    let out = region.endpoints.iter().filter(|endpoint| !endpoint.up);
    out.filter_map(|endpoint| endpoint.seconds)
        .max()
        .unwrap_or(0)
}

/// `drained` or `forced down`; both: `out by order`.
fn ordered_word(regions: &[&RegionHealth]) -> &'static str {
    let mut words = Vec::new();
    for region in regions {
        let of_endpoints = region
            .endpoints
            .iter()
            .filter(|it| !it.up)
            .filter_map(|it| it.order.as_deref());
        match region
            .order
            .as_deref()
            .filter(|_| region.share_percent == 0.0)
        {
            Some(order) => words.push(order),
            None => words.extend(of_endpoints),
        }
    }
    let all = |word: &str| words.iter().all(|order| order.starts_with(word));
    match (all("is drained"), all("is forced down")) {
        (true, false) => "drained",
        (false, true) => "forced down",
        _ => "out by order",
    }
}

/// An order keeps it out, as a whole or each endpoint that is out.
fn is_ordered_out(region: &RegionHealth) -> bool {
    let mut out = region
        .endpoints
        .iter()
        .filter(|endpoint| !endpoint.up)
        .peekable();
    let whole = region.order.is_some() && region.share_percent == 0.0;
    whole || out.peek().is_some() && out.all(|endpoint| endpoint.order.is_some())
}

/// Nobody is sent there, by IPv4 or by IPv6 or at all.
fn is_out(region: &RegionHealth) -> bool {
    let family = |wanted: &dyn Fn(&EndpointHealth) -> bool| {
        let mut of_it = region
            .endpoints
            .iter()
            .filter(|endpoint| wanted(endpoint))
            .peekable();
        of_it.peek().is_some() && of_it.all(|endpoint| !endpoint.up)
    };
    let is_v6 = |endpoint: &EndpointHealth| endpoint.endpoint.contains(':');
    region.share_percent == 0.0 || family(&|endpoint| !is_v6(endpoint)) || family(&is_v6)
}

/// `fra (connection refused, for 12s)`
fn cause(name: &str, region: &RegionHealth) -> String {
    if let Some(order) = region
        .order
        .as_ref()
        .filter(|_| region.share_percent == 0.0)
    {
        return format!("{name} ({order})");
    }
    let Some(endpoint) = region.endpoints.iter().find(|endpoint| !endpoint.up) else {
        return name.to_owned();
    };
    if let Some(order) = &endpoint.order {
        return format!("{name} ({} {order})", endpoint.endpoint);
    }
    let lasting = endpoint
        .seconds
        .map(|seconds| format!(", for {}", duration_text(Duration::from_secs(seconds))));
    let reason = endpoint
        .reason
        .as_deref()
        .or(endpoint.not_probed.as_deref())
        .unwrap_or("answers again, not yet for long enough");
    format!("{name} ({reason}{})", lasting.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foresight::coverage::CoverageParts;

    fn endpoint(up: bool, seconds: u64) -> EndpointHealth {
        EndpointHealth {
            endpoint: "192.0.2.1".to_owned(),
            up,
            seconds: Some(seconds),
            ..EndpointHealth::default()
        }
    }

    fn region(name: &str, share_percent: f64) -> RegionHealth {
        let endpoints = vec![endpoint(share_percent > 0.0, 12)];
        RegionHealth {
            region: name.to_owned(),
            share_percent,
            endpoints,
            ..RegionHealth::default()
        }
    }

    fn service(name: &str, health: Vec<RegionHealth>) -> ServiceStatus {
        let regions = health.iter().map(|region| region.region.clone()).collect();
        ServiceStatus {
            name: name.to_owned(),
            well: false,
            checked: true,
            regions,
            health,
            coverage: Vec::new(),
            rules: None,
        }
    }

    fn headline_of(health: Vec<RegionHealth>) -> String {
        headline(&[service("www.example.com", health)], false)
    }

    const SINCE: &str = "answers again, not yet for long enough, for 12s";

    #[test]
    fn a_region_that_is_full_is_not_said_to_return() {
        assert_eq!(
            headline_of(vec![region("fra", 100.0)]),
            "every region serves"
        );
        let expected = "iad of www.example.com is returning; it takes 40% of its clients";
        assert_eq!(
            headline_of(vec![region("fra", 100.0), region("iad", 40.0)]),
            expected
        );
        let full = RegionHealth {
            full: true,
            ..region("iad", 40.0)
        };
        let expected = "iad of www.example.com is full, so some of its clients go on to the next region; it takes 40% of \
                        its clients";
        assert_eq!(headline_of(vec![full]), expected);
    }

    #[test]
    fn what_is_drained_is_not_said_to_be_down() {
        let ordered = |order: &str| RegionHealth {
            order: Some(order.to_owned()),
            ..region("fra", 0.0)
        };
        let drained = ordered("is drained by anna: new kernel");
        let expected =
            "1 of 2 regions of www.example.com is drained: fra (is drained by anna: new kernel)";
        assert_eq!(
            headline_of(vec![drained.clone(), region("iad", 100.0)]),
            expected
        );
        let both = headline_of(vec![drained.clone(), ordered("is forced down by bob")]);
        assert!(
            both.starts_with("2 of 2 regions of www.example.com are out by order: "),
            "{both}"
        );
        // What is down by itself is worse, wherever it stands.
        let worse = headline_of(vec![drained, region("iad", 0.0)]);
        assert_eq!(
            worse,
            format!("1 of 2 regions of www.example.com is down: iad ({SINCE}); and 1 more")
        );
    }

    #[test]
    fn clients_without_a_region_come_first_then_traffic_then_age() {
        let parts = CoverageParts {
            dead_percent: 22.8,
            ..CoverageParts::default()
        };
        let coverage = Coverage {
            rtype: "A".to_owned(),
            addresses: parts,
            ..Coverage::default()
        };
        let fenced = ServiceStatus {
            coverage: vec![coverage],
            ..service(
                "fenced.example.com",
                vec![region("fra", 0.0), region("iad", 100.0)],
            )
        };
        let old = RegionHealth {
            endpoints: vec![endpoint(false, 3600)],
            ..region("fra", 0.0)
        };
        let busy = RegionHealth {
            moved_per_second: 800.0,
            ..region("fra", 0.0)
        };
        let [young, old, busy] = [("young", region("fra", 0.0)), ("old", old), ("busy", busy)]
            .map(|(name, region)| service(name, vec![region]));
        let services = [young, old, busy, fenced];
        let told = headline(&services, false);
        assert!(
            told.starts_with(
                "fenced.example.com A: no live region for 22.8% of the address space and 0%"
            ),
            "{told}"
        );
        assert!(
            told.ends_with(&format!(
                "1 of 2 regions of fenced.example.com is down: fra ({SINCE}); and 3 more"
            )),
            "{told}"
        );
        let order = |services: &[ServiceStatus]| {
            headline(services, false)
                .split(" of ")
                .nth(2)
                .map(str::to_owned)
        };
        assert!(
            order(&services[..3]).is_some_and(|told| told.starts_with("busy is down")),
            "{services:?}"
        );
        assert!(
            order(&services[..2]).is_some_and(|told| told.starts_with("old is down")),
            "{services:?}"
        );
        assert_eq!(
            headline(&services, true).split(',').next(),
            Some("nothing can be reached from here at the moment")
        );
    }
}

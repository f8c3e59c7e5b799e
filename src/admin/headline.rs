//! The headline of the status: the worst problem now, and how many others there are.
//!
//! Each problem is a [`Finding`] with a [`Severity`]. Clients without a live region come first,
//! then regions and endpoints that are down, then endpoints that cannot be probed, then what
//! operators keep out, then regions that take a part of their clients only. Of equally severe
//! findings, the one that moves more traffic comes first, then the one that lasts longer. For
//! example: `1 of 3 regions of www.example.com is down: fra (connection refused, for 12s); and 2
//! more`.

use std::cmp::Ordering;
use std::time::Duration;

use super::health::{EndpointHealth, RegionHealth, ServiceStatus};
use crate::config::values::duration_text;
use crate::control::availability::FULL;
use crate::foresight::coverage::Coverage;

/// How bad a finding is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    /// Clients of a service have no live region.
    Uncovered,
    /// Regions are down.
    RegionDown,
    /// An endpoint is down, but its region takes clients.
    EndpointDown,
    /// This server lacks something that a probe needs.
    NotProbed,
    /// An override keeps regions or endpoints out.
    Overridden,
    /// A region takes a part of its clients only.
    Partial,
}

/// One problem.
#[derive(Debug)]
struct Finding {
    severity: Severity,
    /// The part of the clients without a live region, in per cent.
    uncovered: f64,
    /// Answers per second that moved elsewhere.
    moved: f64,
    /// How long it has lasted.
    seconds: u64,
    sentence: String,
}

/// The headline. `holds`: nothing can be reached, so the monitor holds the last agreed health.
pub fn headline(services: &[ServiceStatus], holds: bool) -> String {
    if holds {
        return "nothing can be reached from here, so the last known health is held".to_owned();
    }
    let mut findings = Vec::new();
    for service in services {
        findings.extend(service.findings());
    }
    findings.extend(not_probed(services));
    // The sort is stable, so equal findings keep their order.
    findings.sort_by(Finding::compare);
    match &findings[..] {
        [] => "every region serves".to_owned(),
        [only] => only.sentence.clone(),
        [worst, others @ ..] => format!("{}; and {} more", worst.sentence, others.len()),
    }
}

/// One finding for each reason why endpoints cannot be probed.
fn not_probed(services: &[ServiceStatus]) -> Vec<Finding> {
    let mut reasons: Vec<&String> = Vec::new();
    let regions = services.iter().flat_map(|service| &service.health);
    for endpoint in regions.flat_map(|region| &region.endpoints) {
        match &endpoint.not_probed {
            Some(reason) if !reasons.contains(&reason) => reasons.push(reason),
            _ => {}
        }
    }
    let mut findings = Vec::new();
    for reason in reasons {
        let sentence = format!("health is held for endpoints that cannot be probed: {reason}");
        findings.push(Finding::new(Severity::NotProbed, sentence));
    }
    findings
}

impl Finding {
    fn new(severity: Severity, sentence: String) -> Finding {
        Finding {
            severity,
            uncovered: 0.0,
            moved: 0.0,
            seconds: 0,
            sentence,
        }
    }

    /// The worse one first.
    fn compare(&self, other: &Finding) -> Ordering {
        self.severity
            .cmp(&other.severity)
            .then(other.moved.total_cmp(&self.moved))
            .then(other.uncovered.total_cmp(&self.uncovered))
            .then(other.seconds.cmp(&self.seconds))
    }

    /// Adds the region that a finding is about.
    fn add(&mut self, region: &RegionHealth) {
        self.moved += region.moved_per_second;
        self.seconds = self.seconds.max(region.seconds_down());
    }
}

impl ServiceStatus {
    /// The problems of a service. If clients have no live region, the regions that are out are the
    /// causes of that finding instead of findings of their own.
    fn findings(&self) -> Vec<Finding> {
        let mut down = Vec::new();
        let mut overridden = Vec::new();
        let mut partial = Vec::new();
        for region in &self.health {
            if !region.is_out() {
                partial.extend(self.partly_out(region));
            } else if region.is_overridden() {
                overridden.push(region);
            } else {
                down.push(region);
            }
        }
        let mut findings = Vec::new();
        if !down.is_empty() {
            findings.push(self.regions_out(Severity::RegionDown, "down", &down));
        }
        if !overridden.is_empty() {
            let word = override_word(&overridden);
            findings.push(self.regions_out(Severity::Overridden, word, &overridden));
        }
        if let Some(coverage) = self.worst_coverage() {
            findings = vec![self.uncovered(coverage, findings)];
        }
        findings.extend(partial);
        findings
    }

    /// The record type for which the most clients have no live region, the first of equals.
    fn worst_coverage(&self) -> Option<&Coverage> {
        let mut worst: Option<&Coverage> = None;
        for coverage in &self.coverage {
            let percent = coverage.worst_percent();
            if !coverage.is_whole() && worst.is_none_or(|worst| percent > worst.worst_percent()) {
                worst = Some(coverage);
            }
        }
        worst
    }

    /// Clients without a live region, with the causes.
    fn uncovered(&self, coverage: &Coverage, causes: Vec<Finding>) -> Finding {
        let mut finding = Finding::new(Severity::Uncovered, coverage.sentence(&self.name));
        finding.uncovered = coverage.worst_percent();
        for cause in causes {
            finding.moved += cause.moved;
            finding.seconds = finding.seconds.max(cause.seconds);
            finding.sentence += &format!("; {}", cause.sentence);
        }
        finding
    }

    /// `1 of 3 regions of www.example.com is down: fra (connection refused, for 12s)`
    fn regions_out(&self, severity: Severity, word: &str, out: &[&RegionHealth]) -> Finding {
        let (count, all) = (out.len(), self.health.len());
        let be = if count == 1 { "is" } else { "are" };
        let regions = if all == 1 { "region" } else { "regions" };
        let causes: Vec<String> = out.iter().map(|region| region.cause()).collect();
        let sentence = format!(
            "{count} of {all} {regions} of {} {be} {word}: {}",
            self.name,
            causes.join(", ")
        );
        let mut finding = Finding::new(severity, sentence);
        for region in out {
            finding.add(region);
        }
        finding
    }

    /// The problem of a region that still takes clients.
    fn partly_out(&self, region: &RegionHealth) -> Option<Finding> {
        let mut finding = if region.endpoints.iter().any(|endpoint| !endpoint.up) {
            let (severity, word) = if region.is_overridden() {
                (Severity::Overridden, override_word(&[region]))
            } else {
                (Severity::EndpointDown, "down")
            };
            let cause = region.cause();
            let sentence = format!("an endpoint of {} is {word}: {cause}", self.name);
            Finding::new(severity, sentence)
        } else if region.share_percent < 100.0 {
            let sentence = format!(
                "{} of {} {}; it takes {:.0}% of its clients",
                region.region,
                self.name,
                region.why_partial(),
                region.share_percent
            );
            Finding::new(Severity::Partial, sentence)
        } else {
            return None;
        };
        finding.add(region);
        Some(finding)
    }
}

/// `drained` or `forced down` if that applies to everything that is out in these regions; else
/// `out by override`.
fn override_word(regions: &[&RegionHealth]) -> &'static str {
    let mut overrides = Vec::new();
    for region in regions {
        match region.whole_override() {
            Some(sentence) => overrides.push(sentence),
            None => {
                let out = region.endpoints.iter().filter(|endpoint| !endpoint.up);
                overrides.extend(out.filter_map(|endpoint| endpoint.order.as_deref()));
            }
        }
    }
    let are_drained = overrides.iter().all(|it| it.starts_with("is drained"));
    let are_forced = overrides.iter().all(|it| it.starts_with("is forced down"));
    match (are_drained, are_forced) {
        (true, false) => "drained",
        (false, true) => "forced down",
        _ => "out by override",
    }
}

impl RegionHealth {
    /// Whether it takes no clients over IPv4, over IPv6 or at all.
    fn is_out(&self) -> bool {
        self.share_percent == 0.0
            || self.has_lost_all(EndpointHealth::is_v4)
            || self.has_lost_all(EndpointHealth::is_v6)
    }

    /// Whether it has endpoints of a family, and all of them are down.
    fn has_lost_all(&self, is_of_family: fn(&EndpointHealth) -> bool) -> bool {
        let mut has_any = false;
        for endpoint in &self.endpoints {
            if is_of_family(endpoint) {
                if endpoint.up {
                    return false;
                }
                has_any = true;
            }
        }
        has_any
    }

    /// Whether an override keeps it out, as a whole or each of its endpoints that is out.
    fn is_overridden(&self) -> bool {
        if self.whole_override().is_some() {
            return true;
        }
        let mut has_any = false;
        for endpoint in &self.endpoints {
            if !endpoint.up {
                if endpoint.order.is_none() {
                    return false;
                }
                has_any = true;
            }
        }
        has_any
    }

    /// The override that keeps the whole region out.
    fn whole_override(&self) -> Option<&str> {
        if self.share_percent == 0.0 {
            self.order.as_deref()
        } else {
            None
        }
    }

    /// How long the first endpoint that is out has been out; 0 if none is.
    fn seconds_down(&self) -> u64 {
        let mut longest = 0;
        for endpoint in &self.endpoints {
            if !endpoint.up {
                longest = longest.max(endpoint.seconds.unwrap_or(0));
            }
        }
        longest
    }

    /// Why it takes less than all of its clients although all endpoints are up.
    fn why_partial(&self) -> &str {
        if self.full {
            FULL
        } else {
            self.order.as_deref().unwrap_or("is returning")
        }
    }

    /// `fra (connection refused, for 12s)`
    fn cause(&self) -> String {
        let name = &self.region;
        if let Some(order) = self.whole_override() {
            return format!("{name} ({order})");
        }
        let Some(endpoint) = self.endpoints.iter().find(|endpoint| !endpoint.up) else {
            return name.clone();
        };
        if let Some(order) = &endpoint.order {
            return format!("{name} ({} {order})", endpoint.endpoint);
        }
        let reason = endpoint.reason.as_ref().or(endpoint.not_probed.as_ref());
        let reason = match reason {
            Some(reason) => reason,
            None => "answers again, not yet for long enough",
        };
        match endpoint.seconds {
            Some(seconds) => {
                let lasting = duration_text(Duration::from_secs(seconds));
                format!("{name} ({reason}, for {lasting})")
            }
            None => format!("{name} ({reason})"),
        }
    }
}

impl EndpointHealth {
    /// Whether it is an IPv6 address.
    fn is_v6(&self) -> bool {
        self.endpoint.contains(':')
    }

    /// Whether it is an IPv4 address or a name.
    fn is_v4(&self) -> bool {
        !self.is_v6()
    }
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
            both.starts_with("2 of 2 regions of www.example.com are out by override: "),
            "{both}"
        );
        // A region that is down by its health is worse, wherever it is in the list.
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
            Some("nothing can be reached from here")
        );
    }
}

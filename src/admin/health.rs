//! The state of regions and endpoints, for `GET /v1/status` and the metrics.
//!
//! [`services`] turns a [`HealthView`], which is consistent in itself, into plain structures that
//! serialise to JSON. Endpoints without a check are reported as `unchecked` and count as up.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::ServiceRules;
use crate::catalog::availability::RegionAvailability;
use crate::catalog::keys::{EndpointKey, RegionKey};
use crate::config::{Endpoint, EndpointTarget, ServiceConfig, ServiceRegion};
use crate::control::availability::{FULL, OUTVOTED};
use crate::control::targets::ProbeRef;
use crate::control::{HealthView, word};
use crate::foresight::coverage::Coverage;
use crate::health::probe::ProbePhases;
use crate::resolve::ResolvedName;

/// A service: its regions and their health, and what goes on in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    /// Its name; may be a wildcard.
    pub name: String,
    /// Whether it has no problem: every client has a live region, every region takes all of its
    /// clients, every endpoint is up, and there are no overrides.
    #[serde(default)]
    pub well: bool,
    /// Whether at least one of its endpoints is probed.
    #[serde(default)]
    pub checked: bool,
    /// Its regions, in the order listed.
    pub regions: Vec<String>,
    /// The state of its regions, in the same order.
    pub health: Vec<RegionHealth>,
    /// The clients with a live region, by record type; empty until they are counted.
    #[serde(default)]
    pub coverage: Vec<Coverage>,
    /// How it decides; absent unless requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<ServiceRules>,
}

/// The state of an endpoint without a check.
const UNCHECKED: &str = "unchecked";

/// The states of a region.
pub const REGION_STATES: &[&str] = &[
    "up",
    UNCHECKED,
    "degraded",
    "returning",
    "full",
    "drained",
    "down",
];

/// One region of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionHealth {
    /// The name of the region.
    pub region: String,
    /// `drained` if an override keeps all clients away, `down` if its health does, `full` at its
    /// capacity, `returning` if all is up and it takes a part of its clients only, `degraded` if
    /// something of it is not up, else `up`, or `unchecked` if nothing of it is probed.
    #[serde(default)]
    pub state: String,
    /// The part of its clients that it takes now, in per cent.
    pub share_percent: f64,
    /// Answers that this server has sent to it since the service was last compiled.
    #[serde(default)]
    pub answers: u64,
    /// The same per second, over the last seconds.
    #[serde(default)]
    pub answers_per_second: f64,
    /// While it takes only a part of its clients: the answers per second that now go to other
    /// regions. Else 0.
    #[serde(default)]
    pub moved_per_second: f64,
    /// Whether it has reached its capacity.
    #[serde(default)]
    pub full: bool,
    /// The override that applies to the whole region, or moves some of its clients: `is drained by
    /// ...`.
    #[serde(default)]
    pub order: Option<String>,
    /// Its endpoints, in the order listed.
    pub endpoints: Vec<EndpointHealth>,
}

/// An endpoint: its state, since when, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointHealth {
    /// The address or name of the endpoint.
    pub endpoint: String,
    /// The alias that its address was resolved from.
    #[serde(default)]
    pub alias: Option<String>,
    /// If it is a name that is resolved: its addresses, as last resolved.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Why the last lookup of its name failed: `does not resolve: ...`; absent if it succeeded.
    #[serde(default)]
    pub unresolved: Option<String>,
    /// 0 is a standby.
    pub weight: u32,
    /// Whether answers may hold it.
    pub up: bool,
    /// `up`, `degraded`, `down`, `unknown`, or `unchecked`, which counts as up.
    pub verdict: String,
    /// When it came into this state, in seconds since 1970; absent if it is unchecked.
    pub since: Option<u64>,
    /// How many seconds ago that was; absent if it is unchecked.
    pub seconds: Option<u64>,
    /// Why the last probe failed; absent if it succeeded.
    pub reason: Option<String>,
    /// Why this server could not make the last probe, such as a lack of descriptors. The state
    /// from before is held.
    #[serde(default)]
    pub not_probed: Option<String>,
    /// Whether this server sees it otherwise, and `verdict` is what the fleet has agreed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub outvoted: bool,
    /// The override that applies to it: `is drained by ...`.
    #[serde(default)]
    pub order: Option<String>,
    /// Whether it has a lease, which must be renewed.
    #[serde(default)]
    pub leased: bool,
    /// Days until its certificate expires, negative if it has; absent if it has none.
    pub certificate_days: Option<i64>,
    /// The load that it reports, 1.0 being full; absent if it reports none.
    pub load: Option<f64>,
    /// How long the last probe took; absent before the first.
    #[serde(default)]
    pub probe: Option<ProbeTimes>,
}

/// Milliseconds from the start of a probe to the end of each phase; a phase that was not reached is
/// absent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeTimes {
    /// The connection is open.
    pub connect: Option<f64>,
    /// The TLS handshake is done.
    pub tls: Option<f64>,
    /// The first octets of the answer are there.
    pub first_byte: Option<f64>,
    /// The body of an HTTP answer is read.
    #[serde(default)]
    pub body: Option<f64>,
    /// The probe is over.
    pub total: f64,
}

impl From<ProbePhases> for ProbeTimes {
    fn from(phases: ProbePhases) -> ProbeTimes {
        ProbeTimes {
            connect: phases.connect.map(milliseconds),
            tls: phases.tls.map(milliseconds),
            first_byte: phases.first_byte.map(milliseconds),
            body: phases.body.map(milliseconds),
            total: milliseconds(phases.total),
        }
    }
}

/// Milliseconds with one decimal place.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// Milliseconds with one decimal place.
fn rounded(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

/// Every service with its regions and endpoints, as configured.
pub fn services(view: &HealthView) -> Vec<ServiceStatus> {
    let mut services = Vec::with_capacity(view.config.services.len());
    for (index, service) in view.config.services.iter().enumerate() {
        services.push(ServiceReader::new(view, index, service).status());
    }
    services
}

/// Reads the state of one service from a view.
struct ServiceReader<'v> {
    view: &'v HealthView,
    /// The index of the service in the configuration and in the view.
    index: usize,
    service: &'v ServiceConfig,
    name: String,
}

impl<'v> ServiceReader<'v> {
    fn new(view: &'v HealthView, index: usize, service: &'v ServiceConfig) -> ServiceReader<'v> {
        ServiceReader {
            view,
            index,
            service,
            name: service.name.to_string(),
        }
    }

    fn status(&self) -> ServiceStatus {
        let mut regions = Vec::new();
        let mut health = Vec::new();
        for (index, region) in self.service.regions.iter().enumerate() {
            let region = self.region(index, region);
            regions.push(region.region.clone());
            health.push(region);
        }
        let coverage = self.view.coverage.of_service(self.index).to_vec();
        ServiceStatus {
            name: self.name.clone(),
            well: health.iter().all(RegionHealth::is_well)
                && coverage.iter().all(Coverage::is_whole),
            checked: health.iter().any(RegionHealth::is_checked),
            regions,
            health,
            coverage,
            rules: None,
        }
    }

    fn region(&self, index: usize, region: &ServiceRegion) -> RegionHealth {
        let view = self.view;
        let configured = view.config.regions.get(usize::from(region.region.0));
        let name = configured.map_or(String::new(), |configured| configured.name.clone());
        let key = RegionKey {
            service: self.index,
            region: index,
        };
        let mut endpoints = Vec::with_capacity(region.endpoints.len());
        for (number, endpoint) in region.endpoints.iter().enumerate() {
            endpoints.push(EndpointHealth {
                leased: view.leases.contains(&self.name, &name, &endpoint.target),
                ..self.endpoint(key.endpoint(number), endpoint)
            });
        }
        let availability = self.availability(index);
        let reason = availability.and_then(|now| now.reason.as_deref());
        let mut health = RegionHealth {
            region: name,
            state: String::new(),
            share_percent: availability.map_or(1.0, |now| now.share.fraction()) * 100.0,
            answers: view.answers.get(key).copied().unwrap_or_default(),
            answers_per_second: rounded(view.rates.get(key).copied().unwrap_or_default()),
            moved_per_second: rounded(view.moved.of(key)),
            full: reason == Some(FULL),
            order: view.region_order(key).map(str::to_owned),
            endpoints,
        };
        health.state = health.state_word().to_owned();
        health
    }

    fn availability(&self, region: usize) -> Option<&'v RegionAvailability> {
        let service = self.view.availability.of(self.index)?;
        service.regions.get(region)
    }

    /// Whether answers may contain an endpoint; true before the first publication.
    fn is_up(&self, key: EndpointKey) -> bool {
        let availability = self.availability(key.region.region);
        let up = availability.and_then(|now| now.endpoints.get(key.endpoint));
        up.copied().unwrap_or(true)
    }

    fn endpoint(&self, key: EndpointKey, endpoint: &Endpoint) -> EndpointHealth {
        let view = self.view;
        let probe = view.probes_of(key);
        let deciding = view.endpoint(key);
        let target = deciding.and_then(|(_, target)| target);
        let last = target.and_then(|target| target.last.as_ref());
        let name = endpoint.resolved_name();
        let resolved = name.and_then(|name| view.names.get(name));
        let reason = match probe {
            Some(ProbeRef::NotProbed { reason, .. }) => Some(reason.clone()),
            _ => last.and_then(|last| last.reason.clone()),
        };
        let state = probe.and_then(|probe| probe.state(&view.targets, view.evidence(self.index)));
        let order = view.endpoint_order(key);
        let mut health = EndpointHealth {
            endpoint: endpoint.target.to_string(),
            alias: endpoint.alias.as_ref().map(ToString::to_string),
            unresolved: resolved.and_then(ResolvedName::complaint),
            weight: endpoint.weight,
            up: self.is_up(key),
            verdict: state.map_or(UNCHECKED, word).to_owned(),
            reason,
            order: order.map(str::to_owned),
            certificate_days: last.and_then(|last| last.certificate_expires_in),
            load: last.and_then(|last| last.load),
            probe: last.map(|last| last.phases.into()),
            ..EndpointHealth::default()
        };
        if let Some(resolved) = resolved
            && has_addresses(&endpoint.target)
        {
            let addresses = resolved.addresses();
            health.addresses = addresses.iter().map(ToString::to_string).collect();
        }
        if let Some(target) = target {
            let age = target.lasting;
            health.since = Some(unix_time().saturating_sub(age).as_secs());
            health.seconds = Some(age.as_secs());
            health.outvoted = target.outvoted;
            if target.outvoted && !target.state.serves() {
                health.reason = Some(OUTVOTED.to_owned());
            }
            let shortage = target.not_made.as_ref();
            health.not_probed = shortage.map(|shortage| shortage.reason.clone());
        }
        health
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Whether the addresses of an endpoint are those of its name. The addresses of an alias are
/// endpoints themselves.
fn has_addresses(target: &EndpointTarget) -> bool {
    matches!(target, EndpointTarget::Name(_) | EndpointTarget::Host(_))
}

impl ServiceStatus {
    /// Its name in small letters, which is its place in the order of the names.
    pub fn sort_key(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// Whether all of its clients have a live region, as far as they are counted.
    pub fn is_covered(&self) -> bool {
        self.coverage.iter().all(Coverage::is_whole)
    }
}

impl RegionHealth {
    /// Whether it takes all of its clients and has no endpoint with a problem.
    fn is_well(&self) -> bool {
        self.share_percent == 100.0
            && self.order.is_none()
            && self.endpoints.iter().all(EndpointHealth::is_well)
    }

    /// One of [`REGION_STATES`].
    fn state_word(&self) -> &'static str {
        let all_up = self.endpoints.iter().all(|endpoint| endpoint.up);
        if self.share_percent == 0.0 || self.endpoints.iter().all(|endpoint| !endpoint.up) {
            return if self.is_drained() { "drained" } else { "down" };
        }
        if self.full {
            return "full";
        }
        if self.share_percent < 100.0 && all_up {
            return "returning";
        }
        let is_degraded = |endpoint: &EndpointHealth| endpoint.verdict == "degraded";
        if !all_up || self.endpoints.iter().any(is_degraded) {
            return "degraded";
        }
        if self.is_checked() { "up" } else { UNCHECKED }
    }

    /// Whether drains keep all clients away: one of the region, or one of each endpoint.
    fn is_drained(&self) -> bool {
        match &self.order {
            Some(order) => is_drain(order),
            None => self.endpoints.iter().all(EndpointHealth::is_drained),
        }
    }

    /// Whether any of its endpoints is probed.
    fn is_checked(&self) -> bool {
        let mut endpoints = self.endpoints.iter();
        endpoints.any(|endpoint| endpoint.verdict != UNCHECKED)
    }
}

/// Whether the sentence of an override is that of a drain.
fn is_drain(sentence: &str) -> bool {
    sentence.starts_with("is drained")
}

impl EndpointHealth {
    fn is_drained(&self) -> bool {
        self.order.as_deref().is_some_and(is_drain)
    }

    fn is_well(&self) -> bool {
        self.up && self.order.is_none() && self.reason.is_none() && self.not_probed.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(up: bool, verdict: &str, order: Option<&str>) -> EndpointHealth {
        EndpointHealth {
            up,
            verdict: verdict.to_owned(),
            order: order.map(str::to_owned),
            ..EndpointHealth::default()
        }
    }

    fn region(share_percent: f64, endpoints: Vec<EndpointHealth>) -> RegionHealth {
        RegionHealth {
            share_percent,
            endpoints,
            ..RegionHealth::default()
        }
    }

    #[test]
    fn a_region_has_one_state() {
        let (up, down) = (endpoint(true, "up", None), endpoint(false, "down", None));
        let drained = endpoint(false, "up", Some("is drained by anna"));
        let ordered = |order: &str| RegionHealth {
            order: Some(order.to_owned()),
            ..region(0.0, vec![up.clone()])
        };
        let full = RegionHealth {
            full: true,
            ..region(40.0, vec![up.clone()])
        };
        let cases = [
            ("up", region(100.0, vec![up.clone(), up.clone()])),
            (
                "unchecked",
                region(100.0, vec![endpoint(true, UNCHECKED, None)]),
            ),
            (
                "degraded",
                region(100.0, vec![endpoint(true, "degraded", None)]),
            ),
            ("degraded", region(100.0, vec![up.clone(), down.clone()])),
            ("returning", region(40.0, vec![up.clone()])),
            ("full", full),
            ("drained", ordered("is drained by anna: new kernel")),
            ("down", ordered("is forced down by bob")),
            (
                "drained",
                region(100.0, vec![drained.clone(), drained.clone()]),
            ),
            ("down", region(100.0, vec![drained, down])),
        ];
        for (state, region) in cases {
            assert_eq!(region.state_word(), state, "{region:?}");
            assert!(REGION_STATES.contains(&state));
        }
    }
}

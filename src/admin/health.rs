//! How regions and endpoints stand: the part of `GET /v1/status` about health.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::ServiceStatus;
use crate::catalog::keys::{ByRegion, RegionKey};
use crate::config::{Endpoint, EndpointTarget, ServiceConfig};
use crate::control::availability::FULL;
use crate::control::targets::ProbeRef;
use crate::control::{HealthView, word};
use crate::foresight::coverage::Coverage;
use crate::health::probe::ProbePhases;
use crate::resolve::ResolvedName;

/// The verdict of an endpoint that nobody asks.
const UNCHECKED: &str = "unchecked";

/// One region of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegionHealth {
    /// Its name.
    pub region: String,
    /// The part of its clients that it takes now, in per cent.
    pub share_percent: f64,
    /// Answers that it has given, here and since the service was last compiled.
    #[serde(default)]
    pub answers: u64,
    /// The same per second, over the last seconds.
    #[serde(default)]
    pub answers_per_second: f64,
    /// Answers per second that it gave when it last lost clients, and that went elsewhere, while it has less than all of
    /// them; else 0.
    #[serde(default)]
    pub moved_per_second: f64,
    /// It takes no more because it has no room for more.
    #[serde(default)]
    pub full: bool,
    /// The order that counts for it as a whole, or sends some of its clients elsewhere: `is drained by ...`.
    #[serde(default)]
    pub order: Option<String>,
    /// Its endpoints, in the order listed.
    pub endpoints: Vec<EndpointHealth>,
}

/// One endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointHealth {
    /// Its address or name.
    pub endpoint: String,
    /// The alias that its address was resolved from.
    #[serde(default)]
    pub alias: Option<String>,
    /// The addresses of its name, where they are looked up: the last good ones.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Why its name could not be looked up when it last was due: `does not resolve: ...`; absent where it could.
    #[serde(default)]
    pub unresolved: Option<String>,
    /// 0 is a standby.
    pub weight: u32,
    /// Whether it may be given out.
    pub up: bool,
    /// `up`, `degraded`, `down`, `unknown`, or `unchecked`, which counts as up.
    pub verdict: String,
    /// When the verdict was agreed, in seconds since 1970; absent if it is unchecked.
    pub since: Option<u64>,
    /// For how many seconds; absent if it is unchecked.
    pub seconds: Option<u64>,
    /// Why the last probe was not good; absent if it was.
    pub reason: Option<String>,
    /// Why the last probe could not be made at all, for want of something on this server's side; what was agreed before
    /// is held.
    #[serde(default)]
    pub not_probed: Option<String>,
    /// The order that counts for it: `is drained by ...`.
    #[serde(default)]
    pub order: Option<String>,
    /// It came by itself and stays as long as it is renewed.
    #[serde(default)]
    pub leased: bool,
    /// Days until its certificate expires, negative if it has; absent where there is none.
    pub certificate_days: Option<i64>,
    /// How busy it says that it is, 1.0 being full; absent if it does not say.
    pub load: Option<f64>,
    /// How long the last probe took; absent before the first.
    #[serde(default)]
    pub probe: Option<ProbeTimes>,
}

/// How long a probe took from its start, in milliseconds; what did not happen is absent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeTimes {
    /// Until the connection stood.
    pub connect: Option<f64>,
    /// Until the TLS handshake was done.
    pub tls: Option<f64>,
    /// Until the first octets of the answer came.
    pub first_byte: Option<f64>,
    /// Until the body of an HTTP answer was read.
    #[serde(default)]
    pub body: Option<f64>,
    /// Until everything was over.
    pub total: f64,
}

impl From<ProbePhases> for ProbeTimes {
    fn from(phases: ProbePhases) -> ProbeTimes {
        let milliseconds = |time: Duration| (time.as_secs_f64() * 10_000.0).round() / 10.0;
        ProbeTimes {
            connect: phases.connect.map(milliseconds),
            tls: phases.tls.map(milliseconds),
            first_byte: phases.first_byte.map(milliseconds),
            body: phases.body.map(milliseconds),
            total: milliseconds(phases.total),
        }
    }
}

/// Every service with its regions and endpoints, as configured.
pub fn services(view: &HealthView) -> Vec<ServiceStatus> {
    let name = |region: &crate::config::ServiceRegion| {
        view.config
            .regions
            .get(usize::from(region.region.0))
            .map_or(String::new(), |region| region.name.clone())
    };
    let status = |(index, service): (usize, &ServiceConfig)| {
        let health = |(at, region): (usize, &crate::config::ServiceRegion)| {
            let now = view
                .availability
                .services
                .get(index)
                .and_then(|now| now.regions.get(at));
            let up = |endpoint: usize| {
                now.and_then(|now| now.endpoints.get(endpoint))
                    .copied()
                    .unwrap_or(true)
            };
            let (service, own) = (service.name.to_string(), name(region));
            let endpoint = |(number, endpoint): (usize, &Endpoint)| EndpointHealth {
                leased: view.leases.contains(&service, &own, &endpoint.target),
                ..endpoint_health(view, (index, at, number), endpoint, up(number))
            };
            RegionHealth {
                region: own.clone(),
                order: view.region_order(index, at).map(str::to_owned),
                full: now.is_some_and(|now| now.reason.as_deref() == Some(FULL)),
                share_percent: now.map_or(1.0, |now| now.share.fraction()) * 100.0,
                answers: of_region(&view.answers, index, at),
                answers_per_second: (of_region(&view.rates, index, at) * 10.0).round() / 10.0,
                moved_per_second: (view.moved.of(RegionKey {
                    service: index,
                    region: at,
                }) * 10.0)
                    .round()
                    / 10.0,
                endpoints: region.endpoints.iter().enumerate().map(endpoint).collect(),
            }
        };
        let health: Vec<RegionHealth> = service.regions.iter().enumerate().map(health).collect();
        let regions = service.regions.iter().map(name).collect();
        let coverage = view.coverage.of_service(index).to_vec();
        ServiceStatus {
            name: service.name.to_string(),
            well: health.iter().all(is_well) && coverage.iter().all(Coverage::is_whole),
            checked: health
                .iter()
                .flat_map(|region| &region.endpoints)
                .any(|endpoint| endpoint.verdict != UNCHECKED),
            regions,
            health,
            coverage,
            rules: None,
        }
    };
    view.config
        .services
        .iter()
        .enumerate()
        .map(status)
        .collect()
}

/// Nothing is to be said of it.
fn is_well(region: &RegionHealth) -> bool {
    let is_up = |endpoint: &EndpointHealth| {
        endpoint.up
            && endpoint.order.is_none()
            && endpoint.reason.is_none()
            && endpoint.not_probed.is_none()
    };
    region.share_percent == 100.0 && region.order.is_none() && region.endpoints.iter().all(is_up)
}

fn of_region<T: Copy + Default>(values: &ByRegion<T>, service: usize, region: usize) -> T {
    values
        .get(RegionKey { service, region })
        .copied()
        .unwrap_or_default()
}

fn endpoint_health(
    view: &HealthView,
    place: (usize, usize, usize),
    endpoint: &Endpoint,
    up: bool,
) -> EndpointHealth {
    let target = view
        .endpoint(place.0, place.1, place.2)
        .and_then(|(_, target)| target);
    let last = target.and_then(|target| target.last.as_ref());
    let asked = view.asked(place.0, place.1, place.2);
    let known = endpoint
        .resolved_name()
        .and_then(|name| view.names.get(name));
    let nobody = match asked {
        Some(ProbeRef::Nobody { reason, .. }) => Some(reason.clone()),
        _ => None,
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // The addresses of an alias are endpoints themselves.
    let is_led_to = matches!(
        endpoint.target,
        EndpointTarget::Name(_) | EndpointTarget::Host(_)
    );
    EndpointHealth {
        endpoint: endpoint.target.to_string(),
        weight: endpoint.weight,
        up,
        alias: endpoint.alias.as_ref().map(ToString::to_string),
        addresses: known.filter(|_| is_led_to).map_or(Vec::new(), |known| {
            known.addresses().iter().map(ToString::to_string).collect()
        }),
        unresolved: known.and_then(ResolvedName::complaint),
        verdict: asked
            .and_then(|asked| asked.verdict(&view.targets, view.evidence(place.0)))
            .map_or(UNCHECKED, word)
            .to_owned(),
        since: target.map(|target| now.saturating_sub(target.lasting).as_secs()),
        seconds: target.map(|target| target.lasting.as_secs()),
        reason: nobody.or_else(|| last.and_then(|last| last.reason.clone())),
        not_probed: target
            .and_then(|target| target.not_made.as_ref())
            .map(|shortage| shortage.reason.clone()),
        order: view
            .endpoint_order(place.0, place.1, place.2)
            .map(str::to_owned),
        leased: false,
        certificate_days: last.and_then(|last| last.certificate_expires_in),
        load: last.and_then(|last| last.load),
        probe: last.map(|last| last.phases.into()),
    }
}

//! How regions and endpoints stand: the part of `GET /v1/status` about health, and its one sentence.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::ServiceStatus;
use crate::config::values::duration_text;
use crate::config::{Endpoint, Service, Target};
use crate::control::standing::FULL;
use crate::control::targets::Asked;
use crate::control::traffic::PerRegion;
use crate::control::{View, word};
use crate::health::probe::Phases;
use crate::resolve::Resolved;

/// One region of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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

impl From<Phases> for ProbeTimes {
    fn from(phases: Phases) -> ProbeTimes {
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
pub fn services(view: &View) -> Vec<ServiceStatus> {
    let name = |region: &crate::config::ServiceRegion| {
        view.config.regions.get(usize::from(region.region.0)).map_or(String::new(), |region| region.name.clone())
    };
    let status = |(index, service): (usize, &Service)| {
        let health = |(at, region): (usize, &crate::config::ServiceRegion)| {
            let now = view.availability.services.get(index).and_then(|now| now.regions.get(at));
            let up = |endpoint: usize| now.and_then(|now| now.endpoints.get(endpoint)).copied().unwrap_or(true);
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
                endpoints: region.endpoints.iter().enumerate().map(endpoint).collect(),
            }
        };
        let health: Vec<RegionHealth> = service.regions.iter().enumerate().map(health).collect();
        let regions = service.regions.iter().map(name).collect();
        ServiceStatus { name: service.name.to_string(), regions, health }
    };
    view.config.services.iter().enumerate().map(status).collect()
}

fn of_region<T: Copy + Default>(values: &PerRegion<T>, service: usize, region: usize) -> T {
    values.get(service).and_then(|service| service.get(region)).copied().unwrap_or_default()
}

fn endpoint_health(view: &View, place: (usize, usize, usize), endpoint: &Endpoint, up: bool) -> EndpointHealth {
    let target = view.endpoint(place.0, place.1, place.2).and_then(|(_, target)| target);
    let last = target.and_then(|target| target.last.as_ref());
    let asked = view.asked(place.0, place.1, place.2);
    let known = endpoint.resolved_name().and_then(|name| view.names.get(name));
    let nobody = match asked {
        Some(Asked::Nobody { reason, .. }) => Some(reason.clone()),
        _ => None,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The addresses of an alias are endpoints themselves.
    let is_led_to = matches!(endpoint.target, Target::Name(_) | Target::Host(_));
    EndpointHealth {
        endpoint: endpoint.target.to_string(),
        weight: endpoint.weight,
        up,
        alias: endpoint.alias.as_ref().map(ToString::to_string),
        addresses: known
            .filter(|_| is_led_to)
            .map_or(Vec::new(), |known| known.addresses().iter().map(ToString::to_string).collect()),
        unresolved: known.and_then(Resolved::complaint),
        verdict: asked
            .and_then(|asked| asked.verdict(&view.targets, view.evidence(place.0)))
            .map_or("unchecked", word)
            .to_owned(),
        since: target.map(|target| now.saturating_sub(target.lasting).as_secs()),
        seconds: target.map(|target| target.lasting.as_secs()),
        reason: nobody.or_else(|| last.and_then(|last| last.reason.clone())),
        not_probed: target.and_then(|target| target.not_made.as_ref()).map(|shortage| shortage.reason.clone()),
        order: view.endpoint_order(place.0, place.1, place.2).map(str::to_owned),
        leased: false,
        certificate_days: last.and_then(|last| last.certificate_expires_in),
        load: last.and_then(|last| last.load),
        probe: last.map(|last| last.phases.into()),
    }
}

/// The one thing that matters: a whole service out, then a region, then an endpoint, then a return.
pub fn summary(services: &[ServiceStatus], suspect: bool) -> String {
    if suspect {
        return "nothing can be reached from here at the moment, so the last agreed health is held".to_owned();
    }
    let out = |service: &ServiceStatus| service.health.iter().filter(|region| is_out(region)).count();
    // The service with the most of its regions out, by part.
    let worst = services.iter().filter(|service| out(service) > 0).max_by(|one, other| {
        let part = |service: &ServiceStatus| out(service) as f64 / service.health.len().max(1) as f64;
        // Of equals, the first listed.
        part(one).total_cmp(&part(other)).then(std::cmp::Ordering::Greater)
    });
    if let Some(service) = worst {
        let down = service.health.iter().filter(|region| is_out(region)).map(|region| cause(&region.region, region));
        let (count, all) = (out(service), service.health.len());
        let be = if all == 1 || count == 1 { "is" } else { "are" };
        let regions = if all == 1 { "region" } else { "regions" };
        let down = down.collect::<Vec<_>>().join(", ");
        let ordered = service.health.iter().filter(|region| is_out(region)).all(is_ordered_out);
        let word = if ordered { "out by order" } else { "down" };
        return format!("{count} of {all} {regions} of {} {be} {word}: {down}", service.name);
    }
    let regions = || services.iter().flat_map(|service| service.health.iter().map(move |region| (service, region)));
    if let Some((service, region)) = regions().find(|(_, region)| region.endpoints.iter().any(|endpoint| !endpoint.up))
    {
        let word = if is_ordered_out(region) { "out by order" } else { "down" };
        return format!("an endpoint of {} is {word}: {}", service.name, cause(&region.region, region));
    }
    if let Some(reason) = regions().flat_map(|(_, region)| &region.endpoints).find_map(|it| it.not_probed.as_ref()) {
        return format!("the agreed health is held where nobody can be asked: {reason}");
    }
    match regions().find(|(_, region)| region.share_percent < 100.0) {
        Some((service, region)) => {
            let (share, name) = (region.share_percent, &region.region);
            let ordered = region.order.as_deref().unwrap_or("is coming back");
            let why = if region.full { FULL } else { ordered };
            format!("{name} of {} {why}; it takes {share:.0}% of its clients", service.name)
        }
        None => "every region serves".to_owned(),
    }
}

/// An order keeps it out, as a whole or each endpoint that is out.
fn is_ordered_out(region: &RegionHealth) -> bool {
    let mut out = region.endpoints.iter().filter(|endpoint| !endpoint.up).peekable();
    let whole = region.order.is_some() && region.share_percent == 0.0;
    whole || out.peek().is_some() && out.all(|endpoint| endpoint.order.is_some())
}

/// Nobody is sent there, by IPv4 or by IPv6 or at all.
fn is_out(region: &RegionHealth) -> bool {
    let family = |wanted: &dyn Fn(&EndpointHealth) -> bool| {
        let mut of_it = region.endpoints.iter().filter(|endpoint| wanted(endpoint)).peekable();
        of_it.peek().is_some() && of_it.all(|endpoint| !endpoint.up)
    };
    let is_v6 = |endpoint: &EndpointHealth| endpoint.endpoint.contains(':');
    region.share_percent == 0.0 || family(&|endpoint| !is_v6(endpoint)) || family(&is_v6)
}

/// `fra (connection refused, for 12s)`
fn cause(name: &str, region: &RegionHealth) -> String {
    if let Some(order) = region.order.as_ref().filter(|_| region.share_percent == 0.0) {
        return format!("{name} ({order})");
    }
    let Some(endpoint) = region.endpoints.iter().find(|endpoint| !endpoint.up) else { return name.to_owned() };
    if let Some(order) = &endpoint.order {
        return format!("{name} ({} {order})", endpoint.endpoint);
    }
    let lasting = endpoint.seconds.map(|seconds| format!(", for {}", duration_text(Duration::from_secs(seconds))));
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

    fn region(name: &str, share_percent: f64, full: bool) -> RegionHealth {
        RegionHealth {
            region: name.to_owned(),
            share_percent,
            answers: 0,
            answers_per_second: 0.0,
            full,
            order: None,
            endpoints: Vec::new(),
        }
    }

    fn summary_of(health: Vec<RegionHealth>) -> String {
        let regions = health.iter().map(|region| region.region.clone()).collect();
        summary(&[ServiceStatus { name: "www.example.com.".to_owned(), regions, health }], false)
    }

    #[test]
    fn a_region_that_is_full_is_not_said_to_come_back() {
        assert_eq!(summary_of(vec![region("fra", 100.0, false)]), "every region serves");
        assert_eq!(
            summary_of(vec![region("fra", 100.0, false), region("iad", 40.0, false)]),
            "iad of www.example.com. is coming back; it takes 40% of its clients"
        );
        assert_eq!(
            summary_of(vec![region("iad", 40.0, true)]),
            "iad of www.example.com. is full, so some of its clients go on to the next region; it takes 40% of its clients"
        );
    }
}

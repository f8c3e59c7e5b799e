//! `GET /metrics`: counters and gauges in the text format of OpenMetrics.
//!
//! Nothing is kept between two scrapes: each scrape reads the counters of the server and one
//! [`HealthView`]. [`MetricsWriter`] writes a metric from its samples; the methods of [`Metrics`]
//! list the metrics by theme. Names and labels are an interface: they are listed in
//! `docs/admin-api.md` and never change.

mod fleet;
mod signatures;
mod writer;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use writer::{MetricSample, MetricsWriter};

use super::context::AdminContext;
use super::health::{self, EndpointHealth, ProbeTimes, RegionHealth, ServiceStatus};
use super::status::queries;
use crate::control::clock::BootTime;
use crate::control::overrides::{Override, OverrideAction};
use crate::control::watchdog::WatchedPart;
use crate::control::{HealthView, process, word};
use crate::explain::SourceFacts;
use crate::fleet::announcement::AnnounceState;
use crate::foresight::coverage::Coverage;
use crate::health::machine::HealthState;
use crate::log_queue;
use crate::server::AbuseEvent;

/// Media type of what [`render`] makes.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds of a day.
const DAY: i64 = 86_400;

/// The page with all metrics.
pub fn render(context: &Arc<AdminContext>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("meridian");
    registry.register_collector(Box::new(Metrics(context.clone())));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

struct Metrics(Arc<AdminContext>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = MetricsWriter { encoder };
        let view = self.0.control.view();
        self.server(&mut page)?;
        self.queries(&mut page)?;
        self.abuse(&mut page)?;
        self.connections(&mut page)?;
        self.reloads(&mut page)?;
        self.health(&mut page, &view)?;
        if let Some(report) = &view.fleet {
            fleet::write(&mut page, report, &self.0.control)?;
        }
        if self.0.control.announcement().report().is_some() {
            let state = self.0.control.announcement().state();
            let is_announcing = state.is_some_and(AnnounceState::is_announcing);
            page.gauge(
                "announced",
                "Whether the announcer of this server announces its service addresses",
                i64::from(is_announcing),
            )?;
        }
        self.operators(&mut page, &view)?;
        page.gauges(
            "geodata_age_seconds",
            "Age of each source of geodata",
            self.geodata_ages(),
        )
    }
}

/// Counters of events.
struct EventCounts([u64; AbuseEvent::COUNT]);

impl EventCounts {
    fn count(&self, event: AbuseEvent) -> u64 {
        self.0.get(event as usize).copied().unwrap_or(0)
    }

    /// The counts of some events, each with its word for the label.
    fn samples(
        &self,
        label: &'static str,
        events: &[(&'static str, AbuseEvent)],
    ) -> Vec<MetricSample<u64>> {
        let mut samples = Vec::new();
        for &(word, event) in events {
            samples.push(MetricSample::new(label, word, self.count(event)));
        }
        samples
    }
}

impl Metrics {
    /// The process and what it serves.
    fn server(&self, page: &mut MetricsWriter<'_>) -> fmt::Result {
        let control = &self.0.control;
        let version = MetricSample::new("version", env!("CARGO_PKG_VERSION"), 1i64);
        page.gauges("build_info", "The version of the program", vec![version])?;
        let fingerprint = MetricSample::new("fingerprint", control.fingerprint(), 1i64);
        page.gauges(
            "configuration_info",
            "Fingerprint of the served configuration and zones",
            vec![fingerprint],
        )?;
        let mut serials = Vec::new();
        for zone in &control.snapshot().catalog.zones {
            let origin = zone.origin.to_string();
            serials.push(MetricSample::new("zone", origin, i64::from(zone.serial)));
        }
        page.gauges("zone_serial", "SOA SERIAL of each zone", serials)?;
        signatures::write(page, &control.snapshot().catalog, &self.0.stats)?;
        let uptime = self.0.started.elapsed().as_secs() as i64;
        page.gauge("uptime_seconds", "Seconds since the start", uptime)?;
        let mut resident = Vec::new();
        if let Some(octets) = process::resident() {
            resident.push(MetricSample::plain(octets as i64));
        }
        page.gauges(
            "resident_memory_bytes",
            "Resident memory of the process",
            resident,
        )?;
        page.counter(
            "log_lines_dropped",
            "Lines of the log that could not be written",
            log_queue::STDERR.lost(),
        )?;
        page.gauges(
            "stuck",
            "Whether a part of the server is stuck",
            self.stuck(),
        )
    }

    fn stuck(&self) -> Vec<MetricSample<i64>> {
        let stuck = self.0.control.watchdog().stuck();
        let mut samples = Vec::new();
        for part in WatchedPart::ALL {
            let is_stuck = stuck.iter().any(|stuck| stuck.part == part);
            samples.push(MetricSample::new("part", part.word(), i64::from(is_stuck)));
        }
        samples
    }

    /// Queries by verdict and by transport, and how long answers take.
    fn queries(&self, page: &mut MetricsWriter<'_>) -> fmt::Result {
        let stats = &self.0.stats;
        let mut by_verdict = Vec::new();
        for (verdict, count) in queries(&stats.sums()) {
            by_verdict.push(MetricSample::new("verdict", verdict, count));
        }
        page.counters("queries", "Queries by verdict", by_verdict)?;
        let mut by_transport = Vec::new();
        for (transport, count) in stats.by_carrier() {
            by_transport.push(MetricSample::new("transport", transport, count));
        }
        page.counters("transport_queries", "Queries by transport", by_transport)?;
        let mut times = Vec::new();
        for (transport, histogram) in stats.times() {
            times.push(MetricSample::new("transport", transport, histogram));
        }
        page.histograms(
            "answer_seconds",
            "Time from reading a query to its reply, for one batch in 64",
            times,
        )
    }

    /// Rate limits, access lists and cookies.
    fn abuse(&self, page: &mut MetricsWriter<'_>) -> fmt::Result {
        let events = EventCounts(self.0.stats.events());
        let limited = events.samples(
            "action",
            &[
                ("truncated", AbuseEvent::LimitedTruncated),
                ("dropped", AbuseEvent::LimitedDropped),
                ("dry-run", AbuseEvent::LimitedDryRun),
            ],
        );
        page.counters(
            "limited",
            "Queries over the rate limit of their network",
            limited,
        )?;
        let denied = events.samples(
            "action",
            &[
                ("refused", AbuseEvent::Denied),
                ("dropped", AbuseEvent::Ignored),
            ],
        );
        page.counters("denied", "Queries from networks that are denied", denied)?;
        let cookies = events.samples(
            "cookie",
            &[
                ("good", AbuseEvent::GoodCookie),
                ("new", AbuseEvent::NewCookie),
            ],
        );
        page.counters(
            "cookie_queries",
            "Queries with a cookie, by its validity",
            cookies,
        )
    }

    fn connections(&self, page: &mut MetricsWriter<'_>) -> fmt::Result {
        let events = EventCounts(self.0.stats.events());
        page.counter(
            "tcp_opened",
            "Accepted connections",
            events.count(AbuseEvent::Connected),
        )?;
        let open = self.0.stats.connections().load(Ordering::Relaxed);
        page.gauge("tcp_connections", "Open connections", open as i64)?;
        let closed = events.samples(
            "reason",
            &[
                ("idle", AbuseEvent::Evicted),
                ("client-limit", AbuseEvent::EvictedOfClient),
            ],
        );
        page.counters(
            "tcp_closed",
            "Connections closed because there were too many",
            closed,
        )
    }

    fn reloads(&self, page: &mut MetricsWriter<'_>) -> fmt::Result {
        let reloads = self.0.control.reloads();
        let results = vec![
            MetricSample::new("result", "ok", reloads.ok),
            MetricSample::new("result", "refused", reloads.refused),
        ];
        page.counters("reloads", "Reloads by result", results)?;
        let was_ok = reloads.last.is_none_or(|last| last.ok);
        page.gauge(
            "last_reload_ok",
            "Whether the last reload succeeded",
            i64::from(was_ok),
        )
    }

    /// Health of the monitor, services, regions and endpoints.
    fn health(&self, page: &mut MetricsWriter<'_>, view: &HealthView) -> fmt::Result {
        let mut transitions = Vec::new();
        for &(to, count) in &view.transitions {
            transitions.push(MetricSample::new("to", to, count));
        }
        page.counters(
            "health_transitions",
            "Changes of health by the new state",
            transitions,
        )?;
        page.gauge(
            "health_suspect",
            "Whether nothing can be reached and the last agreed health is held",
            i64::from(view.suspect),
        )?;
        let mut not_made = Vec::new();
        for (kind, count) in &view.not_made {
            not_made.push(MetricSample::new("missing", kind.word(), *count));
        }
        page.counters(
            "probes_not_made",
            "Probes that could not be made, by the missing resource",
            not_made,
        )?;
        let services = ServiceSamples(health::services(view));
        page.gauges(
            "service_uncovered_ratio",
            "The share of a service's clients without a live region, 0 to 1",
            services.uncovered(),
        )?;
        services.write_regions(page)?;
        services.write_endpoints(page)
    }

    /// Orders and leases.
    fn operators(&self, page: &mut MetricsWriter<'_>, view: &HealthView) -> fmt::Result {
        let now = BootTime::now();
        let mut orders = Vec::new();
        // An order of this server only comes before the fleet's, in whose place it counts.
        let mut known = BTreeSet::new();
        for override_ in &view.orders {
            if known.insert((&override_.subject, override_.action.kind())) {
                orders.push(override_sample(override_, now));
            }
        }
        page.gauges(
            "order",
            "Active orders: 1, the weight, or the shifted part",
            orders,
        )?;
        page.gauge(
            "leases",
            "Endpoints with a lease",
            view.leases.iter().count() as i64,
        )
    }

    fn geodata_ages(&self) -> Vec<MetricSample<i64>> {
        let now = SystemTime::now();
        let mut ages = Vec::new();
        for source in self.0.control.snapshot().catalog.atlas.sources() {
            let Some(built) = source.built else { continue };
            let age = now.duration_since(built).unwrap_or_default();
            let SourceFacts { name, kind, .. } = SourceFacts::of(source, now);
            ages.push(MetricSample {
                labels: vec![("source", name), ("kind", kind)],
                value: age.as_secs() as i64,
            });
        }
        ages
    }
}

/// 1, the weight, or the part of the clients that is shifted by now. A part of the subject that is
/// not stated is an empty label.
fn override_sample(override_: &Override, now: BootTime) -> MetricSample<f64> {
    let (action, value) = match override_.action {
        OverrideAction::Drain => ("drain", 1.0),
        OverrideAction::ForceUp => ("force-up", 1.0),
        OverrideAction::ForceDown => ("force-down", 1.0),
        OverrideAction::Weight { weight } => ("weight", f64::from(weight)),
        OverrideAction::Shift { .. } => ("shift", override_.moved(now)),
    };
    let subject = override_.subject.clone();
    MetricSample {
        labels: vec![
            ("action", action.to_owned()),
            ("service", subject.service.unwrap_or_default()),
            ("region", subject.region.unwrap_or_default()),
            ("endpoint", subject.endpoint.unwrap_or_default()),
        ],
        value,
    }
}

/// The time of one phase, in milliseconds.
type PhaseTime = fn(&ProbeTimes) -> Option<f64>;

/// The services, read as samples.
struct ServiceSamples(Vec<ServiceStatus>);

impl ServiceSamples {
    fn write_regions(&self, page: &mut MetricsWriter<'_>) -> fmt::Result {
        page.gauges(
            "region_share",
            "The share of its clients that a region takes, 0 to 1",
            self.regions(|region| region.share_percent / 100.0),
        )?;
        page.counters(
            "answers",
            "Answers with an endpoint of a region",
            self.regions(|region| region.answers),
        )
    }

    fn write_endpoints(&self, page: &mut MetricsWriter<'_>) -> fmt::Result {
        page.gauges(
            "probe_seconds",
            "Time from the start of the last probe to the end of a phase",
            self.probes(),
        )?;
        page.gauges(
            "endpoint_up",
            "Whether answers may contain an endpoint",
            self.endpoints(|endpoint| Some(i64::from(endpoint.up))),
        )?;
        page.gauges(
            "endpoint_kept",
            "Whether max_removed keeps an endpoint in answers although it is down",
            self.endpoints(|endpoint| Some(i64::from(is_kept(endpoint)))),
        )?;
        page.gauges(
            "certificate_remaining_seconds",
            "Time until a certificate expires, in whole days",
            self.endpoints(|endpoint| Some(endpoint.certificate_days?.saturating_mul(DAY))),
        )
    }

    /// The part of each service's clients without a live region, by record type and by what the
    /// clients are counted in.
    fn uncovered(&self) -> Vec<MetricSample<f64>> {
        let mut samples = Vec::new();
        for service in &self.0 {
            for coverage in &service.coverage {
                uncovered_parts(&service.name, coverage, &mut samples);
            }
        }
        samples
    }

    /// A value for each region of each service.
    fn regions<T>(&self, value: impl Fn(&RegionHealth) -> T) -> Vec<MetricSample<T>> {
        let mut samples = Vec::new();
        for service in &self.0 {
            for region in &service.health {
                samples.push(MetricSample {
                    labels: vec![
                        ("service", service.name.clone()),
                        ("region", region.region.clone()),
                    ],
                    value: value(region),
                });
            }
        }
        samples
    }

    /// A value for each endpoint that has one.
    fn endpoints<T>(&self, value: impl Fn(&EndpointHealth) -> Option<T>) -> Vec<MetricSample<T>> {
        let mut samples = Vec::new();
        for service in &self.0 {
            for region in &service.health {
                for endpoint in &region.endpoints {
                    let Some(value) = value(endpoint) else {
                        continue;
                    };
                    let labels = vec![
                        ("service", service.name.clone()),
                        ("region", region.region.clone()),
                        ("endpoint", endpoint.endpoint.clone()),
                    ];
                    samples.push(MetricSample { labels, value });
                }
            }
        }
        samples
    }

    /// The phases of the last probe of each endpoint, in seconds.
    fn probes(&self) -> Vec<MetricSample<f64>> {
        let phases: [(&str, PhaseTime); 5] = [
            ("connect", |probe| probe.connect),
            ("tls", |probe| probe.tls),
            ("first-byte", |probe| probe.first_byte),
            ("body", |probe| probe.body),
            ("total", |probe| Some(probe.total)),
        ];
        let mut samples = Vec::new();
        for (phase, time) in phases {
            for mut sample in self.endpoints(|endpoint| time(endpoint.probe.as_ref()?)) {
                sample.labels.push(("phase", phase.to_owned()));
                sample.value /= 1000.0;
                samples.push(sample);
            }
        }
        samples
    }
}

fn uncovered_parts(service: &str, coverage: &Coverage, samples: &mut Vec<MetricSample<f64>>) {
    let mut parts = vec![
        ("addresses", &coverage.addresses),
        ("population", &coverage.population),
    ];
    if let Some(traffic) = &coverage.traffic {
        parts.push(("traffic", &traffic.parts));
    }
    for (over, parts) in parts {
        samples.push(MetricSample {
            labels: vec![
                ("service", service.to_owned()),
                ("type", coverage.rtype.clone()),
                ("over", over.to_owned()),
            ],
            value: parts.uncovered_percent() / 100.0,
        });
    }
}

/// Whether `max_removed` keeps an endpoint in answers: nothing else does that to one that is down
/// and has no override.
fn is_kept(endpoint: &EndpointHealth) -> bool {
    endpoint.up && endpoint.order.is_none() && endpoint.verdict == word(HealthState::Down)
}

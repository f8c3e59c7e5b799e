//! `GET /metrics`: counters and gauges in the text format of OpenMetrics.
//!
//! Nothing is kept between two scrapes: each scrape reads the counters of the server and one
//! [`HealthView`]. [`MetricsWriter`] writes a metric from its samples; the methods of [`Metrics`]
//! list the metrics by theme. Names and labels are an interface: they are listed in
//! `docs/admin-api.md` and never change.

mod writer;

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
use crate::control::orders::{Override, OverrideAction};
use crate::control::watchdog::WatchedPart;
use crate::control::{HealthView, process, word};
use crate::explain::SourceFacts;
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
        self.operators(&mut page, &view)?;
        page.gauges(
            "geodata_age_seconds",
            "Age of each source of geodata",
            self.geodata_ages(),
        )
    }
}

/// How often each event was counted.
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
        page.gauges("build_info", "The version that runs", vec![version])?;
        let fingerprint = MetricSample::new("fingerprint", control.fingerprint(), 1i64);
        page.gauges(
            "configuration_info",
            "Fingerprint of the configuration and the zones that are served",
            vec![fingerprint],
        )?;
        let mut serials = Vec::new();
        for zone in &control.snapshot().catalog.zones {
            let origin = zone.origin.to_string();
            serials.push(MetricSample::new("zone", origin, i64::from(zone.serial)));
        }
        page.gauges(
            "zone_serial",
            "SERIAL of the SOA of each zone that is served",
            serials,
        )?;
        let uptime = self.0.started.elapsed().as_secs() as i64;
        page.gauge("uptime_seconds", "Seconds since the start", uptime)?;
        let mut resident = Vec::new();
        if let Some(octets) = process::resident() {
            resident.push(MetricSample::plain(octets as i64));
        }
        page.gauges(
            "resident_memory_bytes",
            "Memory that the process holds",
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
            "From a message that was read to its reply, of one batch of 64",
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
        page.counters("denied", "Queries from networks that may not ask", denied)?;
        let cookies = events.samples(
            "cookie",
            &[
                ("good", AbuseEvent::GoodCookie),
                ("new", AbuseEvent::NewCookie),
            ],
        );
        page.counters(
            "cookie_queries",
            "Queries with a cookie, by whether it was one of ours",
            cookies,
        )
    }

    fn connections(&self, page: &mut MetricsWriter<'_>) -> fmt::Result {
        let events = EventCounts(self.0.stats.events());
        page.counter(
            "tcp_opened",
            "Connections that were accepted",
            events.count(AbuseEvent::Connected),
        )?;
        let open = self.0.stats.connections().load(Ordering::Relaxed);
        page.gauge("tcp_connections", "Connections that are open", open as i64)?;
        let closed = events.samples(
            "reason",
            &[
                ("idle", AbuseEvent::Evicted),
                ("client-limit", AbuseEvent::EvictedOfClient),
            ],
        );
        page.counters(
            "tcp_closed",
            "Connections ended because there were too many",
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
            "Whether the last reload was done: what is on disk is served",
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
            "Probes that could not be made, by what was missing on this server",
            not_made,
        )?;
        let services = ServiceSamples(health::services(view));
        page.gauges(
            "service_uncovered_ratio",
            "The part of a service's clients that has no live region, 0 to 1",
            services.uncovered(),
        )?;
        services.write_regions(page)?;
        services.write_endpoints(page)
    }

    /// Overrides and leases.
    fn operators(&self, page: &mut MetricsWriter<'_>, view: &HealthView) -> fmt::Result {
        let now = BootTime::now();
        let mut orders = Vec::new();
        for override_ in &view.orders {
            orders.push(override_sample(override_, now));
        }
        page.gauges(
            "order",
            "Orders of operators in force; of a weight the weight, of a shift the part shifted",
            orders,
        )?;
        page.gauge(
            "leases",
            "Endpoints that are there by a lease",
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
            "The part of its clients that a region takes, 0 to 1",
            self.regions(|region| region.share_percent / 100.0),
        )?;
        page.counters(
            "answers",
            "Answers that lead to a region",
            self.regions(|region| region.answers),
        )
    }

    fn write_endpoints(&self, page: &mut MetricsWriter<'_>) -> fmt::Result {
        page.gauges(
            "probe_seconds",
            "From the start of the last probe until a phase was over",
            self.probes(),
        )?;
        page.gauges(
            "endpoint_up",
            "Whether an endpoint may be given out",
            self.endpoints(|endpoint| Some(i64::from(endpoint.up))),
        )?;
        page.gauges(
            "endpoint_kept",
            "Whether an endpoint is given out though it is down, by max_removed",
            self.endpoints(|endpoint| Some(i64::from(is_kept(endpoint)))),
        )?;
        page.gauges(
            "certificate_remaining_seconds",
            "Until a certificate expires, in whole days",
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

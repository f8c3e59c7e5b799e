//! `GET /metrics`: counters in the text format of Prometheus, read when somebody asks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeMetric, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::status::queries;
use super::{AdminContext, EndpointHealth, ProbeTimes, RegionHealth, ServiceStatus, health};
use crate::control::clock::BootTime;
use crate::control::orders::{Override, OverrideAction};
use crate::control::watchdog::WatchedPart;
use crate::control::{HealthView, process, word};
use crate::explain::SourceFacts;
use crate::foresight::coverage::Coverage;
use crate::health::machine::HealthState;
use crate::log_queue;
use crate::server::{AbuseEvent, Histogram};

/// Media type of what [`render`] makes.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds of a day.
const DAY: i64 = 86_400;

/// All metrics.
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
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let context = &self.0;
        let build = [(
            vec![("version", env!("CARGO_PKG_VERSION").to_owned())],
            1i64,
        )];
        gauges(&mut encoder, "build_info", "The version that runs", build)?;
        let loaded = [(vec![("fingerprint", context.control.fingerprint())], 1i64)];
        let help = "What tells the configuration and the zones that are served from others";
        gauges(&mut encoder, "configuration_info", help, loaded)?;
        let snapshot = context.control.snapshot();
        let serial = |zone: &crate::catalog::CatalogZone| {
            (
                vec![("zone", zone.origin.to_string())],
                i64::from(zone.serial),
            )
        };
        let serials = snapshot.catalog.zones.iter().map(serial);
        gauges(
            &mut encoder,
            "zone_serial",
            "SERIAL of the SOA of each zone that is served",
            serials,
        )?;
        let uptime = [(Vec::new(), context.started.elapsed().as_secs() as i64)];
        gauges(
            &mut encoder,
            "uptime_seconds",
            "Seconds since the start",
            uptime,
        )?;
        let resident = process::resident().map(|octets| (Vec::new(), octets as i64));
        gauges(
            &mut encoder,
            "resident_memory_bytes",
            "Memory that the process holds",
            resident,
        )?;
        let lost = [(Vec::new(), log_queue::STDERR.lost())];
        counters(
            &mut encoder,
            "log_lines_dropped",
            "Lines of the log that could not be written",
            lost,
        )?;
        gauges(
            &mut encoder,
            "stuck",
            "Whether a part has not turned for longer than it may",
            stuck(context),
        )?;
        let queries = queries(&context.tallies.sums()).into_iter();
        let queries = queries.map(|(verdict, count)| (vec![("verdict", verdict)], count));
        counters(
            &mut encoder,
            "queries",
            "Queries by what became of them",
            queries,
        )?;
        let carried = context.tallies.by_carrier();
        let carried = carried.map(|(word, count)| (vec![("transport", word.to_owned())], count));
        counters(
            &mut encoder,
            "transport_queries",
            "Queries by what they came on",
            carried,
        )?;
        times(&mut encoder, &context.tallies.times())?;
        let events = context.tallies.events();
        let count = |event: AbuseEvent| events.get(event as usize).copied().unwrap_or(0);
        let named = |label: &'static str, (word, event): (&str, AbuseEvent)| {
            (vec![(label, word.to_owned())], count(event))
        };
        let limited = [
            ("truncated", AbuseEvent::LimitedTruncated),
            ("dropped", AbuseEvent::LimitedDropped),
            ("dry-run", AbuseEvent::LimitedDryRun),
        ];
        let limited = limited.map(|limited| named("action", limited));
        counters(
            &mut encoder,
            "limited",
            "Queries of networks that were answered often enough",
            limited,
        )?;
        let denied = [
            ("refused", AbuseEvent::Denied),
            ("dropped", AbuseEvent::Ignored),
        ]
        .map(|denied| named("action", denied));
        counters(
            &mut encoder,
            "denied",
            "Queries from networks that may not ask",
            denied,
        )?;
        let cookies = [
            ("good", AbuseEvent::GoodCookie),
            ("new", AbuseEvent::NewCookie),
        ]
        .map(|cookie| named("cookie", cookie));
        counters(
            &mut encoder,
            "cookie_queries",
            "Queries with a cookie, by whether it was one of ours",
            cookies,
        )?;
        let opened = [(Vec::new(), count(AbuseEvent::Connected))];
        counters(
            &mut encoder,
            "tcp_opened",
            "Connections that were given a place",
            opened,
        )?;
        let open = [(
            Vec::new(),
            context.tallies.connections().load(Ordering::Relaxed) as i64,
        )];
        gauges(
            &mut encoder,
            "tcp_connections",
            "Connections that are open",
            open,
        )?;
        let closed = [
            ("idle", AbuseEvent::Evicted),
            ("client-limit", AbuseEvent::EvictedOfClient),
        ];
        let closed = closed.map(|closed| named("reason", closed));
        counters(
            &mut encoder,
            "tcp_closed",
            "Connections ended because there were too many",
            closed,
        )?;
        let reloads = context.control.reloads();
        let last_ok = [(
            Vec::new(),
            i64::from(reloads.last.as_ref().is_none_or(|last| last.ok)),
        )];
        let reloads = [("ok", reloads.ok), ("refused", reloads.refused)];
        let reloads = reloads.map(|(result, count)| (vec![("result", result.to_owned())], count));
        counters(&mut encoder, "reloads", "Reloads by result", reloads)?;
        gauges(
            &mut encoder,
            "last_reload_ok",
            "Whether the last reload was done: what is on disk is served",
            last_ok,
        )?;
        let view = context.control.view();
        let changes = view
            .transitions
            .iter()
            .map(|(to, count)| (vec![("to", (*to).to_owned())], *count));
        counters(
            &mut encoder,
            "health_transitions",
            "Changes of verdicts by what they led to",
            changes,
        )?;
        self.health(&mut encoder, &view)?;
        gauges(
            &mut encoder,
            "order",
            "Orders of operators in force; of a weight the weight, of a shift the part shifted",
            orders(&view),
        )?;
        let leases = [(Vec::new(), view.leases.iter().count() as i64)];
        gauges(
            &mut encoder,
            "leases",
            "Endpoints that came by themselves",
            leases,
        )?;
        gauges(
            &mut encoder,
            "geodata_age_seconds",
            "How old each source of geodata is",
            self.ages(),
        )
    }
}

/// Label names and values.
type Labels = Vec<(&'static str, String)>;

impl Metrics {
    /// How regions and endpoints stand.
    fn health(&self, encoder: &mut DescriptorEncoder<'_>, view: &HealthView) -> fmt::Result {
        let services = health::services(view);
        let suspect = [(Vec::new(), i64::from(view.suspect))];
        gauges(
            encoder,
            "health_suspect",
            "Whether nothing can be reached and the last agreed health is held",
            suspect,
        )?;
        let not_made = view
            .not_made
            .iter()
            .map(|(kind, count)| (vec![("missing", kind.word().to_owned())], *count));
        let help = "Probes that could not be made, by what was missing on this server";
        counters(encoder, "probes_not_made", help, not_made)?;
        let help = "The part of a service's clients that has no live region, 0 to 1";
        gauges(
            encoder,
            "service_uncovered_ratio",
            help,
            uncovered(&services),
        )?;
        let shares = regions(&services, |region| region.share_percent / 100.0);
        gauges(
            encoder,
            "region_share",
            "The part of its clients that a region takes, 0 to 1",
            shares,
        )?;
        let answers = regions(&services, |region| region.answers);
        counters(encoder, "answers", "Answers that lead to a region", answers)?;
        gauges(
            encoder,
            "probe_seconds",
            "From the start of the last probe until a phase was over",
            probes(&services),
        )?;
        let up = endpoints(&services, |endpoint| Some(i64::from(endpoint.up)));
        gauges(
            encoder,
            "endpoint_up",
            "Whether an endpoint may be given out",
            up,
        )?;
        let kept = endpoints(&services, |endpoint| Some(i64::from(is_kept(endpoint))));
        gauges(
            encoder,
            "endpoint_kept",
            "Whether an endpoint is given out though it is down, by max_removed",
            kept,
        )?;
        let left = endpoints(&services, |endpoint| {
            Some(endpoint.certificate_days?.saturating_mul(DAY))
        });
        gauges(
            encoder,
            "certificate_remaining_seconds",
            "Until a certificate expires, in whole days",
            left,
        )
    }

    fn ages(&self) -> Vec<(Labels, i64)> {
        let now = SystemTime::now();
        let snapshot = self.0.control.snapshot();
        let age = |source: &crate::geo::DataSource| {
            let age = now
                .duration_since(source.built?)
                .unwrap_or_default()
                .as_secs() as i64;
            let SourceFacts { name, kind, .. } = SourceFacts::of(source, now);
            Some((vec![("source", name), ("kind", kind)], age))
        };
        snapshot
            .catalog
            .atlas
            .sources()
            .iter()
            .filter_map(age)
            .collect()
    }
}

/// Whether each part is stuck.
fn stuck(context: &AdminContext) -> Vec<(Labels, i64)> {
    let stuck = context.control.watchdog().stuck();
    let is_stuck = |part: WatchedPart| i64::from(stuck.iter().any(|stuck| stuck.part == part));
    WatchedPart::ALL
        .map(|part| (vec![("part", part.word().to_owned())], is_stuck(part)))
        .to_vec()
}

/// The part of each service's clients without a live region, by what they are asked by and counted by.
fn uncovered(services: &[ServiceStatus]) -> Vec<(Labels, f64)> {
    let mut values = Vec::new();
    for service in services {
        for Coverage {
            rtype,
            addresses,
            population,
            traffic,
            ..
        } in &service.coverage
        {
            let traffic = traffic.as_ref().map(|traffic| &traffic.parts);
            for (over, parts) in [
                ("addresses", Some(addresses)),
                ("population", Some(population)),
                ("traffic", traffic),
            ] {
                let labels = vec![
                    ("service", service.name.clone()),
                    ("type", rtype.clone()),
                    ("over", over.to_owned()),
                ];
                values.extend(parts.map(|parts| (labels, parts.uncovered_percent() / 100.0)));
            }
        }
    }
    values
}

/// A value for each region of each service.
fn regions<T>(services: &[ServiceStatus], value: impl Fn(&RegionHealth) -> T) -> Vec<(Labels, T)> {
    let pairs = services
        .iter()
        .flat_map(|service| service.health.iter().map(move |region| (service, region)));
    let labels = |(service, region): (&ServiceStatus, &RegionHealth)| {
        (
            vec![
                ("service", service.name.clone()),
                ("region", region.region.clone()),
            ],
            value(region),
        )
    };
    pairs.map(labels).collect()
}

/// A value for each endpoint of each service that has one.
fn endpoints<T>(
    services: &[ServiceStatus],
    value: impl Fn(&EndpointHealth) -> Option<T>,
) -> Vec<(Labels, T)> {
    let mut values = Vec::new();
    for service in services {
        for (region, endpoint) in service
            .health
            .iter()
            .flat_map(|it| it.endpoints.iter().map(|one| (&it.region, one)))
        {
            let labels = vec![
                ("service", service.name.clone()),
                ("region", region.clone()),
                ("endpoint", endpoint.endpoint.clone()),
            ];
            values.extend(value(endpoint).map(|value| (labels, value)));
        }
    }
    values
}

/// The phases of the last probe of each endpoint, in seconds.
fn probes(services: &[ServiceStatus]) -> Vec<(Labels, f64)> {
    let phase = |word: &'static str, time: fn(&ProbeTimes) -> Option<f64>| {
        let mut values = endpoints(services, |endpoint| {
            Some(time(endpoint.probe.as_ref()?)? / 1000.0)
        });
        values
            .iter_mut()
            .for_each(|(labels, _)| labels.push(("phase", word.to_owned())));
        values
    };
    [
        phase("connect", |probe| probe.connect),
        phase("tls", |probe| probe.tls),
        phase("first-byte", |probe| probe.first_byte),
        phase("body", |probe| probe.body),
        phase("total", |probe| Some(probe.total)),
    ]
    .concat()
}

/// Only the brake gives out what is down without an order.
fn is_kept(endpoint: &EndpointHealth) -> bool {
    endpoint.up && endpoint.order.is_none() && endpoint.verdict == word(HealthState::Down)
}

/// 1, the weight, or the part of the clients that is shifted by now, for each order; what it is not about is an empty label.
fn orders(view: &HealthView) -> Vec<(Labels, f64)> {
    let now = BootTime::now();
    let labels = |order: &Override| {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        let (action, value) = match order.demand {
            OverrideAction::Drain => ("drain", 1.0),
            OverrideAction::ForceUp => ("force-up", 1.0),
            OverrideAction::ForceDown => ("force-down", 1.0),
            OverrideAction::Weight { weight } => ("weight", f64::from(weight)),
            OverrideAction::Shift { .. } => ("shift", order.moved(now)),
        };
        let labels = vec![
            ("action", action.to_owned()),
            ("service", part(&order.subject.service)),
            ("region", part(&order.subject.region)),
            ("endpoint", part(&order.subject.endpoint)),
        ];
        (labels, value)
    };
    view.orders.iter().map(labels).collect()
}

/// How long answers take, as far as it was measured.
fn times(encoder: &mut DescriptorEncoder<'_>, times: &[(&str, Histogram)]) -> fmt::Result {
    let help = "From a message that was read to its reply, of one batch of 64";
    let mut metric =
        encoder.encode_descriptor("answer_seconds", help, None, MetricType::Histogram)?;
    for (word, Histogram { buckets, sum }) in times {
        let labels = vec![("transport", (*word).to_owned())];
        let count = buckets.iter().map(|(_, count)| count).sum();
        metric
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(*sum, count, buckets, None)?;
    }
    Ok(())
}

fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    values.into_iter().try_for_each(|(labels, value)| {
        ConstCounter::new(value).encode(metric.encode_family(&labels)?)
    })
}

fn gauges<N: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, N)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    values.into_iter().try_for_each(|(labels, value)| {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)
    })
}

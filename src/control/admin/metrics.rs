//! `GET /metrics`: counters in the text format of Prometheus, read when somebody asks.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::status::queries;
use super::{Context, health};
use crate::answer::explain::SourceFacts;
use crate::control::View;
use crate::control::orders::{Demand, Order};
use crate::server::Event;

/// Media type of what [`render`] makes.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics.
pub fn render(context: &Arc<Context>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("meridian");
    registry.register_collector(Box::new(Metrics(context.clone())));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

struct Metrics(Arc<Context>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let context = &self.0;
        let build = [(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1)];
        gauges(&mut encoder, "build_info", "The version that runs", build)?;
        let uptime = [(Vec::new(), context.started.elapsed().as_secs())];
        gauges(&mut encoder, "uptime_seconds", "Seconds since the start", uptime)?;
        let queries = queries(&context.tallies.sums()).into_iter();
        let queries = queries.map(|(verdict, count)| (vec![("verdict", verdict)], count));
        counters(&mut encoder, "queries", "Queries by what became of them", queries)?;
        let carried = context.tallies.by_carrier();
        let carried = carried.map(|(word, count)| (vec![("transport", word.to_owned())], count));
        counters(&mut encoder, "transport_queries", "Queries by what they came on", carried)?;
        let events = context.tallies.events();
        let count = |event: Event| events.get(event as usize).copied().unwrap_or(0);
        let named = |label: &'static str, (word, event): (&str, Event)| (vec![(label, word.to_owned())], count(event));
        let limited = [
            ("truncated", Event::LimitedTruncated),
            ("dropped", Event::LimitedDropped),
            ("dry-run", Event::LimitedDryRun),
        ];
        let limited = limited.map(|limited| named("action", limited));
        counters(&mut encoder, "limited", "Queries of networks that were answered often enough", limited)?;
        let denied = [("refused", Event::Denied), ("dropped", Event::Ignored)].map(|denied| named("action", denied));
        counters(&mut encoder, "denied", "Queries from networks that may not ask", denied)?;
        let closed = [("idle", Event::Evicted), ("client-limit", Event::TurnedAway)];
        let closed = closed.map(|closed| named("reason", closed));
        counters(&mut encoder, "tcp_closed", "Connections ended because there were too many", closed)?;
        let reloads = context.control.reloads();
        let reloads = [("ok", reloads.ok), ("refused", reloads.refused)];
        let reloads = reloads.map(|(result, count)| (vec![("result", result.to_owned())], count));
        counters(&mut encoder, "reloads", "Reloads by result", reloads)?;
        let view = context.control.view();
        let changes = view.transitions.iter().map(|(to, count)| (vec![("to", (*to).to_owned())], *count));
        counters(&mut encoder, "health_transitions", "Changes of verdicts by what they led to", changes)?;
        gauges(&mut encoder, "endpoint_up", "Whether an endpoint may be given out", endpoints(&view))?;
        gauges(&mut encoder, "order", "Orders of operators in force; the weight of those about weight", orders(&view))?;
        let leases = [(Vec::new(), view.leases.iter().count() as u64)];
        gauges(&mut encoder, "leases", "Endpoints that came by themselves", leases)?;
        gauges(&mut encoder, "geodata_age_seconds", "How old each source of geodata is", self.ages())
    }
}

/// Label names and values.
type Labels = Vec<(&'static str, String)>;

impl Metrics {
    fn ages(&self) -> Vec<(Labels, u64)> {
        let now = SystemTime::now();
        let snapshot = self.0.control.snapshot();
        let age = |source: &crate::geo::Source| {
            let age = now.duration_since(source.built?).unwrap_or_default().as_secs();
            let SourceFacts { name, kind, .. } = SourceFacts::of(source, now);
            Some((vec![("source", name), ("kind", kind)], age))
        };
        snapshot.world.atlas.sources().iter().filter_map(age).collect()
    }
}

/// 1 or 0 for each endpoint of each service.
fn endpoints(view: &View) -> Vec<(Labels, u64)> {
    let mut values = Vec::new();
    for service in health::services(view) {
        for (region, endpoint) in service.health.iter().flat_map(|it| it.endpoints.iter().map(|one| (&it.region, one)))
        {
            let labels = vec![
                ("service", service.name.clone()),
                ("region", region.clone()),
                ("endpoint", endpoint.endpoint.clone()),
            ];
            values.push((labels, u64::from(endpoint.up)));
        }
    }
    values
}

/// 1, or the weight, for each order; what it is not about is an empty label.
fn orders(view: &View) -> Vec<(Labels, u64)> {
    let labels = |order: &Order| {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        let (action, value) = match order.demand {
            Demand::Drain => ("drain", 1),
            Demand::ForceUp => ("force-up", 1),
            Demand::ForceDown => ("force-down", 1),
            Demand::Weight { weight } => ("weight", u64::from(weight)),
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

fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    values.into_iter().try_for_each(|(labels, value)| ConstCounter::new(value).encode(metric.encode_family(&labels)?))
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    values
        .into_iter()
        .try_for_each(|(labels, value)| ConstGauge::new(value as i64).encode(metric.encode_family(&labels)?))
}

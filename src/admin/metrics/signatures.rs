//! The metrics of signed zones (DNSSEC): how many signatures there are, how long they last, and how many
//! denials were signed when somebody asked.
//!
//! What matters is the first signature of a zone to expire, since a resolver that validates refuses
//! its RRset from then on.

use std::fmt;
use std::sync::atomic::Ordering;

use super::writer::{MetricSample, MetricsWriter};
use crate::catalog::{Catalog, ZoneId};
use crate::control::on_demand::{DenialCounts, denial_counts};
use crate::control::process;
use crate::server::{AbuseEvent, ServerStats};

/// Writes them; a zone that is not signed has none.
pub fn write(page: &mut MetricsWriter<'_>, catalog: &Catalog, stats: &ServerStats) -> fmt::Result {
    let now = process::clock().load(Ordering::Relaxed);
    let mut left = Vec::new();
    let mut count = 0;
    if let Some(signed) = &catalog.signed {
        count = signed.count() as i64;
        for (id, zone) in (0..).zip(&catalog.zones) {
            if let Some(signed) = signed.zone(ZoneId(id)) {
                let seconds = signed.expires.wrapping_sub(now).cast_signed();
                let origin = zone.origin.to_string();
                left.push(MetricSample::new("zone", origin, i64::from(seconds)));
            }
        }
    }
    page.gauges(
        "signatures_left_seconds",
        "Seconds until the first signature of a zone expires",
        left,
    )?;
    page.gauge(
        "signatures",
        "Signatures of all zones, steered names left out",
        count,
    )?;
    write_denials(page, stats)
}

/// Writes how many denials were signed when somebody asked (RFC 9824).
fn write_denials(page: &mut MetricsWriter<'_>, stats: &ServerStats) -> fmt::Result {
    page.counters(
        "compact_denials",
        "Denials that needed a new signature because somebody asked",
        denials(stats),
    )
}

fn denials(stats: &ServerStats) -> Vec<MetricSample<u64>> {
    let DenialCounts { signed, refused } = denial_counts();
    vec![
        MetricSample::new("result", "signed", signed),
        MetricSample::new("result", "refused", refused),
        MetricSample::new("result", "truncated", truncated(stats)),
    ]
}

fn truncated(stats: &ServerStats) -> u64 {
    let events = stats.events();
    let found = events.get(AbuseEvent::TooManyDenials as usize);
    found.copied().unwrap_or(0)
}

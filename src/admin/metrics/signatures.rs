//! The metrics of signed zones (DNSSEC): how many signatures there are, and how long they last.
//!
//! What matters is the first signature of a zone to expire, since a resolver that validates refuses
//! its RRset from then on.

use std::fmt;
use std::sync::atomic::Ordering;

use super::writer::{MetricSample, MetricsWriter};
use crate::catalog::{Catalog, ZoneId};
use crate::control::process;

/// Writes them; a zone that is not signed has none.
pub fn write(page: &mut MetricsWriter<'_>, catalog: &Catalog) -> fmt::Result {
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
    )
}

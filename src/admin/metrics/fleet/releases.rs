//! The metrics of releases. A server without `[fleet.releases]` has none of them.

use std::fmt;

use crate::admin::metrics::writer::{MetricSample, MetricsWriter};
use crate::control::releases::ReleasesReport;

/// Writes the metrics of releases.
pub fn write(page: &mut MetricsWriter<'_>, report: &ReleasesReport) -> fmt::Result {
    let newest = report.release.as_ref().map_or(0, |release| release.number);
    page.gauge(
        "fleet_release_newest",
        "The number of the newest release that counts, 0 if there is none",
        newest as i64,
    )?;
    page.gauge(
        "fleet_release_serving",
        "The number of the release that is served, 0 for the server's own files",
        report.serving as i64,
    )?;
    page.gauge(
        "fleet_release_halted",
        "Whether the newest release is halted",
        i64::from(report.halted.is_some()),
    )?;
    write_refused(page, report)
}

fn write_refused(page: &mut MetricsWriter<'_>, report: &ReleasesReport) -> fmt::Result {
    let mut refused = Vec::new();
    for (reason, count) in &report.refused {
        refused.push(MetricSample::new("reason", reason, *count));
    }
    page.counters(
        "fleet_releases_refused",
        "Releases that this server did not take, by reason",
        refused,
    )
}

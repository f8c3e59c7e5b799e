//! The metrics of a fleet. A server without `[fleet]` has none of them.
//!
//! See `docs/admin-api.md` for the list. Ages are those of the last turn of the fleet's task, which is
//! at most a second ago.

mod releases;

use std::fmt;

use super::writer::{MetricSample, MetricsWriter};
use crate::control::Control;
use crate::control::fleet::leases::LeasesReport;
use crate::control::fleet::orders::report::OrdersReport;
use crate::control::fleet::report::FleetReport;
use crate::fleet::desired::OrdersAlarm;

/// Writes the metrics of a fleet.
pub fn write(page: &mut MetricsWriter<'_>, report: &FleetReport, control: &Control) -> fmt::Result {
    page.gauge(
        "fleet_linked",
        "Whether a NATS server is connected",
        i64::from(report.linked),
    )?;
    page.counter(
        "fleet_link_changes",
        "How often the connection to NATS was made or lost",
        report.link_changes,
    )?;
    page.gauge(
        "fleet_quorum",
        "Whether enough groups are in touch to decide",
        i64::from(report.quorum),
    )?;
    let groups = vec![
        MetricSample::new("state", "fresh", report.fresh_groups as i64),
        MetricSample::new("state", "known", report.known_groups as i64),
    ];
    page.gauges("fleet_groups", "Vantage groups of the fleet", groups)?;
    page.gauge(
        "fleet_outvoted_checks",
        "Checks that this server sees otherwise than the fleet",
        report.outvoted as i64,
    )?;
    page.gauge(
        "fleet_disputed",
        "Whether another server has the name of this one",
        i64::from(report.disputed),
    )?;
    page.gauge(
        "fleet_needs_restart",
        "Whether a changed [fleet] waits for a restart",
        i64::from(report.needs_restart),
    )?;
    page.gauge(
        "fleet_strangers",
        "Servers that never had a check in common with this one: perhaps another fleet of the same name",
        report.strangers.len() as i64,
    )?;
    let (mut ages, mut differing) = (Vec::new(), Vec::new());
    for voter in &report.voters {
        ages.push(MetricSample::new("voter", &voter.name, voter.age_seconds));
        let count = voter.differing as i64;
        differing.push(MetricSample::new("voter", &voter.name, count));
    }
    page.gauges(
        "fleet_view_age_seconds",
        "Age of the last view of each other server",
        ages,
    )?;
    page.gauges(
        "fleet_differing_checks",
        "Checks that another server sees otherwise than the fleet",
        differing,
    )?;
    page.counter(
        "fleet_views",
        "Messages of other servers that arrived",
        report.views,
    )?;
    let mut refused = Vec::new();
    for (reason, count) in &report.refused {
        refused.push(MetricSample::new("reason", reason, *count));
    }
    page.counters(
        "fleet_views_refused",
        "Messages that were not counted, by reason",
        refused,
    )?;
    let mut refused = Vec::new();
    if let Some(reports) = control.fleet_reports() {
        for (reason, count) in &reports.now().refused {
            refused.push(MetricSample::new("reason", *reason, *count));
        }
    }
    page.counters(
        "fleet_reports_refused",
        "Reports of other servers that were not counted, by reason",
        refused,
    )?;
    if let Some(orders) = &report.orders {
        write_orders(page, orders)?;
    }
    if let Some(leases) = &report.leases {
        write_leases(page, leases)?;
    }
    match &report.releases {
        Some(report) => releases::write(page, report),
        None => Ok(()),
    }
}

/// Writes the metrics of the fleet's orders.
fn write_orders(page: &mut MetricsWriter<'_>, orders: &OrdersReport) -> fmt::Result {
    page.gauge(
        "fleet_orders_current",
        "Whether the fleet's orders can be read and changed",
        i64::from(orders.linked && orders.current),
    )?;
    page.gauge(
        "fleet_orders_revision",
        "The greatest revision of the fleet's orders that was seen",
        orders.revision as i64,
    )?;
    let mut alarms = Vec::new();
    for reason in OrdersAlarm::WORDS {
        let is_so = orders.alarm_reason.as_deref() == Some(reason);
        alarms.push(MetricSample::new("reason", reason, i64::from(is_so)));
    }
    page.gauges(
        "fleet_orders_alarm",
        "Whether the bucket of orders does not count, by reason",
        alarms,
    )?;
    page.counter(
        "fleet_orders_refused",
        "Values in the bucket that are no orders",
        orders.refused,
    )?;
    page.gauge(
        "fleet_orders_here_only",
        "Orders that are in force on this server only",
        orders.here_only as i64,
    )
}

/// Writes the metrics of the fleet's leases.
fn write_leases(page: &mut MetricsWriter<'_>, leases: &LeasesReport) -> fmt::Result {
    page.counter(
        "fleet_lease_messages",
        "Messages of other servers about leases",
        leases.messages,
    )?;
    let mut refused = Vec::new();
    for (reason, count) in &leases.refused {
        refused.push(MetricSample::new("reason", reason, *count));
    }
    page.counters(
        "fleet_leases_refused",
        "Messages about leases, and leases, that did not count",
        refused,
    )
}

//! The orders that are in force on the server that was asked, and on which others they are.
//!
//! Every order of a fleet has a revision, and every server reports up to which revision it has put
//! orders in force. So an order is in force where that is its own revision or a later one, of the same
//! epoch of the bucket.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::Control;
use crate::control::clock::ClockReading;
use crate::control::fleet::reports::ReportsNow;
use crate::control::overrides::{OrderScope, Override};
use crate::fleet::server_report::{ReportedOrders, ServerRole};

/// An order, and where it is in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetOrderStatus {
    /// What is ordered: `fra is drained`.
    pub order: String,
    /// The author.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// When it was ordered, in seconds since 1970.
    pub since: u64,
    /// How many seconds are left; absent: until it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// Its revision; absent: it is an order of the server that was asked only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The nameservers where it is in force.
    pub in_force: Vec<String>,
    /// The nameservers that report, and where it is not.
    pub missing: Vec<String>,
    /// The nameservers of which that is not known: they do not report now.
    pub unknown: Vec<String>,
}

/// The orders in force here, at `time` of the board's clock.
pub(super) fn orders(
    control: &Control,
    overrides: &[Override],
    reports: &ReportsNow,
    time: Duration,
) -> Vec<FleetOrderStatus> {
    let clock = ClockReading::now();
    let mut list = Vec::with_capacity(overrides.len());
    for order in overrides {
        let record = order.record(&clock);
        let is_shared = order.scope == OrderScope::Fleet;
        let revision = control.order_revision(order).filter(|_| is_shared);
        let mut status = FleetOrderStatus {
            order: format!("{} {}", order.subject, order.as_clause()),
            by: order.by.clone(),
            reason: order.reason.clone(),
            since: order.since,
            seconds_left: record.ending.seconds_left,
            revision,
            in_force: vec![reports.own.server.clone()],
            ..FleetOrderStatus::default()
        };
        if let (Some(revision), Some(own)) = (revision, &reports.own.orders) {
            for (name, server) in reports.board.servers() {
                let report = &server.report;
                if report.role == ServerRole::Nameserver {
                    let place = if !server.is_fresh(time) {
                        &mut status.unknown
                    } else if has(report.orders.as_ref(), own.epoch, revision) {
                        &mut status.in_force
                    } else {
                        &mut status.missing
                    };
                    place.push(name.clone());
                }
            }
            status.in_force.sort();
        }
        list.push(status);
    }
    list
}

fn has(orders: Option<&ReportedOrders>, epoch: u64, revision: u64) -> bool {
    orders.is_some_and(|orders| orders.epoch == epoch && orders.revision >= revision)
}

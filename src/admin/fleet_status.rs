//! The body of `GET /v1/fleet`: all servers of a fleet on one page, as this server knows them.
//!
//! It joins three things: the votes, which say whose view counts and who sees a check otherwise; the
//! reports, which say what each server is and does; and the orders in force here, with the revision up
//! to which each server has put them in force. Times are ages by this server's monotonic clock, or
//! wall-clock times as others state them, for people.

mod orders;
mod servers;
mod summary;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::orders::FleetOrderStatus;
pub use self::servers::{ClockDifference, FleetServerStatus};

use super::context::AdminContext;
use super::error::ApiError;
use super::read_threads::ReadThreads;
use crate::control::fleet::differing::DifferingCheck;

/// A fleet, as the server knows it that was asked. Keys are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetStatus {
    /// The most serious problem, and how many others there are.
    pub summary: String,
    /// The name of the fleet.
    pub name: String,
    /// The server that says all this.
    pub server: String,
    /// Whether it is connected to a NATS server.
    pub linked: bool,
    /// Since how many seconds it is; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_seconds: Option<u64>,
    /// Whether enough groups are in touch to decide. If not, the last agreed health holds.
    pub quorum: bool,
    /// Groups whose votes count now.
    pub fresh_groups: usize,
    /// Groups that were heard within the last day.
    pub known_groups: usize,
    /// Every server, by name.
    pub servers: Vec<FleetServerStatus>,
    /// What they answer together.
    pub rates: FleetRates,
    /// Checks about which servers say different things, at most 64.
    pub differing: Vec<DifferingCheck>,
    /// The orders in force on the server that was asked.
    pub orders: Vec<FleetOrderStatus>,
    /// Why the bucket of orders does not count; absent: it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders_alarm: Option<String>,
    /// Servers that never had a check in common with the one that was asked. They do not count.
    pub strangers: Vec<String>,
    /// What the NATS servers refuse to the reports of the server that was asked; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// Rates of several servers, added up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetRates {
    /// The nameservers that are counted: those with a report of the last seconds.
    pub servers: usize,
    /// Queries per second.
    pub queries_per_second: f64,
    /// The same by result.
    pub queries: BTreeMap<String, f64>,
    /// Answers per second, by region.
    pub regions: BTreeMap<String, f64>,
}

/// Answers with all servers of the fleet.
///
/// # Errors
/// 404: this server has no fleet.
pub async fn fleet_status(
    State(context): State<Arc<AdminContext>>,
    Extension(reads): Extension<ReadThreads>,
) -> Result<Response, ApiError> {
    reads.json(move || FleetStatus::of(&context)).await
}

impl FleetStatus {
    /// The fleet as this server knows it now.
    ///
    /// # Errors
    /// 404: this server has no fleet.
    pub fn of(context: &AdminContext) -> Result<FleetStatus, ApiError> {
        let control = &context.control;
        let (Some(fleet), Some(reports)) = (control.fleet(), control.fleet_reports()) else {
            return Err(ApiError::not_found("this server has no [fleet]"));
        };
        let (votes, time) = (fleet.now(), reports.time());
        let reports = reports.now();
        let view = control.view();
        let orders_report = view.fleet.as_ref().and_then(|fleet| fleet.orders.clone());
        let servers = servers::servers(&votes.report, &reports, time);
        let orders = orders::orders(control, &view.orders, &reports, time);
        let report = &votes.report;
        let mut status = FleetStatus {
            summary: String::new(),
            name: report.name.clone(),
            server: report.voter.clone(),
            linked: report.linked,
            linked_seconds: report.linked_seconds,
            quorum: report.quorum,
            fresh_groups: report.fresh_groups,
            known_groups: report.known_groups,
            rates: FleetRates::of(&servers),
            servers,
            differing: votes.differing.to_vec(),
            orders,
            orders_alarm: orders_report.and_then(|orders| orders.alarm),
            strangers: report.strangers.clone(),
            refusal: reports.refusal.clone(),
        };
        status.summary = summary::summary(&status, control.fleet().is_some_and(|it| it.is_alone()));
        Ok(status)
    }
}

impl FleetRates {
    fn of(servers: &[FleetServerStatus]) -> FleetRates {
        let mut sum = FleetRates::default();
        for server in servers.iter().filter(|server| server.is_reporting()) {
            sum.servers += usize::from(server.is_nameserver());
            for (result, rate) in &server.queries {
                sum.queries_per_second += rate;
                *sum.queries.entry(result.clone()).or_default() += rate;
            }
            for (region, rate) in &server.regions {
                *sum.regions.entry(region.clone()).or_default() += rate;
            }
        }
        sum.queries_per_second = rounded(sum.queries_per_second);
        for rate in sum.queries.values_mut().chain(sum.regions.values_mut()) {
            *rate = rounded(*rate);
        }
        sum
    }
}

/// A rate with one decimal place.
fn rounded(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;

//! The fleet's orders for people and metrics: whether they can be changed, and how far they were seen.
//!
//! The task of orders makes a report after every turn, and `/v1/status` and `/metrics` show it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The fleet's orders as this server knows them. Keys are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrdersReport {
    /// Whether a NATS server is connected, so that orders can be given.
    pub linked: bool,
    /// Whether the bucket was read since the start and counts.
    pub current: bool,
    /// The greatest revision that was seen.
    pub revision: u64,
    /// How often an operator has restored the orders, and 1 for the first bucket.
    pub epoch: u64,
    /// Why the bucket does not count; absent: it does. What was in force stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// The same in one word: `gone`, `recreated`, `older` or `emptied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm_reason: Option<String>,
    /// Values that did not count because they are no orders.
    pub refused: u64,
    /// Orders that are in force on this server only.
    pub here_only: usize,
}

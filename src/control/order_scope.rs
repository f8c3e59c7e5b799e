//! Whose order it is: the fleet's, this server's alone, or that of a server without a fleet.
//!
//! A server of a fleet takes orders from the fleet's bucket. An operator may also order something here
//! only, which this server keeps in its own state directory. Both can exist for one subject; then the
//! one that was ordered here counts here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose an order is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrderScope {
    /// The server has no fleet that keeps orders.
    #[default]
    Plain,
    /// It is in force on all servers of the fleet.
    Fleet,
    /// It is in force on this server only, though there is a fleet.
    HereOnly,
}

impl OrderScope {
    /// Whether nothing needs to be said about it.
    pub fn is_plain(&self) -> bool {
        *self == OrderScope::Plain
    }

    /// What a sentence adds: ` on this server only`, or nothing.
    pub fn addition(self) -> &'static str {
        match self {
            OrderScope::HereOnly => " on this server only",
            OrderScope::Plain | OrderScope::Fleet => "",
        }
    }
}

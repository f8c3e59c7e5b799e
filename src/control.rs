//! Control: everything that decides what the server answers from.
//!
//! Control reads the configuration, the zones and the databases, and compiles them into a snapshot.
//! A snapshot is published as a whole, or refused as a whole when something is wrong. After the
//! start, one thread (`controller`) owns the state and applies changes: reloads, results of probes,
//! resolved names, overrides of operators and leases. Worker threads do everything that may block,
//! such as reading files, so a hanging mount delays neither failover nor drains.

pub mod process;

pub mod clock;
pub mod worker;

mod memory;
pub mod on_demand;
mod parent_notices;
mod parents;
pub mod private_file;
pub mod rolls;
mod secrets;
pub mod signing;
mod signing_ahead;
pub mod state_directory;
mod state_writer;
mod threads;

pub mod identity;

pub mod load;

pub mod start;

mod fingerprint;
pub mod settings;
mod watched;

pub mod comparison;
pub mod delegation;
mod file_changes;
pub mod fleet;
pub mod guard;
mod region_rates;
pub mod reload;
mod reloads;

pub mod announcement;
mod build;
mod change;
mod controller;
mod inputs;
mod log_state;
mod outcome;
mod state;

mod keeping;
mod leasing;
mod overriding;
mod publishing;

mod running;

pub mod availability;
pub mod hold;
mod probed;
pub mod targets;

pub mod health;
mod health_news;
mod names;
mod resolving;

mod turns;
pub mod watchdog;

pub mod book;
pub mod coverage;
mod coverage_cache;
pub mod effect;
pub mod leases;
pub mod overrides;

mod fleet_leases;
mod fleet_orders;
pub(crate) mod fleet_status;
pub(crate) mod keep;
mod kept_demands;
mod order_scope;
mod overlay;
mod pace;
mod prepared_order;
pub mod releases;

pub mod events;
mod webhook;

pub mod operate;

pub mod succession;

pub use health::HealthView;
pub use health_news::word;
pub use load::{AtlasCache, ConfigOrigin, LoadedState, load};
pub use memory::needed as needed_memory;
pub use reloads::{ReloadHistory, ReloadResult};
pub use running::Control;

/// A draw from the clock for the examples of `explain`. Answers never use it.
pub fn any_draw() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    crate::steering::pick::next_draw(now.as_nanos() as u64)
}

#[cfg(test)]
mod tests;

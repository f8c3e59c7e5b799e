//! Control: load everything, publish it whole or refuse it whole.

pub mod process;

pub mod clock;
pub mod worker;

mod keeper;
mod memory;
pub mod private_file;
mod secrets;
pub mod state_directory;
mod threads;

pub mod identity;

pub mod load;

pub mod start;

mod fingerprint;
pub mod settings;
mod watched;

pub mod comparison;
mod file_changes;
pub mod guard;
pub mod reload;
mod reloads;

mod build;
mod change;
mod controller;
mod inputs;
mod outcome;
mod state;
mod told;

mod keeping;
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
mod coverage_desk;
pub mod effect;
pub mod leases;
pub mod orders;

pub(crate) mod keep;
mod overlay;
mod pace;

pub mod events;
mod webhook;

pub mod operate;

pub mod succession;

pub use health::HealthView;
pub use health_news::word;
pub use load::{AtlasCache, ConfigOrigin, LoadedState, load};
pub use reloads::{ReloadHistory, ReloadResult};
pub use running::Control;

/// A draw for an example, another one each time: for `explain`, never for answers.
pub fn any_draw() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    crate::steering::pick::next_draw(now.as_nanos() as u64)
}

#[cfg(test)]
mod tests;

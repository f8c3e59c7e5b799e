//! `meridian probe`: a vantage point of a fleet that has no nameserver.
//!
//! It is the server of `meridian serve` without listeners for DNS: it checks endpoints, votes, and has
//! the same admin server with `/healthz`, `/readyz`, `/v1/status` and metrics. Its configuration is that of the
//! nameservers; files that only answers need may be missing.

use std::process::ExitCode;

use super::arguments::ProbeArgs;
use super::serve::{self, InheritedState};
use super::signals::Signals;
use super::{confine, log};
use crate::config::Config;
use crate::control::ConfigOrigin;

/// Checks and votes until SIGTERM or SIGINT.
///
/// # Errors
/// A sentence: the configuration cannot be used, or it is not that of a fleet.
pub fn run(probe: &ProbeArgs) -> Result<ExitCode, String> {
    confine::drop_privileges()?;
    log::start("info");
    let signals = Signals::watch()?;
    let origin = ConfigOrigin::Checks(probe.file.config.clone());
    let loaded = serve::load(&origin)?;
    let config = loaded.config.clone();
    if let Some(refusal) = refusal(&config) {
        return Err(format!("{origin}: {refusal}"));
    }
    let inherited = InheritedState::default();
    serve::run_loaded(origin, loaded, &config, inherited, signals, |_, _, _| {})
}

/// Why nobody would hear the votes; `None`: somebody would.
fn refusal(config: &Config) -> Option<&'static str> {
    match &config.fleet {
        None => Some("`meridian probe` votes in a fleet, and there is no [fleet]"),
        Some(fleet) if fleet.servers.is_empty() => {
            Some("`meridian probe` votes in a fleet, and [fleet] names no NATS `servers`")
        }
        Some(_) => None,
    }
}

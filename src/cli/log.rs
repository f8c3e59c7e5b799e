//! Logs: for people on a terminal, JSON otherwise; `MERIDIAN_LOG` sets the level (default `info`).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging to stderr. Never per query at the default level.
pub fn start() {
    let filter = EnvFilter::try_from_env("MERIDIAN_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let terminal = std::io::stderr().is_terminal();
    // A second logger in one process is a test's business, and no reason to stop.
    let _ = if terminal {
        logger.with_ansi(std::env::var_os("NO_COLOR").is_none()).compact().try_init()
    } else {
        logger.json().flatten_event(true).try_init()
    };
}

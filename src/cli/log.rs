//! Logs: for people on a terminal, JSON otherwise; `MERIDIAN_LOG` sets the level.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging to stderr, from this level on unless `MERIDIAN_LOG` says another. Never per query at `info`.
pub fn start(level: &str) {
    let filter = EnvFilter::try_from_env("MERIDIAN_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let terminal = std::io::stderr().is_terminal();
    // A second logger in one process is a test's business, and no reason to stop.
    let _ = if terminal {
        logger.with_ansi(std::env::var_os("NO_COLOR").is_none()).compact().try_init()
    } else {
        logger.json().flatten_event(true).try_init()
    };
}

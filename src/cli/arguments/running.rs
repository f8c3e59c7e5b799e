//! The options of `status`, `reload` and `announce`, which concern a running server as a whole.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{ConfigFile, RemoteArgs};
use crate::admin::REGION_STATES;

/// `meridian status`
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Show only this service, with its endpoints; can be repeated
    #[arg(long, value_name = "NAME")]
    pub service: Vec<String>,
    /// Show only services whose name contains this
    #[arg(long = "match", value_name = "TEXT")]
    pub matching: Option<String>,
    /// Show only this region of each service, with its endpoints
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Show only services with problems
    #[arg(long)]
    pub down: bool,
    /// Show only services with a region in this state
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(REGION_STATES))]
    pub state: Option<String>,
    /// Show at most so many services, in the order of their names; else all, however many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub limit: Option<u16>,
    /// Show the services after this one, in the order of their names
    #[arg(long, value_name = "NAME")]
    pub after: Option<String>,
    /// Show every endpoint, also of healthy services
    #[arg(long)]
    pub wide: bool,
    /// Liveness probe: exit with 1 if the server does not respond
    #[arg(long, conflicts_with_all = ["json", "ready"])]
    pub live: bool,
    /// Readiness probe: exit with 1 if the server does not answer queries
    #[arg(long, conflicts_with = "json")]
    pub ready: bool,
}

/// `meridian reload`
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Reload even if more clients move than the guard allows (max_move)
    #[arg(long)]
    pub yes_move: bool,
    /// Reload even if the guard would refuse it (max_move, min_covered)
    #[arg(long)]
    pub yes: bool,
}

/// `meridian announce`
#[derive(Debug, Args)]
pub struct AnnounceArgs {
    /// The configuration file.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Withdraw the addresses and end
    #[arg(long)]
    pub withdraw: bool,
    /// Admin address of the server: a URL, or unix:PATH [default: that of the configuration]
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// For an HTTPS server: trust only the CA certificates in this file (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

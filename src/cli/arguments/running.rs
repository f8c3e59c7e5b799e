//! The options of commands about a running server as a whole.

use clap::Args;

use super::RemoteArgs;

/// `meridian status`
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// This service alone, with its endpoints; can be repeated
    #[arg(long, value_name = "NAME")]
    pub service: Vec<String>,
    /// This region of each service alone, with its endpoints
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Only services that are not well
    #[arg(long)]
    pub down: bool,
    /// Every endpoint of every service, also of those that are well
    #[arg(long)]
    pub wide: bool,
    /// Ask only whether it lives; exit 1 if not: for the liveness probe of a container
    #[arg(long, conflicts_with_all = ["json", "ready"])]
    pub live: bool,
    /// Ask only whether it answers queries; exit 1 if not: for the readiness probe of a container
    #[arg(long, conflicts_with = "json")]
    pub ready: bool,
}

/// `meridian reload`
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Take the change even if it moves more than the guard (max_move) allows
    #[arg(long)]
    pub yes_move: bool,
    /// Take the change whatever the guard (max_move, min_covered) says
    #[arg(long)]
    pub yes: bool,
}

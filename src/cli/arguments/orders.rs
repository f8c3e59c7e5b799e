//! The options of the commands that override health or weights in a running server.
//!
//! `drain`, `undrain`, `shift`, `unshift`, `force` and `weight` share the structures for the subject
//! ([`SubjectArgs`]) and for the audit trail ([`AuditArgs`]). Values stay text here; `cli::orders`
//! parses them, so that an error can name its option.

use clap::{Args, Subcommand, ValueEnum};

use super::RemoteArgs;

/// The subject of an override within a service.
#[derive(Debug, Args)]
pub struct SubjectArgs {
    /// Apply to this service only
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Apply to this endpoint of the service's region only
    #[arg(long, value_name = "ADDRESS", requires = "service")]
    pub endpoint: Option<String>,
}

/// Who sets an override, and for how long.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The author to record [default: the user name]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// End after this time, such as 2h [default: when it is removed]
    #[arg(long = "for", value_name = "TIME")]
    pub lasting: Option<String>,
    /// Proceed even if clients lose their last live region
    #[arg(long)]
    pub yes: bool,
    /// Order it on this server only, not on all servers of its fleet
    #[arg(long)]
    pub here_only: bool,
}

/// `meridian drain`
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// The region; required unless --service is given
    #[arg(value_name = "REGION", required_unless_present = "service")]
    pub region: Option<String>,
    /// The subject.
    #[command(flatten)]
    pub about: SubjectArgs,
    /// The reason, which is shown with the drain
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Apply gradually over this time, such as 15m; not for endpoints
    #[arg(long, value_name = "TIME")]
    pub over: Option<String>,
    /// The author and the time.
    #[command(flatten)]
    pub why: AuditArgs,
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `meridian undrain`
#[derive(Debug, Args)]
pub struct UndrainArgs {
    /// The region; required unless --service is given
    #[arg(value_name = "REGION", required_unless_present = "service")]
    pub region: Option<String>,
    /// The subject.
    #[command(flatten)]
    pub about: SubjectArgs,
    /// Apply gradually over this time, such as 15m; not for endpoints
    #[arg(long, value_name = "TIME")]
    pub over: Option<String>,
    /// The author to record [default: the user name]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Remove what was ordered on this server only, not what its fleet has ordered
    #[arg(long)]
    pub here_only: bool,
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `meridian shift`
#[derive(Debug, Args)]
pub struct ShiftArgs {
    /// The region
    #[arg(value_name = "REGION")]
    pub region: String,
    /// The part of its clients to shift, such as 20%; 0% removes the shift
    #[arg(value_name = "PERCENT")]
    pub percent: String,
    /// Apply to this service only
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Send the clients to this region first [default: each client's next region]
    #[arg(long, value_name = "REGION")]
    pub to: Option<String>,
    /// Apply gradually over this time, such as 30m
    #[arg(long, value_name = "TIME")]
    pub over: Option<String>,
    /// The reason
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// The author and the time.
    #[command(flatten)]
    pub why: AuditArgs,
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `meridian unshift`
#[derive(Debug, Args)]
pub struct UnshiftArgs {
    /// The region
    #[arg(value_name = "REGION")]
    pub region: String,
    /// Apply to this service only
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Apply gradually over this time, such as 30m
    #[arg(long, value_name = "TIME")]
    pub over: Option<String>,
    /// The author to record [default: the user name]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Remove what was ordered on this server only, not what its fleet has ordered
    #[arg(long)]
    pub here_only: bool,
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// The states that `force` sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ForceTo {
    /// Treat as up
    Up,
    /// Treat as down
    Down,
    /// Follow health checks again
    Off,
}

/// `meridian force`
#[derive(Debug, Args)]
pub struct ForceArgs {
    /// The state to force
    #[arg(value_name = "STATE")]
    pub to: ForceTo,
    /// The region; required unless --service is given
    #[arg(value_name = "REGION", required_unless_present = "service")]
    pub region: Option<String>,
    /// The subject.
    #[command(flatten)]
    pub about: SubjectArgs,
    /// The reason; required for up and down
    #[arg(long, value_name = "TEXT", required_if_eq_any = [("to", "up"), ("to", "down")])]
    pub reason: Option<String>,
    /// The author and the time.
    #[command(flatten)]
    pub why: AuditArgs,
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `meridian weight`
#[derive(Debug, Args)]
pub struct WeightArgs {
    /// The region
    #[arg(value_name = "REGION")]
    pub region: String,
    /// 0 to 1000000, or "configured" to remove the override
    #[arg(value_name = "WEIGHT")]
    pub weight: String,
    /// The service that the endpoint belongs to
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub service: Option<String>,
    /// Set the weight of this endpoint instead of the region
    #[arg(long, value_name = "ADDRESS", requires = "service")]
    pub endpoint: Option<String>,
    /// The reason
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// The author and the time.
    #[command(flatten)]
    pub why: AuditArgs,
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `meridian orders`
#[derive(Debug, Subcommand)]
pub enum OrdersCommand {
    /// Show what was ordered, by whom and when: the last 64 orders of each region, service or endpoint
    Log(OrdersLogArgs),
    /// Write what this server holds into the fleet's bucket, after that was lost or emptied
    Restore(RestoreArgs),
}

/// `meridian orders log`
#[derive(Debug, Args)]
pub struct OrdersLogArgs {
    /// Orders of this region only
    #[arg(value_name = "REGION")]
    pub region: Option<String>,
    /// Orders of this service only
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `meridian orders restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The author to record [default: the user name]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// The server that holds the orders.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

//! The options of the commands that override health or weights in a running server.
//!
//! `drain`, `undrain`, `shift`, `unshift`, `force` and `weight` share the structures for the subject
//! ([`SubjectArgs`]) and for the audit trail ([`AuditArgs`]). Values stay text here; `cli::orders`
//! parses them, so that an error can name its option.

use clap::{Args, ValueEnum};

use super::RemoteArgs;

/// What is ordered about.
#[derive(Debug, Args)]
pub struct SubjectArgs {
    /// A region of this service alone
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// This endpoint of the service's region alone
    #[arg(long, value_name = "ADDRESS", requires = "service")]
    pub endpoint: Option<String>,
}

/// Who orders, why, and for how long.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Who says so [default: the name of the user]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// How long it holds, such as 2h; without it, until it is taken back
    #[arg(long = "for", value_name = "TIME")]
    pub lasting: Option<String>,
    /// Do it even if it takes their last live region from clients
    #[arg(long)]
    pub yes: bool,
}

/// `meridian drain`
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// The region; without it, all of the service
    #[arg(value_name = "REGION", required_unless_present = "service")]
    pub region: Option<String>,
    /// What.
    #[command(flatten)]
    pub about: SubjectArgs,
    /// Why; it is shown wherever the drain is
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Little by little within this time, such as 15m; not for an endpoint
    #[arg(long, value_name = "TIME")]
    pub over: Option<String>,
    /// Who.
    #[command(flatten)]
    pub why: AuditArgs,
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// `meridian undrain`
#[derive(Debug, Args)]
pub struct UndrainArgs {
    /// The region; without it, all of the service
    #[arg(value_name = "REGION", required_unless_present = "service")]
    pub region: Option<String>,
    /// What.
    #[command(flatten)]
    pub about: SubjectArgs,
    /// Little by little within this time, such as 15m; not for an endpoint
    #[arg(long, value_name = "TIME")]
    pub over: Option<String>,
    /// Who says so [default: the name of the user]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
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
    /// The part of its clients, such as 20%; 0% takes the shift back
    #[arg(value_name = "PERCENT")]
    pub percent: String,
    /// In this service alone
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Offer them this region first [default: each client's next one]
    #[arg(long, value_name = "REGION")]
    pub to: Option<String>,
    /// Little by little within this time, such as 30m
    #[arg(long, value_name = "TIME")]
    pub over: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Who.
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
    /// In this service alone
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Little by little within this time, such as 30m
    #[arg(long, value_name = "TIME")]
    pub over: Option<String>,
    /// Who says so [default: the name of the user]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// What something is forced to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ForceTo {
    /// Taken as up
    Up,
    /// Taken as down
    Down,
    /// By its health again
    Off,
}

/// `meridian force`
#[derive(Debug, Args)]
pub struct ForceArgs {
    /// What to take it as
    #[arg(value_name = "STATE")]
    pub to: ForceTo,
    /// The region; without it, all of the service
    #[arg(value_name = "REGION", required_unless_present = "service")]
    pub region: Option<String>,
    /// What.
    #[command(flatten)]
    pub about: SubjectArgs,
    /// Why; needed for up and down
    #[arg(long, value_name = "TEXT", required_if_eq_any = [("to", "up"), ("to", "down")])]
    pub reason: Option<String>,
    /// Who.
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
    /// 0 to 1000000, or `configured` for what the configuration says
    #[arg(value_name = "WEIGHT")]
    pub weight: String,
    /// The service of the endpoint
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub service: Option<String>,
    /// This endpoint instead of the region
    #[arg(long, value_name = "ADDRESS", requires = "service")]
    pub endpoint: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Who.
    #[command(flatten)]
    pub why: AuditArgs,
    /// The server.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

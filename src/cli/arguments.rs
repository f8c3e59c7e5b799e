//! The definition of the command line, for clap.
//!
//! The help texts, the completions and the manual are generated from it. The options of groups of
//! commands are in the files below.

mod authoring;
mod fleet;
mod keys;
mod orders;
mod push;
mod running;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::admin::{read_bias, read_weight};
use crate::catalog::services::ServiceFamily;
pub use crate::daemon::arguments::{ConfigFile, ProbeArgs, ServeArgs};
pub use crate::demo::arguments::DemoArgs;
use crate::dns::{Name, RecordType};
use crate::explain::ExplainClient;
use crate::geo::builtin;
pub use crate::import::arguments::ImportCommand;
use crate::steering::Bias;
pub use authoring::{CheckArgs, GeodataCommand, InitArgs, PlanArgs, RegionGiven, VerifyScopes};
pub use fleet::{FleetCommand, FleetInit, FleetStatusArgs, NatsGiven, VoterGiven};
pub use keys::{
    DsOfZone, ExportKey, GenerateKey, ImportKey, KeyFolderArgs, KeysCommand, ListKeys, RollKeys,
    SignArgs,
};
pub use orders::{
    AuditArgs, DrainArgs, ForceArgs, ForceTo, OrdersCommand, OrdersLogArgs, RestoreArgs, ShiftArgs,
    SubjectArgs, UndrainArgs, UnshiftArgs, WeightArgs,
};
pub use push::{PushArgs, ReleasesArgs};
pub use running::{AnnounceArgs, ReloadArgs, StatusArguments};

/// The arguments of `meridian`.
#[derive(Debug, Parser)]
#[command(name = "meridian", version, long_version = LONG_VERSION.as_str(), about)]
pub struct Arguments {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The version, and the attribution that the licence of the built-in geodata requires.
static LONG_VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{}\n{}", env!("CARGO_PKG_VERSION"), builtin::CREDIT));

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the nameserver; SIGHUP reloads, SIGTERM or SIGINT stops it
    Serve(ServeArgs),
    /// Announce service addresses with BIRD or ExaBGP while the server answers (anycast)
    Announce(AnnounceArgs),
    /// Check endpoints and vote about their health in a fleet, without answering queries
    Probe(ProbeArgs),
    /// Check the configuration, zones and geodata, and print all errors and warnings
    Check(CheckArgs),
    /// Run a demo server with built-in zone, regions and geodata
    Demo(DemoArgs),
    /// Explain why a client gets its answer
    Explain(ExplainArgs),
    /// Show which regions serve which clients, now and after a change
    Simulate(SimulateArgs),
    /// Verify that ECS scopes do not overlap, and count them
    VerifyScopes(VerifyScopes),
    /// Show what a reload would change; exit with 2 if it would change anything
    Plan(PlanArgs),
    /// Create a first configuration and zone
    Init(InitArgs),
    /// Write what several nameservers need to be a fleet, or show all of them on one page
    #[command(subcommand)]
    Fleet(FleetCommand),
    /// Convert the configuration of another nameserver
    #[command(subcommand)]
    Import(ImportCommand),
    /// Look up the location of addresses in the geodata
    Locate(LocateArgs),
    /// Build geodata files
    #[command(subcommand)]
    Geodata(GeodataCommand),
    /// Make, list and move the keys of signed zones (DNSSEC)
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Sign zones and steered answers for servers that have no keys
    Sign(SignArgs),
    /// Show the status of a running server
    Status(StatusArguments),
    /// Stop sending clients to a region, a service or an endpoint
    Drain(DrainArgs),
    /// Remove a drain
    Undrain(UndrainArgs),
    /// Send a fixed part of a region's clients to other regions
    Shift(ShiftArgs),
    /// Remove a shift
    Unshift(UnshiftArgs),
    /// Treat a region, a service or an endpoint as up or down, regardless of its health
    Force(ForceArgs),
    /// Override the weight of a region or an endpoint
    Weight(WeightArgs),
    /// Show what a fleet was ordered, or restore its orders
    #[command(subcommand)]
    Orders(OrdersCommand),
    /// Publish the configuration of a fleet as a signed release, from ring to ring, or take it back
    Push(PushArgs),
    /// Show the releases of a fleet: which server serves which, and what halts one
    Releases(ReleasesArgs),
    /// Reload configuration, zones and geodata of a running server
    Reload(ReloadArgs),
    /// Print shell completions
    Completions {
        /// The shell to print completions for
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Print the JSON Schema of the configuration file
    Schema {
        /// Of a file that `include` names
        #[arg(long)]
        included: bool,
    },
}

/// `meridian explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The name to query
    #[arg(value_name = "NAME")]
    pub name: Name,
    /// The record type
    #[arg(value_name = "TYPE", default_value = "A")]
    pub rtype: RecordType,
    /// The client: its address, or the client subnet that a resolver sends
    #[arg(long, value_name = "IP[/PREFIX]")]
    pub client: ExplainClient,
    /// Assume that this region is down; can be repeated
    #[arg(long, value_name = "REGION")]
    pub down: Vec<String>,
    /// Show the signatures of the reply (DNSSEC); a running server has them
    #[arg(long)]
    pub dnssec: bool,
    /// Use this configuration file [default: meridian.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Ask a running server instead, such as http://127.0.0.1:8053 or unix:PATH
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub admin: Option<String>,
    /// Have this server of the fleet explain it, through the server that --admin names
    #[arg(long, value_name = "SERVER", conflicts_with = "config")]
    pub at: Option<String>,
    /// For an HTTPS server: trust only the CA certificates in this file (PEM)
    #[arg(long, value_name = "FILE", requires = "admin")]
    pub ca_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `meridian simulate`
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The services to include [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<Name>,
    /// Assume that this region is down; can be repeated
    #[arg(long, value_name = "REGION")]
    pub down: Vec<String>,
    /// Assume another weight for a region; can be repeated
    #[arg(long = "weight", value_name = "REGION=N", value_parser = read_weight)]
    pub weights: Vec<(String, u32)>,
    /// Assume another bias for a region; can be repeated
    #[arg(long = "bias", value_name = "REGION=N", value_parser = read_bias)]
    pub biases: Vec<(String, Bias)>,
    /// Compare with this configuration, with the same regions down and weights changed
    #[arg(long, value_name = "NEW.toml", conflicts_with = "admin")]
    pub against: Option<PathBuf>,
    /// Measure shares in addresses or in population
    #[arg(long, value_name = "WHAT", default_value = "addresses", value_parser = ["addresses", "population"])]
    pub over: String,
    /// Measure shares in queries: "live" asks a running server, FILE holds the output of its
    /// /v1/traffic
    #[arg(long, value_name = "live|FILE", conflicts_with = "over")]
    pub traffic: Option<String>,
    /// List every country with the region that serves most of it
    #[arg(long)]
    pub countries: bool,
    /// Count the endpoints of this record type
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = "A",
        ignore_case = true
    )]
    pub rtype: SharesOf,
    /// Write a map of the result; the extension selects SVG or PNG
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    pub map: Option<PathBuf>,
    /// Use this configuration file [default: meridian.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Ask a running server instead, such as http://127.0.0.1:8053 or unix:PATH
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub admin: Option<String>,
    /// For an HTTPS server: trust only the CA certificates in this file (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl SimulateArgs {
    /// Whether the arguments describe a change.
    pub fn is_change(&self) -> bool {
        self.against.is_some()
            || !(self.down.is_empty() && self.weights.is_empty() && self.biases.is_empty())
    }
}

/// The record types that `simulate` and `verify-scopes` count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SharesOf {
    /// IPv4 endpoints
    #[value(name = "A")]
    V4,
    /// IPv6 endpoints
    #[value(name = "AAAA")]
    V6,
}

impl SharesOf {
    /// The record type.
    pub fn word(self) -> &'static str {
        if self == SharesOf::V4 { "A" } else { "AAAA" }
    }

    /// The family of endpoints.
    pub fn family(self) -> ServiceFamily {
        if self == SharesOf::V4 {
            ServiceFamily::V4
        } else {
            ServiceFamily::V6
        }
    }
}

/// The default address of the admin API.
pub const DEFAULT_ADMIN: &str = "http://127.0.0.1:8053";

/// The running server that a command talks to.
#[derive(Debug, Args)]
pub struct RemoteArgs {
    /// Admin address of the server: a URL, or unix:PATH
    #[arg(long, value_name = "URL", default_value = DEFAULT_ADMIN)]
    pub admin: String,
    /// Read the admin token from this file [default: the variable MERIDIAN_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// For an HTTPS server: trust only the CA certificates in this file (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl RemoteArgs {
    /// A server for read-only requests, which need no token.
    pub fn to_read(admin: &str, ca_file: Option<&Path>) -> RemoteArgs {
        RemoteArgs {
            admin: admin.to_owned(),
            token_file: None,
            ca_file: ca_file.map(Path::to_owned),
        }
    }
}

/// `meridian locate`
#[derive(Debug, Args)]
pub struct LocateArgs {
    /// The addresses to look up
    #[arg(required = true, value_name = "IP")]
    pub addresses: Vec<IpAddr>,
    /// Use the geodata of this configuration [default: the built-in table]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

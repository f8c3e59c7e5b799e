//! The definition of the command line, for clap.
//!
//! The help texts, the completions and the manual are generated from it. The options of groups of
//! commands are in the files below.

mod authoring;
mod orders;
mod running;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::admin::{read_bias, read_weight};
use crate::catalog::services::ServiceFamily;
pub use crate::daemon::arguments::{ConfigFile, ServeArgs};
pub use crate::demo::arguments::DemoArgs;
use crate::dns::{Name, RecordType};
use crate::explain::ExplainClient;
use crate::geo::builtin;
pub use crate::import::arguments::ImportCommand;
use crate::steering::Bias;
pub use authoring::{CheckArgs, GeodataCommand, InitArgs, PlanArgs, RegionGiven, VerifyScopes};
pub use orders::{
    AuditArgs, DrainArgs, ForceArgs, ForceTo, ShiftArgs, SubjectArgs, UndrainArgs, UnshiftArgs,
    WeightArgs,
};
pub use running::{ReloadArgs, StatusArguments};

/// A global load balancer that works through DNS.
#[derive(Debug, Parser)]
#[command(name = "meridian", version, long_version = LONG_VERSION.as_str(), about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The version, and the attribution that the licence of the built-in geodata requires.
static LONG_VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{}\n{}", env!("CARGO_PKG_VERSION"), builtin::CREDIT));

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the nameserver until SIGTERM or SIGINT; SIGHUP reloads
    Serve(ServeArgs),
    /// Read everything that serve would, and print every mistake and warning
    Check(CheckArgs),
    /// Run a nameserver with a zone, regions and geodata of its own: nothing to set up
    Demo(DemoArgs),
    /// Say why a client gets an answer
    Explain(ExplainArgs),
    /// Say who goes where, and what if a region is down or has another weight
    Simulate(SimulateArgs),
    /// Prove that no two client subnet scopes overlap, and count what resolvers may have to keep
    VerifyScopes(VerifyScopes),
    /// Say what a reload, or one of another configuration, would change; exit 2 if it would change something
    Plan(PlanArgs),
    /// Write a configuration to begin with
    Init(InitArgs),
    /// Turn the configuration of another nameserver into one of this
    #[command(subcommand)]
    Import(ImportCommand),
    /// Say where addresses are, as the geodata know it
    Locate(LocateArgs),
    /// Make geodata files
    #[command(subcommand)]
    Geodata(GeodataCommand),
    /// Say what a running server is doing
    Status(StatusArguments),
    /// Send no clients to a region, a service or an endpoint of a running server, until undrained
    Drain(DrainArgs),
    /// Take a drain back
    Undrain(UndrainArgs),
    /// Send a part of a region's clients elsewhere, always the same ones
    Shift(ShiftArgs),
    /// Take a shift back
    Unshift(UnshiftArgs),
    /// Take a region, a service or an endpoint as up or down, whatever its health
    Force(ForceArgs),
    /// Give a region or an endpoint another weight
    Weight(WeightArgs),
    /// Make a running server read its configuration, zones and geodata anew
    Reload(ReloadArgs),
    /// Print completions for a shell
    Completions {
        /// Whose completions
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
    /// The name asked for
    #[arg(value_name = "NAME")]
    pub name: Name,
    /// The record type
    #[arg(value_name = "TYPE", default_value = "A")]
    pub rtype: RecordType,
    /// Who asks: an address, or the client subnet that a resolver sends along
    #[arg(long, value_name = "IP[/PREFIX]")]
    pub client: ExplainClient,
    /// Take a region as down; may be given more than once
    #[arg(long, value_name = "REGION")]
    pub down: Vec<String>,
    /// Work it out from this configuration [default: meridian.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Ask the running server there instead: http://127.0.0.1:8053 or unix:PATH
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub admin: Option<String>,
    /// Trust the authorities of this file (PEM), and no others, where the server that is asked speaks HTTPS
    #[arg(long, value_name = "FILE", requires = "admin")]
    pub ca_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `meridian simulate`
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Services; without any, all of them
    #[arg(value_name = "NAME")]
    pub names: Vec<Name>,
    /// Take a region as down; may be given more than once
    #[arg(long, value_name = "REGION")]
    pub down: Vec<String>,
    /// Give a region another weight; may be given more than once
    #[arg(long = "weight", value_name = "REGION=N", value_parser = read_weight)]
    pub weights: Vec<(String, u32)>,
    /// Give a region another bias; may be given more than once
    #[arg(long = "bias", value_name = "REGION=N", value_parser = read_bias)]
    pub biases: Vec<(String, Bias)>,
    /// Compare with this other configuration, under the changes above
    #[arg(long, value_name = "NEW.toml", conflicts_with = "admin")]
    pub against: Option<PathBuf>,
    /// What shares are parts of: addresses, or the population that lives where they are
    #[arg(long, value_name = "WHAT", default_value = "addresses", value_parser = ["addresses", "population"])]
    pub over: String,
    /// Count queries that a running server noted: live asks it, else a file with what its /v1/traffic says
    #[arg(long, value_name = "live|FILE", conflicts_with = "over")]
    pub traffic: Option<String>,
    /// Print every country with the region that serves most of it
    #[arg(long)]
    pub countries: bool,
    /// Whose endpoints are counted
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = "A",
        ignore_case = true
    )]
    pub rtype: SharesOf,
    /// Draw a map of what comes after the change: a file in SVG or PNG, as its name ends
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    pub map: Option<PathBuf>,
    /// Work it out from this configuration [default: meridian.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Ask the running server there instead: http://127.0.0.1:8053 or unix:PATH
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub admin: Option<String>,
    /// Trust the authorities of this file (PEM), and no others, where the server that is asked speaks HTTPS
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl SimulateArgs {
    /// Whether the arguments ask for a change.
    pub fn is_change(&self) -> bool {
        self.against.is_some()
            || !(self.down.is_empty() && self.weights.is_empty() && self.biases.is_empty())
    }
}

/// What a service is asked for.
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

/// Which running server to talk to.
#[derive(Debug, Args)]
pub struct RemoteArgs {
    /// Its admin address: a URL, or unix:PATH
    #[arg(long, value_name = "URL", default_value = DEFAULT_ADMIN)]
    pub admin: String,
    /// File that holds the token; else MERIDIAN_TOKEN is the token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Trust the authorities of this file (PEM), and no others, where the server that is asked speaks HTTPS
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl RemoteArgs {
    /// A server that is only read from, which needs no token.
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
    /// Addresses to look up
    #[arg(required = true, value_name = "IP")]
    pub addresses: Vec<IpAddr>,
    /// Use the geodata of this configuration; without it, the built-in table
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

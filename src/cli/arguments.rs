//! The command line as clap reads it; completions and the man page come from here too.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A global load balancer that works through DNS.
#[derive(Debug, Parser)]
#[command(name = "meridian", version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the nameserver until SIGTERM or SIGINT; SIGHUP reloads
    Serve(Serve),
    /// Read everything that serve would, and print every mistake and warning
    Check(Check),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "meridian.toml")]
    pub config: PathBuf,
}

/// `meridian serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// The configuration file.
    #[command(flatten)]
    pub file: ConfigFile,
}

/// `meridian check`
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration file.
    #[command(flatten)]
    pub file: ConfigFile,
}

//! The command lines of `meridian serve` and `meridian probe`.

use std::path::PathBuf;

use clap::Args;

/// The option for the configuration file.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "meridian.toml")]
    pub config: PathBuf,
}

/// `meridian serve`
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The configuration file.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Replace the running server that uses the same state directory, without losing a query
    #[arg(long)]
    pub take_over: bool,
}

/// `meridian probe`
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// The configuration file.
    #[command(flatten)]
    pub file: ConfigFile,
}

//! The command line of `meridian import`.

use std::path::PathBuf;

use clap::Subcommand;

/// `meridian import`
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Turn a configuration of gdnsd and its zones into ours, and say what could not be carried
    Gdnsd {
        /// Where gdnsd has its file `config` and its folder `zones`
        #[arg(value_name = "DIRECTORY", default_value = "/etc/gdnsd")]
        directory: PathBuf,
        /// Where the files are written
        #[arg(long, value_name = "DIRECTORY")]
        to: PathBuf,
    },
}

//! The command line of `meridian import`.

use std::path::PathBuf;

use clap::Subcommand;

/// `meridian import`
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Convert the configuration and zones of gdnsd, and list what could not be converted
    Gdnsd {
        /// The directory with the file `config` and the folder `zones` of gdnsd
        #[arg(value_name = "DIRECTORY", default_value = "/etc/gdnsd")]
        directory: PathBuf,
        /// Write the files to this directory
        #[arg(long, value_name = "DIRECTORY")]
        to: PathBuf,
    },
}

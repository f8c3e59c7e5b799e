//! The `meridian` command.

use std::process::ExitCode;

use clap::Parser;
use meridian::cli;

fn main() -> ExitCode {
    cli::run(cli::arguments::Arguments::parse())
}

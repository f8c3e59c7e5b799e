//! The `meridian` command.

use std::process::ExitCode;

use clap::Parser;
use meridian::cli;
use meridian::health::probe::supervisor;

fn main() -> ExitCode {
    // The server starts itself once more for each program of a check.
    if let Some(code) = supervisor::run_if_called() {
        return code;
    }
    cli::run(cli::arguments::Arguments::parse())
}

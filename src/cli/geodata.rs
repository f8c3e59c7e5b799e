//! `meridian geodata`: builds a database from a list, or the built-in table from databases.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::arguments::GeodataCommand;
use crate::daemon::progress;
use crate::geo::{build, cells};
use crate::terminal::say;
use crate::text::counted;

/// Writes one file and prints its size.
pub fn run(geodata: &GeodataCommand) -> Result<ExitCode, String> {
    match geodata {
        GeodataCommand::Build { input, output } => build_database(input, output)?,
        GeodataCommand::Compile { inputs, output } => compile_table(inputs, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn build_database(input: &Path, output: &Path) -> Result<(), String> {
    let made = progress::during("building the database", || build::build(input, output))
        .map_err(|error| error.to_string())?;
    let what = format!(
        "{} and {}",
        counted(made.ipv4_networks, "IPv4 network"),
        counted(made.ipv6_networks, "IPv6 network")
    );
    print_size(output, &what, made.octets);
    Ok(())
}

fn compile_table(inputs: &[PathBuf], output: &Path) -> Result<(), String> {
    let made = progress::during("compiling the table", || cells::compile(inputs, output))
        .map_err(|error| error.to_string())?;
    let what = format!(
        "{}, {} and {}",
        counted(made.cells, "cell"),
        counted(made.v4_ranges, "IPv4 range"),
        counted(made.v6_ranges, "IPv6 range")
    );
    print_size(output, &what, made.octets);
    Ok(())
}

fn print_size(output: &Path, what: &str, octets: usize) {
    say!("{}: {what}, {octets} octets", output.display());
}

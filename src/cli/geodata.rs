//! `meridian geodata`

use std::path::Path;
use std::process::ExitCode;

use super::arguments::GeodataCommand;
use crate::daemon::progress;
use crate::geo::{build, cells};
use crate::terminal::say;
use crate::text::counted;

/// Writes one file and says what is in it.
pub fn run(geodata: &GeodataCommand) -> Result<ExitCode, String> {
    match geodata {
        GeodataCommand::Build { input, output } => {
            let build = || build::build(input, output);
            let made = progress::during("building the database", build)
                .map_err(|error| error.to_string())?;
            let what = format!(
                "{} and {}",
                counted(made.ipv4_networks, "IPv4 network"),
                counted(made.ipv6_networks, "IPv6 network")
            );
            say(output, &what, made.octets);
        }
        GeodataCommand::Compile { inputs, output } => {
            let compile = || cells::compile(inputs, output);
            let made = progress::during("compiling the table", compile)
                .map_err(|error| error.to_string())?;
            let what = format!(
                "{}, {} and {}",
                counted(made.cells, "cell"),
                counted(made.v4_ranges, "IPv4 range"),
                counted(made.v6_ranges, "IPv6 range")
            );
            say(output, &what, made.octets);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say(output: &Path, what: &str, octets: usize) {
    say!("{}: {what}, {octets} octets", output.display());
}

//! `meridian completions`, `meridian man` and `meridian schema`.
//!
//! All three are generated from the definitions that `--help` and `check` use.

use std::io;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::arguments::Arguments;
use crate::config;
use crate::terminal::{put_octets, say_json};

/// Prints the completion script of a shell.
pub fn completions(shell: Shell) -> Result<ExitCode, String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "meridian", &mut script);
    put_octets(&script);
    Ok(ExitCode::SUCCESS)
}

/// Prints the manual: the page of the command, then a page for each subcommand.
pub fn man() -> Result<ExitCode, String> {
    let mut pages = Vec::new();
    let mut command = Arguments::command();
    command.build();
    render(&command, &mut pages).map_err(|error| format!("cannot generate the manual: {error}"))?;
    put_octets(&pages);
    Ok(ExitCode::SUCCESS)
}

fn render(command: &clap::Command, pages: &mut Vec<u8>) -> io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(pages)?;
    for command in command.get_subcommands() {
        if command.get_name() != "help" {
            render(command, pages)?;
        }
    }
    Ok(())
}

/// Prints the JSON Schema of the configuration file, or of a file that it includes.
pub fn schema(included: bool) -> Result<ExitCode, String> {
    let schema = if included {
        config::included_schema()
    } else {
        config::schema()
    };
    say_json(format_args!("{schema:#}"));
    Ok(ExitCode::SUCCESS)
}

//! What people type.

pub mod arguments;

mod log;

pub mod serve;

pub mod check;

use std::process::ExitCode;

use arguments::{Arguments, Command};

/// Runs one command. Exit codes: 0 done, 1 it failed and said why on stderr, 2 usage.
pub fn run(arguments: Arguments) -> ExitCode {
    let result = match arguments.command {
        Command::Serve(serve) => serve::run(&serve),
        Command::Check(check) => check::run(&check),
    };
    match result {
        Ok(code) => code,
        Err(sentence) => {
            eprintln!("meridian: {sentence}");
            ExitCode::FAILURE
        }
    }
}

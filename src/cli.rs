//! What people type.

pub mod arguments;

pub mod check;

mod access;

pub mod explain;

pub mod init;
pub mod plan;
pub mod simulate;
mod verify_scopes;

mod client;

pub mod remote;

pub mod orders;

pub mod locate;

pub mod geodata;

pub mod generate;

mod traffic;

mod topics;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

use crate::{daemon, demo, import, terminal};

/// Reads the command line. Where that cannot be, says why and ends the process with 2; help and version end it with 0.
pub fn parse() -> Arguments {
    Arguments::try_parse().unwrap_or_else(|error| {
        if error.exit_code() == 0 {
            error.exit();
        }
        terminal::complain(error.render().to_string().trim_end());
        std::process::exit(error.exit_code())
    })
}

/// Runs one command. Exit codes: 0 done, 1 it failed and said why on stderr, 2 usage.
pub fn run(arguments: Arguments) -> ExitCode {
    let result = match arguments.command {
        Command::Serve(serve) => daemon::serve::run(&serve),
        Command::Demo(demo) => demo::run(&demo),
        Command::Check(check) => check::run(&check),
        Command::Explain(explain) => explain::run(&explain),
        Command::Plan(plan) => plan::run(&plan),
        Command::Init(init) => init::run(&init),
        Command::Import(import) => import::run(&import),
        Command::Simulate(simulate) => simulate::run(&simulate),
        Command::VerifyScopes(verify) => verify_scopes::run(&verify),
        Command::Status(status) => remote::status(&status),
        Command::Drain(drain) => orders::drain(&drain),
        Command::Undrain(undrain) => orders::undrain(&undrain),
        Command::Shift(shift) => orders::shift(&shift),
        Command::Unshift(unshift) => orders::unshift(&unshift),
        Command::Force(force) => orders::force(&force),
        Command::Weight(weight) => orders::weight(&weight),
        Command::Reload(reload) => remote::reload(&reload),
        Command::Locate(locate) => locate::run(&locate),
        Command::Geodata(geodata) => geodata::run(&geodata),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man => generate::man(),
        Command::Schema => generate::schema(),
    };
    match result {
        Ok(code) => code,
        Err(sentence) => {
            terminal::complain(format_args!("meridian: {sentence}"));
            ExitCode::FAILURE
        }
    }
}

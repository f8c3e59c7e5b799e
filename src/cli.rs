//! The `meridian` command line: one module for each command, or for a group of them.
//!
//! Each command is a function that takes its parsed arguments. It prints its result to stdout and
//! returns an exit code, or a sentence that [`run`] prints to stderr. Commands that talk to a
//! running server share the admin API client. The large commands (`serve`, `demo` and `import`)
//! have modules of their own outside of this one.

pub mod arguments;

pub mod announce;
pub mod check;
pub mod explain;
pub mod fleet;
pub mod fleet_orders;
pub mod generate;
pub mod geodata;
pub mod init;
pub mod keys;
pub mod locate;
pub mod orders;
pub mod plan;
pub mod push;
pub mod remote;
pub mod sign;
pub mod simulate;

mod access;
mod client;
mod topics;
mod traffic;
mod verify_scopes;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

use crate::{daemon, demo, import, terminal};

/// Parses the command line. Exits with 2 after printing a usage error, and with 0 after printing
/// help or the version.
pub fn parse() -> Arguments {
    Arguments::try_parse().unwrap_or_else(|error| {
        if error.exit_code() == 0 {
            error.exit();
        }
        terminal::complain(error.render().to_string().trim_end());
        std::process::exit(error.exit_code())
    })
}

/// Runs one command. Exit codes: 0 for success, 1 for a failure explained on stderr, 2 for a usage
/// error. Some commands define more.
pub fn run(arguments: Arguments) -> ExitCode {
    let result = match arguments.command {
        Command::Serve(serve) => daemon::serve::run(&serve),
        Command::Announce(announce) => announce::run(&announce),
        Command::Probe(probe) => daemon::probe::run(&probe),
        Command::Demo(demo) => demo::run(&demo),
        Command::Check(check) => check::run(&check),
        Command::Explain(explain) => explain::run(&explain),
        Command::Plan(plan) => plan::run(&plan),
        Command::Init(init) => init::run(&init),
        Command::Fleet(command) => fleet::run(&command),
        Command::Import(import) => import::run(&import),
        Command::Simulate(simulate) => simulate::run(&simulate),
        Command::VerifyScopes(verify) => verify_scopes::run(&verify),
        Command::Keys(command) => keys::run(&command),
        Command::Sign(sign) => sign::run(&sign),
        Command::Status(status) => remote::status(&status),
        Command::Drain(drain) => orders::drain(&drain),
        Command::Undrain(undrain) => orders::undrain(&undrain),
        Command::Shift(shift) => orders::shift(&shift),
        Command::Unshift(unshift) => orders::unshift(&unshift),
        Command::Force(force) => orders::force(&force),
        Command::Weight(weight) => orders::weight(&weight),
        Command::Orders(command) => fleet_orders::run(&command),
        Command::Push(push) => push::run(&push),
        Command::Releases(releases) => push::list(&releases),
        Command::Reload(reload) => remote::reload(&reload),
        Command::Locate(locate) => locate::run(&locate),
        Command::Geodata(geodata) => geodata::run(&geodata),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man => generate::man(),
        Command::Schema { included } => generate::schema(included),
    };
    match result {
        Ok(code) => code,
        Err(sentence) => {
            terminal::complain(format_args!("meridian: {sentence}"));
            ExitCode::FAILURE
        }
    }
}

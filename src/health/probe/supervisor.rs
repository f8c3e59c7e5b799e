//! The supervisor of a check's program: a small process of its own between this server and the program.
//!
//! A program may leave children behind, also in sessions of their own (`setsid`), where no process group reaches them.
//! The kernel gives such orphans to their nearest living ancestor that is a *child subreaper* (prctl(2)), so each program
//! runs under a process that is one, and that ends whatever it has inherited when the program has ended. The server tells
//! it to end everything by closing its standard input, which also happens when the server itself dies.
//!
//! It is this program again, started under another name ([`NAME`]). It reports on its standard error, in one line, what
//! became of the program: `exit 3`, `signal 9`, or `errno 2` where it could not be run.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

use crate::files;

/// The name that the process is started by.
pub const NAME: &str = "meridian-probe";

/// Rounds of ending children, each of whom may leave children of its own.
const ROUNDS: usize = 200;
/// The pause between two rounds: the kernel needs a moment to end a process.
const PAUSE: Duration = Duration::from_millis(2);

/// What became of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramOutcome {
    /// It ended with this code.
    Exit(i32),
    /// A signal ended it.
    Signal(i32),
    /// It could not be run: a number of errno(3).
    Error(i32),
}

impl ProgramOutcome {
    /// Reads the line of a supervisor.
    pub fn parse(line: &str) -> Option<ProgramOutcome> {
        let (word, number) = line.trim_end().split_once(' ')?;
        let number = number.parse().ok()?;
        match word {
            "exit" => Some(ProgramOutcome::Exit(number)),
            "signal" => Some(ProgramOutcome::Signal(number)),
            "errno" => Some(ProgramOutcome::Error(number)),
            _ => None,
        }
    }

    fn line(self) -> String {
        match self {
            ProgramOutcome::Exit(code) => format!("exit {code}\n"),
            ProgramOutcome::Signal(signal) => format!("signal {signal}\n"),
            ProgramOutcome::Error(errno) => format!("errno {errno}\n"),
        }
    }
}

/// Supervises a program, if this process was started for that: under [`NAME`], with the program and its arguments.
/// To be called first of all.
pub fn run_if_called() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    if arguments.next()? != NAME {
        return None;
    }
    let program = arguments.next()?;
    // So that lists of processes call it that, too; it was started by a link to the server's own file.
    let _ = rustix::thread::set_name(c"meridian-probe");
    let report = supervise(program, arguments);
    // The server waits for this line and no longer; it may be gone already.
    let _ = std::io::stderr().write_all(report.line().as_bytes());
    end_children();
    Some(ExitCode::SUCCESS)
}

fn supervise(program: OsString, arguments: impl Iterator<Item = OsString>) -> ProgramOutcome {
    let told = |error: std::io::Error| {
        ProgramOutcome::Error(error.raw_os_error().unwrap_or(Errno::IO.raw_os_error()))
    };
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        return told(error.into());
    }
    if let Err(error) = std::thread::Builder::new()
        .name("end".to_owned())
        .spawn(end_with_the_server)
    {
        return told(error);
    }
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match child.and_then(|mut child| child.wait()) {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => ProgramOutcome::Exit(code),
            (None, signal) => ProgramOutcome::Signal(signal.unwrap_or(0)),
        },
        Err(error) => told(error),
    }
}

/// Ends everything when the server closes the standard input: the time of the probe is over, or the server is gone.
fn end_with_the_server() {
    let _ = std::io::stdin().read(&mut [0]);
    end_children();
    std::process::exit(0);
}

/// Ends every child, and what is inherited from each, for as long as there is one.
fn end_children() {
    for _ in 0..ROUNDS {
        loop {
            match rustix::process::waitpid(None, WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                // There is no child left.
                Err(_) => return,
            }
        }
        for child in children() {
            let _ = rustix::process::kill_process(child, Signal::KILL);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The processes whose parent this one is, by proc_pid_stat(5).
fn children() -> Vec<Pid> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut children = Vec::new();
    for entry in entries.flatten() {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let Ok(stat) = files::read_proc(entry.path().join("stat")) else {
            continue;
        };
        if parent_in(&stat) == Some(own) {
            children.extend(Pid::from_raw(id));
        }
    }
    children
}

/// `12 (name) S 7 ...`: the name may hold anything, spaces and brackets too.
fn parent_in(stat: &str) -> Option<i32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_back_what_it_wrote() {
        for report in [
            ProgramOutcome::Exit(0),
            ProgramOutcome::Exit(255),
            ProgramOutcome::Signal(9),
            ProgramOutcome::Error(2),
        ] {
            assert_eq!(ProgramOutcome::parse(&report.line()), Some(report));
        }
        for line in ["", "exit", "exit x", "left 1"] {
            assert_eq!(ProgramOutcome::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("12 (sh) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in("12 (a) R 1 (b) S 7 12"), Some(7));
        assert_eq!(parent_in("12 (sh"), None);
    }
}

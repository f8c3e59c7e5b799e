//! The supervisor of an exec check: a small process between this server and the check's program.
//!
//! A program may leave children behind, even in sessions of their own (`setsid`), which no process
//! group reaches. The kernel reparents such orphans to their nearest ancestor that is a *child
//! subreaper* (prctl(2)). The supervisor is one, and it kills everything that it inherits once the
//! program has exited. The server asks for this at a timeout by closing the supervisor's standard
//! input, which also happens when the server dies.
//!
//! The supervisor is the server's own executable, started under the name [`NAME`]. It reports the
//! program's outcome on its standard error in one line: `exit 3`, `signal 9`, or `errno 2` if the
//! program could not be run.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

use crate::files;

/// The name (`argv[0]`) of the process.
pub const NAME: &str = "meridian-probe";

/// How often the supervisor kills its children. Each round may leave grandchildren behind.
const ROUNDS: usize = 200;
/// The pause between two rounds, in which the kernel ends the processes.
const PAUSE: Duration = Duration::from_millis(2);

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramOutcome {
    /// The program exited with this code.
    Exit(i32),
    /// A signal killed it.
    Signal(i32),
    /// It could not be run. Holds a number of errno(3).
    Error(i32),
}

impl ProgramOutcome {
    /// Parses a supervisor's report.
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

    /// The report of this outcome.
    fn line(self) -> String {
        match self {
            ProgramOutcome::Exit(code) => format!("exit {code}\n"),
            ProgramOutcome::Signal(signal) => format!("signal {signal}\n"),
            ProgramOutcome::Error(errno) => format!("errno {errno}\n"),
        }
    }
}

/// Acts as a supervisor if this process was started as one: under [`NAME`], with the program and
/// its arguments. Call it first in `main`.
pub fn run_if_called() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    if arguments.next()? != NAME {
        return None;
    }
    let program = arguments.next()?;
    // The name in process lists would otherwise be that of the link to the executable.
    let _ = rustix::thread::set_name(c"meridian-probe");
    let report = supervise(program, arguments);
    // The server reads only this line, and it may be gone already.
    let _ = std::io::stderr().write_all(report.line().as_bytes());
    end_children();
    Some(ExitCode::SUCCESS)
}

fn supervise(program: OsString, arguments: impl Iterator<Item = OsString>) -> ProgramOutcome {
    match run(program, arguments) {
        Ok(status) => match status.code() {
            Some(code) => ProgramOutcome::Exit(code),
            None => ProgramOutcome::Signal(status.signal().unwrap_or(0)),
        },
        Err(error) => {
            let errno = error.raw_os_error();
            ProgramOutcome::Error(errno.unwrap_or(Errno::IO.raw_os_error()))
        }
    }
}

/// Runs the program to its end.
fn run(
    program: OsString,
    arguments: impl Iterator<Item = OsString>,
) -> std::io::Result<ExitStatus> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    std::thread::Builder::new()
        .name("end".to_owned())
        .spawn(end_with_the_server)?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?
        .wait()
}

/// Kills everything when the standard input closes: the probe has timed out, or the server is gone.
fn end_with_the_server() {
    let _ = std::io::stdin().read(&mut [0]);
    end_children();
    std::process::exit(0);
}

/// Kills all children and the processes that they leave behind.
fn end_children() {
    for _ in 0..ROUNDS {
        loop {
            // Not waitpid(None), which sees those of the own process group only.
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                // No child is left.
                Err(_) => return,
            }
        }
        for child in children() {
            let _ = rustix::process::kill_process(child, Signal::KILL);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The child processes of this one (proc_pid_stat(5)).
fn children() -> Vec<Pid> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut children = Vec::new();
    for entry in entries.flatten() {
        if let Some(name) = entry.file_name().to_str()
            && let Ok(id) = name.parse()
            && let Ok(stat) = files::read_proc(entry.path().join("stat"))
            && parent_in(&stat) == Some(own)
        {
            children.extend(Pid::from_raw(id));
        }
    }
    children
}

/// The parent in `12 (name) S 7 ...`. The name may contain anything, including brackets.
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

//! Exec checks: run a program, without a shell, and use its exit code.
//!
//! The exit code decides as soon as the program exits, even if its children keep the pipes open.
//! The program runs under a [`supervisor`], which kills the program and all of its descendants when
//! it exits or when the probe times out. The environment contains only `PATH`, `MERIDIAN_ADDRESS`
//! and `MERIDIAN_PORT`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::runtime::Handle;

use super::observation::Observation;
use super::shortage::{ProbeError, Shortage, ShortageKind};
use super::supervisor::{self, ProgramOutcome};
use crate::health::check::ExecCheck;

/// How much of a program's output is kept, in octets.
const OUTPUT_LIMIT: usize = 1024;
/// The longest report of a supervisor, in octets.
const REPORT_LIMIT: u64 = 64;
/// `PATH` of the programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the program under the supervisor program at `supervisor`. Dropping the future, as a timeout
/// does, kills the program and its descendants.
pub async fn probe(
    supervisor: &Path,
    address: SocketAddr,
    check: &ExecCheck,
) -> Result<Observation, ProbeError> {
    let mut supervised = Supervised::start(supervisor, address, check)?;
    let mut output = Output::default();
    let report = tokio::select! {
        report = read_report(&mut supervised.control) => report,
        () = output.keep_reading(&mut supervised.output) => None,
    };
    output.read_available(&supervised.output);
    let program = check.program.display();
    let observation = match report {
        Some(ProgramOutcome::Exit(0)) => Observation::pass(),
        Some(ProgramOutcome::Exit(1)) => {
            Observation::warn(output.first_line_or(format!("{program} warns")))
        }
        Some(ProgramOutcome::Exit(code)) => {
            Observation::fail(output.first_line_or(format!("{program} ended with {code}")))
        }
        Some(ProgramOutcome::Signal(signal)) => {
            Observation::fail(format!("{program} was killed by signal {signal}"))
        }
        Some(ProgramOutcome::Error(errno)) => {
            let error = io::Error::from_raw_os_error(errno);
            return Err(ProbeError::Local(Shortage::of_program(&program, &error)));
        }
        None => {
            let reason = "the supervisor of the program was killed";
            let shortage = Shortage::new(ShortageKind::Processes, &reason);
            return Err(ProbeError::Local(shortage));
        }
    };
    Ok(observation)
}

/// A running program and its supervisor.
struct Supervised {
    /// The supervisor. The program may run while the supervisor's standard input is open.
    child: Option<Child>,
    output: ChildStdout,
    control: ChildStderr,
}

impl Supervised {
    fn start(
        supervisor: &Path,
        address: SocketAddr,
        check: &ExecCheck,
    ) -> Result<Supervised, ProbeError> {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let mut command = Command::new(supervisor);
        command.arg0(supervisor::NAME).arg(&check.program);
        for argument in &check.arguments {
            let argument = argument.replace("{address}", &host);
            command.arg(argument.replace("{port}", &port));
        }
        command
            .env_clear()
            .env("PATH", PATH)
            .env("MERIDIAN_ADDRESS", &host)
            .env("MERIDIAN_PORT", &port);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        match command.spawn().and_then(Supervised::new) {
            Ok(supervised) => Ok(supervised),
            Err(error) => {
                let shortage = Shortage::of_program(&supervisor.display(), &error);
                Err(ProbeError::Local(shortage))
            }
        }
    }

    fn new(mut child: Child) -> io::Result<Supervised> {
        let (Some(output), Some(control)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        Ok(Supervised {
            child: Some(child),
            output,
            control,
        })
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // When its standard input closes, the supervisor kills the remaining processes and exits.
        drop(child.stdin.take());
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { child.wait().await });
        }
    }
}

/// Reads the supervisor's report. Returns `None` if it ended without one.
async fn read_report(control: &mut ChildStderr) -> Option<ProgramOutcome> {
    let mut line = Vec::new();
    let mut control = control.take(REPORT_LIMIT);
    while !line.ends_with(b"\n") {
        if control.read_buf(&mut line).await.ok()? == 0 {
            return None;
        }
    }
    ProgramOutcome::parse(std::str::from_utf8(&line).ok()?)
}

/// The start of a program's output.
#[derive(Default)]
struct Output(Vec<u8>);

impl Output {
    /// Drains the pipe, so that a program with much output does not block. The future never
    /// completes, not even at the end of the output.
    async fn keep_reading(&mut self, output: &mut ChildStdout) {
        let mut piece = [0; 4096];
        while let Ok(size @ 1..) = output.read(&mut piece).await {
            self.keep(&piece[..size]);
        }
        std::future::pending().await
    }

    /// Reads what the pipe holds now. Later output of the program's children is ignored.
    fn read_available(&mut self, output: &ChildStdout) {
        let mut piece = [0; OUTPUT_LIMIT];
        while self.0.len() < OUTPUT_LIMIT {
            // The pipe is in non-blocking mode.
            let Ok(size @ 1..) = rustix::io::read(output.as_fd(), &mut piece) else {
                return;
            };
            self.keep(&piece[..size]);
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = OUTPUT_LIMIT.saturating_sub(self.0.len());
        self.0.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    /// The first line without control characters, or `default` if it is empty.
    fn first_line_or(&self, default: String) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let mut line = text.lines().next().unwrap_or_default().to_owned();
        line.retain(|letter| !letter.is_control());
        if line.is_empty() { default } else { line }
    }
}

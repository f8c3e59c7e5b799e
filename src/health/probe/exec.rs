//! Exec: a program's word, without a shell between.
//!
//! The program's exit code decides as soon as there is one, whatever its children keep open. Program and children run
//! under a [`supervisor`] that ends all that is left of them, then and when the time of the probe is over. They see no
//! environment but `PATH`, `MERIDIAN_ADDRESS` and `MERIDIAN_PORT`.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::runtime::Handle;

use super::Observation;
use super::shortage::{ProbeError, Shortage, ShortageKind};
use super::supervisor::{self, ProgramOutcome};
use crate::health::check::ExecCheck;

/// The most that is kept of a program's output, in octets.
const OUTPUT_LIMIT: usize = 1024;
/// The longest line of a supervisor.
const REPORT_LIMIT: u64 = 64;
/// Where programs look for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the program under a supervisor, which is the program at `supervisor`; when the probe is dropped at its timeout,
/// the program and all that it started are ended.
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
    output.read_what_is_there(&supervised.output);
    let (line, program) = (output.first_line(), check.program.display());
    let reason = |otherwise: String| {
        if line.is_empty() {
            otherwise
        } else {
            line.clone()
        }
    };
    match report {
        Some(ProgramOutcome::Exit(0)) => Ok(Observation::pass()),
        Some(ProgramOutcome::Exit(1)) => Ok(Observation::warn(reason(format!("{program} warns")))),
        Some(ProgramOutcome::Exit(code)) => Ok(Observation::fail(reason(format!(
            "{program} ended with {code}"
        )))),
        Some(ProgramOutcome::Signal(signal)) => Ok(Observation::fail(format!(
            "{program} was killed by signal {signal}"
        ))),
        Some(ProgramOutcome::Error(errno)) => {
            let error = std::io::Error::from_raw_os_error(errno);
            Err(ProbeError::Own(Shortage::of_program(&program, &error)))
        }
        None => Err(ProbeError::Own(Shortage::new(
            ShortageKind::Processes,
            &"the supervisor of the program was ended",
        ))),
    }
}

/// A program under its supervisor.
struct Supervised {
    /// The supervisor; its standard input stays open for as long as the program may run.
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
            command.arg(
                argument
                    .replace("{address}", &host)
                    .replace("{port}", &port),
            );
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
        let refused = |error| ProbeError::Own(Shortage::of_program(&supervisor.display(), &error));
        let mut child = command.spawn().map_err(refused)?;
        let (Some(output), Some(control)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(refused(std::io::Error::other("it has no pipes")));
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
        // Told so, the supervisor ends what is left, and then itself.
        drop(child.stdin.take());
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { child.wait().await });
        }
    }
}

/// The line of the supervisor; `None`: it ended without one.
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

/// The beginning of a program's output.
#[derive(Default)]
struct Output(Vec<u8>);

impl Output {
    /// Reads for as long as it is polled, so that a talkative program does not wait for us. Never over, also not at the
    /// end of the output.
    async fn keep_reading(&mut self, output: &mut ChildStdout) {
        let mut piece = [0; 4096];
        while let Ok(size @ 1..) = output.read(&mut piece).await {
            self.keep(&piece[..size]);
        }
        std::future::pending().await
    }

    /// Takes in what the program wrote before it ended; what its children write is not waited for.
    fn read_what_is_there(&mut self, output: &ChildStdout) {
        let mut piece = [0; OUTPUT_LIMIT];
        while self.0.len() < OUTPUT_LIMIT {
            // The pipe does not block.
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

    fn first_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        text.lines()
            .next()
            .unwrap_or_default()
            .chars()
            .filter(|letter| !letter.is_control())
            .collect()
    }
}

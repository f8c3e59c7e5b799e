//! Exec: a program's word, without a shell between.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::Observation;
use crate::health::check::Exec;

/// The most that is read of a program's output.
const OUTPUT_LIMIT: u64 = 1024;

/// Runs the program; when the probe is dropped at its timeout, the program and what it started are killed.
pub async fn probe(address: SocketAddr, check: &Exec) -> Observation {
    run(address, check).await.unwrap_or_else(Observation::fail)
}

async fn run(address: SocketAddr, check: &Exec) -> Result<Observation, String> {
    let fill = |argument: &String| {
        argument.replace("{address}", &address.ip().to_string()).replace("{port}", &address.port().to_string())
    };
    let mut command = Command::new(&check.program);
    command.args(check.arguments.iter().map(fill)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.process_group(0).kill_on_drop(true);
    let program = check.program.display();
    let child = command.spawn().map_err(|error| format!("cannot run {program}: {error}"))?;
    let mut group = Group(child);
    let line = first_line(&mut group.0).await;
    let status = group.0.wait().await.map_err(|error| format!("cannot wait for {program}: {error}"))?;
    let reason = |otherwise: String| if line.is_empty() { otherwise } else { line.clone() };
    Ok(match status.code() {
        Some(0) => Observation::pass(),
        Some(1) => Observation::warn(reason(format!("{program} warns"))),
        Some(code) => Observation::fail(reason(format!("{program} ended with {code}"))),
        None => Observation::fail(format!("{program} was killed by a signal")),
    })
}

/// Output beyond the limit is thrown away, so that a talkative program ends all the same.
async fn first_line(child: &mut Child) -> String {
    let Some(mut output) = child.stdout.take() else { return String::new() };
    let mut text = Vec::new();
    let _ = (&mut output).take(OUTPUT_LIMIT).read_to_end(&mut text).await;
    let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or_default().chars().filter(|letter| !letter.is_control()).collect()
}

/// A program with its process group.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // The id is there only until the program has been waited for, so it cannot be another's by now.
        if let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            // SAFETY: killpg takes no pointers; the group is the one that this program was started in.
            unsafe { libc::killpg(id, libc::SIGKILL) };
        }
    }
}

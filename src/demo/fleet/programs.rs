//! The programs of the fleet: nameservers and a NATS server, each under a supervisor.
//!
//! The supervisor is that of checks (`health::probe::supervisor`). It kills its program as soon as
//! this process closes a pipe or ends in any way, so nothing is left behind. Programs are in process
//! groups of their own, so Ctrl-C reaches the demo alone, which then ends the rest.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tokio::sync::oneshot;

use crate::health::probe::supervisor;

/// This program, also if its file was replaced meanwhile.
pub const OWN_PROGRAM: &str = "/proc/self/exe";
/// Where Debian and others keep programs of the system.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/bin", "/usr/local/sbin", "/usr/sbin"];
const NATS: &str = "nats-server";

/// A program that runs until this is dropped; then it is killed (SIGKILL).
#[derive(Debug)]
pub struct DemoProgram {
    supervisor: Child,
    first_line: Option<oneshot::Receiver<String>>,
}

impl DemoProgram {
    /// Starts a program.
    ///
    /// # Errors
    /// A sentence: the system refuses.
    pub fn start(program: &Path, arguments: &[&OsStr]) -> Result<DemoProgram, String> {
        let refusal = |error| format!("{} cannot be started: {error}", program.display());
        let mut command = Command::new(OWN_PROGRAM);
        command
            .arg0(supervisor::NAME)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut supervisor = command.spawn().map_err(refusal)?;
        let (sender, first_line) = oneshot::channel();
        if let Some(output) = supervisor.stdout.take() {
            std::thread::Builder::new()
                .name("demo-program".to_owned())
                .spawn(move || read_lines(output, sender))
                .map_err(refusal)?;
        }
        Ok(DemoProgram {
            supervisor,
            first_line: Some(first_line),
        })
    }

    /// Waits for the first line that the program prints; `None` if it ends without one.
    pub async fn first_line(&mut self) -> Option<String> {
        self.first_line.take()?.await.ok()
    }

    /// Whether the program has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.supervisor.try_wait(), Ok(Some(_)) | Err(_))
    }
}

impl Drop for DemoProgram {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// Passes the first line on and reads the others, so that the program never waits for a reader.
fn read_lines(output: ChildStdout, first: oneshot::Sender<String>) {
    let mut lines = BufReader::new(output).lines();
    if let Some(Ok(line)) = lines.next() {
        let _ = first.send(line);
    }
    while let Some(Ok(_)) = lines.next() {}
}

/// The NATS server: the file that was named, or the first of `PATH` and of the folders for programs
/// of the system.
///
/// # Errors
/// A sentence that says how to install one.
pub fn find_nats(named: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(file) = named {
        return if file.is_file() {
            Ok(file.to_owned())
        } else {
            Err(format!("{}: there is no such program", file.display()))
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for folder in SYSTEM_FOLDERS {
        folders.push(PathBuf::from(folder));
    }
    find_in(&folders).ok_or_else(not_found)
}

fn not_found() -> String {
    format!(
        "{NATS} is not on PATH, nor in {}; install it (the package {NATS} of Debian and Ubuntu, or \
         https://nats.io/download), or name it with --nats-server FILE",
        SYSTEM_FOLDERS.join(", ")
    )
}

fn find_in(folders: &[PathBuf]) -> Option<PathBuf> {
    for folder in folders {
        let file = folder.join(NATS);
        if file.is_file() {
            return Some(file);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_with_a_nats_server_wins_and_there_may_be_none() {
        let [empty, full] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let file = full.path().join("nats-server");
        std::fs::write(&file, "").unwrap();
        assert_eq!(find_in(&[empty.path().to_owned()]), None);
        let folders = [empty.path().to_owned(), full.path().to_owned()];
        assert_eq!(find_in(&folders), Some(file));
    }

    #[test]
    fn a_named_nats_server_that_is_not_there_is_refused() {
        let refusal = find_nats(Some(Path::new("/nowhere/nats-server"))).unwrap_err();
        assert_eq!(refusal, "/nowhere/nats-server: there is no such program");
    }
}

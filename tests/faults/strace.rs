//! Faults in system calls, by strace(1): it attaches to a running server and lets calls fail or stall.
//!
//! Nothing in the server knows of it, so what is tested is the binary that people run. A fault begins when it is
//! attached and ends when it is detached; strace notes each call that it has touched, so that a test can tell a fault
//! that was survived from one that never happened.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long strace may take to attach to every thread, and to let go of them.
const ATTACH: Duration = Duration::from_secs(30);
const DETACH: Duration = Duration::from_secs(2);

/// A fault that is in force until it is dropped.
pub struct Injection {
    strace: Child,
    notes: PathBuf,
}

impl Injection {
    /// Lets system calls of a process and of its children fail or stall: `calls` and `fault` as in strace's
    /// `--inject=calls:fault`. A call that this processor does not have is passed over (`?name`).
    #[track_caller]
    pub fn begin(process: u32, calls: &str, fault: &str, notes: &Path) -> Injection {
        let calls: Vec<String> = calls
            .split_whitespace()
            .map(|call| format!("?{call}"))
            .collect();
        let calls = calls.join(",");
        Injection::attach(
            process,
            &[format!("trace={calls}"), format!("inject={calls}:{fault}")],
            notes,
        )
    }

    /// Only notes the calls for files, descriptors, the network, processes and clocks.
    #[track_caller]
    pub fn watch(process: u32, notes: &Path) -> Injection {
        Injection::attach(
            process,
            &["trace=%file,%desc,%network,%process,%clock".to_owned()],
            notes,
        )
    }

    #[track_caller]
    fn attach(process: u32, expressions: &[String], notes: &Path) -> Injection {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qqq", "-p", &process.to_string(), "-o"])
            .arg(notes)
            .args(["-e", "signal=none"]);
        for expression in expressions {
            command.args(["-e", expression]);
        }
        let strace = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let strace = strace.expect("strace is installed: apt-get install strace");
        let mut injection = Injection {
            strace,
            notes: notes.to_owned(),
        };
        injection.await_attached(process);
        injection
    }

    /// Ends the fault; the server runs on untraced. How many calls were touched, those that still stall included.
    pub fn end(self) -> usize {
        let notes = self.notes.clone();
        drop(self);
        let notes = std::fs::read(notes).unwrap_or_default();
        let notes = String::from_utf8_lossy(&notes);
        [
            "(INJECTED)",
            "(DELAYED)",
            "<unfinished ...>",
            "<detached ...>",
        ]
        .map(|word| notes.matches(word).count())
        .iter()
        .sum()
    }

    /// Ends it; the names of the calls that were noted.
    pub fn seen(self) -> BTreeSet<String> {
        let notes = self.notes.clone();
        drop(self);
        let notes = std::fs::read(notes).unwrap_or_default();
        let notes = String::from_utf8_lossy(&notes);
        // `1234 openat(AT_FDCWD, ...`, and what was begun before or goes on after another: `<... read resumed>`.
        let calls = notes
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1)?.split_once('('));
        calls.map(|(name, _)| name.to_owned()).collect()
    }

    #[track_caller]
    fn await_attached(&mut self, process: u32) {
        let deadline = Instant::now() + ATTACH;
        while !is_traced(process) {
            let ended = self.strace.try_wait().expect("it is our child");
            assert!(
                ended.is_none(),
                "strace cannot attach to the server; it needs root or ptrace_scope 0"
            );
            assert!(
                Instant::now() < deadline,
                "strace did not attach in {} s",
                ATTACH.as_secs()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Injection {
    /// Ends the fault. strace may wait for ever for a child that was just being made (vfork); the kernel lets go of
    /// everything that a killed strace has held.
    fn drop(&mut self) {
        // SAFETY: strace is our child and not waited for yet, so its number is still its own.
        unsafe { libc::kill(self.strace.id() as i32, libc::SIGTERM) };
        let deadline = Instant::now() + DETACH;
        while matches!(self.strace.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// Whether every thread of a process is traced.
fn is_traced(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return false;
    };
    for thread in threads.flatten() {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let tracer = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"));
        if tracer.is_none_or(|tracer| tracer.trim() == "0") {
            return false;
        }
    }
    true
}

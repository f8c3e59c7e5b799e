//! Who made the last commit of a Git checkout, and what it is about.
//!
//! `push --watch` follows a checkout, where the commit says both. The program `git` is asked; without
//! it, or in a folder that is no checkout, nothing is known, which is no mistake. Git reads the
//! checkout's own configuration only where it belongs to the same user, and no hook of it is run.

use std::path::Path;
use std::process::{Command, Stdio};

/// The longest subject that is taken over, in characters.
const LONGEST: usize = 200;

/// The last commit of a checkout.
pub struct LastCommit {
    /// Its author's name.
    pub author: String,
    /// The first line of its message, with a remark if the folder has other changes.
    pub subject: String,
}

/// The last commit of the checkout that a folder is in; `None`: it is in none.
pub fn last_commit(folder: &Path) -> Option<LastCommit> {
    let told = ask(
        folder,
        &["log", "-1", "--no-show-signature", "--format=%an%n%s"],
    )?;
    let (author, subject) = told.split_once('\n')?;
    let mut subject: String = subject.trim().chars().take(LONGEST).collect();
    let others = ask(folder, &["status", "--porcelain", "--", "."])?;
    if !others.is_empty() {
        subject += ", and changes that are not committed";
    }
    Some(LastCommit {
        author: author.to_owned(),
        subject,
    })
}

/// What Git answers; `None`: it refuses, or is not there.
fn ask(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "core.fsmonitor=false"])
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

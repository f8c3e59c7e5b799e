//! The `meridian` command.

use std::process::ExitCode;

use meridian::cli;
use meridian::health::probe::supervisor;

fn main() -> ExitCode {
    give_memory_back();
    // The server starts itself once more for each program of a check.
    if let Some(code) = supervisor::run_if_called() {
        return code;
    }
    cli::run(cli::parse())
}

/// Lets blocks from this size on come from the system and go back to it when they are freed, for as long as the process runs.
///
/// By itself the C library raises this size to that of the largest block which was ever freed. A reload frees tables of
/// megabytes; those of later ones would then lie between small blocks that stay, and what they leave is neither whole enough
/// for the next table nor given back (`docs/architecture.md`, "Choices that were weighed").
#[cfg(target_env = "gnu")]
fn give_memory_back() {
    const LARGE: libc::c_int = 256 << 10;
    // SAFETY: sets a number of the allocator; there is no other thread yet.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

#[cfg(not(target_env = "gnu"))]
fn give_memory_back() {}

//! The `meridian` binary: sets up the allocator and runs the command line.

use std::process::ExitCode;

use meridian::cli;
use meridian::health::probe::supervisor;

fn main() -> ExitCode {
    give_memory_back();
    // For exec checks the server starts this binary again, as a supervisor of their programs.
    if let Some(code) = supervisor::run_if_called() {
        return code;
    }
    cli::run(cli::parse())
}

/// Fixes the size from which the C library maps each block separately and unmaps it when freed.
///
/// By default the library raises that size to the largest block ever freed. A reload frees tables
/// of several megabytes, so later tables would share the heap with small blocks that stay. The gaps
/// they leave would be too fragmented for the next table, and never return to the system
/// (`docs/architecture.md`, "Choices that were weighed").
#[cfg(target_env = "gnu")]
fn give_memory_back() {
    const LARGE: libc::c_int = 256 << 10;
    // SAFETY: this sets a parameter of the allocator before any other thread exists.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

#[cfg(not(target_env = "gnu"))]
fn give_memory_back() {}

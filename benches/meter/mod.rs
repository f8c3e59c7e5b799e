//! What this process has used of the machine.

// Each bench is a crate of its own and uses what it needs.
#![allow(dead_code)]

use std::time::Duration;

/// Processor time of all threads so far, user and system.
pub fn processor_time() -> Duration {
    // SAFETY: `usage` is a C structure of integers, which getrusage fills in.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Kilobytes of memory, as `/proc/self/status` has them: `VmRSS:` now, `VmHWM:` at most so far.
pub fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// The same two of another process: processor time in hundredths of a second, and kilobytes.
pub fn of_process(id: u32) -> (Duration, u64) {
    let read =
        |file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
    let (stat, status) = (read("stat"), read("status"));
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(11)
        .take(2);
    let ticks: u64 = fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    (Duration::from_millis(10 * ticks), resident)
}

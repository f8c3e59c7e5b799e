//! State that lives as long as the process, through every reload.
//!
//! This is the clock of the query path, the cookie secret and the memory.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::dns::cookie::CookieSecret;
use crate::files;

/// How often the clocks of the query path are set.
const BEAT: Duration = Duration::from_millis(100);

static SECONDS: AtomicU32 = AtomicU32::new(0);

/// Seconds since 1970, modulo 2^32, as of the last tenth: the query path reads this, not the system's clock.
pub fn clock() -> &'static AtomicU32 {
    if SECONDS.load(Ordering::Relaxed) == 0 {
        tick();
    }
    &SECONDS
}

static BEATS: AtomicU32 = AtomicU32::new(0);

/// Tenths of a second since some moment, as of the last of them; no step of the system's clock moves it.
pub fn beats() -> &'static AtomicU32 {
    &BEATS
}

/// Sets the clocks of the query path.
fn tick() {
    static START: OnceLock<Instant> = OnceLock::new();
    BEATS.store(
        (START.get_or_init(Instant::now).elapsed().as_millis() / 100) as u32,
        Ordering::Relaxed,
    );
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    SECONDS.store(now as u32, Ordering::Relaxed);
}

/// Sets the clocks of the query path from now on, from a thread that lives as long as the process.
///
/// # Errors
/// A sentence: the system has no thread left.
pub fn keep_time() -> Result<(), String> {
    let keep = || {
        loop {
            tick();
            std::thread::sleep(BEAT);
        }
    };
    let started = std::thread::Builder::new()
        .name("clock".to_owned())
        .spawn(keep);
    started
        .map(drop)
        .map_err(|error| format!("cannot make the thread \"clock\": {error}"))
}

/// Octets of memory that the process holds (`VmRSS` of proc(5)); `None` where that cannot be read.
pub fn resident() -> Option<u64> {
    let status = files::read_proc("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The secret of this process, from the system's random numbers.
pub fn cookie_secret() -> CookieSecret {
    static SECRET: OnceLock<CookieSecret> = OnceLock::new();
    let random = |half: u8| RandomState::new().hash_one(half).to_le_bytes();
    let make = || {
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&random(0));
        octets[8..].copy_from_slice(&random(1));
        CookieSecret::new(octets)
    };
    SECRET.get_or_init(make).clone()
}

/// The name of this machine.
pub fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

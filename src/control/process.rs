//! State that lives as long as the process, through every reload.
//!
//! The query path must not read the system's clock for each packet, so a thread stores the time in
//! atomic integers ten times a second. The cookie secret is drawn once, so that server cookies stay
//! valid across reloads. The module also reads the memory and the host name for status and metrics.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::dns::cookie::CookieSecret;
use crate::files;

/// How often the clocks of the query path are updated.
const BEAT: Duration = Duration::from_millis(100);

static SECONDS: AtomicU32 = AtomicU32::new(0);

/// Seconds since 1970, modulo 2^32, at most a tenth of a second old. The query path reads this
/// instead of the system's clock.
pub fn clock() -> &'static AtomicU32 {
    if SECONDS.load(Ordering::Relaxed) == 0 {
        tick();
    }
    &SECONDS
}

static BEATS: AtomicU32 = AtomicU32::new(0);

/// Tenths of a second since the start of the process. The clock is monotonic: setting the system's
/// clock does not change it.
pub fn beats() -> &'static AtomicU32 {
    &BEATS
}

/// Updates the clocks of the query path.
fn tick() {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    BEATS.store((elapsed.as_millis() / 100) as u32, Ordering::Relaxed);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    SECONDS.store(now as u32, Ordering::Relaxed);
}

/// Starts the thread that updates the clocks of the query path. It lives as long as the process.
///
/// # Errors
/// A sentence: the system cannot start a thread.
pub fn keep_time() -> Result<(), String> {
    let started = std::thread::Builder::new()
        .name("clock".to_owned())
        .spawn(tick_forever);
    match started {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("cannot make the thread \"clock\": {error}")),
    }
}

fn tick_forever() {
    loop {
        tick();
        std::thread::sleep(BEAT);
    }
}

/// The resident memory of the process in octets (`VmRSS` of proc(5)); `None`: it cannot be read.
pub fn resident() -> Option<u64> {
    status("VmRSS:")
}

/// A line of `/proc/self/status` in octets: the mapped memory (`VmSize`), the private data
/// (`VmData`), the resident memory (`VmRSS`), or what of it belongs to no file (`RssAnon`).
pub fn status(line: &str) -> Option<u64> {
    let status = files::read_proc("/proc/self/status").ok()?;
    let value = status.lines().find_map(|found| found.strip_prefix(line))?;
    let kibibytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The cookie secret of this process, drawn from the system's random numbers.
pub fn cookie_secret() -> CookieSecret {
    static SECRET: OnceLock<CookieSecret> = OnceLock::new();
    SECRET
        .get_or_init(|| {
            let mut octets = [0; 16];
            octets[..8].copy_from_slice(&random_octets(0));
            octets[8..].copy_from_slice(&random_octets(1));
            CookieSecret::new(octets)
        })
        .clone()
}

/// Half of the secret. [`RandomState`] gets its keys from the system's random numbers.
fn random_octets(half: u8) -> [u8; 8] {
    RandomState::new().hash_one(half).to_le_bytes()
}

/// The host name of this machine.
pub fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

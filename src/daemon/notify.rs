//! Tells the service manager how we are (`sd_notify(3)`), if it wants to know.
//!
//! With `WatchdogSec=` it is told `WATCHDOG=1` as long as nothing is stuck, and restarts a server that does not say so any
//! more. The log says what is stuck, whether or not anybody wants to be told.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::control::Control;

/// How often the watchdog is asked.
const LOOK: Duration = Duration::from_secs(1);

/// Sends a state such as `READY=1` to `NOTIFY_SOCKET`. That it cannot be told is no reason not to serve.
pub fn tell(state: &str) {
    let Some(manager) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = send(manager.as_bytes(), state) {
        tracing::warn!("the service manager cannot be told {state}: {error}");
    }
}

/// Starts the thread that asks the watchdog, logs what is stuck, and sends `WATCHDOG=1` to systemd while nothing is.
///
/// # Errors
/// A sentence: the system has no thread left.
pub fn watch(control: Arc<Control>) -> Result<(), String> {
    let manager =
        wanted_every().and_then(|every| Some((std::env::var_os("NOTIFY_SOCKET")?, every)));
    let pause = match &manager {
        Some((_, every)) => LOOK.min(*every / 2),
        None => LOOK,
    };
    let watch = move || {
        let mut before = 0;
        loop {
            let stuck = control.watchdog().stuck().len();
            log_change(&control, before, stuck);
            before = stuck;
            if let Some((manager, _)) = &manager
                && stuck == 0
            {
                // Without the message systemd restarts the server, as it should.
                let _ = send(manager.as_bytes(), "WATCHDOG=1");
            }
            std::thread::sleep(pause);
        }
    };
    let started = std::thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(watch);
    started
        .map(drop)
        .map_err(|error| format!("cannot make the thread \"watchdog\": {error}"))
}

/// Logs each part that gets stuck (one may hold up others a moment later), and when all of them run again.
fn log_change(control: &Control, before: usize, stuck: usize) {
    if stuck > before
        && let Some(sentence) = control.watchdog().sentence()
    {
        tracing::error!("{sentence}");
    } else if stuck == 0 && before > 0 {
        tracing::warn!("nothing is stuck any more");
    }
}

/// How often the service manager wants to hear from this process (`sd_watchdog_enabled(3)`); `None`: never.
fn wanted_every() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_for_another = std::env::var_os("WATCHDOG_PID").is_some()
        && number("WATCHDOG_PID") != Some(std::process::id().into());
    number("WATCHDOG_USEC")
        .filter(|every| *every > 0 && !is_for_another)
        .map(Duration::from_micros)
}

/// A name that starts with `@` is abstract: it is in no file system.
fn send(manager: &[u8], state: &str) -> io::Result<()> {
    let address = match manager.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(manager))?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not keep us from serving.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), &address).map(drop)
}

//! Reports the state of the server to the service manager (`sd_notify(3)`).
//!
//! With `WatchdogSec=` in the unit, a thread sends `WATCHDOG=1` while no part of the server is
//! stuck; systemd restarts a server that stops sending it. The same thread logs which part is
//! stuck, also without a service manager.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::control::Control;

/// How often the watchdog is checked.
const WATCHDOG_CHECK: Duration = Duration::from_secs(1);

/// Sends a state such as `READY=1` to `NOTIFY_SOCKET`. A failure is logged and has no other effect.
pub fn notify(state: &str) {
    let Some(manager) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = send(manager.as_bytes(), state) {
        tracing::warn!("cannot notify the service manager of {state}: {error}");
    }
}

/// Starts the thread that checks the watchdog. It logs the parts of the server that are stuck, and
/// sends `WATCHDOG=1` while none is.
///
/// # Errors
/// A sentence: the system has no thread left.
pub fn watch(control: Arc<Control>) -> Result<(), String> {
    let mut manager = None;
    let mut pause = WATCHDOG_CHECK;
    if let Some(interval) = watchdog_interval()
        && let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
    {
        manager = Some(socket);
        pause = pause.min(interval / 2);
    }
    let started = std::thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || watch_forever(&control, manager.as_deref(), pause));
    match started {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("cannot start the thread \"watchdog\": {error}")),
    }
}

fn watch_forever(control: &Control, manager: Option<&OsStr>, pause: Duration) -> ! {
    let mut before = 0;
    loop {
        let stuck = control.watchdog().stuck().len();
        log_change(control, before, stuck);
        before = stuck;
        if let Some(manager) = manager
            && stuck == 0
        {
            // If sending fails, systemd restarts the server.
            let _ = send(manager.as_bytes(), "WATCHDOG=1");
        }
        std::thread::sleep(pause);
    }
}

/// Logs when more parts are stuck than before, and when all of them run again.
fn log_change(control: &Control, before: usize, stuck: usize) {
    if stuck > before
        && let Some(sentence) = control.watchdog().sentence()
    {
        tracing::error!("{sentence}");
    } else if stuck == 0 && before > 0 {
        tracing::warn!("nothing is stuck any more");
    }
}

/// The watchdog interval that the service manager set (`sd_watchdog_enabled(3)`); `None` without
/// one.
fn watchdog_interval() -> Option<Duration> {
    let is_for_another = std::env::var_os("WATCHDOG_PID").is_some()
        && environment_number("WATCHDOG_PID") != Some(std::process::id().into());
    match environment_number("WATCHDOG_USEC") {
        Some(0) | None => None,
        Some(_) if is_for_another => None,
        Some(interval) => Some(Duration::from_micros(interval)),
    }
}

fn environment_number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Sends a state to the socket of the manager; a name that starts with `@` is abstract.
fn send(manager: &[u8], state: &str) -> io::Result<()> {
    let address = match manager.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(OsStr::from_bytes(manager))?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not block the server.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), &address).map(drop)
}

//! Tells the service manager how we are (`sd_notify(3)`), if it wants to know.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends a state such as `READY=1` to `NOTIFY_SOCKET`. That it cannot be told is no reason not to serve.
pub fn tell(state: &str) {
    let Some(manager) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(manager.as_bytes(), state) {
        tracing::warn!("the service manager cannot be told {state}: {error}");
    }
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

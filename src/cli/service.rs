//! What systemd is told of this process (sd_notify(3)), where it wants to know.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells the service manager a state (`READY=1`); without one, or if it does not listen, nothing happens.
pub fn tell(state: &str) {
    let Ok(place) = std::env::var("NOTIFY_SOCKET") else { return };
    // A name that begins with @ is none in the file system (unix(7), "abstract").
    let address = match place.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&place),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!("the service manager at {place} cannot be told {state}: {error}");
    }
}

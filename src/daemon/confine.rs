//! Drops the privileges that a nameserver does not need, before it reads any input.
//!
//! The process keeps `CAP_NET_BIND_SERVICE` if it has it, so that a reload can open ports below
//! 1024. It also sets `no_new_privs`, so that programs run as checks gain no rights.

use rustix::thread::{CapabilitySet, CapabilitySets};

/// Drops all capabilities except `CAP_NET_BIND_SERVICE`, and sets `no_new_privs`. Call it before
/// there is a second thread, because capabilities belong to threads.
///
/// # Errors
/// A sentence: the system refuses.
///
/// Source: capabilities(7).
pub fn drop_privileges() -> Result<(), String> {
    drop_capabilities()
        .map_err(|error| format!("cannot drop privileges that a nameserver does not need: {error}"))
}

fn drop_capabilities() -> rustix::io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    let permitted = rustix::thread::capabilities(None)?.permitted;
    let kept = permitted & CapabilitySet::NET_BIND_SERVICE;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    // This clears the ambient set, too, since only inheritable capabilities can be ambient.
    rustix::thread::set_capabilities(None, sets)
}

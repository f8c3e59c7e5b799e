//! Rights that a nameserver does not need are given up before it reads anything from outside.

use rustix::thread::{CapabilitySet, CapabilitySets};

/// Keeps the right to open ports below 1024, where it was there, and no other; programs that are run from here, as checks,
/// gain none, whoever owns them (`no_new_privs`). To be called before there is a second thread: rights belong to threads.
///
/// # Errors
/// A sentence: the system does not let go of them.
///
/// Source: capabilities(7).
pub fn give_up_rights() -> Result<(), String> {
    let told = |error| format!("cannot give up rights that a nameserver does not need: {error}");
    rustix::thread::set_no_new_privs(true).map_err(told)?;
    let kept = rustix::thread::capabilities(None).map_err(told)?.permitted
        & CapabilitySet::NET_BIND_SERVICE;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    // What is not inheritable is not ambient either.
    rustix::thread::set_capabilities(None, sets).map_err(told)
}

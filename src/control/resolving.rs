//! The background resolver and its runtime.
//!
//! It looks up the names of endpoints, and starts with the addresses that were saved before the
//! last restart.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;

use super::change::KeptName;
use super::keep::{self, NAMES};
use crate::resolve::{KnownNames, NameResolver, ResolvedName};

/// The TTL of addresses that were saved before a restart, in seconds.
const OLD: u32 = 5;

/// The resolver and its runtime.
pub(super) struct BackgroundResolver {
    pub(super) names: NameResolver,
    pub(super) runtime: Handle,
    /// The list that was last handed over to be saved.
    pub(super) kept: Mutex<Vec<KeptName>>,
}

impl BackgroundResolver {
    /// The last good addresses, if they differ from the list that was last saved.
    pub(super) fn to_keep(&self) -> Option<Vec<KeptName>> {
        let mut now = Vec::new();
        for (name, known) in self.names.known() {
            let addresses = known.addresses();
            if !addresses.is_empty() {
                now.push(KeptName {
                    name: name.to_string(),
                    addresses,
                });
            }
        }
        now.sort_by(|one, other| one.name.cmp(&other.name));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if *kept == now {
            return None;
        }
        kept.clone_from(&now);
        Some(now)
    }
}

/// The addresses that were saved before the restart. Look-ups replace them.
pub(super) fn load(directory: &Path) -> KnownNames {
    let (kept, warning) = keep::load::<KeptName>(directory, NAMES);
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    let mut names = KnownNames::new();
    for name in kept.items {
        if let Ok(parsed) = name.name.parse() {
            names.insert(parsed, ResolvedName::remembered(name.addresses, OLD));
        }
    }
    names
}

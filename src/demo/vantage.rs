//! The ways of nameservers to the regions of the demo, each of which can be cut or turned round.
//!
//! All machines of the demo are one, so there is no network to break. Instead each nameserver names
//! itself in a header of its probes, and the regions answer as its way wants it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The header in which a nameserver names itself.
pub const VANTAGE_HEADER: &str = "x-vantage";

/// What the probes of a nameserver meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VantageWay {
    /// The regions as they are.
    #[default]
    Open,
    /// Nothing: no probe is answered.
    Cut,
    /// The opposite of what is so.
    Inverted,
}

/// The ways of all nameservers, by name.
#[derive(Debug, Default)]
pub struct VantageWays(Mutex<BTreeMap<String, VantageWay>>);

impl VantageWays {
    /// The way of a nameserver; open if nothing was set.
    pub fn of(&self, vantage: &str) -> VantageWay {
        self.lock().get(vantage).copied().unwrap_or_default()
    }

    /// Changes the way of a nameserver.
    pub fn set(&self, vantage: &str, way: VantageWay) {
        self.lock().insert(vantage.to_owned(), way);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, VantageWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

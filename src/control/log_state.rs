//! What has been logged and saved already.
//!
//! Health is computed many times a second, but the log and the files should only show changes.
//! [`LogState`] remembers what was last reported, so that each change is reported once. It also
//! holds the last state that was saved, so that a file is written only when its content differs.
//! The controller's step owns it; nothing here does I/O.

use std::collections::{HashMap, HashSet};

use crate::balance::traffic_rates::MovedRates;
use crate::health::check::TargetKey;
use crate::health::machine::HealthState;
use crate::health::probe::ShortageKind;
use crate::health::state::SavedStates;
use crate::health::timeline::HealthChange;

/// What has been logged and saved already.
#[derive(Debug, Default)]
pub struct LogState {
    /// The number of the last change of health that was seen.
    pub event: u64,
    /// Changes of health to report with the next availability.
    pub waiting: Vec<HealthChange>,
    /// How many changes of health there were, by the new state.
    pub transitions: HashMap<HealthState, u64>,
    /// The answer rates of regions when they lost clients.
    pub moved: MovedRates,
    /// The names of services without any live region.
    pub all_down: HashSet<String>,
    /// For each certificate that a warning was logged for, the days left in that warning.
    pub certificates: HashMap<TargetKey, i64>,
    /// Resources that this server lacks, so that it cannot make some probes.
    pub short: HashSet<ShortageKind>,
    /// The hour since the start in which certificates were last checked.
    pub hour: u64,
    /// The regions that were ramping up when ramps were last saved.
    pub ramps: Vec<(String, String)>,
    /// The agreed health as it was last saved.
    pub saved: Option<SavedStates>,
}

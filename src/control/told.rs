//! What has been told and written already, so that it is told and written once.

use std::collections::{HashMap, HashSet};

use crate::balance::traffic_rates::MovedRates;
use crate::health::check::TargetKey;
use crate::health::machine::HealthState;
use crate::health::probe::ShortageKind;
use crate::health::state::SavedVerdicts;
use crate::health::timeline::HealthChange;

/// What the log has been told already.
#[derive(Debug, Default)]
pub struct LogState {
    /// Number of the last event.
    pub event: u64,
    /// Changes that are to be told with the next availability.
    pub waiting: Vec<HealthChange>,
    /// Changes by what they led to.
    pub transitions: HashMap<HealthState, u64>,
    /// Answers that regions gave when they lost clients.
    pub moved: MovedRates,
    /// Names of services without any region.
    pub all_down: HashSet<String>,
    /// Days left of certificates that people were warned of.
    pub certificates: HashMap<TargetKey, i64>,
    /// What is missing on our side, so that some probes cannot be made.
    pub short: HashSet<ShortageKind>,
    /// Hours since the start at which certificates were last looked at.
    pub hour: u64,
    /// Regions that were coming back when that was last written.
    pub ramps: Vec<(String, String)>,
    /// Verdicts as they were last written.
    pub saved: Option<SavedVerdicts>,
}

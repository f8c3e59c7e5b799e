//! Explains why a region takes less than all of its clients.
//!
//! The admin API and the console show these sentences beside a region. An override comes before
//! the result of a probe, because an operator can remove it. [`AvailabilityFacts`] has
//! everything that the sentences need.

use super::{AvailabilityFacts, FULL};
use crate::catalog::keys::RegionKey;
use crate::control::effect::{RegionOverrides, WinningOverride};
use crate::control::targets::{Evidence, ProbeRef};
use crate::health::fold::{HealthOverride, RegionInput};
use crate::health::machine::HealthState;

/// Why an endpoint is down that this server sees up.
pub const OUTVOTED: &str = "most of the fleet sees it down, though this server reaches it";

impl AvailabilityFacts<'_> {
    /// Why a region takes less than all of its clients; `None` if it takes them all.
    pub(super) fn reduction_reason(
        &self,
        key: RegionKey,
        endpoints: &[bool],
        is_full: bool,
    ) -> Option<String> {
        let overrides = self.effect.of_region(key);
        if let Some(reason) = self.outage_reason(key, overrides, endpoints) {
            return Some(reason);
        }
        if is_full {
            return Some(FULL.to_owned());
        }
        overrides
            .and_then(RegionOverrides::shifted)
            .map(str::to_owned)
    }

    /// The override that takes the region or an endpoint out, or the failure of the first endpoint
    /// that is down.
    fn outage_reason(
        &self,
        key: RegionKey,
        overrides: Option<&RegionOverrides>,
        endpoints: &[bool],
    ) -> Option<String> {
        if let Some(winner) = overrides.and_then(|overrides| overrides.order.as_ref())
            && removes(winner)
        {
            return Some(winner.sentence.clone());
        }
        let out = endpoints.iter().position(|up| !up)?;
        if let Some(winner) = overrides.and_then(|overrides| overrides.endpoints.get(&out))
            && removes(winner)
        {
            return Some(winner.sentence.clone());
        }
        self.failure(self.plan.probes_of(key.endpoint(out))?)
    }

    /// Why the target that decides about an endpoint is down.
    fn failure(&self, probe: &ProbeRef) -> Option<String> {
        if let ProbeRef::NotProbed { reason, .. } = probe {
            return Some(format!("is down: {reason}"));
        }
        let (key, _) = probe.deciding(self.targets, Evidence::Agreed)?;
        let Some(target) = self.targets.get(key) else {
            return Some("is down: no result yet".to_owned());
        };
        if target.outvoted {
            return Some(format!("is down: {OUTVOTED}"));
        }
        let last = target.last.as_ref().and_then(|last| last.reason.as_deref());
        let why = last.unwrap_or("answers again, not yet for long enough");
        Some(format!("is down: {why}"))
    }

    /// For each endpoint, whether no override takes it out and its last probe was good.
    pub(super) fn seen_alive(&self, key: RegionKey, region: &RegionInput) -> Vec<bool> {
        let mut alive = Vec::with_capacity(region.endpoints.len());
        for (at, endpoint) in region.endpoints.iter().enumerate() {
            let probe = self.plan.probes_of(key.endpoint(at));
            let seen = probe.and_then(|probe| probe.state(self.targets, Evidence::LastSeen));
            let is_out = is_ordered_out(region.order) || is_ordered_out(endpoint.order);
            alive.push(!is_out && seen.is_none_or(HealthState::serves));
        }
        alive
    }
}

fn removes(winner: &WinningOverride) -> bool {
    winner.order != HealthOverride::ForceUp
}

fn is_ordered_out(order: Option<HealthOverride>) -> bool {
    matches!(
        order,
        Some(HealthOverride::Drain | HealthOverride::ForceDown)
    )
}

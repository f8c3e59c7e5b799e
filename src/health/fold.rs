//! Combines health and operator overrides into the state of a service's regions.
//!
//! For each endpoint, [`combine`] merges the states of its checks, and an override replaces the
//! result. A region takes clients while enough of its endpoints are usable. After an outage its
//! share ramps up. A brake ([`FoldRules::max_removed`]) keeps health alone from removing too many
//! regions at once.
//!
//! The functions are pure, and this is the only place that combines health with overrides.

use std::time::Duration;

use super::machine::HealthState;

/// The share of its clients that a region takes at the start of a ramp. It is not zero, so that a
/// region without alternatives always takes clients.
const RAMP_START: f64 = 0.1;

/// An operator's override of observed health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HealthOverride {
    /// Takes no clients, even if healthy.
    Drain,
    /// Counts as up.
    ForceUp,
    /// Counts as down.
    ForceDown,
}

impl HealthOverride {
    /// Whether it takes an endpoint or region out of service.
    fn removes(self) -> bool {
        match self {
            HealthOverride::Drain | HealthOverride::ForceDown => true,
            HealthOverride::ForceUp => false,
        }
    }
}

/// How many of an endpoint's checks must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckCombination {
    /// Every check.
    All,
    /// At least one.
    Any,
    /// At least this many.
    AtLeast(usize),
}

/// The observed state of one endpoint, and what applies to it.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointInput {
    /// The state of each check. An endpoint without checks counts as up.
    pub states: Vec<HealthState>,
    /// How the checks are combined.
    pub combine: CheckCombination,
    /// The endpoint's override.
    pub order: Option<HealthOverride>,
}

impl EndpointInput {
    /// Whether an override takes the endpoint out of service.
    fn is_removed(&self) -> bool {
        self.order.is_some_and(HealthOverride::removes)
    }
}

/// One region of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionInput {
    /// In configured order.
    pub endpoints: Vec<EndpointInput>,
    /// The usable endpoints that the region needs to take clients; 0 means 1.
    pub min_endpoints: usize,
    /// The region's override.
    pub order: Option<HealthOverride>,
    /// The weight that the brake counts.
    pub weight: u32,
    /// When the region came back after an outage, or `None` if it has not been down.
    pub up_since: Option<Duration>,
    /// Whether the region was available when any region of the service last was.
    pub last_good: bool,
}

impl RegionInput {
    /// By endpoint: whether no override takes it out, regardless of health.
    fn allowed_endpoints(&self) -> Vec<bool> {
        let mut allowed = Vec::with_capacity(self.endpoints.len());
        for endpoint in &self.endpoints {
            allowed.push(!endpoint.is_removed());
        }
        allowed
    }

    /// Whether health decides about the region, so that the brake applies to it.
    fn depends_on_health(&self) -> bool {
        self.order.is_none() && !self.endpoints.iter().all(EndpointInput::is_removed)
    }

    /// The state of the region before the brake.
    fn before_brake(&self, rules: &FoldRules, now: Duration) -> RegionStanding {
        let mut endpoints = Vec::with_capacity(self.endpoints.len());
        let mut usable = 0;
        for endpoint in &self.endpoints {
            let is_usable = is_usable(endpoint);
            usable += usize::from(is_usable);
            endpoints.push(is_usable);
        }
        let share = match self.order {
            Some(HealthOverride::Drain | HealthOverride::ForceDown) => 0.0,
            Some(HealthOverride::ForceUp) => 1.0,
            None if usable < self.min_endpoints.max(1) => 0.0,
            None => ramp_share(rules.ramp, self.up_since, now),
        };
        if self.order == Some(HealthOverride::ForceUp) && usable == 0 {
            endpoints = self.allowed_endpoints();
        }
        RegionStanding {
            share,
            endpoints,
            last_good: self.last_good,
            kept: false,
        }
    }
}

/// The rules of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoldRules {
    /// How long a returning region ramps up to its full share; default 60 s, 0 = at once.
    pub ramp: Duration,
    /// The largest fraction of the weight that health alone may remove, 0.0..=1.0; default 1.0,
    /// which turns the brake off.
    pub max_removed: f64,
}

impl Default for FoldRules {
    fn default() -> Self {
        FoldRules {
            ramp: Duration::from_secs(60),
            max_removed: 1.0,
        }
    }
}

/// The resulting state of one region.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionStanding {
    /// The share of its clients that it takes, 0.0..=1.0.
    pub share: f64,
    /// By endpoint: whether answers may contain it.
    pub endpoints: Vec<bool>,
    /// Whether the region was available when any region of the service last was.
    pub last_good: bool,
    /// The brake kept the region although health alone would have removed it.
    pub kept: bool,
}

impl RegionStanding {
    fn is_available(&self) -> bool {
        self.share > 0.0
    }

    fn is_ramping(&self) -> bool {
        self.share > 0.0 && self.share < 1.0
    }
}

/// The resulting state of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceStanding {
    /// In configured order.
    pub regions: Vec<RegionStanding>,
    /// Whether a region is ramping up, so that its share grows with time alone.
    pub ramping: bool,
}

/// Computes the state of a service at `now`.
pub fn fold(rules: &FoldRules, regions: &[RegionInput], now: Duration) -> ServiceStanding {
    let mut standings = Vec::with_capacity(regions.len());
    for region in regions {
        standings.push(region.before_brake(rules, now));
    }
    brake(rules, regions, &mut standings);
    if standings.iter().any(RegionStanding::is_available) {
        for standing in &mut standings {
            standing.last_good = standing.is_available();
        }
    }
    ServiceStanding {
        ramping: standings.iter().any(RegionStanding::is_ramping),
        regions: standings,
    }
}

/// The combined state of an endpoint's checks. No checks at all count as up.
pub fn combine(rule: CheckCombination, states: &[HealthState]) -> HealthState {
    match deciding(rule, states) {
        Some(index) => states[index],
        None => HealthState::Up,
    }
}

/// The index of the state that decides. If `n` checks must pass, it is the `n`-th best.
///
/// Unknown ranks above down: an endpoint is only down if its unknown checks could not change that.
/// Returns `None` for an empty slice.
pub fn deciding(rule: CheckCombination, states: &[HealthState]) -> Option<usize> {
    let last = states.len().checked_sub(1)?;
    let needed = match rule {
        CheckCombination::All => states.len(),
        CheckCombination::Any => 1,
        CheckCombination::AtLeast(count) => count,
    };
    let mut best_first: Vec<usize> = (0..states.len()).collect();
    best_first.sort_by_key(|&index| match states[index] {
        HealthState::Up => 0,
        HealthState::Degraded => 1,
        HealthState::Unknown => 2,
        HealthState::Down => 3,
    });
    best_first.get(needed.saturating_sub(1).min(last)).copied()
}

/// The share of its clients that a region takes after it came back at `up_since`.
pub fn ramp_share(ramp: Duration, up_since: Option<Duration>, now: Duration) -> f64 {
    let Some(up_since) = up_since else { return 1.0 };
    let up_for = now.saturating_sub(up_since);
    if up_for >= ramp {
        return 1.0;
    }
    RAMP_START + (1.0 - RAMP_START) * up_for.as_secs_f64() / ramp.as_secs_f64()
}

/// Whether answers may contain an endpoint.
pub fn is_usable(endpoint: &EndpointInput) -> bool {
    match endpoint.order {
        Some(HealthOverride::Drain | HealthOverride::ForceDown) => false,
        Some(HealthOverride::ForceUp) => true,
        None => combine(endpoint.combine, &endpoint.states).serves(),
    }
}

/// Restores regions that health alone removed until at most the allowed fraction of the weight is
/// out. Regions that were good last come first. Regions with an override are neither counted nor
/// restored.
fn brake(rules: &FoldRules, regions: &[RegionInput], standings: &mut [RegionStanding]) {
    let mut total = 0.0;
    let mut removed = 0.0;
    let mut out = Vec::new();
    for (index, region) in regions.iter().enumerate() {
        if !region.depends_on_health() {
            continue;
        }
        total += f64::from(region.weight);
        if !standings[index].is_available() {
            removed += f64::from(region.weight);
            out.push(index);
        }
    }
    let allowed = total * rules.max_removed.clamp(0.0, 1.0);
    out.sort_by_key(|&index| !regions[index].last_good);
    for index in out {
        if removed <= allowed {
            return;
        }
        let region = &regions[index];
        removed -= f64::from(region.weight);
        standings[index] = RegionStanding {
            share: 1.0,
            endpoints: region.allowed_endpoints(),
            last_good: region.last_good,
            kept: true,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthState::{Degraded, Down, Unknown, Up};

    fn endpoint(state: HealthState) -> EndpointInput {
        EndpointInput {
            states: vec![state],
            combine: CheckCombination::All,
            order: None,
        }
    }

    fn region(states: &[HealthState]) -> RegionInput {
        let endpoints = states.iter().map(|&state| endpoint(state)).collect();
        RegionInput {
            endpoints,
            min_endpoints: 1,
            order: None,
            weight: 100,
            up_since: None,
            last_good: true,
        }
    }

    fn shares(rules: &FoldRules, regions: &[RegionInput]) -> Vec<f64> {
        fold(rules, regions, Duration::ZERO)
            .regions
            .iter()
            .map(|region| region.share)
            .collect()
    }

    #[test]
    fn checks_combine_by_all_any_and_at_least() {
        for (rule, states, combined) in [
            (CheckCombination::All, &[Up, Up][..], Up),
            (CheckCombination::All, &[Up, Degraded], Degraded),
            (CheckCombination::All, &[Up, Down], Down),
            (CheckCombination::All, &[Up, Unknown], Unknown),
            (CheckCombination::Any, &[Down, Up], Up),
            (CheckCombination::Any, &[Down, Unknown], Unknown),
            (CheckCombination::Any, &[Down, Down], Down),
            (CheckCombination::AtLeast(2), &[Up, Down, Up], Up),
            (
                CheckCombination::AtLeast(2),
                &[Up, Down, Degraded],
                Degraded,
            ),
            (CheckCombination::AtLeast(9), &[Up, Up], Up),
            (CheckCombination::AtLeast(0), &[Down], Down),
            (CheckCombination::All, &[], Up),
        ] {
            assert_eq!(combine(rule, states), combined, "{rule:?} of {states:?}");
        }
    }

    #[test]
    fn unknown_endpoints_take_no_clients() {
        assert_eq!(
            shares(
                &FoldRules::default(),
                &[region(&[Unknown]), region(&[Up]), region(&[])]
            ),
            [0.0, 1.0, 0.0]
        );
    }

    #[test]
    fn a_region_needs_its_fewest_endpoints() {
        let two = RegionInput {
            min_endpoints: 2,
            ..region(&[Up, Down])
        };
        assert_eq!(
            shares(&FoldRules::default(), &[two, region(&[Up, Down])]),
            [0.0, 1.0]
        );
    }

    #[test]
    fn orders_overrule_health() {
        let ordered = |order, state| RegionInput {
            order: Some(order),
            ..region(&[state])
        };
        let regions = [
            ordered(HealthOverride::Drain, Up),
            ordered(HealthOverride::ForceUp, Down),
            ordered(HealthOverride::ForceDown, Up),
        ];
        let folded = fold(
            &FoldRules {
                max_removed: 0.0,
                ..FoldRules::default()
            },
            &regions,
            Duration::ZERO,
        );
        assert_eq!(
            folded
                .regions
                .iter()
                .map(|region| region.share)
                .collect::<Vec<_>>(),
            [0.0, 1.0, 0.0]
        );
        assert_eq!(
            folded.regions[1].endpoints,
            [true],
            "a region forced up has something to give out"
        );
        let drained = EndpointInput {
            order: Some(HealthOverride::Drain),
            ..endpoint(Up)
        };
        let kept = RegionInput {
            endpoints: vec![drained, endpoint(Up)],
            ..region(&[])
        };
        assert_eq!(
            fold(&FoldRules::default(), &[kept], Duration::ZERO).regions[0].endpoints,
            [false, true]
        );
    }

    #[test]
    fn a_returning_region_ramps_up_and_never_shrinks() {
        let rules = FoldRules::default();
        let share = |seconds| {
            ramp_share(
                rules.ramp,
                Some(Duration::from_secs(10)),
                Duration::from_secs(seconds),
            )
        };
        assert!((share(10) - 0.1).abs() < 1e-9 && (share(40) - 0.55).abs() < 1e-9);
        assert_eq!([share(70), share(1000)], [1.0, 1.0]);
        assert!((10..100).all(|second| share(second) <= share(second + 1)));
        assert_eq!(
            ramp_share(Duration::ZERO, Some(Duration::ZERO), Duration::ZERO),
            1.0
        );
        let returning = RegionInput {
            up_since: Some(Duration::ZERO),
            ..region(&[Up])
        };
        assert!(fold(&rules, &[returning], Duration::from_secs(5)).ramping);
    }

    #[test]
    fn the_brake_keeps_half_of_the_weight() {
        let rules = FoldRules {
            max_removed: 0.5,
            ..FoldRules::default()
        };
        let all_down = [
            region(&[Down]),
            region(&[Down]),
            region(&[Down]),
            region(&[Down]),
        ];
        assert_eq!(shares(&rules, &all_down).iter().sum::<f64>(), 2.0);
        let long_dead = RegionInput {
            last_good: false,
            ..region(&[Down])
        };
        let folded = fold(&rules, &[long_dead, region(&[Down])], Duration::ZERO);
        assert_eq!(
            folded
                .regions
                .iter()
                .map(|region| region.kept)
                .collect::<Vec<_>>(),
            [false, true]
        );
        assert_eq!(
            shares(&rules, &[region(&[Up]), region(&[Down])]),
            [1.0, 0.0]
        );
    }

    #[test]
    fn the_last_good_regions_stay_while_none_is_available() {
        let rules = FoldRules::default();
        let gone = [
            region(&[Down]),
            RegionInput {
                last_good: false,
                ..region(&[Down])
            },
        ];
        let good = |regions: &[RegionInput]| {
            fold(&rules, regions, Duration::ZERO)
                .regions
                .iter()
                .map(|region| region.last_good)
                .collect::<Vec<_>>()
        };
        assert_eq!(good(&gone), [true, false]);
        assert_eq!(good(&[region(&[Down]), region(&[Up])]), [false, true]);
    }
}

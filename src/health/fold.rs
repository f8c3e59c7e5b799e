//! Fold: verdicts and orders to the standing of regions. Pure; the one place where the two are combined.
//!
//! Per endpoint its checks are combined, then an order overrules. A region takes clients while enough of its endpoints
//! are usable, ramping up after an outage. A brake keeps health alone from taking too many regions out at once.

use std::time::Duration;

use super::verdict::HealthState;

/// What an operator demanded; overrules what was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HealthOverride {
    /// Takes no clients, whatever its health.
    Drain,
    /// Is taken as up.
    ForceUp,
    /// Is taken as down.
    ForceDown,
}

/// How many of an endpoint's checks must be good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckCombination {
    /// Every one.
    All,
    /// One.
    Any,
    /// So many.
    AtLeast(usize),
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointInput {
    /// By check; empty: it has none, and is taken as up.
    pub verdicts: Vec<HealthState>,
    /// How they are combined.
    pub combine: CheckCombination,
    /// Ordered for the endpoint.
    pub order: Option<HealthOverride>,
}

/// One region of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionInput {
    /// As listed.
    pub endpoints: Vec<EndpointInput>,
    /// Usable endpoints that it needs to take clients; 0 is taken as 1.
    pub min_endpoints: usize,
    /// Ordered for the region.
    pub order: Option<HealthOverride>,
    /// How it divides with others; the brake counts by it.
    pub weight: u32,
    /// When it came back after an outage; `None`: it has not been down, and takes everybody.
    pub up_since: Option<Duration>,
    /// Whether it was available when some region of the service last was.
    pub last_good: bool,
}

/// Rules of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoldRules {
    /// How long a returning region takes to take everybody; default 60 s, 0 = at once.
    pub ramp: Duration,
    /// The largest part of the weight that health alone may take out, 0.0..=1.0; default 1.0 (no brake).
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

/// One region as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionStanding {
    /// The part of its clients that it takes, 0.0..=1.0.
    pub share: f64,
    /// By endpoint: may it be given out?
    pub endpoints: Vec<bool>,
    /// Whether it was available when some region of the service last was.
    pub last_good: bool,
    /// Health alone would have taken it out, and the brake kept it.
    pub kept: bool,
}

/// One service as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceStanding {
    /// As listed.
    pub regions: Vec<RegionStanding>,
    /// Whether a share is on its way up, so that folding again soon changes something.
    pub ramping: bool,
}

/// Combines everything about a service at `now`.
pub fn fold(rules: &FoldRules, regions: &[RegionInput], now: Duration) -> ServiceStanding {
    let mut ramping = false;
    let mut standings: Vec<RegionStanding> = regions
        .iter()
        .map(|region| stand(rules, region, now))
        .collect();
    brake(rules, regions, &mut standings);
    for standing in &standings {
        ramping |= standing.share > 0.0 && standing.share < 1.0;
    }
    if standings.iter().any(|standing| standing.share > 0.0) {
        standings
            .iter_mut()
            .for_each(|standing| standing.last_good = standing.share > 0.0);
    }
    ServiceStanding {
        regions: standings,
        ramping,
    }
}

/// Verdict of several checks of one endpoint: up when enough are good, degraded when that takes a degraded one.
/// No checks at all are up.
pub fn combine(rule: CheckCombination, verdicts: &[HealthState]) -> HealthState {
    deciding(rule, verdicts).map_or(HealthState::Up, |at| verdicts[at])
}

/// Which of several verdicts is that of all together: when `needed` of them must be good, the `needed`-th best. Unknown
/// is better than down, since down is proved only when the unknown ones could not make it up. `None` of none.
pub fn deciding(rule: CheckCombination, verdicts: &[HealthState]) -> Option<usize> {
    let last = verdicts.len().checked_sub(1)?;
    let goodness = |verdict: HealthState| match verdict {
        HealthState::Up => 0,
        HealthState::Degraded => 1,
        HealthState::Unknown => 2,
        HealthState::Down => 3,
    };
    let mut ranks: Vec<usize> = (0..verdicts.len()).collect();
    ranks.sort_by_key(|&at| goodness(verdicts[at]));
    let needed = match rule {
        CheckCombination::All => verdicts.len(),
        CheckCombination::Any => 1,
        CheckCombination::AtLeast(count) => count,
    };
    ranks.get(needed.saturating_sub(1).min(last)).copied()
}

/// The part of its clients that a region takes so long after it came back. A ramp starts at a tenth, not at nothing,
/// so that a region that is alone is never without clients.
pub fn ramp_share(ramp: Duration, up_since: Option<Duration>, now: Duration) -> f64 {
    let Some(up_since) = up_since else { return 1.0 };
    let up_for = now.saturating_sub(up_since);
    if up_for >= ramp {
        return 1.0;
    }
    0.1 + 0.9 * up_for.as_secs_f64() / ramp.as_secs_f64()
}

/// Whether an endpoint is given out.
pub fn is_usable(endpoint: &EndpointInput) -> bool {
    match endpoint.order {
        Some(HealthOverride::Drain | HealthOverride::ForceDown) => false,
        Some(HealthOverride::ForceUp) => true,
        None => combine(endpoint.combine, &endpoint.verdicts).serves(),
    }
}

fn stand(rules: &FoldRules, region: &RegionInput, now: Duration) -> RegionStanding {
    let endpoints: Vec<bool> = region.endpoints.iter().map(is_usable).collect();
    let usable = endpoints.iter().filter(|&&usable| usable).count();
    let share = match region.order {
        Some(HealthOverride::Drain | HealthOverride::ForceDown) => 0.0,
        Some(HealthOverride::ForceUp) => 1.0,
        None if usable < region.min_endpoints.max(1) => 0.0,
        None => ramp_share(rules.ramp, region.up_since, now),
    };
    let endpoints = if region.order == Some(HealthOverride::ForceUp) && usable == 0 {
        not_ordered_out(region)
    } else {
        endpoints
    };
    RegionStanding {
        share,
        endpoints,
        last_good: region.last_good,
        kept: false,
    }
}

/// Endpoints that no order takes out, whatever their health.
fn not_ordered_out(region: &RegionInput) -> Vec<bool> {
    let out = |order: Option<HealthOverride>| {
        matches!(
            order,
            Some(HealthOverride::Drain | HealthOverride::ForceDown)
        )
    };
    region
        .endpoints
        .iter()
        .map(|endpoint| !out(endpoint.order))
        .collect()
}

/// Gives back regions that health alone took out, those that were good last first, until no more than the allowed part
/// of the weight is out. Regions under an order are neither counted nor kept.
fn brake(rules: &FoldRules, regions: &[RegionInput], standings: &mut [RegionStanding]) {
    let by_health =
        |region: &RegionInput| region.order.is_none() && not_ordered_out(region).contains(&true);
    let weight = |region: &RegionInput| f64::from(region.weight);
    let total: f64 = regions
        .iter()
        .filter(|region| by_health(region))
        .map(weight)
        .sum();
    let allowed = total * rules.max_removed.clamp(0.0, 1.0);
    let mut out: Vec<usize> = (0..regions.len())
        .filter(|&at| by_health(&regions[at]) && standings[at].share == 0.0)
        .collect();
    let mut removed: f64 = out.iter().map(|&at| weight(&regions[at])).sum();
    out.sort_by_key(|&at| !regions[at].last_good);
    for at in out {
        if removed <= allowed {
            return;
        }
        removed -= weight(&regions[at]);
        let endpoints = not_ordered_out(&regions[at]);
        standings[at] = RegionStanding {
            share: 1.0,
            endpoints,
            last_good: regions[at].last_good,
            kept: true,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthState::{Degraded, Down, Unknown, Up};

    fn endpoint(verdict: HealthState) -> EndpointInput {
        EndpointInput {
            verdicts: vec![verdict],
            combine: CheckCombination::All,
            order: None,
        }
    }

    fn region(verdicts: &[HealthState]) -> RegionInput {
        let endpoints = verdicts.iter().map(|&verdict| endpoint(verdict)).collect();
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
        for (rule, verdicts, combined) in [
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
            assert_eq!(
                combine(rule, verdicts),
                combined,
                "{rule:?} of {verdicts:?}"
            );
        }
    }

    #[test]
    fn unknown_endpoints_take_nobody() {
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
        let ordered = |order, verdict| RegionInput {
            order: Some(order),
            ..region(&[verdict])
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
    fn last_good_stays_while_nobody_is_available() {
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

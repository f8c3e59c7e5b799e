//! Computes shares that keep every region within its capacity while any region has room.
//!
//! Clients form groups that share an order of regions (a catchment's tiers). A client that a region
//! does not take goes to the next region in the group's order, so lowering the share of a full
//! region spills exactly its excess. The functions here are pure.

/// Clients that share an order of regions.
#[derive(Debug, Clone, PartialEq)]
pub struct SpillGroup {
    /// Their demand, in the unit of the capacities.
    pub demand: f64,
    /// Positions of regions, nearest first.
    pub order: Vec<usize>,
}

impl SpillGroup {
    /// The demand, or nothing if it is not a positive number.
    fn usable_demand(&self) -> f64 {
        if self.demand.is_finite() {
            self.demand.max(0.0)
        } else {
            0.0
        }
    }
}

/// Shares by region, 0.0..=1.0. No region is above its capacity while another has room, and demand
/// above all capacity is divided in proportion to capacity.
///
/// `most` limits the share of each region: 0 when it is down, less than 1 while it ramps up. A
/// capacity that is not finite is no limit. Demand that is not finite, and positions that do not
/// exist, are ignored.
pub fn shares(capacities: &[f64], most: &[f64], groups: &[SpillGroup]) -> Vec<f64> {
    let mut shares = Vec::with_capacity(capacities.len());
    for region in 0..capacities.len() {
        shares.push(share_limit(most, region));
    }
    // A lowered share only adds to other regions, so the shares fall monotonically to the answer.
    // Forty rounds resolve chains of tiers to far below the resolution of a share.
    for _ in 0..40 * capacities.len().max(1) {
        let offered = offered(&shares, groups);
        let mut is_stable = true;
        for (region, share) in shares.iter_mut().enumerate() {
            let fits = capacity(capacities[region]) / offered[region];
            if fits < *share * (1.0 - 1e-9) {
                *share = fits.max(0.0);
                is_stable = false;
            }
        }
        if is_stable {
            break;
        }
    }
    relieve(&mut shares, capacities, most, groups);
    shares
}

fn share_limit(most: &[f64], region: usize) -> f64 {
    match most.get(region) {
        Some(most) if !most.is_nan() => most.clamp(0.0, 1.0),
        _ => 0.0,
    }
}

/// The demand that reaches each region under these shares, taken or not.
pub fn offered(shares: &[f64], groups: &[SpillGroup]) -> Vec<f64> {
    let mut offered = vec![0.0; shares.len()];
    for group in groups {
        let mut left = group.usable_demand();
        for &region in &group.order {
            if let (Some(offer), Some(share)) = (offered.get_mut(region), shares.get(region)) {
                *offer += left;
                left *= 1.0 - share;
            }
        }
    }
    offered
}

/// The demand that each region takes under these shares.
pub fn taken(shares: &[f64], groups: &[SpillGroup]) -> Vec<f64> {
    let mut taken = offered(shares, groups);
    for (region, share) in shares.iter().enumerate() {
        taken[region] *= share;
    }
    taken
}

/// Demand above all capacity must still be answered. It overloads the regions alike, as if every
/// capacity were raised by the same factor.
fn relieve(shares: &mut Vec<f64>, capacities: &[f64], most: &[f64], groups: &[SpillGroup]) {
    let demand: f64 = groups.iter().map(SpillGroup::usable_demand).sum();
    let mut room = 0.0;
    for (region, &own) in capacities.iter().enumerate() {
        if most.get(region).is_some_and(|most| *most > 0.0) {
            room += capacity(own);
        }
    }
    if room > 0.0 && room.is_finite() && demand > room * (1.0 + 1e-6) {
        let factor = demand / room * (1.0 + 1e-6);
        let raised: Vec<f64> = capacities
            .iter()
            .map(|&own| capacity(own) * factor)
            .collect();
        *shares = self::shares(&raised, most, groups);
    }
}

fn capacity(stated: f64) -> f64 {
    if stated.is_finite() {
        stated.max(0.0)
    } else {
        f64::INFINITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group(demand: f64, order: &[usize]) -> SpillGroup {
        SpillGroup {
            demand,
            order: order.to_vec(),
        }
    }

    /// Three regions at 60 %: the third dies, its clients' nearest is the second.
    #[test]
    fn of_three_regions_at_60_percent_one_may_die() {
        let groups = [
            group(60.0, &[0, 1, 2]),
            group(60.0, &[1, 0, 2]),
            group(60.0, &[2, 1, 0]),
        ];
        assert_eq!(shares(&[100.0; 3], &[1.0; 3], &groups), [1.0; 3]);
        let spilled = shares(&[100.0; 3], &[1.0, 1.0, 0.0], &groups);
        let load = taken(&spilled, &groups);
        assert!(load[..2].iter().all(|&load| load <= 100.001), "{load:?}");
        assert!(
            (load.iter().sum::<f64>() - 180.0).abs() < 0.01,
            "everybody is served: {load:?}"
        );
        // Without spill the nearest would have carried 120 %.
        assert!((taken(&[1.0, 1.0, 0.0], &groups)[1] - 120.0).abs() < 1e-9);
    }

    #[test]
    fn clients_beyond_all_capacity_overload_every_region_alike() {
        let groups = [group(150.0, &[0, 1]), group(150.0, &[1, 0])];
        let load = taken(&shares(&[100.0, 50.0], &[1.0; 2], &groups), &groups);
        assert!(
            (load[0] - 200.0).abs() < 1.0 && (load[1] - 100.0).abs() < 1.0,
            "{load:?}"
        );
    }

    #[test]
    fn no_input_panics_or_leaves_the_range() {
        let odd = [f64::NAN, f64::INFINITY, -1.0, 0.0];
        let groups = [
            group(f64::NAN, &[0]),
            group(5.0, &[9, 3, 1]),
            group(-3.0, &[1]),
        ];
        assert!(
            shares(&odd, &[1.0, f64::NAN], &groups)
                .iter()
                .all(|share| (0.0..=1.0).contains(share))
        );
        assert!(shares(&[], &[], &groups).is_empty());
    }

    proptest! {
        #[test]
        fn no_region_is_above_capacity_while_another_has_room(
            capacities in proptest::collection::vec(10.0f64..100.0, 2..7),
            demands in proptest::collection::vec((0.0f64..40.0, any::<u64>()), 1..12),
        ) {
            let count = capacities.len();
            let order = |seed: u64| {
                let mut order: Vec<usize> = (0..count).collect();
                order.sort_by_key(|&region| (seed ^ region as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20);
                order
            };
            let groups: Vec<SpillGroup> = demands.iter().map(|&(demand, seed)| group(demand, &order(seed))).collect();
            let total: f64 = demands.iter().map(|(demand, _)| demand).sum();
            prop_assume!(total < capacities.iter().sum::<f64>() * 0.999);
            let shares = shares(&capacities, &vec![1.0; count], &groups);
            let load = taken(&shares, &groups);
            for (load, capacity) in load.iter().zip(&capacities) {
                prop_assert!(*load <= capacity * 1.001, "{load} of {capacity}");
            }
        }
    }
}

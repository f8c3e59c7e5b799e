//! Systematic sampling: which sets of endpoints a deck holds, and how often each comes.
//!
//! Madow (On the theory of systematic sampling, II, 1949): endpoints lie end to end on a line, each
//! as long as its share of the answers, and points at equal distances fall on them. Where the first
//! point lies decides the whole set, so there are at most as many sets as endpoints, and each
//! endpoint is in exactly its share of them. An endpoint whose share is one reply or more is in all
//! of them, and the others divide what is left. All lengths are integers, so shares are exact.

/// The number of endpoints in every set, and how often each endpoint is in one.
#[derive(Debug, Clone)]
pub struct Inclusion {
    /// Endpoints in a set; at most as many as there are.
    pub size: usize,
    /// The weight of each endpoint, at least 1.
    pub weights: Vec<u64>,
    /// By endpoint: it is in every set.
    pub always: Vec<bool>,
    /// Endpoints in a set that are not in every one.
    pub rest_size: u64,
    /// The sum of the weights of these.
    pub rest_weight: u64,
}

impl Inclusion {
    /// The shares of endpoints with these weights in sets of `answers` endpoints.
    pub fn new(weights: &[u64], answers: usize) -> Inclusion {
        let size = answers.min(weights.len());
        let mut inclusion = Inclusion {
            size,
            weights: weights.to_vec(),
            always: vec![false; weights.len()],
            rest_size: size as u64,
            rest_weight: weights.iter().sum(),
        };
        while inclusion.cap() {}
        inclusion
    }

    /// Puts the endpoints whose share is a whole reply into every set. Returns whether there were
    /// any: the others have greater shares then.
    fn cap(&mut self) -> bool {
        let (size, total) = (self.rest_size, self.rest_weight);
        let mut found = false;
        for (always, &weight) in self.always.iter_mut().zip(&self.weights) {
            if !*always && size > 0 && u128::from(size) * u128::from(weight) >= u128::from(total) {
                *always = true;
                found = true;
                self.rest_size -= 1;
                self.rest_weight -= weight;
            }
        }
        found
    }

    /// The endpoints that are in every set.
    pub fn constant(&self) -> Vec<usize> {
        let mut constant = Vec::new();
        for (endpoint, always) in self.always.iter().enumerate() {
            if *always {
                constant.push(endpoint);
            }
        }
        constant
    }

    /// The sets of one order of the endpoints, each with the length of the stretch in which the
    /// first point gives it. The lengths sum up to `rest_weight`; a set that is the only one has 1.
    pub fn sets(&self, order: &[usize]) -> Vec<WeighedSet> {
        let constant = self.constant();
        if self.rest_size == 0 {
            return vec![WeighedSet {
                endpoints: constant,
                mass: 1,
            }];
        }
        let line = SampleLine::new(self, order);
        let cuts = line.cuts();
        let mut sets = Vec::with_capacity(cuts.len());
        for (at, &start) in cuts.iter().enumerate() {
            let end = cuts.get(at + 1).copied().unwrap_or(self.rest_weight);
            let mut endpoints = constant.clone();
            endpoints.extend(line.endpoints_from(start, self.rest_size));
            sets.push(WeighedSet {
                endpoints,
                mass: end - start,
            });
        }
        sets
    }
}

/// A set of endpoints and how often it comes, in the unit of its deck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeighedSet {
    /// Indices into the deck's endpoints, each once.
    pub endpoints: Vec<usize>,
    /// How often it comes.
    pub mass: u64,
}

/// The endpoints end to end in one order, without those that are in every set.
struct SampleLine {
    endpoints: Vec<usize>,
    /// Where each ends.
    ends: Vec<u64>,
    /// The distance of the points.
    step: u64,
}

impl SampleLine {
    fn new(inclusion: &Inclusion, order: &[usize]) -> SampleLine {
        let mut line = SampleLine {
            endpoints: Vec::with_capacity(order.len()),
            ends: Vec::with_capacity(order.len()),
            step: inclusion.rest_weight,
        };
        let mut end = 0;
        for &endpoint in order {
            if !inclusion.always[endpoint] {
                end += inclusion.rest_size * inclusion.weights[endpoint];
                line.endpoints.push(endpoint);
                line.ends.push(end);
            }
        }
        line
    }

    /// The places of the first point at which the set changes, in order, from 0.
    fn cuts(&self) -> Vec<u64> {
        let mut cuts = vec![0];
        for end in &self.ends {
            cuts.push(end % self.step);
        }
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }

    /// The endpoints under this many points, of which the first lies at `start`.
    fn endpoints_from(&self, start: u64, count: u64) -> Vec<usize> {
        let points = 0..count;
        points
            .map(|point| self.endpoint_at(start + point * self.step))
            .collect()
    }

    fn endpoint_at(&self, place: u64) -> usize {
        self.endpoints[self.ends.partition_point(|end| *end <= place)]
    }
}

/// Largest sum of weights: eight times it, in four orders, stays far below 2^64.
const MOST_WEIGHT: u128 = 1 << 54;

/// Regions whose weights are brought to one unit.
#[derive(Debug, Default)]
pub struct WeightsByRegion<'w> {
    /// The weight of each region, at least 1, and those of its endpoints, at least 1 each.
    pub regions: Vec<(u64, &'w [u32])>,
}

impl<'w> WeightsByRegion<'w> {
    /// The endpoints of one region.
    pub fn of_one(weights: &'w [u32]) -> WeightsByRegion<'w> {
        WeightsByRegion {
            regions: vec![(1, weights)],
        }
    }

    /// The weights of all endpoints, one region after the other: each endpoint's share of its
    /// region times the region's share. Exact, or to one part in 2^50 where the integers would not
    /// fit.
    pub fn flattened(&self) -> Vec<u64> {
        self.exact().unwrap_or_else(|| self.rounded())
    }

    /// The least common multiple of the regions' sums; `None`: it is too large.
    fn common_multiple(&self) -> Option<u128> {
        let mut common: u128 = 1;
        for (_, weights) in &self.regions {
            let total = reduced_total(weights);
            common = (common / gcd(common, total)).checked_mul(total)?;
        }
        Some(common)
    }

    /// The greatest common divisor of the regions' weights; 1 for none.
    fn region_factor(&self) -> u128 {
        let mut factor = 0;
        for (weight, _) in &self.regions {
            factor = gcd(factor, u128::from(*weight));
        }
        factor.max(1)
    }

    fn exact(&self) -> Option<Vec<u64>> {
        let (common, region_factor) = (self.common_multiple()?, self.region_factor());
        let (mut all, mut sum): (Vec<u64>, u128) = (Vec::new(), 0);
        for (region, weights) in &self.regions {
            let unit = common / reduced_total(weights);
            let unit = unit.checked_mul(u128::from(*region) / region_factor)?;
            let factor = common_factor(weights);
            for weight in *weights {
                let weight = unit.checked_mul(u128::from(*weight) / factor)?;
                sum = sum.checked_add(weight)?;
                all.push(u64::try_from(weight).ok()?);
            }
        }
        (sum <= MOST_WEIGHT).then_some(all)
    }

    fn rounded(&self) -> Vec<u64> {
        let mut regions = 0;
        for (weight, _) in &self.regions {
            regions += u128::from(*weight);
        }
        let mut all = Vec::new();
        for (region, weights) in &self.regions {
            let unit = (total_of(weights) * regions).max(1);
            for weight in *weights {
                let weight = (u128::from(*region) * u128::from(*weight)) << 50;
                all.push((weight / unit).max(1) as u64);
            }
        }
        all
    }
}

fn reduced_total(weights: &[u32]) -> u128 {
    (total_of(weights) / common_factor(weights)).max(1)
}

fn total_of(weights: &[u32]) -> u128 {
    weights.iter().copied().map(u128::from).sum()
}

/// The greatest common divisor of the weights; 1 for none.
fn common_factor(weights: &[u32]) -> u128 {
    let mut factor = 0;
    for weight in weights {
        factor = gcd(factor, u128::from(*weight));
    }
    factor.max(1)
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(inclusion: &Inclusion, sets: &[WeighedSet]) -> Vec<u64> {
        let mut counts = vec![0; inclusion.weights.len()];
        for set in sets {
            for &endpoint in &set.endpoints {
                counts[endpoint] += set.mass;
            }
        }
        counts
    }

    proptest! {
        #[test]
        fn every_endpoint_is_in_exactly_its_share_of_the_sets(
            weights in prop::collection::vec(1u64..1_000_000, 1..40),
            answers in 1usize..=8,
            seed in any::<u64>(),
        ) {
            let inclusion = Inclusion::new(&weights, answers);
            let mut order: Vec<usize> = (0..weights.len()).collect();
            order.sort_by_key(|&endpoint| (endpoint as u64 + 1).wrapping_mul(seed | 1));
            let sets = inclusion.sets(&order);
            let span = inclusion.rest_weight.max(1);
            prop_assert!(sets.len() <= weights.len());
            prop_assert_eq!(sets.iter().map(|set| set.mass).sum::<u64>(), span);
            for set in &sets {
                let mut distinct = set.endpoints.clone();
                distinct.sort_unstable();
                distinct.dedup();
                prop_assert!(set.mass > 0 && distinct.len() == answers.min(weights.len()));
            }
            for (endpoint, count) in counted(&inclusion, &sets).into_iter().enumerate() {
                let share = if inclusion.always[endpoint] {
                    span
                } else {
                    inclusion.rest_size * weights[endpoint]
                };
                prop_assert_eq!(count, share);
            }
            // Nothing is capped whose share is below one reply.
            let total: u64 = weights.iter().sum();
            if weights.iter().all(|weight| answers as u64 * weight < total) {
                prop_assert_eq!((inclusion.rest_size, inclusion.rest_weight), (answers as u64, total));
            }
        }

        #[test]
        fn weights_of_several_regions_have_one_unit(
            regions in prop::collection::vec((1u64..1000, prop::collection::vec(1u32..1000, 1..6)), 1..4),
        ) {
            let lists: Vec<(u64, &[u32])> = regions.iter().map(|(own, list)| (*own, &list[..])).collect();
            let weights = WeightsByRegion { regions: lists }.flattened();
            let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            let all: u128 = regions.iter().map(|(own, _)| u128::from(*own)).sum();
            let mut at = 0;
            for (own, list) in &regions {
                let pool: u128 = list.iter().map(|weight| u128::from(*weight)).sum();
                for weight in list {
                    let wanted = u128::from(*own) * u128::from(*weight) * total;
                    prop_assert_eq!(u128::from(weights[at]) * all * pool, wanted);
                    at += 1;
                }
            }
        }
    }

    #[test]
    fn weights_that_have_no_common_unit_are_rounded() {
        let pools: Vec<Vec<u32>> = (0..8).map(|at| vec![u32::MAX - at, 1, 1 << 31]).collect();
        let regions = pools
            .iter()
            .map(|pool| (u64::from(u32::MAX), &pool[..]))
            .collect();
        let weights = WeightsByRegion { regions }.flattened();
        let total: u64 = weights.iter().sum();
        assert!(total < 1 << 51 && weights.iter().all(|weight| *weight > 0));
        let first = f64::from(u32::MAX) / (f64::from(u32::MAX) + 1.0 + f64::from(1u32 << 31)) / 8.0;
        assert!((weights[0] as f64 / total as f64 - first).abs() < 1e-14);
    }
}

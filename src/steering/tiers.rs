//! Tiers: the regions that may serve a client, nearest first.
//!
//! [`SteeringRules`] measures a service's regions from the client's place and joins those within
//! the tie band to one tier. The first tier with an available region serves the client. A client
//! whose place is unknown gets the regions in the order listed.

use super::{Band, Bias, RegionOrder, UnitVector};

/// Most candidates of one service: a position fits an octet, and one value marks the end of a tier.
pub const MAX_CANDIDATES: usize = 254;
/// Marks the end of a tier inside [`Tiers`].
const END: u8 = 255;

/// One region that may serve clients of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Its place; only `nearest` needs one.
    pub location: Option<UnitVector>,
    /// Shrinks or grows its distance.
    pub bias: Bias,
}

/// How a service orders its regions. A candidate is identified by its position in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct SteeringRules {
    /// Nearest first, as listed, or all in one tier.
    pub order: RegionOrder,
    /// How much farther a region may be and still share a tier.
    pub band: Band,
    /// At most [`MAX_CANDIDATES`], in the order of the configuration.
    pub candidates: Vec<Candidate>,
}

/// A candidate and how far it is from one client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeasuredCandidate {
    /// Position in [`SteeringRules::candidates`].
    pub position: u8,
    /// Great-circle distance in kilometres; `None` when either place is unknown, or the order needs
    /// none.
    pub distance: Option<f64>,
    /// The distance with the bias applied, which decides; 0 without a distance.
    pub biased: f64,
}

/// Candidates in tiers: the first tier with an available region serves the client.
///
/// A catchment holds one of these for every class of places, so it is compact: positions, each tier
/// ended by 255.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Tiers(Box<[u8]>);

impl Tiers {
    /// The tiers in order; each holds at least one position.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|&position| position == END)
            .filter(|tier| !tier.is_empty())
    }

    /// Whether no candidate may serve the client.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The positions, each tier ended by 255.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// The number of octets that the first `count` tiers take.
    pub fn octets_of_first(&self, count: usize) -> usize {
        let mut tiers = 0;
        let mut is_open = false;
        for (at, &position) in self.0.iter().enumerate() {
            if tiers == count {
                return at;
            }
            tiers += usize::from(position == END && is_open);
            is_open = position != END;
        }
        self.0.len()
    }

    /// Builds tiers from lists of positions.
    pub fn from_lists(lists: &[&[u8]]) -> Tiers {
        let mut octets = Vec::new();
        for list in lists {
            octets.extend_from_slice(list);
            octets.push(END);
        }
        Tiers(octets.into())
    }
}

impl SteeringRules {
    /// The candidates in the order in which they serve `client`. `allowed` are the regions that a
    /// fence leaves, in the order of the fence; without a fence they are all regions, as listed. A
    /// client whose place is unknown gets that order too, never a distance from 0,0.
    pub fn measure(
        &self,
        client: Option<UnitVector>,
        allowed: Option<&[u8]>,
    ) -> Vec<MeasuredCandidate> {
        let as_listed: Vec<u8>;
        let positions = match allowed {
            Some(positions) => positions,
            None => {
                as_listed = (0..self.candidates.len().min(MAX_CANDIDATES) as u8).collect();
                &as_listed
            }
        };
        let mut measured: Vec<MeasuredCandidate> = positions
            .iter()
            .map(|&position| self.measure_one(client, position))
            .collect();
        if self.is_by_distance(client) {
            measured.sort_by(|a, b| a.biased.total_cmp(&b.biased));
        }
        measured
    }

    /// Whether distances decide for this client.
    fn is_by_distance(&self, client: Option<UnitVector>) -> bool {
        self.order == RegionOrder::Nearest && client.is_some()
    }

    fn measure_one(&self, client: Option<UnitVector>, position: u8) -> MeasuredCandidate {
        let candidate = self.candidates.get(usize::from(position));
        if self.order == RegionOrder::Nearest
            && let (Some(client), Some(candidate)) = (client, candidate)
            && let Some(location) = candidate.location
        {
            let distance = client.distance_km(&location);
            return MeasuredCandidate {
                position,
                distance: Some(distance),
                biased: candidate.bias.apply(distance),
            };
        }
        MeasuredCandidate {
            position,
            distance: None,
            biased: 0.0,
        }
    }

    /// Joins measured candidates to tiers: those within the band of the nearest one, then those
    /// within the band of the nearest one that is left, and so on.
    pub fn tiers(&self, client: Option<UnitVector>, measured: &[MeasuredCandidate]) -> Tiers {
        let by_distance = self.is_by_distance(client);
        let mut octets = Vec::with_capacity(measured.len() * 2);
        let mut limit = f64::NEG_INFINITY;
        for (index, candidate) in measured.iter().enumerate() {
            let joins = match self.order {
                RegionOrder::None => true,
                _ => by_distance && candidate.biased <= limit,
            };
            if index > 0 && !joins {
                octets.push(END);
            }
            if !joins {
                limit = self.band.limit(candidate.biased);
            }
            octets.push(candidate.position);
        }
        octets.push(END);
        sort_tiers(&mut octets);
        Tiers(octets.into())
    }

    /// [`SteeringRules::measure`], then [`SteeringRules::tiers`].
    pub fn arrange(&self, client: Option<UnitVector>, allowed: Option<&[u8]>) -> Tiers {
        self.tiers(client, &self.measure(client, allowed))
    }
}

/// Arranges many clients under one rule set, from the distances of its candidates.
///
/// The result is that of [`SteeringRules::arrange`]. It costs least if the clients of consecutive
/// calls are near each other, because the order of the call before is where sorting begins.
#[derive(Debug)]
pub struct TierArranger<'r> {
    rules: &'r SteeringRules,
    order: Vec<RankedCandidate>,
    octets: Vec<u8>,
    before: Vec<u8>,
}

/// A candidate in the order of the call before.
#[derive(Debug, Clone, Copy)]
struct RankedCandidate {
    position: u8,
    /// Its place among candidates at the same distance.
    rank: u8,
    biased: f64,
}

impl RankedCandidate {
    fn is_before(&self, other: &RankedCandidate) -> bool {
        let by_distance = self.biased.total_cmp(&other.biased);
        by_distance.then(self.rank.cmp(&other.rank)).is_lt()
    }
}

impl<'r> TierArranger<'r> {
    /// Arranges all candidates.
    pub fn new(rules: &'r SteeringRules) -> TierArranger<'r> {
        let mut arranger = TierArranger {
            rules,
            order: Vec::new(),
            octets: Vec::new(),
            before: Vec::new(),
        };
        arranger.allow(None);
        arranger
    }

    /// From now on arranges only these candidates; `None`: all, as listed.
    pub fn allow(&mut self, allowed: Option<&[u8]>) {
        let as_listed: Vec<u8>;
        let positions = match allowed {
            Some(positions) => positions,
            None => {
                let count = self.rules.candidates.len().min(MAX_CANDIDATES);
                as_listed = (0..count as u8).collect();
                &as_listed
            }
        };
        self.order.clear();
        for (rank, position) in positions.iter().enumerate() {
            self.order.push(RankedCandidate {
                position: *position,
                rank: rank as u8,
                biased: 0.0,
            });
        }
    }

    /// Arranges a client, given its distance in kilometres from each candidate that has a location.
    /// Returns whether the tiers differ from those of the call before.
    pub fn arrange(&mut self, distance: impl Fn(usize) -> Option<f64>) -> bool {
        for ranked in &mut self.order {
            let position = usize::from(ranked.position);
            ranked.biased = match (self.rules.candidates.get(position), distance(position)) {
                (Some(candidate), Some(distance)) => candidate.bias.apply(distance),
                _ => 0.0,
            };
        }
        // Few candidates have moved since the call before, which suits an insertion sort.
        for at in 1..self.order.len() {
            let mut to = at;
            while to > 0 && self.order[to].is_before(&self.order[to - 1]) {
                self.order.swap(to, to - 1);
                to -= 1;
            }
        }
        std::mem::swap(&mut self.octets, &mut self.before);
        self.octets.clear();
        let mut limit = f64::NEG_INFINITY;
        let mut tier = 0;
        for (index, ranked) in self.order.iter().enumerate() {
            if ranked.biased > limit {
                if index > 0 {
                    self.octets[tier..].sort_unstable();
                    self.octets.push(END);
                    tier = self.octets.len();
                }
                limit = self.rules.band.limit(ranked.biased);
            }
            self.octets.push(ranked.position);
        }
        self.octets[tier..].sort_unstable();
        self.octets.push(END);
        self.octets != self.before
    }

    /// The tiers of the last call, as [`Tiers::octets`] has them.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }
}

/// Puts each tier in order of position, so that equal tiers are equal octets.
fn sort_tiers(octets: &mut [u8]) {
    for tier in octets.split_mut(|&position| position == END) {
        tier.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Point;
    use super::*;

    fn candidate(latitude: f64, longitude: f64, bias: i64) -> Candidate {
        let location = Some(Point::new(latitude, longitude).unwrap().unit_vector());
        Candidate {
            location,
            bias: Bias::new(bias).unwrap(),
        }
    }

    fn rules(order: RegionOrder, band: &str) -> SteeringRules {
        let candidates = vec![
            candidate(50.1, 8.7, 0),
            candidate(38.9, -77.4, 0),
            candidate(19.1, 72.9, 0),
        ];
        SteeringRules {
            order,
            band: band.parse().unwrap(),
            candidates,
        }
    }

    fn place(latitude: f64, longitude: f64) -> Option<UnitVector> {
        Some(Point::new(latitude, longitude).unwrap().unit_vector())
    }

    #[test]
    fn nearest_orders_by_distance() {
        let berlin = place(52.5, 13.4);
        assert_eq!(
            rules(RegionOrder::Nearest, "0%").arrange(berlin, None),
            Tiers::from_lists(&[&[0], &[2], &[1]])
        );
    }

    #[test]
    fn unknown_clients_get_the_listed_order() {
        assert_eq!(
            rules(RegionOrder::Nearest, "50%").arrange(None, None),
            Tiers::from_lists(&[&[0], &[1], &[2]])
        );
    }

    #[test]
    fn priority_is_as_listed_or_as_fenced() {
        let berlin = place(52.5, 13.4);
        assert_eq!(
            rules(RegionOrder::Priority, "0%").arrange(berlin, None),
            Tiers::from_lists(&[&[0], &[1], &[2]])
        );
        assert_eq!(
            rules(RegionOrder::Priority, "0%").arrange(berlin, Some(&[2, 0])),
            Tiers::from_lists(&[&[2], &[0]])
        );
    }

    #[test]
    fn no_order_is_one_tier() {
        assert_eq!(
            rules(RegionOrder::None, "0%").arrange(None, Some(&[2, 0])),
            Tiers::from_lists(&[&[0, 2]])
        );
    }

    #[test]
    fn a_band_joins_regions_that_are_nearly_as_near() {
        let berlin = place(52.5, 13.4);
        let wide = rules(RegionOrder::Nearest, "10000km").arrange(berlin, None);
        assert_eq!(wide, Tiers::from_lists(&[&[0, 1, 2]]));
        let mut same_city = rules(RegionOrder::Nearest, "0%");
        same_city.candidates.push(same_city.candidates[0]);
        assert_eq!(
            same_city.arrange(berlin, None),
            Tiers::from_lists(&[&[0, 3], &[2], &[1]])
        );
    }

    #[test]
    fn bias_moves_the_border() {
        let mut rules = rules(RegionOrder::Nearest, "0%");
        rules.candidates[1].bias = Bias::new(99).unwrap();
        let berlin = place(52.5, 13.4);
        let first = rules.measure(berlin, None)[0];
        assert_eq!(first.position, 1);
        assert!((first.biased * 100.0 - first.distance.unwrap()).abs() < 1.0);
    }
}

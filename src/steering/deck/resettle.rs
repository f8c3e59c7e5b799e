//! Changes a sticky deck for other weights, so that few clients get another hand.
//!
//! A sticky deck is made from the endpoints as configured, whatever is up. When an endpoint dies or
//! weights change, hands are not drawn anew, which would move nearly every client. Endpoints that
//! have too much hand some of their place to endpoints that have too little: a hand is cut, and in
//! one part of it one endpoint replaces another. Clients of hands without a changed endpoint keep
//! theirs, and the others keep the rest of their hand.

use super::sampling::{Inclusion, WeighedSet};

/// The unit that resettled decks are brought to; shares are exact to one part in it.
const UNIT: u64 = 1 << 56;

/// What is so little that no hand is cut for it.
const SLACK: u64 = 1 << 10;

/// Most sets in which places are moved across; with more, moving within one set is enough.
const MOST_ACROSS: usize = 256;

/// A deck under change.
struct Resettling {
    /// Whole hands of the deck, by draw from 0.
    sets: Vec<WeighedSet>,
    /// By endpoint: how often it is in a hand.
    have: Vec<u64>,
    /// By endpoint: how often it should be.
    want: Vec<u64>,
}

/// One endpoint of one set, by position.
#[derive(Clone, Copy)]
struct SetPlace {
    set: usize,
    place: usize,
}

/// The sets for `wanted`, from those of a deck in which other weights hold. `endpoint_at` is the
/// endpoint of `wanted` by endpoint of the sets; `None`: it is gone. Endpoints of `wanted` that no
/// set has come in new. Both have hands of the same size.
///
/// Each endpoint gets its share, to one part in 2^46.
pub fn resettle(
    sets: Vec<WeighedSet>,
    wanted: &Inclusion,
    endpoint_at: &[Option<usize>],
) -> Vec<WeighedSet> {
    let mut change = Resettling::new(sets, wanted, endpoint_at);
    change.settle();
    change.expel();
    for _ in 0..4 * change.want.len() {
        if !change.settle() && !change.settle_across() {
            break;
        }
    }
    change.sets
}

impl Resettling {
    /// Endpoints that are gone have numbers behind those of `wanted`.
    fn new(sets: Vec<WeighedSet>, wanted: &Inclusion, endpoint_at: &[Option<usize>]) -> Resettling {
        let present = wanted.weights.len();
        let total: u64 = sets.iter().map(|set| set.mass).sum();
        let scale = (UNIT / total.max(1)).max(1);
        let total = total * scale;
        let mut want = targets(wanted, total);
        want.resize(present + endpoint_at.len(), 0);
        let mut change = Resettling {
            sets,
            have: vec![0; want.len()],
            want,
        };
        for set in &mut change.sets {
            set.mass *= scale;
            for endpoint in &mut set.endpoints {
                *endpoint = endpoint_at[*endpoint].unwrap_or(present + *endpoint);
                change.have[*endpoint] += set.mass;
            }
        }
        change
    }

    /// Moves what endpoints have too much to those that have too little. Returns whether something
    /// moved.
    fn settle(&mut self) -> bool {
        let mut moved = false;
        let mut settled = Vec::with_capacity(self.sets.len());
        for set in std::mem::take(&mut self.sets) {
            let mut parts = vec![set];
            for place in 0..parts[0].endpoints.len() {
                let mut next = Vec::with_capacity(parts.len());
                for part in parts {
                    moved |= self.divide(part, place, &mut next);
                }
                parts = next;
            }
            settled.extend(parts);
        }
        self.sets = joined(settled);
        moved
    }

    /// Divides one set: in the first parts, an endpoint that has too little replaces the one at
    /// this place.
    fn divide(&mut self, mut set: WeighedSet, place: usize, parts: &mut Vec<WeighedSet>) -> bool {
        let own = set.endpoints[place];
        let mut moved = false;
        while set.mass > 0 && self.has_too_much(own) {
            let Some(other) = self.neediest(&set) else {
                break;
            };
            let mut mass = set.mass.min(self.surplus(own)).min(self.lack(other));
            if set.mass - mass <= SLACK {
                mass = set.mass;
            }
            parts.push(self.replace(&set, place, other, mass));
            set.mass -= mass;
            moved = true;
        }
        if set.mass > 0 {
            parts.push(set);
        }
        moved
    }

    /// How much an endpoint lacks of what it should have.
    fn lack(&self, endpoint: usize) -> u64 {
        self.want[endpoint].saturating_sub(self.have[endpoint])
    }

    /// How much an endpoint has beyond what it should have.
    fn surplus(&self, endpoint: usize) -> u64 {
        self.have[endpoint].saturating_sub(self.want[endpoint])
    }

    /// Whether the surplus is worth a cut. Nothing is left of an endpoint that is gone.
    fn has_too_much(&self, endpoint: usize) -> bool {
        let allowed = if self.want[endpoint] > 0 { SLACK } else { 0 };
        self.surplus(endpoint) > allowed
    }

    /// Part of a set with another endpoint at a place.
    fn replace(&mut self, set: &WeighedSet, place: usize, other: usize, mass: u64) -> WeighedSet {
        let mut part = WeighedSet {
            endpoints: set.endpoints.clone(),
            mass,
        };
        self.have[part.endpoints[place]] -= mass;
        self.have[other] += mass;
        part.endpoints[place] = other;
        part
    }

    /// The endpoint outside the set that lacks most.
    fn neediest(&self, set: &WeighedSet) -> Option<usize> {
        let (mut best, mut most) = (None, SLACK);
        for other in 0..self.want.len() {
            if self.lack(other) > most && !set.endpoints.contains(&other) {
                (best, most) = (Some(other), self.lack(other));
            }
        }
        best
    }

    /// Replaces what should be in no hand, even if the endpoint that comes in has enough. There is
    /// one, because there are at least as many as a hand has.
    fn expel(&mut self) {
        let mut sets = std::mem::take(&mut self.sets);
        for set in &mut sets {
            for place in 0..set.endpoints.len() {
                if self.want[set.endpoints[place]] > 0 {
                    continue;
                }
                if let Some(other) = self.least_full(set) {
                    *set = self.replace(set, place, other, set.mass);
                }
            }
        }
        self.sets = joined(sets);
    }

    /// Moves once from an endpoint that has too much to one that has too little although every hand
    /// of the first has the second already: a third one gives its place in another hand, and takes
    /// that of the first. Returns whether something moved.
    fn settle_across(&mut self) -> bool {
        if self.sets.len() > MOST_ACROSS {
            return false;
        }
        for lacking in 0..self.want.len() {
            if self.lack(lacking) > SLACK && self.fill_across(lacking) {
                return true;
            }
        }
        false
    }

    fn fill_across(&mut self, lacking: usize) -> bool {
        for surplus in 0..self.want.len() {
            if self.has_too_much(surplus) && self.move_across(lacking, surplus) {
                return true;
            }
        }
        false
    }

    fn move_across(&mut self, lacking: usize, surplus: usize) -> bool {
        for set in 0..self.sets.len() {
            if self.sets[set].endpoints.contains(&lacking) {
                continue;
            }
            for place in 0..self.sets[set].endpoints.len() {
                let third = self.sets[set].endpoints[place];
                if let Some(from) = self.set_of(surplus, third) {
                    let masses = self.sets[set].mass.min(self.sets[from.set].mass);
                    let mass = masses.min(self.lack(lacking)).min(self.surplus(surplus));
                    self.cut_both([(SetPlace { set, place }, lacking), (from, third)], mass);
                    return true;
                }
            }
        }
        false
    }

    /// Cuts two sets, the later one first, because a cut moves those behind it.
    fn cut_both(&mut self, mut cuts: [(SetPlace, usize); 2], mass: u64) {
        cuts.sort_by_key(|(at, _)| std::cmp::Reverse(at.set));
        for (at, other) in cuts {
            self.cut(at, other, mass);
        }
    }

    /// A set that has one endpoint and lacks another, and where in it the first stands.
    fn set_of(&self, endpoint: usize, without: usize) -> Option<SetPlace> {
        for (set, own) in self.sets.iter().enumerate() {
            let place = own.endpoints.iter().position(|own| *own == endpoint);
            let place = place.filter(|_| !own.endpoints.contains(&without));
            if let Some(place) = place {
                return Some(SetPlace { set, place });
            }
        }
        None
    }

    /// Cuts a part off a set, with another endpoint at a place.
    fn cut(&mut self, at: SetPlace, other: usize, mass: u64) {
        let set = self.sets[at.set].clone();
        let part = self.replace(&set, at.place, other, mass);
        if set.mass == mass {
            self.sets[at.set] = part;
        } else {
            self.sets[at.set].mass -= mass;
            self.sets.insert(at.set, part);
        }
    }

    fn least_full(&self, set: &WeighedSet) -> Option<usize> {
        let (mut best, mut least) = (None, u64::MAX);
        for other in 0..self.want.len() {
            let is_open = self.want[other] > 0 && !set.endpoints.contains(&other);
            if is_open && self.surplus(other) < least {
                (best, least) = (Some(other), self.surplus(other));
            }
        }
        best
    }
}

/// How often each endpoint should be in a hand, of `total` hands. The numbers sum up to as many as
/// the hands hold.
fn targets(wanted: &Inclusion, total: u64) -> Vec<u64> {
    let mut targets = Vec::with_capacity(wanted.weights.len());
    let mut weight_before = 0;
    for (always, &weight) in wanted.always.iter().zip(&wanted.weights) {
        if *always {
            targets.push(total);
            continue;
        }
        // The difference of two rounded sums, so that no rounding is lost.
        let start = place_of(weight_before, wanted, total);
        weight_before += weight;
        let target = place_of(weight_before, wanted, total) - start;
        targets.push(target.max(1));
    }
    targets
}

fn place_of(weight: u64, wanted: &Inclusion, total: u64) -> u64 {
    let line = u128::from(total) * u128::from(wanted.rest_size);
    (line * u128::from(weight) / u128::from(wanted.rest_weight.max(1))) as u64
}

/// The sets with equal neighbours made one.
fn joined(sets: Vec<WeighedSet>) -> Vec<WeighedSet> {
    let mut joined: Vec<WeighedSet> = Vec::with_capacity(sets.len());
    for set in sets {
        match joined.last_mut() {
            Some(last) if last.endpoints == set.endpoints => last.mass += set.mass,
            _ => joined.push(set),
        }
    }
    joined
}

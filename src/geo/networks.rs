//! The networks that fences list, as steps over the address space.
//!
//! Many rule sets may list the same networks, so each list is kept once. The address space is cut
//! where a network begins or ends, and each piece has the set of lists that contain it. This adds
//! at most two cuts for each network, whatever the number of rule sets.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::atlas::PlaceId;
use super::fences::{CatchmentRules, Fence};
use crate::net::Cidr;

/// The lists of networks that fences have, each list once, and the sets of lists that occur.
#[derive(Default)]
pub struct FenceNetworks {
    lists: HashMap<Vec<Cidr>, u32>,
    /// Sets of lists, ascending. The first is empty.
    sets: Vec<Vec<u32>>,
}

/// The number of a set of lists. 0 is the empty set.
pub type ListSet = u32;

/// From each start on, the set of lists whose networks contain the addresses.
pub type NetworkSteps<A> = Vec<(A, ListSet)>;

impl FenceNetworks {
    /// The lists of these rule sets.
    pub fn of(rules: &[&CatchmentRules]) -> FenceNetworks {
        let mut networks = FenceNetworks {
            lists: HashMap::new(),
            sets: vec![Vec::new()],
        };
        for fence in rules.iter().flat_map(|rules| &rules.fences) {
            if !fence.networks.is_empty() && !networks.lists.contains_key(&fence.networks) {
                let next = networks.lists.len() as u32;
                networks.lists.insert(fence.networks.clone(), next);
            }
        }
        networks
    }

    /// The number of a fence's list; `None`: it lists no networks.
    pub fn list_of(&self, fence: &Fence) -> Option<u32> {
        self.lists.get(&fence.networks).copied()
    }

    /// Whether a set contains a list.
    pub fn contains(&self, set: ListSet, list: Option<u32>) -> bool {
        match (self.sets.get(set as usize), list) {
            (Some(lists), Some(list)) => lists.binary_search(&list).is_ok(),
            _ => false,
        }
    }

    /// The steps of both families. This numbers the sets.
    pub fn steps(&mut self) -> (NetworkSteps<u32>, NetworkSteps<u128>) {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (networks, list) in &self.lists {
            for network in networks {
                match network.bounds() {
                    (IpAddr::V4(first), IpAddr::V4(last)) => v4.push(ListedRange {
                        list: *list,
                        first: first.to_bits(),
                        after: last.to_bits().checked_add(1),
                    }),
                    (IpAddr::V6(first), IpAddr::V6(last)) => v6.push(ListedRange {
                        list: *list,
                        first: first.to_bits(),
                        after: last.to_bits().checked_add(1),
                    }),
                    _ => {}
                }
            }
        }
        let mut known: HashMap<Vec<u32>, ListSet> = HashMap::from([(Vec::new(), 0)]);
        let mut number = |lists: Vec<u32>| {
            let next = self.sets.len() as ListSet;
            let set = *known.entry(lists.clone()).or_insert(next);
            if set == next {
                self.sets.push(lists);
            }
            set
        };
        (steps(v4, &mut number), steps(v6, &mut number))
    }
}

/// A network of a list.
struct ListedRange<A> {
    list: u32,
    /// The first address.
    first: A,
    /// The address after the last; `None` at the end of the space.
    after: Option<A>,
}

/// Turns ranges into steps. `number` numbers the sets of lists.
fn steps<A: Copy + Ord + Default>(
    ranges: Vec<ListedRange<A>>,
    mut number: impl FnMut(Vec<u32>) -> ListSet,
) -> NetworkSteps<A> {
    let mut events: Vec<(A, u32, i32)> = Vec::with_capacity(ranges.len() * 2);
    for range in ranges {
        events.push((range.first, range.list, 1));
        if let Some(after) = range.after {
            events.push((after, range.list, -1));
        }
    }
    events.sort_unstable();
    let mut open: BTreeMap<u32, i32> = BTreeMap::new();
    let mut steps: NetworkSteps<A> = vec![(A::default(), 0)];
    let mut events = events.into_iter().peekable();
    while let Some((at, list, change)) = events.next() {
        let count = open.entry(list).or_default();
        *count += change;
        if *count == 0 {
            open.remove(&list);
        }
        if events.peek().is_some_and(|next| next.0 == at) {
            continue;
        }
        let set = number(open.keys().copied().collect());
        match steps.last_mut() {
            Some(last) if last.0 == at => last.1 = set,
            _ => steps.push((at, set)),
        }
    }
    steps
}

/// Merges two step functions: at each start of either, the values of both.
pub fn overlay<A: Copy + Ord>(
    places: impl Iterator<Item = (A, PlaceId)>,
    steps: &[(A, ListSet)],
) -> impl Iterator<Item = (A, PlaceId, ListSet)> {
    let mut places = places.peekable();
    let mut steps = steps.iter().copied().peekable();
    let (mut place, mut set) = (PlaceId::UNKNOWN, 0);
    std::iter::from_fn(move || {
        let next = match (places.peek(), steps.peek()) {
            (None, None) => return None,
            (Some(place), None) => place.0,
            (None, Some(step)) => step.0,
            (Some(place), Some(step)) => place.0.min(step.0),
        };
        if let Some((_, now)) = places.next_if(|step| step.0 == next) {
            place = now;
        }
        if let Some((_, now)) = steps.next_if(|step| step.0 == next) {
            set = now;
        }
        Some((next, place, set))
    })
}

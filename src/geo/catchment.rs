//! Catchments: for one set of steering rules, the class of clients that every address belongs to.
//!
//! Clients of one class have the same tiers. A class depends only on configuration and geodata. The
//! current availability turns each class into a [`FailoverChain`], its outcome.
//! [`Catchment::outcomes`] compiles the table of outcomes that queries look up.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use super::atlas::{Atlas, PlaceId};
use super::both::both;
use super::place::{Place, PlaceCode};
use super::table::AddressTable;
use crate::net::{Cidr, ClientAddress};
use crate::steering::{FailoverChain, RegionStates, SteeringRules, Tiers, UnitVector};

/// The class of private and special-purpose addresses, which have no location. A client subnet in
/// this class is ignored in favour of the query's source address, and no ECS scope extends from
/// public space into it.
pub const UNROUTABLE: u32 = 0;

/// Limits the clients that it matches to some of the candidates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fence {
    /// ISO 3166-1 alpha-2.
    pub countries: Vec<PlaceCode>,
    /// AF AN AS EU NA OC SA.
    pub continents: Vec<PlaceCode>,
    /// Country and subdivision.
    pub subdivisions: Vec<(PlaceCode, PlaceCode)>,
    /// Autonomous systems.
    pub asns: Vec<u32>,
    /// Networks of the clients.
    pub networks: Vec<Cidr>,
    /// Whether it also matches clients whose country or continent is unknown.
    pub of_unknown: bool,
    /// Positions in [`SteeringRules::candidates`], in the fence's order.
    pub allowed: Vec<u8>,
}

impl Fence {
    /// Whether it matches a client at `place`. A fence whose lists are all empty matches all
    /// clients.
    pub fn matches(&self, place: &Place, in_networks: bool) -> bool {
        in_networks
            || self.matches_everybody()
            || self.names(place)
            || self.of_unknown && self.cannot_place(place)
    }

    fn matches_everybody(&self) -> bool {
        self.countries.is_empty()
            && self.continents.is_empty()
            && self.subdivisions.is_empty()
            && self.asns.is_empty()
            && self.networks.is_empty()
    }

    /// Whether one of its lists, apart from the networks, contains the place.
    fn names(&self, place: &Place) -> bool {
        if let (Some(country), Some(subdivision)) = (place.country, place.subdivision)
            && self.subdivisions.contains(&(country, subdivision))
        {
            return true;
        }
        place
            .country
            .is_some_and(|code| self.countries.contains(&code))
            || place
                .continent
                .is_some_and(|code| self.continents.contains(&code))
            || place.asn.is_some_and(|asn| self.asns.contains(&asn))
    }

    /// Whether the geodata lack what the fence lists: the country, or the continent if only
    /// continents are listed.
    pub fn cannot_place(&self, place: &Place) -> bool {
        if self.countries.is_empty() && self.subdivisions.is_empty() {
            !self.continents.is_empty() && place.continent.is_none()
        } else {
            place.country.is_none()
        }
    }

    /// Whether an address lies in its networks.
    pub fn holds(&self, address: ClientAddress) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }
}

/// Rules and fences. Services with equal rules and fences share one catchment.
#[derive(Debug, Clone, PartialEq)]
pub struct CatchmentRules {
    /// The order of the candidates.
    pub rules: SteeringRules,
    /// The first that matches wins.
    pub fences: Vec<Fence>,
}

impl CatchmentRules {
    /// The candidates that the first matching fence allows; `None` if no fence matches.
    pub fn allowed(&self, place: &Place, in_networks: impl Fn(usize) -> bool) -> Option<&[u8]> {
        for (index, fence) in self.fences.iter().enumerate() {
            if fence.matches(place, in_networks(index)) {
                return Some(&fence.allowed);
            }
        }
        None
    }

    /// Whether clients can belong to different classes.
    fn depends_on_client(&self) -> bool {
        !self.fences.is_empty()
            || (self.rules.order == crate::steering::RegionOrder::Nearest
                && self.rules.candidates.len() > 1)
    }
}

/// Classes of clients, and the table that maps every address to its class.
#[derive(Debug)]
pub struct Catchment {
    classes: Vec<Tiers>,
    table: Arc<AddressTable>,
}

/// The outcome of every address: a table of indices, and the outcomes. Index [`UNROUTABLE`] is the
/// outcome of the class of that name.
pub type OutcomeTable = (Arc<AddressTable>, Arc<[FailoverChain]>);

impl Catchment {
    /// Sorts the whole address space into classes, IPv4 and IPv6 on a thread each.
    pub fn compile(rules: &CatchmentRules, atlas: &Atlas) -> Catchment {
        if !rules.depends_on_client() {
            let everybody = rules.rules.arrange(None, None);
            return Catchment {
                classes: vec![everybody.clone(), everybody],
                table: Arc::new(AddressTable::uniform(1)),
            };
        }
        let by_place = ClassesByPlace::new(rules, atlas);
        let tags = NetworkTags::new(&rules.fences);
        let (v4, v6) = both(
            || by_place.sweep(rules, atlas, atlas.ranges_v4(), &tags.v4),
            || by_place.sweep(rules, atlas, atlas.ranges_v6(), &tags.v6),
        );
        let mut classes = by_place.classes;
        let v6_renumbered = classes.absorb(v6.extra);
        let v4_renumbered = classes.absorb(v4.extra);
        let table = AddressTable::from_ranges(
            v4.ranges
                .into_iter()
                .map(|(start, class)| (start, v4_renumbered.apply(class))),
            v6.ranges
                .into_iter()
                .map(|(start, class)| (start, v6_renumbered.apply(class))),
        );
        Catchment {
            classes: classes.list,
            table: Arc::new(table),
        }
    }

    /// The classes; [`UNROUTABLE`] is the first.
    pub fn classes(&self) -> &[Tiers] {
        &self.classes
    }

    /// Maps every address to the number of its class.
    pub fn table(&self) -> &Arc<AddressTable> {
        &self.table
    }

    /// Whether every address has class 1.
    pub fn is_uniform(&self) -> bool {
        self.table.len() == AddressTable::uniform(1).len()
    }

    /// Number of address ranges: IPv4, IPv6.
    pub fn ranges(&self) -> (usize, usize) {
        self.table.len()
    }

    /// The outcome of every address in the given states of the regions, with one outcome per class.
    /// This is quick, but blocks are often narrower than they could be.
    pub fn outcomes_by_class(&self, now: &RegionStates) -> OutcomeTable {
        let outcomes = self
            .classes
            .iter()
            .map(|tiers| FailoverChain::resolve(tiers, now));
        (self.table.clone(), outcomes.collect())
    }

    /// As [`Catchment::outcomes_by_class`], with equal outcomes merged and neighbours of one
    /// outcome in one block. This scans the whole address space.
    pub fn outcomes(&self, now: &RegionStates) -> OutcomeTable {
        let mut known: HashMap<FailoverChain, u32> = HashMap::new();
        let mut outcomes: Vec<FailoverChain> = Vec::new();
        let mut of_class = Vec::with_capacity(self.classes.len());
        for (class, tiers) in self.classes.iter().enumerate() {
            let outcome = FailoverChain::resolve(tiers, now);
            let next = outcomes.len() as u32;
            let id = if class == UNROUTABLE as usize {
                next
            } else {
                *known.entry(outcome.clone()).or_insert(next)
            };
            if id == next {
                outcomes.push(outcome);
            }
            of_class.push(id);
        }
        let outcome_of = |class: u32| of_class.get(class as usize).copied().unwrap_or(UNROUTABLE);
        let table = AddressTable::from_ranges(
            self.table
                .ranges_v4()
                .map(|(start, class)| (start, outcome_of(class))),
            self.table
                .ranges_v6()
                .map(|(start, class)| (start, outcome_of(class))),
        );
        (Arc::new(table), outcomes.into())
    }

    /// Octets of memory held by the ranges.
    pub fn memory(&self) -> usize {
        self.table.memory()
    }
}

/// Distinct tiers, each with a number.
#[derive(Default)]
struct Classes {
    list: Vec<Tiers>,
    numbers: HashMap<Tiers, u32>,
}

impl Classes {
    fn number(&mut self, tiers: Tiers) -> u32 {
        let next = self.list.len() as u32;
        *self.numbers.entry(tiers).or_insert_with_key(|tiers| {
            self.list.push(tiers.clone());
            next
        })
    }

    /// Adds the extra classes of a sweep.
    fn absorb(&mut self, extra: Vec<Tiers>) -> Renumbered {
        Renumbered(extra.into_iter().map(|tiers| self.number(tiers)).collect())
    }
}

/// Marks class numbers that index the extra classes of a sweep.
const EXTRA: u32 = 1 << 31;

struct Renumbered(Vec<u32>);

impl Renumbered {
    fn apply(&self, class: u32) -> u32 {
        if class & EXTRA == 0 {
            class
        } else {
            self.0
                .get((class & !EXTRA) as usize)
                .copied()
                .unwrap_or(UNROUTABLE)
        }
    }
}

/// The class of every place of the atlas, for addresses outside the networks of fences.
struct ClassesByPlace {
    classes: Classes,
    of_place: Vec<u32>,
}

/// The result of a sweep over one address family.
struct Swept<A> {
    ranges: Vec<(A, u32)>,
    extra: Vec<Tiers>,
}

impl<A> Default for Swept<A> {
    fn default() -> Self {
        Swept {
            ranges: Vec::new(),
            extra: Vec::new(),
        }
    }
}

impl ClassesByPlace {
    fn new(rules: &CatchmentRules, atlas: &Atlas) -> ClassesByPlace {
        let mut classes = Classes::default();
        // The unroutable class has its own number even if another class has the same tiers.
        classes
            .list
            .push(tiers_at(rules, &Place::default(), |_| false));
        let mut of_place = Vec::with_capacity(atlas.places().len());
        for (id, place) in atlas.places().iter().enumerate() {
            if id as u32 == PlaceId::UNROUTABLE.0 {
                of_place.push(UNROUTABLE);
            } else {
                of_place.push(classes.number(tiers_at(rules, place, |_| false)));
            }
        }
        ClassesByPlace { classes, of_place }
    }

    fn sweep<A: Copy + Ord>(
        &self,
        rules: &CatchmentRules,
        atlas: &Atlas,
        places: impl Iterator<Item = (A, PlaceId)>,
        tags: &[(A, Tag)],
    ) -> Swept<A> {
        let mut swept = Swept::default();
        let mut known: HashMap<(PlaceId, &Tag), u32> = HashMap::new();
        for (start, place, tag) in overlay(places, tags) {
            let class = if tag.is_empty() {
                self.of_place
                    .get(place.0 as usize)
                    .copied()
                    .unwrap_or(UNROUTABLE)
            } else {
                *known.entry((place, tag)).or_insert_with(|| {
                    let tiers = tiers_at(rules, atlas.place(place), |fence| {
                        tag.contains(&(fence as u16))
                    });
                    swept.extra.push(tiers);
                    (swept.extra.len() as u32 - 1) | EXTRA
                })
            };
            if swept.ranges.last().map(|range| range.1) != Some(class) {
                swept.ranges.push((start, class));
            }
        }
        swept
    }
}

/// The tiers of a client at `place`.
fn tiers_at(rules: &CatchmentRules, place: &Place, in_networks: impl Fn(usize) -> bool) -> Tiers {
    let location: Option<UnitVector> = place.point.map(|point| point.unit_vector());
    rules
        .rules
        .arrange(location, rules.allowed(place, in_networks))
}

/// The indices of the fences whose networks contain an address.
type Tag = Vec<u16>;

/// The networks of all fences as step functions over the address space.
struct NetworkTags {
    v4: Vec<(u32, Tag)>,
    v6: Vec<(u128, Tag)>,
}

impl NetworkTags {
    fn new(fences: &[Fence]) -> NetworkTags {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (index, fence) in fences.iter().enumerate() {
            for network in &fence.networks {
                let fence = index as u16;
                match network.bounds() {
                    (IpAddr::V4(first), IpAddr::V4(last)) => v4.push(FencedRange {
                        fence,
                        first: first.to_bits(),
                        after: last.to_bits().checked_add(1),
                    }),
                    (IpAddr::V6(first), IpAddr::V6(last)) => v6.push(FencedRange {
                        fence,
                        first: first.to_bits(),
                        after: last.to_bits().checked_add(1),
                    }),
                    _ => {}
                }
            }
        }
        NetworkTags {
            v4: steps(v4),
            v6: steps(v6),
        }
    }
}

/// A network of a fence.
struct FencedRange<A> {
    /// The index of the fence.
    fence: u16,
    /// The first address.
    first: A,
    /// The address after the last; `None` at the end of the space.
    after: Option<A>,
}

/// Turns ranges into steps: at each start, the fences that contain the addresses from there on.
fn steps<A: Copy + Ord + Default + Hash>(ranges: Vec<FencedRange<A>>) -> Vec<(A, Tag)> {
    let mut events: Vec<(A, u16, i32)> = Vec::new();
    for range in ranges {
        events.push((range.first, range.fence, 1));
        if let Some(after) = range.after {
            events.push((after, range.fence, -1));
        }
    }
    events.sort_unstable_by_key(|event| event.0);
    let mut active: BTreeMap<u16, i32> = BTreeMap::new();
    let mut steps: Vec<(A, Tag)> = vec![(A::default(), Tag::new())];
    for (at, fence, change) in events {
        *active.entry(fence).or_default() += change;
        let mut tag = Tag::new();
        for (fence, count) in &active {
            if *count > 0 {
                tag.push(*fence);
            }
        }
        match steps.last_mut() {
            Some(last) if last.0 == at => last.1 = tag,
            _ => steps.push((at, tag)),
        }
    }
    steps
}

/// Merges two step functions: at each start of either, the values of both.
fn overlay<A: Copy + Ord>(
    places: impl Iterator<Item = (A, PlaceId)>,
    tags: &[(A, Tag)],
) -> impl Iterator<Item = (A, PlaceId, &Tag)> {
    static NO_TAG: Tag = Tag::new();
    let mut places = places.peekable();
    let mut tags = tags.iter().peekable();
    let (mut place, mut tag) = (PlaceId::UNKNOWN, &NO_TAG);
    std::iter::from_fn(move || {
        let next = match (places.peek(), tags.peek()) {
            (None, None) => return None,
            (Some(place), None) => place.0,
            (None, Some(tag)) => tag.0,
            (Some(place), Some(tag)) => place.0.min(tag.0),
        };
        if let Some((_, now)) = places.next_if(|step| step.0 == next) {
            place = now;
        }
        if let Some((_, now)) = tags.next_if(|step| step.0 == next) {
            tag = now;
        }
        Some((next, place, tag))
    })
}

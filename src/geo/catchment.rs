//! Catchments: for one set of steering rules, which class of clients every address belongs to.
//!
//! A class is an order of tiers. It depends on configuration and geodata alone; what it comes to under the present
//! availability is an [`FailoverChain`], and [`Catchment::outcomes`] makes the table of those that queries look up.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use super::atlas::{Atlas, PlaceId};
use super::both::both;
use super::place::{Place, PlaceCode};
use super::table::AddressTable;
use crate::net::{Cidr, ClientAddress};
use crate::steering::{FailoverChain, RegionStates, SteeringRules, Tiers, UnitVector};

/// The class of private and special-purpose addresses, of which no database can know anything: a client subnet in
/// it falls back to the query's own address, and no answer's scope reaches from public space into it.
pub const UNROUTABLE: u32 = 0;

/// These clients may get only these candidates.
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
    /// Whether it is about clients, too, of whom the geodata do not tell what it asks for.
    pub of_unknown: bool,
    /// Positions in [`SteeringRules::candidates`], in the fence's order.
    pub allowed: Vec<u8>,
}

impl Fence {
    /// Whether it is about a client there. All lists empty: about everybody.
    pub fn matches(&self, place: &Place, in_networks: bool) -> bool {
        let everybody = self.countries.is_empty()
            && self.continents.is_empty()
            && self.subdivisions.is_empty()
            && self.asns.is_empty()
            && self.networks.is_empty();
        let listed = |list: &[PlaceCode], code: Option<PlaceCode>| {
            code.is_some_and(|code| list.contains(&code))
        };
        everybody
            || in_networks
            || listed(&self.countries, place.country)
            || listed(&self.continents, place.continent)
            || place
                .country
                .zip(place.subdivision)
                .is_some_and(|pair| self.subdivisions.contains(&pair))
            || place.asn.is_some_and(|asn| self.asns.contains(&asn))
            || self.of_unknown && self.cannot_place(place)
    }

    /// Whether it names places, and the geodata do not tell enough of this one to say whether it is among them: the
    /// country, or the continent where only continents are named.
    pub fn cannot_place(&self, place: &Place) -> bool {
        match self.countries.is_empty() && self.subdivisions.is_empty() {
            false => place.country.is_none(),
            true => !self.continents.is_empty() && place.continent.is_none(),
        }
    }

    /// Whether an address lies in its networks.
    pub fn holds(&self, address: ClientAddress) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }
}

/// Rules and fences: services that share them share one catchment.
#[derive(Debug, Clone, PartialEq)]
pub struct CatchmentRules {
    /// What puts the candidates in order.
    pub rules: SteeringRules,
    /// The first that matches wins.
    pub fences: Vec<Fence>,
}

impl CatchmentRules {
    /// What the first matching fence leaves; `None` when no fence is about this client.
    pub fn allowed(&self, place: &Place, in_networks: impl Fn(usize) -> bool) -> Option<&[u8]> {
        let mut fences = self.fences.iter().enumerate();
        fences
            .find(|(index, fence)| fence.matches(place, in_networks(*index)))
            .map(|(_, fence)| &fence.allowed[..])
    }

    /// Whether the client's place makes a difference at all.
    fn depends_on_client(&self) -> bool {
        !self.fences.is_empty()
            || (self.rules.order == crate::steering::RegionOrder::Nearest
                && self.rules.candidates.len() > 1)
    }
}

/// Classes of clients and the addresses of each.
#[derive(Debug)]
pub struct Catchment {
    classes: Vec<Tiers>,
    table: Arc<AddressTable>,
}

/// What every address comes to: a table of indices into the outcomes. Index [`UNROUTABLE`] means what the class of that
/// name means.
pub type OutcomeTable = (Arc<AddressTable>, Arc<[FailoverChain]>);

impl Catchment {
    /// Sorts the whole address space into classes. IPv4 and IPv6 on a thread each.
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

    /// Every address and the number of its class.
    pub fn table(&self) -> &Arc<AddressTable> {
        &self.table
    }

    /// Whether every address there is has the class 1.
    pub fn is_uniform(&self) -> bool {
        self.table.len() == AddressTable::uniform(1).len()
    }

    /// Number of address ranges: IPv4, IPv6.
    pub fn ranges(&self) -> (usize, usize) {
        self.table.len()
    }

    /// What every address comes to when the candidates stand like this, an outcome for each class: as soon as can be,
    /// with blocks that are often narrower than they could be.
    pub fn outcomes_by_class(&self, now: &RegionStates) -> OutcomeTable {
        let outcome = |tiers: &Tiers| FailoverChain::resolve(tiers, now);
        (
            self.table.clone(),
            self.classes.iter().map(outcome).collect(),
        )
    }

    /// The same with each outcome once, and neighbours of one outcome in one block: the whole address space is gone
    /// through.
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

/// Tiers, each once, by number.
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

    /// Takes in what a sweep found beyond the classes of plain places.
    fn absorb(&mut self, extra: Vec<Tiers>) -> Renumbered {
        Renumbered(extra.into_iter().map(|tiers| self.number(tiers)).collect())
    }
}

/// Class numbers with this bit count the sweep's own extra classes.
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

/// The class of every place of the atlas, as long as no fence's network is involved.
struct ClassesByPlace {
    classes: Classes,
    of_place: Vec<u32>,
}

/// What a sweep over one family found.
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
        // The unroutable class has its own number even where its tiers are those of another.
        classes
            .list
            .push(tiers_at(rules, &Place::default(), |_| false));
        let of_place = atlas.places().iter().enumerate().map(|(id, place)| {
            if id as u32 == PlaceId::UNROUTABLE.0 {
                UNROUTABLE
            } else {
                classes.number(tiers_at(rules, place, |_| false))
            }
        });
        let of_place = of_place.collect();
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
                    let fenced = |fence: usize| tag.contains(&(fence as u16));
                    swept
                        .extra
                        .push(tiers_at(rules, atlas.place(place), fenced));
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

/// Which fences' networks an address lies in.
type Tag = Vec<u16>;

/// The networks of all fences as steps over the address space.
struct NetworkTags {
    v4: Vec<(u32, Tag)>,
    v6: Vec<(u128, Tag)>,
}

impl NetworkTags {
    fn new(fences: &[Fence]) -> NetworkTags {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (fence, network) in fences
            .iter()
            .enumerate()
            .flat_map(|(i, f)| f.networks.iter().map(move |n| (i, n)))
        {
            match network.bounds() {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    v4.push((fence as u16, first.to_bits(), last.to_bits().checked_add(1)))
                }
                (IpAddr::V6(first), IpAddr::V6(last)) => {
                    v6.push((fence as u16, first.to_bits(), last.to_bits().checked_add(1)))
                }
                _ => {}
            }
        }
        NetworkTags {
            v4: steps(v4),
            v6: steps(v6),
        }
    }
}

/// Ranges (fence, first, one past the last) to steps: from each start on, the fences that hold the address.
fn steps<A: Copy + Ord + Default + Hash>(ranges: Vec<(u16, A, Option<A>)>) -> Vec<(A, Tag)> {
    let mut events: Vec<(A, u16, i32)> = Vec::new();
    for (fence, first, after) in ranges {
        events.push((first, fence, 1));
        events.extend(after.map(|after| (after, fence, -1)));
    }
    events.sort_unstable_by_key(|event| event.0);
    let mut active: std::collections::BTreeMap<u16, i32> = std::collections::BTreeMap::new();
    let mut steps: Vec<(A, Tag)> = vec![(A::default(), Tag::new())];
    for (at, fence, change) in events {
        *active.entry(fence).or_default() += change;
        let tag: Tag = active
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(fence, _)| *fence)
            .collect();
        match steps.last_mut() {
            Some(last) if last.0 == at => last.1 = tag,
            _ => steps.push((at, tag)),
        }
    }
    steps
}

/// Two step functions as one: at each start of either, the value of both.
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

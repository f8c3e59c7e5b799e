//! Layers of knowledge laid over one another and swept once.
//!
//! A layer is a stream of range starts in order, each with [`Facts`]; what it says holds until its next start. The
//! sweep goes through all layers at the same pace, so nothing is ever held of a database but the place it has
//! reached. From the top: the operator's networks, unroutable space, the databases as listed, the built-in table.
//! The location is that of the first layer that knows one, whole; so is the AS number.

use std::cell::RefCell;
use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt};

use super::address::Address;
use super::atlas::PlaceId;
use super::error::GeoError;
use super::ranges::RangeBuilder;
use super::{Code, Place};

/// What one layer says of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// The place but for its AS number; `None`: ask the layer below.
    pub location: Option<PlaceId>,
    /// The AS number.
    pub asn: Asn,
}

/// What one layer says of the AS number of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Asn {
    /// Ask the layer below.
    #[default]
    Silent,
    /// There is none, whatever the layers below say.
    Nobody,
    /// This one.
    Number(u32),
}

/// A layer from the top of the space to its end; starts ascend.
pub type Layer<'a, A> = Box<dyn Iterator<Item = Result<(A, Facts), GeoError>> + 'a>;

/// The distinct places met so far.
#[derive(Debug)]
pub struct PlaceTable {
    places: Vec<Place>,
    numbers: HashMap<PlaceKey, PlaceId>,
}

/// A place in a form that is hashed fast: coordinates by their bits, codes by their octets.
type PlaceKey = [u64; 5];

impl Default for PlaceTable {
    /// The two places that every table begins with.
    fn default() -> Self {
        let numbers = [(key(&Place::default()), PlaceId::UNKNOWN)].into_iter().collect();
        PlaceTable { places: vec![Place::default(); 2], numbers }
    }
}

impl PlaceTable {
    /// The number of a place, a new one if it was not met before.
    pub fn number(&mut self, place: Place) -> PlaceId {
        *self.numbers.entry(key(&place)).or_insert_with(|| {
            self.places.push(place);
            PlaceId(self.places.len() as u32 - 1)
        })
    }

    /// The number of a place of this table with an AS number added.
    pub fn with_asn(&mut self, location: PlaceId, asn: u32) -> PlaceId {
        let place = self.places.get(location.0 as usize).copied().unwrap_or_default();
        self.number(Place { asn: Some(asn), ..place })
    }

    /// The number that this table has for place `id` of another one.
    pub fn adopt(&mut self, other: &[Place], id: PlaceId) -> PlaceId {
        match other.get(id.0 as usize) {
            Some(place) if id != PlaceId::UNROUTABLE => self.number(*place),
            _ => id,
        }
    }

    /// The places by number.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The places by number.
    pub fn into_places(self) -> Vec<Place> {
        self.places
    }
}

fn key(place: &Place) -> PlaceKey {
    // No coordinates and no code are not a value of theirs: not a number, and no octets.
    let [latitude, longitude] =
        place.point.map_or([f64::NAN; 2], |point| [point.latitude(), point.longitude()]).map(f64::to_bits);
    let code = |code: Option<Code>| code.map_or(0, |code| u64::from(u32::from_le_bytes(code.octets())));
    let asn = place.asn.map_or(1 << 32, u64::from);
    let rest = u64::from(place.source) << 40 | u64::from(place.coarse) << 48;
    [latitude, longitude, code(place.country) << 32 | code(place.continent), code(place.subdivision), asn | rest]
}

/// Prefixes painted over one another: a layer that is made by hand.
#[derive(Debug, Default)]
pub struct Paint<A>(BTreeMap<A, Facts>);

impl<A: Address> Paint<A> {
    /// Changes what is said of a prefix. Paint short prefixes first: then each lies inside one piece of what is
    /// there, and a hundred thousand of them take no time.
    pub fn prefix(&mut self, address: A, length: u8, change: impl Fn(Facts) -> Facts) {
        let (first, last) = address.prefix(length);
        if let Some(after) = last.next() {
            self.split(after);
        }
        self.split(first);
        self.0.range_mut(first..=last).for_each(|(_, facts)| *facts = change(*facts));
    }

    fn split(&mut self, at: A) {
        let facts = self.0.range(..=at).next_back().map(|(_, facts)| *facts).unwrap_or_default();
        self.0.insert(at, facts);
    }

    /// The painted ranges.
    pub fn layer(self) -> Layer<'static, A> {
        Box::new(self.0.into_iter().map(Ok))
    }
}

/// A part of the address space.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part<A> {
    /// Its first address.
    pub from: A,
    /// The first address behind it; `None`: it goes to the end.
    pub until: Option<A>,
}

/// A layer that says nothing.
pub fn nothing<A: Address>() -> Layer<'static, A> {
    Box::new(std::iter::empty())
}

/// Lays the layers over one another, the first on top, and gives every range its place. Layers may number new places
/// while they are read, so they share the table.
///
/// `bottom` says nothing of AS numbers, and is asked only where no layer knows a place: what lies under a whole city
/// database need not be looked at.
pub fn sweep<A: Address>(
    part: Part<A>,
    layers: Vec<Layer<'_, A>>,
    bottom: Layer<'_, A>,
    places: &RefCell<PlaceTable>,
) -> Result<RangeBuilder<A>, GeoError> {
    let mut heads = layers.into_iter().map(Head::new).collect::<Result<Vec<_>, _>>()?;
    let mut bottom = Head::new(bottom)?;
    let mut with_asn = HashMap::new();
    let mut builder = RangeBuilder::default();
    let mut start = Some(part.from);
    while let Some(at) = start.filter(|&at| part.until.is_none_or(|until| at < until)) {
        start = None;
        for head in &mut heads {
            head.advance_to(at)?;
            start = earlier(start, head);
        }
        let (location, asn) = seen_from_above(&heads);
        let location = match location {
            Some(location) => location,
            None => {
                bottom.advance_to(at)?;
                start = earlier(start, &bottom);
                bottom.here.location.unwrap_or(PlaceId::UNKNOWN)
            }
        };
        let place = match asn {
            Some(asn) => {
                *with_asn.entry((location, asn)).or_insert_with(|| places.borrow_mut().with_asn(location, asn))
            }
            None => location,
        };
        builder.push(at, place);
    }
    Ok(builder)
}

/// Where the next change is, if this layer is the first to change.
#[inline]
fn earlier<A: Address>(start: Option<A>, head: &Head<'_, A>) -> Option<A> {
    match (start, head.next) {
        (Some(start), Some((next, _))) => Some(start.min(next)),
        (start, next) => start.or(next.map(|(next, _)| next)),
    }
}

/// A layer at the point that the sweep has reached.
struct Head<'a, A> {
    rest: Layer<'a, A>,
    here: Facts,
    next: Option<(A, Facts)>,
}

impl<'a, A: Address> Head<'a, A> {
    fn new(mut rest: Layer<'a, A>) -> Result<Self, GeoError> {
        let next = rest.next().transpose()?;
        Ok(Head { rest, here: Facts::default(), next })
    }

    #[inline]
    fn advance_to(&mut self, at: A) -> Result<(), GeoError> {
        while let Some((_, facts)) = self.next.filter(|(start, _)| *start <= at) {
            self.here = facts;
            self.next = self.rest.next().transpose()?;
        }
        Ok(())
    }
}

#[inline]
fn seen_from_above<A>(heads: &[Head<'_, A>]) -> (Option<PlaceId>, Option<u32>) {
    let location = heads.iter().find_map(|head| head.here.location);
    let asn = heads.iter().map(|head| head.here.asn).find(|asn| *asn != Asn::Silent);
    (location, asn.and_then(|asn| if let Asn::Number(number) = asn { Some(number) } else { None }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A prefix of a small space at the front of the real one, and what is said of it.
    type Stroke = (u32, u8, Option<u32>, Asn);

    fn stroke() -> impl Strategy<Value = Stroke> {
        let asn = prop_oneof![Just(Asn::Silent), Just(Asn::Nobody), (1..4u32).prop_map(Asn::Number)];
        (0..256u32, 24..=32u8, prop::option::of(0..5u32), asn)
    }

    fn facts(&(_, _, location, asn): &Stroke) -> Facts {
        Facts { location: location.map(PlaceId), asn }
    }

    fn table() -> PlaceTable {
        let mut table = PlaceTable::default();
        for source in 1..4 {
            table.number(Place { source, ..Place::default() });
        }
        table
    }

    /// What the layers come to at one address, asked one by one.
    fn oracle(layers: &[Vec<Stroke>], address: u32, places: &PlaceTable) -> Place {
        let said = layers.iter().map(|strokes| {
            let holds =
                |stroke: &&Stroke| (stroke.0.prefix(stroke.1).0..=stroke.0.prefix(stroke.1).1).contains(&address);
            strokes.iter().rfind(holds).map(facts).unwrap_or_default()
        });
        let said: Vec<Facts> = said.collect();
        let location = said.iter().find_map(|facts| facts.location).unwrap_or(PlaceId::UNKNOWN);
        let asn = said.iter().map(|facts| facts.asn).find(|asn| *asn != Asn::Silent);
        let asn = if let Some(Asn::Number(number)) = asn { Some(number) } else { None };
        Place { asn, ..places.places()[location.0 as usize] }
    }

    proptest! {
        #[test]
        fn the_sweep_agrees_with_asking_every_layer(
            mut layers in prop::collection::vec(prop::collection::vec(stroke(), 0..12), 0..4),
            mut bottom in prop::collection::vec(stroke(), 0..12),
        ) {
            bottom.iter_mut().for_each(|stroke| stroke.3 = Asn::Silent);
            let places = RefCell::new(table());
            let painted = |strokes: &Vec<Stroke>| {
                let mut paint = Paint::<u32>::default();
                strokes.iter().for_each(|stroke| paint.prefix(stroke.0, stroke.1, |_| facts(stroke)));
                paint.layer()
            };
            let list = sweep(Part::default(), layers.iter().map(painted).collect(), painted(&bottom), &places).unwrap().finish();
            // In two parts it comes to the same.
            let cut = Some(128);
            let parts = [Part { from: 0, until: cut }, Part { from: 128, until: None }];
            let [mut lower, upper] = parts.map(|part| {
                sweep(part, layers.iter().map(painted).collect(), painted(&bottom), &places).unwrap()
            });
            upper.finish().iter().for_each(|(start, place)| lower.push(start, place));
            prop_assert_eq!(&lower.finish(), &list);
            let places = places.into_inner();
            layers.push(bottom);
            for address in (0..=256).chain([u32::MAX]) {
                let found = places.places()[list.find(address).0.0 as usize];
                prop_assert_eq!(found, oracle(&layers, address, &places), "at {}", address);
            }
            let starts: Vec<_> = list.iter().collect();
            prop_assert!(starts.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
        }
    }

    #[test]
    fn an_error_of_a_layer_ends_the_sweep() {
        let bad: Layer<'_, u32> =
            Box::new([Ok((0, Facts::default())), Err(GeoError::new("x".as_ref(), "is bad"))].into_iter());
        assert_eq!(
            sweep(Part::default(), vec![bad], nothing(), &RefCell::default()).unwrap_err().to_string(),
            "x: is bad"
        );
    }

    #[test]
    fn painting_to_the_last_address() {
        let mut paint = Paint::<u128>::default();
        paint.prefix(u128::MAX, 0, |_| Facts { location: Some(PlaceId::UNROUTABLE), asn: Asn::Silent });
        let list = sweep(Part::default(), vec![paint.layer()], nothing(), &RefCell::default()).unwrap().finish();
        assert_eq!(list.find(7), (PlaceId::UNROUTABLE, 0, u128::MAX));
    }
}

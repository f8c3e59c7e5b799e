//! Merges layers of geodata in one sweep over the address space.
//!
//! A layer is a stream of range starts in order, each with [`LayerFacts`] that hold until its next
//! start. The sweep advances all layers in step, so of a database only the current position is in
//! memory. The location comes whole from the first layer that knows one, and so does the AS number.
//! Where the location is [`PlaceId::UNROUTABLE`], only the operator can state an AS number: a
//! database that has one for private space, but no place, is wrong.

use std::collections::BTreeMap;

use super::address::AddressBits;
use super::atlas::PlaceId;
use super::error::GeoError;
use super::places::WithAsn;
use super::ranges::{RangeBuilder, RangeList};

/// The facts of one layer about a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayerFacts {
    /// The place, without its AS number; `None` leaves it to the layer below.
    pub location: Option<PlaceId>,
    /// The AS number.
    pub asn: LayerAsn,
}

/// The AS number of a range according to one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LayerAsn {
    /// Left to the layer below.
    #[default]
    Silent,
    /// None, whatever the layers below state.
    Absent,
    /// This one.
    Number(u32),
}

/// The ranges of a layer, with ascending starts.
pub type Layer<'a, A> = Box<dyn Iterator<Item = Result<(A, LayerFacts), GeoError>> + 'a>;

/// A layer built from prefixes, of which later ones override earlier ones.
#[derive(Debug, Default)]
pub struct PaintedLayer<A>(BTreeMap<A, LayerFacts>);

impl<A: AddressBits> PaintedLayer<A> {
    /// Changes the facts of a prefix. Paint short prefixes first: each then changes a single piece,
    /// so a hundred thousand of them are fast.
    pub fn prefix(&mut self, address: A, length: u8, change: impl Fn(LayerFacts) -> LayerFacts) {
        let (first, last) = address.prefix(length);
        if let Some(after) = last.next() {
            self.split(after);
        }
        self.split(first);
        self.0
            .range_mut(first..=last)
            .for_each(|(_, facts)| *facts = change(*facts));
    }

    fn split(&mut self, at: A) {
        let facts = self
            .0
            .range(..=at)
            .next_back()
            .map(|(_, facts)| *facts)
            .unwrap_or_default();
        self.0.insert(at, facts);
    }

    /// The painted ranges.
    pub fn layer(self) -> Layer<'static, A> {
        Box::new(self.0.into_iter().map(Ok))
    }
}

/// A part of the address space.
#[derive(Debug, Clone, Copy, Default)]
pub struct AddressPart<A> {
    /// Its first address.
    pub from: A,
    /// The first address after it; `None` if it extends to the end.
    pub until: Option<A>,
}

/// A layer without facts.
pub fn nothing<A: AddressBits>() -> Layer<'static, A> {
    Box::new(std::iter::empty())
}

/// Merges the operator's layer, `layers` (the first on top) and `bottom` into the place of every
/// range. Places with AS numbers are numbered in `with_asn`.
///
/// `bottom` has no AS numbers. It is read only where no other layer knows a location, so a complete
/// city database hides it at no cost.
pub fn sweep<A: AddressBits>(
    part: AddressPart<A>,
    operator: Layer<'_, A>,
    layers: Vec<Layer<'_, A>>,
    bottom: Layer<'_, A>,
    with_asn: &mut WithAsn,
) -> Result<RangeList<'static, A>, GeoError> {
    let mut operator = Head::new(operator)?;
    let mut heads = layers
        .into_iter()
        .map(Head::new)
        .collect::<Result<Vec<_>, _>>()?;
    // A file for the other address family has no ranges here.
    heads.retain(|head| head.next.is_some());
    let mut bottom = Head::new(bottom)?;
    let mut builder = RangeBuilder::default();
    let mut start = Some(part.from);
    while let Some(at) = start.filter(|&at| part.until.is_none_or(|until| at < until)) {
        operator.advance_to(at)?;
        start = earlier(None, &operator);
        for head in &mut heads {
            head.advance_to(at)?;
            start = earlier(start, head);
        }
        let below = facts_below(&heads);
        let location = match operator.here.location.or(below.location) {
            Some(location) => location,
            None => {
                bottom.advance_to(at)?;
                start = earlier(start, &bottom);
                bottom.here.location.unwrap_or(PlaceId::UNKNOWN)
            }
        };
        let asn = match operator.here.asn {
            LayerAsn::Silent if location != PlaceId::UNROUTABLE => below.asn,
            stated => stated,
        };
        let place = if let LayerAsn::Number(number) = asn {
            with_asn.number(location, number)
        } else {
            location
        };
        builder.push(at, place);
    }
    Ok(builder.finish())
}

/// The next start of any layer, with `head` taken into account.
#[inline]
fn earlier<A: AddressBits>(start: Option<A>, head: &Head<'_, A>) -> Option<A> {
    match (start, head.next) {
        (Some(start), Some((next, _))) => Some(start.min(next)),
        (start, next) => start.or(next.map(|(next, _)| next)),
    }
}

/// A layer at the current position of the sweep.
struct Head<'a, A> {
    rest: Layer<'a, A>,
    here: LayerFacts,
    next: Option<(A, LayerFacts)>,
}

impl<'a, A: AddressBits> Head<'a, A> {
    fn new(mut rest: Layer<'a, A>) -> Result<Self, GeoError> {
        let next = rest.next().transpose()?;
        Ok(Head {
            rest,
            here: LayerFacts::default(),
            next,
        })
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
fn facts_below<A>(heads: &[Head<'_, A>]) -> LayerFacts {
    let location = heads.iter().find_map(|head| head.here.location);
    let asn = heads
        .iter()
        .map(|head| head.here.asn)
        .find(|asn| *asn != LayerAsn::Silent);
    LayerFacts {
        location,
        asn: asn.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A prefix of a small space at the front of the real one, and what is said of it.
    type Stroke = (u32, u8, Option<u32>, LayerAsn);

    fn stroke() -> impl Strategy<Value = Stroke> {
        let asn = prop_oneof![
            Just(LayerAsn::Silent),
            Just(LayerAsn::Absent),
            (1..4u32).prop_map(LayerAsn::Number)
        ];
        (0..256u32, 24..=32u8, prop::option::of(0..5u32), asn)
    }

    fn facts(&(_, _, location, asn): &Stroke) -> LayerFacts {
        LayerFacts {
            location: location.map(PlaceId),
            asn,
        }
    }

    /// More than any location that is said.
    const PLACES: usize = 5;

    /// What the layers come to at one address, asked one by one.
    fn oracle(layers: &[Vec<Stroke>], address: u32) -> (PlaceId, Option<u32>) {
        let said = layers.iter().map(|strokes| {
            let holds = |stroke: &&Stroke| {
                (stroke.0.prefix(stroke.1).0..=stroke.0.prefix(stroke.1).1).contains(&address)
            };
            strokes.iter().rfind(holds).map(facts).unwrap_or_default()
        });
        let said: Vec<LayerFacts> = said.collect();
        let location = said
            .iter()
            .find_map(|facts| facts.location)
            .unwrap_or(PlaceId::UNKNOWN);
        let nowhere = location == PlaceId::UNROUTABLE;
        let may_say = if nowhere { &said[..1] } else { &said[..] };
        let asn = may_say
            .iter()
            .map(|facts| facts.asn)
            .find(|asn| *asn != LayerAsn::Silent);
        (
            location,
            if let Some(LayerAsn::Number(number)) = asn {
                Some(number)
            } else {
                None
            },
        )
    }

    proptest! {
        #[test]
        fn the_sweep_agrees_with_asking_every_layer(
            mut layers in prop::collection::vec(prop::collection::vec(stroke(), 0..12), 1..5),
            mut bottom in prop::collection::vec(stroke(), 0..12),
        ) {
            bottom.iter_mut().for_each(|stroke| stroke.3 = LayerAsn::Silent);
            let painted = |strokes: &Vec<Stroke>| {
                let mut paint = PaintedLayer::<u32>::default();
                strokes.iter().for_each(|stroke| paint.prefix(stroke.0, stroke.1, |_| facts(stroke)));
                paint.layer()
            };
            let swept = |part| {
                let mut with_asn = WithAsn::beyond(PLACES);
                let below = layers[1..].iter().map(painted).collect();
                let ranges = sweep(part, painted(&layers[0]), below, painted(&bottom), &mut with_asn);
                (ranges.unwrap(), with_asn)
            };
            let (list, whole) = swept(AddressPart::default());
            // In two parts it comes to the same.
            let (lower, mut with_asn) = swept(AddressPart { from: 0, until: Some(128) });
            let (upper, others) = swept(AddressPart { from: 128, until: None });
            let numbers = with_asn.adopt(&others);
            let mut joined = RangeBuilder::default();
            joined.append(&lower);
            upper.iter().for_each(|(start, place)| joined.push(start, numbers.of(place)));
            prop_assert_eq!(&joined.finish(), &list);
            prop_assert_eq!(&with_asn, &whole);
            layers.push(bottom);
            for address in (0..=256).chain([u32::MAX]) {
                let found = list.find(address).0;
                let stated = whole.stated(found).map_or((found, None), |(location, asn)| (location, Some(asn)));
                prop_assert_eq!(stated, oracle(&layers, address), "at {}", address);
            }
            let starts: Vec<_> = list.iter().collect();
            prop_assert!(starts.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
        }
    }

    #[test]
    fn an_error_of_a_layer_ends_the_sweep() {
        let bad: Layer<'_, u32> = Box::new(
            [
                Ok((0, LayerFacts::default())),
                Err(GeoError::new("x".as_ref(), "is bad")),
            ]
            .into_iter(),
        );
        assert_eq!(
            sweep(
                AddressPart::default(),
                nothing(),
                vec![bad],
                nothing(),
                &mut WithAsn::beyond(2)
            )
            .unwrap_err()
            .to_string(),
            "x: is bad"
        );
    }

    #[test]
    fn painting_to_the_last_address() {
        let mut paint = PaintedLayer::<u128>::default();
        paint.prefix(u128::MAX, 0, |_| LayerFacts {
            location: Some(PlaceId::UNROUTABLE),
            asn: LayerAsn::Silent,
        });
        let list = sweep(
            AddressPart::default(),
            nothing(),
            vec![paint.layer()],
            nothing(),
            &mut WithAsn::beyond(2),
        )
        .unwrap();
        assert_eq!(list.find(7), (PlaceId::UNROUTABLE, 0, u128::MAX));
    }
}

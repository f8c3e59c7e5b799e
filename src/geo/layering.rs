//! Builds an atlas from layers.
//!
//! The layers are, from the top: the operator's networks, the IPv6 forms of IPv4, the databases in
//! their configured order, special-purpose address space, and the built-in table. All places are
//! numbered before the first range is written. The address space is then swept in parts, on two
//! threads.

use std::net::IpAddr;

use super::address::AddressBits;
use super::atlas::{Atlas, CoarsePoints, DataSource, OperatorNetwork, PlaceId, SourceKind};
use super::both::{both, each};
use super::builtin::BuiltinTable;
use super::database::{Database, ReadDatabase};
use super::error::GeoError;
use super::layers::{AddressPart, Layer, LayerAsn, LayerFacts, PaintedLayer, sweep};
use super::locations::{country_continent, country_point};
use super::places::{PlaceRenumbering, PlaceTable, WithAsn};
use super::ranges::{RangeBuilder, RangeList};
use super::reading::read;
use super::special::{CARRIERS_OF_IPV4, SPECIAL_PURPOSE};

use super::Place;

/// Where the parts of IPv4 begin. Each has about as many networks of a city database.
const STARTS_V4: [u32; 8] = [
    0,
    0x3000_0000,
    0x4800_0000,
    0x5800_0000,
    0x7000_0000,
    0xb000_0000,
    0xc000_0000,
    0xcf00_0000,
];

/// Where the parts of IPv6 begin: the space of North America is in the second, that of Europe in the
/// last.
const STARTS_V6: [u128; 3] = [0, 0x2600 << 112, 0x2a00 << 112];

impl Atlas {
    /// As [`Atlas::compile`], from databases in memory and any built-in table. The databases are
    /// dropped before the parts of the address space are joined, which bounds the peak of memory.
    pub(super) fn layered(
        databases: Vec<Database>,
        coarse_points: CoarsePoints,
        networks: &[OperatorNetwork],
        builtin: &BuiltinTable<'_>,
    ) -> Result<Atlas, GeoError> {
        let (mut places, read) = read(databases, coarse_points)?;
        let sources = sources(&read, builtin);
        let layers = Layers {
            operator: by_prefix(networks, &mut places),
            builtin: builtin_facts(builtin, read.len() as u8 + 1, &mut places),
            databases: read,
        };
        let mut places = places.finish();
        let mut parts: Vec<Part> = parts_from(&STARTS_V6).map(Part::V6).collect();
        parts.extend(parts_from(&STARTS_V4).map(Part::V4));
        let swept = each(&parts, |part| {
            let mut with_asn = WithAsn::beyond(places.len());
            let ranges = match *part {
                Part::V4(part) => Swept::V4(layers.sweep(part, &builtin.v4, &mut with_asn)?),
                Part::V6(part) => Swept::V6(layers.sweep(part, &builtin.v6, &mut with_asn)?),
            };
            Ok((ranges, with_asn))
        });
        drop(layers);
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let mut with_asn = WithAsn::beyond(places.len());
        for part in swept {
            let (ranges, others) = part?;
            let numbers = with_asn.adopt(&others);
            match ranges {
                Swept::V4(ranges) => v4.push((ranges, numbers)),
                Swept::V6(ranges) => v6.push((ranges, numbers)),
            }
        }
        let (v4, v6) = both(|| join(v4), || join(v6));
        with_asn.add_to(&mut places);
        Ok(Atlas {
            places,
            v4,
            v6,
            sources,
        })
    }
}

/// A part of the address space of one family.
enum Part {
    V4(AddressPart<u32>),
    V6(AddressPart<u128>),
}

/// The ranges of a [`Part`].
enum Swept {
    V4(RangeList<'static, u32>),
    V6(RangeList<'static, u128>),
}

/// The parts that begin at these addresses, of which the first is 0.
fn parts_from<A: AddressBits>(starts: &[A]) -> impl Iterator<Item = AddressPart<A>> {
    let ends = starts.iter().skip(1).map(|end| Some(*end)).chain([None]);
    let parts = starts.iter().zip(ends);
    parts.map(|(from, until)| AddressPart { from: *from, until })
}

/// The ranges of all parts, with new numbers for places with AS numbers.
fn join<A: AddressBits>(
    parts: Vec<(RangeList<'static, A>, PlaceRenumbering)>,
) -> RangeList<'static, A> {
    let mut joined = RangeBuilder::default();
    for (ranges, numbers) in parts {
        if numbers.is_empty() {
            joined.append(&ranges);
            continue;
        }
        for (start, place) in ranges.iter() {
            joined.push(start, numbers.of(place));
        }
    }
    joined.finish()
}

/// The sources of an atlas from the top, with every place numbered.
struct Layers<'a> {
    /// Short prefixes first.
    operator: Vec<NumberedNetwork<'a>>,
    databases: Vec<ReadDatabase<LayerFacts>>,
    /// The facts of the built-in table, by the number of the place there.
    builtin: Vec<LayerFacts>,
}

/// A network of the operator, with the number of its place if the operator states a location.
struct NumberedNetwork<'a> {
    network: &'a OperatorNetwork,
    location: Option<PlaceId>,
}

impl Layers<'_> {
    /// Merges all layers of a part of one address family.
    fn sweep<A: AddressBits>(
        &self,
        part: AddressPart<A>,
        builtin: &RangeList<'_, A>,
        with_asn: &mut WithAsn,
    ) -> Result<RangeList<'static, A>, GeoError> {
        let mut layers = vec![unroutable_layer(CARRIERS_OF_IPV4)];
        for database in &self.databases {
            layers.push(Box::new(database.networks(part.from)?));
        }
        layers.push(unroutable_layer(SPECIAL_PURPOSE));
        let bottom = Box::new(builtin.iter_from(part.from).map(|(start, place)| {
            let facts = self.builtin.get(place.0 as usize).copied();
            Ok((start, facts.unwrap_or_default()))
        }));
        sweep(part, self.operator_layer(), layers, bottom, with_asn)
    }

    fn operator_layer<A: AddressBits>(&self) -> Layer<'static, A> {
        let mut paint = PaintedLayer::default();
        for &NumberedNetwork { network, location } in &self.operator {
            let Some(address) = A::from_ip(network.cidr.address()) else {
                continue;
            };
            let stated = network.asn.map(LayerAsn::Number);
            paint.prefix(address, network.cidr.prefix(), |below| match location {
                Some(_) => LayerFacts {
                    location,
                    asn: stated.unwrap_or(LayerAsn::Absent),
                },
                None => LayerFacts {
                    asn: stated.unwrap_or(below.asn),
                    ..below
                },
            });
        }
        paint.layer()
    }
}

fn unroutable_layer<A: AddressBits>(networks: &[(IpAddr, u8)]) -> Layer<'static, A> {
    let mut paint = PaintedLayer::default();
    for &(ip, length) in networks {
        let Some(address) = A::from_ip(ip) else {
            continue;
        };
        paint.prefix(address, length, |_| LayerFacts {
            location: Some(PlaceId::UNROUTABLE),
            asn: LayerAsn::Absent,
        });
    }
    paint.layer()
}

/// The operator's networks with the numbers of their places, short prefixes first.
fn by_prefix<'a>(
    networks: &'a [OperatorNetwork],
    places: &mut PlaceTable,
) -> Vec<NumberedNetwork<'a>> {
    let mut numbered = Vec::with_capacity(networks.len());
    for network in networks {
        let location = network.place().map(|place| places.number(place));
        numbered.push(NumberedNetwork { network, location });
    }
    numbered.sort_by_key(|numbered| numbered.network.cidr.prefix());
    numbered
}

impl OperatorNetwork {
    /// The place that the operator states; `None` if only an AS number is stated.
    fn place(&self) -> Option<Place> {
        if self.point.is_none() && self.country.is_none() && self.subdivision.is_none() {
            return None;
        }
        Some(Place {
            point: self.point.or_else(|| self.country.and_then(country_point)),
            country: self.country,
            continent: self.country.and_then(country_continent),
            subdivision: self.subdivision,
            coarse: self.point.is_none(),
            ..Place::default()
        })
    }
}

/// The facts of the places of the built-in table. The places are added to `places` with `source`.
fn builtin_facts(
    builtin: &BuiltinTable<'_>,
    source: u8,
    places: &mut PlaceTable,
) -> Vec<LayerFacts> {
    let mut facts = Vec::with_capacity(builtin.places.len());
    for place in &builtin.places {
        let mut location = None;
        if place.country.is_some() || place.point.is_some() {
            location = Some(places.number(Place { source, ..*place }));
        }
        facts.push(LayerFacts {
            location,
            asn: LayerAsn::Silent,
        });
    }
    facts
}

fn sources(databases: &[ReadDatabase<LayerFacts>], builtin: &BuiltinTable<'_>) -> Vec<DataSource> {
    let mut sources = vec![DataSource {
        name: "geo.networks".to_owned(),
        kind: SourceKind::Operator,
        path: None,
        built: None,
    }];
    for read in databases {
        let database = read.database();
        sources.push(DataSource {
            name: database.kind().to_owned(),
            kind: SourceKind::Database,
            path: Some(database.path().to_owned()),
            built: Some(database.built()),
        });
    }
    sources.push(builtin.source.clone());
    sources
}

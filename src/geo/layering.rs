//! An atlas made of layers. From the top: the operator's networks, the IPv6 forms of IPv4, the databases in their order,
//! special-purpose space, the built-in table.

use std::net::IpAddr;

use super::address::AddressBits;
use super::atlas::{Atlas, CoarsePoints, DataSource, OperatorNetwork, PlaceId, SourceKind};
use super::both::both;
use super::builtin::BuiltinTable;
use super::database::{Database, ReadDatabase};
use super::error::GeoError;
use super::layers::{AddressPart, Layer, LayerAsn, LayerFacts, PaintedLayer, sweep};
use super::locations::{country_continent, country_point};
use super::places::{PlaceTable, WithAsn};
use super::ranges::{RangeBuilder, RangeList};
use super::reading::read;
use super::special::{CARRIERS_OF_IPV4, SPECIAL_PURPOSE};

use super::Place;

/// Four fifths of the IPv4 networks of a city database lie below this address; the rest and IPv6 are as much work.
const HALF_OF_THE_WORK: u32 = 0xb000_0000;

impl Atlas {
    /// As [`Atlas::compile`], from databases that are in memory and any built-in table. All places are known before the
    /// first range is made; then half of the address space is swept beside the other.
    pub(super) fn layered(
        databases: &[Database],
        coarse_points: CoarsePoints,
        networks: &[OperatorNetwork],
        builtin: &BuiltinTable<'_>,
    ) -> Result<Atlas, GeoError> {
        let (mut places, read) = read(databases, coarse_points)?;
        let layers = Layers {
            operator: by_prefix(networks, &mut places),
            databases: read,
            builtin: builtin_facts(builtin, databases.len() as u8 + 1, &mut places),
        };
        let (builtin_v4, builtin_v6) = both(|| builtin.ranges(), || builtin.ranges());
        let mut with_asn = WithAsn::beyond(places.len());
        let mut with_asn_above = WithAsn::beyond(places.len());
        let (lower_v4, above) = both(
            || {
                layers.sweep(
                    AddressPart {
                        from: 0,
                        until: Some(HALF_OF_THE_WORK),
                    },
                    &builtin_v4,
                    &mut with_asn,
                )
            },
            || {
                let upper_part = AddressPart {
                    from: HALF_OF_THE_WORK,
                    until: None,
                };
                let upper_v4 = layers
                    .sweep(upper_part, &builtin_v4, &mut with_asn_above)?
                    .finish();
                let v6 = layers
                    .sweep(AddressPart::default(), &builtin_v6, &mut with_asn_above)?
                    .finish();
                Ok((upper_v4, v6))
            },
        );
        let (mut v4, (upper_v4, v6)) = (lower_v4?, above?);
        let numbers = with_asn.adopt(&with_asn_above);
        upper_v4
            .iter()
            .for_each(|(start, place)| v4.push(start, numbers.of(place)));
        let v6 = if numbers.is_empty() {
            v6
        } else {
            v6.renumbered(|place| numbers.of(place))
        };
        Ok(Atlas {
            places: places.with(&with_asn),
            v4: v4.finish(),
            v6,
            sources: sources(databases, builtin),
        })
    }
}

/// What an atlas is made of, every place numbered; from the top.
struct Layers<'a> {
    /// Short prefixes first.
    operator: Vec<(&'a OperatorNetwork, Option<PlaceId>)>,
    databases: Vec<ReadDatabase<'a, LayerFacts>>,
    /// What the places of the built-in table come to, by their numbers there.
    builtin: Vec<LayerFacts>,
}

impl Layers<'_> {
    /// All layers of a part of one address family, as one.
    fn sweep<A: AddressBits>(
        &self,
        part: AddressPart<A>,
        builtin: &RangeList<A>,
        with_asn: &mut WithAsn,
    ) -> Result<RangeBuilder<A>, GeoError> {
        let mut layers = vec![unroutable_layer(CARRIERS_OF_IPV4)];
        for database in &self.databases {
            layers.push(Box::new(database.networks(part.from)?));
        }
        layers.push(unroutable_layer(SPECIAL_PURPOSE));
        let builtin = builtin.iter_from(part.from);
        let bottom =
            Box::new(builtin.map(|(start, place)| Ok((start, self.builtin[place.0 as usize]))));
        sweep(part, self.operator_layer(), layers, bottom, with_asn)
    }

    fn operator_layer<A: AddressBits>(&self) -> Layer<'static, A> {
        let mut paint = PaintedLayer::default();
        for &(network, location) in &self.operator {
            let Some(address) = A::from_ip(network.cidr.address()) else {
                continue;
            };
            let stated = network.asn.map(LayerAsn::Number);
            paint.prefix(address, network.cidr.prefix(), |below| match location {
                Some(_) => LayerFacts {
                    location,
                    asn: stated.unwrap_or(LayerAsn::Nobody),
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
    for (address, length) in networks
        .iter()
        .filter_map(|(ip, length)| Some((A::from_ip(*ip)?, *length)))
    {
        paint.prefix(address, length, |_| LayerFacts {
            location: Some(PlaceId::UNROUTABLE),
            asn: LayerAsn::Nobody,
        });
    }
    paint.layer()
}

/// The operator's networks with the numbers of their places, short prefixes first.
fn by_prefix<'a>(
    networks: &'a [OperatorNetwork],
    places: &mut PlaceTable,
) -> Vec<(&'a OperatorNetwork, Option<PlaceId>)> {
    let numbered = |network| {
        (
            network,
            operator_place(network).map(|place| places.number(place)),
        )
    };
    let mut networks: Vec<_> = networks.iter().map(numbered).collect();
    networks.sort_by_key(|(network, _)| network.cidr.prefix());
    networks
}

fn operator_place(network: &OperatorNetwork) -> Option<Place> {
    let OperatorNetwork {
        point,
        country,
        subdivision,
        ..
    } = *network;
    let stated = point.is_some() || country.is_some() || subdivision.is_some();
    stated.then(|| Place {
        point: point.or_else(|| country.and_then(country_point)),
        country,
        continent: country.and_then(country_continent),
        subdivision,
        coarse: point.is_none(),
        ..Place::default()
    })
}

/// What the places of the built-in table come to, entered into `places` as coming from `source`.
fn builtin_facts(
    builtin: &BuiltinTable<'_>,
    source: u8,
    places: &mut PlaceTable,
) -> Vec<LayerFacts> {
    let facts = |place: &Place| {
        let known = place.country.is_some() || place.point.is_some();
        let location = known.then(|| places.number(Place { source, ..*place }));
        LayerFacts {
            location,
            asn: LayerAsn::Silent,
        }
    };
    builtin.places.iter().map(facts).collect()
}

fn sources(databases: &[Database], builtin: &BuiltinTable<'_>) -> Vec<DataSource> {
    let operator = DataSource {
        name: "geo.networks".to_owned(),
        kind: SourceKind::Operator,
        path: None,
        built: None,
    };
    let databases = databases.iter().map(|database| DataSource {
        name: database.kind().to_owned(),
        kind: SourceKind::Database,
        path: Some(database.path().to_owned()),
        built: Some(database.built()),
    });
    [operator]
        .into_iter()
        .chain(databases)
        .chain([builtin.source.clone()])
        .collect()
}

//! The atlas: for every address there is, where it is.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use super::address::Address;
use super::builtin::Table;
use super::database::Database;
use super::error::GeoError;
use super::layers::{Asn, Facts, Layer, Paint, Part, PlaceTable, sweep};
use super::locations::{country_continent, country_point, subdivision_code};
use super::ranges::{RangeBuilder, RangeList, Ranges};
use super::record::Record;
use super::special::UNROUTABLE;

use super::{Code, Place};
use crate::steering::Point;

/// Index into [`Atlas::places`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PlaceId(pub u32);

impl PlaceId {
    /// Nobody knows where it is.
    pub const UNKNOWN: PlaceId = PlaceId(0);
    /// Private and special-purpose space, which is nowhere.
    pub const UNROUTABLE: PlaceId = PlaceId(1);
}

/// Where a record stands that knows only its country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CoarsePoints {
    /// At the country's population-weighted centre.
    #[default]
    Population,
    /// Where the database puts it.
    Database,
}

/// What an atlas is made of, besides the operator's networks and the built-in table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Files in MaxMind DB format; the first one that knows a client's location wins, and so for its AS number.
    pub databases: Vec<PathBuf>,
    /// What to make of records that know only their country.
    pub coarse_points: CoarsePoints,
}

/// The operator's own word about a network. A longer prefix wins over a shorter one, a later entry over an earlier one
/// of the same length. With any of point, country and subdivision it says everything there is to know; with an AS
/// number alone it leaves the location to the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperatorNetwork {
    /// Any address of it.
    pub address: IpAddr,
    /// 0..=32 or 0..=128.
    pub prefix: u8,
    /// Where it is; if absent and the country is given, the country's centre.
    pub point: Option<Point>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<Code>,
    /// The part of ISO 3166-2 behind the country.
    pub subdivision: Option<Code>,
    /// Autonomous system number.
    pub asn: Option<u32>,
}

/// Where knowledge comes from; [`Place::source`] is an index into [`Atlas::sources`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it calls itself: `GeoLite2-City`.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// The file, if it is one.
    pub path: Option<PathBuf>,
    /// When the data were built.
    pub built: Option<SystemTime>,
}

/// What a [`Source`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// `[[geo.networks]]`: always the first source.
    Operator,
    /// A file in MaxMind DB format.
    Database,
    /// The table in this program: always the last source.
    BuiltIn,
}

/// Where an address is, and how far that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// Its place.
    pub place: PlaceId,
    /// The first address of the range around it.
    pub first: IpAddr,
    /// The last one.
    pub last: IpAddr,
}

/// Every address and its place. Neighbouring ranges differ in place.
#[derive(Debug, Clone)]
pub struct Atlas {
    pub(super) places: Vec<Place>,
    pub(super) v4: RangeList<u32>,
    pub(super) v6: RangeList<u128>,
    pub(super) sources: Vec<Source>,
}

/// Four fifths of the networks of a city database lie below this address; the rest and IPv6 are as much work.
const HALF_OF_THE_WORK: u32 = 0xb000_0000;

/// Databases, the operator's networks and the built-in table fit into [`Place::source`].
const MOST_DATABASES: usize = 250;

impl Atlas {
    /// The built-in table alone, unroutable space painted over it.
    pub fn builtin() -> Atlas {
        // Only a database can be wrong, and there is none.
        Self::layered(&[], CoarsePoints::default(), &[], &Table::embedded()).unwrap_or_else(|_| Self::unknown())
    }

    /// Reads the databases and lays the layers over one another, IPv4 and IPv6 at the same time.
    pub fn compile(sources: &Sources, networks: &[OperatorNetwork]) -> Result<Atlas, GeoError> {
        if let Some(path) = sources.databases.get(MOST_DATABASES) {
            return Err(GeoError::new(
                path,
                format_args!("is one database too many; at most {MOST_DATABASES} can be used"),
            ));
        }
        let databases = sources.databases.iter().map(|path| Database::open(path)).collect::<Result<Vec<_>, _>>()?;
        Self::layered(&databases, sources.coarse_points, networks, &Table::embedded())
    }

    /// As [`Atlas::compile`], from databases that are in memory and any built-in table.
    pub(super) fn layered(
        databases: &[Database],
        coarse_points: CoarsePoints,
        networks: &[OperatorNetwork],
        builtin: &Table<'_>,
    ) -> Result<Atlas, GeoError> {
        let useful = databases.iter().map(|_| AtomicBool::new(false)).collect();
        let plan = Plan { databases, useful, coarse_points, networks, builtin };
        let (lower, upper) = std::thread::scope(|scope| {
            let upper = scope.spawn(|| plan.upper_half());
            let lower = plan.part(Part { from: 0, until: Some(HALF_OF_THE_WORK) });
            (lower, upper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let ((mut places, mut v4), (places_of_upper, upper_v4, v6)) = (lower?, upper?);
        plan.refuse_useless()?;
        let others = places_of_upper.places();
        let numbers: Vec<PlaceId> = (0..others.len() as u32).map(|id| places.adopt(others, PlaceId(id))).collect();
        upper_v4.iter().for_each(|(start, place)| v4.push(start, numbers[place.0 as usize]));
        let unchanged = (0..).zip(&numbers).all(|(old, new)| old == new.0);
        let v6 = if unchanged { v6 } else { v6.renumbered(|id| numbers[id.0 as usize]) };
        Ok(Atlas { sources: plan.sources(), places: places.into_places(), v4: v4.finish(), v6 })
    }

    /// An atlas of one database in memory, without the built-in table; `path` is for messages.
    pub fn of_octets(path: &Path, file: Vec<u8>) -> Result<Atlas, GeoError> {
        let database = Database::from_octets(path, file)?;
        Self::layered(&[database], CoarsePoints::default(), &[], &Table::empty())
    }

    /// An atlas that knows nothing but what is unroutable.
    pub fn empty() -> Atlas {
        Self::layered(&[], CoarsePoints::default(), &[], &Table::empty()).unwrap_or_else(|_| Self::unknown())
    }

    fn unknown() -> Atlas {
        let places = vec![Place::default(); 2];
        Atlas { places, v4: RangeList::unknown(), v6: RangeList::unknown(), sources: Vec::new() }
    }

    /// The places; the first two are [`PlaceId::UNKNOWN`] and [`PlaceId::UNROUTABLE`].
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// A place of this atlas.
    pub fn place(&self, id: PlaceId) -> &Place {
        &self.places[id.0 as usize]
    }

    /// Every IPv4 range from 0.0.0.0 on: its start and its place.
    pub fn ranges_v4(&self) -> Ranges<'_, u32> {
        self.v4.iter()
    }

    /// Every IPv6 range from :: on: its start and its place.
    pub fn ranges_v6(&self) -> Ranges<'_, u128> {
        self.v6.iter()
    }

    /// How many IPv4 and IPv6 ranges there are.
    pub fn range_counts(&self) -> (usize, usize) {
        (self.v4.len(), self.v6.len())
    }

    /// Where an address is. IPv6 addresses that carry an IPv4 one are not translated here.
    pub fn locate(&self, address: IpAddr) -> Located {
        fn found<A: Address>((place, first, last): (PlaceId, A, A)) -> Located {
            Located { place, first: first.ip(), last: last.ip() }
        }
        match address {
            IpAddr::V4(address) => found(self.v4.find(address.into())),
            IpAddr::V6(address) => found(self.v6.find(address.into())),
        }
    }

    /// The same ranges as if no point were known more closely than to a square of so many degrees.
    pub fn coarsened(&self, degrees: f64) -> Atlas {
        let mut coarse = self.clone();
        coarse
            .places
            .iter_mut()
            .filter_map(|place| place.point.as_mut())
            .for_each(|point| *point = point.middle_of_square(degrees));
        coarse
    }

    /// What the atlas was made of.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Bytes of memory held by ranges and places.
    pub fn memory(&self) -> usize {
        self.v4.memory() + self.v6.memory() + self.places.capacity() * size_of::<Place>()
    }
}

/// What goes into an atlas.
struct Plan<'a> {
    databases: &'a [Database],
    /// Which databases said anything.
    useful: Vec<AtomicBool>,
    coarse_points: CoarsePoints,
    networks: &'a [OperatorNetwork],
    builtin: &'a Table<'a>,
}

impl Plan<'_> {
    /// What takes as long as the lower part of IPv4: the upper one and all of IPv6, in one table of places.
    fn upper_half(&self) -> Result<(PlaceTable, RangeList<u32>, RangeList<u128>), GeoError> {
        let places = RefCell::default();
        let v6 = self.part_into(Part::default(), &places)?.finish();
        let v4 = self.part_into(Part { from: HALF_OF_THE_WORK, until: None }, &places)?.finish();
        Ok((places.into_inner(), v4, v6))
    }

    /// All layers of a part of one address family, swept.
    fn part<A: Address>(&self, part: Part<A>) -> Result<(PlaceTable, RangeBuilder<A>), GeoError> {
        let places = RefCell::default();
        let ranges = self.part_into(part, &places)?;
        Ok((places.into_inner(), ranges))
    }

    /// The same, with the places numbered in a table.
    fn part_into<A: Address>(&self, part: Part<A>, places: &RefCell<PlaceTable>) -> Result<RangeBuilder<A>, GeoError> {
        let builtin = self.builtin.ranges();
        let top = [operator_layer(self.networks, &mut places.borrow_mut()), unroutable_layer()];
        let bottom = self.builtin_layer(&builtin, &mut places.borrow_mut());
        let middle = (1..).zip(self.databases).zip(&self.useful).map(|((source, database), useful)| {
            let coarse_points = self.coarse_points;
            // Places are numbered while the databases are walked, so their layers share the table with the sweep.
            let facts = move |record: Record<'_>| {
                let (place, asn) = interpret(record, source, coarse_points);
                let location = place.map(|place| places.borrow_mut().number(place));
                if location.is_some() || asn.is_some() {
                    useful.store(true, Ordering::Relaxed);
                }
                Facts { location, asn: asn.map_or(Asn::Silent, Asn::Number) }
            };
            database.networks(part.from, facts).map(|networks| Box::new(networks) as Layer<'_, A>)
        });
        let middle = middle.collect::<Result<Vec<_>, _>>()?;
        sweep(part, top.into_iter().chain(middle).collect(), bottom, places)
    }

    fn refuse_useless(&self) -> Result<(), GeoError> {
        match self.databases.iter().zip(&self.useful).find(|(_, useful)| !useful.load(Ordering::Relaxed)) {
            Some((database, _)) => Err(useless(database)),
            None => Ok(()),
        }
    }

    /// The built-in table, its places entered into `places` as coming from the last source.
    fn builtin_layer<'b, A: Address>(&self, ranges: &'b RangeList<A>, places: &mut PlaceTable) -> Layer<'b, A> {
        let source = self.databases.len() as u8 + 1;
        let facts = |place: &Place| {
            let known = place.country.is_some() || place.point.is_some();
            let location = known.then(|| places.number(Place { source, ..*place }));
            Facts { location, asn: Asn::Silent }
        };
        let facts: Vec<Facts> = self.builtin.places.iter().map(facts).collect();
        Box::new(ranges.iter().map(move |(start, place)| Ok((start, facts[place.0 as usize]))))
    }

    fn sources(&self) -> Vec<Source> {
        let operator = Source { name: "geo.networks".to_owned(), kind: SourceKind::Operator, path: None, built: None };
        let databases = self.databases.iter().map(|database| Source {
            name: database.kind().to_owned(),
            kind: SourceKind::Database,
            path: Some(database.path().to_owned()),
            built: Some(database.built()),
        });
        [operator].into_iter().chain(databases).chain([self.builtin.source.clone()]).collect()
    }
}

/// A database that says nothing of where anything is.
pub(super) fn useless(database: &Database) -> GeoError {
    let reason = format!(
        "holds no country, no coordinates and no AS number (it calls itself {:?}); use a City, Country or ASN database",
        database.kind()
    );
    GeoError::new(database.path(), reason)
}

/// What a record comes to: a place without AS number, if it knows one, and an AS number.
fn interpret(record: Record<'_>, source: u8, coarse_points: CoarsePoints) -> (Option<Place>, Option<u32>) {
    if record.country.is_none() && record.point.is_none() {
        return (None, record.asn);
    }
    let coarse = record.is_coarse();
    let centre = record.country.and_then(country_point);
    let point = match coarse_points {
        CoarsePoints::Population if coarse => centre.or(record.point),
        _ => record.point.or(centre),
    };
    let named = || subdivision_code(record.country?, record.subdivision_name?);
    let place = Place {
        point,
        country: record.country,
        continent: record.continent.or_else(|| record.country.and_then(country_continent)),
        subdivision: record.subdivision.or_else(named),
        asn: None,
        source,
        coarse,
    };
    (Some(place), record.asn)
}

fn operator_layer<A: Address>(networks: &[OperatorNetwork], places: &mut PlaceTable) -> Layer<'static, A> {
    let mut networks: Vec<_> =
        networks.iter().filter_map(|network| Some((A::from_ip(network.address)?, network))).collect();
    networks.sort_by_key(|(_, network)| network.prefix);
    let mut paint = Paint::default();
    for (address, network) in networks {
        let location = operator_place(network).map(|place| places.number(place));
        let stated = network.asn.map(Asn::Number);
        paint.prefix(address, network.prefix, |below| match location {
            Some(_) => Facts { location, asn: stated.unwrap_or(Asn::Nobody) },
            None => Facts { asn: stated.unwrap_or(below.asn), ..below },
        });
    }
    paint.layer()
}

fn operator_place(network: &OperatorNetwork) -> Option<Place> {
    let OperatorNetwork { point, country, subdivision, .. } = *network;
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

fn unroutable_layer<A: Address>() -> Layer<'static, A> {
    let mut paint = Paint::default();
    for (address, length) in UNROUTABLE.iter().filter_map(|(ip, length)| Some((A::from_ip(*ip)?, *length))) {
        paint.prefix(address, length, |_| Facts { location: Some(PlaceId::UNROUTABLE), asn: Asn::Nobody });
    }
    paint.layer()
}

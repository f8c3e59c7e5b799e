//! The atlas: for every address there is, where it is.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::address::AddressBits;
use super::builtin::BuiltinTable;
use super::database::Database;
use super::error::GeoError;
use super::ranges::{RangeIter, RangeList};

use super::{Place, PlaceCode};
use crate::net::Cidr;
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
pub struct AtlasSources {
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
    /// The network.
    pub cidr: Cidr,
    /// Where it is; if absent and the country is given, the country's centre.
    pub point: Option<Point>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<PlaceCode>,
    /// The part of ISO 3166-2 behind the country.
    pub subdivision: Option<PlaceCode>,
    /// Autonomous system number.
    pub asn: Option<u32>,
}

/// Where knowledge comes from; [`Place::source`] is an index into [`Atlas::sources`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSource {
    /// What it calls itself: `GeoLite2-City`.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// The file, if it is one.
    pub path: Option<PathBuf>,
    /// When the data were built.
    pub built: Option<SystemTime>,
}

/// What a [`DataSource`] is.
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
pub struct LocatedRange {
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
    pub(super) sources: Vec<DataSource>,
}

/// Databases, the operator's networks and the built-in table fit into [`Place::source`].
const MOST_DATABASES: usize = 250;

impl Atlas {
    /// The built-in table alone, unroutable space painted over it.
    pub fn builtin() -> Atlas {
        // Only a database can be wrong, and there is none.
        Self::layered(&[], CoarsePoints::default(), &[], &BuiltinTable::embedded())
            .unwrap_or_else(|_| Self::unknown())
    }

    /// Reads the databases and lays the layers over one another, IPv4 and IPv6 at the same time.
    pub fn compile(
        sources: &AtlasSources,
        networks: &[OperatorNetwork],
    ) -> Result<Atlas, GeoError> {
        if let Some(path) = sources.databases.get(MOST_DATABASES) {
            return Err(GeoError::new(
                path,
                format_args!("is one database too many; at most {MOST_DATABASES} can be used"),
            ));
        }
        let databases = sources
            .databases
            .iter()
            .map(|path| Database::open(path))
            .collect::<Result<Vec<_>, _>>()?;
        Self::layered(
            &databases,
            sources.coarse_points,
            networks,
            &BuiltinTable::embedded(),
        )
    }

    /// An atlas of one database in memory, without the built-in table; `path` is for messages.
    pub fn of_octets(path: &Path, file: Vec<u8>) -> Result<Atlas, GeoError> {
        let database = Database::from_octets(path, file)?;
        Self::layered(
            &[database],
            CoarsePoints::default(),
            &[],
            &BuiltinTable::empty(),
        )
    }

    /// An atlas that knows nothing but what is unroutable.
    pub fn empty() -> Atlas {
        Self::layered(&[], CoarsePoints::default(), &[], &BuiltinTable::empty())
            .unwrap_or_else(|_| Self::unknown())
    }

    fn unknown() -> Atlas {
        let places = vec![Place::default(); 2];
        Atlas {
            places,
            v4: RangeList::unknown(),
            v6: RangeList::unknown(),
            sources: Vec::new(),
        }
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
    pub fn ranges_v4(&self) -> RangeIter<'_, u32> {
        self.v4.iter()
    }

    /// Every IPv6 range from :: on: its start and its place.
    pub fn ranges_v6(&self) -> RangeIter<'_, u128> {
        self.v6.iter()
    }

    /// How many IPv4 and IPv6 ranges there are.
    pub fn range_counts(&self) -> (usize, usize) {
        (self.v4.len(), self.v6.len())
    }

    /// Where an address is. IPv6 addresses that carry an IPv4 one are not translated here.
    pub fn locate(&self, address: IpAddr) -> LocatedRange {
        fn found<A: AddressBits>((place, first, last): (PlaceId, A, A)) -> LocatedRange {
            LocatedRange {
                place,
                first: first.ip(),
                last: last.ip(),
            }
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
    pub fn sources(&self) -> &[DataSource] {
        &self.sources
    }

    /// Bytes of memory held by ranges and places.
    pub fn memory(&self) -> usize {
        self.v4.memory() + self.v6.memory() + self.places.capacity() * size_of::<Place>()
    }
}

#[cfg(test)]
mod tests;

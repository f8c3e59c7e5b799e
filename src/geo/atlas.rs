//! The atlas: maps every IPv4 and IPv6 address to a place.
//!
//! An atlas is compiled from databases, the operator's networks and the built-in table. It stores
//! distinct places once, and sorted ranges of addresses that refer to them. Queries do not use the
//! atlas: catchments are compiled from it.

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
    /// The location is not known.
    pub const UNKNOWN: PlaceId = PlaceId(0);
    /// Private and special-purpose space, which has no location.
    pub const UNROUTABLE: PlaceId = PlaceId(1);
}

/// The point of a record that knows only its country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CoarsePoints {
    /// The country's centre of population.
    #[default]
    Population,
    /// The point that the database gives.
    Database,
}

/// The databases of an atlas, and how to read them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AtlasSources {
    /// Files in MaxMind DB format. The first one that knows a client's location wins; likewise for
    /// its AS number.
    pub databases: Vec<PathBuf>,
    /// The point of records that know only their country.
    pub coarse_points: CoarsePoints,
}

/// A network whose location or AS number the operator states. A longer prefix wins over a shorter
/// one, and a later entry over an earlier one of the same length. An entry with a point, a country
/// or a subdivision replaces all that the databases know of the network. An entry with an AS number
/// alone leaves the location to the databases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperatorNetwork {
    /// The network.
    pub cidr: Cidr,
    /// Its point; by default the country's centre of population, if the country is given.
    pub point: Option<Point>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<PlaceCode>,
    /// The part of ISO 3166-2 behind the country.
    pub subdivision: Option<PlaceCode>,
    /// Autonomous system number.
    pub asn: Option<u32>,
}

/// A source of geodata. [`Place::source`] is an index into [`Atlas::sources`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSource {
    /// Its name: `GeoLite2-City`.
    pub name: String,
    /// Its kind.
    pub kind: SourceKind,
    /// Its file, if any.
    pub path: Option<PathBuf>,
    /// When the data were built.
    pub built: Option<SystemTime>,
}

/// The kind of a [`DataSource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// `[[geo.networks]]`: always the first source.
    Operator,
    /// A file in MaxMind DB format.
    Database,
    /// The table in this program: always the last source.
    BuiltIn,
}

/// The place of an address, and the range around it that has the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocatedRange {
    /// Its place.
    pub place: PlaceId,
    /// The first address of the range around it.
    pub first: IpAddr,
    /// The last address of that range.
    pub last: IpAddr,
}

/// Maps every address to its place. Neighbouring ranges differ in place.
#[derive(Debug, Clone)]
pub struct Atlas {
    pub(super) places: Vec<Place>,
    pub(super) v4: RangeList<'static, u32>,
    pub(super) v6: RangeList<'static, u128>,
    pub(super) sources: Vec<DataSource>,
}

/// The most databases: with the operator's networks and the built-in table they fit into
/// [`Place::source`].
const MOST_DATABASES: usize = 250;

impl Atlas {
    /// The built-in table alone, under special-purpose space.
    pub fn builtin() -> Atlas {
        Self::without_databases(&BuiltinTable::embedded())
    }

    /// Reads the databases and merges all layers.
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
        Self::layered(
            Database::open_all(&sources.databases)?,
            sources.coarse_points,
            networks,
            &BuiltinTable::embedded(),
        )
    }

    /// An atlas of one database in memory, without the built-in table; `path` is for messages.
    pub fn of_octets(path: &Path, file: Vec<u8>) -> Result<Atlas, GeoError> {
        let database = Database::from_octets(path, file)?;
        Self::layered(
            vec![database],
            CoarsePoints::default(),
            &[],
            &BuiltinTable::empty(),
        )
    }

    /// An atlas that knows only special-purpose space.
    pub fn empty() -> Atlas {
        Self::without_databases(&BuiltinTable::empty())
    }

    fn without_databases(builtin: &BuiltinTable<'_>) -> Atlas {
        // Only databases cause errors, and there is none.
        Self::layered(Vec::new(), CoarsePoints::default(), &[], builtin)
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

    /// The place of an address. IPv6 addresses that carry an IPv4 address are not translated here.
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

    /// The same ranges with every point moved to the middle of its square of `degrees`.
    pub fn coarsened(&self, degrees: f64) -> Atlas {
        let mut coarse = self.clone();
        for place in &mut coarse.places {
            if let Some(point) = &mut place.point {
                *point = point.middle_of_square(degrees);
            }
        }
        coarse
    }

    /// The sources of the atlas.
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

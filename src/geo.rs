//! Geography: where clients are, and which class of clients each address belongs to.
//!
//! Databases in MaxMind DB format ([`database`]), the operator's networks and a built-in table
//! ([`builtin`]) are laid over one another into an [`Atlas`], which maps every address to a
//! [`Place`]. A [`catchment`] combines the atlas with the steering rules of a service. It yields an
//! [`AddressTable`], which a query looks up. Only `table` is on the query path; everything else
//! runs while the configuration or the geodata load.

pub mod build;
pub mod groups;
pub mod locations;
pub mod people;
pub mod place;

pub mod address;
pub mod error;
pub mod ranges;

pub mod atlas;
mod layering;
pub mod layers;
pub mod places;
pub mod reading;
pub mod special;

pub mod database;
pub mod offsets;
pub mod record;
pub mod tree;
pub mod values;

pub mod builtin;
pub mod cells;

pub mod cuts;
pub mod outcomes;
mod table;

mod alike;
pub mod catchment;
mod cell;
pub mod fences;
mod networks;
mod signature;
mod zones;

use crate::two_threads as both;

pub use atlas::{
    Atlas, AtlasSources, CoarsePoints, DataSource, LocatedRange, OperatorNetwork, PlaceId,
    SourceKind,
};

pub use both::{both, each};
pub use error::GeoError;
pub use outcomes::{FoundBlock, OutcomeTable};
pub use place::{Place, PlaceCode};
pub use table::AddressTable;

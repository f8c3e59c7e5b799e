//! Geography: databases, the atlas made of them, catchments made of the atlas, and the range tables that answer.

pub mod build;
pub mod groups;
pub mod locations;
pub mod people;
pub mod place;

pub mod address;
mod both;
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

pub mod table;

pub mod catchment;

pub use atlas::{
    Atlas, AtlasSources, CoarsePoints, DataSource, LocatedRange, OperatorNetwork, PlaceId,
    SourceKind,
};
pub use both::both;
pub use error::GeoError;
pub use place::{Place, PlaceCode};
pub use table::{AddressTable, FoundBlock};

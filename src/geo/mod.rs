//! Geography: databases, the atlas made of them, catchments made of the atlas, and the range tables that answer.

pub mod place;

pub mod address;
pub mod error;
pub mod ranges;

pub mod atlas;
pub mod layers;
pub mod special;

pub mod database;
pub mod record;
pub mod tree;

pub mod builtin;
pub mod cells;

pub mod locations;
pub mod subdivisions;

pub use atlas::{Atlas, CoarsePoints, Located, OperatorNetwork, PlaceId, Source, SourceKind, Sources};
pub use error::GeoError;
pub use place::{Code, Place};

#[cfg(test)]
mod atlas_tests;

//! Geography: databases, the atlas made of them, catchments made of the atlas, and the range tables that answer.

pub mod build;
pub mod locations;
pub mod place;

pub use place::{Code, Place};

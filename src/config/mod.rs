//! The configuration: `raw` is the file as written, [`Config`] is the truth after every check.

pub mod model;

pub use model::*;

//! Steering: which region serves a client, as pure functions of values. No clock, no randomness, no lock, no I/O.
//!
//! Four words, always in this order: *fence* (who may be served by whom), *order* (near, or as listed), *available*
//! (health, drains), *pick* (weights inside the first tier that is left).

pub mod point;
pub mod policy;

pub use point::{Point, PointError, UnitVector};
pub use policy::{AllDown, Band, Bias, Order, Pick};

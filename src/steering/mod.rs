//! Steering: which region serves a client, as pure functions of values. No clock, no randomness, no lock, no I/O.
//!
//! Four words, always in this order: *fence* (who may be served by whom), *order* (near, or as listed), *available*
//! (health, drains), *pick* (weights inside the first tier that is left). Fence and order make [`tiers`] and depend
//! on the client's place alone; availability turns tiers into an [`outcome`]; the [`pick`] is made per query.

pub mod point;
pub mod policy;

pub mod tiers;

pub mod outcome;

pub mod pick;

pub use outcome::{Detour, Ending, Outcome, RegionStates, Share, Stage, Window};
pub use pick::{Client, Picks, Pool};
pub use point::{Point, PointError, UnitVector};
pub use policy::{AllDown, Band, Bias, Order, Pick};
pub use tiers::{Candidate, Measured, Rules, Tiers};

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

pub use outcome::{
    ActiveTier, Detour, FailoverChain, LastResort, RegionStates, Share, ShareWindow,
};
pub use pick::{ClientHash, EndpointPool, PickedEndpoints};
pub use point::{Point, PointError, UnitVector};
pub use policy::{AllDown, Band, Bias, PickMethod, RegionOrder};
pub use tiers::{Candidate, MeasuredCandidate, SteeringRules, Tiers};

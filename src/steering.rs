//! Steering decides which region serves a client. It consists of pure functions of values: it reads
//! no clock, draws no random number, takes no lock and does no I/O.
//!
//! Four steps always come in this order:
//!
//! 1. A *fence* says which regions may serve a client.
//! 2. An *order* puts them into [`tiers`]: nearest first, or as listed. Both depend on the client's
//!    place alone.
//! 3. *Availability* (health, drains) turns tiers into a failover chain, in [`failover`].
//! 4. The *pick* draws endpoints by weight from the first tier that takes the client, per query, in
//!    [`pick`]. Several endpoints are dealt from a deck of sets, in [`deck`].

pub mod point;
pub mod policy;

pub mod tiers;

pub mod failover;

pub mod picked;

pub mod deck;

pub mod pick;

pub use deck::ViewDecks;
pub use failover::{
    ActiveTier, Detour, FailoverChain, LastResort, RegionStates, Share, ShareWindow,
};
pub use pick::{ClientHash, EndpointPool};
pub use picked::{HandId, PickedEndpoints};
pub use point::{Point, PointError, UnitVector};
pub use policy::{AllDown, Band, Bias, PickMethod, RegionOrder};
pub use tiers::{Candidate, MeasuredCandidate, SteeringRules, Tiers};

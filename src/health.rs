//! Health: what probes say about endpoints, and what regions come to by it. Knows neither configuration nor answers.
//!
//! Three kinds of things, apart: *pure rules* ([`verdict`], [`cadence`], [`suspicion`], [`fold`], [`spill`]) that take
//! time as an argument; *probes* ([`probe`]) that talk to endpoints; and the [`monitor`] that runs the ones by the
//! others, keeping what was agreed ([`state`]) and how it came about ([`timeline`]).

pub mod cadence;
pub mod verdict;

pub mod fold;
pub mod spill;

pub mod check;
pub mod suspicion;

pub mod probe;

mod board;
pub mod monitor;
pub mod state;
pub mod timeline;

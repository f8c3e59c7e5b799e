//! Health checks: probes endpoints and decides which endpoints and regions can take clients.
//!
//! The module has three parts. *Rules* ([`machine`], [`cadence`], [`suspicion`], [`fold`],
//! [`quorum`]) are pure functions and state machines that take the time as an argument. *Probes*
//! ([`probe`]) talk to endpoints over sockets. The [`monitor`] schedules the probes, feeds their
//! results to the rules, and keeps the history of changes ([`timeline`]). [`state`] saves the
//! agreed health of every target to disk.
//!
//! This module knows neither the configuration nor DNS answers. `control` turns configured checks
//! into [`check::ProbeTarget`]s and combines the results into the availability of each service.

pub mod cadence;
pub mod machine;

pub mod fold;
pub mod quorum;

pub mod check;
pub mod suspicion;

pub mod probe;

mod board;
pub mod monitor;
pub mod state;
pub mod timeline;

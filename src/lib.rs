//! Meridian: a global load balancer that works through DNS.
//!
//! The layers, from the bottom: [`files`] reads what is on disk; [`text`] makes words from outside safe to read; [`net`],
//! [`dns`] and [`steering`] are pure functions of values; [`zone`], [`geo`], [`health`] and [`resolve`] turn files, probes
//! and names elsewhere into tables; [`config`] turns the configuration file into the truth; [`answer`] makes replies;
//! [`server`] holds the sockets; [`control`] loads and publishes; [`cli`] is what people type.
//! Imports point down only (kept by `tests/tidy.rs`); `docs/architecture.md` tells why.

pub mod disk;
pub mod dns;
pub mod files;
pub mod net;
pub mod steering;
pub mod text;

pub mod geo;
pub mod health;
pub mod resolve;
pub mod zone;

pub mod config;

pub mod answer;

pub mod server;

pub mod control;

pub mod cli;

#[doc(hidden)]
pub mod fuzzing;

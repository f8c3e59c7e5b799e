//! Meridian: a DNS-based global load balancer.
//!
//! The modules, from the bottom. [`files`], [`disk`] and [`new_files`] access the disk, [`text`]
//! escapes text from outside, [`terminal`] prints, and [`two_threads`] runs work on two cores.
//! [`net`], [`dns`], [`dnssec`] and [`steering`] are pure functions of values. [`zone`], [`geo`], [`health`]
//! and [`resolve`] read zones, locate clients, probe endpoints and look up names. [`config`] checks
//! the configuration file.
//!
//! [`catalog`] is the compiled state, and [`answer`] makes replies from it. [`explain`] gives the
//! reasons for an answer, and [`foresight`] predicts the effect of a change. [`balance`]
//! distributes load, [`server`] owns the sockets, [`control`] loads and publishes, and [`admin`]
//! serves the API. [`daemon`] is the running process. [`announce`] has routers told whether the server
//! answers. [`demo`], [`import`] and [`cli`] are the commands.
//!
//! Imports point down only (kept by `tests/tidy.rs`). `docs/architecture.md` explains the design.

pub mod disk;
pub mod files;
pub mod log_queue;
pub mod net;
pub mod new_files;
pub mod terminal;
pub mod text;
pub mod two_threads;

pub mod dns;
pub mod steering;

pub mod dnssec;
pub mod geo;
pub mod health;
pub mod resolve;
pub mod zone;

pub mod config;

pub mod catalog;

pub mod answer;

pub mod balance;
pub mod explain;
pub mod fleet;
pub mod foresight;
pub mod server;

pub mod control;

pub mod admin;

pub mod announce;
pub mod daemon;
pub mod demo;
pub mod import;

pub mod cli;

#[doc(hidden)]
pub mod fuzzing;

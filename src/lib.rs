//! Meridian: a global load balancer that works through DNS.
//!
//! The rooms, from the bottom. [`files`], [`disk`] and [`new_files`] read and write the disk, [`text`] makes text from
//! outside safe to read, [`terminal`] prints. [`net`], [`dns`] and [`steering`] are pure functions of values. [`zone`],
//! [`geo`], [`health`] and [`resolve`] turn files, probes and names elsewhere into tables, and [`config`] checks the
//! configuration file. [`catalog`] is the compiled state and [`answer`] makes replies from it; [`explain`] and
//! [`foresight`] say why, and what if. [`balance`] divides the load, [`server`] holds the sockets, [`control`] loads and publishes, [`admin`] serves
//! the API. [`daemon`] is the running process; [`demo`], [`import`] and [`cli`] are the commands.
//!
//! Imports point down only (kept by `tests/tidy.rs`). `docs/architecture.md` explains the design.

pub mod disk;
pub mod files;
pub mod log_queue;
pub mod net;
pub mod new_files;
pub mod terminal;
pub mod text;

pub mod dns;
pub mod steering;

pub mod geo;
pub mod health;
pub mod resolve;
pub mod zone;

pub mod config;

pub mod catalog;

pub mod answer;

pub mod balance;
pub mod explain;
pub mod foresight;
pub mod server;

pub mod control;

pub mod admin;

pub mod daemon;
pub mod demo;
pub mod import;

pub mod cli;

#[doc(hidden)]
pub mod fuzzing;

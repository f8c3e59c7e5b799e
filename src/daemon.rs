//! A nameserver as a process: it starts, says so, obeys signals, and ends.
//!
//! [`serve`] joins the parts: it loads the configuration, opens the sockets, hands the process over
//! from a server that runs already, and ends when a signal says so. [`log`] writes the log,
//! [`signals`] turns signals into values, `notify` and [`progress`] report to systemd and to a
//! waiting person, `confine` drops privileges. `meridian serve` and the demo run the same code.

pub mod arguments;
pub mod serve;

mod confine;
pub mod log;
mod notify;
pub mod progress;
mod runtime;
pub mod signals;

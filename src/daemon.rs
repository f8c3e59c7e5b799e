//! The server process: start, ready line, signals, takeover and end.
//!
//! [`serve`] joins the parts. It loads the configuration, opens the sockets or takes them over from
//! a running server, and ends on a signal. [`log`] writes the log and [`signals`] turns signals
//! into values. `notify` reports to systemd, and [`progress`] shows a spinner on a terminal.
//! `confine` drops privileges. `meridian serve`, `meridian probe` and the demo run the same code.

pub mod arguments;
pub mod probe;
pub mod serve;

mod confine;
pub mod log;
pub mod notify;
pub mod progress;
mod runtime;
pub mod signals;

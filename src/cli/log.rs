//! Logs: for people on a terminal, JSON otherwise; `MERIDIAN_LOG` sets the level.
//!
//! What is logged may come from outside. On a terminal each field is escaped before it is put into the line, since the
//! line has colours of ours ([`write_field`]); JSON has none, so the finished line is escaped as a whole ([`JsonLines`]).

use std::fmt;
use std::io::{self, IsTerminal, Write};

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::text::{in_json, shown, shown_lines};

/// Starts logging to stderr, from this level on unless `MERIDIAN_LOG` says another. Never per query at `info`.
pub fn start(level: &str) {
    let filter = EnvFilter::try_from_env("MERIDIAN_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    let terminal = io::stderr().is_terminal();
    // A second logger in one process is a test's business, and no reason to stop.
    let _ = if terminal {
        let coloured = logger.with_ansi(std::env::var_os("NO_COLOR").is_none()).compact();
        coloured.fmt_fields(debug_fn(write_field).delimited(" ")).with_writer(io::stderr).try_init()
    } else {
        logger.json().flatten_event(true).with_writer(|| JsonLines(io::stderr())).try_init()
    };
}

/// One field of an event for people: the message as it is, which may have several lines, any other with its name.
fn write_field(to: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    match field.name() {
        "message" => write!(to, "{}", shown_lines(value)),
        name => write!(to, "{name}={}", shown(value)),
    }
}

/// Passes on lines of JSON with their hidden characters escaped. The formatter hands in whole lines.
struct JsonLines<W>(W);

impl<W: Write> Write for JsonLines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(in_json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What was written, to be looked at.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    const EVIL: &str = "a\x1b[2J\u{9b}b\u{202e}c";

    #[test]
    fn a_terminal_gets_nothing_hidden_but_our_colours() {
        let written = Written::default();
        let to = written.clone();
        let logger = tracing_subscriber::fmt().with_ansi(true).compact().without_time();
        let logger = logger.fmt_fields(debug_fn(write_field).delimited(" ")).with_writer(move || to.clone());
        tracing::subscriber::with_default(logger.finish(), || tracing::warn!(path = %EVIL, "{EVIL}"));
        let text = written.text();
        let expected = "a\\u{1b}[2J\\u{9b}b\\u{202e}c path=a\\u{1b}[2J\\u{9b}b\\u{202e}c";
        assert!(text.contains(expected), "{text:?}");
        assert!(text.starts_with("\x1b[33m"), "{text:?}");
    }

    #[test]
    fn json_lines_hold_nothing_hidden_and_say_the_same() {
        let written = Written::default();
        let to = written.clone();
        let logger = tracing_subscriber::fmt().json().flatten_event(true);
        let logger = logger.with_writer(move || JsonLines(to.clone()));
        tracing::subscriber::with_default(logger.finish(), || tracing::warn!(path = %EVIL, "{EVIL}"));
        let text = written.text();
        assert!(!text.trim_end().contains(crate::text::is_hidden), "{text:?}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((line["path"].as_str(), line["message"].as_str()), (Some(EVIL), Some(EVIL)));
    }
}

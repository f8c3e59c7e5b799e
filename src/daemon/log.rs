//! The log: text on a terminal, JSON otherwise. `MERIDIAN_LOG` sets the level.
//!
//! Every line goes through one queue ([`log_queue`]), also those about a panic, so a blocked or
//! closed stderr can neither delay nor end the server.
//!
//! Logged values may come from outside and hold control characters. On a terminal each field is
//! escaped by itself, because the line has colour codes of its own (`write_field`). A JSON line is
//! escaped as a whole (`JsonLines`).

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::log_queue;
use crate::text::{in_json, shown, shown_lines};

/// How long a process that ends waits until its last lines are written.
const PATIENCE: Duration = Duration::from_millis(150);

/// Starts logging to stderr at this level, or at the level in `MERIDIAN_LOG`. At `info` nothing is
/// logged per query.
pub fn start(level: &str) {
    // The NATS client would tell again what the fleet tells.
    let level = format!("{level},async_nats=off");
    let filter = EnvFilter::try_from_env("MERIDIAN_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let terminal = io::stderr().is_terminal();
    log_queue::STDERR.start(if terminal { plain_notice } else { json_notice });
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false);
    // Internal errors would go to stderr past the queue, and writing to the queue cannot fail.
    let logger = logger.log_internal_errors(false);
    // Only tests start a second logger in a process; they keep the first.
    let _ = if terminal {
        let coloured = logger
            .with_ansi(std::env::var_os("NO_COLOR").is_none())
            .compact();
        coloured
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .with_writer(|| Line)
            .try_init()
    } else {
        logger
            .json()
            .flatten_event(true)
            .with_writer(|| JsonLines(Line))
            .try_init()
    };
    // The default hook would block on stderr.
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        tracing::error!(
            "the thread {} panicked: {panic}",
            thread.name().unwrap_or("without a name")
        );
    }));
}

/// Waits briefly until the queue is written, before the process ends.
pub fn finish() {
    log_queue::STDERR.flush(PATIENCE);
}

/// Puts whole lines into the queue.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        log_queue::STDERR.put(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The warning about lost lines, in the format for a terminal.
fn plain_notice(lost: u64) -> String {
    format!("{}  WARN {}\n", time(), lost_sentence(lost))
}

fn json_notice(lost: u64) -> String {
    let line = serde_json::json!({
        "timestamp": time(), "level": "WARN", "message": lost_sentence(lost), "lines": lost,
    });
    format!("{line}\n")
}

fn lost_sentence(lost: u64) -> String {
    let lines = if lost == 1 {
        "1 line"
    } else {
        &format!("{lost} lines")
    };
    format!("{lines} of the log could not be written and were lost; check where stderr goes")
}

/// The current time in the format of the log.
fn time() -> String {
    let mut time = String::new();
    // If formatting fails, the line has no time.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    time
}

/// Writes one field for a terminal: the message, which may have several lines, or `name=value`.
fn write_field(to: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    match field.name() {
        "message" => write!(to, "{}", shown_lines(value)),
        name => write!(to, "{name}={}", shown(value)),
    }
}

/// Escapes hidden characters in lines of JSON. The formatter writes whole lines.
struct JsonLines<W>(W);

impl<W: Write> Write for JsonLines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0
            .write_all(in_json(&String::from_utf8_lossy(line)).as_bytes())?;
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
        let logger = tracing_subscriber::fmt()
            .with_ansi(true)
            .compact()
            .without_time();
        let logger = logger
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .with_writer(move || to.clone());
        tracing::subscriber::with_default(
            logger.finish(),
            || tracing::warn!(path = %EVIL, "{EVIL}"),
        );
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
        tracing::subscriber::with_default(
            logger.finish(),
            || tracing::warn!(path = %EVIL, "{EVIL}"),
        );
        let text = written.text();
        assert!(
            !text.trim_end().contains(crate::text::is_hidden),
            "{text:?}"
        );
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (line["path"].as_str(), line["message"].as_str()),
            (Some(EVIL), Some(EVIL))
        );
    }

    #[test]
    fn the_line_about_lost_ones_is_like_the_others() {
        let line: serde_json::Value = serde_json::from_str(&json_notice(3)).unwrap();
        assert_eq!(
            (&line["level"], &line["lines"]),
            (&"WARN".into(), &3.into())
        );
        assert!(
            line["message"]
                .as_str()
                .unwrap()
                .starts_with("3 lines of the log could not be written")
        );
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
        assert!(
            plain_notice(1).contains("  WARN 1 line of the log could"),
            "{}",
            plain_notice(1)
        );
    }
}

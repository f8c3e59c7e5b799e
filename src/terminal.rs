//! Output for people and programs: the one place through which the commands write to the terminal.
//!
//! Everything passes [`shown_lines`] on its way out, or [`in_json`] where it is JSON, so that no name, file or answer of
//! another server can play with the terminal, whoever forgot about it before. Colours are our own, so they are put around
//! a text behind that, on a terminal only (<https://no-color.org>). `tests/tidy.rs` keeps it the one place.

use std::cell::Cell;
use std::fmt::{Arguments, Display};
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::time::Duration;

use rustix::process::Signal;

use crate::log_queue::{STDERR, STDOUT};
use crate::text::{in_json, shown, shown_lines};

/// How long a server waits for a stream that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on stdout. It ends the command in peace when nobody reads on, as `| head` does.
macro_rules! say {
    () => { $crate::terminal::put(format_args!("\n")) };
    ($($part:tt)*) => { $crate::terminal::put(format_args!("{}\n", format_args!($($part)*))) };
}
pub(crate) use say;

/// Prints text, or ends the process where that cannot be.
pub fn put(text: Arguments<'_>) {
    write!(stdout(), "{}", shown_lines(text)).unwrap_or_else(|error| end_of_paper(&error));
}

/// A line of JSON on stdout; `json` displays as JSON.
pub fn say_json(json: impl Display) {
    let text = json.to_string();
    writeln!(stdout(), "{}", in_json(&text)).unwrap_or_else(|error| end_of_paper(&error));
}

/// Prints octets that are our own altogether, such as the manual.
pub fn put_octets(octets: &[u8]) {
    stdout()
        .write_all(octets)
        .unwrap_or_else(|error| end_of_paper(&error));
}

/// A line on stdout from a server. Whoever started it may have closed its output, or reads no more of it, which is no reason
/// to stop: the line is waited for no longer than a second.
pub fn announce(line: impl Display) {
    STDOUT.put(format!("{}\n", shown(line)).into_bytes());
    STDOUT.flush(PATIENCE);
}

/// A line on stderr: what went wrong. Where nobody can be told, the exit code says it. Where there is a log, it is a line
/// of that.
pub fn complain(text: impl Display) {
    let line = format!("{}\n", shown_lines(text));
    if STDERR.is_started() {
        STDERR.put(line.into_bytes());
        STDERR.flush(PATIENCE);
    } else {
        let _ = stderr().write_all(line.as_bytes());
    }
}

thread_local! {
    /// Set on a thread whose process has more to do at its end than this thread knows.
    static ASKS_TO_END: Cell<bool> = const { Cell::new(false) };
}

/// From now on, where this thread cannot print, the process is asked to end as by SIGTERM, instead of being ended.
pub fn ask_to_end_when_unread() {
    ASKS_TO_END.set(true);
}

/// Nobody reads on, which is no mistake; or there is no room.
fn end_of_paper(error: &std::io::Error) -> ! {
    if ASKS_TO_END.get()
        && rustix::process::kill_process(rustix::process::getpid(), Signal::TERM).is_ok()
    {
        loop {
            std::thread::park();
        }
    }
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    complain(format_args!("meridian: cannot print: {error}"));
    std::process::exit(1);
}

/// How a part of a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextStyle {
    /// As everything else.
    Plain,
    /// Heavier, where that can be.
    Bold,
    /// Lighter, where that can be.
    Faint,
}

/// Where text goes, and whether it may be coloured.
#[derive(Debug, Clone, Copy)]
pub struct TextOutput {
    colour: bool,
}

impl TextOutput {
    /// Standard output.
    pub fn stdout() -> TextOutput {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        TextOutput {
            colour: stdout().is_terminal() && !refused,
        }
    }

    /// Prints a bold line.
    pub fn bold(&self, text: &str) {
        self.line(&[(TextStyle::Bold, text)]);
    }

    /// Prints a faint line.
    pub fn faint(&self, text: &str) {
        self.line(&[(TextStyle::Faint, text)]);
    }

    /// Prints a line of parts.
    pub fn line(&self, parts: &[(TextStyle, &str)]) {
        let line: String = parts
            .iter()
            .map(|(style, text)| self.paint(*style, text))
            .collect();
        writeln!(stdout(), "{line}").unwrap_or_else(|error| end_of_paper(&error));
    }

    /// The text with its hidden characters escaped, and our own colour around it.
    fn paint(&self, style: TextStyle, text: &str) -> String {
        let text = shown_lines(text);
        match style {
            TextStyle::Bold if self.colour => format!("\x1b[1m{text}\x1b[0m"),
            TextStyle::Faint if self.colour => format!("\x1b[2m{text}\x1b[0m"),
            _ => text.to_string(),
        }
    }

    /// Prints rows in columns that are as wide as they must be; columns that hold nothing are left out.
    pub fn table(&self, heads: &[&str], rows: &[Vec<String>]) {
        let lines = lines(heads, rows);
        for (index, line) in lines.iter().enumerate() {
            self.line(&[(
                if index == 0 {
                    TextStyle::Faint
                } else {
                    TextStyle::Plain
                },
                line,
            )]);
        }
    }
}

/// The head line and the rows, aligned. A cell is one line and as wide as it is printed, so it is escaped here.
fn lines(heads: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| shown(cell).to_string()).collect())
        .collect();
    let widest = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let columns: Vec<(usize, usize)> = (heads.iter().enumerate())
        .filter_map(|(column, head)| {
            let width = widest(column).filter(|width| *width > 0)?;
            Some((column, width.max(head.chars().count())))
        })
        .collect();
    let line = |cell: &dyn Fn(usize) -> String| {
        let cells = columns
            .iter()
            .map(|&(column, width)| format!("{:width$}", cell(column)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = line(&|column| {
        heads
            .get(column)
            .map_or(String::new(), |head| (*head).to_owned())
    });
    let rows = rows
        .iter()
        .map(|row| line(&|column| row.get(column).cloned().unwrap_or_default()));
    std::iter::once(head).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let rows =
            [["a", "", "1"], ["longer", "", "22"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            lines(&["name", "none", "n"], &rows),
            ["name    n", "a       1", "longer  22"]
        );
    }

    #[test]
    fn colours_are_ours_alone() {
        let (plain, coloured) = (TextOutput { colour: false }, TextOutput { colour: true });
        assert_eq!(
            plain.paint(TextStyle::Bold, "a\x1b[8mb\nc"),
            "a\\u{1b}[8mb\nc"
        );
        assert_eq!(
            coloured.paint(TextStyle::Bold, "a\x1b[8mb"),
            "\x1b[1ma\\u{1b}[8mb\x1b[0m"
        );
        assert_eq!(coloured.paint(TextStyle::Plain, "\u{202e}"), "\\u{202e}");
    }

    #[test]
    fn a_cell_is_one_line() {
        let rows = [vec!["a\nb".to_owned(), "\u{200b}".to_owned()]];
        assert_eq!(lines(&["x", "y"], &rows), ["x     y", "a\\nb  \\u{200b}"]);
    }
}

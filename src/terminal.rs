//! Standard output and standard error of all commands.
//!
//! All text passes [`shown_lines`], or [`in_json`] if it is JSON, so that no name, file or answer
//! of another server can send control characters to the terminal. Colours are added after that, and
//! only on a terminal (<https://no-color.org>). No other module prints; `tests/tidy.rs` checks
//! that.

use std::cell::Cell;
use std::fmt::{Arguments, Display};
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::time::Duration;

use rustix::process::Signal;

use crate::log_queue::{STDERR, STDOUT};
use crate::text::{in_json, shown, shown_lines};

/// How long a server waits for a stream that accepts nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prints a line on stdout. If the reader closed the pipe, as `| head` does, the command exits
/// without an error.
macro_rules! say {
    () => { $crate::terminal::put(format_args!("\n")) };
    ($($part:tt)*) => { $crate::terminal::put(format_args!("{}\n", format_args!($($part)*))) };
}
pub(crate) use say;

/// Prints text on stdout, or ends the process if that fails.
pub fn put(text: Arguments<'_>) {
    exit_on_error(write!(stdout(), "{}", shown_lines(text)));
}

/// Prints a line of JSON on stdout; `json` displays as JSON.
pub fn say_json(json: impl Display) {
    let text = json.to_string();
    exit_on_error(writeln!(stdout(), "{}", in_json(&text)));
}

/// Prints octets that come from this program alone, such as the manual.
pub fn put_octets(octets: &[u8]) {
    exit_on_error(stdout().write_all(octets));
}

/// Prints a line on stdout from a server. A server keeps running when its output is closed or not
/// read, so this waits a second at most.
pub fn announce(line: impl Display) {
    STDOUT.put(format!("{}\n", shown(line)).into_bytes());
    STDOUT.flush(PATIENCE);
}

/// Prints an error on stderr, or in the log if there is one. If that fails too, the exit code is
/// all there is.
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
    /// The process has work to do at its end, so this thread must not end it at once.
    static ASKS_TO_END: Cell<bool> = const { Cell::new(false) };
}

/// From now on, a failure to print on this thread sends SIGTERM to the process instead of ending it
/// at once.
pub fn ask_to_end_when_unread() {
    ASKS_TO_END.set(true);
}

fn exit_on_error(printed: std::io::Result<()>) {
    if let Err(error) = printed {
        exit_unprinted(&error);
    }
}

/// Ends the process after a failure to print. A closed pipe is not an error.
fn exit_unprinted(error: &std::io::Error) -> ! {
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

/// The style of a part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextStyle {
    /// Normal text.
    Plain,
    /// Bold, on a terminal.
    Bold,
    /// Faint, on a terminal.
    Faint,
}

/// Styled text on standard output.
#[derive(Debug, Clone, Copy)]
pub struct TextOutput {
    colour: bool,
}

impl TextOutput {
    /// Standard output, with styles if it is a terminal and `NO_COLOR` is not set.
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
        let mut line = String::new();
        for (style, text) in parts {
            line.push_str(&self.paint(*style, text));
        }
        exit_on_error(writeln!(stdout(), "{line}"));
    }

    /// The text with its hidden characters escaped and the codes of its style around it.
    fn paint(&self, style: TextStyle, text: &str) -> String {
        let text = shown_lines(text);
        match style {
            TextStyle::Bold if self.colour => format!("\x1b[1m{text}\x1b[0m"),
            TextStyle::Faint if self.colour => format!("\x1b[2m{text}\x1b[0m"),
            _ => text.to_string(),
        }
    }

    /// Prints rows in aligned columns. Empty columns are left out.
    pub fn table(&self, heads: &[&str], rows: &[Vec<String>]) {
        let mut style = TextStyle::Faint;
        for line in lines(heads, rows) {
            self.line(&[(style, &line)]);
            style = TextStyle::Plain;
        }
    }
}

/// The head line and the rows, aligned.
fn lines(heads: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    // A cell is one line and as wide as it is printed, so it is escaped before it is measured.
    let mut cells: Vec<Vec<String>> = Vec::new();
    for row in rows {
        cells.push(row.iter().map(|cell| shown(cell).to_string()).collect());
    }
    let mut widths = vec![0; heads.len()];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for (width, head) in widths.iter_mut().zip(heads) {
        if *width > 0 {
            *width = head.chars().count().max(*width);
        }
    }
    let mut lines = vec![aligned(heads, &widths)];
    for row in &cells {
        lines.push(aligned(row, &widths));
    }
    lines
}

/// One line of a table. Columns of width 0 are left out.
fn aligned(cells: &[impl AsRef<str>], widths: &[usize]) -> String {
    let mut line = String::new();
    for (column, &width) in widths.iter().enumerate() {
        if width > 0 {
            let cell = cells.get(column).map_or("", AsRef::as_ref);
            line.push_str(&format!("{cell:width$}  "));
        }
    }
    line.truncate(line.trim_end().len());
    line
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

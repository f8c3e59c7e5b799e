//! Output for people: aligned columns, and colours on a terminal only (<https://no-color.org>).

use std::fmt::Arguments;
use std::io::{ErrorKind, IsTerminal, Write, stdout};

/// A line on stdout. It ends the command in peace when nobody reads on, as `| head` does.
macro_rules! say {
    () => { $crate::cli::paper::put(format_args!("\n")) };
    ($($part:tt)*) => { $crate::cli::paper::put(format_args!("{}\n", format_args!($($part)*))) };
}
pub(in crate::cli) use say;

/// Prints text, or ends the process where that cannot be.
pub fn put(text: Arguments<'_>) {
    stdout().write_fmt(text).unwrap_or_else(|error| end_of_paper(&error));
}

/// The same of octets.
pub fn put_octets(octets: &[u8]) {
    stdout().write_all(octets).unwrap_or_else(|error| end_of_paper(&error));
}

/// Nobody reads on, which is no mistake; or there is no room.
fn end_of_paper(error: &std::io::Error) -> ! {
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    eprintln!("meridian: cannot print: {error}");
    std::process::exit(1);
}

/// Where text goes, and whether it may be coloured.
#[derive(Debug, Clone, Copy)]
pub struct Paper {
    colour: bool,
}

impl Paper {
    /// Standard output.
    pub fn stdout() -> Paper {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paper { colour: std::io::stdout().is_terminal() && !refused }
    }

    /// Bold, where that can be.
    pub fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Faint, where that can be.
    pub fn faint(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Prints rows in columns that are as wide as they must be; columns that hold nothing are left out.
    pub fn table(&self, heads: &[&str], rows: &[Vec<String>]) {
        let lines = lines(heads, rows);
        for (index, line) in lines.iter().enumerate() {
            say!("{}", if index == 0 { self.faint(line) } else { line.clone() });
        }
    }
}

/// The head line and the rows, aligned. What stands in a table may come from files, so controls are shown escaped.
fn lines(heads: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let columns: Vec<(usize, usize)> = (heads.iter().enumerate())
        .filter_map(|(column, head)| {
            let width = widest(column).filter(|width| *width > 0)?;
            Some((column, width.max(head.chars().count())))
        })
        .collect();
    let line = |cell: &dyn Fn(usize) -> String| {
        let cells = columns.iter().map(|&(column, width)| format!("{:width$}", cell(column)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = line(&|column| heads.get(column).map_or(String::new(), |head| (*head).to_owned()));
    let rows = rows.iter().map(|row| line(&|column| row.get(column).cloned().unwrap_or_default()));
    std::iter::once(head).chain(rows).collect()
}

/// The text with control characters escaped, so that no file can play with the terminal.
pub fn plain(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let rows = [["a", "", "1"], ["longer", "", "22"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(lines(&["name", "none", "n"], &rows), ["name    n", "a       1", "longer  22"]);
    }

    #[test]
    fn controls_are_shown_escaped() {
        assert_eq!(plain("a\x1b[2Jb"), "a\\u{1b}[2Jb");
    }
}

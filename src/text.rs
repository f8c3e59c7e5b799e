//! Escapes text from outside, so that it is safe to print.
//!
//! Zone files, file names, configurations, answers of other servers and probe errors may contain
//! characters that act on a terminal or deceive a reader: control characters, overrides of the
//! writing direction, invisible characters. They are printed in escaped form (`\u{202e}`, `\n`).
//!
//! Error messages quote such text with [`shown`], which keeps it on one line. All output of the
//! commands and every log line passes [`shown_lines`] or [`in_json`] at the end (`terminal`,
//! `daemon::log`).

use std::borrow::Cow;
use std::fmt::{self, Display, Write};

/// Whether a character is invisible or acts on the text around it: control characters (C0, DEL,
/// C1), marks and overrides of the writing direction, characters without width, separators of lines
/// and paragraphs, tags, and the other invisible characters of Unicode.
///
/// Source: Unicode 16, general categories Cc, Zl, Zp and Cf without the visible signs of numbers;
/// Unicode Technical Standard 39 section 4; `Default_Ignorable_Code_Point`.
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The text on one line with hidden characters escaped. Text that is already escaped stays the
/// same.
pub fn shown<T: Display>(text: T) -> EscapedText<T> {
    EscapedText {
        text,
        keeps_lines: false,
    }
}

/// The text with hidden characters escaped, except for line ends.
pub fn shown_lines<T: Display>(text: T) -> EscapedText<T> {
    EscapedText {
        text,
        keeps_lines: true,
    }
}

/// Displays a text with hidden characters escaped.
#[derive(Debug, Clone, Copy)]
pub struct EscapedText<T> {
    text: T,
    keeps_lines: bool,
}

impl<T: Display> Display for EscapedText<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            Escaper {
                to: f,
                keeps_lines: self.keeps_lines
            },
            "{}",
            self.text
        )
    }
}

/// Writes text to a formatter with hidden characters escaped.
struct Escaper<'f, 't> {
    to: &'f mut fmt::Formatter<'t>,
    keeps_lines: bool,
}

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let keeps_lines = self.keeps_lines;
        let mut rest = text;
        while let Some(at) =
            rest.find(|letter: char| is_hidden(letter) && !(keeps_lines && letter == '\n'))
        {
            let (before, after) = rest.split_at(at);
            self.to.write_str(before)?;
            let mut letters = after.chars();
            if let Some(letter) = letters.next() {
                write!(self.to, "{}", letter.escape_default())?;
            }
            rest = letters.as_str();
        }
        self.to.write_str(rest)
    }
}

/// Whether a text is 1 to 63 letters, digits, `-` and `_` of ASCII.
pub fn is_plain_name(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(is_plain)
}

fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_'
}

/// The first `most` names, separated by commas: `fra, iad and 3 more`.
pub fn list(names: &[String], most: usize) -> String {
    match names.split_at_checked(most) {
        Some((first, rest)) if !rest.is_empty() => {
            format!("{} and {} more", first.join(", "), rest.len())
        }
        _ => names.join(", "),
    }
}

/// JSON with its hidden characters in JSON's own escaped form, so that it means the same. Line ends
/// stay, because in JSON they occur only between values.
///
/// Source: RFC 8259 section 7.
pub fn in_json(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden_in_line) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if !is_hidden_in_line(letter) {
            escaped.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    Cow::Owned(escaped)
}

/// Whether a character other than a line end is hidden.
fn is_hidden_in_line(letter: char) -> bool {
    is_hidden(letter) && letter != '\n'
}

/// A number and a noun in singular or plural: `1 zone`, `2 zones`, `0 queries`.
pub fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    if number == 1 {
        return format!("1 {noun}");
    }
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}

/// A quoted TOML string. Every escape of JSON is one of TOML too.
pub fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_counted_is_one_or_many() {
        let told = [
            (1_u64, "query"),
            (2, "query"),
            (0, "zone"),
            (1, "zone"),
            (3, "day"),
        ]
        .map(|(n, it)| counted(n, it));
        assert_eq!(
            told,
            ["1 query", "2 queries", "0 zones", "1 zone", "3 days"]
        );
    }

    #[test]
    fn what_acts_on_a_terminal_or_a_reader_is_shown() {
        for (text, expected) in [
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("one\r\ntwo\tthree", "one\\r\\ntwo\\tthree"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            (
                "user\u{202e}gpj.exe\u{2069}",
                "user\\u{202e}gpj.exe\\u{2069}",
            ),
            ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
            (
                "line\u{2028}paragraph\u{2029}",
                "line\\u{2028}paragraph\\u{2029}",
            ),
            ("tag\u{e0041}", "tag\\u{e0041}"),
            ("Zürich, Αθήνα, 東京, \\034", "Zürich, Αθήνα, 東京, \\034"),
        ] {
            assert_eq!(shown(text).to_string(), expected);
            assert_eq!(
                shown(shown(text)).to_string(),
                expected,
                "nothing is escaped twice"
            );
        }
        assert_eq!(
            shown_lines("one\n  two\x07").to_string(),
            "one\n  two\\u{7}"
        );
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in ".*") {
            prop_assert!(!shown(&text).to_string().contains(is_hidden));
            prop_assert!(!shown_lines(&text).to_string().contains(|letter| is_hidden(letter) && letter != '\n'));
        }

        #[test]
        fn json_means_the_same(text in "[\u{80}-\u{9f}\u{200b}-\u{202e}\u{e0000}-\u{e007f}a-c\"\\\\\n]{0,20}") {
            let json = serde_json::Value::from(text).to_string();
            let safe = in_json(&json);
            prop_assert!(!safe.contains(is_hidden), "{safe}");
            let back: serde_json::Value = serde_json::from_str(&safe).expect("it is JSON still");
            prop_assert_eq!(back.to_string(), json);
        }
    }
}

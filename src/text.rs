//! Text from outside, made safe to read.
//!
//! Zone files, names of files, configurations, other servers' answers and the reasons of probes may hold characters that
//! play with a terminal or deceive whoever reads: control characters, overrides of the writing direction, characters
//! that nobody sees. They are shown in escaped form here (`\u{202e}`, `\n`) and never sent. Messages about a mistake
//! show what they cite with [`shown`], so that it stays on its line. Everything that the commands print, and every line
//! of the log, passes [`shown_lines`] or [`in_json`] at the end, whatever it is made of (`terminal`, `daemon::log`).

use std::borrow::Cow;
use std::fmt::{self, Display, Write};

/// Whether a character acts on the text around it, or cannot be seen, instead of being a letter that is read: control
/// characters (C0, DEL, C1), marks and overrides of the writing direction, characters without width, separators of lines
/// and paragraphs, and the other invisible ones of Unicode, tags among them.
///
/// Source: Unicode 16, general categories Cc, Zl, Zp and Cf without the visible signs of numbers; Unicode Technical
/// Standard 39 section 4; `Default_Ignorable_Code_Point`.
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text on one line, hidden characters escaped. What was escaped before stays as it is.
pub fn shown<T: Display>(text: T) -> EscapedText<T> {
    EscapedText {
        text,
        keeps_lines: false,
    }
}

/// The same of a text that may have several lines: their ends stay.
pub fn shown_lines<T: Display>(text: T) -> EscapedText<T> {
    EscapedText {
        text,
        keeps_lines: true,
    }
}

/// A text whose hidden characters are escaped when it is displayed.
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

/// Passes text on with its hidden characters escaped.
struct Escaper<'f, 't> {
    to: &'f mut fmt::Formatter<'t>,
    keeps_lines: bool,
}

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_escaped = |letter: char| is_hidden(letter) && !(self.keeps_lines && letter == '\n');
        let mut rest = text;
        while let Some(at) = rest.find(is_escaped) {
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

/// The first `most` names with commas between them: `fra, iad and 3 more`.
pub fn list(names: &[String], most: usize) -> String {
    let named = names
        .iter()
        .take(most)
        .map(String::as_str)
        .collect::<Vec<&str>>()
        .join(", ");
    match names.len().saturating_sub(most) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// A JSON text with its hidden characters in the escaped form of JSON, so that it means the same. Line ends stay: in
/// JSON they stand between values only.
///
/// Source: RFC 8259 section 7.
pub fn in_json(text: &str) -> Cow<'_, str> {
    let is_escaped = |letter: char| is_hidden(letter) && letter != '\n';
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if !is_escaped(letter) {
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

/// `1 zone`, `2 zones`, `0 queries`: a number and what is counted, in the plural where there is not just one.
pub fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    match noun
        .strip_suffix('y')
        .filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']))
    {
        _ if number == 1 => format!("1 {noun}"),
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {noun}s"),
    }
}

/// A TOML string; JSON's escapes are among TOML's.
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

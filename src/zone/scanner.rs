//! Splits a master file into entries of words (RFC 1035 section 5.1).
//!
//! Words borrow from the text, and each knows its line and column. The scanner handles parentheses,
//! quotes and comments. Escapes stay in the words, because only the reader of a word knows whether
//! `\.` is a dot or an octet of a label.

use std::borrow::Cow;

/// One word of an entry.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    /// The text as written, without the quotes around it and with its escapes.
    pub text: &'a [u8],
    /// Whether the word is in quotes.
    pub quoted: bool,
    /// Whether it follows the token before it without white space, as in `alpn="h2"`.
    pub joined: bool,
    /// Line, from 1.
    pub line: u32,
    /// Column in octets, from 1.
    pub column: u32,
}

/// An error at a place in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanFault {
    /// Line, from 1.
    pub line: u32,
    /// Column in octets, from 1.
    pub column: u32,
    /// What is wrong and what to do.
    pub sentence: String,
}

impl Token<'_> {
    /// A fault where this token starts.
    pub fn fault(&self, sentence: impl Into<String>) -> ScanFault {
        ScanFault {
            line: self.line,
            column: self.column,
            sentence: sentence.into(),
        }
    }
}

/// The result of [`Scanner::next_entry`].
#[derive(Debug, PartialEq, Eq)]
pub enum ScannedEntry {
    /// An entry; its words are in [`Scanner::tokens`]. White space in front means "the owner of the
    /// last record".
    Entry {
        /// Whether the line starts with white space.
        indented: bool,
    },
    /// A line that cannot be split into words; scanning goes on at the next line.
    Wrong {
        /// Line, from 1.
        line: u32,
        /// Column in octets, from 1.
        column: u32,
        /// What is wrong and what to do.
        sentence: &'static str,
    },
    /// The end of the text.
    End,
}

/// Splits a master file into entries.
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    line_start: usize,
    /// Where the last token ended, its closing quote included.
    token_end: usize,
    /// The words of the entry found last.
    pub tokens: Vec<Token<'a>>,
}

impl<'a> Scanner<'a> {
    /// Starts at the first line of `text`, which is shorter than 4 GiB; a byte order mark is
    /// skipped.
    pub fn new(text: &'a [u8]) -> Self {
        let text = without_mark(text);
        Scanner {
            text,
            at: 0,
            line: 1,
            line_start: 0,
            token_end: usize::MAX,
            tokens: Vec::new(),
        }
    }

    /// Where the next entry is looked for: an offset in the text, and its line.
    pub fn position(&self) -> (usize, u32) {
        (self.at, self.line)
    }

    /// Goes on at another line, which starts at this offset.
    pub fn go_to(&mut self, (at, line): (usize, u32)) {
        (self.at, self.line, self.line_start) = (at, line, at);
        self.token_end = usize::MAX;
    }

    /// Finds the next entry that has words.
    pub fn next_entry(&mut self) -> ScannedEntry {
        self.tokens.clear();
        let mut indented = self.starts_with_space();
        let mut open: Vec<(u32, u32)> = Vec::new();
        while let Some(&octet) = self.text.get(self.at) {
            match octet {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b';' => self.skip_line(),
                b'\n' => {
                    self.next_line();
                    if open.is_empty() && !self.tokens.is_empty() {
                        return ScannedEntry::Entry { indented };
                    }
                    if open.is_empty() {
                        indented = self.starts_with_space();
                    }
                }
                b'(' if open.len() < MAX_PARENTHESES => {
                    open.push(self.place(self.at));
                    self.at += 1;
                }
                b'(' => {
                    return self.wrong(
                        self.at,
                        "parentheses are nested too deeply; one pair is enough",
                    );
                }
                b')' => {
                    if open.pop().is_none() {
                        return self.wrong(
                            self.at,
                            "this parenthesis was never opened; remove it or quote it",
                        );
                    }
                    self.at += 1;
                }
                b'"' => {
                    if let Err(opening) = self.quoted() {
                        return self
                            .wrong(opening, "this quote is not closed on its line; close it");
                    }
                }
                _ => self.word(),
            }
        }
        match open.first() {
            Some(&(line, column)) => {
                let sentence = "this parenthesis is never closed; close it";
                ScannedEntry::Wrong {
                    line,
                    column,
                    sentence,
                }
            }
            None if self.tokens.is_empty() => ScannedEntry::End,
            None => ScannedEntry::Entry { indented },
        }
    }

    /// Reads an unquoted word.
    fn word(&mut self) {
        let start = self.at;
        while let Some(&octet) = self.text.get(self.at) {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' | b'"' => break,
                b'\\' => self.skip_escape(),
                _ => self.at += 1,
            }
        }
        self.push(start, start, false);
    }

    /// Reads a quoted text. The error is the position of an opening quote that is not closed.
    fn quoted(&mut self) -> Result<(), usize> {
        let opening = self.at;
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                None | Some(b'\n') => return Err(opening),
                Some(b'\\') => self.skip_escape(),
                Some(b'"') => break,
                Some(_) => self.at += 1,
            }
        }
        self.push(opening, opening + 1, true);
        self.at += 1;
        self.token_end = self.at;
        Ok(())
    }

    /// Skips `\` and the octet that it escapes. The end of a line cannot be escaped.
    fn skip_escape(&mut self) {
        self.at += match self.text.get(self.at + 1) {
            None | Some(b'\n') => 1,
            Some(_) => 2,
        };
    }

    /// Adds the token that ends here; `first` is where it starts in the file, `start` where its
    /// text starts.
    fn push(&mut self, first: usize, start: usize, quoted: bool) {
        let (line, column) = self.place(first);
        let joined = first == self.token_end;
        self.tokens.push(Token {
            text: &self.text[start..self.at],
            quoted,
            joined,
            line,
            column,
        });
        self.token_end = self.at;
    }

    fn starts_with_space(&self) -> bool {
        matches!(self.text.get(self.at), Some(b' ' | b'\t'))
    }

    fn place(&self, at: usize) -> (u32, u32) {
        (self.line, (at - self.line_start) as u32 + 1)
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest
            .iter()
            .position(|&octet| octet == b'\n')
            .unwrap_or(rest.len());
    }

    fn next_line(&mut self) {
        self.at += 1;
        self.line += 1;
        self.line_start = self.at;
    }

    /// Reports an error and skips to the next line.
    fn wrong(&mut self, at: usize, sentence: &'static str) -> ScannedEntry {
        let (line, column) = self.place(at);
        self.skip_line();
        if self.at < self.text.len() {
            self.next_line();
        }
        ScannedEntry::Wrong {
            line,
            column,
            sentence,
        }
    }
}

/// A text without the byte order mark that some editors put in front.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// The deepest nesting of parentheses. Nesting has no meaning; the limit bounds the memory.
const MAX_PARENTHESES: usize = 16;

/// The octets a token means: `\X` is X, `\DDD` is the octet of that decimal value (RFC 1035 section
/// 5.1).
///
/// `None` if a backslash is followed by neither.
pub fn unescape(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.contains(&b'\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&octet, after)) = rest.split_first() {
        (rest, _) = match octet {
            b'\\' => {
                let (&first, _) = after.split_first()?;
                let (meant, used) = if first.is_ascii_digit() {
                    (decimal(after.get(..3)?)?, 3)
                } else {
                    (first, 1)
                };
                (&after[used..], octets.push(meant))
            }
            _ => (after, octets.push(octet)),
        };
    }
    Some(Cow::Owned(octets))
}

/// Three digits up to 255.
fn decimal(digits: &[u8]) -> Option<u8> {
    std::str::from_utf8(digits)
        .ok()
        .filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every entry as its words, an indented one with a leading "+".
    fn words(text: &str) -> Vec<String> {
        let mut scanner = Scanner::new(text.as_bytes());
        let mut entries = Vec::new();
        loop {
            match scanner.next_entry() {
                ScannedEntry::End => return entries,
                ScannedEntry::Wrong {
                    line,
                    column,
                    sentence,
                } => entries.push(format!("{line}:{column}: {sentence}")),
                ScannedEntry::Entry { indented } => {
                    let shown = scanner
                        .tokens
                        .iter()
                        .map(|token| String::from_utf8_lossy(token.text));
                    entries.push(format!(
                        "{}{}",
                        if indented { "+" } else { "" },
                        shown.collect::<Vec<_>>().join("|")
                    ));
                }
            }
        }
    }

    #[test]
    fn entries_end_with_the_line_unless_in_parentheses() {
        assert_eq!(
            words("a b\r\n c ; no\n;x\n\nd (e\n f ;g)\n) h\ni"),
            ["a|b", "+c", "d|e|f|h", "i"]
        );
        assert_eq!(words("\u{feff}a"), ["a"]);
        assert_eq!(words("a ( ( b\n ) )\nc"), ["a|b", "c"]);
    }

    #[test]
    fn quotes_and_escapes_protect() {
        assert_eq!(
            words(r#"a "b ; (c" d\ e\;f "\"" "" "#),
            [r#"a|b ; (c|d\ e\;f|\"|"#]
        );
    }

    #[test]
    fn tokens_know_their_place_and_whether_they_are_joined() {
        let mut scanner = Scanner::new(b"\n  key=\"v\"x\n");
        assert_eq!(scanner.next_entry(), ScannedEntry::Entry { indented: true });
        let places: Vec<_> = scanner
            .tokens
            .iter()
            .map(|t| (t.line, t.column, t.joined, t.quoted))
            .collect();
        assert_eq!(
            places,
            [
                (2, 3, false, false),
                (2, 7, true, true),
                (2, 10, true, false)
            ]
        );
    }

    #[test]
    fn what_is_not_closed_is_told_where_it_was_opened_and_the_next_line_goes_on() {
        assert_eq!(
            words("a \"b\nc"),
            ["1:3: this quote is not closed on its line; close it", "c"]
        );
        assert_eq!(
            words("a ) b\nc"),
            [
                "1:3: this parenthesis was never opened; remove it or quote it",
                "c"
            ]
        );
        assert_eq!(
            words("a (\n b"),
            ["1:3: this parenthesis is never closed; close it"]
        );
        assert_eq!(
            words(&"(".repeat(17)),
            ["1:17: parentheses are nested too deeply; one pair is enough"]
        );
    }

    #[test]
    fn escapes_are_one_character_or_three_digits() {
        assert_eq!(unescape(br"a\.b\046\\").as_deref(), Some(&br"a.b.\"[..]));
        for wrong in [&br"\"[..], br"\25", br"\256", br"\2x5", b"\\1\xff2"] {
            assert_eq!(unescape(wrong), None);
        }
    }
}

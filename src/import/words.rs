//! Splits a zone file into statements and words without losing any of its text.
//!
//! Each word knows its range in the text. So a converter can replace single words and copy all
//! other text, with comments and spacing, as it was written.

use std::ops::Range;

/// A word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneWord {
    /// The position of its octets in the text, with the quotes.
    pub range: Range<usize>,
    pub quoted: bool,
}

/// A record or directive with all of its lines, or one line without words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneStatement {
    /// The position of its octets in the text, with the last line feed.
    pub range: Range<usize>,
    pub words: Vec<ZoneWord>,
    /// Whether it begins with white space, so that its owner is that of the previous record.
    pub ownerless: bool,
    /// The number of its first line, from 1.
    pub line: usize,
}

/// Splits a text into statements. Their ranges cover all of it, in order.
pub fn statements(text: &[u8]) -> Vec<ZoneStatement> {
    let (mut at, mut line, mut found) = (0, 1, Vec::new());
    while at < text.len() {
        let statement = statement(text, at, line);
        for octet in &text[statement.range.clone()] {
            line += usize::from(*octet == b'\n');
        }
        at = statement.range.end;
        found.push(statement);
    }
    found
}

fn statement(text: &[u8], start: usize, line: usize) -> ZoneStatement {
    let (mut at, mut depth, mut words) = (start, 0usize, Vec::new());
    while let Some(octet) = text.get(at) {
        match octet {
            b'\n' if depth == 0 => {
                at += 1;
                break;
            }
            b';' => {
                at = (at..text.len())
                    .find(|at| text[*at] == b'\n')
                    .unwrap_or(text.len())
            }
            b'(' => (at, depth) = (at + 1, depth + 1),
            b')' => (at, depth) = (at + 1, depth.saturating_sub(1)),
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            _ => {
                let end = end_of_word(text, at);
                words.push(ZoneWord {
                    range: at..end,
                    quoted: *octet == b'"',
                });
                at = end;
            }
        }
    }
    let ownerless = matches!(text.get(start), Some(b' ' | b'\t'));
    ZoneStatement {
        range: start..at,
        words,
        ownerless,
        line,
    }
}

fn end_of_word(text: &[u8], start: usize) -> usize {
    let quoted = text.get(start) == Some(&b'"');
    let mut at = start + usize::from(quoted);
    while let Some(octet) = text.get(at) {
        match octet {
            b'\\' => at += 2,
            b'"' if quoted => return at + 1,
            b' ' | b'\t' | b'\r' | b'\n' | b'(' | b')' | b';' | b'"' if !quoted => break,
            _ => at += 1,
        }
    }
    at.min(text.len())
}

/// Splits a character string into quoted pieces of at most 255 octets (RFC 1035 section 3.3).
/// Returns `None` if the string is short enough.
pub fn split_string(word: &[u8]) -> Option<Vec<u8>> {
    let inner = word
        .strip_prefix(b"\"")
        .and_then(|word| word.strip_suffix(b"\""))
        .unwrap_or(word);
    let (mut at, mut count, mut pieces) = (0, 0, b"\"".to_vec());
    while at < inner.len() {
        let length = match (inner[at], inner.get(at + 1)) {
            (b'\\', Some(digit)) if digit.is_ascii_digit() => 4,
            (b'\\', _) => 2,
            _ => 1,
        };
        if count > 0 && count % 255 == 0 {
            pieces.extend_from_slice(b"\" \"");
        }
        pieces.extend_from_slice(&inner[at..inner.len().min(at + length)]);
        (at, count) = (at + length, count + 1);
    }
    pieces.push(b'"');
    (count > 255).then_some(pieces)
}

/// Escapes every octet of a word that is not printable ASCII. Returns `None` if there is none.
pub fn escape_unprintable(word: &[u8]) -> Option<Vec<u8>> {
    let mut written = Vec::with_capacity(word.len());
    let mut at = 0;
    while let Some(&octet) = word.get(at) {
        at += 1;
        let mut character = octet;
        if octet == b'\\'
            && let Some(&next) = word.get(at)
        {
            at += 1;
            character = next;
            // An escape of a printable character stays as it is.
            if is_printable(next) {
                written.push(b'\\');
            }
        }
        if is_printable(character) {
            written.push(character);
        } else {
            written.extend_from_slice(format!("\\{character:03}").as_bytes());
        }
    }
    (written != word).then_some(written)
}

fn is_printable(octet: u8) -> bool {
    (b' '..=b'~').contains(&octet)
}

/// The text between words, without the control characters that Meridian's zone files cannot have.
pub fn plain_text(octets: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(octets).into_owned();
    text.retain(|c| matches!(c, '\n' | '\t') || !c.is_control());
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn statements_have_their_words() {
        let text = b"; a\n@ SOA ns1 (\n 1 ; x )\n 2 )\n  TXT \"a;b\" c\\ d\n\n$TTL 5";
        let shown: Vec<(usize, bool, Vec<String>)> = statements(text)
            .into_iter()
            .map(|it| {
                let word = |word: &ZoneWord| {
                    String::from_utf8_lossy(&text[word.range.clone()]).into_owned()
                };
                (it.line, it.ownerless, it.words.iter().map(word).collect())
            })
            .collect();
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(shown.len(), 5);
        assert_eq!(shown[1], (2, false, words(&["@", "SOA", "ns1", "1", "2"])));
        assert_eq!(shown[2], (5, true, words(&["TXT", "\"a;b\"", "c\\ d"])));
        assert_eq!(shown[4], (7, false, words(&["$TTL", "5"])));
    }

    #[test]
    fn odd_octets_are_escaped() {
        for (word, is) in [
            (&b"\"a\\\"b\\065\""[..], None),
            (b"\"a\nb\"", Some("\"a\\010b\"")),
            (b"a\\\nb\xff\x7f", Some("a\\010b\\255\\127")),
            (b"a\\", None),
        ] {
            assert_eq!(
                escape_unprintable(word)
                    .map(|it| String::from_utf8_lossy(&it).into_owned())
                    .as_deref(),
                is,
                "{word:?}"
            );
        }
    }

    #[test]
    fn long_strings_are_cut() {
        assert_eq!(split_string(b"\"short\""), None);
        let long = format!("\"{}\\065\\\"\"", "a".repeat(254));
        let pieces = split_string(long.as_bytes()).expect("256 octets");
        assert_eq!(
            String::from_utf8_lossy(&pieces),
            format!("\"{}\\065\" \"\\\"\"", "a".repeat(254))
        );
    }

    proptest! {
        #[test]
        fn statements_are_the_whole_text(
            text in prop::collection::vec(prop_oneof![prop::sample::select(&b"() \"\\;\n\ta$"[..]), any::<u8>()], 0..200)
        ) {
            let mut at = 0;
            for statement in statements(&text) {
                prop_assert_eq!(statement.range.start, at);
                at = statement.range.end;
                prop_assert!(statement.words.iter().all(|word| text.get(word.range.clone()).is_some()));
                for word in statement.words {
                    let _ = split_string(&text[word.range]);
                }
            }
            prop_assert_eq!(at, text.len());
        }
    }
}

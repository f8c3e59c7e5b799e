//! `$GENERATE`: one line that makes a series of records.
//!
//! The syntax is BIND's: a range, and a template in which `$` is
//! the number and `${offset,width,base}` a formatted one. Each number yields one record, which is
//! read like any other.

use std::str::FromStr;

use super::fields::shown;
use super::scanner::{ScanFault, ScannedEntry, Scanner, Token};

/// The most records that one directive may make: a /12 of IPv4 addresses.
const MAX_RECORDS: u64 = 1 << 20;
/// Highest number of a range, as in BIND.
const MAX_NUMBER: u32 = i32::MAX as u32;
/// The largest width of a number: no name is longer.
const MAX_WIDTH: usize = 255;

/// The range of a `$GENERATE`: `start-stop` or `start-stop/step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerateRange {
    start: u32,
    stop: u32,
    step: u32,
}

impl GenerateRange {
    /// Every number of the range, at most [`MAX_RECORDS`] of them.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (self.start..=self.stop).step_by(self.step as usize)
    }
}

impl FromStr for GenerateRange {
    type Err = String;

    fn from_str(text: &str) -> Result<GenerateRange, String> {
        let (numbers, step) = text.split_once('/').unwrap_or((text, "1"));
        let bounds = numbers
            .split_once('-')
            .and_then(|(start, stop)| Some((number(start)?, number(stop)?)));
        let (Some((start, stop)), Some(step @ 1..)) = (bounds, number(step)) else {
            return Err(format!(
                "{} is no range; write start-stop or start-stop/step",
                shown(text)
            ));
        };
        if start > stop {
            return Err(format!(
                "{} ends before it starts; swap its numbers",
                shown(text)
            ));
        }
        let count = u64::from((stop - start) / step) + 1;
        match count {
            0..=MAX_RECORDS => Ok(GenerateRange { start, stop, step }),
            _ => Err(format!(
                "{} makes {count} records, and {MAX_RECORDS} is the most; cut the range",
                shown(text)
            )),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = Some(text).filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
    digits?.parse().ok().filter(|&number| number <= MAX_NUMBER)
}

/// The words of one record, in which `$` stands for the number.
pub struct GenerateTemplate<'a> {
    words: Vec<(Token<'a>, Vec<Piece>)>,
}

/// Part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Number(Format),
}

/// How the number is written: `${offset,width,base}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    offset: i64,
    width: usize,
    base: u8,
}

impl<'a> GenerateTemplate<'a> {
    /// Finds the places of the number; a word with a wrong one is an error.
    pub fn new(tokens: &[Token<'a>]) -> Result<Self, ScanFault> {
        let words = tokens.iter().map(|token| match pieces(token.text) {
            Ok(pieces) => Ok((*token, pieces)),
            Err(sentence) => Err(token.fault(sentence)),
        });
        Ok(GenerateTemplate {
            words: words.collect::<Result<_, _>>()?,
        })
    }

    /// Writes the words for `number` into `text` one after the other, and the end of each into
    /// `ends`.
    pub fn write(
        &self,
        number: u32,
        text: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) -> Result<(), ScanFault> {
        text.clear();
        ends.clear();
        for (token, pieces) in &self.words {
            for piece in pieces {
                match piece {
                    Piece::Text(octets) => text.extend_from_slice(octets),
                    Piece::Number(format) => format
                        .write(number, text)
                        .map_err(|sentence| token.fault(sentence))?,
                }
            }
            ends.push(text.len());
        }
        Ok(())
    }

    /// The words that [`write`](Self::write) wrote, with the places of the template's words.
    pub fn tokens<'t>(&self, text: &'t [u8], ends: &[usize]) -> Vec<Token<'t>> {
        let starts = std::iter::once(&0).chain(ends);
        let places = self
            .words
            .iter()
            .map(|&(token, _)| token)
            .zip(starts.zip(ends));
        places
            .map(
                |(
                    Token {
                        quoted,
                        joined,
                        line,
                        column,
                        ..
                    },
                    (&start, &end),
                )| Token {
                    text: &text[start..end],
                    quoted,
                    joined,
                    line,
                    column,
                },
            )
            .collect()
    }
}

/// The text of a quoted template, in which `\"` is a quote. BIND requires the quotes around data of
/// several words.
pub fn without_outer_quotes(quoted: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        match (octet, after.first()) {
            (b'\\', Some(b'"')) => {}
            (b'\\', Some(&protected)) => {
                text.extend([octet, protected]);
                rest = &after[1..];
            }
            _ => text.push(octet),
        }
    }
    text
}

/// The words of the text of the token `place`.
pub fn words_of<'a>(text: &'a [u8], place: Token<'_>) -> Result<Vec<Token<'a>>, ScanFault> {
    let mut scanner = Scanner::new(text);
    match scanner.next_entry() {
        ScannedEntry::Wrong { sentence, .. } => Err(place.fault(sentence)),
        ScannedEntry::End => Ok(Vec::new()),
        ScannedEntry::Entry { .. } => {
            let mut words = scanner.tokens;
            for word in &mut words {
                (word.line, word.column) = (place.line, place.column);
            }
            Ok(words)
        }
    }
}

/// Splits a word at each `$`, except `\$` and `$$`.
fn pieces(word: &[u8]) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = Vec::new();
    let mut rest = word;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        match (octet, after.first()) {
            (b'$', Some(b'$')) => {
                text.push(b'$');
                rest = &after[1..];
            }
            (b'$', next) => {
                let format = if next == Some(&b'{') {
                    format(&mut rest)?
                } else {
                    Format::PLAIN
                };
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(Piece::Number(format));
            }
            (b'\\', Some(&protected)) => {
                text.extend([octet, protected]);
                rest = &after[1..];
            }
            _ => text.push(octet),
        }
    }
    pieces.push(Piece::Text(text));
    Ok(pieces)
}

/// Takes `{offset[,width[,base]]}` from the front of `rest`.
fn format(rest: &mut &[u8]) -> Result<Format, String> {
    let end = rest
        .iter()
        .position(|&octet| octet == b'}')
        .ok_or("this ${ is never closed; add }")?;
    let inside = String::from_utf8_lossy(&rest[1..end]);
    *rest = &rest[end + 1..];
    let format = Format::parse(&inside).ok_or_else(|| {
        format!(
            "{} is no ${{offset,width,base}}; the base is d, o, x, X, n or N",
            shown(&inside)
        )
    })?;
    if format.width > MAX_WIDTH {
        return Err(format!(
            "a number is {} wide, and {MAX_WIDTH} is the most",
            format.width
        ));
    }
    Ok(format)
}

impl Format {
    const PLAIN: Format = Format {
        offset: 0,
        width: 0,
        base: b'd',
    };

    /// Reads `offset[,width[,base]]`.
    fn parse(text: &str) -> Option<Format> {
        let mut parts = text.split(',');
        let offset: i32 = parts.next()?.parse().ok()?;
        let width = match parts.next() {
            Some(width) => number(width)?,
            None => 0,
        };
        let base = match parts.next().unwrap_or("d").as_bytes() {
            &[base @ (b'd' | b'o' | b'x' | b'X' | b'n' | b'N')] => base,
            _ => return None,
        };
        if parts.next().is_some() {
            return None;
        }
        Some(Format {
            offset: i64::from(offset),
            width: width as usize,
            base,
        })
    }

    fn write(self, number: u32, text: &mut Vec<u8>) -> Result<(), String> {
        let value = i64::from(number) + self.offset;
        if !(0..=i64::from(MAX_NUMBER)).contains(&value) {
            return Err(format!(
                "{number} with the offset {} is {value}, not from 0 to 2147483647",
                self.offset
            ));
        }
        let width = self.width;
        let digits = match self.base {
            b'o' => format!("{value:0width$o}"),
            b'x' => format!("{value:0width$x}"),
            b'X' => format!("{value:0width$X}"),
            b'n' => nibbles(&format!("{value:x}"), width),
            b'N' => nibbles(&format!("{value:X}"), width),
            _ => format!("{value:0width$}"),
        };
        text.extend_from_slice(digits.as_bytes());
        Ok(())
    }
}

/// Hexadecimal digits from the lowest up with dots between, as in ip6.arpa; the dots count for the
/// width.
fn nibbles(digits: &str, width: usize) -> String {
    let mut text = String::new();
    let mut lowest_first = digits.chars().rev();
    loop {
        let digit = lowest_first.next();
        if digit.is_none() && text.len() >= width {
            return text;
        }
        if !text.is_empty() {
            text.push('.');
        }
        // BIND fills an even width with a dot at its end, which makes the name complete.
        if digit.is_none() && text.len() >= width {
            return text;
        }
        text.push(digit.unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::testing::{errors, listing, load};

    /// What `word` becomes for each number.
    fn written(word: &str, numbers: &[u32]) -> Vec<String> {
        let pieces = pieces(word.as_bytes()).expect("a good word");
        let one = |number| {
            let mut text = Vec::new();
            for piece in &pieces {
                match piece {
                    Piece::Text(octets) => text.extend_from_slice(octets),
                    Piece::Number(format) => format.write(number, &mut text).expect("in range"),
                }
            }
            String::from_utf8(text).expect("text")
        };
        numbers.iter().map(|&number| one(number)).collect()
    }

    #[test]
    fn ranges_count_by_their_step() {
        let numbers = |text: &str| {
            text.parse::<GenerateRange>()
                .map(|range| range.numbers().collect::<Vec<_>>())
        };
        assert_eq!(numbers("1-3"), Ok(vec![1, 2, 3]));
        assert_eq!(numbers("0-9/4"), Ok(vec![0, 4, 8]));
        assert_eq!(numbers("7-7/2147483647"), Ok(vec![7]));
        for wrong in [
            "",
            "1",
            "1-",
            "-1",
            "1-2/0",
            "1-2/",
            "+1-2",
            "1-2147483648",
            "1-2-3",
            "1 - 2",
            "a-b",
        ] {
            assert!(
                numbers(wrong).is_err_and(|sentence| sentence.contains("is no range")),
                "{wrong}"
            );
        }
        assert_eq!(
            numbers("2-1"),
            Err("'2-1' ends before it starts; swap its numbers".to_owned())
        );
        assert!(
            numbers("1-1048577").is_err_and(|sentence| sentence.contains("makes 1048577 records"))
        );
        assert_eq!(
            numbers("1-1048576").map(|numbers| numbers.len()),
            Ok(1 << 20)
        );
    }

    #[test]
    fn numbers_are_written_as_bind_writes_them() {
        assert_eq!(written("a$b$", &[0, 12]), ["a0b0", "a12b12"]);
        assert_eq!(written(r"\$$$x\\$", &[3]), [r"\$$x\\3"]);
        assert_eq!(written("${-2}.${1,3}.${0,4,d}", &[10]), ["8.011.0010"]);
        assert_eq!(
            written("${0,0,o} ${0,4,x} ${0,0,X}", &[255]),
            ["377 00ff FF"]
        );
        assert_eq!(
            written("${0,0,n} ${0,7,n} ${0,3,N}", &[0x1af]),
            ["f.a.1 f.a.1.0 F.A.1"]
        );
        assert_eq!(
            written("${0,0,n} ${0,1,n} ${0,3,n} ${0,2,n}", &[0]),
            ["0 0 0.0 0."]
        );
    }

    #[test]
    fn one_line_stands_for_many_records() {
        let text =
            "$GENERATE 1-5/2 h$ 60 IN A 192.0.2.${10}\n$GENERATE 8-9 ${0,2} CNAME \"h$\" ; names\n";
        assert_eq!(
            listing(text),
            [
                "08.example.com 3600 CNAME 026838076578616d706c6503636f6d00",
                "09.example.com 3600 CNAME 026839076578616d706c6503636f6d00",
                "h1.example.com 60 A c000020b",
                "h3.example.com 60 A c000020d",
                "h5.example.com 60 A c000020f",
            ]
        );
    }

    #[test]
    fn data_of_several_words_is_quoted_or_not() {
        let mail = listing("$GENERATE 1-1 a$ MX 10 m.\n$GENERATE 1-1 b$ MX \"10 m.\"\n");
        assert_eq!(
            mail,
            [
                "a1.example.com 3600 MX 000a016d00",
                "b1.example.com 3600 MX 000a016d00"
            ]
        );
        let text =
            listing("$GENERATE 7-7 a TXT \"x$ \\\"y z\\\"\"\n$GENERATE 7-7 b TXT \"x $\" \"y\"\n");
        assert_eq!(
            text,
            [
                "a.example.com 3600 TXT 0278370379207a",
                "b.example.com 3600 TXT 037820370179"
            ]
        );
    }

    #[test]
    fn the_owner_before_is_the_owner_after() {
        let listed = listing("a A 192.0.2.1\n$GENERATE 1-1 b$ A 192.0.2.9\n  A 192.0.2.2\n");
        assert_eq!(
            listed,
            [
                "a.example.com 3600 A c0000201,c0000202",
                "b1.example.com 3600 A c0000209"
            ]
        );
    }

    #[test]
    fn mistakes_are_told_once_with_the_number() {
        let text = "$GENERATE\n$GENERATE 1-x a A 1\n$GENERATE 1-2 a$ A\n$GENERATE 1-2 a$ BOGUS x\n\
            $GENERATE 1-2 a${0,1,q} A 192.0.2.1\n$GENERATE 1-2 a${0 A 192.0.2.1\n$GENERATE 1-2 a${-2} A 192.0.2.1\n\
            $GENERATE 254-999 a$ A 192.0.2.$\n$GENERATE 1-2 a$ MX \"10 (\"\n$GENERATE 1-2 a..$ A 192.0.2.1\n\
            $GENERATE 1-2 a${0,256} A 192.0.2.1\n";
        let syntax =
            "$GENERATE takes a range, an owner, perhaps a time to live and IN, a type and data";
        assert_eq!(
            errors(text),
            [
                format!("z.zone:4:1: {syntax}"),
                "z.zone:5:11: '1-x' is no range; write start-stop or start-stop/step".to_owned(),
                format!("z.zone:6:1: {syntax}"),
                "z.zone:7:18: 'BOGUS' is no record type; unknown ones are written TYPE123".to_owned(),
                "z.zone:8:15: '0,1,q' is no ${offset,width,base}; the base is d, o, x, X, n or N".to_owned(),
                "z.zone:9:15: this ${ is never closed; add }".to_owned(),
                "z.zone:10:15: 1 with the offset -2 is -1, not from 0 to 2147483647".to_owned(),
                "z.zone:11:24: the data of this A record is wrong: '192.0.2.256' is not an IPv4 address \
                    (where $ is 256)"
                    .to_owned(),
                "z.zone:12:21: this parenthesis is never closed; close it".to_owned(),
                "z.zone:13:15: the name has an empty label (where $ is 1)".to_owned(),
                "z.zone:14:15: a number is 256 wide, and 255 is the most".to_owned(),
            ]
        );
    }

    #[test]
    fn what_all_directives_make_is_bounded() {
        let found = errors("$GENERATE 1-1048576 a$ A 192.0.2.1\n");
        assert_eq!(
            found,
            ["z.zone:4:1: $GENERATE makes more than 1048576 octets of this zone; cut the range"]
        );
        assert!(
            load("$GENERATE 1-3 a A 192.0.2.1\n").is_err(),
            "still no SOA"
        );
    }
}

//! Record types whose data is a row of plain fields.
//!
//! [`fields_of`] names the fields of a type. [`read`] turns words into octets, and [`skip`] checks
//! octets that were written in the form of RFC 3597. Common types are here because they must load
//! fast, others because the `domain` crate does not know them.

use std::net::{Ipv4Addr, Ipv6Addr};

use domain::base::scan::ScannerError;
use domain::utils::{base16, base64};

use super::location;
use super::rare::{self, CompoundField};
use super::words::{DataError, WordReader};
use crate::dns::RecordType;

/// Longest time to live, 2^31-1 seconds (RFC 2181 section 8).
const MAX_TTL: u64 = 0x7fff_ffff;

/// One field of record data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RdataField {
    /// A number of one octet.
    U8,
    /// A number of two octets.
    U16,
    /// A number of four octets.
    U32,
    /// A number of eight octets.
    U64,
    /// A time in seconds or with units, four octets.
    Time,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A name, uncompressed.
    Name,
    /// One text of at most 255 octets, its length in front.
    Text,
    /// One or more such texts, to the end.
    Texts,
    /// One word, to the end, without a length.
    Octets,
    /// Base 16 to the end.
    Base16,
    /// Base 64 to the end.
    Base64,
    /// Four groups of four hexadecimal digits with colons between (RFC 6742 section 2.1).
    Groups,
    /// So many octets in hexadecimal with hyphens between (RFC 7043 section 3.2).
    Hyphenated(usize),
    /// Place on earth (RFC 1876), 16 octets.
    Location,
    /// A text, which may be absent.
    OptionalText,
    /// Names to the end, perhaps none.
    Names,
    /// A compound field of a rare type.
    Rare(CompoundField),
}

/// The fields of a type that is made of them; `None` for the types left to the `domain` crate.
pub fn fields_of(rtype: RecordType) -> Option<&'static [RdataField]> {
    use RdataField::*;
    Some(match rtype {
        RecordType::A => &[Ipv4],
        RecordType::AAAA => &[Ipv6],
        RecordType::NS
        | RecordType::CNAME
        | RecordType::PTR
        | RecordType::DNAME
        | RecordType::NSAP_PTR => &[Name],
        RecordType::MX | RecordType::AFSDB | RecordType::RT | RecordType::KX | RecordType::LP => {
            &[U16, Name]
        }
        RecordType::SOA => &[Name, Name, U32, Time, Time, Time, Time],
        RecordType::SRV => &[U16, U16, U16, Name],
        RecordType::TXT | RecordType::SPF | RecordType::AVC => &[Texts],
        RecordType::RESINFO | RecordType::WALLET | RecordType::CLA => &[Texts],
        RecordType::IPN => &[U64],
        RecordType::HHIT | RecordType::BRID => &[Base64],
        RecordType::URI => &[U16, U16, Octets],
        RecordType::LOC => &[Location],
        RecordType::SMIMEA => &[U8, U8, U8, Base16],
        RecordType::CERT => &[Rare(CompoundField::Certificate), U16, U8, Base64],
        RecordType::KEY => &[U16, U8, U8, Base64],
        RecordType::DHCID => &[Base64],
        RecordType::PX => &[U16, Name, Name],
        RecordType::X25 => &[Text],
        RecordType::GPOS => &[Text, Text, Text],
        RecordType::NID | RecordType::L64 => &[U16, Groups],
        RecordType::L32 => &[U16, Ipv4],
        RecordType::EUI48 => &[Hyphenated(6)],
        RecordType::EUI64 => &[Hyphenated(8)],
        _ => return rare_fields_of(rtype),
    })
}

fn rare_fields_of(rtype: RecordType) -> Option<&'static [RdataField]> {
    use RdataField::*;
    Some(match rtype {
        RecordType::ISDN => &[Text, OptionalText],
        RecordType::APL => &[Rare(CompoundField::Prefixes)],
        RecordType::HIP => &[Rare(CompoundField::Identity), Names],
        RecordType::CSYNC => &[U32, U16, Rare(CompoundField::Types)],
        RecordType::AMTRELAY => &[U8, Rare(CompoundField::Relay)],
        RecordType::DSYNC => &[Rare(CompoundField::OneType), U8, U16, Name],
        _ => return None,
    })
}

/// Reads the words of one field and writes its octets.
pub fn read(
    field: RdataField,
    words: &mut WordReader<'_, '_>,
    wire: &mut Vec<u8>,
) -> Result<(), DataError> {
    match field {
        RdataField::U8 => wire.push(number(words, "from 0 to 255")?),
        RdataField::U16 => wire.extend(number::<u16>(words, "from 0 to 65535")?.to_be_bytes()),
        RdataField::U32 => wire.extend(number::<u32>(words, "from 0 to 4294967295")?.to_be_bytes()),
        RdataField::U64 => {
            wire.extend(number::<u64>(words, "from 0 to 18446744073709551615")?.to_be_bytes())
        }
        RdataField::Time => wire.extend(
            seconds(words.take_plain()?)
                .map_err(DataError::Wrong)?
                .to_be_bytes(),
        ),
        RdataField::Ipv4 => wire.extend(parsed::<Ipv4Addr>(words, "an IPv4 address")?.octets()),
        RdataField::Ipv6 => wire.extend(parsed::<Ipv6Addr>(words, "an IPv6 address")?.octets()),
        RdataField::Name => words.append_name(wire)?,
        RdataField::Text => text(words, wire)?,
        RdataField::Texts => {
            text(words, wire)?;
            while !words.is_empty() {
                text(words, wire)?;
            }
        }
        RdataField::Octets => wire.extend(words.take_octets()?),
        RdataField::Base16 => {
            let rest = words.take_rest()?;
            wire.extend(
                base16::decode_vec(&rest).map_err(|_| expected(&rest, "hexadecimal digits"))?,
            );
        }
        RdataField::Base64 => base64_to_the_end(&words.take_rest()?, wire)?,
        RdataField::Groups => grouped(
            words,
            wire,
            ':',
            4,
            4,
            "four groups of four hexadecimal digits",
        )?,
        RdataField::Hyphenated(octets) => {
            grouped(words, wire, '-', octets, 2, "pairs of hexadecimal digits")?
        }
        RdataField::Location => wire.extend(location::read(words)?),
        RdataField::OptionalText if words.is_empty() => {}
        RdataField::OptionalText => text(words, wire)?,
        RdataField::Names => {
            while !words.is_empty() {
                words.append_name(wire)?;
            }
        }
        RdataField::Rare(form) => rare::read(form, words, wire)?,
    }
    Ok(())
}

/// The rest of `wire` after this field; `None` if the field does not fit. Checks data that was
/// written as octets.
pub fn skip(field: RdataField, wire: &[u8]) -> Option<&[u8]> {
    match field {
        RdataField::U8 => wire.get(1..),
        RdataField::U16 => wire.get(2..),
        RdataField::U32 | RdataField::Time | RdataField::Ipv4 => wire.get(4..),
        RdataField::Ipv6 | RdataField::Location => wire.get(16..),
        RdataField::U64 | RdataField::Groups => wire.get(8..),
        RdataField::Hyphenated(octets) => wire.get(octets..),
        RdataField::Text => wire.get(1 + usize::from(*wire.first()?)..),
        RdataField::Texts => {
            let mut rest = skip(RdataField::Text, wire)?;
            while !rest.is_empty() {
                rest = skip(RdataField::Text, rest)?;
            }
            Some(rest)
        }
        RdataField::Octets | RdataField::Base16 | RdataField::Base64 => Some(&[]),
        RdataField::OptionalText if wire.is_empty() => Some(wire),
        RdataField::OptionalText => skip(RdataField::Text, wire),
        RdataField::Names => {
            let mut rest = wire;
            while !rest.is_empty() {
                rest = skip(RdataField::Name, rest)?;
            }
            Some(rest)
        }
        RdataField::Rare(form) => rare::skip(form, wire),
        RdataField::Name => {
            let mut end = 0;
            while *wire.get(end)? != 0 {
                end += 1 + usize::from(wire[end]);
            }
            crate::dns::Name::from_wire(&wire[..=end]).ok()?;
            Some(&wire[end + 1..])
        }
    }
}

/// Seconds, as a plain number or with units as in `1h30m` (w, d, h, m, s); at most 2^31-1.
pub fn seconds(text: &str) -> Result<u32, String> {
    let mut total = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let count: u64 = rest[..digits].parse().map_err(|_| not_a_time(text))?;
        let unit = rest[digits..].chars().next();
        let length = match unit.map(|unit| unit.to_ascii_lowercase()) {
            None if digits == text.len() => 1,
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            _ => return Err(not_a_time(text)),
        };
        total = total.saturating_add(count.saturating_mul(length));
        rest = &rest[digits + usize::from(unit.is_some())..];
    }
    match u32::try_from(total) {
        Ok(_) if text.is_empty() => Err(not_a_time(text)),
        Ok(seconds) if total <= MAX_TTL => Ok(seconds),
        _ => Err(format!(
            "{} is longer than a time may be, 2147483647 seconds",
            shown(text)
        )),
    }
}

fn not_a_time(text: &str) -> String {
    format!(
        "{} is not a time; write seconds, or units as in 1h30m",
        shown(text)
    )
}

/// A word for an error message, shortened if it is long.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("'{}...'", &text[..end]),
        None => format!("'{text}'"),
    }
}

/// The error for a wrong word: states what was expected.
pub fn expected(found: &str, what: &str) -> DataError {
    DataError::Wrong(format!("{} is not {what}", shown(found)))
}

/// Reads the next word by its `FromStr`.
pub fn parsed<T: std::str::FromStr>(
    words: &mut WordReader<'_, '_>,
    what: &str,
) -> Result<T, DataError> {
    let text = words.take_plain()?;
    text.parse().map_err(|_| expected(text, what))
}

/// Reads a decimal number without a sign.
pub fn number<T: std::str::FromStr>(
    words: &mut WordReader<'_, '_>,
    range: &str,
) -> Result<T, DataError> {
    let text = words.take_plain()?;
    let digits = Some(text).filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
    digits
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| expected(text, &format!("a number {range}")))
}

fn base64_to_the_end(rest: &str, wire: &mut Vec<u8>) -> Result<(), DataError> {
    wire.extend(base64::decode::<Vec<u8>>(rest).map_err(|_| expected(rest, "base 64"))?);
    Ok(())
}

fn text(words: &mut WordReader<'_, '_>, wire: &mut Vec<u8>) -> Result<(), DataError> {
    let octets = words.take_octets()?;
    let length = u8::try_from(octets.len());
    let length = length
        .map_err(|_| DataError::custom("a text is longer than 255 octets; cut it in several"))?;
    wire.push(length);
    wire.extend(octets);
    Ok(())
}

/// `groups` groups of `digits` hexadecimal digits each.
fn grouped(
    words: &mut WordReader<'_, '_>,
    wire: &mut Vec<u8>,
    between: char,
    groups: usize,
    digits: usize,
    what: &str,
) -> Result<(), DataError> {
    let text = words.take_plain()?;
    let regular = text.split(between).count() == groups
        && text.split(between).all(|group| group.len() == digits);
    let joined: String = text.split(between).collect();
    match base16::decode_vec(&joined) {
        Ok(octets) if regular => wire.extend(octets),
        _ => return Err(expected(text, what)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_units() {
        for (text, length) in [
            ("0", 0),
            ("90", 90),
            ("1h30m", 5400),
            ("1W", 604_800),
            ("2d1s", 172_801),
        ] {
            assert_eq!(seconds(text), Ok(length), "{text}");
        }
        assert_eq!(seconds("2147483647"), Ok(2_147_483_647));
        for text in ["", "h", "1h30", "-1", "+1", "1y", "1.5h", "é"] {
            let wrong = format!("'{text}' is not a time; write seconds, or units as in 1h30m");
            assert_eq!(seconds(text), Err(wrong));
        }
        for text in ["2147483648", "99999999999w", "18446744073709551615s1s"] {
            assert!(
                seconds(text).is_err_and(|sentence| sentence.contains("longer than a time may be")),
                "{text}"
            );
        }
    }
}

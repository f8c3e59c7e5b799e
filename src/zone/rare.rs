//! Compound fields of rare record types: those that hold their own lengths, lists or bit maps.
//!
//! [`super::fields`] passes such a field here. [`read`] turns its words into octets, and [`skip`]
//! checks octets that were written in the form of RFC 3597.

use std::collections::BTreeSet;
use std::net::IpAddr;

use domain::base::scan::ScannerError;
use domain::utils::{base16, base64};

use super::fields::{self, RdataField, expected, number, parsed};
use super::words::{DataError, WordReader};
use crate::dns::RecordType;

/// A field of several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompoundField {
    /// Record types as a bit map in windows, perhaps none (RFC 4034 section 4.1.2).
    Types,
    /// One record type by name or number (RFC 9859 section 2.1).
    OneType,
    /// Networks, `[!]family:address/length` each, perhaps none (RFC 3123).
    Prefixes,
    /// Host identity tag and public key with their lengths; names may follow (RFC 8005 section 5).
    Identity,
    /// What kind of certificate, by name or number (RFC 4398 section 2.1).
    Certificate,
    /// Whether to look for relays first, and the relay (RFC 8777 section 4).
    Relay,
}

/// Reads the words of one field and writes its octets.
pub fn read(
    form: CompoundField,
    words: &mut WordReader<'_, '_>,
    wire: &mut Vec<u8>,
) -> Result<(), DataError> {
    match form {
        CompoundField::Types => wire.extend(windows(&types(words)?)),
        CompoundField::OneType => wire.extend(record_type(words)?.0.to_be_bytes()),
        CompoundField::Prefixes => {
            while !words.is_empty() {
                wire.extend(prefix(words.take_plain()?)?);
            }
        }
        CompoundField::Identity => identity(words, wire)?,
        CompoundField::Certificate => {
            let text = words.take_plain()?;
            let known = CERTIFICATES
                .iter()
                .find(|(name, _)| text.eq_ignore_ascii_case(name));
            let kind = known
                .map(|&(_, number)| number)
                .or_else(|| text.parse().ok());
            wire.extend(
                kind.ok_or_else(|| expected(text, "a kind of certificate or its number"))?
                    .to_be_bytes(),
            );
        }
        CompoundField::Relay => relay(words, wire)?,
    }
    Ok(())
}

/// The rest of `wire` after this field; `None` if the field does not fit.
pub fn skip(form: CompoundField, wire: &[u8]) -> Option<&[u8]> {
    let end = &wire[wire.len()..];
    match form {
        CompoundField::Types => are_windows(wire).then_some(end),
        CompoundField::Prefixes => are_prefixes(wire).then_some(end),
        CompoundField::Identity => {
            let (&tag, key) = (wire.first()?, wire.get(2..4)?);
            let key = u16::from_be_bytes([key[0], key[1]]);
            wire.get(4 + usize::from(tag) + usize::from(key)..)
                .filter(|_| tag > 0 && key > 0)
        }
        CompoundField::Certificate | CompoundField::OneType => wire.get(2..),
        CompoundField::Relay => {
            let relay = &wire[1.min(wire.len())..];
            match wire.first()? & 0x7f {
                0 => Some(relay),
                1 => relay.get(4..),
                2 => relay.get(16..),
                3 => fields::skip(RdataField::Name, relay),
                _ => None,
            }
        }
    }
}

fn types(words: &mut WordReader<'_, '_>) -> Result<BTreeSet<u16>, DataError> {
    let mut types = BTreeSet::new();
    while !words.is_empty() {
        types.insert(record_type(words)?.0);
    }
    Ok(types)
}

/// A record type by name or as `TYPE123`.
pub fn record_type(words: &mut WordReader<'_, '_>) -> Result<RecordType, DataError> {
    parsed(words, "a record type; unknown ones are written TYPE123")
}

fn windows(types: &BTreeSet<u16>) -> Vec<u8> {
    let mut wire = Vec::new();
    let types: Vec<u16> = types.iter().copied().collect();
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let bits = bits(window.iter().map(|rtype| rtype & 0xff));
        wire.extend([(window[0] >> 8) as u8, bits.len() as u8]);
        wire.extend(bits);
    }
    wire
}

/// Writes types as a bit map without trailing zeros.
fn bits(set: impl Iterator<Item = u16>) -> Vec<u8> {
    let mut octets = Vec::new();
    for bit in set {
        let at = usize::from(bit / 8);
        octets.resize(octets.len().max(at + 1), 0);
        octets[at] |= 0x80 >> (bit % 8);
    }
    octets
}

fn are_windows(mut wire: &[u8]) -> bool {
    let mut before = None;
    while let [window, length @ 1..=32, rest @ ..] = wire {
        let Some((bits, after)) = rest.split_at_checked(usize::from(*length)) else {
            return false;
        };
        if before >= Some(*window) || bits.last() == Some(&0) {
            return false;
        }
        before = Some(*window);
        wire = after;
    }
    wire.is_empty()
}

fn no_prefix(text: &str) -> DataError {
    expected(
        text,
        "a network; write family:address/length as in 1:192.0.2.0/24, ! in front for all but",
    )
}

/// One network of an APL: trailing zeros of the address are left out (RFC 3123 section 4).
fn prefix(text: &str) -> Result<Vec<u8>, DataError> {
    let rest = text.strip_prefix('!');
    let (family, network) = rest
        .unwrap_or(text)
        .split_once(':')
        .ok_or_else(|| no_prefix(text))?;
    let (address, length) = network.rsplit_once('/').ok_or_else(|| no_prefix(text))?;
    let address = address.parse::<IpAddr>().map_err(|_| no_prefix(text))?;
    let length = length.parse::<u8>().map_err(|_| no_prefix(text))?;
    let (number, octets) = match address {
        IpAddr::V4(address) if family == "1" && length <= 32 => (1, address.octets().to_vec()),
        IpAddr::V6(address) if family == "2" && length <= 128 => (2, address.octets().to_vec()),
        _ => return Err(no_prefix(text)),
    };
    let used = octets
        .iter()
        .rposition(|&octet| octet != 0)
        .map_or(0, |last| last + 1);
    let negation = if rest.is_some() { 0x80 } else { 0 };
    Ok([&[0, number, length, used as u8 | negation], &octets[..used]].concat())
}

fn are_prefixes(mut wire: &[u8]) -> bool {
    while let &[high, low, length, used, ref rest @ ..] = wire {
        let used = usize::from(used & 0x7f);
        let (most_bits, most_octets) = match (high, low) {
            (0, 1) => (32, 4),
            (0, 2) => (128, 16),
            _ => (255, 127),
        };
        let Some((address, after)) = rest.split_at_checked(used) else {
            return false;
        };
        if length > most_bits || used > most_octets || address.last() == Some(&0) {
            return false;
        }
        wire = after;
    }
    wire.is_empty()
}

fn identity(words: &mut WordReader<'_, '_>, wire: &mut Vec<u8>) -> Result<(), DataError> {
    let algorithm = number::<u8>(words, "from 0 to 255")?;
    let text = words.take_plain()?;
    let tag = base16::decode_vec(text)
        .ok()
        .filter(|tag| matches!(tag.len(), 1..=255));
    let tag = tag.ok_or_else(|| {
        expected(
            text,
            "a host identity tag of 1 to 255 octets in hexadecimal",
        )
    })?;
    let text = words.take_plain()?;
    let key = base64::decode::<Vec<u8>>(text)
        .ok()
        .filter(|key| matches!(key.len(), 1..=65_535));
    let key = key.ok_or_else(|| expected(text, "a public key in base 64"))?;
    wire.extend([tag.len() as u8, algorithm]);
    wire.extend((key.len() as u16).to_be_bytes());
    wire.extend(tag);
    wire.extend(key);
    Ok(())
}

const CERTIFICATES: [(&str, u16); 10] = [
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

fn relay(words: &mut WordReader<'_, '_>, wire: &mut Vec<u8>) -> Result<(), DataError> {
    let text = words.take_plain()?;
    let discovery = match text {
        "0" => 0,
        "1" => 0x80,
        _ => return Err(expected(text, "0 or 1")),
    };
    let kind = number::<u8>(words, "from 0 to 3")?;
    wire.push(discovery | kind);
    match kind {
        0 => match words.take_plain()? {
            "." => Ok(()),
            other => Err(expected(
                other,
                "a dot, which relays of type 0 are written as",
            )),
        },
        1 => fields::read(RdataField::Ipv4, words, wire),
        2 => fields::read(RdataField::Ipv6, words, wire),
        3 => fields::read(RdataField::Name, words, wire),
        _ => Err(DataError::custom(
            "a relay has a type from 0 to 3; write others as octets, \\# LENGTH HEXADECIMAL",
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::zone::testing::errors;

    #[test]
    fn wrong_data_is_told_at_its_word() {
        let cases = [
            (
                "HIP 2 0x AA==",
                "9",
                "'0x' is not a host identity tag of 1 to 255 octets in hexadecimal",
            ),
            ("HIP 2 00 %", "12", "'%' is not a public key in base 64"),
            (
                "APL 1:192.0.2.0/33",
                "7",
                "'1:192.0.2.0/33' is not a network",
            ),
            (
                "APL 2:192.0.2.0/24",
                "7",
                "'2:192.0.2.0/24' is not a network",
            ),
            ("CSYNC 1 0 BOGUS", "13", "'BOGUS' is not a record type"),
            ("AMTRELAY 1 2 0 .", "14", "'2' is not 0 or 1"),
            ("AMTRELAY 1 0 4 x", "16", "a relay has a type from 0 to 3"),
        ];
        for (record, column, sentence) in cases {
            let found = errors(&format!("x {record}\n"));
            assert_eq!(found.len(), 1, "{record}: {found:?}");
            assert!(
                found[0].starts_with(&format!("z.zone:4:{column}: ")),
                "{found:?}"
            );
            assert!(found[0].contains(sentence), "{found:?}");
        }
    }

    #[test]
    fn octets_that_are_no_such_data_are_refused() {
        let cases = [
            ("APL", "00010018"),
            ("APL", "0001180400000000"),
            ("APL", "000121 01 c0"),
            ("CSYNC", "00000001 0000 0001"),
            ("CSYNC", "00000001 0000 000100"),
            ("CSYNC", "00000001 0000 000180 000180"),
            ("HIP", "01020001ff"),
            ("HIP", "01020001ffff 03"),
            ("AMTRELAY", "0104"),
            ("AMTRELAY", "0101c00002"),
            ("SIG", "0001"),
            ("DLV", "0001"),
            ("ISDN", "0131 0132 00"),
        ];
        for (rtype, octets) in cases {
            let length = octets.replace(' ', "").len() / 2;
            let found = errors(&format!("x {rtype} \\# {length} {octets}\n"));
            let sentence = format!("these octets are no {rtype} data");
            assert!(
                found.len() == 1 && found[0].ends_with(&sentence),
                "{rtype} {octets}: {found:?}"
            );
        }
    }
}

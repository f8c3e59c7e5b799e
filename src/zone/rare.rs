//! Fields of the rare record types: those that hold their own lengths, lists or bit maps.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use domain::base::scan::ScannerError;
use domain::utils::{base16, base64};

use super::fields::{self, RdataField, expected, number, parsed};
use super::words::{DataError, WordReader};
use crate::dns::RecordType;

/// A field that is more than one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompoundField {
    /// Record types as a bit map in windows, perhaps none (RFC 4034 section 4.1.2).
    Types,
    /// One record type by name or number (RFC 9859 section 2.1).
    OneType,
    /// Record types up to 127 as one bit map, as NXT has it (RFC 2535 section 5.2).
    FewTypes,
    /// Networks, `[!]family:address/length` each, perhaps none (RFC 3123).
    Prefixes,
    /// Host identity tag and public key with their lengths; names may follow (RFC 8005 section 5).
    Identity,
    /// Protocol and services as a bit map (RFC 1035 section 3.4.2).
    Services,
    /// An NSAP address, `0x` in front and dots anywhere (RFC 1706).
    Nsap,
    /// An ATM address: `+` and digits (E.164), or hexadecimal.
    Atm,
    /// Length of a prefix, the rest of an address, and a name for the prefix (RFC 2874 section 3).
    Suffix,
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
        CompoundField::FewTypes => few_types(words, wire)?,
        CompoundField::Prefixes => {
            while !words.is_empty() {
                wire.extend(prefix(words.take_plain()?)?);
            }
        }
        CompoundField::Identity => identity(words, wire)?,
        CompoundField::Services => services(words, wire)?,
        CompoundField::Nsap => {
            let text = words.take_plain()?;
            let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
            wire.extend(
                digits
                    .and_then(dotted_hexadecimal)
                    .ok_or_else(|| expected(text, "0x and an NSAP address"))?,
            );
        }
        CompoundField::Atm => atm(words, wire)?,
        CompoundField::Suffix => suffix(words, wire)?,
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

/// What is left of `wire` after this field; `None` if the field does not fit.
pub fn skip(form: CompoundField, wire: &[u8]) -> Option<&[u8]> {
    let all = |fits: bool| fits.then_some(&wire[wire.len()..]);
    match form {
        CompoundField::Types => all(are_windows(wire)),
        CompoundField::FewTypes => all(matches!(wire.len(), 1..=16) && wire[0] & 0x80 == 0),
        CompoundField::Prefixes => all(are_prefixes(wire)),
        CompoundField::Identity => {
            let (&tag, key) = (wire.first()?, wire.get(2..4)?);
            let key = u16::from_be_bytes([key[0], key[1]]);
            wire.get(4 + usize::from(tag) + usize::from(key)..)
                .filter(|_| tag > 0 && key > 0)
        }
        CompoundField::Services => all(matches!(wire.len(), 1..=8193)),
        CompoundField::Nsap => all(!wire.is_empty()),
        CompoundField::Atm => all(wire.len() > 1
            && (wire[0] == 0 || wire[0] == 1 && wire[1..].iter().all(u8::is_ascii_digit))),
        CompoundField::Suffix => {
            let length = *wire.first().filter(|&&length| length <= 128)?;
            let rest = wire.get(1 + (128 - usize::from(length)).div_ceil(8)..)?;
            if length == 0 {
                Some(rest)
            } else {
                fields::skip(RdataField::Name, rest)
            }
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

/// A bit map, no longer than its last bit needs.
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

fn few_types(words: &mut WordReader<'_, '_>, wire: &mut Vec<u8>) -> Result<(), DataError> {
    let types = types(words)?;
    match types.last() {
        Some(1..=127) if types.first() != Some(&0) => wire.extend(bits(types.into_iter())),
        _ => {
            return Err(DataError::custom(
                "NXT lists types from 1 to 127, at least one",
            ));
        }
    }
    Ok(())
}

/// One network of an APL: trailing zeros of the address are left out (RFC 3123 section 4).
fn prefix(text: &str) -> Result<Vec<u8>, DataError> {
    let wrong = || {
        expected(
            text,
            "a network; write family:address/length as in 1:192.0.2.0/24, ! in front for all but",
        )
    };
    let rest = text.strip_prefix('!');
    let (family, network) = rest.unwrap_or(text).split_once(':').ok_or_else(wrong)?;
    let (address, length) = network.rsplit_once('/').ok_or_else(wrong)?;
    let address = address.parse::<IpAddr>().map_err(|_| wrong())?;
    let length = length.parse::<u8>().map_err(|_| wrong())?;
    let (number, octets) = match address {
        IpAddr::V4(address) if family == "1" && length <= 32 => (1, address.octets().to_vec()),
        IpAddr::V6(address) if family == "2" && length <= 128 => (2, address.octets().to_vec()),
        _ => return Err(wrong()),
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

fn services(words: &mut WordReader<'_, '_>, wire: &mut Vec<u8>) -> Result<(), DataError> {
    let text = words.take_plain()?;
    let protocol = PROTOCOLS
        .iter()
        .find(|(name, _)| text.eq_ignore_ascii_case(name))
        .map(|&(_, number)| number);
    let protocol = protocol.or_else(|| text.parse().ok());
    wire.push(
        protocol.ok_or_else(|| {
            expected(text, "a protocol; write tcp, udp or a number from 0 to 255")
        })?,
    );
    let mut ports = BTreeSet::new();
    while !words.is_empty() {
        let text = words.take_plain()?;
        let port = SERVICES
            .iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name))
            .map(|&(_, port)| port);
        let port = port.or_else(|| text.parse().ok());
        ports.insert(port.ok_or_else(|| {
            expected(
                text,
                "a service known here; write its port, from 0 to 65535",
            )
        })?);
    }
    wire.extend(bits(ports.into_iter()));
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

const PROTOCOLS: [(&str, u8); 3] = [("icmp", 1), ("tcp", 6), ("udp", 17)];

/// Services that zones of old name (RFC 1123 and IANA "Service Name and Transport Protocol Port Number Registry").
const SERVICES: [(&str, u16); 36] = [
    ("echo", 7),
    ("discard", 9),
    ("systat", 11),
    ("daytime", 13),
    ("netstat", 15),
    ("qotd", 17),
    ("chargen", 19),
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("time", 37),
    ("whois", 43),
    ("nicname", 43),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("gopher", 70),
    ("finger", 79),
    ("http", 80),
    ("www", 80),
    ("kerberos", 88),
    ("hostnames", 101),
    ("pop3", 110),
    ("sunrpc", 111),
    ("auth", 113),
    ("nntp", 119),
    ("ntp", 123),
    ("imap", 143),
    ("imap2", 143),
    ("snmp", 161),
    ("irc", 194),
    ("ldap", 389),
    ("https", 443),
];

/// Hexadecimal digits with dots anywhere, at least two digits.
fn dotted_hexadecimal(text: &str) -> Option<Vec<u8>> {
    base16::decode_vec(&text.replace('.', ""))
        .ok()
        .filter(|octets| !octets.is_empty())
}

fn atm(words: &mut WordReader<'_, '_>, wire: &mut Vec<u8>) -> Result<(), DataError> {
    let text = words.take_plain()?;
    let number = text
        .strip_prefix('+')
        .map(|digits| digits.replace('.', "").into_bytes());
    let number =
        number.filter(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
    let (format, octets) = match number {
        Some(digits) => (1, Some(digits)),
        None => (0, dotted_hexadecimal(text)),
    };
    wire.push(format);
    wire.extend(
        octets.ok_or_else(|| expected(text, "an ATM address: + and digits, or hexadecimal"))?,
    );
    Ok(())
}

fn suffix(words: &mut WordReader<'_, '_>, wire: &mut Vec<u8>) -> Result<(), DataError> {
    let text = words.take_plain()?;
    let length = text.parse::<u8>().ok().filter(|&length| length <= 128);
    let length = length.ok_or_else(|| expected(text, "the length of a prefix, from 0 to 128"))?;
    wire.push(length);
    if length < 128 {
        let address = parsed::<Ipv6Addr>(words, "an IPv6 address")?;
        // What the prefix covers counts as zero.
        let octets = (address.to_bits() & (u128::MAX >> length)).to_be_bytes();
        wire.extend(&octets[usize::from(length) / 8..]);
    }
    if length > 0 {
        wire.extend_from_slice(words.take_name()?.as_wire());
    }
    Ok(())
}

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
                "WKS 192.0.2.1 tcp gophers",
                "21",
                "'gophers' is not a service known here; write its port",
            ),
            (
                "WKS 192.0.2.1 256",
                "17",
                "'256' is not a protocol; write tcp, udp or a number from 0 to 255",
            ),
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
            ("NSAP 47", "8", "'47' is not 0x and an NSAP address"),
            (
                "NXT y TYPE128",
                "9",
                "NXT lists types from 1 to 127, at least one",
            ),
            (
                "A6 129 ::",
                "6",
                "'129' is not the length of a prefix, from 0 to 128",
            ),
            ("AMTRELAY 1 2 0 .", "14", "'2' is not 0 or 1"),
            ("AMTRELAY 1 0 4 x", "16", "a relay has a type from 0 to 3"),
            (
                "ATMA +x",
                "8",
                "'+x' is not an ATM address: + and digits, or hexadecimal",
            ),
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
            ("A6", "81"),
            ("A6", "80"),
            ("AMTRELAY", "0104"),
            ("AMTRELAY", "0101c00002"),
            ("NXT", "0180"),
            ("ATMA", "0141"),
            ("NSAP", ""),
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

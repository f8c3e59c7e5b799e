//! The forms of what callers send: what the document says of a text stands beside what the server takes.
//!
//! The document must be neither laxer nor stricter than the server, so texts are taken in one spelling only: numbers without
//! signs and leading zeros, times with each part smaller than the next larger unit.

use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::dns::{Name, RecordType};
use crate::explain::ExplainClient;
use crate::steering::Bias;

/// Longest reason and name of who says so, in characters.
const LONGEST: usize = 500;
/// Longest domain name, in characters, escapes counted as they are written.
const LONGEST_NAME: usize = 253;
/// Highest weight.
pub const MOST_WEIGHT: u32 = 1_000_000;
/// Highest number that every reader of JSON keeps as it is (RFC 8259 section 6).
pub const MOST_WHOLE: u64 = (1 << 53) - 1;
/// Longest time that an order may be given for: ten years, in days.
const ORDER_DAYS: u64 = 3650;
/// Longest time of a lease, in days.
const LEASE_DAYS: u64 = 1;

/// The form of a parameter.
#[derive(Debug, Clone, Copy)]
pub enum ParameterForm {
    /// Any text but none: a name of the configuration, which is there or is not.
    Named,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A number.
    Whole {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A domain name.
    Name,
    /// A record type.
    RecordType,
    /// An address, or a client subnet.
    Client,
    /// An address.
    Address,
    /// `REGION=WEIGHT`
    Weight,
    /// `REGION=BIAS`
    Bias,
}

impl ParameterForm {
    /// What the document says of it.
    pub fn schema(self) -> Value {
        let pattern =
            |pattern: String| json!({ "type": "string", "pattern": format!("^(?:{pattern})$") });
        match self {
            ParameterForm::Named => json!({ "type": "string", "minLength": 1 }),
            ParameterForm::Words(words) => json!({ "type": "string", "enum": words }),
            ParameterForm::Whole { least, most } => {
                json!({ "type": "integer", "minimum": least, "maximum": most })
            }
            ParameterForm::Name => {
                let mut schema = pattern(name_pattern());
                schema["maxLength"] = LONGEST_NAME.into();
                schema
            }
            ParameterForm::RecordType => {
                let known: Vec<&str> = (0..=u16::MAX)
                    .filter_map(|number| RecordType(number).mnemonic())
                    .collect();
                let by_number = format!("TYPE(?:0|{})", up_to(u16::MAX.into()));
                json!({ "anyOf": [{ "type": "string", "enum": known }, pattern(by_number)] })
            }
            ParameterForm::Client => {
                let (v4, v6) = (v4_pattern(), v6_pattern());
                pattern(format!(
                    "{v4}(?:/(?:0|{}))?|(?:{v6})(?:/(?:0|{}))?",
                    up_to(32),
                    up_to(128)
                ))
            }
            ParameterForm::Address => pattern(format!("{}|{}", v4_pattern(), v6_pattern())),
            ParameterForm::Weight => pattern(format!("[^=]+=(?:0|{})", up_to(MOST_WEIGHT.into()))),
            ParameterForm::Bias => pattern(format!("[^=]+=(?:0|-?{})", up_to(99))),
        }
    }
}

/// A number in the one way to write it.
pub fn read_whole(text: &str, least: u64, most: u64) -> Option<u64> {
    let is_plain =
        text.bytes().all(|octet| octet.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse()
        .ok()
        .filter(|number| is_plain && (least..=most).contains(number))
}

/// A domain name of visible ASCII characters; others are escaped.
///
/// # Errors
/// A sentence.
pub fn read_name(text: &str) -> Result<Name, String> {
    if text.len() > LONGEST_NAME {
        return Err(format!(
            "name {text:?}: longer than {LONGEST_NAME} characters"
        ));
    }
    if text
        .bytes()
        .any(|octet| octet.is_ascii() && !octet.is_ascii_graphic())
    {
        return Err(format!(
            "name {text:?}: holds a blank or a control character; they are escaped, as in \\032"
        ));
    }
    text.parse()
        .map_err(|error| format!("name {text:?}: {error}"))
}

/// A record type, in capital letters.
///
/// # Errors
/// A sentence.
pub fn read_record_type(text: &str) -> Result<RecordType, String> {
    let number = text
        .strip_prefix("TYPE")
        .is_none_or(|number| read_whole(number, 0, u16::MAX.into()).is_some());
    let known = text
        .parse::<RecordType>()
        .ok()
        .filter(|_| number && !text.contains(|c: char| c.is_ascii_lowercase()));
    known.ok_or_else(|| {
        format!("type {text:?}: no such record type; they have capital letters, and unknown ones are written TYPE123")
    })
}

/// An address, or a client subnet.
///
/// # Errors
/// A sentence.
pub fn read_client(text: &str) -> Result<ExplainClient, String> {
    let prefix = text
        .split_once('/')
        .is_none_or(|(_, prefix)| read_whole(prefix, 0, 128).is_some());
    match text.parse::<ExplainClient>() {
        Ok(asker) if prefix => Ok(asker),
        Ok(_) => Err(format!("client {text:?}: its prefix begins with a 0")),
        Err(error) => Err(format!("client {text:?}: {error}")),
    }
}

/// `fra=20`
///
/// # Errors
/// A sentence.
pub fn read_weight(text: &str) -> Result<(String, u32), String> {
    let wrong = || format!("{text:?} is not REGION=WEIGHT with a weight from 0 to {MOST_WEIGHT}");
    let (region, weight) = text
        .split_once('=')
        .filter(|(region, _)| !region.is_empty())
        .ok_or_else(wrong)?;
    let weight =
        read_whole(weight, 0, MOST_WEIGHT.into()).and_then(|weight| u32::try_from(weight).ok());
    Ok((region.to_owned(), weight.ok_or_else(wrong)?))
}

/// `fra=-20`
///
/// # Errors
/// A sentence.
pub fn read_bias(text: &str) -> Result<(String, Bias), String> {
    let wrong = || format!("{text:?} is not REGION=BIAS with a bias from -99 to 99");
    let (region, bias) = text
        .split_once('=')
        .filter(|(region, _)| !region.is_empty())
        .ok_or_else(wrong)?;
    let is_plain = match bias.strip_prefix('-') {
        Some(number) => read_whole(number, 1, 99).is_some(),
        None => read_whole(bias, 0, 99).is_some(),
    };
    let bias = bias
        .parse()
        .ok()
        .filter(|_| is_plain)
        .and_then(Bias::new)
        .ok_or_else(wrong)?;
    Ok((region.to_owned(), bias))
}

/// A text for people: so many characters, none of which moves a cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PlainText(String);

impl PlainText {
    /// Without the blanks around it.
    pub fn text(&self) -> &str {
        self.0.trim()
    }
}

impl TryFrom<String> for PlainText {
    type Error = String;

    fn try_from(text: String) -> Result<PlainText, String> {
        if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
            return Err(format!(
                "a text is longer than {LONGEST} characters or holds control characters"
            ));
        }
        Ok(PlainText(text))
    }
}

impl JsonSchema for PlainText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Wording".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string", "maxLength": LONGEST, "pattern": r"^[^\u0000-\u001F\u007F-\u009F]*$",
        })
    }
}

/// A time in whole seconds, from one second to so many days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct DurationSeconds<const DAYS: u64>(String);

/// The time of an order.
pub type OrderTime = DurationSeconds<ORDER_DAYS>;
/// The time of a lease.
pub type LeaseTime = DurationSeconds<LEASE_DAYS>;

impl<const DAYS: u64> DurationSeconds<DAYS> {
    /// In seconds.
    pub fn seconds(&self) -> u64 {
        seconds(&self.0).unwrap_or(1)
    }
}

impl<const DAYS: u64> TryFrom<String> for DurationSeconds<DAYS> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match seconds(&text).filter(|seconds| (1..=DAYS * DAY).contains(seconds)) {
            Some(_) => Ok(DurationSeconds(text)),
            None => Err(format!(
                "{text:?} is no time from 1s to {DAYS}d; it is written 30s, 2h or 1h30m"
            )),
        }
    }
}

impl<const DAYS: u64> JsonSchema for DurationSeconds<DAYS> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Lasting{DAYS}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "pattern": format!("^(?:{})$", time_pattern(DAYS)) })
    }
}

/// Seconds of a day.
const DAY: u64 = 86_400;

/// The units of a time with their seconds, the largest first.
const UNITS: [(char, u64); 4] = [('d', DAY), ('h', 3600), ('m', 60), ('s', 1)];

/// The seconds of a time: numbers with units, larger units first. Behind the first part, each is smaller than the next
/// larger unit.
fn seconds(text: &str) -> Option<u64> {
    let (mut rest, mut total, mut from) = (text, 0_u64, 0);
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let at = UNITS
            .iter()
            .position(|(unit, _)| behind.starts_with(*unit))
            .filter(|at| *at >= from)?;
        let (unit, of_unit) = UNITS[at];
        let most = if from == 0 {
            MOST_WHOLE
        } else {
            most_behind(at)
        };
        total = total.checked_add(read_whole(number, 1, most)?.checked_mul(of_unit)?)?;
        from = at + 1;
        rest = behind.strip_prefix(unit)?;
    }
    (from > 0).then_some(total)
}

/// The highest number of a part that is not the first: 59 of minutes.
fn most_behind(at: usize) -> u64 {
    let larger = at.checked_sub(1).map_or(UNITS[0], |larger| UNITS[larger]);
    larger.1 / UNITS[at].1 - 1
}

/// Every time from one second to so many days that [`seconds`] reads.
fn time_pattern(days: u64) -> String {
    let mut parts = Vec::new();
    for (at, (unit, of_unit)) in UNITS.into_iter().enumerate() {
        let most = days * DAY / of_unit;
        // Only what is below the longest time can have smaller parts behind it.
        if most > 1 {
            let behind = |at: usize| format!("(?:{}{})?", up_to(most_behind(at)), UNITS[at].0);
            let smaller: String = (at + 1..UNITS.len()).map(behind).collect();
            parts.push(format!("{}{unit}{smaller}", up_to(most - 1)));
        }
        parts.push(format!("{most}{unit}"));
    }
    parts.join("|")
}

/// Every number from 1 to `most`, without leading zeros.
fn up_to(most: u64) -> String {
    let digits = most.to_string();
    let mut parts = Vec::new();
    if digits.len() > 1 {
        parts.push(format!("[1-9][0-9]{{0,{}}}", digits.len() - 2));
    }
    for (at, digit) in digits.char_indices() {
        let least = if at == 0 { '1' } else { '0' };
        let behind = digits.len() - at - 1;
        if digit > least {
            let below = char::from_u32(digit as u32 - 1).unwrap_or(least);
            parts.push(format!(
                "{}[{least}-{below}][0-9]{{{behind}}}",
                &digits[..at]
            ));
        }
    }
    parts.push(digits);
    format!("(?:{})", parts.join("|"))
}

fn name_pattern() -> String {
    let octet = r"(?:[!-\-/-\[\]-~]|\\[!-/:-~]|\\(?:[01][0-9][0-9]|2[0-4][0-9]|25[0-5]))";
    format!(r"\.|(?:{octet}{{1,63}}\.)*{octet}{{1,63}}\.?")
}

fn v4_pattern() -> String {
    let octet = format!("(?:0|{})", up_to(255));
    format!(r"(?:{octet}\.){{3}}{octet}")
}

/// RFC 3986 section 3.2.2.
fn v6_pattern() -> String {
    let group = "[0-9A-Fa-f]{1,4}";
    let last = format!("(?:{group}:{group}|{})", v4_pattern());
    let mut forms = vec![format!("(?:{group}:){{6}}{last}")];
    let left = |most: usize| match most {
        0 => String::new(),
        most => format!("(?:(?:{group}:){{0,{}}}{group})?", most - 1),
    };
    forms.extend((0..=5).map(|most| format!("{}::(?:{group}:){{{}}}{last}", left(most), 5 - most)));
    forms.push(format!("{}::{group}", left(6)));
    forms.push(format!("{}::", left(7)));
    format!("(?:{})", forms.join("|"))
}

/// An address in one of its usual forms.
///
/// # Errors
/// A sentence.
pub fn read_address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is no IPv4 or IPv6 address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_spelling_and_two_ends() {
        for (text, expected) in [
            ("1s", 1),
            ("90m", 5400),
            ("1h30m", 5400),
            ("1d1s", 86_401),
            ("3650d", 3650 * DAY),
        ] {
            assert_eq!(
                OrderTime::try_from(text.to_owned()).map(|time| time.seconds()),
                Ok(expected)
            );
        }
        for text in [
            "", "s", "0s", "01s", "+1s", "1", "1s1s", "1m1h", "1h60m", "1d24h", "1d90m", "3650d1s",
            "1ms", "3651d", "1 s",
        ] {
            assert!(OrderTime::try_from(text.to_owned()).is_err(), "{text}");
        }
        assert!(
            LeaseTime::try_from("24h".to_owned()).is_ok()
                && LeaseTime::try_from("24h1s".to_owned()).is_err()
        );
    }

    #[test]
    fn patterns_are_made_of_ranges() {
        assert_eq!(up_to(9), "(?:[1-8][0-9]{0}|9)");
        assert_eq!(
            up_to(255),
            "(?:[1-9][0-9]{0,1}|[1-1][0-9]{2}|2[0-4][0-9]{1}|25[0-4][0-9]{0}|255)"
        );
        let part = |most, unit| format!("(?:{}{unit})?", up_to(most));
        let hours = format!("{}h{}{}", up_to(23), part(59, 'm'), part(59, 's'));
        assert!(
            time_pattern(1).starts_with(&format!("1d|{hours}|24h|")),
            "{}",
            time_pattern(1)
        );
    }

    #[test]
    fn numbers_names_and_types_have_one_spelling() {
        assert_eq!(
            (read_whole("0", 0, 9), read_whole("9", 0, 9)),
            (Some(0), Some(9))
        );
        for text in ["", "00", "+1", "-1", "1.0", "10", " 1"] {
            assert_eq!(read_whole(text, 0, 9), None, "{text}");
        }
        for text in ["www.example.com", ".", "a.", r"\..b", r"\255", "*.x"] {
            assert!(read_name(text).is_ok(), "{text}");
        }
        for text in ["", "a b", "a..b", "ä", r"\256", r"a\", "a\n"] {
            assert!(read_name(text).is_err(), "{text}");
        }
        assert!(read_record_type("AAAA").is_ok() && read_record_type("TYPE65535").is_ok());
        for text in ["aaaa", "TYPE065", "TYPE65536", "Q", ""] {
            assert!(read_record_type(text).is_err(), "{text}");
        }
        assert!(read_client("2001:db8::/32").is_ok() && read_client("192.0.2.1/08").is_err());
    }
}

//! The forms of texts that callers send: each with its reader and its schema for OpenAPI.
//!
//! The schema must be neither laxer nor stricter than the reader. So each text has one spelling
//! only: numbers have no sign and no leading zeros, and in a time such as `1h30m` each part is
//! smaller than the next larger unit. [`ParameterForm`] describes parameters of a path or a query;
//! [`PlainText`] and [`DurationSeconds`] are fields of a body.

use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::dns::{Name, RecordType};
use crate::explain::ExplainClient;
use crate::steering::Bias;

/// Longest reason or author, in characters.
const LONGEST: usize = 500;
/// Longest domain name as it is written, with its escapes, in characters.
const LONGEST_NAME: usize = 253;
/// Highest weight.
pub const MOST_WEIGHT: u32 = 1_000_000;
/// Highest number that every JSON parser keeps exactly (RFC 8259 section 6).
pub const MOST_WHOLE: u64 = (1 << 53) - 1;
/// Longest time that an override may hold: ten years, in days.
const ORDER_DAYS: u64 = 3650;
/// Longest time of a lease, in days.
const LEASE_DAYS: u64 = 1;

/// The form of a parameter.
#[derive(Debug, Clone, Copy)]
pub enum ParameterForm {
    /// A text that is not empty: a name in the configuration, which may not exist.
    Named,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A number.
    Whole {
        /// Lowest value.
        least: u64,
        /// Highest value.
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
    /// Its schema in the OpenAPI document.
    pub fn schema(self) -> Value {
        match self {
            ParameterForm::Named => json!({ "type": "string", "minLength": 1 }),
            ParameterForm::Words(words) => json!({ "type": "string", "enum": words }),
            ParameterForm::Whole { least, most } => {
                json!({ "type": "integer", "minimum": least, "maximum": most })
            }
            ParameterForm::Name => {
                let mut schema = pattern_schema(name_pattern());
                schema["maxLength"] = LONGEST_NAME.into();
                schema
            }
            ParameterForm::RecordType => {
                let by_number = format!("TYPE(?:0|{})", up_to(u16::MAX.into()));
                let by_word = json!({ "type": "string", "enum": known_types() });
                json!({ "anyOf": [by_word, pattern_schema(by_number)] })
            }
            ParameterForm::Client => {
                let (v4, v6) = (v4_pattern(), v6_pattern());
                let (v4_prefix, v6_prefix) = (up_to(32), up_to(128));
                pattern_schema(format!(
                    "{v4}(?:/(?:0|{v4_prefix}))?|(?:{v6})(?:/(?:0|{v6_prefix}))?"
                ))
            }
            ParameterForm::Address => pattern_schema(format!("{}|{}", v4_pattern(), v6_pattern())),
            ParameterForm::Weight => {
                pattern_schema(format!("[^=]+=(?:0|{})", up_to(MOST_WEIGHT.into())))
            }
            ParameterForm::Bias => pattern_schema(format!("[^=]+=(?:0|-?{})", up_to(99))),
        }
    }
}

/// A text that matches a pattern as a whole.
fn pattern_schema(pattern: String) -> Value {
    json!({ "type": "string", "pattern": format!("^(?:{pattern})$") })
}

/// Every record type that has a mnemonic.
fn known_types() -> Vec<&'static str> {
    (0..=u16::MAX)
        .filter_map(|number| RecordType(number).mnemonic())
        .collect()
}

/// A whole number without a sign or leading zeros; `None`: it is another text, or out of bounds.
pub fn read_whole(text: &str, least: u64, most: u64) -> Option<u64> {
    let has_leading_zero = text.starts_with('0') && text != "0";
    if has_leading_zero || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let number = text.parse().ok()?;
    (least..=most).contains(&number).then_some(number)
}

/// A domain name of visible ASCII characters; others must be escaped.
///
/// # Errors
/// A sentence.
pub fn read_name(text: &str) -> Result<Name, String> {
    if text.len() > LONGEST_NAME {
        return Err(format!(
            "name {text:?}: longer than {LONGEST_NAME} characters"
        ));
    }
    if text.bytes().any(is_blank_or_control) {
        return Err(format!(
            "name {text:?}: contains a blank or a control character; escape these, as in \\032"
        ));
    }
    text.parse()
        .map_err(|error| format!("name {text:?}: {error}"))
}

fn is_blank_or_control(octet: u8) -> bool {
    octet.is_ascii() && !octet.is_ascii_graphic()
}

/// A record type, in capital letters.
///
/// # Errors
/// A sentence.
pub fn read_record_type(text: &str) -> Result<RecordType, String> {
    let has_own_spelling = match text.strip_prefix("TYPE") {
        Some(number) => read_whole(number, 0, u16::MAX.into()).is_some(),
        None => !text.contains(|c: char| c.is_ascii_lowercase()),
    };
    match text.parse() {
        Ok(rtype) if has_own_spelling => Ok(rtype),
        _ => Err(format!(
            "type {text:?}: no such record type; types have capital letters, and unknown ones are \
             written TYPE123"
        )),
    }
}

/// An address, or a client subnet.
///
/// # Errors
/// A sentence.
pub fn read_client(text: &str) -> Result<ExplainClient, String> {
    let has_own_spelling = match text.split_once('/') {
        Some((_, prefix)) => read_whole(prefix, 0, 128).is_some(),
        None => true,
    };
    match text.parse::<ExplainClient>() {
        Ok(client) if has_own_spelling => Ok(client),
        Ok(_) => Err(format!("client {text:?}: its prefix begins with a 0")),
        Err(error) => Err(format!("client {text:?}: {error}")),
    }
}

/// Reads `fra=20`.
///
/// # Errors
/// A sentence.
pub fn read_weight(text: &str) -> Result<(String, u32), String> {
    let wrong = format!("{text:?} is not REGION=WEIGHT with a weight from 0 to {MOST_WEIGHT}");
    let Some((region, weight)) = split_region(text) else {
        return Err(wrong);
    };
    match read_whole(weight, 0, MOST_WEIGHT.into()) {
        Some(weight) => Ok((region.to_owned(), weight as u32)),
        None => Err(wrong),
    }
}

/// Reads `fra=-20`.
///
/// # Errors
/// A sentence.
pub fn read_bias(text: &str) -> Result<(String, Bias), String> {
    let wrong = format!("{text:?} is not REGION=BIAS with a bias from -99 to 99");
    let Some((region, bias)) = split_region(text) else {
        return Err(wrong);
    };
    let has_own_spelling = match bias.strip_prefix('-') {
        Some(number) => read_whole(number, 1, 99).is_some(),
        None => read_whole(bias, 0, 99).is_some(),
    };
    match bias.parse().ok().and_then(Bias::new) {
        Some(bias) if has_own_spelling => Ok((region.to_owned(), bias)),
        _ => Err(wrong),
    }
}

/// The region and the value of `REGION=VALUE`.
fn split_region(text: &str) -> Option<(&str, &str)> {
    let (region, value) = text.split_once('=')?;
    (!region.is_empty()).then_some((region, value))
}

/// A text for people, such as a reason: limited in length and without control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PlainText(String);

impl PlainText {
    /// The beginning of a text without control characters.
    pub fn cut(text: &str) -> PlainText {
        PlainText(text.chars().take(LONGEST).collect())
    }

    /// The text without the blanks around it.
    pub fn text(&self) -> &str {
        self.0.trim()
    }
}

impl TryFrom<String> for PlainText {
    type Error = String;

    fn try_from(text: String) -> Result<PlainText, String> {
        if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
            return Err(format!(
                "a text is longer than {LONGEST} characters or contains control characters"
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

/// A time in whole seconds, from one second to `DAYS` days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct DurationSeconds<const DAYS: u64>(String);

/// How long an override holds, or how long it takes to take effect.
pub type OrderTime = DurationSeconds<ORDER_DAYS>;
/// How long a lease lasts.
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
        match seconds(&text) {
            Some(seconds) if (1..=DAYS * DAY).contains(&seconds) => Ok(DurationSeconds(text)),
            _ => Err(format!(
                "{text:?} is not a time from 1s to {DAYS}d, such as 30s, 2h or 1h30m"
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
        let pattern = format!("^(?:{})$", time_pattern(DAYS));
        schemars::json_schema!({ "type": "string", "pattern": pattern })
    }
}

/// Seconds of a day.
const DAY: u64 = 86_400;

/// A unit of time.
struct TimeUnit {
    letter: char,
    seconds: u64,
}

/// The units of a time, the largest first.
const UNITS: [TimeUnit; 4] = [
    TimeUnit {
        letter: 'd',
        seconds: DAY,
    },
    TimeUnit {
        letter: 'h',
        seconds: 3600,
    },
    TimeUnit {
        letter: 'm',
        seconds: 60,
    },
    TimeUnit {
        letter: 's',
        seconds: 1,
    },
];

/// The seconds of a time: numbers with units, larger units first. After the first part, each part
/// is smaller than the next larger unit.
fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_u64;
    for (index, unit) in UNITS.iter().enumerate() {
        let digits = rest.find(|c: char| !c.is_ascii_digit());
        let (number, behind) = rest.split_at(digits.unwrap_or(rest.len()));
        let Some(behind) = behind.strip_prefix(unit.letter) else {
            continue;
        };
        let is_first = rest.len() == text.len();
        let most = if is_first {
            MOST_WHOLE
        } else {
            most_of_unit(index)
        };
        let seconds = read_whole(number, 1, most)?.checked_mul(unit.seconds)?;
        total = total.checked_add(seconds)?;
        rest = behind;
    }
    // Text is left over if a unit is unknown, repeated or out of order.
    (rest.is_empty() && !text.is_empty()).then_some(total)
}

/// The highest number of a part that is not the first: 59 of minutes.
fn most_of_unit(index: usize) -> u64 {
    let larger = &UNITS[index.saturating_sub(1)];
    larger.seconds / UNITS[index].seconds - 1
}

/// Every time from one second to `days` days that [`seconds`] reads.
fn time_pattern(days: u64) -> String {
    let mut parts = Vec::new();
    for (index, unit) in UNITS.iter().enumerate() {
        let most = days * DAY / unit.seconds;
        // Only a time below the longest one can have smaller parts behind it.
        if most > 1 {
            let mut part = format!("{}{}", up_to(most - 1), unit.letter);
            for (smaller, unit) in UNITS.iter().enumerate().skip(index + 1) {
                part += &format!("(?:{}{})?", up_to(most_of_unit(smaller)), unit.letter);
            }
            parts.push(part);
        }
        parts.push(format!("{most}{}", unit.letter));
    }
    parts.join("|")
}

/// A pattern for every number from 1 to `most`, without leading zeros.
fn up_to(most: u64) -> String {
    let digits = most.to_string();
    let mut parts = Vec::new();
    if digits.len() > 1 {
        parts.push(format!("[1-9][0-9]{{0,{}}}", digits.len() - 2));
    }
    for (index, digit) in digits.char_indices() {
        let least = if index == 0 { '1' } else { '0' };
        if digit > least {
            let same = &digits[..index];
            let below = char::from_u32(digit as u32 - 1).unwrap_or(least);
            let behind = digits.len() - index - 1;
            parts.push(format!("{same}[{least}-{below}][0-9]{{{behind}}}"));
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

/// An IPv6 address (RFC 3986 section 3.2.2).
fn v6_pattern() -> String {
    let group = "[0-9A-Fa-f]{1,4}";
    let last = format!("(?:{group}:{group}|{})", v4_pattern());
    let mut forms = vec![format!("(?:{group}:){{6}}{last}")];
    for most in 0..=5 {
        let left = groups_before(group, most);
        forms.push(format!("{left}::(?:{group}:){{{}}}{last}", 5 - most));
    }
    forms.push(format!("{}::{group}", groups_before(group, 6)));
    forms.push(format!("{}::", groups_before(group, 7)));
    format!("(?:{})", forms.join("|"))
}

/// At most `most` groups in front of the `::`.
fn groups_before(group: &str, most: usize) -> String {
    if most == 0 {
        return String::new();
    }
    format!("(?:(?:{group}:){{0,{}}}{group})?", most - 1)
}

/// Reads an IPv4 or IPv6 address.
///
/// # Errors
/// A sentence.
pub fn read_address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not an IPv4 or IPv6 address"))
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

//! Plain values: bounded numbers, durations, lines of text, paths, names and tie bands.
//!
//! The bounds are parameters of the types, such as `WholeNumber<1, 8>`. An error therefore states
//! the bounds of its key, and so does the JSON Schema.

use std::path::PathBuf;
use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use crate::config::document::{ConfigReport, DocumentItem, ReadValue, TextValue, ValueError};
use crate::dns::Name;
use crate::steering::Band;

/// A weight: 0 is a standby.
pub type WeightValue = WholeNumber<0, 1_000_000>;

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub struct WholeNumber<const MIN: i64, const MAX: i64>(pub i64);

impl<const MIN: i64, const MAX: i64> WholeNumber<MIN, MAX> {
    /// The number as a `u32`; the bounds of every such type in `tables` fit.
    pub fn as_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    /// The number as a `u16`.
    pub fn as_u16(self) -> u16 {
        u16::try_from(self.0).unwrap_or(u16::MAX)
    }

    /// The number as a `u8`.
    pub fn as_u8(self) -> u8 {
        u8::try_from(self.0).unwrap_or(u8::MAX)
    }

    /// The number as a `usize`.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: i64, const MAX: i64> ReadValue for WholeNumber<MIN, MAX> {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
        let number = integer(item.value).filter(|number| (MIN..=MAX).contains(number));
        if number.is_none() {
            item.refuse(&format!("a whole number from {MIN} to {MAX}"), None, report);
        }
        number.map(WholeNumber)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// The value as a number of 64 bits; `None`: it is no whole number, or does not fit.
pub fn integer(value: &DeValue<'_>) -> Option<i64> {
    value
        .as_integer()
        .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
}

/// A duration from `MIN` to `MAX` milliseconds, written `"500ms"`, `"3s"` or `"1h30m"`.
#[derive(Debug, Clone, Copy)]
pub struct BoundedDuration<const MIN: u64, const MAX: u64>(pub Duration);

impl<const MIN: u64, const MAX: u64> TextValue for BoundedDuration<MIN, MAX> {
    fn expected() -> String {
        format!(
            "a duration from {} to {}, such as \"3s\" or \"1h30m\"",
            duration_text(Duration::from_millis(MIN)),
            duration_text(Duration::from_millis(MAX))
        )
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        let bounds = Duration::from_millis(MIN)..=Duration::from_millis(MAX);
        parse_duration(text)
            .filter(|duration| bounds.contains(duration))
            .map(BoundedDuration)
            .ok_or_else(ValueError::default)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$" })
    }
}

/// Units with their milliseconds, the largest first, as a duration must list them.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads `"500ms"`, `"3s"`, `"1h30m"`: whole numbers with units d, h, m, s, ms, larger units
/// first, each once.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut total, mut units) = (text, 0_u64, &UNITS[..]);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let letters = rest[digits..]
            .bytes()
            .take_while(u8::is_ascii_alphabetic)
            .count();
        let unit = &rest[digits..digits + letters];
        let position = units.iter().position(|&(name, _)| name == unit)?;
        total = total.checked_add(number.checked_mul(units[position].1)?)?;
        units = &units[position + 1..];
        rest = &rest[digits + letters..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}

/// Writes a duration the way [`parse_duration`] reads it; parts below a millisecond are left out.
pub fn duration_text(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, milliseconds) in UNITS {
        if rest >= milliseconds {
            text += &format!("{}{unit}", rest / milliseconds);
            rest %= milliseconds;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

impl TextValue for String {
    fn expected() -> String {
        "a string".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        Ok(text.to_owned())
    }
}

/// A string of 1 to `MAX` octets without control characters, since it goes into a protocol or onto
/// a screen.
#[derive(Debug, Clone)]
pub struct SingleLine<const MAX: usize>(pub String);

impl<const MAX: usize> TextValue for SingleLine<MAX> {
    fn expected() -> String {
        format!("a text of 1 to {MAX} octets without control characters")
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        let fits = (1..=MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits {
            Ok(SingleLine(text.to_owned()))
        } else {
            Err(ValueError::default())
        }
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX })
    }
}

impl TextValue for PathBuf {
    fn expected() -> String {
        "a path".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() || text.contains('\0') {
            Err(ValueError::default())
        } else {
            Ok(PathBuf::from(text))
        }
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

impl TextValue for Name {
    fn expected() -> String {
        "a domain name".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() || text == "@" || text.chars().any(char::is_whitespace) {
            return Err(ValueError::default());
        }
        Name::parse(text, &Name::root())
            .map_err(|error| format!("\"{text}\" is no domain name: {error}").into())
    }
}

impl TextValue for Band {
    fn expected() -> String {
        "a percentage from 0 to 1000 (\"5%\") or a distance from 0 to 20037 km (\"150km\")"
            .to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        text.parse().map_err(|_| ValueError::default())
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9.]+ *(%|km)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_with_units_in_falling_order() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_duration("1d"), Some(Duration::from_secs(86_400)));
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1m1h",
            "1s1s",
            "1.5s",
            "5 s",
            "99999999999999999999s",
            "300000000000d",
            "5µs",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_reads_back_what_it_wrote(milliseconds in 0..u64::MAX) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse_duration(&duration_text(duration)), Some(duration));
        }
    }
}

//! Values of checks: types, query types, JSON pointers and scalars, and status ranges.
//!
//! They are checked for their syntax only. Which of them a type of check may use is decided when
//! checks are resolved.

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::plain::integer;
use super::words::KeywordSet;
use crate::config::document::{ConfigReport, DocumentItem, ReadValue, TextValue, ValueError};
use crate::dns::RecordType;

/// The type of a check that probes endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckType {
    /// HTTP in clear.
    Http,
    /// HTTP over TLS.
    Https,
    /// A TCP connection.
    Tcp,
    /// A TLS handshake.
    Tls,
    /// `grpc.health.v1`
    Grpc,
    /// A DNS query.
    Dns,
    /// A program.
    Exec,
}

impl CheckType {
    /// The keyword in the file.
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(word, _)| word)
    }
}

impl KeywordSet for CheckType {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("http", CheckType::Http),
        ("https", CheckType::Https),
        ("tcp", CheckType::Tcp),
        ("tls", CheckType::Tls),
        ("grpc", CheckType::Grpc),
        ("dns", CheckType::Dns),
        ("exec", CheckType::Exec),
    ];
}

impl TextValue for RecordType {
    fn expected() -> String {
        "a record type, such as \"A\" or \"SOA\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        text.parse()
            .ok()
            .filter(|rtype: &RecordType| !rtype.is_meta())
            .ok_or_else(ValueError::default)
    }
}

/// Where a value is in a JSON document (RFC 6901).
#[derive(Debug, Clone)]
pub struct JsonPointer(pub String);

impl TextValue for JsonPointer {
    fn expected() -> String {
        "a pointer into JSON, such as \"/status\" or \"/checks/0/state\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        let mut behind_tildes = text.split('~').skip(1);
        let is_pointer = text.len() <= 1024
            && (text.is_empty() || text.starts_with('/'))
            && behind_tildes.all(|rest| rest.starts_with(['0', '1']));
        if is_pointer {
            Ok(JsonPointer(text.to_owned()))
        } else {
            Err(ValueError::default())
        }
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "maxLength": 1024, "pattern": "^(/.*)?$" })
    }
}

/// A string, a whole number, or true or false, as JSON writes it (a string without its quotes).
#[derive(Debug, Clone)]
pub struct JsonScalar(pub String);

impl ReadValue for JsonScalar {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
        let text = match item.value {
            DeValue::String(text) if text.len() <= 1024 => Some(text.to_string()),
            DeValue::Boolean(value) => Some(value.to_string()),
            other => integer(other).map(|number| number.to_string()),
        };
        if text.is_none() {
            item.refuse(
                "a text of at most 1024 octets, a whole number, or true or false",
                None,
                report,
            );
        }
        text.map(JsonScalar)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer", "boolean"] })
    }
}

/// HTTP status codes, as ranges with both ends included.
#[derive(Debug, Clone)]
pub struct StatusRanges(pub Vec<(u16, u16)>);

impl ReadValue for StatusRanges {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
        let code = integer(item.value).map(|code| code.to_string());
        let ranges = code
            .as_deref()
            .or(item.value.as_str())
            .and_then(parse_status);
        if ranges.is_none() {
            item.refuse(
                "status codes from 100 to 599, such as \"200-299\" or \"200,204,300-310\"",
                None,
                report,
            );
        }
        ranges.map(StatusRanges)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let range = "[1-5][0-9]{2}( *- *[1-5][0-9]{2})?";
        json_schema!({ "anyOf": [
            { "type": "string", "pattern": format!("^ *{range}( *, *{range})* *$") },
            { "type": "integer", "minimum": 100, "maximum": 599 },
        ] })
    }
}

fn parse_status(text: &str) -> Option<Vec<(u16, u16)>> {
    text.split(',').map(parse_range).collect()
}

fn parse_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first >= 100 && first <= last && last <= 599).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_codes_read_as_ranges() {
        assert_eq!(parse_status("200-299"), Some(vec![(200, 299)]));
        assert_eq!(
            parse_status("200, 204,300-310"),
            Some(vec![(200, 200), (204, 204), (300, 310)])
        );
        assert!(
            ["", "200,", "299-200", "99", "600", "2xx"]
                .iter()
                .all(|bad| parse_status(bad).is_none())
        );
    }
}

//! Values of checks: their kinds, methods, query types and what JSON holds.

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::error::{ConfigReport, ValueError};
use super::read::{DocumentItem, ReadValue, TextValue};
use super::values::{KeywordSet, integer};
use crate::dns::RecordType;
use crate::health::check::HttpMethod;

/// The kind of a check that asks an endpoint.
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
    /// As it is written.
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

impl KeywordSet for HttpMethod {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("GET", HttpMethod::Get),
        ("HEAD", HttpMethod::Head),
        ("OPTIONS", HttpMethod::Options),
        ("POST", HttpMethod::Post),
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
        let escapes_end = |text: &str| {
            text.split('~')
                .skip(1)
                .all(|rest| rest.starts_with(['0', '1']))
        };
        let good =
            text.len() <= 1024 && (text.is_empty() || text.starts_with('/')) && escapes_end(text);
        if good {
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
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport<'_>) -> Option<Self> {
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

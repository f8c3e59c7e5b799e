//! Values of checks: their kinds, methods, query types and what JSON holds.

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::error::{Refusal, Report};
use super::read::{Item, Read, Text};
use super::values::{Word, integer};
use crate::dns::RecordType;
use crate::health::check::Method;

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
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

impl Word for CheckType {
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

impl Word for Method {
    const WORDS: &'static [(&'static str, Self)] =
        &[("GET", Method::Get), ("HEAD", Method::Head), ("OPTIONS", Method::Options), ("POST", Method::Post)];
}

impl Text for RecordType {
    fn expected() -> String {
        "a record type, such as \"A\" or \"SOA\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Refusal> {
        text.parse().ok().filter(|rtype: &RecordType| !rtype.is_meta()).ok_or_else(Refusal::default)
    }
}

/// Where a value is in a JSON document (RFC 6901).
#[derive(Debug, Clone)]
pub struct Pointer(pub String);

impl Text for Pointer {
    fn expected() -> String {
        "a pointer into JSON, such as \"/status\" or \"/checks/0/state\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let escapes_end = |text: &str| text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        let good = text.len() <= 1024 && (text.is_empty() || text.starts_with('/')) && escapes_end(text);
        if good { Ok(Pointer(text.to_owned())) } else { Err(Refusal::default()) }
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "maxLength": 1024, "pattern": "^(/.*)?$" })
    }
}

/// A string, a whole number, or true or false, as JSON writes it (a string without its quotes).
#[derive(Debug, Clone)]
pub struct Scalar(pub String);

impl Read for Scalar {
    fn read(item: Item<'_>, report: &mut Report<'_>) -> Option<Self> {
        let text = match item.value {
            DeValue::String(text) if text.len() <= 1024 => Some(text.to_string()),
            DeValue::Boolean(value) => Some(value.to_string()),
            other => integer(other).map(|number| number.to_string()),
        };
        if text.is_none() {
            item.refuse("a text of at most 1024 octets, a whole number, or true or false", None, report);
        }
        text.map(Scalar)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer", "boolean"] })
    }
}

//! Values of `[fleet]`: names of members, addresses of NATS servers, keys of releases, and quorums.
//!
//! Names become parts of NATS subjects, so they are letters, digits, `-` and `_`. An address holds no
//! user and no password: those have keys of their own, and the password a file of its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::plain::integer;
use crate::config::document::{ConfigReport, DocumentItem, ReadValue, TextValue, ValueError};
use crate::health::quorum::QuorumRule;
use crate::text::is_plain_name;

/// The port of NATS.
const PORT: u16 = 4222;

/// The name of a fleet, a server or a group.
#[derive(Debug, Clone)]
pub struct MemberName(pub String);

impl TextValue for MemberName {
    fn expected() -> String {
        "a name of 1 to 63 letters, digits, - and _".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        if is_plain_name(text) {
            Ok(MemberName(text.to_owned()))
        } else {
            Err(ValueError::default())
        }
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,63}$" })
    }
}

/// The address of a NATS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineAddress {
    /// Whether the connection is encrypted from its address alone.
    pub is_tls: bool,
    /// Host and port, an IPv6 address in brackets.
    pub authority: String,
}

impl EngineAddress {
    /// The address as a URL.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "tls" } else { "nats" };
        format!("{scheme}://{}", self.authority)
    }
}

impl TextValue for EngineAddress {
    fn expected() -> String {
        "the address of a NATS server, such as \"nats://127.0.0.1:4222\" or \
         \"tls://nats.example.com\""
            .to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        let (scheme, authority) = text.split_once("://").ok_or_else(ValueError::default)?;
        let is_tls = match scheme {
            "nats" => false,
            "tls" => true,
            _ => return Err(ValueError::default()),
        };
        if authority.contains('@') {
            return Err(ValueError {
                sentence: Some(
                    "the address of a NATS server holds no user and no password; \
                     state `user` and `password_file`"
                        .to_owned(),
                ),
                hint: None,
            });
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(host, port)| {
            port.parse::<u16>().is_ok_and(|port| port > 0) && !host.is_empty()
        });
        let is_bare = !authority.contains(':') || authority.ends_with(']');
        let is_host = |octet: u8| octet.is_ascii_alphanumeric() || b"-._:[]".contains(&octet);
        if authority.is_empty() || !authority.bytes().all(is_host) || !(has_port || is_bare) {
            return Err(ValueError::default());
        }
        let authority = if is_bare {
            format!("{authority}:{PORT}")
        } else {
            authority.to_owned()
        };
        Ok(EngineAddress { is_tls, authority })
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^(nats|tls)://[A-Za-z0-9._:\\[\\]-]+$" })
    }
}

/// The public half of an Ed25519 key that releases are signed with (RFC 8032 section 5.1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseKey(pub [u8; 32]);

impl ReleaseKey {
    /// The key in base64; `None`: it is none.
    pub fn of(text: &str) -> Option<ReleaseKey> {
        let octets = STANDARD.decode(text).ok()?;
        octets.try_into().ok().map(ReleaseKey)
    }
}

impl TextValue for ReleaseKey {
    fn expected() -> String {
        "a public key of 44 characters, as `meridian push --new-key` prints it".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        ReleaseKey::of(text).ok_or_else(ValueError::default)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$" })
    }
}

/// When the votes of a fleet decide.
#[derive(Debug, Clone, Copy)]
pub struct QuorumValue(pub QuorumRule);

impl ReadValue for QuorumValue {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
        let count = integer(item.value).filter(|count| (1..=512).contains(count));
        let rule = match (item.value.as_str(), count) {
            (Some("majority"), _) => Some(QuorumRule::Majority),
            (Some(text), _) => percent(text).map(QuorumRule::Percent),
            (None, count) => count
                .and_then(|count| u16::try_from(count).ok())
                .map(QuorumRule::Count),
        };
        if rule.is_none() {
            let expected = "\"majority\", a whole percentage from \"1%\" to \"100%\", or a number \
                            of groups from 1 to 512";
            item.refuse(expected, None, report);
        }
        rule.map(QuorumValue)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "pattern": "^(majority|[0-9]{1,3}%)$" },
            { "type": "integer", "minimum": 1, "maximum": 512 },
        ] })
    }
}

fn percent(text: &str) -> Option<u8> {
    let percent = text.strip_suffix('%')?.parse().ok()?;
    (1..=100).contains(&percent).then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_nats_servers_are_read_and_others_refused() {
        for (text, url) in [
            ("nats://127.0.0.1", "nats://127.0.0.1:4222"),
            ("tls://nats.example.com:4443", "tls://nats.example.com:4443"),
            ("nats://[2001:db8::1]", "nats://[2001:db8::1]:4222"),
            ("nats://[2001:db8::1]:1", "nats://[2001:db8::1]:1"),
        ] {
            assert_eq!(EngineAddress::from_text(text).unwrap().url(), url);
        }
        for bad in [
            "",
            "nats://",
            "127.0.0.1:4222",
            "http://127.0.0.1",
            "nats://a b",
            "nats://a:0",
            "nats://a:99999",
            "nats://u:p@a",
            "nats://a/b",
        ] {
            assert!(EngineAddress::from_text(bad).is_err(), "{bad}");
        }
    }
}

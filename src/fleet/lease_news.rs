//! What the servers of a fleet tell each other about leases.
//!
//! A [`LeaseMessage`] has the whole state of some leases that its server holds: an endpoint renews
//! again and again, so a lost message costs one renewal and nothing has to be acknowledged. Of two
//! messages about one lease the one with the later [`LeaseStamp`] counts, in whatever order they
//! arrive. A stamp is a hybrid of the wall clock and a counter (Kulkarni et al., "Logical Physical
//! Clocks", 2014): a renewal has the time, or one more than the latest stamp of that lease.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::bounds::{LONGEST_NAME, LONGEST_TEXT, MOST_LEASE_OCTETS, MOST_LEASES_AT_ONCE};

/// The greatest weight.
const MOST_WEIGHT: u32 = 1_000_000;
/// The longest time that a lease stays without being renewed, in seconds.
const LONGEST_LEASE: u64 = 86_400;
/// The version of the messages.
pub const VERSION: u8 = 1;

/// When a lease was begun, renewed or ended last, and by which server.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseStamp {
    /// Milliseconds since 1970 by the clock of that server, or one more than the stamp before.
    pub time: u64,
    /// The name of the server in its fleet.
    pub server: String,
}

/// The state of one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseNews {
    /// The service that the endpoint belongs to.
    pub service: String,
    /// The region that it joins.
    pub region: String,
    /// The address of the endpoint.
    pub address: IpAddr,
    /// 0..=1,000,000; 0 is a standby.
    pub weight: u32,
    /// The port that is probed, instead of the check's own port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How long it stays without being renewed, in seconds.
    pub ttl: u64,
    /// How much of that is left, in milliseconds; absent: the lease was ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// Who began or ended it.
    pub by: String,
    /// The time of its stamp; the server of the stamp is the one that publishes.
    pub time: u64,
}

/// A message about leases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseMessage {
    /// [`VERSION`].
    pub version: u8,
    /// The name of the fleet.
    pub fleet: String,
    /// The server asks all others for the leases that they hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
    /// At most [`MOST_LEASES_AT_ONCE`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<LeaseNews>,
}

/// Why octets are not a message about leases of this fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseMessageError {
    /// Longer than any message, in octets.
    TooLong(usize),
    /// It is no such message; the parser's clause.
    Damaged(String),
    /// A message of another version.
    OtherVersion(u8),
    /// A message of this other fleet.
    OtherFleet(String),
    /// More leases than a message may have, or a name or text that is too long.
    TooMuch(&'static str),
}

impl LeaseMessage {
    /// A message of a fleet, about these leases.
    pub fn of(fleet: &str, leases: Vec<LeaseNews>) -> LeaseMessage {
        LeaseMessage {
            version: VERSION,
            fleet: fleet.to_owned(),
            asks: false,
            leases,
        }
    }

    /// A message that asks all others for the leases that they hold.
    pub fn question(fleet: &str) -> LeaseMessage {
        LeaseMessage {
            asks: true,
            ..LeaseMessage::of(fleet, Vec::new())
        }
    }

    /// The message as octets.
    pub fn octets(&self) -> Vec<u8> {
        // Numbers, texts and addresses can always be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a message of the fleet `fleet`.
    ///
    /// # Errors
    /// It is too long, damaged, of another version or another fleet.
    pub fn read(octets: &[u8], fleet: &str) -> Result<LeaseMessage, LeaseMessageError> {
        if octets.len() > MOST_LEASE_OCTETS {
            return Err(LeaseMessageError::TooLong(octets.len()));
        }
        let version: MessageVersion = serde_json::from_slice(octets).map_err(damaged)?;
        if version.version != VERSION {
            return Err(LeaseMessageError::OtherVersion(version.version));
        }
        let message: LeaseMessage = serde_json::from_slice(octets).map_err(damaged)?;
        if message.fleet != fleet {
            return Err(LeaseMessageError::OtherFleet(message.fleet));
        }
        if message.leases.len() > MOST_LEASES_AT_ONCE {
            return Err(LeaseMessageError::TooMuch("leases"));
        }
        for lease in &message.leases {
            lease.check()?;
        }
        Ok(message)
    }
}

impl LeaseNews {
    fn check(&self) -> Result<(), LeaseMessageError> {
        // The longest domain name in presentation form, every octet escaped.
        if self.service.len() > 4 * 255 {
            return Err(LeaseMessageError::TooMuch("octets in a service"));
        }
        if self.region.len() > LONGEST_NAME {
            return Err(LeaseMessageError::TooMuch("octets in a region"));
        }
        if self.by.len() > LONGEST_TEXT {
            return Err(LeaseMessageError::TooMuch("octets in an author"));
        }
        if self.weight > MOST_WEIGHT || self.ttl > LONGEST_LEASE || self.port == Some(0) {
            let clause = "it has a lease with a weight, ttl or port that cannot be".to_owned();
            return Err(LeaseMessageError::Damaged(clause));
        }
        Ok(())
    }
}

/// The part of a message that every version has.
#[derive(Deserialize)]
struct MessageVersion {
    version: u8,
}

fn damaged(error: serde_json::Error) -> LeaseMessageError {
    LeaseMessageError::Damaged(error.to_string())
}

impl fmt::Display for LeaseMessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeaseMessageError::TooLong(octets) => write!(
                f,
                "has {octets} octets, and a message about leases has at most {MOST_LEASE_OCTETS}"
            ),
            LeaseMessageError::Damaged(clause) => write!(f, "cannot be read: {clause}"),
            LeaseMessageError::OtherVersion(version) => write!(
                f,
                "is of version {version}, and this server reads version {VERSION}; they understand \
                 each other when both run the same release"
            ),
            LeaseMessageError::OtherFleet(name) => write!(f, "is of the fleet \"{name}\""),
            LeaseMessageError::TooMuch(what) => write!(f, "has too many {what}"),
        }
    }
}

impl LeaseMessageError {
    /// A word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            LeaseMessageError::TooLong(_) => "too_long",
            LeaseMessageError::OtherVersion(_) => "other_version",
            LeaseMessageError::OtherFleet(_) => "other_fleet",
            LeaseMessageError::Damaged(_) | LeaseMessageError::TooMuch(_) => "damaged",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news() -> LeaseNews {
        LeaseNews {
            service: "www.example.com".to_owned(),
            region: "fra".to_owned(),
            address: "192.0.2.9".parse().unwrap(),
            weight: 100,
            port: Some(8080),
            ttl: 30,
            left: Some(29_500),
            by: "autoscaler".to_owned(),
            time: 1_700_000_000_000,
        }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = LeaseMessage::of(
            "world",
            vec![
                news(),
                LeaseNews {
                    left: None,
                    ..news()
                },
            ],
        );
        assert_eq!(LeaseMessage::read(&message.octets(), "world"), Ok(message));
        let question = LeaseMessage::question("world");
        assert_eq!(
            LeaseMessage::read(&question.octets(), "world"),
            Ok(question)
        );
    }

    #[test]
    fn what_is_no_message_of_this_fleet_is_refused_with_a_clause() {
        let other = LeaseMessage::of("moon", Vec::new()).octets();
        let later = br#"{"version":9,"something":"else"}"#;
        let long = vec![b' '; MOST_LEASE_OCTETS + 1];
        let many = LeaseMessage::of("world", vec![news(); MOST_LEASES_AT_ONCE + 1]).octets();
        let heavy = LeaseNews {
            weight: 1_000_001,
            ..news()
        };
        let heavy = LeaseMessage::of("world", vec![heavy]).octets();
        let name = LeaseNews {
            region: "x".repeat(64),
            ..news()
        };
        let name = LeaseMessage::of("world", vec![name]).octets();
        for (octets, word, clause) in [
            (other.as_slice(), "other_fleet", "is of the fleet \"moon\""),
            (later.as_slice(), "other_version", "is of version 9"),
            (long.as_slice(), "too_long", "octets"),
            (b"{", "damaged", "cannot be read"),
            (b"\xff\x00", "damaged", "cannot be read"),
            (many.as_slice(), "damaged", "too many leases"),
            (heavy.as_slice(), "damaged", "cannot be"),
            (name.as_slice(), "damaged", "too many octets in a region"),
        ] {
            let error = LeaseMessage::read(octets, "world").unwrap_err();
            assert_eq!(error.word(), word);
            assert!(error.to_string().contains(clause), "{error}");
        }
    }

    #[test]
    fn the_longest_list_of_leases_fits_into_a_message() {
        let longest = LeaseNews {
            service: "\\".repeat(4 * 255),
            region: "r".repeat(LONGEST_NAME),
            by: "\"".repeat(LONGEST_TEXT),
            address: "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap(),
            time: u64::MAX,
            ttl: u64::MAX,
            left: Some(u64::MAX),
            ..news()
        };
        let message = LeaseMessage::of("world", vec![longest; MOST_LEASES_AT_ONCE]);
        assert!(message.octets().len() <= MOST_LEASE_OCTETS);
    }
}

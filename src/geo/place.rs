//! Places: what the geodata know about the location of a client.
//!
//! A place is shared by all addresses of which the geodata say the same. Each part may be missing:
//! a database of countries has no coordinates, one of networks has nothing but AS numbers.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::steering::Point;

/// A short upper-case ASCII code: a country (ISO 3166-1 alpha-2), a continent (two letters) or a
/// subdivision (ISO 3166-2 without its country, up to three characters). Four octets, zero-padded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaceCode([u8; 4]);

impl PlaceCode {
    /// The text, padded with zeros.
    pub fn octets(self) -> [u8; 4] {
        self.0
    }

    /// The text of the code.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|&octet| octet == 0).unwrap_or(4);
        std::str::from_utf8(&self.0[..length]).unwrap_or("")
    }
}

impl FromStr for PlaceCode {
    type Err = ();

    /// One to four ASCII letters or digits, in any case.
    fn from_str(text: &str) -> Result<Self, ()> {
        let octets = text.as_bytes();
        if octets.is_empty() || octets.len() > 4 || !octets.iter().all(u8::is_ascii_alphanumeric) {
            return Err(());
        }
        let mut code = [0; 4];
        code[..octets.len()].copy_from_slice(octets);
        code.make_ascii_uppercase();
        Ok(PlaceCode(code))
    }
}

impl fmt::Display for PlaceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PlaceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A distinct place with its AS number. Every field may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Place {
    /// The assumed location of the client; `None` = unknown, never 0,0.
    pub point: Option<Point>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<PlaceCode>,
    /// AF AN AS EU NA OC SA.
    pub continent: Option<PlaceCode>,
    /// ISO 3166-2 without the country part: `CA` of `US-CA`.
    pub subdivision: Option<PlaceCode>,
    /// Autonomous system number; 0 is none (RFC 7607).
    pub asn: Option<NonZeroU32>,
    /// The source of the location: an index into the atlas' sources.
    pub source: u8,
    /// Whether only the country is known, so that `point` is a default point.
    pub coarse: bool,
}

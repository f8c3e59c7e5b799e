//! The location of an address and the sources of the geodata, in JSON and as text.
//!
//! `meridian locate`, `meridian explain` and the API share these structures. They are copies of
//! what the [`Atlas`] holds, with codes as strings and times as numbers, so clients can parse them
//! back.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::geo::{Atlas, DataSource, PlaceCode, PlaceId, SourceKind, locations};

/// The location of an address according to the geodata. Every part may be unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceFacts {
    /// The country's ISO 3166-1 alpha-2 code.
    pub country: Option<String>,
    /// The country's English name.
    pub country_name: Option<String>,
    /// The subdivision's ISO 3166-2 code, without the country part.
    pub subdivision: Option<String>,
    /// The continent: `AF`, `AN`, `AS`, `EU`, `NA`, `OC` or `SA`.
    pub continent: Option<String>,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// The autonomous system number.
    pub asn: Option<u32>,
    /// The source of these data: `geo.networks`, or the name of a database or the built-in table.
    pub source: Option<String>,
    /// Whether only the country or state is known, so that the coordinates are its centre.
    pub coarse: bool,
    /// Whether the address is private or special-purpose, and so has no location.
    pub unroutable: bool,
}

impl PlaceFacts {
    /// Looks an address up. It must not be an IPv6 address that embeds an IPv4 address.
    pub fn of(atlas: &Atlas, address: IpAddr) -> PlaceFacts {
        let id = atlas.locate(address).place;
        let place = atlas.place(id);
        let is_known = id != PlaceId::UNKNOWN && id != PlaceId::UNROUTABLE;
        let source = if is_known {
            atlas.sources().get(usize::from(place.source))
        } else {
            None
        };
        let country_name = place.country.and_then(locations::country_name);
        PlaceFacts {
            country: code_text(place.country),
            country_name: country_name.map(str::to_owned),
            subdivision: code_text(place.subdivision),
            continent: code_text(place.continent),
            latitude: place.point.map(|point| point.latitude()),
            longitude: place.point.map(|point| point.longitude()),
            asn: place.asn.map(NonZeroU32::get),
            source: source.map(|source| source.name.clone()),
            coarse: place.coarse,
            unroutable: id == PlaceId::UNROUTABLE,
        }
    }

    /// `DE-HE`, or the country alone.
    fn code(&self) -> Option<String> {
        match (&self.country, &self.subdivision) {
            (Some(country), Some(subdivision)) => Some(format!("{country}-{subdivision}")),
            (country, _) => country.clone(),
        }
    }

    fn point(&self) -> Option<String> {
        let (latitude, longitude) = self.latitude.zip(self.longitude)?;
        Some(format!("{latitude:.2},{longitude:.2}"))
    }
}

fn code_text(code: Option<PlaceCode>) -> Option<String> {
    code.map(|code| code.to_string())
}

impl fmt::Display for PlaceFacts {
    /// Formats the location like `DE-BE, 52.52,13.40`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code(), self.point()) {
            (Some(code), Some(point)) => write!(f, "{code}, {point}"),
            (Some(one), None) | (None, Some(one)) => f.write_str(&one),
            (None, None) if self.unroutable => f.write_str("private or special-purpose space"),
            (None, None) => f.write_str("unknown location"),
        }
    }
}

/// One source of geodata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceFacts {
    /// The name that the source gives itself.
    pub name: String,
    /// `operator`, `database` or `built-in`.
    pub kind: String,
    /// The file that it was read from, if any.
    pub path: Option<String>,
    /// When the data were built, in seconds since 1970; absent if unknown.
    pub built: Option<u64>,
    /// The age of the data in days; absent if unknown.
    pub age_days: Option<u64>,
}

impl SourceFacts {
    /// Describes a source; its age is counted until `now`.
    pub fn of(source: &DataSource, now: SystemTime) -> SourceFacts {
        let built = source
            .built
            .and_then(|built| built.duration_since(UNIX_EPOCH).ok());
        let age = source
            .built
            .and_then(|built| now.duration_since(built).ok());
        SourceFacts {
            name: source.name.clone(),
            kind: kind_word(source.kind).to_owned(),
            path: source.path.as_ref().map(|path| path.display().to_string()),
            built: built.map(|built| built.as_secs()),
            age_days: age.map(|age| age.as_secs() / 86_400),
        }
    }
}

fn kind_word(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Operator => "operator",
        SourceKind::Database => "database",
        SourceKind::BuiltIn => "built-in",
    }
}

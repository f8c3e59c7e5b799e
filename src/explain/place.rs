//! The place of an address and the sources of geodata, as JSON and as text.

use std::fmt;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::geo::{Atlas, DataSource, PlaceCode, PlaceId, SourceKind, locations};

/// What the geodata say of an address. Every part may be unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceFacts {
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The country's English name.
    pub country_name: Option<String>,
    /// ISO 3166-2 without the country part.
    pub subdivision: Option<String>,
    /// AF AN AS EU NA OC SA.
    pub continent: Option<String>,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// Autonomous system number.
    pub asn: Option<u32>,
    /// Who says so: `geo.networks`, a database's own name, or the built-in table's.
    pub source: Option<String>,
    /// Only the country or state is known, so the coordinates are its middle.
    pub coarse: bool,
    /// Private or special-purpose space, which is nowhere.
    pub unroutable: bool,
}

impl PlaceFacts {
    /// What an atlas says of an address, which must not be an IPv6 form of an IPv4 one.
    pub fn of(atlas: &Atlas, address: IpAddr) -> PlaceFacts {
        let id = atlas.locate(address).place;
        let place = atlas.place(id);
        let text = |code: Option<PlaceCode>| code.map(|code| code.to_string());
        let known = id != PlaceId::UNKNOWN && id != PlaceId::UNROUTABLE;
        let source = atlas
            .sources()
            .get(usize::from(place.source))
            .filter(|_| known);
        PlaceFacts {
            country: text(place.country),
            country_name: place
                .country
                .and_then(locations::country_name)
                .map(str::to_owned),
            subdivision: text(place.subdivision),
            continent: text(place.continent),
            latitude: place.point.map(|point| point.latitude()),
            longitude: place.point.map(|point| point.longitude()),
            asn: place.asn,
            source: source.map(|source| source.name.clone()),
            coarse: place.coarse,
            unroutable: id == PlaceId::UNROUTABLE,
        }
    }
}

impl fmt::Display for PlaceFacts {
    /// `DE-BE, 52.52,13.40`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match (&self.country, &self.subdivision) {
            (Some(country), Some(subdivision)) => Some(format!("{country}-{subdivision}")),
            (country, _) => country.clone(),
        };
        let point = self.latitude.zip(self.longitude);
        let point = point.map(|(latitude, longitude)| format!("{latitude:.2},{longitude:.2}"));
        match (code, point) {
            (Some(code), Some(point)) => write!(f, "{code}, {point}"),
            (Some(one), None) | (None, Some(one)) => f.write_str(&one),
            (None, None) if self.unroutable => f.write_str("private or special-purpose space"),
            (None, None) => f.write_str("nobody knows where"),
        }
    }
}

/// One source of geodata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceFacts {
    /// What it calls itself.
    pub name: String,
    /// `operator`, `database` or `built-in`.
    pub kind: String,
    /// The file, if it is one.
    pub path: Option<String>,
    /// When the data were built, in seconds since 1970; absent if unknown.
    pub built: Option<u64>,
    /// How old the data are, in days.
    pub age_days: Option<u64>,
}

impl SourceFacts {
    /// What a source is at a time.
    pub fn of(source: &DataSource, now: SystemTime) -> SourceFacts {
        let kind = match source.kind {
            SourceKind::Operator => "operator",
            SourceKind::Database => "database",
            SourceKind::BuiltIn => "built-in",
        };
        let built = source
            .built
            .and_then(|built| built.duration_since(UNIX_EPOCH).ok());
        let age = source
            .built
            .and_then(|built| now.duration_since(built).ok());
        SourceFacts {
            name: source.name.clone(),
            kind: kind.to_owned(),
            path: source.path.as_ref().map(|path| path.display().to_string()),
            built: built.map(|built| built.as_secs()),
            age_days: age.map(|age| age.as_secs() / 86_400),
        }
    }
}

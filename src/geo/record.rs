//! Reads one record of a database, in any of the known layouts.
//!
//! MaxMind's own files are nested (`country.iso_code`, `location.latitude`). The files of
//! ip-location-db and IPinfo are flat (`country_code` or `country`, `latitude`). A field of an
//! unexpected type counts as unknown, so one odd record does not make the whole file unusable.

use super::PlaceCode;
use super::values::{DamagedValue, MapProgress, MmdbItem, MmdbValue, ValueReader};
use crate::steering::Point;

/// Codes that mean an unknown country: MaxMind's old codes for Asia and Europe, and user-assigned
/// codes of ISO 3166-1.
const NO_COUNTRIES: [&str; 4] = ["AP", "EU", "XX", "ZZ"];

/// A decoded record, borrowed from the file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GeoRecord<'a> {
    /// ISO 3166-1 alpha-2.
    pub country: Option<PlaceCode>,
    /// Two letters.
    pub continent: Option<PlaceCode>,
    /// The part of ISO 3166-2 behind the country.
    pub subdivision: Option<PlaceCode>,
    /// The name of the subdivision: flat layouts have no code.
    pub subdivision_name: Option<&'a str>,
    /// The coordinates, if any; 0,0 in the Gulf of Guinea counts as none.
    pub point: Option<Point>,
    /// Kilometres.
    pub accuracy_radius: Option<f64>,
    /// Whether a city or a subdivision is named.
    pub is_local: bool,
    /// Autonomous system number; 0 is none (RFC 7607).
    pub asn: Option<u32>,
}

impl<'a> GeoRecord<'a> {
    /// The record at an offset of the data section. Fields that are not needed are not followed:
    /// each lies elsewhere in a large file, and cache misses dominate the cost.
    pub fn read(values: &mut ValueReader<'a>, at: usize) -> Result<Self, DamagedValue> {
        values.begin();
        let mut fields = Fields::default();
        let record = values.item(at)?;
        values.entries(&record, |_, key, at| {
            fields.note(key, at);
            Ok(MapProgress::No)
        })?;
        fields.record(values)
    }

    /// Whether the record covers a whole country, so that its coordinates are a default point.
    pub fn is_coarse(&self) -> bool {
        !self.is_local || self.accuracy_radius.is_some_and(|radius| radius >= 500.0)
    }
}

/// The offsets of the fields of both layouts.
#[derive(Debug, Default)]
struct Fields {
    country: Option<usize>,
    country_code: Option<usize>,
    registered_country: Option<usize>,
    continent: Option<usize>,
    continent_code: Option<usize>,
    subdivisions: Option<usize>,
    state1: Option<usize>,
    city: Option<usize>,
    location: Option<usize>,
    latitude: Option<usize>,
    longitude: Option<usize>,
    autonomous_system_number: Option<usize>,
    asn: Option<usize>,
}

impl Fields {
    #[inline]
    fn note(&mut self, key: &[u8], at: usize) {
        let field = match key {
            b"country" => &mut self.country,
            b"country_code" => &mut self.country_code,
            b"registered_country" => &mut self.registered_country,
            b"continent" => &mut self.continent,
            b"continent_code" => &mut self.continent_code,
            b"subdivisions" => &mut self.subdivisions,
            b"state1" => &mut self.state1,
            b"city" => &mut self.city,
            b"location" => &mut self.location,
            b"latitude" => &mut self.latitude,
            b"longitude" => &mut self.longitude,
            b"autonomous_system_number" => &mut self.autonomous_system_number,
            b"asn" => &mut self.asn,
            _ => return,
        };
        *field = Some(at);
    }

    fn record<'a>(&self, values: &mut ValueReader<'a>) -> Result<GeoRecord<'a>, DamagedValue> {
        let location = Location::read(values, self.location)?;
        let subdivision = first_code(values, self.subdivisions)?;
        let subdivision_name = Scalar::read(values, self.state1)?.text();
        let asn = first_of(
            values,
            [self.autonomous_system_number, self.asn],
            Scalar::asn,
        )?;
        let country = first_of(values, [self.country, self.country_code], Scalar::country)?;
        Ok(GeoRecord {
            country: match (country, asn) {
                // The country of registration, if the country of use is unknown.
                (None, None) => Scalar::read(values, self.registered_country)?.country(),
                _ => country,
            },
            continent: first_of(values, [self.continent, self.continent_code], |scalar| {
                scalar.letters(2)
            })?,
            subdivision: subdivision.and_then(|code| code.parse().ok()),
            subdivision_name,
            point: self.point(&location, values)?,
            accuracy_radius: location.accuracy_radius.number(),
            is_local: subdivision.is_some()
                || subdivision_name.is_some()
                || is_named(values, self.city)?,
            asn,
        })
    }

    fn point(
        &self,
        location: &Location<'_>,
        values: &mut ValueReader<'_>,
    ) -> Result<Option<Point>, DamagedValue> {
        let latitude = location
            .latitude
            .number
            .or(Scalar::read(values, self.latitude)?.number());
        let longitude = location
            .longitude
            .number
            .or(Scalar::read(values, self.longitude)?.number());
        let stated = latitude.zip(longitude).filter(|&point| point != (0.0, 0.0));
        Ok(stated.and_then(|(latitude, longitude)| Point::new(latitude, longitude).ok()))
    }
}

/// The meaning of the first of these fields that has one.
fn first_of<'a, T>(
    values: &mut ValueReader<'a>,
    fields: [Option<usize>; 2],
    meaning: impl Fn(&Scalar<'a>) -> Option<T>,
) -> Result<Option<T>, DamagedValue> {
    for at in fields.into_iter().flatten() {
        if let Some(found) = meaning(&Scalar::read(values, Some(at))?) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The code of the first map of a list.
fn first_code<'a>(
    values: &mut ValueReader<'a>,
    list: Option<usize>,
) -> Result<Option<&'a str>, DamagedValue> {
    let Some(at) = list else { return Ok(None) };
    let list = values.item(at)?;
    let first = ValueReader::first(&list);
    Ok(Scalar::read(values, first)?.code)
}

/// MaxMind's `location`.
#[derive(Default)]
struct Location<'a> {
    latitude: Scalar<'a>,
    longitude: Scalar<'a>,
    accuracy_radius: Scalar<'a>,
}

impl<'a> Location<'a> {
    fn read(values: &mut ValueReader<'a>, at: Option<usize>) -> Result<Self, DamagedValue> {
        let mut location = Location::default();
        let Some(at) = at else { return Ok(location) };
        let map = values.item(at)?;
        values.entries(&map, |values, key, at| {
            match key {
                b"latitude" => location.latitude = Scalar::read(values, Some(at))?,
                b"longitude" => location.longitude = Scalar::read(values, Some(at))?,
                b"accuracy_radius" => location.accuracy_radius = Scalar::read(values, Some(at))?,
                _ => {}
            }
            Ok(MapProgress::No)
        })?;
        Ok(location)
    }
}

/// A text, a number, or a map that stands for its `iso_code` or `code`.
#[derive(Debug, Clone, Copy, Default)]
struct Scalar<'a> {
    text: Option<&'a str>,
    number: Option<f64>,
    code: Option<&'a str>,
}

impl<'a> Scalar<'a> {
    /// The value at an offset; an empty scalar without an offset.
    #[inline]
    fn read(values: &mut ValueReader<'a>, at: Option<usize>) -> Result<Self, DamagedValue> {
        let mut scalar = Scalar::default();
        let Some(at) = at else { return Ok(scalar) };
        let target = values.target(at)?;
        if let Some(code) = target.and_then(|target| values.shared(target)) {
            return Ok(Scalar { code, ..scalar });
        }
        let item = values.item(target.unwrap_or(at))?;
        match item.value {
            MmdbValue::Text(text) => scalar.text = std::str::from_utf8(text).ok(),
            MmdbValue::Number(number) => scalar.number = Some(number),
            MmdbValue::Map(_) => {
                scalar.code = code_of(values, &item)?;
                if let Some(target) = target {
                    values.share(target, scalar.code);
                }
            }
            MmdbValue::List(_) | MmdbValue::Other => {}
        }
        Ok(scalar)
    }

    fn text(&self) -> Option<&'a str> {
        self.text.filter(|text| !text.is_empty())
    }

    fn letters(&self, count: usize) -> Option<PlaceCode> {
        let text = self.code.or(self.text)?;
        text.parse().ok().filter(|_| {
            text.len() == count && text.bytes().all(|octet| octet.is_ascii_alphabetic())
        })
    }

    fn country(&self) -> Option<PlaceCode> {
        self.letters(2)
            .filter(|code| !NO_COUNTRIES.contains(&code.as_str()))
    }

    fn number(&self) -> Option<f64> {
        self.number.or_else(|| self.text?.trim().parse().ok())
    }

    fn asn(&self) -> Option<u32> {
        let asn = match self.number {
            Some(number) if number.fract() == 0.0 => number as u32,
            _ => {
                let digits = self.text?.trim_start_matches(['A', 'S', 'a', 's']);
                digits.parse().ok()?
            }
        };
        if asn == 0 { None } else { Some(asn) }
    }
}

/// Whether a city is named: by a text, or by a map with entries. They are not read, because there are
/// about as many cities as records.
fn is_named(values: &mut ValueReader<'_>, at: Option<usize>) -> Result<bool, DamagedValue> {
    let Some(at) = at else { return Ok(false) };
    Ok(match values.item(at)?.value {
        MmdbValue::Text(text) => !text.is_empty() && std::str::from_utf8(text).is_ok(),
        MmdbValue::Map(entries) => entries > 0,
        MmdbValue::Number(_) | MmdbValue::List(_) | MmdbValue::Other => false,
    })
}

/// The code of a map; names and other entries are not read.
fn code_of<'a>(
    values: &mut ValueReader<'a>,
    map: &MmdbItem<'a>,
) -> Result<Option<&'a str>, DamagedValue> {
    let mut code = None;
    values.entries(map, |values, key, at| {
        if !matches!(key, b"iso_code" | b"code") {
            return Ok(MapProgress::No);
        }
        if let MmdbValue::Text(text) = values.item(at)?.value {
            code = std::str::from_utf8(text)
                .ok()
                .filter(|text| !text.is_empty());
        }
        Ok(MapProgress::Yes)
    })?;
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::super::values::tests::encode;
    use super::*;

    /// Leaks a few octets, so that the tests can be written in a line each.
    fn record(json: &str) -> GeoRecord<'static> {
        let octets = encode(&serde_json::from_str(json).unwrap());
        GeoRecord::read(&mut ValueReader::new(octets.leak()), 0).unwrap()
    }

    #[test]
    fn the_nested_layout() {
        let found = record(
            r#"{"city":{"geoname_id":1,"names":{"de":"x","en":"Eugene"}},"continent":{"code":"NA"},
            "country":{"iso_code":"US","names":{}},"location":{"accuracy_radius":20,"latitude":44.0,"longitude":-123.0},
            "registered_country":{"iso_code":"CA"},
            "subdivisions":[{"iso_code":"OR","names":{"en":"Oregon"}},{"iso_code":"X"}]}"#,
        );
        assert_eq!(
            (
                found.country.unwrap().as_str(),
                found.continent.unwrap().as_str()
            ),
            ("US", "NA")
        );
        assert_eq!(
            (found.subdivision.unwrap().as_str(), found.subdivision_name),
            ("OR", None)
        );
        assert_eq!(found.point, Point::new(44.0, -123.0).ok());
        assert!(found.is_local && !found.is_coarse());
    }

    #[test]
    fn the_flat_layouts() {
        let found = record(
            r#"{"country_code":"DE","state1":"Hesse","city":"","latitude":"50.1","longitude":8.6}"#,
        );
        assert_eq!(
            (found.country.unwrap().as_str(), found.subdivision_name),
            ("DE", Some("Hesse"))
        );
        assert_eq!(
            (found.point, found.accuracy_radius.is_some()),
            (Point::new(50.1, 8.6).ok(), false)
        );
        let found = record(r#"{"country":"FR","asn":"AS3215"}"#);
        assert_eq!(
            (found.country.unwrap().as_str(), found.asn),
            ("FR", Some(3215))
        );
        assert_eq!(
            record(r#"{"autonomous_system_number":64500}"#).asn,
            Some(64500)
        );
    }

    #[test]
    fn where_a_network_is_registered_counts_for_want_of_better() {
        let registered =
            record(r#"{"registered_country":{"names":{"en":"Chile"},"iso_code":"CL"}}"#);
        assert_eq!(registered.country.unwrap().as_str(), "CL");
        assert_eq!(
            record(r#"{"registered_country":{"iso_code":"CL"},"asn":64500}"#).country,
            None
        );
    }

    #[test]
    fn country_records_are_coarse() {
        assert!(
            record(
                r#"{"country":{"iso_code":"US"},"location":{"latitude":37.7,"longitude":-97.8}}"#
            )
            .is_coarse()
        );
        assert!(
            record(r#"{"city":"X","country_code":"US","location":{"accuracy_radius":500}}"#)
                .is_coarse()
        );
    }

    #[test]
    fn odd_types_are_unknown() {
        let odd = r#"{"country":[1,{"a":[]}],"city":false,"location":"there","subdivisions":{"iso_code":"X"},
            "latitude":91,"longitude":8,"asn":0,"autonomous_system_number":{"x":1},"country_code":"DEU"}"#;
        assert_eq!(record(odd), GeoRecord::default());
        assert_eq!(
            record(r#"{"country_code":"DE","latitude":0,"longitude":0}"#).point,
            None
        );
    }
}

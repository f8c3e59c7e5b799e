//! One record of a database, whichever layout it has.
//!
//! MaxMind's own files are nested (`country.iso_code`, `location.latitude`), those of ip-location-db and IPinfo are
//! flat (`country_code` or `country`, `latitude`). Every field is read leniently: a field of another type than
//! expected is unknown, so that one odd record does not cost the whole file.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Code;
use crate::steering::Point;

/// What a record says of its networks; borrowed from the file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Record<'a> {
    /// ISO 3166-1 alpha-2.
    pub country: Option<Code>,
    /// Two letters.
    pub continent: Option<Code>,
    /// The part of ISO 3166-2 behind the country.
    pub subdivision: Option<Code>,
    /// The subdivision in words: flat layouts have no code.
    pub subdivision_name: Option<&'a str>,
    /// The coordinates, if there are any; 0,0 in the Gulf of Guinea counts as none.
    pub point: Option<Point>,
    /// Kilometres.
    pub accuracy_radius: Option<f64>,
    /// Whether a city is named.
    pub has_city: bool,
    /// Autonomous system number; 0 is none (RFC 7607).
    pub asn: Option<u32>,
}

impl<'a> Record<'a> {
    /// The record speaks of the country as a whole, so its coordinates are the country's default point.
    pub fn is_coarse(&self) -> bool {
        let named = self.has_city || self.subdivision.is_some() || self.subdivision_name.is_some();
        !named || self.accuracy_radius.is_some_and(|radius| radius >= 500.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Fields::deserialize(deserializer).map(Record::from)
    }
}

/// The fields of both layouts, as they stand.
#[derive(serde::Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Fields<'a> {
    #[serde(borrow)]
    country: Scalar<'a>,
    #[serde(borrow)]
    country_code: Scalar<'a>,
    #[serde(borrow)]
    continent: Scalar<'a>,
    #[serde(borrow)]
    continent_code: Scalar<'a>,
    #[serde(borrow)]
    subdivisions: First<'a>,
    #[serde(borrow)]
    state1: Scalar<'a>,
    #[serde(borrow)]
    city: Scalar<'a>,
    #[serde(borrow)]
    location: Location<'a>,
    #[serde(borrow)]
    latitude: Scalar<'a>,
    #[serde(borrow)]
    longitude: Scalar<'a>,
    #[serde(borrow)]
    autonomous_system_number: Scalar<'a>,
    #[serde(borrow)]
    asn: Scalar<'a>,
}

impl<'a> From<Fields<'a>> for Record<'a> {
    fn from(fields: Fields<'a>) -> Self {
        let Fields { location, subdivisions: First(subdivision), .. } = fields;
        let latitude = location.latitude.number.or(fields.latitude.number());
        let longitude = location.longitude.number.or(fields.longitude.number());
        Record {
            country: fields.country.country().or(fields.country_code.country()),
            continent: fields.continent.letters(2).or(fields.continent_code.letters(2)),
            subdivision: subdivision.code.and_then(|code| code.parse().ok()),
            subdivision_name: fields.state1.text(),
            point: latitude.zip(longitude).filter(|&point| point != (0.0, 0.0)).and_then(point),
            accuracy_radius: location.accuracy_radius.number(),
            has_city: fields.city.is_named(),
            asn: fields.autonomous_system_number.asn().or(fields.asn.asn()),
        }
    }
}

fn point((latitude, longitude): (f64, f64)) -> Option<Point> {
    Point::new(latitude, longitude).ok()
}

/// MaxMind's `location`.
#[derive(Default)]
struct Location<'a> {
    latitude: Scalar<'a>,
    longitude: Scalar<'a>,
    accuracy_radius: Scalar<'a>,
}

/// A text, a number, or a map that stands for its `iso_code` or `code`.
#[derive(Debug, Clone, Copy, Default)]
struct Scalar<'a> {
    text: Option<&'a str>,
    number: Option<f64>,
    code: Option<&'a str>,
    /// It is a map with anything in it: MaxMind's `city` is one without a code.
    is_filled: bool,
}

impl<'a> Scalar<'a> {
    fn text(&self) -> Option<&'a str> {
        self.text.filter(|text| !text.is_empty())
    }

    fn letters(&self, count: usize) -> Option<Code> {
        let text = self.code.or(self.text)?;
        text.parse().ok().filter(|_| text.len() == count && text.bytes().all(|octet| octet.is_ascii_alphabetic()))
    }

    fn country(&self) -> Option<Code> {
        self.letters(2)
    }

    fn number(&self) -> Option<f64> {
        self.number.or_else(|| self.text?.trim().parse().ok())
    }

    fn is_named(&self) -> bool {
        self.text().is_some() || self.is_filled
    }

    fn asn(&self) -> Option<u32> {
        let spelled = || self.text?.trim_start_matches(['A', 'S', 'a', 's']).parse().ok();
        let number = self.number.filter(|number| number.fract() == 0.0).map(|number| number as u32);
        number.or_else(spelled).filter(|&asn| asn != 0)
    }
}

/// The first element of a list.
#[derive(Default)]
struct First<'a>(Scalar<'a>);

/// The keys of the maps inside a record.
#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    IsoCode,
    Code,
    Latitude,
    Longitude,
    AccuracyRadius,
    #[serde(other)]
    Other,
}

/// Reads any value into a `T`, by whichever of these methods fits; the rest of the value is passed over.
trait Lenient<'a>: Default {
    fn text(&mut self, _text: &'a str) {}
    fn number(&mut self, _number: f64) {}
    fn entry<M: MapAccess<'a>>(&mut self, _key: Key, map: &mut M) -> Result<(), M::Error> {
        map.next_value::<IgnoredAny>().map(drop)
    }
    fn first<S: SeqAccess<'a>>(&mut self, _list: &mut S) -> Result<(), S::Error> {
        Ok(())
    }
}

impl<'a> Lenient<'a> for Scalar<'a> {
    fn text(&mut self, text: &'a str) {
        self.text = Some(text);
    }

    fn number(&mut self, number: f64) {
        self.number = Some(number);
    }

    fn entry<M: MapAccess<'a>>(&mut self, key: Key, map: &mut M) -> Result<(), M::Error> {
        match key {
            Key::IsoCode | Key::Code => self.code = map.next_value::<Scalar>()?.text(),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        self.is_filled = true;
        Ok(())
    }
}

impl<'a> Lenient<'a> for Location<'a> {
    fn entry<M: MapAccess<'a>>(&mut self, key: Key, map: &mut M) -> Result<(), M::Error> {
        match key {
            Key::Latitude => self.latitude = map.next_value()?,
            Key::Longitude => self.longitude = map.next_value()?,
            Key::AccuracyRadius => self.accuracy_radius = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<'a> Lenient<'a> for First<'a> {
    fn first<S: SeqAccess<'a>>(&mut self, list: &mut S) -> Result<(), S::Error> {
        self.0 = list.next_element()?.unwrap_or_default();
        Ok(())
    }
}

struct LenientVisitor<'a, T>(PhantomData<(&'a (), T)>);

impl<'a, T: Lenient<'a>> LenientVisitor<'a, T> {
    fn made<E>(fill: impl FnOnce(&mut T)) -> Result<T, E> {
        let mut value = T::default();
        fill(&mut value);
        Ok(value)
    }
}

impl<'a, T: Lenient<'a>> Visitor<'a> for LenientVisitor<'a, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<T, E> {
        Self::made(|value| value.text(text))
    }

    fn visit_str<E>(self, _: &str) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Self::made(|value| value.number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Self::made(|value| value.number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Self::made(|value| value.number(number as f64))
    }

    fn visit_u128<E>(self, _: u128) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<T, M::Error> {
        let mut value = T::default();
        while let Some(key) = map.next_key::<Key>()? {
            value.entry(key, &mut map)?;
        }
        Ok(value)
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut list: S) -> Result<T, S::Error> {
        let mut value = T::default();
        value.first(&mut list)?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(value)
    }
}

macro_rules! deserialize_leniently {
    ($($name:ident)+) => {$(
        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(LenientVisitor(PhantomData))
            }
        }
    )+};
}

deserialize_leniently!(Scalar Location First);

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &str) -> Record<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_nested_layout() {
        let found = record(
            r#"{"city":{"geoname_id":1,"names":{"de":"x","en":"Eugene"}},"continent":{"code":"NA"},
            "country":{"iso_code":"US","names":{}},"location":{"accuracy_radius":20,"latitude":44.0,"longitude":-123.0},
            "registered_country":{"iso_code":"CA"},
            "subdivisions":[{"iso_code":"OR","names":{"en":"Oregon"}},{"iso_code":"X"}]}"#,
        );
        assert_eq!((found.country.unwrap().as_str(), found.continent.unwrap().as_str()), ("US", "NA"));
        assert_eq!((found.subdivision.unwrap().as_str(), found.subdivision_name), ("OR", None));
        assert_eq!(found.point, Point::new(44.0, -123.0).ok());
        assert!(found.has_city && !found.is_coarse());
    }

    #[test]
    fn the_flat_layouts() {
        let found = record(r#"{"country_code":"DE","state1":"Hesse","city":"","latitude":"50.1","longitude":8.6}"#);
        assert_eq!((found.country.unwrap().as_str(), found.subdivision_name), ("DE", Some("Hesse")));
        assert_eq!((found.point, found.has_city), (Point::new(50.1, 8.6).ok(), false));
        let found = record(r#"{"country":"FR","asn":"AS3215"}"#);
        assert_eq!((found.country.unwrap().as_str(), found.asn), ("FR", Some(3215)));
        assert_eq!(record(r#"{"autonomous_system_number":64500}"#).asn, Some(64500));
    }

    #[test]
    fn country_records_are_coarse() {
        assert!(record(r#"{"country":{"iso_code":"US"},"location":{"latitude":37.7,"longitude":-97.8}}"#).is_coarse());
        assert!(record(r#"{"city":"X","country_code":"US","location":{"accuracy_radius":500}}"#).is_coarse());
    }

    #[test]
    fn odd_types_are_unknown() {
        let odd = r#"{"country":[1,{"a":[]}],"city":false,"location":"there","subdivisions":{"iso_code":"X"},
            "latitude":91,"longitude":8,"asn":0,"autonomous_system_number":{"x":1},"country_code":"DEU"}"#;
        assert_eq!(record(odd), Record::default());
        assert_eq!(record(r#"{"country_code":"DE","latitude":0,"longitude":0}"#).point, None);
    }
}

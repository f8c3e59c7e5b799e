//! Addresses and places: listen addresses, endpoints, networks, countries and locations.
//!
//! Every type refuses what is well formed but useless, such as an endpoint that no client can
//! connect to or a network with host bits. Countries and places are looked up in the built-in
//! geodata.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::plain::integer;
use crate::config::document::{
    ConfigReport, DocumentItem, ReadValue, TextValue, ValueError, nearest,
};
use crate::geo::groups::{self, CountryGroup, GROUPS};
use crate::geo::{PlaceCode, locations};
use crate::net::Cidr;
use crate::steering::Point;

impl TextValue for SocketAddr {
    fn expected() -> String {
        "an address with a port, such as \"192.0.2.1:53\" or \"[2001:db8::1]:53\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        text.parse().map_err(|_| ValueError::default())
    }
}

impl TextValue for IpAddr {
    fn expected() -> String {
        "an address, such as \"192.0.2.53\" or \"2001:db8::53\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        text.parse().map_err(|_| ValueError::default())
    }
}

/// Where the admin server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminListen {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl TextValue for AdminListen {
    fn expected() -> String {
        "an address with a port or \"unix:\" and a path".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        match text.strip_prefix("unix:") {
            Some(path) => PathBuf::from_text(path).map(AdminListen::Unix),
            None => SocketAddr::from_text(text).map(AdminListen::Tcp),
        }
    }
}

/// An address with a port, which is `PORT` where none is written.
#[derive(Debug, Clone, Copy)]
pub struct ListenAddress<const PORT: u16>(pub SocketAddr);

impl<const PORT: u16> TextValue for ListenAddress<PORT> {
    fn expected() -> String {
        format!(
            "an address, with a port if it is not {PORT}, such as \"192.0.2.1\" or \"[2001:db8::1]:{PORT}\""
        )
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(ListenAddress(address));
        }
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(ListenAddress(SocketAddr::new(address, PORT))),
            Err(_) => Err(ValueError::default()),
        }
    }
}

/// The address of an endpoint: one that a client can connect to.
#[derive(Debug, Clone, Copy)]
pub struct EndpointAddress(pub IpAddr);

impl TextValue for EndpointAddress {
    fn expected() -> String {
        "an IP address".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        let Ok(address) = text.parse::<IpAddr>() else {
            return Err(not_an_address(text));
        };
        if let Some(mapped) = mapped_ipv4(address) {
            let sentence = format!("\"{text}\" is an IPv4 address in IPv6 form");
            return Err(ValueError::with_hint(sentence, Some(mapped.to_string())));
        }
        let broadcast = address == IpAddr::from([255; 4]);
        if address.is_unspecified() || address.is_multicast() || broadcast {
            return Err(format!("\"{text}\" is no address that a client can connect to").into());
        }
        Ok(EndpointAddress(address))
    }
}

fn not_an_address(text: &str) -> ValueError {
    match text.parse::<SocketAddr>() {
        Ok(with_port) => {
            let (address, port) = (with_port.ip(), with_port.port());
            let instead =
                format!("write {{ address = \"{address}\", port = {port} }} to check another port");
            format!(
                "DNS gives addresses, not ports, so \"{text}\" cannot be an endpoint; {instead}"
            )
            .into()
        }
        Err(_) => ValueError::default(),
    }
}

fn mapped_ipv4(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map(IpAddr::V4),
        IpAddr::V4(_) => None,
    }
}

impl TextValue for Cidr {
    fn expected() -> String {
        "a network, such as \"192.0.2.0/24\" or \"2001:db8::/32\"".to_owned()
    }

    /// A bare address is the network of that one address.
    fn from_text(text: &str) -> Result<Self, ValueError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ValueError::default())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) => prefix_length(digits, bits).ok_or_else(ValueError::default)?,
            None => bits,
        };
        let network = Cidr::around(address, prefix);
        let stated = if network.address().is_ipv4() {
            address.to_canonical()
        } else {
            address
        };
        if network.address() != stated {
            let sentence = format!("\"{text}\" has bits set behind its prefix");
            return Err(ValueError::with_hint(sentence, Some(network.to_string())));
        }
        Ok(network)
    }
}

/// What stands behind the slash: digits alone, and no more than the address has bits.
fn prefix_length(digits: &str, bits: u8) -> Option<u8> {
    if !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let prefix = digits.parse().ok()?;
    (prefix <= bits).then_some(prefix)
}

/// A country by its ISO 3166-1 alpha-2 code.
#[derive(Debug, Clone, Copy)]
pub struct CountryCode(pub PlaceCode);

impl TextValue for CountryCode {
    fn expected() -> String {
        "a country by its two-letter ISO 3166 code, such as \"DE\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        let letters = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_alphabetic());
        let code = text
            .parse()
            .ok()
            .filter(|_| letters)
            .ok_or_else(ValueError::default)?;
        if locations::country_point(code).is_some() {
            return Ok(CountryCode(code));
        }
        // The two codes in common use that ISO 3166 does not have.
        let meant = [("UK", "GB"), ("EL", "GR")]
            .into_iter()
            .find(|(used, _)| *used == code.as_str());
        Err(ValueError {
            sentence: None,
            hint: meant.map(|(_, iso)| iso.to_owned()),
        })
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z]{2}$" })
    }
}

/// A group of countries by its name.
#[derive(Debug, Clone, Copy)]
pub struct CountryGroupValue(pub &'static CountryGroup);

impl TextValue for CountryGroupValue {
    fn expected() -> String {
        let names: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
        format!("a group of countries, one of {}", names.join(", "))
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        match groups::find(text) {
            Some(group) => Ok(CountryGroupValue(group)),
            None => Err(ValueError {
                sentence: None,
                hint: nearest(text, GROUPS.iter().map(|group| group.name)),
            }),
        }
    }

    fn schema() -> Schema {
        let names: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
        json_schema!({ "type": "string", "enum": names })
    }
}

/// A continent by its two-letter code.
#[derive(Debug, Clone, Copy)]
pub struct ContinentCode(pub PlaceCode);

const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];

impl TextValue for ContinentCode {
    fn expected() -> String {
        format!("one of the continents {}", CONTINENTS.join(", "))
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        let known = CONTINENTS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(text));
        text.parse()
            .ok()
            .filter(|_| known)
            .map(ContinentCode)
            .ok_or_else(ValueError::default)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "enum": CONTINENTS })
    }
}

/// A subdivision with its country, as ISO 3166-2 writes it.
#[derive(Debug, Clone, Copy)]
pub struct SubdivisionCode(pub PlaceCode, pub PlaceCode);

impl TextValue for SubdivisionCode {
    fn expected() -> String {
        "a country and its subdivision by their ISO 3166-2 code, such as \"US-CA\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        let (country, part) = text.split_once('-').ok_or_else(ValueError::default)?;
        let CountryCode(country) = CountryCode::from_text(country)?;
        let part = part
            .parse()
            .ok()
            .filter(|_| part.len() <= 3)
            .ok_or_else(ValueError::default)?;
        Ok(SubdivisionCode(country, part))
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z]{2}-[A-Za-z0-9]{1,3}$" })
    }
}

/// A place on the Earth: coordinates, or a known place with what is known of it.
#[derive(Debug, Clone)]
pub struct LocationValue {
    /// Where it is.
    pub point: Point,
    /// Its country, if it was given as a known place.
    pub country: Option<PlaceCode>,
    /// Its subdivision, if it was given as a known place.
    pub subdivision: Option<PlaceCode>,
}

impl LocationValue {
    const EXPECTED: &str = "[latitude, longitude] in degrees or a known place, such as \"FRA\", \"aws:eu-central-1\" or \"DE\"";
}

impl ReadValue for LocationValue {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
        if let Some(text) = item.value.as_str() {
            return known_location(text, &item, report);
        }
        let coordinates = item
            .value
            .as_array()
            .map(|array| array.iter().map(|value| degrees(value.get_ref())));
        let coordinates: Option<Vec<f64>> = coordinates.and_then(Iterator::collect);
        let Some(&[latitude, longitude]) = coordinates.as_deref() else {
            item.refuse(LocationValue::EXPECTED, None, report);
            return None;
        };
        match Point::new(latitude, longitude) {
            Ok(point) => Some(LocationValue {
                point,
                country: None,
                subdivision: None,
            }),
            Err(error) => {
                report.error(item.at, format!("{}: {error}", item.key));
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 },
        ] })
    }
}

fn known_location(
    text: &str,
    item: &DocumentItem<'_>,
    report: &mut ConfigReport,
) -> Option<LocationValue> {
    match locations::find(text) {
        Ok(known) => Some(LocationValue {
            point: known.point,
            country: known.country,
            subdivision: known.subdivision,
        }),
        Err(unknown) => {
            item.refuse(
                LocationValue::EXPECTED,
                unknown.near.into_iter().next(),
                report,
            );
            None
        }
    }
}

/// A number with or without a fraction.
fn degrees(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        number => integer(number).map(|number| number as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<String, Option<String>> {
        Cidr::from_text(text)
            .map(|network| network.to_string())
            .map_err(|refusal| refusal.hint)
    }

    #[test]
    fn networks_read_and_host_bits_are_refused_with_the_right_network() {
        assert_eq!(network("192.0.2.0/24"), Ok("192.0.2.0/24".to_owned()));
        assert_eq!(network("0.0.0.0/0"), Ok("0.0.0.0/0".to_owned()));
        assert_eq!(network("::/0"), Ok("::/0".to_owned()));
        assert_eq!(network("192.0.2.9"), Ok("192.0.2.9/32".to_owned()));
        assert_eq!(
            network("::ffff:192.0.2.0/120"),
            Ok("192.0.2.0/24".to_owned())
        );
        assert_eq!(network("::ffff:192.0.2.9"), Ok("192.0.2.9/32".to_owned()));
        assert_eq!(network("::ffff:0:0/96"), Ok("0.0.0.0/0".to_owned()));
        assert_eq!(
            network("::ffff:192.0.2.9/120"),
            Err(Some("192.0.2.0/24".to_owned()))
        );
        assert_eq!(
            network("::ffff:0:0/95"),
            Err(Some("::fffe:0:0/95".to_owned()))
        );
        assert_eq!(network("10.1.2.3/16"), Err(Some("10.1.0.0/16".to_owned())));
        assert_eq!(
            network("2001:db8::1/32"),
            Err(Some("2001:db8::/32".to_owned()))
        );
        for bad in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/+8",
            "10/8",
            "10.0.0.0/8/8",
        ] {
            assert_eq!(network(bad), Err(None), "{bad}");
        }
    }

    #[test]
    fn addresses_that_nobody_can_connect_to_are_refused() {
        for bad in [
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:192.0.2.1",
            "192.0.2.1:80",
            "x",
        ] {
            assert!(EndpointAddress::from_text(bad).is_err(), "{bad}");
        }
        assert!(EndpointAddress::from_text("127.0.0.1").is_ok());
    }
}

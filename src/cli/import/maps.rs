//! Maps of gdnsd's geoip plugin (gdnsd-plugin-geoip(8), "CONFIGURATION - MAPS") as rules about clients.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::notes::Notes;
use super::vscf::{self, Content, Entry, Place, Table, Value};

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clients {
    Network(IpAddr, u8),
    Subdivision(String),
    Country(String),
    Continent(String),
}

/// Datacenters by rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    Listed(Vec<String>),
    /// The nearest.
    Auto,
}

/// One map.
#[derive(Debug, Clone)]
pub struct Map {
    pub datacenters: Vec<String>,
    pub coordinates: HashMap<String, [f64; 2]>,
    /// The first that matches decides.
    pub rules: Vec<(Clients, Choice, Place)>,
    pub otherwise: Choice,
    pub ignore_subnet: bool,
    pub database: Option<(PathBuf, Place)>,
}

/// Reads `maps`; `folder` is where the files that they name are.
pub fn read(maps: &Table, folder: &Path, notes: &mut Notes) -> Result<HashMap<String, Map>, String> {
    let mut read = HashMap::new();
    for entry in &maps.0 {
        match entry.value.table() {
            Some(table) => drop(read.insert(entry.key.clone(), map(table, folder, notes)?)),
            None => notes.add(&entry.place, format!("map {:?} is no hash", entry.key)),
        }
    }
    Ok(read)
}

const KNOWN: [&str; 8] =
    ["geoip2_db", "datacenters", "ignore_ecs", "nets", "map", "auto_dc_coords", "auto_dc_limit", "geoip2_city_auto"];

fn map(table: &Table, folder: &Path, notes: &mut Notes) -> Result<Map, String> {
    notes.unknown_keys(table, &KNOWN, "a service");
    let datacenters = table.get("datacenters").map(Value::texts).unwrap_or_default();
    let coordinates = table.table("auto_dc_coords").map(|table| coordinates(table, notes)).unwrap_or_default();
    let otherwise =
        if table.get("auto_dc_coords").is_some() { Choice::Auto } else { Choice::Listed(datacenters.clone()) };
    let database = table.get("geoip2_db").and_then(|value| Some((folder.join(value.text()?), value.place.clone())));
    let ignore_subnet = table.text("ignore_ecs").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let mut map = Map { datacenters, coordinates, rules: Vec::new(), otherwise, ignore_subnet, database };
    if let Some(limit) = table.0.iter().find(|entry| entry.key == "auto_dc_limit") {
        notes.add(&limit.place, "auto_dc_limit: clients go on to the next region, however far, while any is up");
    }
    if let Some(value) = table.get("nets") {
        map.nets(value, folder, notes)?;
    }
    if let Some(places) = table.table("map") {
        map.world(places, notes);
    }
    Ok(map)
}

fn coordinates(table: &Table, notes: &mut Notes) -> HashMap<String, [f64; 2]> {
    let mut read = HashMap::new();
    for entry in &table.0 {
        let numbers: Vec<f64> = entry.value.texts().iter().filter_map(|text| text.parse().ok()).collect();
        match numbers[..] {
            [latitude, longitude] if latitude.abs() <= 90.0 && longitude.abs() <= 180.0 => {
                read.insert(entry.key.clone(), [latitude, longitude]);
            }
            _ => notes.add(&entry.place, format!("{}: these are no latitude and longitude", entry.key)),
        }
    }
    read
}

impl Map {
    /// Networks come before places; longer prefixes before shorter ones, since our first match decides.
    fn nets(&mut self, value: &Value, folder: &Path, notes: &mut Notes) -> Result<(), String> {
        let file;
        let table = match &value.content {
            Content::Table(table) => table,
            Content::Text(path) => {
                file = vscf::read_table(&folder.join(path))?;
                &file
            }
            Content::List(_) => {
                notes.add(&value.place, "nets: a hash or the name of a file is expected");
                return Ok(());
            }
        };
        let mut rules = Vec::new();
        for entry in &table.0 {
            match network(&entry.key) {
                Some((address, length)) => {
                    rules.push((Clients::Network(address, length), choice(&entry.value), entry.place.clone()));
                }
                None => notes.add(&entry.place, format!("{:?} is no network", entry.key)),
            }
        }
        rules.sort_by_key(|(clients, ..)| match clients {
            Clients::Network(_, length) => u8::MAX - length,
            _ => 0,
        });
        self.rules.extend(rules);
        Ok(())
    }

    /// The hierarchy, from the smallest places up.
    fn world(&mut self, world: &Table, notes: &mut Notes) {
        let (mut subdivisions, mut countries, mut continents) = (Vec::new(), Vec::new(), Vec::new());
        for continent in &world.0 {
            let code = continent.key.to_ascii_uppercase();
            if code == "DEFAULT" {
                self.otherwise = choice(&continent.value);
                continue;
            }
            if !["AF", "AN", "AS", "EU", "NA", "OC", "SA"].contains(&&*code) {
                notes.add(&continent.place, format!("{:?} is no continent", continent.key));
                continue;
            }
            let Some(table) = continent.value.table() else {
                continents.push((Clients::Continent(code), choice(&continent.value), continent.place.clone()));
                continue;
            };
            for country in &table.0 {
                match &*country.key.to_ascii_uppercase() {
                    "DEFAULT" => continents.push(rule(Clients::Continent(code.clone()), country)),
                    code => below_continent(code, country, &mut countries, &mut subdivisions, notes),
                }
            }
        }
        self.rules.extend(subdivisions.into_iter().chain(countries).chain(continents));
    }
}

type Rules = Vec<(Clients, Choice, Place)>;

fn rule(clients: Clients, entry: &Entry) -> (Clients, Choice, Place) {
    (clients, choice(&entry.value), entry.place.clone())
}

fn below_continent(code: &str, entry: &Entry, countries: &mut Rules, subdivisions: &mut Rules, notes: &mut Notes) {
    if code.len() != 2 || !code.bytes().all(|octet| octet.is_ascii_uppercase()) {
        return notes.add(&entry.place, format!("{:?} is no country of ISO 3166-1", entry.key));
    }
    let Some(table) = entry.value.table() else {
        return countries.push(rule(Clients::Country(code.to_owned()), entry));
    };
    for part in &table.0 {
        if part.key.eq_ignore_ascii_case("default") {
            countries.push(rule(Clients::Country(code.to_owned()), part));
        } else {
            below_country(code, part, subdivisions, notes);
        }
    }
}

/// Subdivisions are known by their codes, cities by their names. Clients are known here by one level of subdivisions.
fn below_country(country: &str, entry: &Entry, subdivisions: &mut Rules, notes: &mut Notes) {
    let is_code =
        entry.key.len() <= 3 && entry.key.bytes().all(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit());
    if !is_code {
        let sentence = format!("{:?}: fences know no cities; state its networks in a fence of the service", entry.key);
        return notes.add(&entry.place, sentence);
    }
    let clients = Clients::Subdivision(format!("{country}-{}", entry.key));
    let Some(table) = entry.value.table() else { return subdivisions.push(rule(clients, entry)) };
    for part in &table.0 {
        if part.key.eq_ignore_ascii_case("default") {
            subdivisions.push(rule(clients.clone(), part));
        } else {
            below_country(country, part, subdivisions, notes);
        }
    }
}

/// A list of datacenters, or `auto`.
fn choice(value: &Value) -> Choice {
    if value.text() == Some("auto") { Choice::Auto } else { Choice::Listed(value.texts()) }
}

/// A network without bits behind its prefix; IPv4 where it is in the IPv4-compatible form.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
    match address {
        IpAddr::V4(address) if length <= 32 => Some((masked_v4(address, length).into(), length)),
        IpAddr::V6(address) if (96..=128).contains(&length) && address.to_bits() >> 32 == 0 => {
            let length = length - 96;
            Some((masked_v4(Ipv4Addr::from_bits(address.to_bits() as u32), length).into(), length))
        }
        IpAddr::V6(address) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            Some((IpAddr::V6((address.to_bits() & mask).into()), length))
        }
        _ => None,
    }
}

fn masked_v4(address: Ipv4Addr, length: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_masked_and_known_in_either_form() {
        for (text, network_is) in [
            ("10.1.2.3/8", Some(("10.0.0.0", 8))),
            ("::c000:200/120", Some(("192.0.2.0", 24))),
            ("2001:db8::1/32", Some(("2001:db8::", 32))),
            ("0.0.0.0/0", Some(("0.0.0.0", 0))),
            ("::/0", Some(("::", 0))),
            ("10.0.0.0/33", None),
            ("10.0.0.0", None),
        ] {
            let expected = network_is.map(|(address, length)| (address.parse().expect("an address"), length));
            assert_eq!(network(text), expected, "{text}");
        }
    }
}

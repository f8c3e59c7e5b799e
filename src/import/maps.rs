//! Converts the maps of gdnsd's geoip plugin (gdnsd-plugin-geoip(8), "CONFIGURATION - MAPS") to
//! rules.
//!
//! gdnsd picks the most specific entry of a map. Meridian takes the first rule that matches, so the
//! rules are sorted from the most specific to the least: networks, subdivisions, countries,
//! continents.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::notes::ImportNotes;
use super::source::SourcePlace;
use super::vscf::{self, VscfContent, VscfEntry, VscfHash, VscfValue};
use crate::geo::locations::country_continent;

/// Codes in MaxMind's old databases for clients without a known country.
const PSEUDO_COUNTRIES: [&str; 5] = ["AP", "EU", "A1", "A2", "O1"];

/// The clients that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleClients {
    Network(IpAddr, u8),
    Subdivision(String),
    Country(String),
    Continent(String),
}

impl fmt::Display for RuleClients {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleClients::Network(address, length) => write!(out, "{address}/{length}"),
            RuleClients::Subdivision(code)
            | RuleClients::Country(code)
            | RuleClients::Continent(code) => out.write_str(code),
        }
    }
}

/// The datacenters that a rule lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatacenterChoice {
    Listed(Vec<String>),
    /// The nearest one.
    Auto,
}

/// A rule of a map: some clients, and the datacenters that serve them.
#[derive(Debug, Clone)]
pub struct MapRule {
    pub clients: RuleClients,
    pub choice: DatacenterChoice,
    pub place: SourcePlace,
}

impl MapRule {
    /// The rule for `clients` that an entry of the map states.
    fn new(clients: RuleClients, entry: &VscfEntry) -> MapRule {
        MapRule {
            clients,
            choice: choice(&entry.value),
            place: entry.place.clone(),
        }
    }
}

/// A map of gdnsd, converted to rules.
#[derive(Debug, Clone)]
pub struct GdnsdMap {
    pub name: String,
    pub datacenters: Vec<String>,
    pub coordinates: HashMap<String, [f64; 2]>,
    /// The first rule that matches decides.
    pub rules: Vec<MapRule>,
    pub otherwise: DatacenterChoice,
    pub ignore_subnet: bool,
    pub database: Option<(PathBuf, SourcePlace)>,
}

/// Reads `maps`; `folder` is where the files that they name are.
pub fn read(
    maps: &VscfHash,
    folder: &Path,
    notes: &mut ImportNotes,
) -> Result<HashMap<String, Rc<GdnsdMap>>, String> {
    let mut read = HashMap::new();
    for entry in &maps.0 {
        match entry.value.table() {
            Some(table) => {
                let map = map(entry, table, folder, notes)?;
                read.insert(entry.key.clone(), Rc::new(map));
            }
            None => notes.add(&entry.place, format!("map {:?} is not a hash", entry.key)),
        }
    }
    Ok(read)
}

/// The keys of a map that are converted, or that can be left out without a note.
const KNOWN: [&str; 8] = [
    "geoip2_db",
    "datacenters",
    "ignore_ecs",
    "nets",
    "map",
    "auto_dc_coords",
    "auto_dc_limit",
    "geoip2_city_auto",
];

fn map(
    entry: &VscfEntry,
    table: &VscfHash,
    folder: &Path,
    notes: &mut ImportNotes,
) -> Result<GdnsdMap, String> {
    notes.unknown_keys(table, &KNOWN, "a service");
    let datacenters = table.texts("datacenters");
    let coordinates = coordinates(table.table_or_empty("auto_dc_coords"), notes);
    let otherwise = if table.get("auto_dc_coords").is_some() {
        DatacenterChoice::Auto
    } else {
        DatacenterChoice::Listed(datacenters.clone())
    };
    let mut database = None;
    if let Some(value) = table.get("geoip2_db")
        && let Some(path) = value.text()
    {
        database = Some((folder.join(path), value.place.clone()));
    }
    let ignore_subnet = table.flag("ignore_ecs").unwrap_or(false);
    let mut map = GdnsdMap {
        name: entry.key.clone(),
        datacenters,
        coordinates,
        rules: Vec::new(),
        otherwise,
        ignore_subnet,
        database,
    };
    if let Some(limit) = table.entry("auto_dc_limit") {
        notes.add(
            &limit.place,
            "auto_dc_limit: clients go to the next region, at any distance, while one is up",
        );
    }
    if let Some(value) = table.get("nets") {
        map.nets(value, folder, notes)?;
    }
    if let Some(places) = table.table("map") {
        map.places(places, notes);
    }
    Ok(map)
}

fn latitude_and_longitude(value: &VscfValue) -> Option<[f64; 2]> {
    let mut numbers: Vec<f64> = Vec::new();
    for text in value.texts() {
        numbers.extend(text.parse::<f64>());
    }
    let [latitude, longitude] = numbers[..] else {
        return None;
    };
    let is_on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
    is_on_earth.then_some([latitude, longitude])
}

/// Whether this is the second part of an ISO 3166-2 code; else it is a city.
fn is_subdivision_code(text: &str) -> bool {
    let mut octets = text.bytes();
    text.len() <= 3 && octets.all(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit())
}

fn coordinates(table: &VscfHash, notes: &mut ImportNotes) -> HashMap<String, [f64; 2]> {
    let mut read = HashMap::new();
    for entry in &table.0 {
        match latitude_and_longitude(&entry.value) {
            Some(point) => drop(read.insert(entry.key.clone(), point)),
            None => notes.add(
                &entry.place,
                format!("{}: expected a latitude and a longitude", entry.key),
            ),
        }
    }
    read
}

impl GdnsdMap {
    /// Adds the rules of `nets`, longer prefixes before shorter ones.
    fn nets(
        &mut self,
        value: &VscfValue,
        folder: &Path,
        notes: &mut ImportNotes,
    ) -> Result<(), String> {
        let table = match &value.content {
            VscfContent::Table(table) => Cow::Borrowed(table),
            VscfContent::Text(path) => Cow::Owned(vscf::read_table(&folder.join(path))?),
            VscfContent::List(_) => {
                notes.add(&value.place, "nets: expected a hash or the name of a file");
                return Ok(());
            }
        };
        let mut rules: Vec<(u8, MapRule)> = Vec::new();
        for entry in &table.0 {
            let networks = networks(&entry.key);
            if networks.is_empty() {
                notes.add(&entry.place, format!("{:?} is not a network", entry.key));
            }
            for network in networks {
                let clients = RuleClients::Network(network.address, network.length);
                rules.push((network.depth, MapRule::new(clients, entry)));
            }
        }
        rules.sort_by_key(|(depth, _)| u8::MAX - depth);
        for (_, rule) in rules {
            self.rules.push(rule);
        }
        Ok(())
    }

    /// Adds the rules of `map`, the hierarchy of places, from the smallest up.
    fn places(&mut self, hierarchy: &VscfHash, notes: &mut ImportNotes) {
        let mut rules = PlaceRules::default();
        for continent in &hierarchy.0 {
            let code = continent.key.to_ascii_uppercase();
            if code == "DEFAULT" {
                self.otherwise = choice(&continent.value);
                continue;
            }
            if !["AF", "AN", "AS", "EU", "NA", "OC", "SA"].contains(&&*code) {
                notes.add(
                    &continent.place,
                    format!("{:?} is not a continent", continent.key),
                );
                continue;
            }
            let Some(table) = continent.value.table() else {
                let clients = RuleClients::Continent(code);
                rules.continents.push(MapRule::new(clients, continent));
                continue;
            };
            for country in &table.0 {
                match &*country.key.to_ascii_uppercase() {
                    "DEFAULT" => {
                        let clients = RuleClients::Continent(code.clone());
                        rules.continents.push(MapRule::new(clients, country));
                    }
                    code => rules.add_country(code, country, notes),
                }
            }
        }
        self.add_distinct(rules, notes);
    }

    /// Adds the rules of places, from the smallest up, and notes rules for clients that have one.
    fn add_distinct(&mut self, rules: PlaceRules, notes: &mut ImportNotes) {
        let mut known: HashMap<RuleClients, MapRule> = HashMap::new();
        for rule in [rules.subdivisions, rules.countries, rules.continents].concat() {
            match known.get(&rule.clients) {
                None => {
                    known.insert(rule.clients.clone(), rule.clone());
                    self.rules.push(rule);
                }
                Some(first) if first.choice == rule.choice => {}
                Some(first) => {
                    let sentence = format!(
                        "{} is listed at {} already, and that rule applies here to every database",
                        rule.clients, first.place
                    );
                    notes.add(&rule.place, sentence);
                }
            }
        }
    }
}

/// The rules of the hierarchy of places, by level.
#[derive(Default)]
struct PlaceRules {
    subdivisions: Vec<MapRule>,
    countries: Vec<MapRule>,
    continents: Vec<MapRule>,
}

impl PlaceRules {
    fn add_country(&mut self, code: &str, entry: &VscfEntry, notes: &mut ImportNotes) {
        if PSEUDO_COUNTRIES.contains(&code) {
            let sentence = "MaxMind's old databases had it for addresses without a known \
                            country; today's databases state no country for these, so their \
                            clients get the rule of the continent";
            return notes.add_needless(&entry.place, format!("{code}: {sentence}"));
        }
        if code.parse().ok().and_then(country_continent).is_none() {
            return notes.add(
                &entry.place,
                format!(
                    "{:?} is not a country of ISO 3166-1; it is left out",
                    entry.key
                ),
            );
        }
        let clients = RuleClients::Country(code.to_owned());
        let Some(table) = entry.value.table() else {
            return self.countries.push(MapRule::new(clients, entry));
        };
        for part in &table.0 {
            if part.key.eq_ignore_ascii_case("default") {
                self.countries.push(MapRule::new(clients.clone(), part));
            } else {
                self.add_subdivision(code, part, notes);
            }
        }
    }

    /// Subdivisions have codes, cities have names. Meridian knows one level of subdivisions, so
    /// deeper ones count as subdivisions of the country, and cities are left out.
    fn add_subdivision(&mut self, country: &str, entry: &VscfEntry, notes: &mut ImportNotes) {
        if !is_subdivision_code(&entry.key) {
            let sentence = format!(
                "{:?}: fences cannot name cities; list its networks in a fence of the service",
                entry.key
            );
            return notes.add(&entry.place, sentence);
        }
        let clients = RuleClients::Subdivision(format!("{country}-{}", entry.key));
        let Some(table) = entry.value.table() else {
            return self.subdivisions.push(MapRule::new(clients, entry));
        };
        for part in &table.0 {
            if part.key.eq_ignore_ascii_case("default") {
                self.subdivisions.push(MapRule::new(clients.clone(), part));
            } else {
                self.add_subdivision(country, part, notes);
            }
        }
    }
}

/// A list of datacenters, or `auto`.
fn choice(value: &VscfValue) -> DatacenterChoice {
    if value.text() == Some("auto") {
        DatacenterChoice::Auto
    } else {
        DatacenterChoice::Listed(value.texts())
    }
}

/// A network with all bits behind its prefix cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    length: u8,
    /// The prefix length with IPv4 inside `::/96`. The longest prefix that holds a client wins.
    depth: u8,
}

/// The networks that an entry of `nets` means. gdnsd keeps IPv4 in `::/96`, so an IPv6 network
/// inside that is an IPv4 network, and one around it also covers all of IPv4.
fn networks(text: &str) -> Vec<Network> {
    let Some((address, length)) = text.split_once('/') else {
        return Vec::new();
    };
    let (Ok(address), Ok(depth)) = (address.parse::<IpAddr>(), length.parse::<u8>()) else {
        return Vec::new();
    };
    match address {
        IpAddr::V4(address) if depth <= 32 => vec![Network::ipv4(address, depth + 96)],
        IpAddr::V6(address) if (96..=128).contains(&depth) && address.to_bits() >> 32 == 0 => {
            let address = Ipv4Addr::from_bits(address.to_bits() as u32);
            vec![Network::ipv4(address, depth)]
        }
        IpAddr::V6(address) if depth <= 128 => {
            let mask = u128::MAX.checked_shl(128 - u32::from(depth)).unwrap_or(0);
            let first = address.to_bits() & mask;
            let mut networks = vec![Network {
                address: IpAddr::V6(first.into()),
                length: depth,
                depth,
            }];
            if first == 0 {
                networks.push(Network {
                    address: Ipv4Addr::UNSPECIFIED.into(),
                    length: 0,
                    depth,
                });
            }
            networks
        }
        _ => Vec::new(),
    }
}

impl Network {
    /// The IPv4 network around an address; `depth` is the prefix length inside `::/96`.
    fn ipv4(address: Ipv4Addr, depth: u8) -> Network {
        let length = depth - 96;
        let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        Network {
            address: Ipv4Addr::from_bits(address.to_bits() & mask).into(),
            length,
            depth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_masked_and_known_in_either_form() {
        for (text, expected) in [
            ("10.1.2.3/8", &[("10.0.0.0", 8, 104)][..]),
            ("::c000:200/120", &[("192.0.2.0", 24, 120)]),
            ("2001:db8::1/32", &[("2001:db8::", 32, 32)]),
            ("0.0.0.0/0", &[("0.0.0.0", 0, 96)]),
            ("::/0", &[("::", 0, 0), ("0.0.0.0", 0, 0)]),
            ("::/64", &[("::", 64, 64), ("0.0.0.0", 0, 64)]),
            ("10.0.0.0/33", &[]),
            ("10.0.0.0", &[]),
        ] {
            let network = |&(address, length, depth): &(&str, u8, u8)| Network {
                address: address.parse().expect("an address"),
                length,
                depth,
            };
            assert_eq!(
                networks(text),
                expected.iter().map(network).collect::<Vec<_>>(),
                "{text}"
            );
        }
    }
}

//! Maps of gdnsd's geoip plugin (gdnsd-plugin-geoip(8), "CONFIGURATION - MAPS") as rules about clients.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::notes::ImportNotes;
use super::vscf::{self, SourcePlace, VscfContent, VscfEntry, VscfHash, VscfValue};
use crate::geo::locations::country_continent;

/// What MaxMind's old databases wrote where they knew no more than the continent, or that nobody can know.
const PSEUDO_COUNTRIES: [&str; 5] = ["AP", "EU", "A1", "A2", "O1"];

/// Whom a rule is about.
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

/// Datacenters by rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatacenterChoice {
    Listed(Vec<String>),
    /// The nearest.
    Auto,
}

/// One map.
#[derive(Debug, Clone)]
pub struct GdnsdMap {
    pub name: String,
    pub datacenters: Vec<String>,
    pub coordinates: HashMap<String, [f64; 2]>,
    /// The first that matches decides.
    pub rules: Vec<(RuleClients, DatacenterChoice, SourcePlace)>,
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
            Some(table) => drop(read.insert(
                entry.key.clone(),
                Rc::new(map(entry, table, folder, notes)?),
            )),
            None => notes.add(&entry.place, format!("map {:?} is no hash", entry.key)),
        }
    }
    Ok(read)
}

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
    let datacenters = table
        .get("datacenters")
        .map(VscfValue::texts)
        .unwrap_or_default();
    let coordinates = table
        .table("auto_dc_coords")
        .map(|table| coordinates(table, notes))
        .unwrap_or_default();
    let otherwise = if table.get("auto_dc_coords").is_some() {
        DatacenterChoice::Auto
    } else {
        DatacenterChoice::Listed(datacenters.clone())
    };
    let database = table
        .get("geoip2_db")
        .and_then(|value| Some((folder.join(value.text()?), value.place.clone())));
    let ignore_subnet = table
        .text("ignore_ecs")
        .is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let name = entry.key.clone();
    let mut map = GdnsdMap {
        name,
        datacenters,
        coordinates,
        rules: Vec::new(),
        otherwise,
        ignore_subnet,
        database,
    };
    if let Some(limit) = table.0.iter().find(|entry| entry.key == "auto_dc_limit") {
        notes.add(
            &limit.place,
            "auto_dc_limit: clients go on to the next region, however far, while any is up",
        );
    }
    if let Some(value) = table.get("nets") {
        map.nets(value, folder, notes)?;
    }
    if let Some(places) = table.table("map") {
        map.world(places, notes);
    }
    Ok(map)
}

fn coordinates(table: &VscfHash, notes: &mut ImportNotes) -> HashMap<String, [f64; 2]> {
    let mut read = HashMap::new();
    for entry in &table.0 {
        let numbers: Vec<f64> = entry
            .value
            .texts()
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        match numbers[..] {
            [latitude, longitude] if latitude.abs() <= 90.0 && longitude.abs() <= 180.0 => {
                read.insert(entry.key.clone(), [latitude, longitude]);
            }
            _ => notes.add(
                &entry.place,
                format!("{}: these are no latitude and longitude", entry.key),
            ),
        }
    }
    read
}

impl GdnsdMap {
    /// Networks come before places; longer prefixes before shorter ones, since our first match decides.
    fn nets(
        &mut self,
        value: &VscfValue,
        folder: &Path,
        notes: &mut ImportNotes,
    ) -> Result<(), String> {
        let file;
        let table = match &value.content {
            VscfContent::Table(table) => table,
            VscfContent::Text(path) => {
                file = vscf::read_table(&folder.join(path))?;
                &file
            }
            VscfContent::List(_) => {
                notes.add(
                    &value.place,
                    "nets: a hash or the name of a file is expected",
                );
                return Ok(());
            }
        };
        let mut rules = Vec::new();
        for entry in &table.0 {
            let networks = networks(&entry.key);
            if networks.is_empty() {
                notes.add(&entry.place, format!("{:?} is no network", entry.key));
            }
            for Network {
                address,
                length,
                depth,
            } in networks
            {
                rules.push((
                    depth,
                    (
                        RuleClients::Network(address, length),
                        choice(&entry.value),
                        entry.place.clone(),
                    ),
                ));
            }
        }
        rules.sort_by_key(|(depth, _)| u8::MAX - depth);
        self.rules.extend(rules.into_iter().map(|(_, rule)| rule));
        Ok(())
    }

    /// The hierarchy, from the smallest places up.
    fn world(&mut self, world: &VscfHash, notes: &mut ImportNotes) {
        let (mut subdivisions, mut countries, mut continents) =
            (Vec::new(), Vec::new(), Vec::new());
        for continent in &world.0 {
            let code = continent.key.to_ascii_uppercase();
            if code == "DEFAULT" {
                self.otherwise = choice(&continent.value);
                continue;
            }
            if !["AF", "AN", "AS", "EU", "NA", "OC", "SA"].contains(&&*code) {
                notes.add(
                    &continent.place,
                    format!("{:?} is no continent", continent.key),
                );
                continue;
            }
            let Some(table) = continent.value.table() else {
                continents.push((
                    RuleClients::Continent(code),
                    choice(&continent.value),
                    continent.place.clone(),
                ));
                continue;
            };
            for country in &table.0 {
                match &*country.key.to_ascii_uppercase() {
                    "DEFAULT" => {
                        continents.push(rule(RuleClients::Continent(code.clone()), country))
                    }
                    code => {
                        below_continent(code, country, &mut countries, &mut subdivisions, notes)
                    }
                }
            }
        }
        let places = subdivisions.into_iter().chain(countries).chain(continents);
        let mut known: HashMap<RuleClients, (DatacenterChoice, SourcePlace)> = HashMap::new();
        for (clients, choice, place) in places {
            match known.get(&clients) {
                None => {
                    known.insert(clients.clone(), (choice.clone(), place.clone()));
                    self.rules.push((clients, choice, place));
                }
                Some((same, _)) if *same == choice => {}
                Some((_, first)) => {
                    let sentence = format!(
                        "{clients} is there already at {first}, which counts here for every database"
                    );
                    notes.add(&place, sentence);
                }
            }
        }
    }
}

type Rules = Vec<(RuleClients, DatacenterChoice, SourcePlace)>;

fn rule(clients: RuleClients, entry: &VscfEntry) -> (RuleClients, DatacenterChoice, SourcePlace) {
    (clients, choice(&entry.value), entry.place.clone())
}

fn below_continent(
    code: &str,
    entry: &VscfEntry,
    countries: &mut Rules,
    subdivisions: &mut Rules,
    notes: &mut ImportNotes,
) {
    if PSEUDO_COUNTRIES.contains(&code) {
        let sentence = "MaxMind's old databases had it for what lies somewhere on a continent; those of today state no country";
        let sentence =
            format!("{code}: {sentence} there, so these clients get what the continent gets");
        return notes.add_needless(&entry.place, sentence);
    }
    if code.parse().ok().and_then(country_continent).is_none() {
        return notes.add(
            &entry.place,
            format!(
                "{:?} is no country of ISO 3166-1; it is left out",
                entry.key
            ),
        );
    }
    let Some(table) = entry.value.table() else {
        return countries.push(rule(RuleClients::Country(code.to_owned()), entry));
    };
    for part in &table.0 {
        if part.key.eq_ignore_ascii_case("default") {
            countries.push(rule(RuleClients::Country(code.to_owned()), part));
        } else {
            below_country(code, part, subdivisions, notes);
        }
    }
}

/// Subdivisions are known by their codes, cities by their names. Clients are known here by one level of subdivisions.
fn below_country(
    country: &str,
    entry: &VscfEntry,
    subdivisions: &mut Rules,
    notes: &mut ImportNotes,
) {
    let is_code = entry.key.len() <= 3
        && entry
            .key
            .bytes()
            .all(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit());
    if !is_code {
        let sentence = format!(
            "{:?}: fences know no cities; state its networks in a fence of the service",
            entry.key
        );
        return notes.add(&entry.place, sentence);
    }
    let clients = RuleClients::Subdivision(format!("{country}-{}", entry.key));
    let Some(table) = entry.value.table() else {
        return subdivisions.push(rule(clients, entry));
    };
    for part in &table.0 {
        if part.key.eq_ignore_ascii_case("default") {
            subdivisions.push(rule(clients.clone(), part));
        } else {
            below_country(country, part, subdivisions, notes);
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

/// A network without bits behind its prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    length: u8,
    /// How long its prefix is among all addresses of both families: the longest that holds a client counts.
    depth: u8,
}

/// The networks of an entry: IPv4 where it is in the IPv4-compatible form. gdnsd keeps IPv4 in `::/96`, so that an IPv6
/// network around that is about all of IPv4, too.
fn networks(text: &str) -> Vec<Network> {
    let Some((address, length)) = text.split_once('/') else {
        return Vec::new();
    };
    let (Ok(address), Ok(depth)) = (address.parse::<IpAddr>(), length.parse::<u8>()) else {
        return Vec::new();
    };
    let ipv4 = |address, length: u8, depth| Network {
        address: masked_v4(address, length).into(),
        length,
        depth,
    };
    match address {
        IpAddr::V4(address) if depth <= 32 => vec![ipv4(address, depth, depth + 96)],
        IpAddr::V6(address) if (96..=128).contains(&depth) && address.to_bits() >> 32 == 0 => {
            vec![ipv4(
                Ipv4Addr::from_bits(address.to_bits() as u32),
                depth - 96,
                depth,
            )]
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
                networks.push(ipv4(Ipv4Addr::UNSPECIFIED, 0, depth));
            }
            networks
        }
        _ => Vec::new(),
    }
}

fn masked_v4(address: Ipv4Addr, length: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(
        address.to_bits() & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0),
    )
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

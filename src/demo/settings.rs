//! The configuration of the demo: a built-in file and zone, completed with addresses that are free on this machine.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::config::{self, Config, EndpointTarget, ServiceRegion};
use crate::control::ConfigOrigin;

/// The configuration file, with placeholders for addresses and the folder.
const CONFIGURATION: &str = include_str!("demo.toml");
/// The zone file.
pub const ZONE: &str = include_str!("../../zones/example.com.zone");
/// The service whose endpoints stand for the regions.
pub const MAIN: &str = "www.example.com";

/// The city of each region.
const CITIES: [(&str, &str); 7] = [
    ("fra", "Frankfurt"),
    ("iad", "Washington"),
    ("gru", "São Paulo"),
    ("bom", "Mumbai"),
    ("nrt", "Tokyo"),
    ("syd", "Sydney"),
    ("jnb", "Johannesburg"),
];

/// One region of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoRegionSettings {
    /// Its name in the configuration.
    pub name: String,
    /// The city that it stands for.
    pub city: String,
    /// Its loopback address in the main service.
    pub address: IpAddr,
}

/// The addresses and the folder that one run of the demo uses.
#[derive(Debug, Clone)]
pub struct DemoPaths {
    /// DNS.
    pub dns: SocketAddr,
    /// The admin API.
    pub admin: SocketAddr,
    /// The port of the regions.
    pub port: u16,
    /// The folder for the token and the state directory.
    pub folder: String,
}

impl DemoPaths {
    /// The built-in configuration and zone, completed with these addresses.
    pub fn origin(&self) -> ConfigOrigin {
        ConfigOrigin::BuiltIn {
            configuration: self.configuration(),
            zone: ZONE,
        }
    }

    fn configuration(&self) -> String {
        CONFIGURATION
            .replace("\"{dns}\"", &format!("\"{}\"", self.dns))
            .replace("\"{admin}\"", &format!("\"{}\"", self.admin))
            .replace("{port}", &self.port.to_string())
            .replace("{folder}", &self.folder)
    }
}

/// Every IPv4 address that a service of the demo answers with. Each belongs to one region.
///
/// # Errors
/// The built-in configuration has a mistake.
pub fn addresses() -> Result<Vec<IpAddr>, String> {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let paths = DemoPaths {
        dns: anywhere,
        admin: anywhere,
        port: 1,
        folder: "/".to_owned(),
    };
    let read = config::parse(&paths.configuration(), Path::new("built-in.toml"));
    let config = read.map_err(|mistakes| format!("{mistakes:?}"))?.config;
    let mut addresses = Vec::new();
    for service in &config.services {
        for region in &service.regions {
            addresses.extend(ipv4_addresses(region));
        }
    }
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

/// The regions of the main service, each with its city and its address.
pub fn regions(config: &Config) -> Vec<DemoRegionSettings> {
    let mut regions = Vec::new();
    for service in &config.services {
        if service.name.to_string() != MAIN {
            continue;
        }
        for region in &service.regions {
            let named = config.regions.get(usize::from(region.region.0));
            if let (Some(named), Some(address)) = (named, ipv4_addresses(region).next()) {
                let name = named.name.clone();
                regions.push(DemoRegionSettings {
                    city: city(&name),
                    name,
                    address,
                });
            }
        }
    }
    regions
}

fn ipv4_addresses(region: &ServiceRegion) -> impl Iterator<Item = IpAddr> {
    region
        .endpoints
        .iter()
        .filter_map(|endpoint| match endpoint.target {
            EndpointTarget::Address(address) if address.is_ipv4() => Some(address),
            _ => None,
        })
}

fn city(region: &str) -> String {
    let known = CITIES.iter().find(|(name, _)| *name == region);
    known.map_or(region, |(_, city)| *city).to_owned()
}

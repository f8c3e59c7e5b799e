//! `meridian demo`: the whole thing with nothing to set up.

mod tour;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use super::arguments::Demo;
use super::serve;
use crate::config::{Config, Target};
use crate::control::Origin;

/// The configuration, but for its addresses.
const CONFIGURATION: &str = include_str!("demo.toml");
/// The zone.
const ZONE: &str = include_str!("../../../zones/example.com.zone");
/// The service whose endpoints stand for the regions.
const MAIN: &str = "www.example.com";

/// Where the regions pretend to be.
const CITIES: [(&str, &str); 7] = [
    ("fra", "Frankfurt"),
    ("iad", "Washington"),
    ("gru", "São Paulo"),
    ("bom", "Mumbai"),
    ("nrt", "Tokyo"),
    ("syd", "Sydney"),
    ("jnb", "Johannesburg"),
];

/// A region that is pretended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoRegion {
    /// Its name in the configuration.
    pub name: String,
    /// Where it pretends to be.
    pub city: String,
    /// Its loopback address.
    pub address: IpAddr,
}

/// Serves the demo until it is stopped.
pub fn run(demo: &Demo) -> Result<ExitCode, String> {
    super::log::start();
    let dns = free(demo.listen, serve_dns);
    let admin = free(demo.admin, |address| std::net::TcpListener::bind(address).map(drop));
    let origin = origin(dns, admin);
    let loaded = serve::load(&origin)?;
    let config = loaded.config.clone();
    let tour = tour::Tour::of(&loaded, &regions(&config));
    let moved = [(demo.listen, dns), (demo.admin, admin)].iter().any(|(asked, used)| asked != used);
    serve::run_loaded(origin, loaded, &config, |server, admin| {
        if moved {
            println!("({} or {} is taken, so free ports were used)", demo.listen, demo.admin);
        }
        tour.print(server.addresses().first().copied().unwrap_or(dns), &admin.address());
    })
}

/// Whether DNS could be served there.
fn serve_dns(address: SocketAddr) -> std::io::Result<()> {
    std::net::UdpSocket::bind(address)?;
    std::net::TcpListener::bind(address).map(drop)
}

/// The address, or one with a free port if its port is taken.
fn free(address: SocketAddr, bind: impl Fn(SocketAddr) -> std::io::Result<()>) -> SocketAddr {
    match bind(address) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => SocketAddr::new(address.ip(), 0),
        _ => address,
    }
}

/// The demo's texts, with its addresses filled in.
pub fn origin(dns: SocketAddr, admin: SocketAddr) -> Origin {
    let configuration =
        CONFIGURATION.replace("\"{dns}\"", &format!("\"{dns}\"")).replace("\"{admin}\"", &format!("\"{admin}\""));
    Origin::BuiltIn { configuration, zone: ZONE }
}

/// The regions with their cities, and with their addresses in the main service.
pub fn regions(config: &Config) -> Vec<DemoRegion> {
    let main = config.services.iter().find(|service| service.name.to_string() == MAIN);
    let regions = main.map_or(&[][..], |service| &service.regions);
    let demo = |region: &crate::config::ServiceRegion| {
        let name = &config.regions.get(usize::from(region.region.0))?.name;
        let address = region.endpoints.iter().find_map(|endpoint| match endpoint.target {
            Target::Address(address) if address.is_ipv4() => Some(address),
            _ => None,
        })?;
        Some(DemoRegion { name: name.clone(), city: city(name), address })
    };
    regions.iter().filter_map(demo).collect()
}

fn city(region: &str) -> String {
    CITIES.iter().find(|(name, _)| *name == region).map_or(region, |(_, city)| *city).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Loaded;

    /// The demo, loaded, on any free ports.
    pub fn loaded() -> Loaded {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        origin(any, any).load(None).unwrap()
    }

    #[test]
    fn the_texts_of_the_demo_have_no_mistake_and_no_warning() {
        let loaded = loaded();
        assert_eq!(loaded.warnings, Vec::<String>::new());
        let regions = regions(&loaded.config);
        let shown: Vec<String> = regions.iter().map(|region| format!("{} {}", region.name, region.address)).collect();
        assert_eq!(shown.len(), 7);
        assert_eq!(shown[0], "fra 127.0.1.1");
        assert!(regions.iter().all(|region| region.city != region.name), "{regions:?}");
    }

    #[test]
    fn a_taken_port_gives_way_to_a_free_one() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(free(address, serve_dns).port(), 0);
        drop(taken);
        assert_eq!(free(address, serve_dns), address);
    }
}

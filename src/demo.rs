//! `meridian demo`: the whole thing with nothing to set up.
//!
//! The regions are small web servers of this very process, on a thread of their own, which anybody can break and mend;
//! the nameserver checks them over the network like any others. A narrator tells what comes of it.

pub mod arguments;
mod folder;
mod narrator;
mod region;
mod tour;
mod traffic;

use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use self::folder::DemoFolder;
use self::region::{DemoRegion, DemoSockets};
use crate::config::{self, Config, EndpointTarget};
use crate::control::ConfigOrigin;
use crate::daemon::serve;
use crate::daemon::signals::Signals;
use crate::terminal::say;
use arguments::DemoArgs;

/// The configuration, but for its addresses.
const CONFIGURATION: &str = include_str!("demo/demo.toml");
/// The zone.
const ZONE: &str = include_str!("../zones/example.com.zone");
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
pub struct DemoRegionSettings {
    /// Its name in the configuration.
    pub name: String,
    /// Where it pretends to be.
    pub city: String,
    /// Its loopback address in the main service.
    pub address: IpAddr,
}

/// Where everything of one demo is.
#[derive(Debug, Clone)]
pub struct DemoPaths {
    /// DNS.
    pub dns: SocketAddr,
    /// The admin API.
    pub admin: SocketAddr,
    /// The port of the regions.
    pub port: u16,
    /// The folder for the token and what is kept while it runs.
    pub folder: String,
}

/// Serves the demo until it is stopped.
pub fn run(demo: &DemoArgs) -> Result<ExitCode, String> {
    // The narrator tells the rest.
    crate::daemon::log::start("error");
    let signals = Signals::of_a_terminal()?;
    let folder = DemoFolder::make()?;
    let sockets = DemoSockets::bind(&addresses()?, demo.port)
        .map_err(|error| format!("no region can be shown: {error}"))?;
    let places = DemoPaths {
        dns: free(demo.listen, serve_dns),
        admin: free(demo.admin, |address| {
            std::net::TcpListener::bind(address).map(drop)
        }),
        port: sockets.port(),
        folder: folder.path(),
    };
    let origin = origin(&places);
    let loaded = serve::load(&origin)?;
    let config = loaded.config.clone();
    let regions: Vec<Arc<DemoRegion>> = regions(&config).into_iter().map(DemoRegion::new).collect();
    region::serve(sockets, &regions)?;
    let tour = tour::DemoTour::of(&loaded, &regions, &places);
    let moved = [(demo.listen, places.dns), (demo.admin, places.admin)]
        .iter()
        .any(|(asked, used)| asked != used);
    // Where a person watches, one region is broken and mended by itself.
    let show = demo.show || !demo.no_show && std::io::stdout().is_terminal();
    let with_traffic = !demo.no_traffic;
    // Held until the server is over.
    let (_running, stopped) = mpsc::channel();
    serve::run_loaded(
        origin,
        loaded,
        &config,
        serve::InheritedState::default(),
        signals,
        |server, admin, control| {
            let moved = moved.then(|| {
                format!(
                    "({} or {} is taken, so free ports were used)",
                    demo.listen, demo.admin
                )
            });
            let dns = server
                .addresses()
                .dns
                .first()
                .copied()
                .unwrap_or(places.dns);
            let admin = admin.address();
            // Whoever reads no more of it holds up the narrator, and nobody else.
            let greet = move || {
                moved.iter().for_each(|sentence| say!("{sentence}"));
                tour.print(dns, &admin, with_traffic);
            };
            if with_traffic {
                traffic::start(control.clone(), dns, stopped);
            }
            narrator::start(control.clone(), regions, show, greet);
        },
    )
}

/// Whether DNS could be served there.
fn serve_dns(address: SocketAddr) -> std::io::Result<()> {
    std::net::UdpSocket::bind(address)?;
    std::net::TcpListener::bind(address).map(drop)
}

/// The address, or one with a free port if its port is taken.
fn free(address: SocketAddr, bind: impl Fn(SocketAddr) -> std::io::Result<()>) -> SocketAddr {
    match bind(address) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            SocketAddr::new(address.ip(), 0)
        }
        _ => address,
    }
}

/// The demo's texts, with its places filled in.
pub fn origin(places: &DemoPaths) -> ConfigOrigin {
    ConfigOrigin::BuiltIn {
        configuration: configuration(places),
        zone: ZONE,
    }
}

fn configuration(places: &DemoPaths) -> String {
    CONFIGURATION
        .replace("\"{dns}\"", &format!("\"{}\"", places.dns))
        .replace("\"{admin}\"", &format!("\"{}\"", places.admin))
        .replace("{port}", &places.port.to_string())
        .replace("{folder}", &places.folder)
}

/// Every IPv4 address that some service gives: each is a region's.
fn addresses() -> Result<Vec<IpAddr>, String> {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let places = DemoPaths {
        dns: anywhere,
        admin: anywhere,
        port: 1,
        folder: "/".to_owned(),
    };
    let read = config::parse(&configuration(&places), Path::new("built-in.toml"));
    let config = read.map_err(|mistakes| format!("{mistakes:?}"))?.config;
    let endpoints = config
        .services
        .iter()
        .flat_map(|service| &service.regions)
        .flat_map(|region| &region.endpoints);
    let mut addresses: Vec<IpAddr> = endpoints
        .filter_map(|endpoint| match endpoint.target {
            EndpointTarget::Address(address) if address.is_ipv4() => Some(address),
            _ => None,
        })
        .collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

/// The regions with their cities, and with their addresses in the main service.
pub fn regions(config: &Config) -> Vec<DemoRegionSettings> {
    let main = config
        .services
        .iter()
        .find(|service| service.name.to_string() == MAIN);
    let regions = main.map_or(&[][..], |service| &service.regions);
    let demo = |region: &crate::config::ServiceRegion| {
        let name = &config.regions.get(usize::from(region.region.0))?.name;
        let address = region
            .endpoints
            .iter()
            .find_map(|endpoint| match endpoint.target {
                EndpointTarget::Address(address) if address.is_ipv4() => Some(address),
                _ => None,
            })?;
        Some(DemoRegionSettings {
            name: name.clone(),
            city: city(name),
            address,
        })
    };
    regions.iter().filter_map(demo).collect()
}

fn city(region: &str) -> String {
    CITIES
        .iter()
        .find(|(name, _)| *name == region)
        .map_or(region, |(_, city)| *city)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::LoadedState;

    /// The demo, loaded, on any free ports.
    pub fn loaded() -> LoadedState {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let places = DemoPaths {
            dns: any,
            admin: any,
            port: 8080,
            folder: "/nowhere".to_owned(),
        };
        origin(&places).load(None).unwrap()
    }

    #[test]
    fn the_texts_of_the_demo_have_no_mistake_and_no_warning() {
        let loaded = loaded();
        assert_eq!(loaded.warnings, Vec::<String>::new());
        let regions = regions(&loaded.config);
        let shown: Vec<String> = regions
            .iter()
            .map(|region| format!("{} {}", region.name, region.address))
            .collect();
        assert_eq!(shown.len(), 7);
        assert_eq!(shown[0], "fra 127.0.1.1");
        assert!(
            regions.iter().all(|region| region.city != region.name),
            "{regions:?}"
        );
    }

    #[test]
    fn every_address_of_the_demo_is_a_regions() {
        let addresses = addresses().unwrap();
        assert!(
            addresses.contains(&"127.0.1.1".parse().unwrap())
                && addresses.contains(&"127.0.5.3".parse().unwrap())
        );
        assert!(
            addresses.iter().all(|address| address.is_loopback()),
            "{addresses:?}"
        );
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

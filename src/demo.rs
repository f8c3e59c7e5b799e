//! `meridian demo`: a nameserver with seven regions on one machine, without any setup.
//!
//! The regions are small web servers of this process, on a thread of their own. `curl` can break
//! and mend each of them. The nameserver is the ordinary one: it loads a built-in
//! configuration and checks the regions over loopback. A narrator prints which region serves which
//! clients, and what changes when a region fails. With `--fleet` there are three nameservers, which
//! vote about health.

pub mod arguments;
mod fleet;
mod folder;
mod narrator;
mod region;
mod settings;
mod tour;
mod traffic;
mod vantage;

use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use crate::config::Config;
use crate::daemon::serve;
use crate::daemon::signals::Signals;
use crate::terminal::say;
use arguments::DemoArgs;
use folder::DemoFolder;
use region::{DemoRegion, DemoSockets};
use settings::DemoPaths;
use tour::DemoTour;

/// Serves the demo until it is stopped.
///
/// # Errors
/// A sentence: the regions cannot listen, or the server cannot start.
pub fn run(demo: &DemoArgs) -> Result<ExitCode, String> {
    // The narrator reports everything else.
    crate::daemon::log::start("error");
    if demo.fleet {
        return fleet::run(demo);
    }
    let signals = Signals::of_a_terminal()?;
    let folder = DemoFolder::make()?;
    let sockets = DemoSockets::bind(&settings::addresses()?, demo.port)
        .map_err(|error| format!("the regions cannot be started: {error}"))?;
    let paths = DemoPaths {
        dns: free(demo.listen, try_dns),
        admin: free(demo.admin, try_tcp),
        port: sockets.port(),
        folder: folder.path(),
    };
    let origin = paths.origin();
    let loaded = serve::load(&origin)?;
    let config = loaded.config.clone();
    let regions = serve_regions(sockets, &config)?;
    let greeting = DemoGreeting::new(demo, &paths, DemoTour::of(&loaded, &regions, &paths));
    // The show is the default on a terminal.
    let show = demo.show || !demo.no_show && io::stdout().is_terminal();
    let with_traffic = !demo.no_traffic;
    // Dropped when the server has ended, which stops the traffic.
    let (_running, stopped) = mpsc::channel();
    serve::run_loaded(
        origin,
        loaded,
        &config,
        serve::InheritedState::default(),
        signals,
        |server, admin, control| {
            let dns = server.addresses().dns.first().copied().unwrap_or(paths.dns);
            let admin = admin.address();
            if with_traffic {
                traffic::start(control.clone(), dns, stopped);
            }
            // The narrator prints the greeting, so that a blocked terminal blocks nothing else.
            narrator::start(control.clone(), regions, show, move || {
                greeting.print(dns, &admin);
            });
        },
    )
}

/// Starts the web servers of all regions.
fn serve_regions(sockets: DemoSockets, config: &Config) -> Result<Vec<Arc<DemoRegion>>, String> {
    let ways = Arc::default();
    let mut regions = Vec::new();
    for region in settings::regions(config) {
        regions.push(DemoRegion::new(region, &ways));
    }
    region::serve(sockets, &regions)?;
    Ok(regions)
}

/// The text that the demo prints once it is ready.
struct DemoGreeting {
    tour: DemoTour,
    /// A note that other ports were used than those of the command line.
    port_note: Option<String>,
    with_traffic: bool,
}

impl DemoGreeting {
    fn new(demo: &DemoArgs, paths: &DemoPaths, tour: DemoTour) -> DemoGreeting {
        let uses_other_ports = demo.listen != paths.dns || demo.admin != paths.admin;
        let note = format!(
            "({} or {} is taken, so free ports were used)",
            demo.listen, demo.admin
        );
        DemoGreeting {
            tour,
            port_note: uses_other_ports.then_some(note),
            with_traffic: !demo.no_traffic,
        }
    }

    fn print(&self, dns: SocketAddr, admin: &str) {
        if let Some(note) = &self.port_note {
            say!("{note}");
        }
        self.tour.print(dns, admin, self.with_traffic);
    }
}

/// Whether DNS can be served at an address.
fn try_dns(address: SocketAddr) -> io::Result<()> {
    UdpSocket::bind(address)?;
    try_tcp(address)
}

fn try_tcp(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address)?;
    Ok(())
}

/// The address, or one with a free port if its port is taken.
fn free(address: SocketAddr, try_bind: fn(SocketAddr) -> io::Result<()>) -> SocketAddr {
    match try_bind(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => SocketAddr::new(address.ip(), 0),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::settings::{addresses, regions};
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
        places.origin().load(None).unwrap()
    }

    #[test]
    fn the_configuration_of_the_demo_has_no_error_and_no_warning() {
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
    fn every_address_of_the_demo_belongs_to_a_region() {
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
    fn a_taken_port_is_replaced_by_a_free_one() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(free(address, try_dns).port(), 0);
        drop(taken);
        assert_eq!(free(address, try_dns), address);
    }
}

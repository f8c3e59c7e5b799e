//! The nameservers of the fleet: their names and addresses, and the files that they are started with.
//!
//! All three have the same regions and the same zone. Their configurations differ in the addresses and
//! in the name of the voter.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use crate::demo::settings::ZONE;
use crate::new_files::{NewFile, write_new};

const CONFIGURATION: &str = include_str!("fleet.toml");
/// Where the NATS server listens.
const NATS_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
/// The nameservers, and the cities that they stand for.
const NAMESERVERS: [(&str, &str); 3] = [
    ("ns1", "Amsterdam"),
    ("ns2", "Chicago"),
    ("ns3", "Singapore"),
];
/// The ports of DNS, of the admin API and of NATS, unless one of them is taken. The kernel gives none of
/// them to anybody who asks for any port, so a program that was killed finds its port free.
const PORTS: [u16; 3] = [1053, 8053, 4222];
/// How far apart the ports are that are tried one after the other, and how many.
const STEP: u16 = 100;
const TRIES: u16 = 40;

/// The ports of a fleet, which no other fleet of this machine gets meanwhile.
#[derive(Debug)]
pub struct FleetPorts {
    dns: u16,
    admin: u16,
    nats: u16,
    _reserved: TcpListener,
}

impl FleetPorts {
    /// Finds ports that are free at all addresses.
    ///
    /// # Errors
    /// There are none.
    pub fn find() -> io::Result<FleetPorts> {
        let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
        for number in 0..TRIES {
            match FleetPorts::reserve(PORTS.map(|port| port + number * STEP)) {
                Ok(ports) => return Ok(ports),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn reserve([dns, admin, nats]: [u16; 3]) -> io::Result<FleetPorts> {
        let reserved = TcpListener::bind((NATS_ADDRESS, dns))?;
        for number in 1..=3 {
            let address = nameserver_address(number);
            UdpSocket::bind((address, dns))?;
            TcpListener::bind((address, dns))?;
            TcpListener::bind((address, admin))?;
        }
        TcpListener::bind((NATS_ADDRESS, nats))?;
        Ok(FleetPorts {
            dns,
            admin,
            nats,
            _reserved: reserved,
        })
    }

    /// Where the NATS server listens.
    pub fn nats(&self) -> SocketAddr {
        SocketAddr::from((NATS_ADDRESS, self.nats))
    }
}

/// One nameserver of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetNameserver {
    /// Its name as a voter.
    pub voter: String,
    /// The city that it stands for.
    pub city: String,
    /// Its configuration file.
    pub file: PathBuf,
    /// DNS.
    pub dns: SocketAddr,
    /// The admin API.
    pub admin: SocketAddr,
}

/// The nameservers at these ports, with configurations in this folder.
pub fn nameservers(folder: &Path, ports: &FleetPorts) -> Vec<FleetNameserver> {
    let mut nameservers = Vec::new();
    for (number, (voter, city)) in (1..).zip(NAMESERVERS) {
        let address = nameserver_address(number);
        nameservers.push(FleetNameserver {
            voter: voter.to_owned(),
            city: city.to_owned(),
            file: folder.join(format!("{voter}.toml")),
            dns: SocketAddr::new(address, ports.dns),
            admin: SocketAddr::new(address, ports.admin),
        });
    }
    nameservers
}

fn nameserver_address(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number).into()
}

/// Writes the zone and the configuration of each nameserver. Each finds NATS at the address beside it;
/// the regions are at `port`.
///
/// # Errors
/// A sentence that names the file.
pub fn write(
    folder: &Path,
    nameservers: &[(FleetNameserver, SocketAddr)],
    port: u16,
) -> Result<(), String> {
    let zone = folder.join("zones").join("example.com.zone");
    let mut files = vec![NewFile::public(zone, ZONE.to_owned())];
    for (nameserver, nats) in nameservers {
        let text = configuration(nameserver, *nats, port);
        files.push(NewFile::public(nameserver.file.clone(), text));
    }
    write_new(&files)
}

fn configuration(nameserver: &FleetNameserver, nats: SocketAddr, port: u16) -> String {
    CONFIGURATION
        .replace("{dns}", &nameserver.dns.to_string())
        .replace("{admin}", &nameserver.admin.to_string())
        .replace("{nats}", &nats.to_string())
        .replace("{voter}", &nameserver.voter)
        .replace("{port}", &port.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::control::ConfigOrigin;

    #[test]
    fn the_configurations_have_no_error_and_no_warning() {
        let folder = tempfile::tempdir().unwrap();
        let mut nameservers = Vec::new();
        let ports = FleetPorts::find().unwrap();
        for nameserver in super::nameservers(folder.path(), &ports) {
            nameservers.push((nameserver, "127.0.0.1:4222".parse().unwrap()));
        }
        write(folder.path(), &nameservers, 8080).unwrap();
        let mut files: Vec<PathBuf> = Vec::new();
        for (nameserver, _) in nameservers {
            let loaded = ConfigOrigin::File(nameserver.file.clone());
            let loaded = loaded.load(None).unwrap();
            assert_eq!(loaded.warnings, Vec::<String>::new());
            assert_eq!(
                loaded.config.fleet.as_ref().unwrap().voter,
                Some(nameserver.voter)
            );
            files.push(nameserver.file);
        }
        assert_eq!(files.len(), 3);
    }

    #[test]
    fn two_fleets_have_ports_of_their_own() {
        let [one, other] = [(); 2].map(|()| FleetPorts::find().unwrap());
        assert!(one.dns != other.dns && one.nats() != other.nats());
    }
}

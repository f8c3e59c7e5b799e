//! The four servers on the same zones, each on an address of its own.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::server::{Process, read_framed, write_framed};
use crate::harness::{Message, Question, Server, Setup, Transport, free_port};
use crate::zones::Zone;

/// How long a server may take to load everything.
const START: Duration = Duration::from_secs(30);
/// How long a reply may take, and how often it is asked for again.
const REPLY: Duration = Duration::from_secs(5);

/// Meridian and those that it is compared with.
pub struct Servers {
    pub ours: Server,
    pub others: Vec<Other>,
}

/// A server of others.
pub struct Other {
    pub name: &'static str,
    address: SocketAddr,
    socket: UdpSocket,
    log: PathBuf,
    _process: Process,
}

/// How a server of others is told what to do.
struct Recipe {
    name: &'static str,
    program: &'static str,
    package: &'static str,
    arguments: &'static [&'static str],
    config: fn(&Site<'_>) -> String,
}

/// What a configuration is made from.
struct Site<'z> {
    folder: &'z Path,
    address: SocketAddr,
    zones: &'z [Zone],
    /// Where their files are, beside the folder of ours.
    files: &'z str,
}

impl Site<'_> {
    fn path_of(&self, zone: &Zone) -> String {
        format!("../{}/{}.zone", self.files, file_of(zone))
    }
}

const RECIPES: [Recipe; 3] = [
    Recipe {
        name: "Knot",
        program: "knotd",
        package: "knot",
        arguments: &["-c"],
        config: knot,
    },
    Recipe {
        name: "NSD",
        program: "nsd",
        package: "nsd",
        arguments: &["-d", "-c"],
        config: nsd,
    },
    Recipe {
        name: "BIND",
        program: "named",
        package: "bind9",
        arguments: &["-g", "-n", "1", "-c"],
        config: bind,
    },
];

impl Servers {
    /// Starts all four and waits until each has every zone.
    pub fn start(zones: &[Zone]) -> Servers {
        Servers::start_with(&RECIPES.map(|recipe| recipe.name), zones)
    }

    /// Starts ours and those of these names.
    pub fn start_with(names: &[&str], zones: &[Zone]) -> Servers {
        let mut setup = Setup::new().listen(&["127.0.0.1:0"]);
        for zone in zones {
            setup = setup.zone(
                &file_of(zone),
                &format!("$ORIGIN {}\n{}", zone.origin, zone.text()),
            );
        }
        Servers::start_beside(setup.start(), "zones", names, zones)
    }

    /// Starts those of these names beside ours, with the files of this folder beside its own.
    pub fn start_beside(ours: Server, files: &str, names: &[&str], zones: &[Zone]) -> Servers {
        let recipes = RECIPES.iter().filter(|recipe| names.contains(&recipe.name));
        let others: Vec<Other> = recipes
            .map(|recipe| Other::start(recipe, ours.folder(), files, zones))
            .collect();
        others.iter().for_each(|other| other.await_zones(zones));
        Servers { ours, others }
    }
}

impl Other {
    fn start(recipe: &Recipe, zones_folder: &Path, files: &str, zones: &[Zone]) -> Other {
        // BIND listens at addresses of interfaces only, so not all of 127.0.0.0/8.
        let address = (Ipv4Addr::LOCALHOST, free_port()).into();
        let folder = zones_folder.join(recipe.name);
        fs::create_dir(&folder).expect("the temporary folder can be written");
        // BIND and NSD take their files from where they are told to run.
        let config = folder.join("config");
        let text = (recipe.config)(&Site {
            folder: &folder,
            address,
            zones,
            files,
        });
        fs::write(&config, text).expect("the temporary folder can be written");
        let log = folder.join("log");
        let output = fs::File::create(&log).expect("the temporary folder can be written");
        let child = Command::new(find(recipe.program, recipe.package))
            .args(recipe.arguments)
            .arg(&config)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", recipe.program));
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket
            .set_read_timeout(Some(Duration::from_millis(500)))
            .expect("it is not zero");
        Other {
            name: recipe.name,
            address,
            socket,
            log,
            _process: Process(child),
        }
    }

    /// Asks for each zone until it is there.
    fn await_zones(&self, zones: &[Zone]) {
        let deadline = Instant::now() + START;
        for zone in zones {
            let question = Question {
                name: zone.origin.wire(),
                ..Question::new(".", 6)
            };
            loop {
                let reply = self.udp(&question.octets());
                if reply
                    .and_then(|reply| Message::read(&reply).ok())
                    .is_some_and(|reply| reply.is_authoritative())
                {
                    break;
                }
                let log = || fs::read_to_string(&self.log).unwrap_or_default();
                assert!(
                    Instant::now() < deadline,
                    "{} has no {}:\n{}\n{}",
                    self.name,
                    zone.origin,
                    zone.text(),
                    log()
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// The reply; `None` if there is none in time.
    pub fn exchange(&self, octets: &[u8], transport: Transport) -> Option<Vec<u8>> {
        match transport {
            Transport::Tcp => {
                let mut stream = TcpStream::connect(self.address).expect("it accepts");
                stream
                    .set_read_timeout(Some(REPLY))
                    .expect("it is not zero");
                write_framed(&mut stream, octets);
                read_framed(&mut stream)
            }
            Transport::Udp => {
                let deadline = Instant::now() + REPLY;
                std::iter::repeat_with(|| self.udp(octets))
                    .find(|reply| reply.is_some() || Instant::now() > deadline)?
            }
        }
    }

    fn udp(&self, octets: &[u8]) -> Option<Vec<u8>> {
        // A port that nobody listens at yet shows in either call.
        self.socket.send_to(octets, self.address).ok()?;
        let mut buffer = [0; 65536];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) if buffer[..2] == octets[..2] => return Some(buffer[..length].to_vec()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

pub fn file_of(zone: &Zone) -> String {
    zone.origin.to_string().trim_end_matches('.').to_owned()
}

fn knot(site: &Site<'_>) -> String {
    let (folder, address) = (site.folder.display(), site.address);
    let zones = site.zones.iter().map(|zone| {
        format!(
            "  - domain: \"{}\"\n    file: \"{folder}/{}\"\n",
            zone.origin,
            site.path_of(zone)
        )
    });
    format!(
        "server:\n  rundir: \"{folder}\"\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n  \
         udp-max-payload: 1232\ndatabase:\n  storage: \"{folder}\"\ntemplate:\n  - id: default\n    zonefile-sync: -1\n    \
         journal-content: none\nzone:\n{}",
        address.ip(),
        address.port(),
        zones.collect::<String>()
    )
}

fn nsd(site: &Site<'_>) -> String {
    let (folder, address) = (site.folder.display(), site.address);
    let zones = site.zones.iter().map(|zone| {
        format!(
            "zone:\n  name: \"{}\"\n  zonefile: \"{}\"\n",
            zone.origin,
            site.path_of(zone)
        )
    });
    format!(
        "server:\n  ip-address: {}@{}\n  server-count: 1\n  username: \"\"\n  database: \"\"\n  zonesdir: \"{folder}\"\n  \
         pidfile: \"{folder}/pid\"\n  xfrdfile: \"{folder}/xfrd\"\n  xfrdir: \"{folder}\"\n  zonelistfile: \"{folder}/list\"\n  \
         rrl-ratelimit: 0\n  ipv4-edns-size: 1232\n  minimal-responses: yes\nremote-control:\n  control-enable: no\n{}",
        address.ip(),
        address.port(),
        zones.collect::<String>()
    )
}

fn bind(site: &Site<'_>) -> String {
    let (folder, address) = (site.folder.display(), site.address);
    let zones = site.zones.iter().map(|zone| {
        format!(
            "zone \"{}\" {{ type primary; file \"{}\"; }};\n",
            zone.origin,
            site.path_of(zone)
        )
    });
    format!(
        "options {{ directory \"{folder}\"; pid-file \"{folder}/pid\"; session-keyfile \"{folder}/key\"; \
         listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }}; recursion no; notify no; dnssec-validation no; \
         minimal-any no; minimal-responses no-auth; max-udp-size 1232; edns-udp-size 1232; nocookie-udp-size 1232; \
         check-integrity no; check-names primary ignore; check-mx ignore; check-wildcard no; check-dup-records ignore; \
         check-srv-cname ignore; check-mx-cname ignore; check-sibling no; empty-zones-enable no; }};\ncontrols {{ }};\n{}",
        address.port(),
        address.ip(),
        zones.collect::<String>()
    )
}

/// The program's path; a test cannot go on without it.
fn find(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{program} is not installed; install it with: sudo apt-get install {package}")
    })
}

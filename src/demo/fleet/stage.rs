//! The stage of the story: three nameservers, a NATS server, seven regions, and what can be done to
//! them.
//!
//! Whatever should follow is awaited: a ready line, an answer, or what a nameserver says of its fleet
//! in `/v1/status`. Anything that takes longer than [`PATIENCE`] ends the demo with a sentence.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::programs::{DemoProgram, OWN_PROGRAM};
use super::relay::CutRelay;
use super::resolvers::FleetResolver;
use super::settings::{self, FleetNameserver, FleetPorts};
use super::truth::{FleetClient, HOME};
use crate::control::fleet::report::FleetReport;
use crate::control::{ConfigOrigin, LoadedState};
use crate::demo::region::{self, DemoRegion, DemoSockets};
use crate::demo::settings::regions;
use crate::demo::vantage::{VantageWay, VantageWays};

/// How long anything may take. Most takes a second.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether something has happened.
const POLL: Duration = Duration::from_millis(20);

/// Everything that the story moves.
pub struct FleetStage {
    /// The nameservers.
    pub servers: Vec<FleetServer>,
    /// The region that dies.
    pub home: Arc<DemoRegion>,
    /// The configuration of a nameserver, loaded.
    pub loaded: LoadedState,
    nats: NatsServer,
    ways: Arc<VantageWays>,
    http: reqwest::Client,
    _ports: FleetPorts,
}

/// One nameserver, which may run.
pub struct FleetServer {
    /// Its name, files and addresses.
    pub shown: FleetNameserver,
    to_nats: CutRelay,
    running: Option<DemoProgram>,
}

/// The NATS server, which may run.
struct NatsServer {
    program: PathBuf,
    file: PathBuf,
    address: SocketAddr,
    running: Option<DemoProgram>,
}

impl FleetStage {
    /// Writes all files into the folder and starts the regions, but no program yet. Must be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// A sentence: an address or a file cannot be used.
    pub fn build(folder: &Path, nats: &Path, port: u16) -> Result<FleetStage, String> {
        let refusal = |error| format!("the fleet cannot be started: {error}");
        let ports = FleetPorts::find().map_err(refusal)?;
        let nats = NatsServer {
            program: nats.to_owned(),
            file: folder.join("nats.conf"),
            address: ports.nats(),
            running: None,
        };
        nats.write()?;
        let sockets = DemoSockets::bind(&crate::demo::settings::addresses()?, port);
        let sockets = sockets.map_err(refusal)?;
        let mut servers = Vec::new();
        let mut files = Vec::new();
        for shown in settings::nameservers(folder, &ports) {
            let to_nats = CutRelay::start(nats.address).map_err(refusal)?;
            files.push((shown.clone(), to_nats.address));
            servers.push(FleetServer {
                shown,
                to_nats,
                running: None,
            });
        }
        settings::write(folder, &files, sockets.port())?;
        let loaded = load(&files)?;
        let ways = Arc::default();
        let home = serve_regions(sockets, &loaded, &ways)?;
        Ok(FleetStage {
            servers,
            home,
            loaded,
            nats,
            ways,
            http: http_client()?,
            _ports: ports,
        })
    }

    /// The addresses of the nameservers.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for server in &self.servers {
            addresses.push(server.shown.dns);
        }
        addresses
    }

    /// Starts the NATS server and waits until it listens.
    pub async fn start_nats(&mut self) -> Result<(), String> {
        let nats = &mut self.nats;
        let arguments = [OsStr::new("-c"), nats.file.as_os_str()];
        let mut program = DemoProgram::start(&nats.program, &arguments)?;
        let (name, address) = (nats.program.display(), nats.address);
        until(&format!("{name} listens"), async || {
            program.has_ended() || TcpStream::connect(address).await.is_ok()
        })
        .await?;
        if program.has_ended() {
            return Err(format!("{name} has ended"));
        }
        nats.running = Some(program);
        Ok(())
    }

    /// Kills the NATS server.
    pub fn kill_nats(&mut self) {
        self.nats.running = None;
    }

    /// Starts a nameserver.
    pub fn start_server(&mut self, index: usize) -> Result<(), String> {
        if let Some(server) = self.servers.get_mut(index) {
            let arguments = [
                OsStr::new("serve"),
                OsStr::new("--config"),
                server.shown.file.as_os_str(),
            ];
            let program = DemoProgram::start(Path::new(OWN_PROGRAM), &arguments)?;
            server.running = Some(program);
        }
        Ok(())
    }

    /// Waits for the ready line of a nameserver that was started.
    pub async fn await_ready(&mut self, index: usize) -> Result<(), String> {
        let Some(server) = self.servers.get_mut(index) else {
            return Ok(());
        };
        let voter = &server.shown.voter;
        let Some(program) = &mut server.running else {
            return Err(format!("{voter} does not run"));
        };
        match tokio::time::timeout(PATIENCE, program.first_line()).await {
            Ok(Some(line)) if line.starts_with("ready ") => Ok(()),
            Ok(_) => Err(format!("{voter} has ended")),
            Err(_) => Err(late(&format!("{voter} is ready"))),
        }
    }

    /// Kills a nameserver.
    pub fn kill_server(&mut self, index: usize) {
        if let Some(server) = self.servers.get_mut(index) {
            server.running = None;
        }
    }

    /// Cuts the uplink of a nameserver, or mends it: neither its probes nor its votes get through.
    pub fn cut(&self, index: usize, is_cut: bool) {
        if let Some(server) = self.servers.get(index) {
            server.to_nats.cut(is_cut);
        }
        let way = if is_cut {
            VantageWay::Cut
        } else {
            VantageWay::Open
        };
        self.set_way(index, way);
    }

    /// Changes what the probes of a nameserver meet.
    pub fn set_way(&self, index: usize, way: VantageWay) {
        if let Some(server) = self.servers.get(index) {
            self.ways.set(&server.shown.voter, way);
        }
    }

    /// Waits until what a nameserver says of its fleet is as it should be.
    pub async fn await_report(
        &self,
        index: usize,
        what: &str,
        is_so: impl Fn(&FleetReport) -> bool,
    ) -> Result<(), String> {
        let Some(server) = self.servers.get(index) else {
            return Ok(());
        };
        let what = format!("{} {what}", server.shown.voter);
        let url = format!("http://{}/v1/status", server.shown.admin);
        until(&what, async || {
            report(&self.http, &url)
                .await
                .is_some_and(|report| is_so(&report))
        })
        .await
    }

    /// Waits until every nameserver hears the two others.
    pub async fn await_all_votes(&self) -> Result<(), String> {
        for index in 0..self.servers.len() {
            self.await_report(index, "hears the others", |report| report.fresh_groups == 3)
                .await?;
        }
        Ok(())
    }

    /// Waits until every nameserver tells this client that its region is there, or that it is not.
    /// Returns how long it took.
    pub async fn await_answers(
        &self,
        resolver: &FleetResolver,
        client: &FleetClient,
        home_is_up: bool,
    ) -> Result<Duration, String> {
        let start = Instant::now();
        for (index, server) in self.servers.iter().enumerate() {
            let what = format!("{} answers otherwise", server.shown.voter);
            until(&what, async || {
                let answer = resolver.ask(index, client, 1);
                answer.is_some_and(|answer| client.tells(answer, home_is_up))
            })
            .await?;
        }
        Ok(start.elapsed())
    }

    /// Kills all programs.
    pub fn clear(&mut self) {
        self.kill_servers();
        self.kill_nats();
    }

    fn kill_servers(&mut self) {
        for server in &mut self.servers {
            server.running = None;
        }
    }
}

impl NatsServer {
    fn write(&self) -> Result<(), String> {
        let text = format!("listen: \"{}\"\nserver_name: demo\n", self.address);
        let file = crate::new_files::NewFile::public(self.file.clone(), text);
        crate::new_files::write_new(&[file])
    }
}

/// Loads the configuration of the first nameserver; the others differ in addresses only.
fn load(files: &[(FleetNameserver, SocketAddr)]) -> Result<LoadedState, String> {
    let Some((first, _)) = files.first() else {
        return Err("there is no nameserver".to_owned());
    };
    let loaded = ConfigOrigin::File(first.file.clone()).load(None);
    loaded.map_err(|mistakes| mistakes.join("; "))
}

/// Starts all regions and returns the one that dies.
fn serve_regions(
    sockets: DemoSockets,
    loaded: &LoadedState,
    ways: &Arc<VantageWays>,
) -> Result<Arc<DemoRegion>, String> {
    let mut all = Vec::new();
    for shown in regions(&loaded.config) {
        all.push(DemoRegion::new(shown, ways));
    }
    region::serve(sockets, &all)?;
    let home = all.into_iter().find(|region| region.shown.name == HOME);
    home.ok_or_else(|| format!("there is no region {HOME}"))
}

fn http_client() -> Result<reqwest::Client, String> {
    // The HTTP client needs a TLS provider even for plain HTTP; a second call changes nothing.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    client.build().map_err(|error| error.to_string())
}

/// What a nameserver says of its fleet; `None` if it does not.
async fn report(http: &reqwest::Client, url: &str) -> Option<FleetReport> {
    let answer = http.get(url).send().await.ok()?.bytes().await.ok()?;
    let status: serde_json::Value = serde_json::from_slice(&answer).ok()?;
    serde_json::from_value(status.get("fleet")?.clone()).ok()
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    while !is_so().await {
        if Instant::now() > end {
            return Err(late(what));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

fn late(what: &str) -> String {
    format!(
        "the demo has waited {} seconds for this: {what}",
        PATIENCE.as_secs()
    )
}

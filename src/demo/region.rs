//! The regions of the demo: small web servers on loopback addresses that can be broken and mended.
//!
//! Each region serves a page, `/health` for the checks of the nameservers, and `POST /break` and
//! `POST /mend`. All of them run on one thread with its own runtime, apart from the nameserver. In a
//! fleet, what a probe meets also depends on the way of its nameserver ([`VantageWays`]).

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use tokio::net::TcpListener;

use super::settings::DemoRegionSettings;
use super::vantage::{VANTAGE_HEADER, VantageWay, VantageWays};

/// How long a probe on a way that is cut gets no answer; longer than it waits.
const SILENCE: Duration = Duration::from_secs(5);

/// One region that can be broken.
#[derive(Debug)]
pub struct DemoRegion {
    /// Its name, city and address.
    pub shown: DemoRegionSettings,
    broken: AtomicBool,
    ways: Arc<VantageWays>,
}

impl DemoRegion {
    /// A healthy region, with the ways of nameservers to it.
    pub fn new(shown: DemoRegionSettings, ways: &Arc<VantageWays>) -> Arc<DemoRegion> {
        Arc::new(DemoRegion {
            shown,
            broken: AtomicBool::new(false),
            ways: ways.clone(),
        })
    }

    /// Makes every page fail with status 503, also `/health`.
    pub fn break_down(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Makes every page work again.
    pub fn mend(&self) {
        self.broken.store(false, Ordering::Relaxed);
    }

    fn status(&self) -> StatusCode {
        if self.broken.load(Ordering::Relaxed) {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        }
    }
}

/// The listening sockets of the regions, bound first so that the first checks succeed.
pub struct DemoSockets(Vec<(IpAddr, std::net::TcpListener)>);

impl DemoSockets {
    /// Binds every address at `port`, or at one free port if that is 0 or taken on any of them.
    ///
    /// # Errors
    /// An address is not on this machine, or no port is free on all of them.
    pub fn bind(addresses: &[IpAddr], port: u16) -> io::Result<DemoSockets> {
        if port == 0 {
            return DemoSockets::bind_any(addresses);
        }
        match DemoSockets::bind_all(addresses, port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                DemoSockets::bind_any(addresses)
            }
            bound => bound,
        }
    }

    /// Binds a port that is free on all addresses. The kernel offers a port that is free on the
    /// first one; if another address has it in use, the next port is tried.
    fn bind_any(addresses: &[IpAddr]) -> io::Result<DemoSockets> {
        let Some(&first) = addresses.first() else {
            return Ok(DemoSockets(Vec::new()));
        };
        let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..16 {
            let port = std::net::TcpListener::bind((first, 0))?
                .local_addr()?
                .port();
            match DemoSockets::bind_all(addresses, port) {
                Err(error) => refused = error,
                bound => return bound,
            }
        }
        Err(refused)
    }

    fn bind_all(addresses: &[IpAddr], port: u16) -> io::Result<DemoSockets> {
        let mut sockets = Vec::new();
        for &address in addresses {
            sockets.push((address, bind(SocketAddr::new(address, port))?));
        }
        Ok(DemoSockets(sockets))
    }

    /// The port of all sockets; 0 if there are none.
    pub fn port(&self) -> u16 {
        self.0
            .first()
            .and_then(|(_, socket)| socket.local_addr().ok())
            .map_or(0, |address| address.port())
    }
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = std::net::TcpListener::bind(address).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Serves every region on its addresses, on a separate thread.
///
/// # Errors
/// The system has no thread or no runtime left.
pub fn serve(sockets: DemoSockets, regions: &[Arc<DemoRegion>]) -> Result<(), String> {
    try_serve(sockets, regions).map_err(|error| format!("the regions cannot be served: {error}"))
}

fn try_serve(sockets: DemoSockets, regions: &[Arc<DemoRegion>]) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut by_number = BTreeMap::new();
    for region in regions {
        if let Some(number) = number(region.shown.address) {
            by_number.insert(number, region.clone());
        }
    }
    std::thread::Builder::new()
        .name("demo-regions".to_owned())
        .spawn(move || runtime.block_on(serve_all(sockets, by_number)))?;
    Ok(())
}

async fn serve_all(sockets: DemoSockets, regions: BTreeMap<u8, Arc<DemoRegion>>) {
    let mut servers = tokio::task::JoinSet::new();
    for (address, socket) in sockets.0 {
        let Some(region) = number(address).and_then(|number| regions.get(&number)) else {
            continue;
        };
        match TcpListener::from_std(socket) {
            Ok(listener) => {
                drop(servers.spawn(axum::serve(listener, pages(region.clone())).into_future()))
            }
            Err(error) => tracing::error!(%error, "{address} cannot be served"),
        }
    }
    servers.join_all().await;
}

/// The number of a region, N in its addresses 127.0.N.1.
fn number(address: IpAddr) -> Option<u8> {
    match address {
        IpAddr::V4(address) => Some(address.octets()[2]),
        IpAddr::V6(_) => None,
    }
}

fn pages(region: Arc<DemoRegion>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/health", get(health))
        .route("/break", post(break_down))
        .route("/mend", post(mend))
        .with_state(region)
}

async fn page(State(region): State<Arc<DemoRegion>>) -> (StatusCode, String) {
    let status = region.status();
    let DemoRegionSettings { name, city, .. } = &region.shown;
    let text = if status.is_success() {
        "hello from"
    } else {
        "out of order:"
    };
    (status, format!("{text} {name} ({city})\n"))
}

async fn health(
    State(region): State<Arc<DemoRegion>>,
    headers: HeaderMap,
) -> (StatusCode, &'static str) {
    let vantage = headers.get(VANTAGE_HEADER);
    let vantage = vantage.and_then(|value| value.to_str().ok());
    let is_well = region.status().is_success();
    let seems_well = match region.ways.of(vantage.unwrap_or_default()) {
        VantageWay::Open => is_well,
        VantageWay::Inverted => !is_well,
        VantageWay::Cut => {
            tokio::time::sleep(SILENCE).await;
            false
        }
    };
    if seems_well {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "broken\n")
    }
}

async fn break_down(State(region): State<Arc<DemoRegion>>) -> String {
    region.break_down();
    format!(
        "{} is broken now: its /health says 503\n",
        region.shown.name
    )
}

async fn mend(State(region): State<Arc<DemoRegion>>) -> String {
    region.mend();
    format!("{} is mended: its /health says 200\n", region.shown.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_on_one_address_is_taken_on_none() {
        let addresses: Vec<IpAddr> = ["127.0.1.1", "127.0.2.1"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let taken = std::net::TcpListener::bind("127.0.2.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let sockets = DemoSockets::bind(&addresses, port).unwrap();
        assert!(sockets.port() != port && sockets.port() != 0);
    }
}

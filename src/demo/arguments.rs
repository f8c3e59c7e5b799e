//! The command line of `meridian demo`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// `meridian demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Answer DNS at this address; if the port is taken, a free one is used
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:1053")]
    pub listen: SocketAddr,
    /// Serve the admin API at this loopback address; if the port is taken, a free one is used
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8053", value_parser = loopback)]
    pub admin: SocketAddr,
    /// The port of the simulated regions; if it is taken, a free one is used
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Take one region down and up again [default on a terminal]
    #[arg(long, overrides_with = "no_show")]
    pub show: bool,
    /// Do not take a region down
    #[arg(long)]
    pub no_show: bool,
    /// Do not send queries; by default the demo sends a few a second for clients all over the
    /// world
    #[arg(long)]
    pub no_traffic: bool,
    /// Start three nameservers that vote over NATS, and take a tour of what can fail; needs
    /// nats-server
    #[arg(long, conflicts_with_all = ["listen", "admin", "show", "no_show", "no_traffic"])]
    pub fleet: bool,
    /// With --fleet: end after the tour
    #[arg(long, requires = "fleet")]
    pub once: bool,
    /// With --fleet: run this program [default: nats-server, searched on PATH and in /usr/sbin]
    #[arg(long, value_name = "FILE", requires = "fleet")]
    pub nats_server: Option<PathBuf>,
}

/// Accepts loopback addresses only, because the demo shows everything without a token.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "not an address with a port".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("not a loopback address".to_owned())
    }
}

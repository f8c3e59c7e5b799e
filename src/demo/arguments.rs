//! The command line of `meridian demo`.

use std::net::SocketAddr;

use clap::Args;

/// `meridian demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where to answer DNS; if the port is taken, a free one is used
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:1053")]
    pub listen: SocketAddr,
    /// Where to serve the admin API, on loopback; if the port is taken, a free one is used
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8053", value_parser = loopback)]
    pub admin: SocketAddr,
    /// The port of the pretended regions; if it is taken, a free one is used
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Break and mend one region once, to be watched (what is done on a terminal unless --no-show)
    #[arg(long, overrides_with = "no_show")]
    pub show: bool,
    /// Leave all regions alone
    #[arg(long)]
    pub no_show: bool,
    /// Send no queries: else the demo asks itself a few a second, as people all over the world would
    #[arg(long)]
    pub no_traffic: bool,
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

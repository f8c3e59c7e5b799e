//! The recorded traffic that `plan` and `simulate` can weigh clients by.
//!
//! It comes from the running server of the configuration, or from a file that holds an earlier
//! response of its `/v1/traffic`.

use std::path::Path;

use super::arguments::RemoteArgs;
use super::client::AdminClient;
use crate::config::{AdminListen, Config};
use crate::files::{self, FileKind};
use crate::foresight::NotedTraffic;

/// The word for the running server of the configuration.
pub const LIVE: &str = "live";

/// Reads the traffic from the server of `config`, or from a file. A server with TLS needs a
/// certificate of an authority in `ca_file`, or of the system.
///
/// # Errors
/// A sentence: the server does not answer, the file is not valid, or there is no traffic.
pub fn read(source: &str, config: &Config, ca_file: Option<&Path>) -> Result<NotedTraffic, String> {
    let traffic = if source == LIVE {
        ask(config, ca_file)?
    } else {
        from_file(source)?
    };
    traffic.expect_any()?;
    Ok(traffic)
}

fn ask(config: &Config, ca_file: Option<&Path>) -> Result<NotedTraffic, String> {
    let admin = match &config.admin.listen {
        AdminListen::Tcp(address) if config.admin.tls.is_some() => format!("https://{address}"),
        AdminListen::Tcp(address) => format!("http://{address}"),
        AdminListen::Unix(path) => format!("unix:{}", path.display()),
    };
    AdminClient::new(&RemoteArgs::to_read(&admin, ca_file))?.get("/v1/traffic", &[])
}

fn from_file(file: &str) -> Result<NotedTraffic, String> {
    let content = files::read(Path::new(file), FileKind::State)
        .map_err(|error| format!("{file}: {error}"))?;
    serde_json::from_slice(&content.octets)
        .map_err(|error| format!("{file}: is not a response of GET /v1/traffic: {error}"))
}

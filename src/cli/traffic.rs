//! Where commands have real clients from: a running server, or what one has said before.

use std::path::Path;

use super::arguments::RemoteArgs;
use super::client::AdminClient;
use crate::config::{AdminListen, Config};
use crate::files::{self, FileKind};
use crate::foresight::NotedTraffic;

/// The word for the server that runs with the configuration at hand.
pub const LIVE: &str = "live";

/// What the server of `config` has noted, or what a file says that one had. Where it speaks TLS, its certificate is that of an
/// authority of the file, or of the system.
///
/// # Errors
/// A sentence: the server cannot be asked, the file is none of that kind, or nothing is noted.
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
        .map_err(|error| format!("{file}: is not what GET /v1/traffic answers: {error}"))
}

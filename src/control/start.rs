//! Checks what a start needs beside the configuration and the zones.
//!
//! This is the admin token, the admin socket, the state directory and the addresses. `serve` runs
//! these checks before it opens anything, and `check` calls the same function, so both report the
//! same errors and warnings. The checks create and change nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::fingerprint::ContentPrints;
use super::keep::served_zones;
use super::private_file::read_token;
use super::state_directory;
use crate::config::{AdminListen, Config};
use crate::text::shown;

/// What was found; each is a sentence that names its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartReport {
    /// `serve` does not start.
    pub refusals: Vec<String>,
    /// `serve` starts, and something will be missing.
    pub warnings: Vec<String>,
    /// What is so on this machine at this moment, and may well be right.
    pub notes: Vec<String>,
}

/// Looks at everything that a start of this configuration needs, with the rights of this thread; `prints` are those of its
/// zones.
pub fn examine(config: &Config, prints: &ContentPrints) -> StartReport {
    let mut found = StartReport::default();
    match (&config.admin.listen, &config.admin.token_file) {
        (AdminListen::Unix(path), _) => admin_socket(path, &mut found),
        (AdminListen::Tcp(_), Some(file)) => found
            .refusals
            .extend(read_token(file).err().map(String::from)),
        (AdminListen::Tcp(_), None) => {}
    }
    if let Some(file) = config
        .events
        .token_file
        .as_ref()
        .filter(|_| config.events.webhook.is_some())
    {
        let told = |error| {
            format!(
                "{}; until then the webhook is told nothing",
                String::from(error)
            )
        };
        found.warnings.extend(read_token(file).err().map(told));
    }
    if let Some(directory) = &config.state_directory {
        found.warnings.extend(state_directory::unusable(directory));
        found
            .warnings
            .extend(state_directory::open_to_others(directory));
        found
            .warnings
            .extend(prints.same_serials(&served_zones(directory)));
        found.notes.extend(state_directory::owner(directory));
    }
    found.notes.extend(strange_addresses(config));
    found
}

/// A socket that a server left behind is replaced, and nothing else.
fn admin_socket(path: &Path, found: &mut StartReport) {
    let shown_path = shown(path.display());
    match fs::symlink_metadata(path) {
        Ok(data) if !data.file_type().is_socket() => {
            let sentence = "something else is there, which no server replaces; take it away, or name another path";
            found.refusals.push(format!(
                "the admin server cannot listen on unix:{shown_path}: {sentence}"
            ));
        }
        Ok(_) => {}
        Err(_) => {
            // The service manager may make the folder when it starts the server.
            let folder = path.parent().filter(|folder| !folder.is_dir());
            let told = |folder: &Path| {
                format!(
                    "{}: the folder of the admin socket is not there (yet)",
                    shown(folder.display())
                )
            };
            found.notes.extend(folder.map(told));
        }
    }
}

/// Listen addresses that this machine does not have. It may not be the one that will serve.
fn strange_addresses(config: &Config) -> Vec<String> {
    let server = &config.server;
    let encrypted = [
        &server.encrypted.tls,
        &server.encrypted.https,
        &server.encrypted.quic,
    ]
    .into_iter()
    .flatten();
    let admin = match &config.admin.listen {
        AdminListen::Tcp(address) => Some(address),
        AdminListen::Unix(_) => None,
    };
    let addresses: BTreeSet<IpAddr> = server
        .listen
        .iter()
        .chain(encrypted)
        .chain(admin)
        .map(|address| address.ip())
        .collect();
    let is_strange = |address: &IpAddr| {
        UdpSocket::bind((*address, 0))
            .is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
    };
    let told = |address: IpAddr| {
        format!(
            "{}: this machine does not have the address {address}",
            config.file.display()
        )
    };
    addresses.into_iter().filter(is_strange).map(told).collect()
}

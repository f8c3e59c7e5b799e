//! Checks what a start needs beside the configuration and the zones.
//!
//! These are the admin token, the admin socket, the state directory and the addresses. `serve` runs
//! these checks before it opens anything, and `check` calls the same function, so both report the
//! same errors and warnings. The checks create and change nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::fingerprint::ContentPrints;
use super::keep::served_zones;
use super::private_file::read_token;
use super::state_directory;
use crate::config::{AdminListen, Config};
use crate::text::shown;

/// What the checks of a start have found. Each finding is a sentence that names its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartReport {
    /// Errors: `serve` would not start.
    pub refusals: Vec<String>,
    /// `serve` starts, but a function will not work.
    pub warnings: Vec<String>,
    /// Facts about this machine now that may be intended.
    pub notes: Vec<String>,
}

/// Checks everything that a start of this configuration needs, with the permissions of this thread.
/// `prints`: the fingerprints of its zones.
pub fn examine(config: &Config, prints: &ContentPrints) -> StartReport {
    let mut found = StartReport::default();
    match (&config.admin.listen, &config.admin.token_file) {
        (AdminListen::Unix(path), _) => check_admin_socket(path, &mut found),
        (AdminListen::Tcp(_), Some(file)) => {
            found
                .refusals
                .extend(read_token(file).err().map(String::from));
        }
        (AdminListen::Tcp(_), None) => {}
    }
    if config.events.webhook.is_some()
        && let Some(file) = &config.events.token_file
        && let Err(error) = read_token(file)
    {
        found.warnings.push(format!(
            "{}; until then no events are sent to the webhook",
            String::from(error)
        ));
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

/// Checks the path of the admin socket. `serve` replaces a socket there, but no other file.
fn check_admin_socket(path: &Path, found: &mut StartReport) {
    let shown_path = shown(path.display());
    match fs::symlink_metadata(path) {
        Ok(data) if !data.file_type().is_socket() => {
            found.refusals.push(format!(
                "the admin server cannot listen on unix:{shown_path}: the file there is no socket; \
                 remove it, or configure another path"
            ));
        }
        Ok(_) => {}
        Err(_) => found.notes.extend(missing_folder(path)),
    }
}

/// A note, because the service manager may create the folder when it starts the server.
fn missing_folder(socket: &Path) -> Option<String> {
    let folder = socket.parent().filter(|folder| !folder.is_dir())?;
    Some(format!(
        "{}: the folder of the admin socket is not there (yet)",
        shown(folder.display())
    ))
}

/// Notes about listen addresses that this machine does not have. It may not be the machine that
/// will serve.
fn strange_addresses(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    for address in addresses(config) {
        let bound = UdpSocket::bind((address, 0));
        if bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable) {
            notes.push(format!(
                "{}: this machine does not have the address {address}",
                config.file.display()
            ));
        }
    }
    notes
}

/// Every address that the server listens on.
fn addresses(config: &Config) -> BTreeSet<IpAddr> {
    let server = &config.server;
    let encrypted = &server.encrypted;
    let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
    for listen in [
        &server.listen,
        &encrypted.tls,
        &encrypted.https,
        &encrypted.quic,
    ] {
        addresses.extend(listen.iter().map(SocketAddr::ip));
    }
    if let AdminListen::Tcp(address) = &config.admin.listen {
        addresses.insert(address.ip());
    }
    addresses
}

//! Where the encrypted transports and the admin server listen, and which certificate they present.
//!
//! No two listeners may share a port of the same protocol: DNS over TLS and HTTPS compete with
//! plain TCP, DNS over QUIC with plain UDP. A certificate is needed as soon as one encrypted
//! transport listens.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::model::AdminListen;
use crate::config::document::{ConfigReport, Setting, SpannedList, TableField};
use crate::config::tables::Tls;
use crate::config::values::addresses::ListenAddress;
use crate::config::values::plain::SingleLine;
use crate::dns::Name;

/// Where the encrypted transports listen, and whose certificate they show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncryptedListen {
    /// DNS over TLS (RFC 7858).
    pub tls: Vec<SocketAddr>,
    /// DNS over HTTPS (RFC 8484).
    pub https: Vec<SocketAddr>,
    /// DNS over QUIC (RFC 9250).
    pub quic: Vec<SocketAddr>,
    /// The path of DNS over HTTPS; starts with `/`.
    pub https_path: String,
    /// The certificate; there is one if anything listens.
    pub identity: Option<IdentityFiles>,
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate and its chain, in PEM.
    pub certificate: PathBuf,
    /// The private key, in PEM.
    pub key: PathBuf,
}

/// `[admin]`
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Where it listens.
    pub listen: AdminListen,
    /// File that holds the token for calls that change state.
    pub token_file: Option<PathBuf>,
    /// Names that it is asked by, beside its addresses and localhost.
    pub hosts: Vec<Name>,
    /// What it speaks HTTPS with; `None`: plain HTTP. Never there on a unix socket.
    pub tls: Option<IdentityFiles>,
}

/// The lists of addresses as written.
pub struct ListenLists {
    /// `listen_tls`
    pub tls: Setting<SpannedList<ListenAddress<853>>>,
    /// `listen_https`
    pub https: Setting<SpannedList<ListenAddress<443>>>,
    /// `listen_quic`
    pub quic: Setting<SpannedList<ListenAddress<853>>>,
    /// `https_path`
    pub https_path: Setting<SingleLine<255>>,
}

impl ListenLists {
    /// Checks them against each other and against `plain`, which has the ports of UDP and TCP.
    pub fn resolve(
        self,
        tls: TableField<Tls>,
        plain: &[SocketAddr],
        folder: &Path,
        report: &mut ConfigReport,
    ) -> EncryptedListen {
        let plain: HashSet<SocketAddr> = plain
            .iter()
            .copied()
            .filter(|address| address.port() != 0)
            .collect();
        let mut tcp = TakenPorts {
            protocol: "TCP",
            taken: plain.clone(),
        };
        let mut udp = TakenPorts {
            protocol: "UDP",
            taken: plain,
        };
        let first = self.first();
        let tls_addresses = tcp.take(self.tls.value, report);
        let https = tcp.take(self.https.value, report);
        let quic = udp.take(self.quic.value, report);
        let https_path = resolve_path(self.https_path, report);
        let identity = resolve_identity(tls, first, folder, report);
        EncryptedListen {
            tls: tls_addresses,
            https,
            quic,
            https_path,
            identity,
        }
    }

    /// The place of the first list in the file; `None` if nothing listens.
    fn first(&self) -> Option<usize> {
        if self.tls.value.is_empty() && self.https.value.is_empty() && self.quic.value.is_empty() {
            return None;
        }
        [self.tls.at(), self.https.at(), self.quic.at()]
            .into_iter()
            .flatten()
            .min()
    }
}

/// The addresses that are listened on over one protocol.
struct TakenPorts {
    protocol: &'static str,
    taken: HashSet<SocketAddr>,
}

impl TakenPorts {
    /// The addresses of a list; one that is taken already is reported.
    fn take<const PORT: u16>(
        &mut self,
        list: SpannedList<ListenAddress<PORT>>,
        report: &mut ConfigReport,
    ) -> Vec<SocketAddr> {
        let mut addresses = Vec::with_capacity(list.len());
        for address in list {
            let socket = address.value.0;
            if socket.port() != 0 && !self.taken.insert(socket) {
                report.error(
                    address.at,
                    format!("{socket} is listened on twice over {}", self.protocol),
                );
            }
            addresses.push(socket);
        }
        addresses
    }
}

fn resolve_path(path: Setting<SingleLine<255>>, report: &mut ConfigReport) -> String {
    let at = path.at().unwrap_or(0);
    let SingleLine(text) = path.value;
    let is_plain = text
        .bytes()
        .all(|octet| octet.is_ascii_graphic() && !b"?#".contains(&octet));
    if !text.starts_with('/') || !is_plain {
        report.error(
            at,
            format!("\"{text}\" is no path: it starts with / and has neither ? nor # nor spaces"),
        );
    }
    text
}

/// The files of `[tls]`; `listener` is the place of the first listener that needs them.
fn resolve_identity(
    tls: TableField<Tls>,
    listener: Option<usize>,
    folder: &Path,
    report: &mut ConfigReport,
) -> Option<IdentityFiles> {
    if tls.is_refused() {
        return None;
    }
    let Some(at) = tls.at() else {
        if let Some(listener) = listener {
            report.error(
                listener,
                "a listener of an encrypted transport needs [tls] certificate and key".to_owned(),
            );
        }
        return None;
    };
    if listener.is_none() {
        let sentence =
            "nobody is shown the certificate without listen_tls, listen_https or listen_quic";
        report.warning(at, sentence.to_owned());
    }
    let files = identity_files(tls.or_default(), at, "[tls]", folder, report);
    if listener.is_some() { files } else { None }
}

/// The two files of the table at this place; both must be there.
pub fn identity_files(
    tls: Tls,
    at: usize,
    table: &str,
    folder: &Path,
    report: &mut ConfigReport,
) -> Option<IdentityFiles> {
    let Tls { certificate, key } = tls;
    let certificate = certificate.required(at, &format!("{table} needs a certificate"), report);
    let key = key.required(at, &format!("{table} needs a key"), report);
    Some(IdentityFiles {
        certificate: folder.join(certificate?.value),
        key: folder.join(key?.value),
    })
}

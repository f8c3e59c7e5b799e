//! Where the encrypted transports listen, and whose certificate they show.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::error::{ConfigReport, ValueError};
use super::model::AdminListen;
use super::raw::Tls;
use super::read::{SpannedList, TableField, TextValue};
use super::values::SingleLine;
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
    /// There, if anything listens.
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
    /// Default `127.0.0.1:8053`.
    pub listen: AdminListen,
    /// File that holds the token for calls that change state.
    pub token_file: Option<PathBuf>,
    /// Names that it is asked by, beside its addresses and localhost.
    pub hosts: Vec<Name>,
    /// What it speaks HTTPS with; `None`: plain HTTP. Never there on a unix socket.
    pub tls: Option<IdentityFiles>,
}

/// An address with a port, which is `PORT` where none is written.
#[derive(Debug, Clone, Copy)]
pub struct ListenAddress<const PORT: u16>(pub SocketAddr);

impl<const PORT: u16> TextValue for ListenAddress<PORT> {
    fn expected() -> String {
        format!(
            "an address, with a port if it is not {PORT}, such as \"192.0.2.1\" or \"[2001:db8::1]:{PORT}\""
        )
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        let bare = || {
            text.parse::<IpAddr>()
                .map(|address| SocketAddr::new(address, PORT))
        };
        text.parse()
            .or_else(|_| bare())
            .map(ListenAddress)
            .map_err(|_| ValueError::default())
    }
}

/// The lists of addresses as written.
pub struct ListenLists {
    /// `listen_tls`
    pub tls: TableField<SpannedList<ListenAddress<853>>>,
    /// `listen_https`
    pub https: TableField<SpannedList<ListenAddress<443>>>,
    /// `listen_quic`
    pub quic: TableField<SpannedList<ListenAddress<853>>>,
}

impl ListenLists {
    /// Checks them against each other and against `plain`, which has the ports of UDP and TCP.
    pub fn resolve(
        self,
        path: TableField<SingleLine<255>>,
        tls: TableField<Tls>,
        plain: &[SocketAddr],
        folder: &Path,
        report: &mut ConfigReport<'_>,
    ) -> EncryptedListen {
        let plain: HashSet<SocketAddr> = plain
            .iter()
            .copied()
            .filter(|address| address.port() != 0)
            .collect();
        let (mut tcp, mut udp) = (plain.clone(), plain);
        let first = [self.tls.at(), self.https.at(), self.quic.at()]
            .into_iter()
            .flatten()
            .min();
        let encrypted = EncryptedListen {
            tls: distinct(self.tls, "over TCP", &mut tcp, report),
            https: distinct(self.https, "over TCP", &mut tcp, report),
            quic: distinct(self.quic, "over UDP", &mut udp, report),
            https_path: resolve_path(path, report),
            identity: None,
        };
        let nobody =
            encrypted.tls.is_empty() && encrypted.https.is_empty() && encrypted.quic.is_empty();
        EncryptedListen {
            identity: resolve_identity(tls, first.filter(|_| !nobody), folder, report),
            ..encrypted
        }
    }
}

/// The addresses; none may be `taken` by another listener.
fn distinct<const PORT: u16>(
    list: TableField<SpannedList<ListenAddress<PORT>>>,
    how: &str,
    taken: &mut HashSet<SocketAddr>,
    report: &mut ConfigReport<'_>,
) -> Vec<SocketAddr> {
    let list = list.or(SpannedList::new());
    for address in &list {
        let socket = address.value.0;
        if socket.port() != 0 && !taken.insert(socket) {
            report.error(address.at, format!("{socket} is listened on twice {how}"));
        }
    }
    list.into_iter().map(|address| address.value.0).collect()
}

fn resolve_path(path: TableField<SingleLine<255>>, report: &mut ConfigReport<'_>) -> String {
    let Some(path) = path.given() else {
        return "/dns-query".to_owned();
    };
    let text = path.value.0;
    let plain = |octet: u8| octet.is_ascii_graphic() && !b"?#".contains(&octet);
    if !text.starts_with('/') || !text.bytes().all(plain) {
        report.error(
            path.at,
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
    report: &mut ConfigReport<'_>,
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
    let files = identity_files(tls.or(Tls::default()), at, "[tls]", folder, report)?;
    listener.map(|_| files)
}

/// The two files of the table at this place; both must be there.
pub fn identity_files(
    tls: Tls,
    at: usize,
    table: &str,
    folder: &Path,
    report: &mut ConfigReport<'_>,
) -> Option<IdentityFiles> {
    let Tls { certificate, key } = tls;
    let certificate = certificate.required(at, &format!("{table} needs a certificate"), report);
    let key = key.required(at, &format!("{table} needs a key"), report);
    let path = |path: PathBuf| folder.join(path);
    Some(IdentityFiles {
        certificate: path(certificate?.value),
        key: path(key?.value),
    })
}

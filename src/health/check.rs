//! Checks and targets: what is asked, of whom, and what counts as good.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

use super::probe::{CheckAuthorities, ClientIdentity};
use super::verdict::HealthRules;
use crate::dns::{Name, RecordType};

/// One endpoint under one check. Endpoints that share both are one target, probed once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProbeTarget {
    /// Where the probe connects; for [`ProbeKind::Exec`] what the program is told.
    pub address: SocketAddr,
    /// What is asked.
    pub check: Arc<HealthCheck>,
}

/// What a target is known by across reloads and restarts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetKey {
    /// The check's name.
    pub check: Arc<str>,
    /// The endpoint.
    pub address: SocketAddr,
}

impl ProbeTarget {
    /// What it is known by.
    pub fn key(&self) -> TargetKey {
        TargetKey {
            check: self.check.name.clone(),
            address: self.address,
        }
    }
}

/// A check, every value already checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// Unique among the checks.
    pub name: Arc<str>,
    /// When, and how many results make a verdict.
    pub rules: HealthRules,
    /// How.
    pub probe: ProbeKind,
}

impl HealthCheck {
    /// How long before a certificate expires people are warned; `None`: there is no certificate.
    pub fn expiry_warning(&self) -> Option<Duration> {
        let tls = match &self.probe {
            ProbeKind::Http(HttpCheck { tls, .. }) | ProbeKind::Grpc(GrpcCheck { tls, .. }) => {
                tls.as_ref()
            }
            ProbeKind::Tls(tls) => Some(tls),
            ProbeKind::Tcp | ProbeKind::Dns(_) | ProbeKind::Exec(_) => None,
        };
        tls.map(|tls| tls.certificate.expiry_warning)
    }

    /// Whether it verifies a certificate by the roots that the system knows.
    pub fn needs_system_roots(&self) -> bool {
        let (ProbeKind::Http(HttpCheck { tls: Some(tls), .. })
        | ProbeKind::Grpc(GrpcCheck { tls: Some(tls), .. })
        | ProbeKind::Tls(tls)) = &self.probe
        else {
            return false;
        };
        tls.certificate.verify && tls.certificate.authorities.is_none()
    }
}

/// How health is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// One request over HTTP/1.1, in clear or over TLS.
    Http(HttpCheck),
    /// The connection is accepted.
    Tcp,
    /// The TLS handshake comes to its end.
    Tls(CheckTls),
    /// `grpc.health.v1.Health/Check`.
    Grpc(GrpcCheck),
    /// A DNS query over UDP is answered with NOERROR.
    Dns(DnsCheck),
    /// A program ends with 0 (good), 1 (warning) or anything else (bad).
    Exec(ExecCheck),
}

/// An HTTP check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpCheck {
    /// Over TLS, and how.
    pub tls: Option<CheckTls>,
    /// What is asked with.
    pub method: HttpMethod,
    /// Path and query, starting with `/`.
    pub path: String,
    /// Host header; without it the endpoint's own address and port.
    pub host: Option<String>,
    /// Sent beside the usual ones, or instead.
    pub headers: RequestHeaders,
    /// What counts as good.
    pub expect: HttpExpectation,
}

/// Headers of a request, each name once. Values are marked as sensitive, so that nothing shows them.
pub type RequestHeaders = Vec<(HeaderName, HeaderValue)>;

/// The method of an HTTP check. None has a body to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HttpMethod {
    /// GET
    #[default]
    Get,
    /// HEAD: the answer has no body.
    Head,
    /// OPTIONS
    Options,
    /// POST
    Post,
}

/// TLS of a check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CheckTls {
    /// Sent as SNI, and what the certificate must be for; without it the endpoint's address.
    pub name: Option<String>,
    /// What is wanted of the certificate.
    pub certificate: CertificateRule,
}

/// What is wanted of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateRule {
    /// Whether it is verified. Expiry is reported either way.
    pub verify: bool,
    /// Who may have signed it; without them those whom the system knows.
    pub authorities: Option<CheckAuthorities>,
    /// What is shown to an endpoint that asks for a certificate; `None`: nothing is.
    pub identity: Option<ClientIdentity>,
    /// How long before it expires people are warned; default 14 days.
    pub expiry_warning: Duration,
}

impl Default for CertificateRule {
    fn default() -> Self {
        CertificateRule {
            verify: true,
            authorities: None,
            identity: None,
            expiry_warning: Duration::from_secs(14 * 86_400),
        }
    }
}

/// A gRPC check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GrpcCheck {
    /// Over TLS, and how.
    pub tls: Option<CheckTls>,
    /// `:authority`; without it the endpoint's own address and port.
    pub host: Option<String>,
    /// Sent beside the usual ones.
    pub headers: RequestHeaders,
    /// The service asked about; empty: the server as a whole.
    pub service: String,
}

/// A DNS check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsCheck {
    /// QNAME.
    pub name: Name,
    /// QTYPE.
    pub rtype: RecordType,
}

/// A program as a check: run without a shell, its first line of output is the reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecCheck {
    /// Absolute path.
    pub program: PathBuf,
    /// `{address}` and `{port}` stand for the endpoint's.
    pub arguments: Vec<String>,
}

/// What counts as a good HTTP answer; all of it must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpExpectation {
    /// Status ranges, both ends included.
    pub status: Vec<(u16, u16)>,
    /// A substring of the body.
    pub body: Option<String>,
    /// Value in a JSON body: where it is (a pointer, RFC 6901), and its text.
    pub json: Option<(String, String)>,
    /// Names and values of headers; each must be there.
    pub headers: Vec<(String, String)>,
    /// The longest that the whole exchange may take; what takes longer is a warning.
    pub latency: Option<Duration>,
}

impl Default for HttpExpectation {
    fn default() -> Self {
        HttpExpectation {
            status: vec![(200, 299)],
            body: None,
            json: None,
            headers: Vec::new(),
            latency: None,
        }
    }
}

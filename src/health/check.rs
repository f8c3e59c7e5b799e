//! Health checks and probe targets.
//!
//! A [`HealthCheck`] says how to probe an endpoint and which answers are good. A [`ProbeTarget`] is
//! an endpoint's address together with its check. These are plain values, already validated:
//! `config` reads checks from the configuration file, `control` turns them into targets, and
//! [`super::probe`] makes the probes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

use super::machine::HealthRules;
use super::probe::{CheckAuthorities, ClientIdentity};
use crate::dns::{Name, RecordType};

/// One address under one check. Endpoints that share both are one target and are probed once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProbeTarget {
    /// The address that the probe connects to, or that [`ProbeKind::Exec`] passes to the program.
    pub address: SocketAddr,
    /// How the address is probed.
    pub check: Arc<HealthCheck>,
}

/// Identifies a target across reloads and restarts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetKey {
    /// The name of the check.
    pub check: Arc<str>,
    /// The address of the endpoint.
    pub address: SocketAddr,
}

impl ProbeTarget {
    /// The key of the target.
    pub fn key(&self) -> TargetKey {
        TargetKey {
            check: self.check.name.clone(),
            address: self.address,
        }
    }
}

/// How endpoints are probed, and how many results change their state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// Unique among the checks.
    pub name: Arc<str>,
    /// The timing, and the number of results that change a state.
    pub rules: HealthRules,
    /// The kind of probe and its parameters.
    pub probe: ProbeKind,
}

impl HealthCheck {
    /// How long before the certificate expires a warning is due. `None` if the check uses no TLS.
    pub fn expiry_warning(&self) -> Option<Duration> {
        Some(self.probe.tls()?.certificate.expiry_warning)
    }

    /// Whether it verifies certificates against the system's root certificates.
    pub fn needs_system_roots(&self) -> bool {
        match self.probe.tls() {
            Some(tls) => tls.certificate.verify && tls.certificate.authorities.is_none(),
            None => false,
        }
    }
}

/// The kind of probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProbeKind {
    /// One request over HTTP/1.1, with or without TLS.
    Http(HttpCheck),
    /// A TCP connection.
    Tcp,
    /// A TLS handshake.
    Tls(CheckTls),
    /// A call of `grpc.health.v1.Health/Check`.
    Grpc(GrpcCheck),
    /// A DNS query over UDP that must be answered with NOERROR.
    Dns(DnsCheck),
    /// A program that exits with 0 (pass), 1 (warn) or anything else (fail).
    Exec(ExecCheck),
}

impl ProbeKind {
    fn tls(&self) -> Option<&CheckTls> {
        match self {
            ProbeKind::Http(check) => check.tls.as_ref(),
            ProbeKind::Grpc(check) => check.tls.as_ref(),
            ProbeKind::Tls(tls) => Some(tls),
            ProbeKind::Tcp | ProbeKind::Dns(_) | ProbeKind::Exec(_) => None,
        }
    }
}

/// An HTTP check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpCheck {
    /// TLS settings, or `None` for plain text.
    pub tls: Option<CheckTls>,
    /// The request method.
    pub method: HttpMethod,
    /// Path and query, starting with `/`.
    pub path: String,
    /// Host header; defaults to the endpoint's address and port.
    pub host: Option<String>,
    /// Additional headers. They replace default headers of the same name.
    pub headers: RequestHeaders,
    /// What a good answer looks like.
    pub expect: HttpExpectation,
}

/// Request headers, each name once. Values are marked as sensitive, so `Debug` does not print them.
pub type RequestHeaders = Vec<(HeaderName, HeaderValue)>;

/// The method of an HTTP check. Requests never have a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HttpMethod {
    /// GET
    #[default]
    Get,
    /// HEAD, whose answer has no body.
    Head,
    /// OPTIONS
    Options,
    /// POST
    Post,
}

/// The TLS settings of a check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CheckTls {
    /// The server name for SNI and for verifying the certificate; defaults to the endpoint's
    /// address.
    pub name: Option<String>,
    /// The requirements on certificates.
    pub certificate: CertificateRule,
}

/// Requirements on certificates.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateRule {
    /// Whether the server's certificate is verified. Its expiry is reported either way.
    pub verify: bool,
    /// The trusted authorities; defaults to the system's root certificates.
    pub authorities: Option<CheckAuthorities>,
    /// The client certificate for endpoints that request one.
    pub identity: Option<ClientIdentity>,
    /// How long before expiry a warning is due; default 14 days.
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
    /// TLS settings, or `None` for plain text.
    pub tls: Option<CheckTls>,
    /// `:authority`; defaults to the endpoint's address and port.
    pub host: Option<String>,
    /// Additional headers.
    pub headers: RequestHeaders,
    /// The service to ask about; empty for the server as a whole.
    pub service: String,
}

/// The question of a DNS probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsCheck {
    /// QNAME.
    pub name: Name,
    /// QTYPE.
    pub rtype: RecordType,
}

/// A program to run without a shell. The first line of its output becomes the reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecCheck {
    /// Absolute path.
    pub program: PathBuf,
    /// Arguments, in which `{address}` and `{port}` are replaced by the endpoint's.
    pub arguments: Vec<String>,
}

/// Conditions for a good HTTP answer. All of them must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpExpectation {
    /// Inclusive ranges of status codes.
    pub status: Vec<(u16, u16)>,
    /// A string that the body must contain.
    pub body: Option<String>,
    /// A JSON pointer into the body (RFC 6901), and the value there as text.
    pub json: Option<(String, String)>,
    /// Headers that must be present, by name and value.
    pub headers: Vec<(String, String)>,
    /// The longest time for the whole exchange. A slower answer is a warning.
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

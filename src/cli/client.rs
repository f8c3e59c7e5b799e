//! The client of the admin API, for the commands that talk to a running server.
//!
//! It speaks HTTP over TCP, TLS or a Unix socket, and sends the token if there is one. Errors of
//! the server become sentences for the user.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::arguments::RemoteArgs;
use crate::admin::ErrorBody;
use crate::control::private_file::read_token;
use crate::files::{self, FileKind};
use crate::health::probe::reasons::innermost;
use crate::health::probe::{AlpnProtocol, CheckAuthorities, TrustStore};

/// The timeout of a request, longer than the server takes for any.
const TIME: Duration = Duration::from_secs(70);
/// The timeout of a liveness or readiness request.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// Most octets of a response; the status of a very large configuration fits.
const MOST: usize = 256 << 20;

/// A running server.
pub struct AdminClient {
    http: reqwest::Client,
    base: Url,
    /// The address as the user wrote it.
    shown: String,
    token: Option<Zeroizing<String>>,
}

impl AdminClient {
    /// A client for the server that the options name.
    pub fn new(remote: &RemoteArgs) -> Result<AdminClient, String> {
        let shown = remote.admin.clone();
        // The HTTP client needs a TLS provider even for plain HTTP; a second call changes nothing.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        // Proxies of the environment are meant for other machines.
        let http = trusting(
            reqwest::Client::builder(),
            shown.starts_with("https:"),
            remote.ca_file.as_deref(),
        )?
        .no_proxy()
        .timeout(TIME)
        .connect_timeout(CONNECT_TIME);
        let (http, base) = match shown.strip_prefix("unix:") {
            Some(path) => (
                http.unix_socket(PathBuf::from(path)),
                "http://localhost/".to_owned(),
            ),
            None if shown.contains("://") => (http, shown.clone()),
            None => (http, format!("http://{shown}")),
        };
        let base = Url::parse(&base).map_err(|error| unusable(&shown, &error))?;
        let http = http.build().map_err(|error| unusable(&shown, &error))?;
        Ok(AdminClient {
            http,
            base,
            token: token(remote)?,
            shown,
        })
    }

    /// Sends a GET request with these pairs in the query.
    pub fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, String> {
        self.call(self.request(Method::GET, path, query)?)
    }

    /// Sends a POST request with a JSON body.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, String> {
        self.call(with_body(self.request(Method::POST, path, &[])?, body)?)
    }

    /// Sends a PUT or DELETE request with a JSON body; `parts` are the segments of the path.
    pub fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        parts: &[&str],
        body: &impl Serialize,
    ) -> Result<T, String> {
        // The segments come from the user, so they are escaped.
        let mut path = Url::parse("http://localhost/v1").map_err(|error| error.to_string())?;
        path.path_segments_mut()
            .map_err(|()| "no path".to_owned())?
            .extend(parts);
        self.call(with_body(self.request(method, path.path(), &[])?, body)?)
    }

    /// Sends a PUT request with a JSON body that must be answered within `timeout`.
    pub fn put_within<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        timeout: Duration,
    ) -> Result<T, String> {
        let request = with_body(self.request(Method::PUT, path, &[])?, body)?;
        self.call(request.timeout(timeout))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, String> {
        let mut url = self
            .base
            .join(path)
            .map_err(|error| format!("--admin {:?}: {error}", self.shown))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.as_str()),
            None => request,
        })
    }

    /// The text of `/healthz` or `/readyz`, with a short timeout.
    pub fn sign_of_life(&self, path: &str) -> Result<String, String> {
        let (status, body) = self.send(
            self.request(Method::GET, path, &[])?
                .timeout(HEALTH_TIMEOUT),
        )?;
        if status.is_success() {
            return Ok(String::from_utf8_lossy(&body).into_owned());
        }
        Err(self.error_of(status, &body))
    }

    fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, String> {
        let (status, body) = self.send(request)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| self.not_understood(&error));
        }
        Err(self.error_of(status, &body))
    }

    fn error_of(&self, status: reqwest::StatusCode, body: &[u8]) -> String {
        match serde_json::from_slice::<ErrorBody>(body) {
            // The server does not know how the command line takes the token.
            Ok(ErrorBody { error, .. }) if status == reqwest::StatusCode::UNAUTHORIZED => {
                format!("{error}; pass the token with --token-file FILE or in MERIDIAN_TOKEN")
            }
            Ok(ErrorBody { error, .. }) => error,
            Err(_) => self.not_understood(&format!("it answered {status}")),
        }
    }

    fn not_understood(&self, reason: &dyn std::fmt::Display) -> String {
        format!(
            "the response of {} does not come from this version of meridian: {reason}",
            self.shown
        )
    }

    fn send(&self, request: RequestBuilder) -> Result<(reqwest::StatusCode, Vec<u8>), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start the runtime: {error}"))?;
        runtime
            .block_on(exchange(request))
            .map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &reqwest::Error) -> String {
        let cause = innermost(error);
        let hint = match self.base.scheme() {
            "https" if cause.contains("certificate") => {
                "trust the CA of its certificate with --ca-file FILE, and use a name or address that is in the certificate"
            }
            _ => "is it running, and is this its --admin address?",
        };
        format!("cannot reach the server at {}: {cause}; {hint}", self.shown)
    }
}

fn unusable(admin: &str, error: &dyn std::error::Error) -> String {
    format!("--admin {admin:?} cannot be used: {error}")
}

/// Loads trusted authorities only for HTTPS, so that plain HTTP works on a machine without any.
fn trusting(
    http: reqwest::ClientBuilder,
    encrypted: bool,
    ca_file: Option<&Path>,
) -> Result<reqwest::ClientBuilder, String> {
    let trust = match ca_file {
        Some(file) if !encrypted => {
            let file = file.display();
            return Err(format!(
                "--ca-file {file} has no effect without TLS: use --admin https://HOST:PORT"
            ));
        }
        None if !encrypted => return Ok(http.tls_certs_only([])),
        Some(file) => authorities(file)?.trust().clone(),
        None => TrustStore::from_system()?.0,
    };
    Ok(http.tls_backend_preconfigured((*trust.settings(true, AlpnProtocol::Http1)).clone()))
}

fn authorities(file: &Path) -> Result<CheckAuthorities, String> {
    let read = match files::read(file, FileKind::Certificates) {
        Ok(text) => CheckAuthorities::from_pem(&text.octets),
        Err(error) => Err(error.to_string()),
    };
    read.map_err(|sentence| format!("--ca-file {}: {sentence}", file.display()))
}

fn with_body(request: RequestBuilder, body: &impl Serialize) -> Result<RequestBuilder, String> {
    let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
    Ok(request
        .header(reqwest::header::CONTENT_TYPE, "application/json")
        .body(body))
}

/// Sends a request and reads the response, up to [`MOST`] octets.
async fn exchange(request: RequestBuilder) -> reqwest::Result<(reqwest::StatusCode, Vec<u8>)> {
    let mut response = request.send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST {
            break;
        }
    }
    Ok((response.status(), body))
}

/// The token, from the file or the environment.
fn token(remote: &RemoteArgs) -> Result<Option<Zeroizing<String>>, String> {
    match (&remote.token_file, std::env::var("MERIDIAN_TOKEN")) {
        (Some(file), _) => read_token(file).map(Some).map_err(String::from),
        (None, Ok(token)) if !token.trim().is_empty() => {
            Ok(Some(Zeroizing::new(token.trim().to_owned())))
        }
        _ => Ok(None),
    }
}

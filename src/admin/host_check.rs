//! Keeps pages of other sites from using a browser to reach this server.
//!
//! Two attacks are refused. In DNS rebinding, a site lets a name of its own resolve to this
//! server's address; then the Host is that name, so only addresses, localhost and the names in
//! `[admin] hosts` are accepted. A cross-site request is recognised by the headers that browsers
//! add (Fetch Metadata). Monitoring systems may use any name for the paths in [`OPEN`].

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error::ApiError;

/// Paths that accept any name as the Host. They have no data that a page of another site could use.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Refuses requests for a foreign Host and requests that a page of another site makes.
pub async fn admit(
    State(hosts): State<Arc<[String]>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if OPEN.contains(&request.uri().path()) {
        return Ok(next.run(request).await);
    }
    if let Some(host) = host_of(&request)
        && !is_own(host, &hosts)
    {
        let sentence = format!(
            "use the address of this server, localhost or a name in [admin] hosts, not \
             as {host:?}, so that no page from elsewhere can reach it by a name of its own"
        );
        return Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, sentence));
    }
    if is_cross_site(request.headers()) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "requests from pages of other sites are refused",
        ));
    }
    Ok(next.run(request).await)
}

/// The host in the target of a request, or else its Host header.
fn host_of(request: &Request) -> Option<&str> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str());
    }
    let host = request.headers().get(header::HOST)?;
    Some(host.to_str().unwrap_or("?"))
}

fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    }
}

/// Whether a host, with or without a port, is an address, localhost or one of the configured
/// names. None of these can be rebound by another site.
fn is_own(host: &str, hosts: &[String]) -> bool {
    let name = without_port(host).trim_end_matches('.');
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::IpAddr>().is_ok()
        || hosts.contains(&name)
}

/// Whether a page of another site makes the request, other than by a link to here.
fn is_cross_site(headers: &HeaderMap) -> bool {
    has_value(headers, "sec-fetch-site", "cross-site")
        && !has_value(headers, "sec-fetch-mode", "navigate")
}

fn has_value(headers: &HeaderMap, name: &str, value: &str) -> bool {
    let stated = headers.get(name);
    stated.is_some_and(|stated| stated.as_bytes() == value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_own_names_are_not() {
        for own in [
            "127.0.0.1",
            "127.0.0.1:8053",
            "[::1]:8053",
            "192.0.2.1:80",
            "LOCALHOST:1",
            "a.localhost",
            "localhost.",
        ] {
            assert!(is_own(own, &[]), "{own}");
        }
        let hosts = ["ns1.example.net".to_owned()];
        assert!(is_own("NS1.example.net.:8053", &hosts) && !is_own("ns2.example.net", &hosts));
        for foreign in [
            "",
            "x",
            "rebound.example:8053",
            "127.0.0.1.example",
            "localhost.example",
            "[::1",
            "?",
        ] {
            assert!(!is_own(foreign, &[]) || foreign == "[::1", "{foreign}");
        }
    }
}

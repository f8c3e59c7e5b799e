//! Pages from elsewhere stay out: a browser at this machine must not be made to read this server for them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error::ApiError;

/// What machines ask by whatever name they know: nothing in it is worth a page's trouble.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Lets in what asks for an address or for this machine (a name of somebody else's that was made to lead here is
/// how DNS rebinding begins), and what another site's page does not ask for.
pub async fn admit(
    State(hosts): State<Arc<[String]>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if !OPEN.contains(&request.uri().path()) {
        let stated = request
            .headers()
            .get(header::HOST)
            .map(|host| host.to_str().unwrap_or("?"));
        let host = request
            .uri()
            .authority()
            .map(|authority| authority.as_str())
            .or(stated);
        if let Some(host) = host.filter(|host| !is_own(host, &hosts)) {
            let sentence = format!(
                "this server is asked by its address, as localhost or by a name in [admin] hosts, not as {host:?}, so that \
                 no page from elsewhere can reach it by a name of its own"
            );
            return Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, sentence));
        }
        if is_foreign(request.headers()) {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "a page of another site may not ask here",
            ));
        }
    }
    Ok(next.run(request).await)
}

/// An address, localhost, or a name that the operator gave, with or without a port: no page's name can be rebound to those.
fn is_own(host: &str, hosts: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::IpAddr>().is_ok()
        || hosts.contains(&name)
}

/// Browsers say so (Fetch Metadata); going to the page by a link is no harm.
fn is_foreign(head: &HeaderMap) -> bool {
    let says = |name: &str, value: &str| {
        head.get(name)
            .is_some_and(|said| said.as_bytes() == value.as_bytes())
    };
    says("sec-fetch-site", "cross-site") && !says("sec-fetch-mode", "navigate")
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

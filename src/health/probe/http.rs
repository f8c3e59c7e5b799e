//! HTTP: `GET /health` over HTTP/1.1, to the endpoint's own address, naming the service.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use reqwest::header::HOST;
use reqwest::{Client, ClientBuilder, Response, redirect};

use super::expect::{Answer, judge};
use super::tls::server_name;
use super::{Observation, Prober, Stopwatch, Trust, certificate};
use crate::health::check::{Http, Tls};

/// The most that is read of a body.
const BODY_LIMIT: usize = 64 * 1024;

/// One client does for all endpoints in clear: the URL holds the endpoint's address, the Host header the name.
pub fn clear_client(trust: &Trust) -> Result<Client, String> {
    let builder = plain(trust, true).http1_only();
    builder.build().map_err(|error| format!("no HTTP client can be made: {error}"))
}

/// Asks, reads and judges.
pub async fn probe(prober: &Prober, address: SocketAddr, check: &Http, stopwatch: &Stopwatch) -> Observation {
    exchange(prober, address, check, stopwatch).await.unwrap_or_else(Observation::fail)
}

async fn exchange(
    prober: &Prober,
    address: SocketAddr,
    check: &Http,
    stopwatch: &Stopwatch,
) -> Result<Observation, String> {
    let (client, url) = match &check.tls {
        None => (prober.clear.clone(), format!("http://{address}{}", check.path)),
        Some(tls) => {
            let (builder, origin) = secure(&prober.trust, address, tls, b"http/1.1")?;
            let client = builder.http1_only().build().map_err(|error| describe(&error, address))?;
            (client, format!("{origin}{}", check.path))
        }
    };
    let host = check.host.clone().unwrap_or_else(|| address.to_string());
    let request = client.get(url).header(HOST, host).header("user-agent", "meridian").header("accept", "*/*");
    let mut response = request.send().await.map_err(|error| describe(&error, address))?;
    stopwatch.answered();
    let days = certificate_days(&response);
    let body = read_body(&mut response, address).await?;
    let answer = Answer { status: response.status(), headers: response.headers(), body, took: stopwatch.elapsed() };
    Ok(Observation { certificate_expires_in: days, ..judge(&check.expect, &answer) })
}

/// What every probe's client has in common: a fresh connection, no redirect, no proxy, no second try.
pub fn plain(trust: &Trust, verify: bool) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(trust.settings(verify, Some(b"http/1.1")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(0)
        .no_proxy()
}

/// A client whose connections for the check's name go to the endpoint's address, and the origin of its URLs.
pub fn secure(
    trust: &Trust,
    address: SocketAddr,
    tls: &Tls,
    protocol: &[u8],
) -> Result<(ClientBuilder, String), String> {
    server_name(tls, address)?;
    let builder = plain(trust, tls.verify).tls_backend_preconfigured(trust.settings(tls.verify, Some(protocol)));
    let builder = builder.tls_info(true);
    let port = address.port();
    match &tls.name {
        None => Ok((builder, format!("https://{address}"))),
        // A client would connect to an address in the URL, whatever it was told about names.
        Some(name) if name.parse::<IpAddr>().is_ok_and(|named| named != address.ip()) => {
            Err(format!("the certificate's name {name} is another address than {}", address.ip()))
        }
        Some(name) if name.parse::<IpAddr>().is_ok() => Ok((builder, format!("https://{address}"))),
        Some(name) => Ok((builder.resolve(name, address), format!("https://{name}:{port}"))),
    }
}

/// Days that the certificate behind a response is still good for.
pub fn certificate_days(response: &Response) -> Option<i64> {
    let info = response.extensions().get::<reqwest::tls::TlsInfo>()?;
    certificate::expires_in_days(info.peer_certificate()?, SystemTime::now())
}

/// Reads up to the limit; what lies beyond it is not waited for.
pub async fn read_body(response: &mut Response, address: SocketAddr) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error, address))? {
        let room = BODY_LIMIT - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if body.len() >= BODY_LIMIT {
            break;
        }
    }
    Ok(body)
}

/// The innermost cause says what happened; the outer ones say that a request failed.
pub fn describe(error: &reqwest::Error, address: SocketAddr) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let what = if error.is_connect() { "cannot connect to" } else { "no whole answer from" };
    format!("{what} {address}: {cause}")
}

//! HTTP: one request over HTTP/1.1 to the endpoint's own address, naming the service.

use std::net::SocketAddr;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HOST, USER_AGENT};

use super::connection::{describe, exchange_http1, open};
use super::expect::{ReceivedAnswer, judge};
use super::shortage::ProbeError;
use super::tls::AlpnProtocol;
use super::{Observation, Stopwatch, TrustStore};
use crate::health::check::{HttpCheck, HttpMethod};

/// Asks, reads and judges. Redirects are answers like any other.
pub async fn probe(
    trust: &TrustStore,
    address: SocketAddr,
    check: &HttpCheck,
    stopwatch: &Stopwatch,
) -> Result<Observation, ProbeError> {
    let request = request(address, check)?;
    let connection = open(
        trust,
        address,
        check.tls.as_ref(),
        AlpnProtocol::Http1,
        stopwatch,
    )
    .await?;
    let found = exchange_http1(connection.stream, request, stopwatch.clone()).await;
    let found = found.map_err(|error| describe(&error, address))?;
    let (status, headers) = (found.head.status(), found.head.headers());
    let answer = ReceivedAnswer {
        status,
        headers,
        body: &found.body,
        took: stopwatch.elapsed(),
    };
    Ok(Observation {
        certificate_expires_in: connection.certificate_days,
        ..judge(&check.expect, &answer)
    })
}

fn request(address: SocketAddr, check: &HttpCheck) -> Result<Request<Full<Bytes>>, String> {
    let method = match check.method {
        HttpMethod::Get => hyper::Method::GET,
        HttpMethod::Head => hyper::Method::HEAD,
        HttpMethod::Options => hyper::Method::OPTIONS,
        HttpMethod::Post => hyper::Method::POST,
    };
    let host = check.host.clone().unwrap_or_else(|| address.to_string());
    let request = Request::builder()
        .method(method)
        .uri(&check.path)
        .header(HOST, host);
    let request = request
        .header(USER_AGENT, "meridian")
        .header(ACCEPT, "*/*")
        .body(Full::default());
    let mut request = request.map_err(|error| format!("there is no such request: {error}"))?;
    for (name, value) in &check.headers {
        request.headers_mut().insert(name, value.clone());
    }
    Ok(request)
}

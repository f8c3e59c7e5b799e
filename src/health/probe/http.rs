//! HTTP checks: one request over HTTP/1.1 to the endpoint's own address.
//!
//! The `Host` header names the service, so an endpoint with virtual hosts answers for the right
//! one. [`super::expect`] judges the answer.

use std::net::SocketAddr;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HOST, USER_AGENT};

use super::connection::{describe, exchange_http1, open};
use super::expect::{ReceivedAnswer, judge};
use super::observation::{Observation, Stopwatch};
use super::shortage::ProbeError;
use super::tls::AlpnProtocol;
use super::tls::TrustStore;
use crate::health::check::{HttpCheck, HttpMethod};

/// Sends the request and judges the answer. Redirects are not followed.
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
    let answer = exchange_http1(connection.stream, request, stopwatch.clone()).await;
    let answer = answer.map_err(|error| describe(&error, address))?;
    let received = ReceivedAnswer {
        status: answer.head.status(),
        headers: answer.head.headers(),
        body: &answer.body,
        took: stopwatch.elapsed(),
    };
    let mut observation = judge(&check.expect, &received);
    observation.certificate_expires_in = connection.certificate_days;
    Ok(observation)
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
        .header(HOST, host)
        .header(USER_AGENT, "meridian")
        .header(ACCEPT, "*/*")
        .body(Full::default());
    let mut request = request.map_err(|error| format!("the request cannot be built: {error}"))?;
    for (name, value) in &check.headers {
        request.headers_mut().insert(name, value.clone());
    }
    Ok(request)
}

//! gRPC: `grpc.health.v1.Health/Check`, one message each way over HTTP/2.

use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, TE};
use hyper::{Request, StatusCode};

use super::connection::{describe, exchange_http2, open};
use super::shortage::ProbeError;
use super::tls::AlpnProtocol;
use super::{Observation, Stopwatch, TrustStore};
use crate::health::check::GrpcCheck;

/// Asks and judges.
pub async fn probe(
    trust: &TrustStore,
    address: SocketAddr,
    check: &GrpcCheck,
    stopwatch: &Stopwatch,
) -> Result<Observation, ProbeError> {
    let request = request(address, check)?;
    let connection = open(
        trust,
        address,
        check.tls.as_ref(),
        AlpnProtocol::Http2,
        stopwatch,
    )
    .await?;
    let answer = exchange_http2(connection.stream, request, stopwatch.clone()).await;
    let answer = answer.map_err(|error| describe(&error, address))?;
    // A server that refuses says so in the head, since it has no message to send.
    let told = |headers: &HeaderMap| {
        headers
            .get("grpc-status")
            .and_then(|status| status.to_str().ok())
            .map(str::to_owned)
    };
    let grpc = told(&answer.trailers)
        .or_else(|| told(answer.head.headers()))
        .unwrap_or_else(|| "0".to_owned());
    let http = answer.head.status();
    let found = if http != StatusCode::OK || grpc != "0" {
        Observation::fail(format!("status {}, grpc-status {grpc}", http.as_u16()))
    } else {
        judge(&answer.body.octets)
    };
    Ok(Observation {
        certificate_expires_in: connection.certificate_days,
        ..found
    })
}

fn request(address: SocketAddr, check: &GrpcCheck) -> Result<Request<Full<Bytes>>, String> {
    let scheme = if check.tls.is_some() { "https" } else { "http" };
    let authority = check.host.clone().unwrap_or_else(|| address.to_string());
    let request = Request::post(format!(
        "{scheme}://{authority}/grpc.health.v1.Health/Check"
    ));
    let request = request
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers");
    let message = Full::new(Bytes::from(request_message(&check.service)?));
    let mut request = request
        .body(message)
        .map_err(|error| format!("there is no such request: {error}"))?;
    for (name, value) in &check.headers {
        request.headers_mut().insert(name, value.clone());
    }
    Ok(request)
}

/// `HealthCheckRequest { service = 1 }`, framed: not compressed, length, message.
fn request_message(service: &str) -> Result<Vec<u8>, String> {
    let length = u8::try_from(service.len())
        .ok()
        .filter(|&length| length < 0x80);
    let length = length.ok_or("the name of a gRPC service has at most 127 octets")?;
    let field: &[u8] = if length == 0 { &[] } else { &[0x0a, length] };
    let message = [field, service.as_bytes()].concat();
    let size = u32::try_from(message.len()).unwrap_or(0).to_be_bytes();
    Ok([&[0], &size[..], &message].concat())
}

/// `HealthCheckResponse { status = 1 }`: 1 is SERVING; absent is 0, UNKNOWN.
fn judge(body: &[u8]) -> Observation {
    match body {
        [0, 0, 0, 0, 2, 0x08, 1] => Observation::pass(),
        [0, 0, 0, 0, 0] | [0, 0, 0, 0, 2, 0x08, 0] => Observation::fail("it answers UNKNOWN"),
        [0, 0, 0, 0, 2, 0x08, 2] => Observation::fail("it answers NOT_SERVING"),
        [0, 0, 0, 0, 2, 0x08, 3] => Observation::fail("it does not know the service"),
        _ => Observation::fail("its answer is no health message"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::verdict::ProbeResult;

    #[test]
    fn messages_have_their_frame() {
        assert_eq!(request_message("").unwrap(), [0; 5]);
        assert_eq!(
            request_message("ab").unwrap(),
            [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']
        );
        assert!(request_message(&"a".repeat(128)).is_err());
        assert_eq!(judge(&[0, 0, 0, 0, 2, 8, 1]).outcome, ProbeResult::Pass);
        assert_eq!(judge(&[0, 0, 0, 0, 2, 8, 2]).outcome, ProbeResult::Fail);
        assert_eq!(judge(b"").outcome, ProbeResult::Fail);
    }
}

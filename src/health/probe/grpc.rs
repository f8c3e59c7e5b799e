//! gRPC checks: one call of `grpc.health.v1.Health/Check` over HTTP/2.
//!
//! The request and the answer are one message each, so this module encodes and decodes them itself.
//! The endpoint is good if it answers `SERVING`.

use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, TE};
use hyper::{Request, StatusCode};

use super::connection::{HttpAnswer, describe, exchange_http2, open};
use super::observation::{Observation, Stopwatch};
use super::shortage::ProbeError;
use super::tls::AlpnProtocol;
use super::tls::TrustStore;
use crate::health::check::GrpcCheck;

/// Makes the call and judges the answer.
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
    let mut observation = judge(&answer);
    observation.certificate_expires_in = connection.certificate_days;
    Ok(observation)
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
        .map_err(|error| format!("the request cannot be built: {error}"))?;
    for (name, value) in &check.headers {
        request.headers_mut().insert(name, value.clone());
    }
    Ok(request)
}

/// Encodes `HealthCheckRequest { service = 1 }` with its frame: a flag for compression, the length
/// in four octets, and the message.
fn request_message(service: &str) -> Result<Vec<u8>, String> {
    let length = match u8::try_from(service.len()) {
        Ok(0) => return Ok(vec![0; 5]),
        Ok(length @ ..0x80) => length,
        _ => return Err("the name of a gRPC service has at most 127 octets".to_owned()),
    };
    let mut message = vec![0, 0, 0, 0, length + 2, 0x0a, length];
    message.extend_from_slice(service.as_bytes());
    Ok(message)
}

fn judge(answer: &HttpAnswer) -> Observation {
    let http = answer.head.status();
    let grpc = grpc_status(answer);
    if http != StatusCode::OK || grpc != "0" {
        return Observation::fail(format!("status {}, grpc-status {grpc}", http.as_u16()));
    }
    judge_message(&answer.body.octets)
}

/// The status in the trailers, or in the headers if the answer has no message. 0 is OK.
fn grpc_status(answer: &HttpAnswer) -> &str {
    for headers in [&answer.trailers, answer.head.headers()] {
        if let Some(value) = headers.get("grpc-status")
            && let Ok(status) = value.to_str()
        {
            return status;
        }
    }
    "0"
}

/// Judges `HealthCheckResponse { status = 1 }`. An absent status is 0, UNKNOWN.
fn judge_message(body: &[u8]) -> Observation {
    match body {
        [0, 0, 0, 0, 2, 0x08, 1] => Observation::pass(),
        [0, 0, 0, 0, 0] | [0, 0, 0, 0, 2, 0x08, 0] => Observation::fail("it answers UNKNOWN"),
        [0, 0, 0, 0, 2, 0x08, 2] => Observation::fail("it answers NOT_SERVING"),
        [0, 0, 0, 0, 2, 0x08, 3] => Observation::fail("it does not know the service"),
        _ => Observation::fail("its answer is not a health message"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::machine::ProbeResult;

    #[test]
    fn messages_have_their_frame() {
        assert_eq!(request_message("").unwrap(), [0; 5]);
        assert_eq!(
            request_message("ab").unwrap(),
            [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']
        );
        assert!(request_message(&"a".repeat(128)).is_err());
        assert_eq!(
            judge_message(&[0, 0, 0, 0, 2, 8, 1]).result,
            ProbeResult::Pass
        );
        assert_eq!(
            judge_message(&[0, 0, 0, 0, 2, 8, 2]).result,
            ProbeResult::Fail
        );
        assert_eq!(judge_message(b"").result, ProbeResult::Fail);
    }
}

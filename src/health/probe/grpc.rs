//! gRPC: `grpc.health.v1.Health/Check`, one message each way over HTTP/2.

use std::net::SocketAddr;

use super::http::{certificate_days, describe, plain, read_body, secure};
use super::{Observation, Stopwatch, Trust};
use crate::health::check::Grpc;

/// Asks and judges.
pub async fn probe(trust: &Trust, address: SocketAddr, check: &Grpc, stopwatch: &Stopwatch) -> Observation {
    exchange(trust, address, check, stopwatch).await.unwrap_or_else(Observation::fail)
}

async fn exchange(
    trust: &Trust,
    address: SocketAddr,
    check: &Grpc,
    stopwatch: &Stopwatch,
) -> Result<Observation, String> {
    let (builder, origin) = match &check.tls {
        None => (plain(trust, true), format!("http://{address}")),
        Some(tls) => secure(trust, address, tls, b"h2")?,
    };
    let client = builder.http2_prior_knowledge().build().map_err(|error| describe(&error, address))?;
    let request = client.post(format!("{origin}/grpc.health.v1.Health/Check"));
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    let mut response = request.body(request_message(&check.service)?).send().await;
    let response = response.as_mut().map_err(|error| describe(error, address))?;
    stopwatch.answered();
    let days = certificate_days(response);
    // A server that refuses says so in the head, since it has no message to send.
    let status = response.headers().get("grpc-status").and_then(|status| status.to_str().ok()).unwrap_or("0");
    if response.status() != reqwest::StatusCode::OK || status != "0" {
        return Err(format!("status {}, grpc-status {status}", response.status().as_u16()));
    }
    let body = read_body(response, address).await?;
    Ok(Observation { certificate_expires_in: days, ..judge(&body) })
}

/// `HealthCheckRequest { service = 1 }`, framed: not compressed, length, message.
fn request_message(service: &str) -> Result<Vec<u8>, String> {
    let length = u8::try_from(service.len()).ok().filter(|&length| length < 0x80);
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
    use crate::health::verdict::Outcome;

    #[test]
    fn messages_have_their_frame() {
        assert_eq!(request_message("").unwrap(), [0; 5]);
        assert_eq!(request_message("ab").unwrap(), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert!(request_message(&"a".repeat(128)).is_err());
        assert_eq!(judge(&[0, 0, 0, 0, 2, 8, 1]).outcome, Outcome::Pass);
        assert_eq!(judge(&[0, 0, 0, 0, 2, 8, 2]).outcome, Outcome::Fail);
        assert_eq!(judge(b"").outcome, Outcome::Fail);
    }
}

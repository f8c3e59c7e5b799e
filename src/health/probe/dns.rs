//! DNS checks: one query over UDP that must be answered with NOERROR.
//!
//! The probe ignores every datagram that does not answer its query, and reads on until one does or
//! the check's timeout ends it. A query that gets lost is a failure.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use super::observation::{Observation, Stopwatch};
use super::shortage::ProbeError;
use crate::dns::CLASS_IN;
use crate::health::check::DnsCheck;

/// Sends one query and waits for its answer.
pub async fn probe(
    address: SocketAddr,
    check: &DnsCheck,
    stopwatch: &Stopwatch,
) -> Result<Observation, ProbeError> {
    exchange(address, check, stopwatch).await.map_err(|error| {
        stopwatch.failed(&error);
        ProbeError::of_socket(&format!("no DNS answer from {address}"), &error)
    })
}

async fn exchange(
    address: SocketAddr,
    check: &DnsCheck,
    stopwatch: &Stopwatch,
) -> io::Result<Observation> {
    let local: SocketAddr = if address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(address).await?;
    let query = query(check, RandomState::new().hash_one(address) as u16);
    socket.send(&query).await?;
    let mut buffer = [0; 1500];
    loop {
        let size = socket.recv(&mut buffer).await?;
        if let Some(observation) = judge(&query, &buffer[..size]) {
            stopwatch.answered();
            return Ok(observation);
        }
    }
}

fn query(check: &DnsCheck, id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    query.extend(check.name.as_wire());
    query.extend(check.rtype.0.to_be_bytes());
    query.extend(CLASS_IN.to_be_bytes());
    query
}

/// Judges a datagram. Returns `None` if it does not answer the query.
fn judge(query: &[u8], reply: &[u8]) -> Option<Observation> {
    let question = query.get(12..)?;
    let echoed = reply.get(12..)?.get(..question.len())?;
    if reply.get(..2)? != query.get(..2)?
        || reply[2] & 0x80 == 0
        || !echoed.eq_ignore_ascii_case(question)
    {
        return None;
    }
    Some(match reply[3] & 0x0f {
        0 => Observation::pass(),
        rcode => Observation::fail(format!("it answers with RCODE {rcode}")),
    })
}

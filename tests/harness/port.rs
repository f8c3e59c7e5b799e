//! Ports for programs of others.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// A port, free for UDP and TCP, for a program that cannot be told to choose one by itself. It lies below those that the
/// system gives out, and tests that run at the same time look for it in other places, so that nobody takes it meanwhile.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let own = 10_000 + (std::process::id() % 1000) as u16 * 20;
    let free = |port: &u16| {
        let address = (Ipv4Addr::UNSPECIFIED, *port);
        UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
    };
    let mut next = std::iter::repeat_with(|| own + TAKEN.fetch_add(1, Ordering::Relaxed)).take(20);
    next.find(free).expect("a free port among twenty")
}

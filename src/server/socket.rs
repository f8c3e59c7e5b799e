//! The sockets of one listen address: opened, or passed by others.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::passed_sockets::PassedSockets;

/// Room for queries that wait, in octets as the kernel counts them; it may give less. Some 2,700 queries, which a worker has
/// answered within 9 ms. More would bridge longer pauses, but a flood fills all there is, and then every query comes out of
/// memory that no cache of the core holds: with four times the room an answer costs 1.08 times as much in a flood, with this
/// 1.03 (`cargo bench --bench overload`).
const QUERIES: usize = 1 << 20;
/// Room for replies on their way out, in octets.
const REPLIES: usize = 4 << 20;
/// Replies that wait in the system for one TCP client that does not read, in octets.
const TCP_BUFFER: usize = 128 << 10;
/// How often a worker that waits looks whether it is to stop.
const WAIT: Duration = Duration::from_millis(200);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// How often a free port is looked for that both UDP and TCP have.
const PORT_ATTEMPTS: usize = 32;

/// The sockets of one address.
pub struct BoundSockets {
    /// With the port that the kernel gave.
    pub address: SocketAddr,
    /// One for each worker.
    pub udp: Vec<UdpSocket>,
    /// One for all connections.
    pub tcp: TcpListener,
}

/// Raises how many descriptors this process may open to all that it is allowed, and returns that number: what a shell
/// gives at first (1,024) is fewer than the connections of one server, and then probes would fail for want of them.
///
/// # Errors
/// The system does not tell, or does not let it.
pub fn raise_descriptors() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: one structure on this stack is filled in, then read.
    let results = unsafe {
        let told = libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        [told, libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit)]
    };
    if results == [0, 0] {
        Ok(limit.rlim_max)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// UDP and TCP on the same port: those that were passed, or new ones.
pub fn pair(
    address: SocketAddr,
    workers: usize,
    passed: &mut PassedSockets,
) -> io::Result<BoundSockets> {
    match passed.tcp(address) {
        Some(tcp) => complete(adopt_tcp(tcp)?, workers, passed),
        None if address.port() == 0 => bind_pair(address, workers),
        None => complete(bind_tcp(address)?, workers, passed),
    }
}

/// TCP alone.
pub fn tcp(address: SocketAddr, passed: &mut PassedSockets) -> io::Result<TcpListener> {
    passed
        .tcp(address)
        .map_or_else(|| bind_tcp(address), adopt_tcp)
}

/// UDP for QUIC, which looks after everything else itself.
pub fn quic(address: SocketAddr, passed: &mut PassedSockets) -> io::Result<UdpSocket> {
    match passed.one_udp(address) {
        Some(socket) => socket.set_nonblocking(true).map(|()| socket),
        None => bind_quic(address),
    }
}

/// A listener and the UDP sockets of its address: all that were passed, since each holds queries of its own. Workers for
/// whom there is none share one, because who passes sockets decides how many there are.
fn complete(
    tcp: TcpListener,
    workers: usize,
    passed: &mut PassedSockets,
) -> io::Result<BoundSockets> {
    let address = tcp.local_addr()?;
    let mut udp = passed.udp(address);
    for socket in &udp {
        prepare_udp(&SockRef::from(socket), address)?;
        socket.set_nonblocking(false)?;
    }
    let known = udp.len();
    for worker in known..workers.max(known) {
        udp.push(match udp.get(worker % known.max(1)).filter(|_| known > 0) {
            Some(socket) => socket.try_clone()?,
            None => bind_udp(address)?,
        });
    }
    Ok(BoundSockets { address, udp, tcp })
}

fn adopt_tcp(tcp: TcpListener) -> io::Result<TcpListener> {
    tcp.set_nonblocking(true)?;
    let _ = SockRef::from(&tcp).set_send_buffer_size(TCP_BUFFER);
    Ok(tcp)
}

/// Opens UDP and TCP on a port that is free for both.
fn bind_pair(address: SocketAddr, workers: usize) -> io::Result<BoundSockets> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match complete(bind_tcp(address)?, workers, &mut PassedSockets::default()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempt < PORT_ATTEMPTS => {}
            result => return result,
        }
    }
}

fn bind_tcp(wanted: SocketAddr) -> io::Result<TcpListener> {
    let tcp = open(wanted, Type::STREAM, Protocol::TCP)?;
    // A restart must not wait for connections in TIME_WAIT.
    tcp.set_reuse_address(true)?;
    tcp.bind(&wanted.into())?;
    // Connections inherit it; left alone, the system lets each grow to megabytes.
    tcp.set_send_buffer_size(TCP_BUFFER)?;
    tcp.listen(BACKLOG)?;
    tcp.set_nonblocking(true)?;
    Ok(tcp.into())
}

fn bind_quic(wanted: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(wanted, Type::DGRAM, Protocol::UDP)?;
    make_room(&socket);
    socket.set_nonblocking(true)?;
    socket.bind(&wanted.into())?;
    Ok(socket.into())
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    prepare_udp(&socket, address)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn prepare_udp(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    make_room(socket);
    socket.set_read_timeout(Some(WAIT))?;
    if address.ip().is_unspecified() {
        report_destination(socket, address)?;
    }
    ignore_path_mtu(socket, address)
}

/// Whoever passed a socket may have given it more room than we do. Less than wished is no reason not to start.
fn make_room(socket: &Socket) {
    // The kernel tells twice what it was asked for: what it keeps beside each datagram counts, too.
    if socket
        .recv_buffer_size()
        .is_ok_and(|size| size / 2 < QUERIES)
    {
        let _ = socket.set_recv_buffer_size(QUERIES);
    }
    let _ = socket.set_send_buffer_size(REPLIES);
}

/// A wildcard socket must know where each query went, because its answer leaves from there.
fn report_destination(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
        SocketAddr::V6(_) => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
    }
}

/// Replies are small enough to go unfragmented, and forged ICMP must not make them smaller (RFC 9715 section 3.1).
fn ignore_path_mtu(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => set_option(
            socket,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_OMIT,
        ),
        SocketAddr::V6(v6) if *v6.ip() == Ipv6Addr::LOCALHOST => Ok(()),
        SocketAddr::V6(_) => set_option(
            socket,
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_OMIT,
        ),
    }
}

fn set_option(
    socket: &Socket,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the socket is open, and the pointer and size describe `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_was_passed_gets_room_and_keeps_what_it_has() {
        let prepared = |wish: usize| {
            let address = "127.0.0.1:0".parse().unwrap();
            let socket = open(address, Type::DGRAM, Protocol::UDP).unwrap();
            socket.set_recv_buffer_size(wish).unwrap();
            let before = socket.recv_buffer_size().unwrap();
            prepare_udp(&socket, address).unwrap();
            (before, socket.recv_buffer_size().unwrap())
        };
        let (before, little) = prepared(64 << 10);
        assert!(before < little, "{before} {little}");
        // Where the system gives no more than that, it is as much as ours.
        let (before, much) = prepared(2 * QUERIES);
        assert!(before == much && much >= little, "{before} {much}");
    }
}

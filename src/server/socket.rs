//! The sockets of one listen address: newly opened, or passed by another process.
//!
//! UDP and TCP share a port. UDP has one socket per worker with `SO_REUSEPORT`, so that the kernel
//! spreads the queries. Passed sockets get the same options and buffers as new ones, but how many
//! there are is up to the process that opened them.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::passed_sockets::PassedSockets;

/// Receive buffer of a UDP socket in octets, as the kernel counts them; it may give less.
///
/// It holds about 2,700 queries, which a worker answers within 9 ms. A larger buffer would bridge
/// longer pauses, but a flood fills all of it, and then every query comes from memory outside the
/// caches of the core. In a flood an answer costs 1.03 times as much with this size, and 1.08 times
/// with four times the size (`cargo bench --bench overload`).
const RECEIVE_BUFFER: usize = 1 << 20;
/// Send buffer of a UDP socket, in octets.
const SEND_BUFFER: usize = 4 << 20;
/// Send buffer of a TCP connection in octets: replies for a client that does not read.
const TCP_BUFFER: usize = 128 << 10;
/// How often an idle worker checks whether it should stop.
const WAIT: Duration = Duration::from_millis(200);
/// Most connections in the queue of a listener.
const BACKLOG: i32 = 1024;
/// Attempts to find a port that is free for both UDP and TCP.
const PORT_ATTEMPTS: usize = 32;

/// The sockets of one address.
pub struct BoundSockets {
    /// The address with its actual port.
    pub address: SocketAddr,
    /// At least one for each worker.
    pub udp: Vec<UdpSocket>,
    /// The listener for all connections.
    pub tcp: TcpListener,
}

/// Raises the limit of open files to the hard limit, and returns it. The usual soft limit (1,024)
/// is lower than the number of connections of a server.
///
/// # Errors
/// The system refuses.
pub fn raise_descriptors() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: one structure on this stack is filled in, then read.
    let results = unsafe {
        let read = libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        [read, libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit)]
    };
    if results == [0, 0] {
        Ok(limit.rlim_max)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// UDP and TCP on the same port, passed or new.
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

/// TCP alone, passed or new.
pub fn tcp(address: SocketAddr, passed: &mut PassedSockets) -> io::Result<TcpListener> {
    match passed.tcp(address) {
        Some(tcp) => adopt_tcp(tcp),
        None => bind_tcp(address),
    }
}

/// UDP for QUIC, passed or new.
pub fn quic(address: SocketAddr, passed: &mut PassedSockets) -> io::Result<UdpSocket> {
    match passed.one_udp(address) {
        Some(socket) => {
            socket.set_nonblocking(true)?;
            Ok(socket)
        }
        None => bind_quic(address),
    }
}

/// A listener with the UDP sockets of its address. Every passed socket is used, because each has
/// its own queue of queries. If fewer sockets were passed than there are workers, workers share
/// them.
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
    set_buffers(&socket);
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
    set_buffers(socket);
    socket.set_read_timeout(Some(WAIT))?;
    if address.ip().is_unspecified() {
        report_destination(socket, address)?;
    }
    ignore_path_mtu(socket, address)
}

/// Enlarges the buffers of a socket. A passed socket keeps a larger buffer, and a smaller one than
/// wished is not an error.
fn set_buffers(socket: &Socket) {
    // The kernel reports twice the requested size, because it counts its own overhead.
    if let Ok(size) = socket.recv_buffer_size()
        && size / 2 < RECEIVE_BUFFER
    {
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    }
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
}

/// Makes a wildcard socket report the destination of each query, which becomes the source of the
/// reply.
fn report_destination(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
        SocketAddr::V6(_) => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
    }
}

/// Ignores path MTU discovery: replies are small enough to go unfragmented, and forged ICMP must
/// not make them smaller (RFC 9715 section 3.1).
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
    // SAFETY: the socket is open, and the pointer and size describe `value`, which outlives the
    // call.
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
        let (before, much) = prepared(2 * RECEIVE_BUFFER);
        assert!(before == much && much >= little, "{before} {much}");
    }
}

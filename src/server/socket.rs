//! Opening the sockets of one listen address.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::inherited::Inherited;

/// Room for bursts, in octets; the kernel may give less.
const BUFFER: usize = 4 << 20;
/// Replies that wait in the system for one TCP client that does not read, in octets.
const TCP_BUFFER: usize = 128 << 10;
/// How often a worker that waits looks whether it is to stop.
const WAIT: Duration = Duration::from_millis(200);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// How often a free port is looked for that both UDP and TCP have.
const PORT_ATTEMPTS: usize = 32;

/// The sockets of one address.
pub struct Bound {
    /// With the port that the kernel gave.
    pub address: SocketAddr,
    /// One for each worker.
    pub udp: Vec<UdpSocket>,
    /// One for all connections.
    pub tcp: TcpListener,
}

/// Opens UDP and TCP on the same port, as far as they were not passed.
pub fn open_pair(address: SocketAddr, workers: usize, inherited: &mut Inherited) -> io::Result<Bound> {
    let tcp = inherited.tcp(address)?;
    // Several on one port share the work of the kernel's choice, so every one must be read.
    let udp: Vec<UdpSocket> = std::iter::from_fn(|| inherited.udp(address)).collect();
    if tcp.is_none() && udp.is_empty() {
        return bind_pair(address, workers);
    }
    let tcp = tcp.map_or_else(|| bind_tcp(address), Ok)?;
    let udp = if udp.is_empty() { bind_workers(address, workers)? } else { share(&udp, workers, address)? };
    Ok(Bound { address, udp, tcp })
}

/// Takes TCP as it was passed, or opens it.
pub fn open_tcp(address: SocketAddr, inherited: &mut Inherited) -> io::Result<TcpListener> {
    inherited.tcp(address)?.map_or_else(|| bind_tcp(address), Ok)
}

/// Takes UDP for QUIC as it was passed, or opens it.
pub fn open_quic(address: SocketAddr, inherited: &mut Inherited) -> io::Result<UdpSocket> {
    let Some(socket) = inherited.udp(address) else { return bind_quic(address) };
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A socket for each worker, of those that were passed. Where there are fewer, several workers read one: its queue is
/// what outlives us, and further sockets on the same port would take datagrams with them when we leave.
fn share(passed: &[UdpSocket], workers: usize, address: SocketAddr) -> io::Result<Vec<UdpSocket>> {
    let workers = workers.max(passed.len());
    let sockets = passed.iter().cycle().take(workers).map(UdpSocket::try_clone).collect::<io::Result<Vec<_>>>()?;
    for socket in &sockets {
        // Whoever opened it may have wanted it otherwise.
        socket.set_nonblocking(false)?;
        prepare_udp(&socket2::SockRef::from(socket), address)?;
    }
    Ok(sockets)
}

fn bind_pair(address: SocketAddr, workers: usize) -> io::Result<Bound> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match bind_once(address, workers) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && address.port() == 0 && attempt < PORT_ATTEMPTS => {}
            result => return result,
        }
    }
}

fn bind_once(wanted: SocketAddr, workers: usize) -> io::Result<Bound> {
    let tcp = bind_tcp(wanted)?;
    let address = tcp.local_addr()?;
    Ok(Bound { address, udp: bind_workers(address, workers)?, tcp })
}

fn bind_workers(address: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    (0..workers).map(|_| bind_udp(address)).collect()
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

/// QUIC looks after everything else itself.
fn bind_quic(wanted: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(wanted, Type::DGRAM, Protocol::UDP)?;
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
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

/// What a worker needs of its socket.
fn prepare_udp(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    // More room is better, less is no reason not to start.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_read_timeout(Some(WAIT))?;
    if address.ip().is_unspecified() {
        report_destination(socket, address)?;
    }
    ignore_path_mtu(socket, address)
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
        SocketAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
        SocketAddr::V6(v6) if *v6.ip() == Ipv6Addr::LOCALHOST => Ok(()),
        SocketAddr::V6(_) => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT),
    }
}

fn set_option(socket: &Socket, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the socket is open, and the pointer and size describe `value`, which outlives the call.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

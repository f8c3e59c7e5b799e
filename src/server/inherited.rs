//! Sockets that whoever started us has opened already (`sd_listen_fds(3)`): a queue that outlives the process loses
//! nothing while another process takes its place, and a port below 1024 needs no right of ours.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use socket2::{Socket, Type};

/// The first descriptor that is passed (SD_LISTEN_FDS_START).
const FIRST: RawFd = 3;
/// Most descriptors that are taken.
const MOST: RawFd = 1024;

/// Sockets that were passed, and that no listener has asked for yet.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Passed>);

#[derive(Debug)]
struct Passed {
    socket: Socket,
    address: SocketAddr,
    is_stream: bool,
}

impl Inherited {
    /// What `LISTEN_FDS` and `LISTEN_PID` say was passed to this process; nothing if they speak to another process or
    /// are absent. To be called once in the life of a process: the descriptors become ours.
    ///
    /// # Errors
    /// The number is none, or a descriptor is no socket that DNS could come on; the error names it.
    pub fn of_environment() -> io::Result<Inherited> {
        let (Ok(process), Ok(count)) = (std::env::var("LISTEN_PID"), std::env::var("LISTEN_FDS")) else {
            return Ok(Inherited::default());
        };
        if process != std::process::id().to_string() {
            return Ok(Inherited::default());
        }
        let count = count.parse().ok().filter(|count| (0..=MOST).contains(count));
        let count: RawFd = count.ok_or_else(|| wrong(format!("LISTEN_FDS is no number from 0 to {MOST}")))?;
        (FIRST..FIRST + count).map(adopt).collect::<io::Result<Vec<Passed>>>().map(Inherited)
    }

    /// One listener for connections to `address`, if any was passed.
    ///
    /// # Errors
    /// The system refuses an option.
    pub fn tcp(&mut self, address: SocketAddr) -> io::Result<Option<TcpListener>> {
        let Some(socket) = self.take(address, true) else { return Ok(None) };
        socket.set_nonblocking(true)?;
        Ok(Some(socket.into()))
    }

    /// One socket for datagrams to `address`, if any was passed.
    pub fn udp(&mut self, address: SocketAddr) -> Option<UdpSocket> {
        self.take(address, false).map(UdpSocket::from)
    }

    /// Whether everything that was passed has found its listener.
    ///
    /// # Errors
    /// A sentence with the first that has not: clients could send to it, and nobody would read.
    pub fn expect_none_left(&self) -> io::Result<()> {
        let Some(passed) = self.0.first() else { return Ok(()) };
        Err(wrong(format!(
            "{passed} was passed to us, and nothing in [server] listens there; \
             state the address in the configuration, or take it out of the socket unit"
        )))
    }

    fn take(&mut self, address: SocketAddr, is_stream: bool) -> Option<Socket> {
        let at = self.0.iter().position(|passed| passed.address == address && passed.is_stream == is_stream)?;
        Some(self.0.remove(at).socket)
    }
}

impl std::fmt::Display for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.is_stream { "TCP" } else { "UDP" };
        write!(f, "file descriptor {} ({kind} {})", self.socket.as_raw_fd(), self.address)
    }
}

/// Makes a descriptor ours, after it has proven to be open and what we can serve.
fn adopt(descriptor: RawFd) -> io::Result<Passed> {
    let refused = |what: &str| wrong(format!("file descriptor {descriptor} was passed to us and {what}"));
    // SAFETY: asks for the flags of a number, whether or not it is open; and programs that we start must not have it.
    let is_open = unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } == 0;
    if !is_open {
        return Err(refused("is not open; LISTEN_FDS counts too many"));
    }
    // SAFETY: it is open, and by the protocol it belongs to the process that LISTEN_PID names, which has taken no other.
    let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    let kind = socket.r#type().map_err(|_| refused("is no socket"))?;
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    let address = address.ok_or_else(|| refused("is no socket of the Internet"))?;
    let is_stream = kind == Type::STREAM;
    if !is_stream && kind != Type::DGRAM {
        return Err(refused("takes neither datagrams nor connections"));
    }
    if is_stream && !socket.is_listener().unwrap_or(false) {
        return Err(refused("is a connection, not a listener; the socket unit must say Accept=no"));
    }
    if address.is_ipv6() && address.ip().is_unspecified() && !socket.only_v6()? {
        return Err(refused("mixes IPv4 into IPv6; the socket unit must say BindIPv6Only=ipv6-only"));
    }
    Ok(Passed { socket, address, is_stream })
}

fn wrong(sentence: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, sentence)
}

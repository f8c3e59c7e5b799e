//! Sockets that another process opened: systemd, or the server that this one replaces.
//!
//! [`PassedSockets`] sorts the descriptors by the address that they are bound to. The listeners
//! then take theirs by address instead of opening new ones. Datagrams and connections that are
//! queued in a socket stay there, so no query is lost in a takeover.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Socket, Type};

/// The first descriptor that systemd passes (SD_LISTEN_FDS_START of sd_listen_fds(3)).
const FIRST: RawFd = 3;
/// Most descriptors that are accepted: the limit of one message between processes (SCM_MAX_FD of
/// unix(7)).
pub const MOST_PASSED: usize = 253;

/// Passed sockets by the address or path that they are bound to, in the order of arrival.
#[derive(Debug, Default)]
pub struct PassedSockets {
    udp: VecDeque<(SocketAddr, UdpSocket)>,
    tcp: VecDeque<(SocketAddr, TcpListener)>,
    unix: VecDeque<(PathBuf, UnixListener)>,
}

impl PassedSockets {
    /// The sockets that `LISTEN_FDS` and `LISTEN_PID` announce; none if these are absent or name
    /// another process. Call it once in a process: it takes ownership of the descriptors.
    ///
    /// # Errors
    /// A sentence: `LISTEN_FDS` is no valid number, or a descriptor cannot be served.
    pub fn by_systemd() -> Result<PassedSockets, String> {
        let (Ok(process), Ok(count)) = (std::env::var("LISTEN_PID"), std::env::var("LISTEN_FDS"))
        else {
            return Ok(PassedSockets::default());
        };
        if process != std::process::id().to_string() {
            return Ok(PassedSockets::default());
        }
        let count = match count.parse::<RawFd>() {
            Ok(count) if (0..=MOST_PASSED as RawFd).contains(&count) => count,
            _ => return Err(format!("LISTEN_FDS is no number from 0 to {MOST_PASSED}")),
        };
        let mut descriptors = Vec::new();
        for descriptor in FIRST..FIRST + count {
            descriptors.push(take_ownership(descriptor)?);
        }
        PassedSockets::of(descriptors)
    }

    /// Sorts descriptors by what they are bound to.
    ///
    /// # Errors
    /// A sentence: one of them cannot be served.
    pub fn of(descriptors: Vec<OwnedFd>) -> Result<PassedSockets, String> {
        let mut passed = PassedSockets::default();
        for descriptor in descriptors {
            let number = descriptor.as_raw_fd();
            if let Err(problem) = passed.add(Socket::from(descriptor)) {
                return Err(refused(number, &problem));
            }
        }
        Ok(passed)
    }

    fn add(&mut self, socket: Socket) -> Result<(), String> {
        let is_stream = socket.r#type().map_err(|_| "is no socket")? == Type::STREAM;
        let address = socket.local_addr().map_err(|error| error.to_string())?;
        if is_stream && !socket.is_listener().unwrap_or(false) {
            return Err(
                "is a connection, not a listener; the socket unit must say Accept=no".to_owned(),
            );
        }
        if let Some(address) = address.as_socket_ipv6()
            && address.ip().is_unspecified()
            && !socket.only_v6().unwrap_or(false)
        {
            return Err(
                "mixes IPv4 into IPv6; the socket unit must say BindIPv6Only=ipv6-only".to_owned(),
            );
        }
        match (is_stream, address.as_socket(), address.as_pathname()) {
            (false, Some(address), _) => self.udp.push_back((address, socket.into())),
            (true, Some(address), _) => self.tcp.push_back((address, socket.into())),
            (true, None, Some(path)) => self
                .unix
                .push_back((path.to_owned(), OwnedFd::from(socket).into())),
            _ => return Err("is bound to no address that anything here listens on".to_owned()),
        }
        Ok(())
    }

    /// The UDP sockets of an address.
    pub fn udp(&mut self, wanted: SocketAddr) -> Vec<UdpSocket> {
        let mut taken = Vec::new();
        for (address, socket) in std::mem::take(&mut self.udp) {
            if address == wanted {
                taken.push(socket);
            } else {
                self.udp.push_back((address, socket));
            }
        }
        taken
    }

    /// One UDP socket of an address; port 0 means any.
    pub fn one_udp(&mut self, wanted: SocketAddr) -> Option<UdpSocket> {
        take_first(&mut self.udp, |address| is_wanted(address, wanted))
    }

    /// The listener of an address; port 0 means any: the first that was passed.
    pub fn tcp(&mut self, wanted: SocketAddr) -> Option<TcpListener> {
        take_first(&mut self.tcp, |address| is_wanted(address, wanted))
    }

    /// The listener of a path.
    pub fn unix(&mut self, wanted: &Path) -> Option<UnixListener> {
        take_first(&mut self.unix, |path| path == wanted)
    }

    /// Checks that every passed socket was taken.
    ///
    /// # Errors
    /// A sentence that names the sockets which the configuration does not listen on.
    pub fn expect_none(&self) -> Result<(), String> {
        let mut left = Vec::new();
        for (address, _) in &self.udp {
            left.push(format!("UDP {address}"));
        }
        for (address, _) in &self.tcp {
            left.push(format!("TCP {address}"));
        }
        for (path, _) in &self.unix {
            left.push(path.display().to_string());
        }
        if left.is_empty() {
            return Ok(());
        }
        Err(format!(
            "sockets were passed that nothing in the configuration listens on: {}; \
             name their addresses in [server] or [admin], or do not pass them",
            left.join(", ")
        ))
    }
}

/// Takes ownership of a descriptor, if it is open.
fn take_ownership(descriptor: RawFd) -> Result<OwnedFd, String> {
    // Programs that we start must not inherit it.
    // SAFETY: fcntl checks the number itself, whether or not it is open.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err(refused(
            descriptor,
            "is not open; LISTEN_FDS counts too many",
        ));
    }
    // SAFETY: it is open, and by the protocol it belongs to the process that LISTEN_PID names,
    // which calls this once.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn refused(descriptor: RawFd, problem: &str) -> String {
    format!("file descriptor {descriptor} was passed to us and {problem}")
}

fn is_wanted(address: &SocketAddr, wanted: SocketAddr) -> bool {
    address.ip() == wanted.ip() && (wanted.port() == 0 || wanted.port() == address.port())
}

fn take_first<A, S>(passed: &mut VecDeque<(A, S)>, is_wanted: impl Fn(&A) -> bool) -> Option<S> {
    let at = passed.iter().position(|(address, _)| is_wanted(address))?;
    passed.remove(at).map(|(_, socket)| socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_what_they_are_bound_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (udp, tcp) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
        );
        let unix = UnixListener::bind(&path).unwrap();
        let (at, listens) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
        let mut passed = PassedSockets::of(vec![udp.into(), tcp.into(), unix.into()]).unwrap();
        assert!(passed.tcp("127.0.0.2:0".parse().unwrap()).is_none());
        assert!(passed.udp(listens).is_empty());
        let message = passed.expect_none().unwrap_err();
        assert!(
            message.contains(&format!("UDP {at}, TCP {listens}, {}", path.display())),
            "{message}"
        );
        assert_eq!(
            passed
                .tcp("127.0.0.1:0".parse().unwrap())
                .unwrap()
                .local_addr()
                .unwrap(),
            listens
        );
        assert_eq!(passed.udp(at).len(), 1);
        assert!(passed.unix(&path).is_some());
        assert_eq!(passed.expect_none(), Ok(()));
    }

    #[test]
    fn what_is_no_socket_is_refused() {
        let file = tempfile::tempfile().unwrap();
        let message = PassedSockets::of(vec![file.into()]).unwrap_err();
        assert!(
            message.starts_with("file descriptor ")
                && message.ends_with(" was passed to us and is no socket"),
            "{message}"
        );
    }
}

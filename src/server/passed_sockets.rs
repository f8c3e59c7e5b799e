//! Sockets that somebody else has opened: systemd, before this process began, or the server that it takes the place of.
//! What waits in them, datagrams and connections, is there whoever reads it, so that nothing is lost from one to the next.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Socket, Type};

/// The first descriptor that systemd passes (SD_LISTEN_FDS_START of sd_listen_fds(3)).
const FIRST: RawFd = 3;
/// Most descriptors that are taken: as many as one message between processes holds (SCM_MAX_FD of unix(7)).
pub const MOST_PASSED: usize = 253;

/// Sockets by what they are bound to, in the order in which they were passed.
#[derive(Debug, Default)]
pub struct PassedSockets {
    udp: VecDeque<(SocketAddr, UdpSocket)>,
    tcp: VecDeque<(SocketAddr, TcpListener)>,
    unix: VecDeque<(PathBuf, UnixListener)>,
}

impl PassedSockets {
    /// What `LISTEN_FDS` and `LISTEN_PID` say was passed to this process; nothing if they speak to another or are absent. To
    /// be called once in the life of a process: the descriptors become ours.
    ///
    /// # Errors
    /// A sentence: the number is none, or a descriptor is nothing that can be served.
    pub fn by_systemd() -> Result<PassedSockets, String> {
        let (Ok(process), Ok(count)) = (std::env::var("LISTEN_PID"), std::env::var("LISTEN_FDS"))
        else {
            return Ok(PassedSockets::default());
        };
        if process != std::process::id().to_string() {
            return Ok(PassedSockets::default());
        }
        let count = count
            .parse()
            .ok()
            .filter(|count| (0..=MOST_PASSED as RawFd).contains(count));
        let count: RawFd =
            count.ok_or_else(|| format!("LISTEN_FDS is no number from 0 to {MOST_PASSED}"))?;
        PassedSockets::of((FIRST..FIRST + count).map(own).collect::<Result<_, _>>()?)
    }

    /// Sorts descriptors.
    ///
    /// # Errors
    /// A sentence: one of them is nothing that can be served.
    pub fn of(descriptors: Vec<OwnedFd>) -> Result<PassedSockets, String> {
        let mut passed = PassedSockets::default();
        for descriptor in descriptors {
            let number = descriptor.as_raw_fd();
            passed
                .sort(Socket::from(descriptor))
                .map_err(|what| refused(number, &what))?;
        }
        Ok(passed)
    }

    fn sort(&mut self, socket: Socket) -> Result<(), String> {
        let is_stream = socket.r#type().map_err(|_| "is no socket")? == Type::STREAM;
        let address = socket.local_addr().map_err(|error| error.to_string())?;
        if is_stream && !socket.is_listener().unwrap_or(false) {
            return Err(
                "is a connection, not a listener; the socket unit must say Accept=no".to_owned(),
            );
        }
        if address
            .as_socket_ipv6()
            .is_some_and(|address| address.ip().is_unspecified())
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
        let all = std::mem::take(&mut self.udp).into_iter();
        let (taken, left): (VecDeque<_>, _) = all.partition(|(address, _)| *address == wanted);
        self.udp = left;
        taken.into_iter().map(|(_, socket)| socket).collect()
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

    /// What nothing of the configuration listens on.
    ///
    /// # Errors
    /// A sentence that names them: whoever passed them expects that somebody answers there.
    pub fn expect_none(&self) -> Result<(), String> {
        let inet = |kind, address: &SocketAddr| format!("{kind} {address}");
        let udp = self.udp.iter().map(|(address, _)| inet("UDP", address));
        let tcp = self.tcp.iter().map(|(address, _)| inet("TCP", address));
        let unix = self.unix.iter().map(|(path, _)| path.display().to_string());
        let left: Vec<String> = udp.chain(tcp).chain(unix).collect();
        if left.is_empty() {
            return Ok(());
        }
        Err(format!(
            "sockets were passed that nothing in the configuration listens on: {}; name their addresses in [server] or \
             [admin], or do not pass them",
            left.join(", ")
        ))
    }
}

/// Makes a descriptor ours, if it is open.
fn own(descriptor: RawFd) -> Result<OwnedFd, String> {
    // SAFETY: sets the flags of a number, whether or not it is open; programs that we start must not have it.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err(refused(
            descriptor,
            "is not open; LISTEN_FDS counts too many",
        ));
    }
    // SAFETY: it is open, and by the protocol it belongs to the process that LISTEN_PID names, which has taken no other.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn refused(descriptor: RawFd, what: &str) -> String {
    format!("file descriptor {descriptor} was passed to us and {what}")
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
        let told = passed.expect_none().unwrap_err();
        assert!(
            told.contains(&format!("UDP {at}, TCP {listens}, {}", path.display())),
            "{told}"
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
        let told = PassedSockets::of(vec![file.into()]).unwrap_err();
        assert!(
            told.starts_with("file descriptor ")
                && told.ends_with(" was passed to us and is no socket"),
            "{told}"
        );
    }
}

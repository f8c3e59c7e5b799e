//! Sockets that somebody else has opened: systemd, before this process began, or the server that it takes the place of.
//! What waits in them, datagrams and connections, is there whoever reads it, so that nothing is lost from one to the next.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Socket, Type};

/// The first descriptor that systemd passes (sd_listen_fds(3)).
const FIRST: RawFd = 3;
/// Most descriptors that are taken: as many as one message between processes holds (SCM_MAX_FD of unix(7)).
pub const MOST: usize = 253;

/// Sockets by what they are bound to, in the order in which they were passed.
#[derive(Debug, Default)]
pub struct Passed {
    udp: VecDeque<(SocketAddr, UdpSocket)>,
    tcp: VecDeque<(SocketAddr, TcpListener)>,
    unix: VecDeque<(PathBuf, UnixListener)>,
}

impl Passed {
    /// What systemd passed to this process; nothing if it did not. To be called once, before any other thread runs.
    ///
    /// # Errors
    /// A sentence: a number that cannot be read, or something that is no bound socket.
    pub fn by_systemd() -> Result<Passed, String> {
        let variable = |name: &str| std::env::var(name).ok();
        let mine = variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
        let Some(count) = variable("LISTEN_FDS").filter(|_| mine) else { return Ok(Passed::default()) };
        let count = count.parse().ok().filter(|count| *count <= MOST);
        let count = count.ok_or_else(|| format!("LISTEN_FDS of the environment is no number up to {MOST}"))?;
        // SAFETY: LISTEN_PID says that these descriptors were opened for this process, and nobody else takes them.
        let taken = (0..count).map(|at| unsafe { OwnedFd::from_raw_fd(FIRST + at as RawFd) });
        Passed::of(taken.collect())
    }

    /// Sorts descriptors.
    ///
    /// # Errors
    /// A sentence: one of them is no UDP socket and no listener.
    pub fn of(descriptors: Vec<OwnedFd>) -> Result<Passed, String> {
        let mut passed = Passed::default();
        for (number, descriptor) in descriptors.into_iter().enumerate() {
            let told = |error: io::Error| format!("socket {number} of those that were passed cannot be used: {error}");
            passed.sort(descriptor).map_err(told)?;
        }
        Ok(passed)
    }

    fn sort(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        let socket = Socket::from(descriptor);
        let (kind, address) = (socket.r#type()?, socket.local_addr()?);
        match (kind, address.as_socket(), address.as_pathname()) {
            (Type::DGRAM, Some(address), _) => self.udp.push_back((address, socket.into())),
            (Type::STREAM, Some(address), _) => self.tcp.push_back((address, socket.into())),
            (Type::STREAM, None, Some(path)) => self.unix.push_back((path.to_owned(), OwnedFd::from(socket).into())),
            _ => return Err(io::Error::other("it is bound to no address that anything here listens on")),
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
        let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let unix = UnixListener::bind(&path).unwrap();
        let (at, listens) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
        let mut passed = Passed::of(vec![udp.into(), tcp.into(), unix.into()]).unwrap();
        assert!(passed.tcp("127.0.0.2:0".parse().unwrap()).is_none());
        assert!(passed.udp(listens).is_empty());
        let told = passed.expect_none().unwrap_err();
        assert!(told.contains(&format!("UDP {at}, TCP {listens}, {}", path.display())), "{told}");
        assert_eq!(passed.tcp("127.0.0.1:0".parse().unwrap()).unwrap().local_addr().unwrap(), listens);
        assert_eq!(passed.udp(at).len(), 1);
        assert!(passed.unix(&path).is_some());
        assert_eq!(passed.expect_none(), Ok(()));
    }

    #[test]
    fn what_is_no_socket_is_refused() {
        let file = tempfile::tempfile().unwrap();
        let told = Passed::of(vec![file.into()]).unwrap_err();
        assert!(told.starts_with("socket 0 of those that were passed cannot be used: "), "{told}");
    }
}

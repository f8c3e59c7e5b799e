//! Takeover: a new server replaces a running one without losing a query.
//!
//! Over a unix socket in the state directory, the old server passes its sockets and counters to
//! the new one. The old server keeps answering until the new one reports that it answers. Then the
//! old server stops. Other state that outlives a restart, such as agreed health, overrides, leases
//! and resolved names, is in the state directory already. The old server accepts no changes while
//! a takeover is under way.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use super::running::Control;
use crate::server::{MOST_PASSED, PassedSockets, StatsTotals};

/// The socket in the state directory.
const NAME: &str = "succession.sock";
/// The request of the new server, with the version of the protocol. In version 2 the lock of the
/// state directory is the first descriptor.
const REQUEST: &[u8; 22] = b"meridian succession 2\n";
/// The request of version 1, which passes no lock.
const UNLOCKED: &[u8; 22] = b"meridian succession 1\n";
/// The message of the new server when it answers queries.
const READY: &[u8] = b"ready\n";
/// How long each side waits for the next message of the other.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the new server may take from receiving the sockets to its first answer. It loads zones
/// and waits for the first round of probes meanwhile.
const LONGEST_START: Duration = Duration::from_secs(120);
/// The most octets of the counters.
const LARGEST: u32 = 1 << 20;

/// The state that is passed along with the sockets.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct HandedState {
    /// The query counters.
    pub counted: StatsTotals,
    /// The first descriptor is the lock of the state directory.
    #[serde(default)]
    pub locked: bool,
}

/// The running server that this process replaces.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
    /// The sockets that it passed.
    pub passed: PassedSockets,
    /// The state that it passed.
    pub state: HandedState,
    /// Its lock of the state directory; `None`: it has none.
    pub lock: Option<OwnedFd>,
}

impl Predecessor {
    /// Asks the server that uses this state directory for its sockets; `None`: no server runs.
    ///
    /// # Errors
    /// A sentence: the server refuses, or speaks another version of the protocol.
    pub fn ask(directory: &Path) -> Result<Option<Predecessor>, String> {
        let path = directory.join(NAME);
        let Some(mut stream) = connect(&path)? else {
            return Ok(None);
        };
        let received = match receive(&mut stream, REQUEST) {
            // A server that only knows version 1 closes the connection.
            Err(error) if is_closed(&error) => {
                let Some(again) = connect(&path)? else {
                    return Ok(None);
                };
                stream = again;
                receive(&mut stream, UNLOCKED)
            }
            received => received,
        };
        let (mut descriptors, state) = received.map_err(|error| {
            format!(
                "the running server does not hand over ({}: {error}); it serves on",
                path.display()
            )
        })?;
        let lock = (state.locked && !descriptors.is_empty()).then(|| descriptors.remove(0));
        let passed = PassedSockets::of(descriptors)?;
        Ok(Some(Predecessor {
            stream,
            passed,
            state,
            lock,
        }))
    }

    /// Tells the old server to stop, because this process answers queries.
    ///
    /// # Errors
    /// A sentence: it has gone, or it has given up the takeover and keeps serving.
    pub fn relieve(mut self) -> Result<(), String> {
        self.stream
            .write_all(READY)
            .map_err(|error| format!("the old server has given up the takeover: {error}"))
    }
}

/// The socket on which a server waits for its successor.
#[derive(Debug)]
pub struct Succession {
    listener: UnixListener,
    path: PathBuf,
}

impl Succession {
    /// Opens the socket in a directory that this process owns, and replaces the socket of its
    /// predecessor. Needs a tokio runtime.
    ///
    /// # Errors
    /// A sentence: the socket cannot be opened.
    pub fn open(directory: &Path) -> Result<Succession, String> {
        let path = directory.join(NAME);
        let listener = bind(&path).map_err(|error| {
            format!(
                "{}: {error}; no server can take over from this one",
                path.display()
            )
        })?;
        Ok(Succession { listener, path })
    }

    /// Waits until another server has taken over, with the sockets and state that `give` returns. A
    /// takeover that fails before the new server is ready changes nothing.
    pub async fn wait(
        &self,
        control: &Arc<Control>,
        give: impl Fn() -> io::Result<(Vec<OwnedFd>, HandedState)>,
    ) {
        loop {
            let accepted = self
                .listener
                .accept()
                .await
                .and_then(|(stream, _)| stream.into_std());
            let given = accepted.and_then(|stream| Ok((stream, give()?)));
            let (stream, (sockets, state)) = match given {
                Ok(given) => given,
                Err(error) => {
                    tracing::warn!("cannot accept a takeover: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let old = control.clone();
            let done = control
                .threads
                .hand_over
                .run(move || hand_over(&old, stream, sockets, state))
                .await;
            match done
                .map_err(|not_done| io::Error::other(not_done.to_string()))
                .and_then(|done| done)
            {
                Ok(()) => return,
                Err(error) => tracing::error!(
                    "another server wanted to take over and failed ({error}); serving on"
                ),
            }
        }
    }

    /// Removes the socket from the file system, so that no server can take over any more.
    pub fn close(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A connection to the running server; `None`: there is none.
fn connect(path: &Path) -> Result<Option<UnixStream>, String> {
    match UnixStream::connect(path) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if is_nobody(&error) => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Whether nobody listens there.
fn is_nobody(error: &io::Error) -> bool {
    let kind = error.kind();
    matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

/// Whether the other side has closed the connection.
fn is_closed(error: &io::Error) -> bool {
    let kind = error.kind();
    matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
}

/// Binds a socket that only its owner can reach, and replaces an existing one.
fn bind(path: &Path) -> io::Result<UnixListener> {
    // Named like the temporary files of the directory, so that a leftover is removed at a start.
    let fresh = path.with_file_name(format!(".{NAME}.{}", std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, PermissionsExt::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

/// The old server's side of a takeover. Changes are refused from now on, unless it fails.
fn hand_over(
    control: &Control,
    stream: UnixStream,
    sockets: Vec<OwnedFd>,
    state: HandedState,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    refuse_others(&stream)?;
    control.close_for_changes();
    let lock = control
        .state_directory()
        .and_then(|directory| directory.lock_to_pass_on());
    let done = converse(stream, sockets, lock, state);
    match done {
        Ok(()) => control
            .state_directory()
            .iter()
            .for_each(|directory| directory.give_up()),
        Err(_) => control.open_for_changes(),
    }
    done
}

/// Passes the sockets to the new server and waits until it is ready.
fn converse(
    mut stream: UnixStream,
    sockets: Vec<OwnedFd>,
    lock: Option<OwnedFd>,
    state: HandedState,
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut heard = [0; REQUEST.len()];
    stream.read_exact(&mut heard)?;
    let lock = match &heard {
        REQUEST => lock,
        UNLOCKED => None,
        _ => return Err(unknown_message()),
    };
    let state = HandedState {
        locked: lock.is_some(),
        ..state
    };
    let descriptors: Vec<OwnedFd> = lock.into_iter().chain(sockets).collect();
    send(&mut stream, &descriptors, &serde_json::to_vec(&state)?)?;
    // The new server has its own copies now. These must not stay open during the wait.
    drop(descriptors);
    stream.set_read_timeout(Some(LONGEST_START))?;
    expect(&mut stream, READY)
}

/// Refuses all users except this one and root, because the sockets allow answering for all zones.
fn refuse_others(stream: &UnixStream) -> io::Result<()> {
    let user = sockopt::socket_peercred(stream)?.uid;
    if user == rustix::process::geteuid() || user.is_root() {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::PermissionDenied,
        format!("user {} may not take over this server", user.as_raw()),
    ))
}

/// Reads exactly this message.
fn expect(stream: &mut UnixStream, words: &[u8]) -> io::Result<()> {
    let mut heard = vec![0; words.len()];
    stream.read_exact(&mut heard)?;
    if heard == words {
        Ok(())
    } else {
        Err(unknown_message())
    }
}

fn unknown_message() -> io::Error {
    let sentence = "the other server sent an unknown message";
    io::Error::new(ErrorKind::InvalidData, sentence)
}

/// Sends the length of the text together with the sockets, then the text.
fn send(stream: &mut UnixStream, sockets: &[OwnedFd], text: &[u8]) -> io::Result<()> {
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_PASSED))];
    let mut ancillary = SendAncillaryBuffer::new(&mut room);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other(format!(
            "{} sockets are more than the {MOST_PASSED} that can be passed",
            sockets.len()
        )));
    }
    let length = (text.len() as u32).to_be_bytes();
    let sent = sendmsg(
        &*stream,
        &[IoSlice::new(&length)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    stream.write_all(&length[sent..])?;
    stream.write_all(text)
}

/// The new server's side, up to receiving the sockets and the state.
fn receive(stream: &mut UnixStream, request: &[u8]) -> io::Result<(Vec<OwnedFd>, HandedState)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_PASSED))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut room);
    let mut length = [0; 4];
    let heard = recvmsg(
        &*stream,
        &mut [IoSliceMut::new(&mut length)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?
    .bytes;
    if heard == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let mut sockets = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            sockets.extend(received);
        }
    }
    stream.read_exact(&mut length[heard..])?;
    let length = u32::from_be_bytes(length);
    if length > LARGEST {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("{length} octets are too many"),
        ));
    }
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text)?;
    Ok((sockets, serde_json::from_slice(&text)?))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn sockets_and_counters_arrive_as_they_were_given() {
        let (old, mut new) = UnixStream::pair().unwrap();
        let given = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = given.local_addr().unwrap();
        let old = std::thread::spawn(move || {
            converse(old, vec![given.into()], None, HandedState::default())
        });
        let (sockets, _) = receive(&mut new, REQUEST).unwrap();
        assert_eq!(PassedSockets::of(sockets).unwrap().udp(address).len(), 1);
        new.write_all(READY).unwrap();
        old.join().unwrap().unwrap();
    }

    #[test]
    fn the_lock_is_passed_first_in_version_2_and_not_in_version_1() {
        for (request, locked) in [(REQUEST, true), (UNLOCKED, false)] {
            let (old, mut new) = UnixStream::pair().unwrap();
            let (given, lock) = (
                UdpSocket::bind("127.0.0.1:0").unwrap(),
                tempfile::tempfile().unwrap(),
            );
            let words = move || {
                converse(
                    old,
                    vec![given.into()],
                    Some(lock.into()),
                    HandedState::default(),
                )
            };
            let old = std::thread::spawn(words);
            let (descriptors, state) = receive(&mut new, request).unwrap();
            assert_eq!(
                (descriptors.len(), state.locked),
                (1 + usize::from(locked), locked)
            );
            new.write_all(READY).unwrap();
            old.join().unwrap().unwrap();
        }
    }

    #[test]
    fn a_wrong_message_or_a_closed_connection_ends_the_takeover() {
        for words in [&b"GET / HTTP/1.1\r\n\r\n......"[..], b"", REQUEST] {
            let (old, mut new) = UnixStream::pair().unwrap();
            new.write_all(words).unwrap();
            new.shutdown(std::net::Shutdown::Write).unwrap();
            assert!(
                converse(old, Vec::new(), None, HandedState::default()).is_err(),
                "{words:?}"
            );
        }
    }
}

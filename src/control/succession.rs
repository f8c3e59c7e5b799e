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
/// What the new server says first, with the version of what follows: the lock of the state directory is the first of the
/// descriptors.
const REQUEST: &[u8; 22] = b"meridian succession 2\n";
/// The same of a server that knows of no lock.
const UNLOCKED: &[u8; 22] = b"meridian succession 1\n";
/// What it says when it answers.
const READY: &[u8] = b"ready\n";
/// How long either waits for the other's next word.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the new server may take from the sockets to its first answer: the first round of probes, and a large zone.
const LONGEST_START: Duration = Duration::from_secs(120);
/// Most octets of what was counted.
const LARGEST: u32 = 1 << 20;

/// What is given besides the sockets.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct HandedState {
    /// What became of the queries so far.
    pub counted: StatsTotals,
    /// The first descriptor is the lock of the state directory.
    #[serde(default)]
    pub locked: bool,
}

/// The server whose place is taken.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
    /// Its sockets.
    pub passed: PassedSockets,
    /// What else it leaves.
    pub legacy: HandedState,
    /// Its lock of the state directory; `None`: it has none.
    pub lock: Option<OwnedFd>,
}

impl Predecessor {
    /// Asks the server that uses this state directory for its sockets; `None`: there is no such server.
    ///
    /// # Errors
    /// A sentence: it refuses, or does not understand.
    pub fn ask(directory: &Path) -> Result<Option<Predecessor>, String> {
        let path = directory.join(NAME);
        let told = |error: io::Error| {
            format!(
                "the running server does not hand over ({}: {error}); it serves on",
                path.display()
            )
        };
        let Some(mut stream) = connect(&path)? else {
            return Ok(None);
        };
        let received = match receive(&mut stream, REQUEST) {
            // It hangs up on words that it does not know.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                let Some(again) = connect(&path)? else {
                    return Ok(None);
                };
                stream = again;
                receive(&mut stream, UNLOCKED)
            }
            received => received,
        };
        let (mut descriptors, legacy) = received.map_err(told)?;
        let lock = (legacy.locked && !descriptors.is_empty()).then(|| descriptors.remove(0));
        let passed = PassedSockets::of(descriptors)?;
        Ok(Some(Predecessor {
            stream,
            passed,
            legacy,
            lock,
        }))
    }

    /// Tells it that it can go: queries are answered here.
    ///
    /// # Errors
    /// A sentence: it is gone, or has given this one up and serves on.
    pub fn relieve(mut self) -> Result<(), String> {
        self.stream
            .write_all(READY)
            .map_err(|error| format!("the server before has given this one up: {error}"))
    }
}

/// Where a server waits for the one that takes its place.
#[derive(Debug)]
pub struct Succession {
    listener: UnixListener,
    path: PathBuf,
}

impl Succession {
    /// Opens the socket in a directory that this process owns, in the place of a predecessor's. Needs a tokio runtime.
    ///
    /// # Errors
    /// A sentence: it cannot be opened.
    pub fn open(directory: &Path) -> Result<Succession, String> {
        let path = directory.join(NAME);
        let told = |error: io::Error| {
            format!(
                "{}: {error}; no server can take over from this one",
                path.display()
            )
        };
        let listener = bind(&path).map_err(told)?;
        Ok(Succession { listener, path })
    }

    /// Waits until another server has taken over; `sockets` are given to it. One that fails before it is ready changes
    /// nothing.
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
            let (stream, (sockets, legacy)) = match given {
                Ok(given) => given,
                Err(error) => {
                    tracing::warn!("nobody could be asked to take over: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let old = control.clone();
            let done = control
                .threads
                .hand_over
                .run(move || hand_over(&old, stream, sockets, legacy))
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

    /// Removes the socket from the file system: nobody takes over any more.
    pub fn close(self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A connection to the running server; `None`: there is none.
fn connect(path: &Path) -> Result<Option<UnixStream>, String> {
    match UnixStream::connect(path) {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// A socket that only its owner can reach, put where another may have been.
fn bind(path: &Path) -> io::Result<UnixListener> {
    // Named as the temporary files of the directory are, so that it is found if it is left.
    let fresh = path.with_file_name(format!(".{NAME}.{}", std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, PermissionsExt::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

/// The old server's part. Changes are refused while it goes on, unless it fails.
fn hand_over(
    control: &Control,
    stream: UnixStream,
    sockets: Vec<OwnedFd>,
    legacy: HandedState,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    refuse_others(&stream)?;
    control.close_for_changes();
    let lock = control
        .state_directory()
        .and_then(|directory| directory.passed_on());
    let done = converse(stream, sockets, lock, legacy);
    match done {
        Ok(()) => control
            .state_directory()
            .iter()
            .for_each(|directory| directory.give_up()),
        Err(_) => control.open_for_changes(),
    }
    done
}

fn converse(
    mut stream: UnixStream,
    sockets: Vec<OwnedFd>,
    lock: Option<OwnedFd>,
    legacy: HandedState,
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut heard = [0; REQUEST.len()];
    stream.read_exact(&mut heard)?;
    let lock = match &heard {
        REQUEST => lock,
        UNLOCKED => None,
        _ => {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "it speaks another language",
            ));
        }
    };
    let legacy = HandedState {
        locked: lock.is_some(),
        ..legacy
    };
    let descriptors: Vec<OwnedFd> = lock.into_iter().chain(sockets).collect();
    send(&mut stream, &descriptors, &serde_json::to_vec(&legacy)?)?;
    // The other one has its own now; while this waits nobody else may find these open.
    drop(descriptors);
    stream.set_read_timeout(Some(LONGEST_START))?;
    expect(&mut stream, READY)
}

/// Only the same user and root may ask: whoever has the sockets answers for all zones.
fn refuse_others(stream: &UnixStream) -> io::Result<()> {
    let asks = sockopt::socket_peercred(stream)?.uid;
    if asks == rustix::process::geteuid() || asks.is_root() {
        return Ok(());
    }
    Err(io::Error::new(
        ErrorKind::PermissionDenied,
        format!("user {} may not", asks.as_raw()),
    ))
}

fn expect(stream: &mut UnixStream, words: &[u8]) -> io::Result<()> {
    let mut heard = vec![0; words.len()];
    stream.read_exact(&mut heard)?;
    if heard == words {
        Ok(())
    } else {
        Err(io::Error::new(
            ErrorKind::InvalidData,
            "it speaks another language",
        ))
    }
}

/// The length of the text, with the sockets; then the text.
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

/// The new server's part, up to what it is given.
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
    let rights = |message| {
        if let RecvAncillaryMessage::ScmRights(sockets) = message {
            Some(sockets)
        } else {
            None
        }
    };
    let sockets = ancillary.drain().filter_map(rights).flatten().collect();
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
    fn the_lock_goes_first_to_whoever_knows_of_it_and_to_nobody_else() {
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
            let (descriptors, legacy) = receive(&mut new, request).unwrap();
            assert_eq!(
                (descriptors.len(), legacy.locked),
                (1 + usize::from(locked), locked)
            );
            new.write_all(READY).unwrap();
            old.join().unwrap().unwrap();
        }
    }

    #[test]
    fn whoever_speaks_otherwise_or_leaves_is_given_up() {
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

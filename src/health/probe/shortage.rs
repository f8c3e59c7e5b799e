//! Shortages: probes that could not be made because something was missing on our own side.
//!
//! A machine without a free descriptor, port, process or octet of memory cannot tell how others are. Such a probe has no
//! result: what was agreed about the endpoint stays, and the shortage is counted and shown. What the network or the
//! endpoint did (refused, unreachable, silent) is never a shortage.

use std::io;

use rustix::io::Errno;

use super::reasons;

/// A probe that could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// What is missing.
    pub kind: ShortageKind,
    /// A sentence for people.
    pub reason: String,
}

/// What is missing on our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShortageKind {
    /// File descriptors, of the process or of the system.
    Descriptors,
    /// Memory or buffers of the kernel.
    Memory,
    /// A free port, or an address of the family that the endpoint has.
    Ports,
    /// Processes or threads.
    Processes,
    /// The program of an exec check, or a way to run it.
    Program,
}

impl ShortageKind {
    /// Every kind, in the order of the counters.
    pub const ALL: [ShortageKind; 5] = [
        ShortageKind::Descriptors,
        ShortageKind::Memory,
        ShortageKind::Ports,
        ShortageKind::Processes,
        ShortageKind::Program,
    ];

    /// As it is called in metrics.
    pub fn word(self) -> &'static str {
        match self {
            ShortageKind::Descriptors => "descriptors",
            ShortageKind::Memory => "memory",
            ShortageKind::Ports => "ports",
            ShortageKind::Processes => "processes",
            ShortageKind::Program => "program",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            ShortageKind::Descriptors => {
                "this server has no file descriptor left (raise LimitNOFILE)"
            }
            ShortageKind::Memory => "this machine has no memory left for it",
            ShortageKind::Ports => "this machine has no free port or no address of that family",
            ShortageKind::Processes => {
                "this machine has no process or thread left (raise TasksMax)"
            }
            ShortageKind::Program => "the program cannot be run",
        }
    }
}

impl Shortage {
    /// A shortage with more words about it.
    pub fn new(kind: ShortageKind, detail: &dyn std::fmt::Display) -> Shortage {
        Shortage {
            kind,
            reason: format!("not probed: {}: {detail}", kind.sentence()),
        }
    }

    /// What an error of a socket says about ourselves; `None`: it is about the endpoint or the network.
    pub fn of_socket(error: &io::Error) -> Option<Shortage> {
        let kind = match Errno::from_io_error(error)? {
            // ENOSPC: the system watches as many sockets as it may.
            Errno::MFILE | Errno::NFILE | Errno::NOSPC => ShortageKind::Descriptors,
            Errno::NOMEM | Errno::NOBUFS => ShortageKind::Memory,
            // EAGAIN: connect(2) found no free port.
            Errno::ADDRNOTAVAIL | Errno::ADDRINUSE | Errno::AGAIN | Errno::AFNOSUPPORT => {
                ShortageKind::Ports
            }
            _ => return None,
        };
        Some(Shortage::new(kind, error))
    }

    /// Why a program could not be run: all of it is on our side.
    pub fn of_program(program: &dyn std::fmt::Display, error: &io::Error) -> Shortage {
        let kind = match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => ShortageKind::Descriptors,
            Some(Errno::NOMEM) => ShortageKind::Memory,
            Some(Errno::AGAIN) => ShortageKind::Processes,
            _ => ShortageKind::Program,
        };
        Shortage::new(kind, &format_args!("{program}: {error}"))
    }
}

/// Why a probe ended before there was an answer to judge.
#[derive(Debug)]
pub enum ProbeError {
    /// It is the endpoint's fault or the network's: a sentence.
    Endpoint(String),
    /// It is ours.
    Own(Shortage),
}

impl ProbeError {
    /// An error of a socket, with the words that go before it where it is the endpoint's.
    pub fn of_socket(what: &str, error: &io::Error) -> ProbeError {
        match Shortage::of_socket(error) {
            Some(shortage) => ProbeError::Own(shortage),
            None => {
                let cause = reasons::sentence_of(error).unwrap_or_else(|| error.to_string());
                ProbeError::Endpoint(format!("{what}: {cause}"))
            }
        }
    }
}

impl From<String> for ProbeError {
    fn from(sentence: String) -> ProbeError {
        ProbeError::Endpoint(sentence)
    }
}

impl From<&str> for ProbeError {
    fn from(sentence: &str) -> ProbeError {
        ProbeError::Endpoint(sentence.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_here_is_a_shortage() {
        let of = |errno: Errno| Shortage::of_socket(&errno.into()).map(|shortage| shortage.kind);
        for errno in [
            Errno::CONNREFUSED,
            Errno::HOSTUNREACH,
            Errno::NETUNREACH,
            Errno::TIMEDOUT,
            Errno::CONNRESET,
        ] {
            assert_eq!(of(errno), None, "{errno:?}");
        }
        for (errno, kind) in [
            (Errno::MFILE, ShortageKind::Descriptors),
            (Errno::NFILE, ShortageKind::Descriptors),
            (Errno::NOMEM, ShortageKind::Memory),
            (Errno::NOBUFS, ShortageKind::Memory),
            (Errno::ADDRNOTAVAIL, ShortageKind::Ports),
            (Errno::AGAIN, ShortageKind::Ports),
        ] {
            assert_eq!(of(errno), Some(kind), "{errno:?}");
        }
        assert_eq!(
            Shortage::of_program(&"p", &Errno::AGAIN.into()).kind,
            ShortageKind::Processes
        );
        assert_eq!(
            Shortage::of_program(&"p", &Errno::NOENT.into()).kind,
            ShortageKind::Program
        );
        assert_eq!(Shortage::of_socket(&io::Error::other("a sentence")), None);
    }
}

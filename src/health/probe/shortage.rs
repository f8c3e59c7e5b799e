//! Shortages: probes that could not be made because this machine lacked a resource.
//!
//! A machine without a free file descriptor, port, process or memory cannot judge others. Such a
//! probe has no result. The endpoint keeps its agreed state, and the shortage appears in the log,
//! the status and the metrics. Errors of the network or the endpoint (refused, unreachable, timed
//! out) are never shortages.

use std::io;

use rustix::io::Errno;

use super::reasons;

/// A probe that could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// The missing resource.
    pub kind: ShortageKind,
    /// A sentence for operators.
    pub reason: String,
}

/// A resource of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShortageKind {
    /// File descriptors, of the process or of the system.
    Descriptors,
    /// Memory, or kernel buffers.
    Memory,
    /// A free local port, or a local address of the endpoint's family.
    Ports,
    /// Processes or threads.
    Processes,
    /// The program of an exec check cannot be run.
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

    /// The label in metrics.
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
    /// Describes a shortage. `detail` follows the general sentence.
    pub fn new(kind: ShortageKind, detail: &dyn std::fmt::Display) -> Shortage {
        Shortage {
            kind,
            reason: format!("not probed: {}: {detail}", kind.sentence()),
        }
    }

    /// The shortage behind a socket error. `None` if the endpoint or the network caused the error.
    pub fn of_socket(error: &io::Error) -> Option<Shortage> {
        let kind = match Errno::from_io_error(error)? {
            // ENOSPC: the limit on watched descriptors is reached.
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

    /// The shortage that kept a program from running. Every such error is on this machine.
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

/// Why a probe ended without an answer to judge.
#[derive(Debug)]
pub enum ProbeError {
    /// The endpoint or the network failed. Holds the reason.
    Endpoint(String),
    /// This machine lacked a resource.
    Local(Shortage),
}

impl ProbeError {
    /// Classifies a socket error. `what` precedes the cause in the reason.
    pub fn of_socket(what: &str, error: &io::Error) -> ProbeError {
        match Shortage::of_socket(error) {
            Some(shortage) => ProbeError::Local(shortage),
            None => {
                let cause = reasons::reason_of(error).unwrap_or_else(|| error.to_string());
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

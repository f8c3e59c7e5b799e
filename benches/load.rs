//! Two tools for comparing servers side by side: a load, and a server that does nothing.
//!
//! - `load blast ADDRESS KIND SECONDS`: keeps a server busy with queries of a kind (see `wire`) and prints how many
//!   were answered. Whole batches by `sendmmsg` and `recvmmsg`, so that the server is what is slow. Loopback only.
//! - `load null ADDRESS`: sends every query back as its own reply. What that costs, the kernel alone costs: no server
//!   that uses sockets can be cheaper.
//!
//! `cargo bench --bench load --no-run` builds it; `benches/side-by-side/run.sh` uses it.

mod datagrams;
mod wire;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use datagrams::{Batch, connected, turn_round};
use wire::{Endless, Kind};

/// Most queries under way at a time, on all sockets.
const WINDOW: usize = 256;
/// Sockets, so that servers that spread by source port have something to spread.
const SOCKETS: usize = 8;
/// How long an answer may take before it counts as lost.
const PATIENCE: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // What `cargo bench` does to every bench.
        [] => Ok(()),
        ["null", address] => null(address),
        ["blast", address, kind, seconds] => blast(address, kind, seconds),
        _ => Err("usage: load null ADDRESS | load blast ADDRESS KIND SECONDS".to_owned()),
    };
    done.map_or_else(
        |mistake| {
            eprintln!("{mistake}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

/// An address of this machine.
fn loopback(address: &str) -> Result<SocketAddr, String> {
    let parsed: SocketAddr = address
        .parse()
        .map_err(|_| format!("{address} is not an address with a port"))?;
    if parsed.ip().is_loopback() {
        Ok(parsed)
    } else {
        Err(format!("{address} is not on this machine"))
    }
}

fn null(address: &str) -> Result<(), String> {
    let socket =
        UdpSocket::bind(loopback(address)?).map_err(|error| format!("{address}: {error}"))?;
    Err(turn_round(&socket).to_string())
}

fn blast(address: &str, kind: &str, seconds: &str) -> Result<(), String> {
    let address = loopback(address)?;
    let kind = Kind::named(kind).ok_or_else(|| format!("{kind} is no kind of query"))?;
    let seconds: f64 = seconds
        .parse()
        .map_err(|_| format!("{seconds} is no number of seconds"))?;
    let time = Duration::from_secs_f64(seconds.clamp(0.1, 600.0));
    let mut lanes = (0..SOCKETS)
        .map(|_| Lane::new(address))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|e| e.to_string())?;
    let mut queries = kind.endless();
    let (start, mut counts) = (Instant::now(), Counts::default());
    while start.elapsed() < time {
        let mut idle = true;
        for lane in &mut lanes {
            idle &= !lane
                .turn(&mut queries, &mut counts)
                .map_err(|error| error.to_string())?;
        }
        if idle {
            std::thread::yield_now();
        }
    }
    let rate = counts.answered as f64 / start.elapsed().as_secs_f64();
    println!(
        "answered {} lost {} rate {rate:.0} octets {}",
        counts.answered, counts.lost, counts.octets
    );
    Ok(())
}

#[derive(Debug, Default)]
struct Counts {
    answered: u64,
    lost: u64,
    octets: u64,
}

/// One socket of the load and what is under way on it.
struct Lane {
    socket: UdpSocket,
    received: Batch,
    sent: Batch,
    open: usize,
    heard: Instant,
}

impl Lane {
    fn new(address: SocketAddr) -> io::Result<Lane> {
        let socket = connected(address)?;
        Ok(Lane {
            socket,
            received: Batch::new(false),
            sent: Batch::new(false),
            open: 0,
            heard: Instant::now(),
        })
    }

    /// Takes what came and sends what may be sent; whether there was anything to do.
    fn turn(&mut self, queries: &mut Endless, counts: &mut Counts) -> io::Result<bool> {
        let came = match self.received.receive(&self.socket, 0) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        counts.answered += came as u64;
        counts.octets += self.received.messages[..came]
            .iter()
            .map(|message| u64::from(message.msg_len))
            .sum::<u64>();
        self.open = self.open.saturating_sub(came);
        if came > 0 {
            self.heard = Instant::now();
        } else if self.open > 0 && self.heard.elapsed() > PATIENCE {
            counts.lost += self.open as u64;
            (self.open, self.heard) = (0, Instant::now());
        }
        let room = WINDOW / SOCKETS - self.open;
        if room < WINDOW / SOCKETS / 2 {
            return Ok(came > 0);
        }
        for at in 0..room {
            self.sent.vectors[at].iov_len = queries.write(&mut self.sent.buffers[at]);
        }
        self.open += self.sent.send(&self.socket, room)?;
        Ok(true)
    }
}

//! The way of one nameserver to NATS, which can be cut.
//!
//! A relay on loopback hands octets on. While it is cut, it takes connections and keeps those that it
//! has, but nothing gets through, as on a line that is cut: nobody hears of it at once.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A relay that can be cut.
#[derive(Debug)]
pub struct CutRelay {
    /// Where it listens.
    pub address: SocketAddr,
    is_cut: watch::Sender<bool>,
}

impl CutRelay {
    /// Starts a relay to `target` at a free port. It ends when this is dropped. Must be called inside
    /// a tokio runtime.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(target: SocketAddr) -> io::Result<CutRelay> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (is_cut, cut) = watch::channel(false);
        tokio::spawn(relay_all(TcpListener::from_std(listener)?, target, cut));
        Ok(CutRelay { address, is_cut })
    }

    /// Cuts the line, or mends it.
    pub fn cut(&self, is_cut: bool) {
        self.is_cut.send_replace(is_cut);
    }
}

async fn relay_all(listener: TcpListener, target: SocketAddr, mut cut: watch::Receiver<bool>) {
    let others = cut.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(relay(stream, target, others.clone()))),
                Err(_) => return,
            },
            changed = cut.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// Hands on what one connection says, until an end closes or the line is cut. Then it is held until the
/// line is mended, and closed.
async fn relay(mut near: TcpStream, target: SocketAddr, mut cut: watch::Receiver<bool>) {
    if !*cut.borrow() {
        let Ok(mut far) = TcpStream::connect(target).await else {
            return;
        };
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
            _ = cut.wait_for(|is_cut| *is_cut) => {}
        }
    }
    let _ = cut.wait_for(|is_cut| !*is_cut).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn nothing_passes_while_the_line_is_cut() {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = CutRelay::start(target.local_addr().unwrap()).unwrap();
        let mut near = TcpStream::connect(relay.address).await.unwrap();
        let (mut far, _) = target.accept().await.unwrap();
        near.write_all(b"a").await.unwrap();
        let mut octet = [0];
        far.read_exact(&mut octet).await.unwrap();
        relay.cut(true);
        let mut second = TcpStream::connect(relay.address).await.unwrap();
        near.write_all(b"b").await.unwrap();
        let silence = Duration::from_millis(200);
        let accepted = tokio::time::timeout(silence, target.accept()).await;
        assert!(accepted.is_err(), "a new connection does not get through");
        let heard = tokio::time::timeout(silence, near.read(&mut octet)).await;
        assert!(heard.is_err(), "and nobody hears that it is cut");
        relay.cut(false);
        let ends = [near.read(&mut octet).await, second.read(&mut octet).await];
        for end in ends {
            assert!(matches!(end, Ok(0) | Err(_)), "it has to connect again");
        }
    }
}

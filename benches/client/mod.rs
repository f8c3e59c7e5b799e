//! Somebody who asks now and then, while others flood.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::datagrams::connected;
use super::wire;

/// What it asks for.
const NAME: &str = "static.example.com";
/// How often it asks.
const INTERVAL: Duration = Duration::from_millis(2);

/// Somebody who asks now and then.
pub struct Client {
    socket: UdpSocket,
    query: Vec<u8>,
    /// When the query of each number was sent.
    sent: Vec<Instant>,
    whole: usize,
    waited: Vec<Duration>,
}

impl Client {
    /// With a cookie that the server made, or without any.
    pub fn new(address: SocketAddr, with_cookie: bool) -> Client {
        let socket = connected(address).expect("a free port");
        let mut client = Client {
            socket,
            query: Vec::new(),
            sent: Vec::new(),
            whole: 0,
            waited: Vec::new(),
        };
        client.query = if with_cookie {
            cookie_query(&client.cookie())
        } else {
            wire::query(0, NAME, 1, &[])
        };
        client
    }

    /// A good cookie: the last option of a reply is where it ends.
    fn cookie(&self) -> Vec<u8> {
        let mut buffer = [0; 1500];
        for _ in 0..100 {
            self.socket
                .send(&cookie_query(b"client!!"))
                .expect("loopback");
            std::thread::sleep(Duration::from_millis(20));
            if let Ok(length) = self.socket.recv(&mut buffer)
                && buffer[..length]
                    .windows(8)
                    .any(|octets| octets == b"client!!")
            {
                return buffer[length - 24..length].to_vec();
            }
        }
        panic!("no cookie");
    }

    /// Hears what came, and asks when it is time to and `asks`.
    pub fn turn(&mut self, asks: bool) {
        let mut buffer = [0; 1500];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let number = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
            // QR and not TC.
            self.whole += usize::from(length > 12 && buffer[2] & 0x82 == 0x80);
            self.waited
                .extend(self.sent.get(number).map(Instant::elapsed));
        }
        let due = asks
            && self
                .sent
                .last()
                .is_none_or(|last| last.elapsed() > INTERVAL);
        if due && self.sent.len() < usize::from(u16::MAX) {
            self.query[..2].copy_from_slice(&(self.sent.len() as u16).to_be_bytes());
            self.sent.push(Instant::now());
            self.socket.send(&self.query).expect("loopback");
        }
    }

    /// What share of its queries got a whole answer, and how long answers took.
    pub fn report(mut self, who: &str) {
        self.waited.sort();
        let (asked, share) = (self.sent.len(), self.whole as f64 / self.sent.len() as f64);
        let at = |part: f64| {
            self.waited
                .get((self.waited.len() as f64 * part) as usize)
                .copied()
                .unwrap_or_default()
        };
        println!(
            "a client {who}: {share:.3} of {asked} got a whole answer, usually after {:.1?}, at the slowest {:.1?}",
            at(0.5),
            self.waited.last().copied().unwrap_or_default()
        );
    }
}

fn cookie_query(cookie: &[u8]) -> Vec<u8> {
    let option = [&[0, 10, 0, cookie.len() as u8], cookie].concat();
    wire::query(0, NAME, 1, &option)
}

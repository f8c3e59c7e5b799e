//! The pretended resolvers of the world: each asks the three nameservers for its clients.
//!
//! A resolver asks a nameserver at random. If that one is silent for its timeout, it asks another, and
//! goes round twice before it gives up. What comes of each query is counted in the tally. Each resolver
//! is a thread that sends at a steady rate; one that is late does not catch up.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use domain::base::message::Message;
use domain::rdata::A;

use super::truth::{FleetClient, FleetTally, QueryOutcome};
use crate::control::any_draw;
use crate::demo::settings::MAIN;
use crate::demo::traffic::query;
use crate::dns::{Name, RecordType};
use crate::steering::pick::next_draw;

/// Queries per second, of all resolvers together.
pub const PER_SECOND: u32 = RESOLVERS * 50;
const RESOLVERS: u32 = 4;
/// How long a resolver waits for a nameserver.
const TIMEOUT: Duration = Duration::from_millis(300);
/// How often a resolver goes round all nameservers.
const ROUNDS: usize = 2;

/// The resolvers, which ask until this is stopped or dropped.
#[derive(Debug)]
pub struct FleetTraffic {
    tally: Arc<FleetTally>,
    running: Vec<(Sender<()>, JoinHandle<()>)>,
}

impl FleetTraffic {
    /// Starts all resolvers.
    ///
    /// # Errors
    /// The system has no socket or no thread left.
    pub fn start(
        nameservers: &[SocketAddr],
        clients: &Arc<Vec<FleetClient>>,
    ) -> io::Result<FleetTraffic> {
        let tally = Arc::new(FleetTally::default());
        let mut running = Vec::new();
        for _ in 0..RESOLVERS {
            let resolver = FleetResolver::new(nameservers)?;
            let (tally, clients) = (tally.clone(), clients.clone());
            let (stop, stopped) = channel();
            let thread = std::thread::Builder::new()
                .name("demo-resolver".to_owned())
                .spawn(move || resolver.ask_until(&stopped, &clients, &tally))?;
            running.push((stop, thread));
        }
        Ok(FleetTraffic { tally, running })
    }

    /// What clients saw.
    pub fn tally(&self) -> &FleetTally {
        &self.tally
    }

    /// Stops asking; what is under way is still counted.
    pub fn stop(&mut self) {
        let mut threads = Vec::new();
        for (stop, thread) in self.running.drain(..) {
            drop(stop);
            threads.push(thread);
        }
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// Somebody who asks the nameservers.
#[derive(Debug)]
pub struct FleetResolver {
    sockets: Vec<UdpSocket>,
    name: Name,
}

impl FleetResolver {
    /// A resolver with a socket for each nameserver.
    ///
    /// # Errors
    /// The system has no socket left.
    pub fn new(nameservers: &[SocketAddr]) -> io::Result<FleetResolver> {
        let mut sockets = Vec::new();
        for nameserver in nameservers {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.connect(nameserver)?;
            sockets.push(socket);
        }
        let name = MAIN.parse().map_err(io::Error::other)?;
        Ok(FleetResolver { sockets, name })
    }

    fn ask_until(&self, stopped: &Receiver<()>, clients: &[FleetClient], tally: &FleetTally) {
        let pause = Duration::from_secs(1) * RESOLVERS / PER_SECOND;
        let mut draw = any_draw();
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            draw = next_draw(draw);
            let index = (draw >> 16) as usize % clients.len().max(1);
            if let Some(client) = clients.get(index) {
                self.resolve(client, draw, tally);
            }
        }
    }

    /// Asks one nameserver after the other, from a random one on, and counts what comes of it.
    fn resolve(&self, client: &FleetClient, draw: u64, tally: &FleetTally) {
        let sent = tally.home();
        let count = self.sockets.len();
        let mut asked_again = 0;
        for number in 0..ROUNDS * count {
            let nameserver = (draw as usize % count + number) % count;
            if let Some(answer) = self.ask(nameserver, client, draw as u16) {
                let is_right = client.may_get(answer, sent, tally.home());
                let outcome = if is_right {
                    QueryOutcome::Right
                } else {
                    QueryOutcome::Wrong
                };
                tally.count(outcome, asked_again);
                return;
            }
            asked_again += 1;
        }
        tally.count(QueryOutcome::Lost, asked_again);
    }

    /// The address that a nameserver answers with; the unspecified address if it says that there is
    /// none, and `None` if it is silent or fails.
    pub fn ask(&self, nameserver: usize, client: &FleetClient, id: u16) -> Option<Ipv4Addr> {
        let socket = self.sockets.get(nameserver)?;
        let query = query(&self.name, RecordType::A, client.network, id);
        let end = Instant::now() + TIMEOUT;
        socket.send(&query).ok()?;
        let mut buffer = [0; 1500];
        loop {
            let left = end.checked_duration_since(Instant::now())?;
            socket
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))
                .ok()?;
            let length = socket.recv(&mut buffer).ok()?;
            let reply = buffer.get(..length)?;
            // An answer that came too late is left aside.
            if reply.starts_with(&id.to_be_bytes()) {
                return address_in(reply);
            }
        }
    }
}

/// The first address of a reply; the unspecified address if it has none, `None` if the nameserver has
/// failed.
fn address_in(reply: &[u8]) -> Option<Ipv4Addr> {
    let message = Message::from_octets(reply).ok()?;
    if message.header().rcode() != Rcode::NOERROR {
        return None;
    }
    let first = message.answer().ok()?.limit_to::<A>().next();
    match first {
        Some(record) => Some(record.ok()?.data().addr()),
        None => Some(Ipv4Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::fleet::truth::HomeState;

    /// A nameserver that answers everything with one address, or is silent.
    fn nameserver(address: Option<[u8; 4]>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let Some(address) = address else { continue };
                // The question without the OPT record, which is 22 octets.
                let mut reply = buffer[..length - 22].to_vec();
                reply[2..12].copy_from_slice(&[0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
                reply.extend(address);
                socket.send_to(&reply, from).unwrap();
            }
        });
        local
    }

    fn client() -> FleetClient {
        let loaded = super::super::truth::clients(&crate::demo::tests::loaded()).unwrap();
        loaded.into_iter().next().unwrap()
    }

    #[test]
    fn a_silent_nameserver_costs_time_and_no_answer() {
        let closed = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let nameservers = [nameserver(None), closed, nameserver(Some([127, 0, 1, 1]))];
        let resolver = FleetResolver::new(&nameservers).unwrap();
        let (tally, client) = (FleetTally::default(), client());
        for first in 0..3 {
            resolver.resolve(&client, first, &tally);
        }
        let sums = tally.sums();
        assert_eq!((sums.asked, sums.asked_again), (3, 3));
        assert!(sums.is_clean());
    }

    #[test]
    fn nobody_answers_is_lost_and_a_dead_region_is_wrong() {
        let (tally, client) = (FleetTally::default(), client());
        FleetResolver::new(&[nameserver(None)])
            .unwrap()
            .resolve(&client, 1, &tally);
        assert_eq!(tally.sums().lost, 1);
        let resolver = FleetResolver::new(&[nameserver(Some([127, 0, 1, 1]))]).unwrap();
        tally.set_home(HomeState::Down);
        resolver.resolve(&client, 2, &tally);
        assert_eq!(tally.sums().wrong, 1);
        tally.set_home(HomeState::Moving);
        resolver.resolve(&client, 3, &tally);
        assert_eq!(tally.sums().wrong, 1);
    }
}

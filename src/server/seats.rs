//! Who is connected, over whatever: limits in all and per client, and who leaves when there is no place for one more.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::TcpLimits;

/// Counts connections against the limits.
pub struct Gate {
    limits: TcpLimits,
    start: Instant,
    open: Mutex<Open>,
    /// How many are connected, for whoever wants to know.
    count: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Connected>,
    clients: HashMap<IpAddr, usize>,
}

struct Connected {
    client: IpAddr,
    active: Arc<AtomicU64>,
    task: Option<AbortHandle>,
}

/// A place that was given.
pub struct Entry {
    /// The place.
    pub seat: Seat,
    /// Another connection left for it.
    pub evicted: bool,
}

/// One connection's place; it is free again when this is dropped.
pub struct Seat {
    /// Its number, another for each.
    pub number: u64,
    gate: Arc<Gate>,
    /// When it was last of use, in milliseconds since the start of the gate.
    active: Arc<AtomicU64>,
}

impl Gate {
    /// No connection yet; `count` is kept at how many there are.
    pub fn new(limits: TcpLimits, count: Arc<AtomicUsize>) -> Gate {
        Gate { limits, start: Instant::now(), open: Mutex::default(), count }
    }

    /// How long a connection may be idle.
    pub fn idle(&self) -> Duration {
        self.limits.idle
    }

    /// A place for one more connection; when all are taken, the connection that was idle longest leaves. `None`: this
    /// client has as many as it may.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Entry> {
        let client = who(address);
        let mut open = self.open();
        if open.clients.get(&client).copied().unwrap_or(0) >= self.limits.connections_per_client {
            return None;
        }
        let evicted = open.connections.len() >= self.limits.connections && open.evict();
        *open.clients.entry(client).or_default() += 1;
        let (number, active) = (open.next, Arc::new(AtomicU64::new(self.now())));
        open.next += 1;
        open.connections.insert(number, Connected { client, active: active.clone(), task: None });
        self.count.store(open.connections.len(), Ordering::Relaxed);
        drop(open);
        Some(Entry { seat: Seat { number, gate: self.clone(), active }, evicted })
    }

    /// Notes the task that is to end when the connection must leave.
    pub fn watch(&self, number: u64, task: AbortHandle) {
        match self.open().connections.get_mut(&number) {
            Some(connected) => connected.task = Some(task),
            // It had to leave before it began.
            None => task.abort(),
        }
    }

    /// Ends the connection that was idle longest; false: there is none.
    pub fn evict(&self) -> bool {
        self.open().evict()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.open().connections.is_empty()
    }

    /// Whether half of the places are taken.
    pub fn is_half_full(&self) -> bool {
        self.open().connections.len() >= self.limits.connections / 2
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Open {
    fn evict(&mut self) -> bool {
        let idle = |(_, connected): &(&u64, &Connected)| connected.active.load(Ordering::Relaxed);
        let Some(number) = self.connections.iter().min_by_key(idle).map(|(number, _)| *number) else { return false };
        let task = self.remove(number).and_then(|connected| connected.task);
        task.inspect(AbortHandle::abort);
        true
    }

    fn remove(&mut self, number: u64) -> Option<Connected> {
        let connected = self.connections.remove(&number)?;
        match self.clients.get_mut(&connected.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                self.clients.remove(&connected.client);
            }
        }
        Some(connected)
    }
}

impl Seat {
    /// The connection was of use just now.
    pub fn touch(&self) {
        self.active.store(self.gate.now(), Ordering::Relaxed);
    }

    /// Waits until the connection has been of no use for as long as one may be idle.
    pub async fn vacated(&self) {
        loop {
            let active = Duration::from_millis(self.active.load(Ordering::Relaxed));
            let end = self.gate.start + active + self.gate.idle();
            if Instant::now() >= end {
                return;
            }
            tokio::time::sleep_until(end.into()).await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.gate.open();
        open.remove(self.number);
        self.gate.count.store(open.connections.len(), Ordering::Relaxed);
    }
}

/// Whose connection it is: whoever has an IPv6 address has its whole /64.
fn who(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections: usize, connections_per_client: usize) -> Arc<Gate> {
        let limits = TcpLimits { connections, connections_per_client, idle: Duration::from_secs(1) };
        Arc::new(Gate::new(limits, Arc::default()))
    }

    fn enter(gate: &Arc<Gate>, client: &str) -> Option<Entry> {
        gate.enter(client.parse().unwrap())
    }

    #[test]
    fn a_client_has_its_number_and_an_ipv6_client_is_its_network() {
        let gate = gate(10, 1);
        let first = enter(&gate, "2001:db8::1");
        assert!(enter(&gate, "2001:db8::2").is_none() && enter(&gate, "2001:db8:0:1::1").is_some());
        drop(first);
        assert!(enter(&gate, "2001:db8::2").is_some());
    }

    #[tokio::test]
    async fn a_seat_is_vacated_when_it_was_of_no_use_for_long_enough() {
        let limits = TcpLimits { connections: 4, connections_per_client: 4, idle: Duration::from_millis(300) };
        let gate = Arc::new(Gate::new(limits, Arc::default()));
        let seat = enter(&gate, "192.0.2.1").unwrap().seat;
        let start = Instant::now();
        tokio::time::sleep(Duration::from_millis(100)).await;
        seat.touch();
        seat.vacated().await;
        assert!(start.elapsed() >= Duration::from_millis(398), "{:?}", start.elapsed());
        assert!(!gate.is_half_full());
        let _second = enter(&gate, "192.0.2.1").unwrap();
        assert!(gate.is_half_full());
    }

    #[test]
    fn the_longest_idle_leaves_and_is_counted_off_once() {
        let gate = gate(2, 2);
        let seats: Vec<Seat> = ["192.0.2.1", "192.0.2.2"].iter().map(|one| enter(&gate, one).unwrap().seat).collect();
        seats[0].active.store(5, Ordering::Relaxed);
        seats[1].active.store(3, Ordering::Relaxed);
        let third = enter(&gate, "192.0.2.3").unwrap();
        assert!(third.evicted);
        assert!(!gate.open().connections.contains_key(&seats[1].number), "the one that was idle longest");
        drop(seats);
        let counts = || {
            let open = gate.open();
            (open.connections.len(), open.clients.len())
        };
        assert_eq!(counts(), (1, 1));
        drop(third);
        assert_eq!(counts(), (0, 0));
        assert!(!gate.evict());
    }
}

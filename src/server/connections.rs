//! Who is connected, over whatever: limits in all and per client, and who leaves when there is no place for one more.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::stats::{AbuseEvent, WorkerStats};
use crate::config;
use crate::net::ClientAddress;

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct TcpLimits {
    /// Most connections at a time, whatever is spoken on them.
    pub connections: usize,
    /// Most connections at a time from one address.
    pub connections_per_client: usize,
    /// How long a connection may be idle, or take over one message.
    pub idle: Duration,
}

impl TcpLimits {
    /// As the operator wants them.
    pub fn of(server: &config::NameserverConfig) -> TcpLimits {
        TcpLimits {
            connections: server.tcp_connections,
            connections_per_client: server.tcp_connections_per_client,
            idle: server.tcp_idle,
        }
    }
}

/// Counts connections against the limits.
pub struct ConnectionLimiter {
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

/// Every connection that could leave is held.
struct Full;

/// Stands for the time of last use of a connection that must not leave.
const HELD: u64 = u64::MAX;

/// One connection's place; it is free again when this is dropped.
pub struct ConnectionPermit {
    /// Its number, another for each.
    pub number: u64,
    limiter: Arc<ConnectionLimiter>,
    /// When it was last of use, in nanoseconds since the start of the limiter: a client can ask on many connections within
    /// one millisecond, and the order in which it did decides who leaves.
    active: Arc<AtomicU64>,
}

impl ConnectionLimiter {
    /// No connection yet; `count` is kept at how many there are.
    pub fn new(limits: TcpLimits, count: Arc<AtomicUsize>) -> ConnectionLimiter {
        ConnectionLimiter {
            limits,
            start: Instant::now(),
            open: Mutex::default(),
            count,
        }
    }

    /// How long a connection may be idle.
    pub fn idle(&self) -> Duration {
        self.limits.idle
    }

    /// A place for one more connection. When this client has as many as it may, that of its connections leaves which was
    /// idle longest; when all places are taken, the one of all (RFC 7766 section 6.2.2). Both is counted in `stats`.
    pub fn enter(
        self: &Arc<Self>,
        address: ClientAddress,
        stats: &WorkerStats,
    ) -> ConnectionPermit {
        let mut open = self.open();
        let evicted = open
            .make_room(who(address), &self.limits)
            .unwrap_or_default();
        let permit = self.permit(open, who(address));
        [Some(AbuseEvent::Connected), evicted]
            .into_iter()
            .flatten()
            .for_each(|event| stats.note(event));
        permit
    }

    /// The same, uncounted; `None`: every connection that could leave is held ([`ConnectionPermit::hold`]).
    pub fn try_enter(self: &Arc<Self>, address: ClientAddress) -> Option<ConnectionPermit> {
        let mut open = self.open();
        open.make_room(who(address), &self.limits).ok()?;
        Some(self.permit(open, who(address)))
    }

    fn permit(
        self: &Arc<Self>,
        mut open: MutexGuard<'_, Open>,
        client: IpAddr,
    ) -> ConnectionPermit {
        *open.clients.entry(client).or_default() += 1;
        let (number, active) = (open.next, Arc::new(AtomicU64::new(self.now())));
        open.next += 1;
        open.connections.insert(
            number,
            Connected {
                client,
                active: active.clone(),
                task: None,
            },
        );
        self.count.store(open.connections.len(), Ordering::Relaxed);
        ConnectionPermit {
            number,
            limiter: self.clone(),
            active,
        }
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
        self.open().evict(|_| true)
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.open().connections.is_empty()
    }

    /// Whether half of the places are taken, of all or of this client's.
    pub fn is_half_full(&self, address: ClientAddress) -> bool {
        let (open, limits) = (self.open(), self.limits);
        open.connections.len() >= limits.connections / 2
            || open.count_of(who(address)) >= limits.connections_per_client / 2
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Open {
    fn count_of(&self, client: IpAddr) -> usize {
        self.clients.get(&client).copied().unwrap_or(0)
    }

    /// Sees to it that one more of this client fits, and says who left for it; an error if nobody could.
    fn make_room(
        &mut self,
        client: IpAddr,
        limits: &TcpLimits,
    ) -> Result<Option<AbuseEvent>, Full> {
        if self.count_of(client) >= limits.connections_per_client {
            let left = self.evict(|connected| connected.client == client);
            return if left {
                Ok(Some(AbuseEvent::EvictedOfClient))
            } else {
                Err(Full)
            };
        }
        if self.connections.len() >= limits.connections {
            return if self.evict(|_| true) {
                Ok(Some(AbuseEvent::Evicted))
            } else {
                Err(Full)
            };
        }
        Ok(None)
    }

    /// Ends the one that was idle longest of those that are concerned; false: there is none, or all are held.
    fn evict(&mut self, concerns: impl Fn(&Connected) -> bool) -> bool {
        let concerned = self
            .connections
            .iter()
            .filter(|(_, connected)| concerns(connected));
        let activity = concerned
            .map(|(number, connected)| (connected.active.load(Ordering::Relaxed), *number));
        let Some((_, number)) = activity.filter(|(active, _)| *active != HELD).min() else {
            return false;
        };
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

impl ConnectionPermit {
    /// The connection was of use just now.
    pub fn touch(&self) {
        self.active.store(self.limiter.now(), Ordering::Relaxed);
    }

    /// Keeps the connection from having to leave for another, until it is touched.
    pub fn hold(&self) {
        self.active.store(HELD, Ordering::Relaxed);
    }

    /// Waits until the connection has been of no use for as long as one may be idle.
    pub async fn revoked(&self) {
        loop {
            let active = Duration::from_nanos(self.active.load(Ordering::Relaxed));
            let end = self.limiter.start + active + self.limiter.idle();
            if Instant::now() >= end {
                return;
            }
            tokio::time::sleep_until(end.into()).await;
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.limiter.open();
        open.remove(self.number);
        self.limiter
            .count
            .store(open.connections.len(), Ordering::Relaxed);
    }
}

/// Whose connection it is: whoever has an IPv6 address has its whole /64.
pub(crate) fn who(address: ClientAddress) -> IpAddr {
    match address.ip() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stats::{ServerStats, TransportKind};
    use super::*;

    fn limiter(connections: usize, connections_per_client: usize) -> Arc<ConnectionLimiter> {
        let limits = TcpLimits {
            connections,
            connections_per_client,
            idle: Duration::from_secs(1),
        };
        Arc::new(ConnectionLimiter::new(limits, Arc::default()))
    }

    fn enter(limiter: &Arc<ConnectionLimiter>, client: &str) -> ConnectionPermit {
        enter_counted(limiter, client).0
    }

    /// A permit, and for which limit another connection left.
    fn enter_counted(
        limiter: &Arc<ConnectionLimiter>,
        client: &str,
    ) -> (ConnectionPermit, Option<AbuseEvent>) {
        let stats = ServerStats::default();
        let permit = limiter.enter(client.parse().unwrap(), &stats.register(TransportKind::Tcp));
        let count = |event| stats.events()[event as usize];
        assert_eq!(count(AbuseEvent::Connected), 1);
        (
            permit,
            [AbuseEvent::Evicted, AbuseEvent::EvictedOfClient]
                .into_iter()
                .find(|event| count(*event) == 1),
        )
    }

    fn is_connected(limiter: &ConnectionLimiter, permit: &ConnectionPermit) -> bool {
        limiter.open().connections.contains_key(&permit.number)
    }

    #[test]
    fn a_client_makes_room_for_itself_and_an_ipv6_client_is_its_network() {
        let limiter = limiter(10, 1);
        let [first, other] =
            ["2001:db8::1", "2001:db8:0:1::1"].map(|client| enter_counted(&limiter, client));
        assert_eq!((first.1, other.1), (None, None));
        let (first, other) = (first.0, other.0);
        // The other one was idle longer, but it is somebody else's.
        other.active.store(0, Ordering::Relaxed);
        first.active.store(5, Ordering::Relaxed);
        let (second, evicted) = enter_counted(&limiter, "2001:db8::2");
        assert_eq!(evicted, Some(AbuseEvent::EvictedOfClient));
        assert!(!is_connected(&limiter, &first) && is_connected(&limiter, &other));
        drop((first, second));
        assert_eq!(enter_counted(&limiter, "2001:db8::2").1, None);
    }

    #[test]
    fn uses_within_a_millisecond_are_told_apart() {
        let limiter = limiter(10, 2);
        let [first, second] = ["192.0.2.1", "192.0.2.1"].map(|client| enter(&limiter, client));
        second.touch();
        first.touch();
        let _third = enter(&limiter, "192.0.2.1");
        assert!(
            is_connected(&limiter, &first) && !is_connected(&limiter, &second),
            "though it came later"
        );
    }

    #[tokio::test]
    async fn a_seat_is_vacated_when_it_was_of_no_use_for_long_enough() {
        let limits = TcpLimits {
            connections: 4,
            connections_per_client: 4,
            idle: Duration::from_millis(300),
        };
        let limiter = Arc::new(ConnectionLimiter::new(limits, Arc::default()));
        let permit = enter(&limiter, "192.0.2.1");
        let start = Instant::now();
        tokio::time::sleep(Duration::from_millis(100)).await;
        permit.touch();
        permit.revoked().await;
        assert!(
            start.elapsed() >= Duration::from_millis(398),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn half_full_is_half_of_all_or_half_of_a_clients_own() {
        let limiter = limiter(6, 4);
        let half_full = |client: &str| limiter.is_half_full(client.parse().unwrap());
        let _first = enter(&limiter, "192.0.2.1");
        assert!(!half_full("192.0.2.1"));
        let _second = enter(&limiter, "192.0.2.1");
        assert!(half_full("192.0.2.1") && !half_full("192.0.2.2"));
        let _third = enter(&limiter, "192.0.2.3");
        assert!(half_full("192.0.2.2"));
    }

    #[test]
    fn a_client_in_ipv6_spelling_has_no_places_of_its_own() {
        let limiter = limiter(10, 1);
        let first = enter(&limiter, "192.0.2.1");
        let (_second, evicted) = enter_counted(&limiter, "::ffff:192.0.2.1");
        assert_eq!(evicted, Some(AbuseEvent::EvictedOfClient));
        assert!(!is_connected(&limiter, &first));
    }

    #[test]
    fn who_is_held_does_not_leave() {
        let limiter = limiter(2, 1);
        let (first, second) = (enter(&limiter, "192.0.2.1"), enter(&limiter, "192.0.2.2"));
        first.hold();
        assert!(
            limiter.try_enter("192.0.2.1".parse().unwrap()).is_none(),
            "its one place is held"
        );
        let third = limiter.try_enter("192.0.2.3".parse().unwrap()).unwrap();
        assert!(
            is_connected(&limiter, &first) && !is_connected(&limiter, &second),
            "though it was used first"
        );
        first.touch();
        assert!(limiter.try_enter("192.0.2.1".parse().unwrap()).is_some());
        assert!(!is_connected(&limiter, &first) && is_connected(&limiter, &third));
    }

    #[test]
    fn the_longest_idle_leaves_and_is_counted_off_once() {
        let limiter = limiter(2, 2);
        let permits: Vec<ConnectionPermit> = ["192.0.2.1", "192.0.2.2"]
            .iter()
            .map(|one| enter(&limiter, one))
            .collect();
        permits[0].active.store(5, Ordering::Relaxed);
        permits[1].active.store(3, Ordering::Relaxed);
        let (third, evicted) = enter_counted(&limiter, "192.0.2.3");
        assert_eq!(evicted, Some(AbuseEvent::Evicted));
        assert!(
            is_connected(&limiter, &permits[0]) && !is_connected(&limiter, &permits[1]),
            "the one that was idle longest"
        );
        drop(permits);
        let counts = || {
            let open = limiter.open();
            (open.connections.len(), open.clients.len())
        };
        assert_eq!(counts(), (1, 1));
        drop(third);
        assert_eq!(counts(), (0, 0));
        assert!(!limiter.evict());
    }
}

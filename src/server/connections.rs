//! Connection limits for TCP, TLS, HTTPS and QUIC, in total and per client.
//!
//! Every connection holds a [`ConnectionPermit`] until it ends. When a limit is reached, the
//! [`ConnectionLimiter`] closes the connection that was idle longest instead of refusing the new
//! one (RFC 7766 section 6.2.2). An IPv6 client counts as its /64. The admin server uses the same
//! limiter and may hold connections, so that they are not closed while they are in use.

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
    /// Most connections at a time, over all transports.
    pub connections: usize,
    /// Most connections at a time from one address.
    pub connections_per_client: usize,
    /// How long a connection may be idle, or take to transfer one message.
    pub idle: Duration,
}

impl TcpLimits {
    /// The limits in `[server]`.
    pub fn of(server: &config::NameserverConfig) -> TcpLimits {
        TcpLimits {
            connections: server.tcp_connections,
            connections_per_client: server.tcp_connections_per_client,
            idle: server.tcp_idle,
        }
    }
}

/// Keeps connections within the limits.
pub struct ConnectionLimiter {
    limits: TcpLimits,
    start: Instant,
    open: Mutex<OpenConnections>,
    /// The number of open connections, for metrics.
    count: Arc<AtomicUsize>,
}

#[derive(Default)]
struct OpenConnections {
    next: u64,
    connections: HashMap<u64, Connected>,
    clients: HashMap<IpAddr, usize>,
}

struct Connected {
    client: IpAddr,
    active: Arc<AtomicU64>,
    task: Option<AbortHandle>,
}

/// No connection can be closed, because all are held.
struct AllHeld;

/// The time of last use of a connection that must not be closed.
const HELD: u64 = u64::MAX;

/// Counts one connection against the limits until it is dropped.
pub struct ConnectionPermit {
    /// The unique number of the connection.
    pub number: u64,
    limiter: Arc<ConnectionLimiter>,
    /// When it was last used, in nanoseconds since the start of the limiter. A client may use many
    /// connections within a millisecond, and their order decides which is closed first.
    active: Arc<AtomicU64>,
}

impl ConnectionLimiter {
    /// A limiter without connections; it keeps `count` at their number.
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

    /// Admits a connection. At the limit per client, the longest idle connection of this client is
    /// closed; at the limit in total, the longest idle of all (RFC 7766 section 6.2.2). Both are
    /// counted in `stats`.
    pub fn enter(
        self: &Arc<Self>,
        address: ClientAddress,
        stats: &WorkerStats,
    ) -> ConnectionPermit {
        let mut open = self.open();
        // With every connection held, this one is admitted above the limit.
        let evicted = open
            .make_room(client_of(address), &self.limits)
            .unwrap_or(None);
        let permit = self.permit(open, client_of(address));
        stats.note(AbuseEvent::Connected);
        if let Some(event) = evicted {
            stats.note(event);
        }
        permit
    }

    /// Admits a connection without counting it; `None` if every connection that could be closed is
    /// held ([`ConnectionPermit::hold`]).
    pub fn try_enter(self: &Arc<Self>, address: ClientAddress) -> Option<ConnectionPermit> {
        let mut open = self.open();
        open.make_room(client_of(address), &self.limits).ok()?;
        Some(self.permit(open, client_of(address)))
    }

    fn permit(
        self: &Arc<Self>,
        mut open: MutexGuard<'_, OpenConnections>,
        client: IpAddr,
    ) -> ConnectionPermit {
        *open.clients.entry(client).or_default() += 1;
        let active = Arc::new(AtomicU64::new(self.now()));
        let number = open.next;
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

    /// Registers the task to abort when the connection must close.
    pub fn watch(&self, number: u64, task: AbortHandle) {
        match self.open().connections.get_mut(&number) {
            Some(connected) => connected.task = Some(task),
            // The connection was evicted before its task was registered.
            None => task.abort(),
        }
    }

    /// Closes the connection that was idle longest; false if there is none.
    pub fn evict(&self) -> bool {
        self.open().evict(None).is_ok()
    }

    /// Whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.open().connections.is_empty()
    }

    /// Whether half of the total limit or half of the limit of this client is used.
    pub fn is_half_full(&self, address: ClientAddress) -> bool {
        let open = self.open();
        open.connections.len() >= self.limits.connections / 2
            || open.count_of(client_of(address)) >= self.limits.connections_per_client / 2
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl OpenConnections {
    fn count_of(&self, client: IpAddr) -> usize {
        self.clients.get(&client).copied().unwrap_or(0)
    }

    /// Makes room for one more connection of this client; returns what was evicted for it.
    fn make_room(
        &mut self,
        client: IpAddr,
        limits: &TcpLimits,
    ) -> Result<Option<AbuseEvent>, AllHeld> {
        if self.count_of(client) >= limits.connections_per_client {
            self.evict(Some(client))?;
            return Ok(Some(AbuseEvent::EvictedOfClient));
        }
        if self.connections.len() >= limits.connections {
            self.evict(None)?;
            return Ok(Some(AbuseEvent::Evicted));
        }
        Ok(None)
    }

    /// Closes the longest idle connection that is not held, of this client or of all.
    fn evict(&mut self, client: Option<IpAddr>) -> Result<(), AllHeld> {
        let mut longest_idle = None;
        for (&number, connected) in &self.connections {
            let active = connected.active.load(Ordering::Relaxed);
            if active == HELD || client.is_some_and(|client| client != connected.client) {
                continue;
            }
            if longest_idle.is_none_or(|longest| (active, number) < longest) {
                longest_idle = Some((active, number));
            }
        }
        let (_, number) = longest_idle.ok_or(AllHeld)?;
        if let Some(Connected {
            task: Some(task), ..
        }) = self.remove(number)
        {
            task.abort();
        }
        Ok(())
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
    /// Records that the connection was just used.
    pub fn touch(&self) {
        self.active.store(self.limiter.now(), Ordering::Relaxed);
    }

    /// Protects the connection from eviction until it is touched.
    pub fn hold(&self) {
        self.active.store(HELD, Ordering::Relaxed);
    }

    /// Waits until the connection has been idle for the idle timeout.
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

/// The client that a connection counts for: the address itself, or the /64 of an IPv6 address.
pub(crate) fn client_of(address: ClientAddress) -> IpAddr {
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

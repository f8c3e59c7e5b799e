//! The moment of a query: what was published, and what is drawn and counted for this one alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::policy::ServerPolicy;
use crate::catalog::{Catalog, LiveState, ServiceId};

/// What a reply depends on besides the query and the client.
#[derive(Clone, Copy)]
pub struct QueryContext<'m> {
    /// What was published.
    pub snapshot: &'m Snapshot,
    /// What the World comes to now: the snapshot's own, but where somebody asks what if.
    pub present: &'m LiveState,
    /// How often each service has answered here.
    pub turns: &'m RoundRobinCounters,
    /// What is drawn comes from it: another number for each query.
    pub seed: u64,
    /// Where this thread counts what it answers, so that threads do not wait for each other; `None`: no client asks, so
    /// nothing is counted.
    pub lane: Option<u8>,
    /// The clients of queries whose seed has none of these bits are noted.
    pub passed_over: u64,
}

impl<'m> QueryContext<'m> {
    /// Zones, services, geography.
    #[inline]
    pub(super) fn world(&self) -> &'m Catalog {
        &self.snapshot.world
    }

    /// Whether this query's client is one of those that are noted.
    #[inline]
    pub(super) fn is_noted(&self) -> bool {
        self.seed & self.passed_over == 0
    }
}

/// For each service with round robin, how many answers were given: where it goes on.
#[derive(Debug, Default)]
pub struct RoundRobinCounters(Box<[AtomicU32]>);

impl RoundRobinCounters {
    /// All at the start.
    pub fn new(services: usize) -> RoundRobinCounters {
        RoundRobinCounters((0..services).map(|_| AtomicU32::new(0)).collect())
    }

    /// This service's turn; the next one is the next.
    #[inline]
    pub(super) fn take(&self, service: ServiceId) -> u32 {
        self.0
            .get(service.0 as usize)
            .map_or(0, |turn| turn.fetch_add(1, Ordering::Relaxed))
    }
}

/// What is published to the workers by swapping one pointer.
#[derive(Debug)]
pub struct Snapshot {
    /// Zones, services, geography.
    pub world: Arc<Catalog>,
    /// What they come to now.
    pub present: LiveState,
    /// What the operator allows.
    pub policy: Arc<ServerPolicy>,
    /// Seconds since 1970, modulo 2^32, kept true by whoever publishes.
    pub clock: &'static AtomicU32,
    /// Goes on from snapshot to snapshot of one World.
    pub turns: Arc<RoundRobinCounters>,
}

impl Snapshot {
    /// The same World at another present.
    pub fn with(&self, present: LiveState) -> Snapshot {
        Snapshot {
            present,
            world: self.world.clone(),
            policy: self.policy.clone(),
            clock: self.clock,
            turns: self.turns.clone(),
        }
    }

    /// The moment of one query that is not a client's: nothing is noted or counted.
    #[inline]
    pub fn moment(&self, seed: u64) -> QueryContext<'_> {
        QueryContext {
            snapshot: self,
            present: &self.present,
            turns: &self.turns,
            seed,
            lane: None,
            passed_over: u64::MAX,
        }
    }

    /// The moment of one client's query, to be counted in this lane.
    #[inline]
    pub fn moment_in(&self, lane: u8, seed: u64) -> QueryContext<'_> {
        QueryContext {
            lane: Some(lane),
            passed_over: self.policy.passed_over,
            ..self.moment(seed)
        }
    }
}

//! What a reply depends on besides the query and the client: the published state, and the draws and
//! counters of one query.
//!
//! The controller publishes a [`Snapshot`] by swapping one pointer. A worker borrows the current
//! snapshot for one query and makes a [`QueryContext`] from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::on_demand::DenialSigner;
use super::policy::ServerPolicy;
use crate::catalog::{Catalog, LiveState, ServiceId};

/// What one query is answered from.
#[derive(Clone, Copy)]
pub struct QueryContext<'m> {
    /// The published state.
    pub snapshot: &'m Snapshot,
    /// The availability to answer from: the snapshot's own, except where a caller asks "what if".
    pub live: &'m LiveState,
    /// How many answers each service with round robin has given.
    pub turns: &'m RoundRobinCounters,
    /// The source of all draws: a different number for each query.
    pub seed: u64,
    /// The worker's slot in the answer counters, so that workers do not wait for each other.
    /// `None`: the query is not a client's and is not counted.
    pub lane: Option<u8>,
    /// Denials that are not signed ahead may be signed for this query; otherwise it gets no reply here.
    pub may_sign: bool,
    /// A query whose seed has none of these bits adds its client to the traffic sample.
    pub sample_mask: u64,
}

impl<'m> QueryContext<'m> {
    /// Zones, services, geography.
    #[inline]
    pub(super) fn catalog(&self) -> &'m Catalog {
        &self.snapshot.catalog
    }

    /// Whether this query's client goes into the traffic sample.
    #[inline]
    pub(super) fn is_sampled(&self) -> bool {
        self.seed & self.sample_mask == 0
    }

    /// Who signs what is not signed ahead, if this query may cost a signature.
    pub(super) fn signer(&self) -> Option<&'m dyn DenialSigner> {
        if self.may_sign {
            self.snapshot.on_demand.as_deref()
        } else {
            None
        }
    }
}

/// For each service, how many round-robin answers it has given: where the next one starts.
#[derive(Debug, Default)]
pub struct RoundRobinCounters(Box<[AtomicU32]>);

impl RoundRobinCounters {
    /// Counters at zero.
    pub fn new(services: usize) -> RoundRobinCounters {
        let mut counters = Vec::new();
        counters.resize_with(services, AtomicU32::default);
        RoundRobinCounters(counters.into())
    }

    /// Returns the turn of this service and increments it.
    #[inline]
    pub(super) fn take(&self, service: ServiceId) -> u32 {
        match self.0.get(service.0 as usize) {
            Some(turn) => turn.fetch_add(1, Ordering::Relaxed),
            None => 0,
        }
    }
}

/// The state that the workers answer from. It is published by swapping one pointer.
#[derive(Debug)]
pub struct Snapshot {
    /// Zones, services, geography.
    pub catalog: Arc<Catalog>,
    /// Their present availability.
    pub live: LiveState,
    /// Access rules, rate limits and server identity.
    pub policy: Arc<ServerPolicy>,
    /// Seconds since 1970, modulo 2^32. The publisher keeps it current.
    pub clock: &'static AtomicU32,
    /// Kept from snapshot to snapshot of one catalog.
    pub turns: Arc<RoundRobinCounters>,
    /// Signs denials of the catalog's zones that are not signed ahead; `None`: all are. The workers
    /// of UDP do not use it.
    pub on_demand: Option<Arc<dyn DenialSigner>>,
}

impl Snapshot {
    /// The same catalog with another availability.
    pub fn with(&self, live: LiveState) -> Snapshot {
        Snapshot {
            live,
            catalog: self.catalog.clone(),
            policy: self.policy.clone(),
            clock: self.clock,
            turns: self.turns.clone(),
            on_demand: self.on_demand.clone(),
        }
    }

    /// The context of a query that is not a client's: it is neither sampled nor counted.
    #[inline]
    pub fn context(&self, seed: u64) -> QueryContext<'_> {
        QueryContext {
            snapshot: self,
            live: &self.live,
            turns: &self.turns,
            seed,
            lane: None,
            may_sign: true,
            sample_mask: u64::MAX,
        }
    }

    /// The context of a client's query, which is counted in this lane. It signs nothing.
    #[inline]
    pub fn client_context(&self, lane: u8, seed: u64) -> QueryContext<'_> {
        QueryContext {
            lane: Some(lane),
            may_sign: false,
            sample_mask: self.policy.sample_mask,
            ..self.context(seed)
        }
    }

    /// The same for a thread that may sign.
    pub fn signing_context(&self, lane: u8, seed: u64) -> QueryContext<'_> {
        QueryContext {
            may_sign: true,
            ..self.client_context(lane, seed)
        }
    }
}

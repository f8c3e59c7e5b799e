//! Answering: one query, one client, one moment, one reply. Every transport, `explain` and the tests come here.
//!
//! A reply is a function of (query octets, client address, [`Moment`]). Nothing in here allocates, locks, logs,
//! spawns, or reads a clock.

pub mod world;

pub mod client;

mod steered;

mod solve;

pub mod explain;

pub mod foresight;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::dns::cookie::{self, Secret};
use crate::dns::query::{self, Scratch};
use crate::dns::reply::{self, Reply, ReplyOpt};
use crate::dns::{Query, Rcode, Reject, UDP_PAYLOAD, UDP_PLAIN};
use solve::Solver;
use world::{Present, World};

/// What a reply depends on besides the query and the client.
#[derive(Clone, Copy)]
pub struct Moment<'m> {
    /// What was published.
    pub snapshot: &'m Snapshot,
    /// What the World comes to now: the snapshot's own, but where somebody asks what if.
    pub present: &'m Present,
    /// How often each service has answered here.
    pub turns: &'m Turns,
    /// What is drawn comes from it: another number for each query.
    pub seed: u64,
}

impl<'m> Moment<'m> {
    /// Zones, services, geography.
    #[inline]
    fn world(&self) -> &'m World {
        &self.snapshot.world
    }
}

/// For each service with round robin, how many answers were given: where it goes on.
#[derive(Debug, Default)]
pub struct Turns(Box<[AtomicU32]>);

impl Turns {
    /// All at the start.
    pub fn new(services: usize) -> Turns {
        Turns((0..services).map(|_| AtomicU32::new(0)).collect())
    }

    /// This service's turn; the next one is the next.
    #[inline]
    fn take(&self, service: world::ServiceId) -> u32 {
        self.0.get(service.0 as usize).map_or(0, |turn| turn.fetch_add(1, Ordering::Relaxed))
    }
}

/// What is published to the workers by swapping one pointer.
#[derive(Debug)]
pub struct Snapshot {
    /// Zones, services, geography.
    pub world: Arc<World>,
    /// What they come to now.
    pub present: Present,
    /// What NSID answers (RFC 5001), at most 255 octets.
    pub nsid: Option<Box<[u8]>>,
    /// What server cookies are made with; `None`: cookies are off.
    pub cookies: Option<Secret>,
    /// Seconds since 1970, modulo 2^32, kept true by whoever publishes.
    pub clock: &'static AtomicU32,
    /// Goes on from snapshot to snapshot of one World.
    pub turns: Arc<Turns>,
}

impl Snapshot {
    /// The moment of one query.
    #[inline]
    pub fn moment(&self, seed: u64) -> Moment<'_> {
        Moment { snapshot: self, present: &self.present, turns: &self.turns, seed }
    }
}

/// How a query came: what bounds the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram each way.
    Udp,
    /// TCP and all that carries whole messages.
    Stream,
}

/// What became of a query. Each query has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Nothing was sent.
    Dropped,
    /// FORMERR
    Malformed,
    /// NOTIMP
    NotImplemented,
    /// BADVERS
    BadVersion,
    /// REFUSED
    Refused,
    /// Records of a zone file.
    Static,
    /// Endpoints of a service.
    Steered,
    /// The name exists, the type does not.
    NoData,
    /// The name does not exist.
    NoName,
    /// A delegation.
    Referral,
    /// SERVFAIL
    Failed,
}

impl Verdict {
    /// How many there are.
    pub const COUNT: usize = 11;

    /// Every one, in the order of their numbers.
    pub const ALL: [Verdict; Verdict::COUNT] = [
        Verdict::Dropped,
        Verdict::Malformed,
        Verdict::NotImplemented,
        Verdict::BadVersion,
        Verdict::Refused,
        Verdict::Static,
        Verdict::Steered,
        Verdict::NoData,
        Verdict::NoName,
        Verdict::Referral,
        Verdict::Failed,
    ];
}

/// A reply that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Octets to send; 0 = send nothing.
    pub length: usize,
    /// What became of the query.
    pub verdict: Verdict,
}

/// Answers one message from `source` into `buffer`, which is not longer than a reply may be.
///
/// `scratch` is room that a caller keeps from query to query, so that it need not be cleared for each.
#[inline(never)]
pub fn answer(
    message: &[u8],
    source: IpAddr,
    transport: Transport,
    moment: &Moment<'_>,
    scratch: &mut Scratch,
    buffer: &mut [u8],
) -> Answered {
    match query::parse(message, scratch) {
        Ok(query) => reply_to(message, &query, source, transport, moment, buffer),
        Err(reject) => refuse(message, reject, buffer),
    }
}

/// ID and flags of the query.
fn id_and_flags(message: &[u8]) -> [u8; 4] {
    message.first_chunk().copied().unwrap_or_default()
}

#[cold]
fn refuse(message: &[u8], reject: Reject, buffer: &mut [u8]) -> Answered {
    let Reject::Reply { rcode, edns } = reject else {
        return Answered { length: 0, verdict: Verdict::Dropped };
    };
    let length = reply::bare(buffer, id_and_flags(message), rcode, edns);
    let verdict = match rcode {
        Rcode::NotImp => Verdict::NotImplemented,
        Rcode::BadVers => Verdict::BadVersion,
        _ => Verdict::Malformed,
    };
    Answered { length, verdict }
}

#[inline(always)]
fn reply_to(
    message: &[u8],
    query: &Query<'_>,
    source: IpAddr,
    transport: Transport,
    moment: &Moment<'_>,
    buffer: &mut [u8],
) -> Answered {
    let cookie = cookie_for(query, source, moment);
    let opt = ReplyOpt::owed(query.edns, moment.snapshot.nsid.as_deref(), cookie.as_ref());
    let size = most_octets(query, transport);
    let Ok(mut reply) = Reply::start(buffer, query.question.octets, size, opt.size()) else {
        // Only a buffer that is too short to hold the question and OPT comes here.
        return Answered { length: 0, verdict: Verdict::Dropped };
    };
    let (verdict, scope) = Solver::new(moment, query, source, &mut reply).solve();
    Answered { length: reply.finish(id_and_flags(message), 1, &opt, scope), verdict }
}

/// The cookie to give, if the client sent its part and cookies are on.
#[inline]
fn cookie_for(query: &Query<'_>, source: IpAddr, moment: &Moment<'_>) -> Option<[u8; cookie::WHOLE]> {
    let client = query.edns?.cookie.as_ref()?;
    let secret = moment.snapshot.cookies.as_ref()?;
    Some(secret.cookie(client, source, moment.snapshot.clock.load(Ordering::Relaxed)))
}

/// How long the reply may be (RFC 6891 section 6.2.3: less than 512 means 512).
#[inline]
fn most_octets(query: &Query<'_>, transport: Transport) -> usize {
    match (transport, query.edns) {
        (Transport::Stream, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => usize::from(UDP_PLAIN),
        (Transport::Udp, Some(edns)) => usize::from(edns.payload.clamp(UDP_PLAIN, UDP_PAYLOAD)),
    }
}

//! Answering: one query, one client, one moment, one reply. Every transport, `explain` and the tests come here.
//!
//! A reply is a function of (query octets, client address, [`QueryContext`]). Nothing in here allocates, locks, logs,
//! spawns, or reads a clock.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

pub mod client;

mod moment;

pub mod steered;

mod copies;
mod hints;
mod pointers;
mod shorten;
mod solve;

mod chaos;

pub mod policy;

#[allow(
    clippy::arithmetic_side_effects,
    reason = "for people, off the query path"
)]
use std::sync::atomic::Ordering;

use crate::dns::edns::EdnsRequests;
use crate::dns::query::{self, QueryScratch};
use crate::dns::refusal;
use crate::dns::reply::Reply;
use crate::dns::reply_opt::{ExtendedError, ReplyExtras, ReplyOpt};
use crate::dns::{Query, Rcode, Reject, UDP_PAYLOAD, UDP_PLAIN};
use crate::net::ClientAddress;
use policy::ServerPolicy;
use solve::Solver;

pub use moment::{QueryContext, RoundRobinCounters, Snapshot};

/// How a query came: what bounds the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram each way.
    Udp,
    /// A connection of whole messages: TCP and TLS.
    Stream,
    /// One message each way inside something else: HTTPS and QUIC.
    Exchange,
}

/// What became of a query. Each query has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Disposition {
    /// Nothing was sent.
    Dropped,
    /// Its network has been answered often enough: nothing was sent, or TC and no records.
    Limited,
    /// FORMERR
    Malformed,
    /// NOTIMP
    NotImplemented,
    /// BADVERS
    BadVersion,
    /// REFUSED, or NOTAUTH for want of a key
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

impl Disposition {
    /// How many there are.
    pub const COUNT: usize = 12;

    /// Every one, in the order of their numbers.
    pub const ALL: [Disposition; Disposition::COUNT] = [
        Disposition::Dropped,
        Disposition::Limited,
        Disposition::Malformed,
        Disposition::NotImplemented,
        Disposition::BadVersion,
        Disposition::Refused,
        Disposition::Static,
        Disposition::Steered,
        Disposition::NoData,
        Disposition::NoName,
        Disposition::Referral,
        Disposition::Failed,
    ];
}

/// A reply that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplySummary {
    /// Octets to send; 0 = send nothing.
    pub length: usize,
    /// What became of the query.
    pub verdict: Disposition,
    /// What its cookie says of the address.
    pub proof: CookieProof,
}

/// What the cookie of a query says of the address that it came from (RFC 7873).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CookieProof {
    /// Nothing: there was no cookie, or cookies are off.
    #[default]
    None,
    /// Not yet anything: it was none of ours.
    Unproven,
    /// It is one of ours, so the address is no forgery.
    Good,
}

impl ReplySummary {
    /// Nothing is to be sent.
    pub const NOTHING: ReplySummary = ReplySummary {
        length: 0,
        verdict: Disposition::Dropped,
        proof: CookieProof::None,
    };
}

/// Answers one message from `source` into `buffer`, which is not longer than a reply may be.
///
/// `scratch` is room that a caller keeps from query to query, so that it need not be cleared for each.
#[inline(never)]
pub fn answer(
    message: &[u8],
    source: ClientAddress,
    transport: Transport,
    moment: &QueryContext<'_>,
    scratch: &mut QueryScratch,
    buffer: &mut [u8],
) -> ReplySummary {
    match query::parse(message, scratch) {
        Ok(query) => reply_to(message, &query, &source, transport, moment, buffer),
        Err(reject) => refuse(message, reject, source, moment, buffer),
    }
}

/// ID and flags of the query.
fn id_and_flags(message: &[u8]) -> [u8; 4] {
    message.first_chunk().copied().unwrap_or_default()
}

#[cold]
fn refuse(
    message: &[u8],
    reject: Reject,
    source: ClientAddress,
    moment: &QueryContext<'_>,
    buffer: &mut [u8],
) -> ReplySummary {
    let (rcode, repeated) = match reject {
        Reject::Drop => return ReplySummary::NOTHING,
        Reject::UnknownKey {
            signature,
            repeated,
        } => {
            let most = usize::from(if repeated.dnssec_ok.is_some() {
                UDP_PAYLOAD
            } else {
                UDP_PLAIN
            });
            let length = refusal::unknown_key(buffer, message, &signature, &repeated, most);
            return ReplySummary {
                length,
                verdict: Disposition::Refused,
                proof: CookieProof::None,
            };
        }
        Reject::Reply { rcode, repeated } => (rcode, repeated),
    };
    if let Some(answered) = give_cookie(message, source, moment, buffer) {
        return answered;
    }
    let length = refusal::refusal(buffer, message, rcode, &repeated);
    let verdict = match rcode {
        Rcode::NotImp => Disposition::NotImplemented,
        Rcode::BadVers => Disposition::BadVersion,
        _ => Disposition::Malformed,
    };
    ReplySummary {
        length,
        verdict,
        proof: CookieProof::None,
    }
}

/// Answers a query for nothing but a cookie (RFC 7873 section 5.4).
fn give_cookie(
    message: &[u8],
    source: ClientAddress,
    moment: &QueryContext<'_>,
    buffer: &mut [u8],
) -> Option<ReplySummary> {
    let edns = query::parse_cookie_only(message)?;
    let (extras, proof) = grant(edns.requests()?, source, Transport::Udp, moment);
    let opt = ReplyOpt::owed(Some(&edns)).with(&extras);
    let presented = edns
        .requests()
        .and_then(|requests| requests.cookie)
        .is_some_and(|cookie| cookie.has_server);
    let size = buffer.len().min(usize::from(UDP_PLAIN));
    let mut reply = Reply::start(buffer, &[], size, opt.size())
        .ok()
        .filter(|_| extras.cookie.is_some())?;
    reply.rcode = if presented && proof != CookieProof::Good {
        Rcode::BadCookie
    } else {
        Rcode::NoError
    };
    let length = reply.finish(id_and_flags(message), 0, &opt, 0);
    Some(ReplySummary {
        length,
        verdict: Disposition::Static,
        proof,
    })
}

#[inline(always)]
fn reply_to(
    message: &[u8],
    query: &Query<'_>,
    source: &ClientAddress,
    transport: Transport,
    moment: &QueryContext<'_>,
    buffer: &mut [u8],
) -> ReplySummary {
    let extras;
    let mut proof = CookieProof::None;
    let mut opt = ReplyOpt::owed(query.edns);
    if let Some(requests) = query.edns.and_then(|edns| edns.requests()) {
        (extras, proof) = grant(requests, *source, transport, moment);
        opt = opt.with(&extras);
    }
    let size = most_octets(query, transport, proof, &moment.snapshot.policy);
    let Ok(mut reply) = Reply::start(buffer, query.question.octets, size, opt.size()) else {
        // Only a buffer that is too short to hold the question and OPT comes here.
        return ReplySummary::NOTHING;
    };
    let (verdict, scope) = Solver::new(moment, query, source, &mut reply).solve();
    let length = match reply.error {
        None => reply.finish(id_and_flags(message), 1, &opt, scope),
        Some(error) => finish_with(error, reply, message, &opt, scope),
    };
    ReplySummary {
        length,
        verdict,
        proof,
    }
}

/// The reply with a word about why it is what it is, if there is room for it.
#[cold]
fn finish_with(
    error: &ExtendedError,
    mut reply: Reply<'_>,
    message: &[u8],
    opt: &ReplyOpt<'_>,
    scope: u8,
) -> usize {
    let extras = ReplyExtras {
        error: Some(*error),
        ..opt.extras()
    };
    let larger = opt.with(&extras);
    let fits = reply.make_room(opt.size(), larger.size()).is_ok();
    reply.finish(
        id_and_flags(message),
        1,
        if fits { &larger } else { opt },
        scope,
    )
}

/// What is given to a client that wants options, and what its cookie says.
#[cold]
fn grant<'m>(
    requests: &EdnsRequests,
    source: ClientAddress,
    transport: Transport,
    moment: &QueryContext<'m>,
) -> (ReplyExtras<'m>, CookieProof) {
    let policy = &moment.snapshot.policy;
    let secrets = policy.cookies.as_ref();
    let clock = moment.snapshot.clock;
    let given = requests
        .cookie
        .zip(secrets)
        .map(|(sent, secrets)| secrets.give(&sent, source, clock.load(Ordering::Relaxed)));
    let extras = ReplyExtras {
        nsid: policy.nsid.as_deref().filter(|_| requests.nsid),
        cookie: given.map(|given| given.octets),
        keepalive: (requests.keepalive && transport == Transport::Stream)
            .then_some(policy.keepalive),
        error: None,
    };
    let proof = given.map_or(CookieProof::None, |given| {
        if given.verified {
            CookieProof::Good
        } else {
            CookieProof::Unproven
        }
    });
    (extras, proof)
}

/// The same for a query that may want nothing.
fn grant_to<'m>(
    query: &Query<'_>,
    source: ClientAddress,
    transport: Transport,
    moment: &QueryContext<'m>,
) -> (ReplyExtras<'m>, CookieProof) {
    let requests = query.edns.and_then(|edns| edns.requests());
    requests.map_or_else(Default::default, |requests| {
        grant(requests, source, transport, moment)
    })
}

/// How long the reply may be (RFC 6891 section 6.2.3: less than 512 means 512).
#[inline]
fn most_octets(
    query: &Query<'_>,
    transport: Transport,
    proof: CookieProof,
    policy: &ServerPolicy,
) -> usize {
    match (transport, query.edns) {
        (Transport::Stream | Transport::Exchange, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => usize::from(UDP_PLAIN),
        (Transport::Udp, Some(edns)) => {
            let most = if proof == CookieProof::Good {
                UDP_PAYLOAD
            } else {
                policy.unverified_payload
            };
            usize::from(edns.payload.min(most).max(UDP_PLAIN))
        }
    }
}

/// Tells a client that it may not ask (REFUSED, and RFC 8914 section 4.19).
#[cold]
pub fn prohibit(
    message: &[u8],
    source: ClientAddress,
    transport: Transport,
    moment: &QueryContext<'_>,
    scratch: &mut QueryScratch,
    buffer: &mut [u8],
) -> ReplySummary {
    let query = match query::parse(message, scratch) {
        Ok(query) => query,
        Err(reject) => return refuse(message, reject, source, moment, buffer),
    };
    let (mut extras, proof) = grant_to(&query, source, transport, moment);
    extras.error = Some(ExtendedError::PROHIBITED);
    let length = without_records(message, &query, &extras, Rcode::Refused, buffer);
    ReplySummary {
        length,
        verdict: Disposition::Refused,
        proof,
    }
}

/// Answers over UDP to a network that has been answered often enough: in full if a cookie of ours shows that the
/// address is no forgery, else with TC and no records (the client may come over TCP), or not at all.
#[cold]
pub fn answer_limited(
    message: &[u8],
    source: ClientAddress,
    moment: &QueryContext<'_>,
    scratch: &mut QueryScratch,
    buffer: &mut [u8],
    truncated: bool,
) -> ReplySummary {
    let limited = |length, proof| ReplySummary {
        length,
        verdict: Disposition::Limited,
        proof,
    };
    let Ok(query) = query::parse(message, scratch) else {
        return limited(0, CookieProof::None);
    };
    let (extras, proof) = grant_to(&query, source, Transport::Udp, moment);
    if proof == CookieProof::Good {
        return answer(message, source, Transport::Udp, moment, scratch, buffer);
    }
    let length = if truncated {
        without_records(message, &query, &extras, Rcode::NoError, buffer)
    } else {
        0
    };
    limited(length, proof)
}

/// A reply that echoes the question and has no records; with NOERROR it says TC.
fn without_records(
    message: &[u8],
    query: &Query<'_>,
    extras: &ReplyExtras<'_>,
    rcode: Rcode,
    buffer: &mut [u8],
) -> usize {
    let opt = ReplyOpt::owed(query.edns).with(extras);
    let size = buffer.len();
    let Ok(mut reply) = Reply::start(buffer, query.question.octets, size, opt.size()) else {
        return 0;
    };
    reply.rcode = rcode;
    reply.truncated = rcode == Rcode::NoError;
    reply.finish(id_and_flags(message), 1, &opt, 0)
}

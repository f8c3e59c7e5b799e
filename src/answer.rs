//! Answers queries: takes one message and the client's address, and writes one reply.
//!
//! Every transport, `explain` and the tests call [`answer()`]. It parses the query, looks its name
//! up in the catalog, and writes answer, authority and additional section (`solve`). A name with
//! a service is steered ([`steered`]); everything else comes from the zone files.
//!
//! A reply is a function of the query's octets, the client's address and the [`QueryContext`].
//! Nothing in here allocates, locks, logs, spawns, or reads a clock.

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

mod compact;
mod context;
mod disposition;

pub mod steered;

mod additional;
mod any;
mod copies;
mod denial;
mod hashed;
mod hints;
mod negative;
mod pointers;
mod refused;
mod shorten;
mod signed;
mod solve;

mod chaos;

pub mod on_demand;

pub mod policy;

use std::sync::atomic::Ordering;

use crate::dns::edns::EdnsRequests;
use crate::dns::query::{self, QueryScratch};
use crate::dns::rcode::HEADER;
use crate::dns::refusal;
use crate::dns::reply::Reply;
use crate::dns::reply_opt::{ExtendedError, ReplyExtras, ReplyOpt};
use crate::dns::{Query, Rcode, Reject, UDP_PAYLOAD, UDP_PLAIN};
use crate::net::ClientAddress;
use policy::ServerPolicy;

pub use context::{QueryContext, RoundRobinCounters, Snapshot};
pub use disposition::Disposition;

/// How a query arrived, which bounds the size of its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram each way.
    Udp,
    /// A connection that carries many messages: TCP and TLS.
    Stream,
    /// One exchange of messages inside another protocol: HTTPS and QUIC.
    Exchange,
}

/// What a caller learns about a reply besides its octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplySummary {
    /// Octets to send; 0 = send nothing.
    pub length: usize,
    /// How the query was handled.
    pub disposition: Disposition,
    /// What the query's cookie proves.
    pub proof: CookieProof,
}

/// What the cookie of a query proves about its source address (RFC 7873).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CookieProof {
    /// Nothing: the query had no cookie, or cookies are off.
    #[default]
    None,
    /// Nothing yet: the server part is missing, or is not one of ours.
    Unproven,
    /// The server part is one of ours, so the address is not forged.
    Good,
}

impl ReplySummary {
    /// The disposition without a reply of a query that another thread must answer, which signs.
    const POSTPONED: Disposition = Disposition::NxDomain;

    /// Whether there is no reply because the query needs a denial that is not signed yet.
    pub fn is_postponed(&self) -> bool {
        self.length == 0 && self.disposition == ReplySummary::POSTPONED
    }

    /// No reply.
    pub const NOTHING: ReplySummary = ReplySummary {
        length: 0,
        disposition: Disposition::Dropped,
        proof: CookieProof::None,
    };

    /// A reply to a query that the rate limit applies to.
    fn limited(length: usize, proof: CookieProof) -> ReplySummary {
        ReplySummary {
            length,
            disposition: Disposition::Limited,
            proof,
        }
    }
}

/// Answers one message from `source` into `buffer`, which must not be longer than a reply may be.
///
/// The caller keeps `scratch` from query to query, so that it is not cleared for each.
#[inline(never)]
pub fn answer(
    message: &[u8],
    source: ClientAddress,
    transport: Transport,
    context: &QueryContext<'_>,
    scratch: &mut QueryScratch,
    buffer: &mut [u8],
) -> ReplySummary {
    match query::parse(message, scratch) {
        Ok(query) => reply_to(message, &query, &source, transport, context, buffer),
        Err(reject) => refuse(message, reject, source, context, buffer),
    }
}

/// The ID and the flags of the query.
fn id_and_flags(message: &[u8]) -> [u8; 4] {
    message.first_chunk().copied().unwrap_or_default()
}

#[cold]
fn refuse(
    message: &[u8],
    reject: Reject,
    source: ClientAddress,
    context: &QueryContext<'_>,
    buffer: &mut [u8],
) -> ReplySummary {
    let (rcode, repeated) = match reject {
        Reject::Drop => return ReplySummary::NOTHING,
        Reject::UnknownKey {
            signature,
            repeated,
        } => {
            let max_size = if repeated.dnssec_ok.is_some() {
                UDP_PAYLOAD
            } else {
                UDP_PLAIN
            };
            let length =
                refusal::unknown_key(buffer, message, &signature, &repeated, max_size.into());
            return ReplySummary {
                length,
                disposition: Disposition::Refused,
                proof: CookieProof::None,
            };
        }
        Reject::Reply { rcode, repeated } => (rcode, repeated),
    };
    if let Some(summary) = answer_cookie_only(message, source, context, buffer) {
        return summary;
    }
    let length = refusal::refusal(buffer, message, rcode, &repeated);
    let disposition = match rcode {
        Rcode::NotImp => Disposition::NotImplemented,
        Rcode::BadVers => Disposition::BadVersion,
        _ => Disposition::Malformed,
    };
    ReplySummary {
        length,
        disposition,
        proof: CookieProof::None,
    }
}

/// Answers a query without a question, which asks for a cookie alone (RFC 7873 section 5.4).
fn answer_cookie_only(
    message: &[u8],
    source: ClientAddress,
    context: &QueryContext<'_>,
    buffer: &mut [u8],
) -> Option<ReplySummary> {
    let edns = query::parse_cookie_only(message)?;
    let requests = edns.requests()?;
    let (extras, proof) = reply_extras(requests, source, Transport::Udp, context);
    extras.cookie?;
    let opt = ReplyOpt::owed(Some(&edns)).with(&extras);
    let size = buffer.len().min(usize::from(UDP_PLAIN));
    let mut reply = Reply::start(buffer, &[], size, opt.size()).ok()?;
    let has_server_part = requests.cookie.is_some_and(|cookie| cookie.has_server);
    if has_server_part && proof != CookieProof::Good {
        reply.rcode = Rcode::BadCookie;
    }
    let length = reply.finish(id_and_flags(message), 0, &opt, 0);
    Some(ReplySummary {
        length,
        disposition: Disposition::Static,
        proof,
    })
}

#[inline(always)]
fn reply_to(
    message: &[u8],
    query: &Query<'_>,
    source: &ClientAddress,
    transport: Transport,
    context: &QueryContext<'_>,
    buffer: &mut [u8],
) -> ReplySummary {
    let extras;
    let mut proof = CookieProof::None;
    let mut opt = ReplyOpt::owed(query.edns);
    if let Some(requests) = query.edns.and_then(|edns| edns.requests()) {
        (extras, proof) = reply_extras(requests, *source, transport, context);
        opt = opt.with(&extras);
    }
    let size = max_response_size(query, transport, proof, &context.snapshot.policy);
    let Ok(mut reply) = Reply::start(buffer, query.question.octets, size, opt.size()) else {
        // The buffer is too short for the question and OPT.
        return ReplySummary::NOTHING;
    };
    let (disposition, scope) = solve::solve(context, query, source, &mut reply);
    let (length, disposition) = match reply.error {
        None => {
            let length = reply.finish(id_and_flags(message), 1, &opt, scope);
            (length, disposition)
        }
        Some(error) => {
            let unfinished = Unfinished {
                error,
                reply,
                disposition,
                opt: &opt,
                scope,
            };
            finish_with_error(unfinished, message, query, transport)
        }
    };
    ReplySummary {
        length,
        disposition,
        proof,
    }
}

/// A reply with an extended error, or with what stands in its place.
struct Unfinished<'r, 'b> {
    error: &'static ExtendedError,
    reply: Reply<'b>,
    disposition: Disposition,
    opt: &'r ReplyOpt<'r>,
    scope: u8,
}

/// Finishes the reply with its extended error (RFC 8914), if there is room for one. It is a function of
/// its own, so that other replies do not pay for it.
#[cold]
#[inline(never)]
fn finish_with_error(
    unfinished: Unfinished<'_, '_>,
    message: &[u8],
    query: &Query<'_>,
    transport: Transport,
) -> (usize, Disposition) {
    let Unfinished {
        error,
        mut reply,
        mut disposition,
        opt,
        scope,
    } = unfinished;
    match *error {
        ExtendedError::UNSIGNED_DENIAL => return (0, ReplySummary::POSTPONED),
        ExtendedError::COMPACT_ANSWER => {
            let length = reply.finish(id_and_flags(message), 1, &opt.with_compact(), scope);
            return (length, disposition);
        }
        ExtendedError::TOO_MANY_DENIALS => empty(&mut reply, query, transport),
        _ => {}
    }
    if reply.rcode == Rcode::ServFail {
        disposition = Disposition::Failed;
    }
    let extras = ReplyExtras {
        error: Some(*error),
        ..opt.extras()
    };
    let larger = opt.with(&extras);
    let opt = match reply.make_room(opt.size(), larger.size()) {
        Ok(()) => &larger,
        Err(_) => opt,
    };
    let length = reply.finish(id_and_flags(message), 1, opt, scope);
    (length, disposition)
}

/// Empties a reply whose denial could not be signed: over UDP it has TC and no records, so that the
/// client comes again over TCP, and SERVFAIL elsewhere.
fn empty(reply: &mut Reply<'_>, query: &Query<'_>, transport: Transport) {
    reply.clear(HEADER.saturating_add(query.question.octets.len()));
    reply.authoritative = false;
    (reply.truncated, reply.rcode) = match transport {
        Transport::Udp => (true, Rcode::NoError),
        Transport::Stream | Transport::Exchange => (false, Rcode::ServFail),
    };
}

/// The options that the query asks for, and what its cookie proves.
#[cold]
fn reply_extras<'m>(
    requests: &EdnsRequests,
    source: ClientAddress,
    transport: Transport,
    context: &QueryContext<'m>,
) -> (ReplyExtras<'m>, CookieProof) {
    let policy = &context.snapshot.policy;
    let mut extras = ReplyExtras::default();
    let mut proof = CookieProof::None;
    if requests.nsid {
        extras.nsid = policy.nsid.as_deref();
    }
    if requests.keepalive && transport == Transport::Stream {
        extras.keepalive = Some(policy.keepalive);
    }
    if let (Some(sent), Some(secrets)) = (&requests.cookie, &policy.cookies) {
        let now = context.snapshot.clock.load(Ordering::Relaxed);
        let reply = secrets.reply_to(sent, source, now);
        extras.cookie = Some(reply.octets);
        proof = if reply.verified {
            CookieProof::Good
        } else {
            CookieProof::Unproven
        };
    }
    (extras, proof)
}

/// [`reply_extras`] of a query that may ask for none.
fn reply_extras_of<'m>(
    query: &Query<'_>,
    source: ClientAddress,
    transport: Transport,
    context: &QueryContext<'m>,
) -> (ReplyExtras<'m>, CookieProof) {
    match query.edns.and_then(|edns| edns.requests()) {
        Some(requests) => reply_extras(requests, source, transport, context),
        None => (ReplyExtras::default(), CookieProof::None),
    }
}

/// The size that the reply may have (RFC 6891 section 6.2.3: a payload below 512 means 512).
#[inline]
fn max_response_size(
    query: &Query<'_>,
    transport: Transport,
    proof: CookieProof,
    policy: &ServerPolicy,
) -> usize {
    match (transport, query.edns) {
        (Transport::Stream | Transport::Exchange, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => usize::from(UDP_PLAIN),
        (Transport::Udp, Some(edns)) => {
            let limit = if proof == CookieProof::Good {
                UDP_PAYLOAD
            } else {
                policy.unverified_payload
            };
            usize::from(edns.payload.min(limit).max(UDP_PLAIN))
        }
    }
}

/// Refuses a client that access rules exclude: REFUSED with the error "Prohibited" (RFC 8914
/// section 4.19).
#[cold]
pub fn prohibit(
    message: &[u8],
    source: ClientAddress,
    transport: Transport,
    context: &QueryContext<'_>,
    scratch: &mut QueryScratch,
    buffer: &mut [u8],
) -> ReplySummary {
    let query = match query::parse(message, scratch) {
        Ok(query) => query,
        Err(reject) => return refuse(message, reject, source, context, buffer),
    };
    let (mut extras, proof) = reply_extras_of(&query, source, transport, context);
    extras.error = Some(ExtendedError::PROHIBITED);
    let length = without_records(message, &query, &extras, Rcode::Refused, buffer);
    ReplySummary {
        length,
        disposition: Disposition::Refused,
        proof,
    }
}

/// Answers a UDP query of a network above its rate limit.
///
/// A cookie of ours proves that the address is not forged: the reply is complete. Other queries get
/// no reply, or with `truncated` TC and no records, so that the client can retry over TCP.
#[cold]
pub fn answer_limited(
    message: &[u8],
    source: ClientAddress,
    context: &QueryContext<'_>,
    scratch: &mut QueryScratch,
    buffer: &mut [u8],
    truncated: bool,
) -> ReplySummary {
    let Ok(query) = query::parse(message, scratch) else {
        return ReplySummary::limited(0, CookieProof::None);
    };
    let (extras, proof) = reply_extras_of(&query, source, Transport::Udp, context);
    if proof == CookieProof::Good {
        return answer(message, source, Transport::Udp, context, scratch, buffer);
    }
    let length = if truncated {
        without_records(message, &query, &extras, Rcode::NoError, buffer)
    } else {
        0
    };
    ReplySummary::limited(length, proof)
}

/// Answers a UDP query with TC and no records, so that the client comes again over TCP.
#[cold]
pub fn answer_truncated(
    message: &[u8],
    source: ClientAddress,
    context: &QueryContext<'_>,
    scratch: &mut QueryScratch,
    buffer: &mut [u8],
) -> ReplySummary {
    let Ok(query) = query::parse(message, scratch) else {
        return ReplySummary::NOTHING;
    };
    let (extras, proof) = reply_extras_of(&query, source, Transport::Udp, context);
    ReplySummary {
        length: without_records(message, &query, &extras, Rcode::NoError, buffer),
        disposition: Disposition::Static,
        proof,
    }
}

/// Writes a reply that echoes the question and has no records; with NOERROR it has TC set.
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

//! Finds the answer to a question and writes the sections of its reply (RFC 1034 section 4.3.2).
//!
//! [`Solver::solve`] looks the name up in the catalog. Each result has its method: an answer, a
//! negative answer, a referral, or a DNAME. Aliases are followed as long as they stay in our zones,
//! and `solve_additional` adds addresses.
//!
//! A record that belongs into the answer or authority section and does not fit sets TC.

use super::context::QueryContext;
use super::copies::RrsetPosition;
use super::disposition::Disposition;
use super::pointers::{NO_LABEL, NameEnd, expanded, skip_labels};
use super::shorten::PointedRecord;
use crate::catalog::signed::SignedZones;
use crate::catalog::{CatalogZone, Lookup, NameNode, NameRole, WireRrset, ZoneId};
use crate::dns::edns::Edns;
use crate::dns::reply::{POINTER_REACH, RECORD_HEADER, Reply, Section};
use crate::dns::reply_opt::ExtendedError;
use crate::dns::{Query, Rcode, RecordType, ReplyFull, SearchName, WireReader, name};
use crate::net::ClientAddress;

/// The longest chain of aliases that one reply follows.
const MAX_CHAIN: usize = 16;
/// The position of the question's name in every reply.
pub(super) const QUESTION_NAME: u16 = crate::dns::rcode::HEADER as u16;

/// Writes one reply, from the question to its last section. `SIGNED`: the query sets DO and a zone is
/// signed; the code of other replies has no trace of signatures.
pub struct Solver<'m, 'q, 'r, 'b, const SIGNED: bool> {
    pub(super) context: &'m QueryContext<'m>,
    pub(super) query: &'q Query<'q>,
    pub(super) source: &'q ClientAddress,
    pub(super) reply: &'r mut Reply<'b>,
    /// SCOPE PREFIX-LENGTH of the answer.
    pub(super) scope: u8,
    /// A name of the chain that a wildcard has answered for; only noted if `SIGNED`.
    pub(super) expanded: Option<ExpandedName<'m>>,
}

/// Writes the sections of a reply. Returns the disposition and the scope of the query's client subnet.
#[inline(always)]
pub fn solve(
    context: &QueryContext<'_>,
    query: &Query<'_>,
    source: &ClientAddress,
    reply: &mut Reply<'_>,
) -> (Disposition, u8) {
    if let Some(signed) = &context.catalog().signed {
        if query.question.rtype == RecordType::NXNAME && signed.has_compact() {
            return refuse_nxname(reply);
        }
        if query.edns.is_some_and(Edns::dnssec_ok) {
            return solve_signed(context, query, source, reply);
        }
    }
    // This is its only call, so it becomes a part of this function.
    Solver::<false>::new(context, query, source, reply).solve()
}

/// The same for a client that wants signatures, where zones are signed. It is a function of its own,
/// so that the code for everybody else stays small and close together. A server with a zone that has
/// compact denial knows CO (RFC 9824).
#[inline(never)]
fn solve_signed(
    context: &QueryContext<'_>,
    query: &Query<'_>,
    source: &ClientAddress,
    reply: &mut Reply<'_>,
) -> (Disposition, u8) {
    let solved = Solver::<true>::new(context, query, source, reply).solve();
    if query.edns.is_some_and(Edns::compact_ok)
        && reply.error.is_none()
        && let Some(signed) = &context.catalog().signed
        && signed.has_compact()
    {
        reply.error = Some(&ExtendedError::COMPACT_ANSWER);
    }
    solved
}

/// The type of names that do not exist is of denials only (RFC 9824 section 3.5).
#[cold]
fn refuse_nxname(reply: &mut Reply<'_>) -> (Disposition, u8) {
    reply.rcode = Rcode::FormErr;
    reply.error = Some(&ExtendedError::INVALID_TYPE);
    (Disposition::Malformed, 0)
}

/// A name of an alias chain and its position in the reply.
pub(super) struct ChainName<'n> {
    pub(super) name: &'n SearchName,
    pub(super) at: u16,
}

/// The owner of an RRset: so many labels at the end of the current name.
#[derive(Clone, Copy)]
pub(super) struct RrsetOwner {
    pub(super) labels: usize,
    /// Its position in the reply.
    pub(super) at: u16,
    /// Octets of the current name's label in front of it, or [`NO_LABEL`].
    pub(super) in_front: u8,
}

impl ChainName<'_> {
    /// The current name itself as an owner.
    #[inline]
    pub(super) fn owner(&self) -> RrsetOwner {
        RrsetOwner {
            labels: self.name.label_count(),
            at: self.at,
            in_front: NO_LABEL,
        }
    }
}

/// A name that a wildcard answered for. The reply must prove that the name itself does not exist.
#[derive(Clone, Copy)]
pub(super) struct ExpandedName<'m> {
    /// The position of the name in the reply.
    pub(super) at: u16,
    /// The wildcard.
    pub(super) wildcard: &'m NameNode,
}

/// What to do after one name of a chain.
pub(super) enum Step {
    /// The reply is complete.
    Done(Disposition),
    /// Go on with the name at this position.
    Follow(u16),
}

impl<'m, 'q, 'r, 'b, const SIGNED: bool> Solver<'m, 'q, 'r, 'b, SIGNED> {
    /// Starts with a reply that has its question and nothing else.
    #[inline(always)]
    fn new(
        context: &'m QueryContext<'m>,
        query: &'q Query<'q>,
        source: &'q ClientAddress,
        reply: &'r mut Reply<'b>,
    ) -> Self {
        Solver {
            context,
            query,
            source,
            reply,
            scope: 0,
            expanded: None,
        }
    }

    #[inline(always)]
    fn solve(mut self) -> (Disposition, u8) {
        let disposition = self.solve_question();
        if SIGNED && self.expanded.is_some() && self.prove_expansion().is_err() {
            self.truncate();
        }
        (disposition, self.scope)
    }

    #[inline(always)]
    fn solve_question(&mut self) -> Disposition {
        let question = &self.query.question;
        if !question.is_internet() || matches!(question.rtype, RecordType::AXFR | RecordType::IXFR)
        {
            return self.solve_non_internet();
        }
        let first = ChainName {
            name: question.name,
            at: QUESTION_NAME,
        };
        match self.solve_name(&first, 0) {
            Ok(Step::Done(disposition)) => disposition,
            Ok(Step::Follow(at)) => self.solve_chain(at),
            Err(ReplyFull) => self.truncate(),
        }
    }

    /// The signatures, in a reply that has them.
    #[inline(always)]
    pub(super) fn signatures(&self) -> Option<&'m SignedZones> {
        if SIGNED {
            self.context.catalog().signed.as_deref()
        } else {
            None
        }
    }

    /// Follows aliases inside our zones, and visits each name once.
    #[inline(never)]
    fn solve_chain(&mut self, mut at: u16) -> Disposition {
        let mut places = [QUESTION_NAME; MAX_CHAIN];
        for hop in 1..MAX_CHAIN {
            let Some(name) = self.name_at(at) else { break };
            let visited = places.get(..hop).unwrap_or_default();
            if visited.iter().any(|&place| self.is_name_at(place, &name)) {
                break;
            }
            if let Some(place) = places.get_mut(hop) {
                *place = at;
            }
            match self.solve_name(&ChainName { name: &name, at }, hop) {
                Ok(Step::Done(disposition)) => return disposition,
                Ok(Step::Follow(next)) => at = next,
                Err(ReplyFull) => return self.truncate(),
            }
        }
        Disposition::Static
    }

    /// The name at a position of the reply.
    pub(super) fn name_at(&self, at: u16) -> Option<SearchName> {
        expanded(self.reply.octets(), at)
    }

    /// Whether this name is at a position of the reply.
    fn is_name_at(&self, at: u16, name: &SearchName) -> bool {
        match self.name_at(at) {
            Some(other) => other.as_wire() == name.as_wire(),
            None => false,
        }
    }

    /// The position of the first record of the reply.
    pub(super) fn question_end(&self) -> usize {
        usize::from(QUESTION_NAME).saturating_add(self.query.question.octets.len())
    }

    #[cold]
    fn truncate(&mut self) -> Disposition {
        self.reply.truncated = true;
        Disposition::Static
    }

    #[inline(always)]
    fn solve_name(&mut self, current: &ChainName<'_>, hop: usize) -> Result<Step, ReplyFull> {
        if let Some(zones) = &self.context.snapshot.policy.zones
            && self.is_prohibited(zones, current)
        {
            return Ok(Step::Done(self.prohibit(hop)));
        }
        let (node, is_wildcard) = match self.context.catalog().names.look_up(current.name) {
            Lookup::Found(node) => (node, false),
            Lookup::Wildcard(node) => (node, true),
            Lookup::Missing(encloser) => return self.solve_missing(current, encloser),
            Lookup::Delegated(cut) => return self.solve_delegated(current, cut, hop),
            Lookup::Redirected(owner) => return self.solve_redirected(current, owner, hop),
            Lookup::Outside if hop == 0 => return Ok(Step::Done(self.refuse())),
            Lookup::Outside => return Ok(Step::Done(Disposition::Static)),
        };
        self.reply.authoritative = true;
        if SIGNED && is_wildcard {
            return self.solve_expanded(current, node, hop);
        }
        self.solve_answer(current, node, hop)
    }

    /// Writes the answer for a name that a wildcard of a zone, which may be signed, matches. One reply
    /// has the proof of one such name: a chain that leads to another ends there.
    #[cold]
    fn solve_expanded(
        &mut self,
        current: &ChainName<'_>,
        node: &'m NameNode,
        hop: usize,
    ) -> Result<Step, ReplyFull> {
        if self.expanded.is_some() {
            return Ok(Step::Done(Disposition::Static));
        }
        self.expanded = Some(ExpandedName {
            at: current.at,
            wildcard: node,
        });
        self.solve_answer(current, node, hop)
    }

    /// Writes the answer for a name that exists or matches a wildcard.
    #[inline(always)]
    fn solve_answer(
        &mut self,
        current: &ChainName<'_>,
        node: &'m NameNode,
        hop: usize,
    ) -> Result<Step, ReplyFull> {
        let qtype = self.query.question.rtype;
        if let Some(service) = node.service()
            && let Some(disposition) = self.solve_steered(service, current.at, qtype, hop)?
        {
            return match disposition {
                Disposition::NoData => self.deny_steered(current, node, service),
                disposition => Ok(Step::Done(disposition)),
            };
        }
        let rrsets = self.context.catalog().records.of(node.rrsets);
        if let Some(found) = rrsets.iter().find(|rrset| rrset.rtype == qtype) {
            let written = self.put(Section::Answer, found, current)?;
            if SIGNED && self.expanded.is_some() {
                self.prove_expansion()?;
            }
            self.solve_additional(found, written, current.at, None);
            return Ok(Step::Done(Disposition::Static));
        }
        if let Some(alias) = rrsets.iter().find(|rrset| rrset.rtype == RecordType::CNAME) {
            return self.solve_alias(current, alias);
        }
        if qtype == RecordType::ANY && (!rrsets.is_empty() || node.service().is_some()) {
            return self.solve_any(current, node, rrsets);
        }
        let is_of_chain = match qtype {
            RecordType::NSEC => self.solve_nsec(current, node)?,
            RecordType::RRSIG => self.solve_rrsig(current, rrsets)?,
            _ => false,
        };
        if is_of_chain {
            return Ok(Step::Done(Disposition::Static));
        }
        // The DS of a zone belongs to the parent zone.
        let zone = match node.parent_zone() {
            Some(parent) if qtype == RecordType::DS && node.role == NameRole::Apex => parent,
            _ => node.zone,
        };
        self.no_data(current, zone)
    }

    /// Writes a CNAME and continues with its target.
    fn solve_alias(
        &mut self,
        current: &ChainName<'_>,
        alias: &'m WireRrset,
    ) -> Result<Step, ReplyFull> {
        let target_at = self.put(Section::Answer, alias, current)?.data();
        if self.query.question.rtype == RecordType::ANY {
            return Ok(Step::Done(Disposition::Static));
        }
        Ok(follow(target_at))
    }

    /// Writes a referral (RFC 1034 section 4.3.2 step 3b). The DS of the cut itself is answered
    /// from our side.
    fn solve_delegated(
        &mut self,
        current: &ChainName<'_>,
        cut: &'m NameNode,
        hop: usize,
    ) -> Result<Step, ReplyFull> {
        let at_cut = usize::from(cut.labels) == current.name.label_count();
        if at_cut && self.query.question.rtype == RecordType::DS {
            self.reply.authoritative = true;
            let rrsets = self.context.catalog().records.of(cut.rrsets);
            return match rrsets.iter().find(|rrset| rrset.rtype == RecordType::DS) {
                None => self.no_data(current, cut.zone),
                Some(ds) => {
                    self.put(Section::Answer, ds, current)?;
                    Ok(Step::Done(Disposition::Static))
                }
            };
        }
        let rrsets = self.context.catalog().records.of(cut.rrsets);
        let Some(ns) = rrsets.iter().find(|rrset| rrset.rtype == RecordType::NS) else {
            return Ok(Step::Done(Disposition::Referral));
        };
        let owner = self.last_labels(current, usize::from(cut.labels));
        let written = self.put_above(Section::Authority, ns, current, owner)?;
        if SIGNED {
            match rrsets.iter().find(|rrset| rrset.rtype == RecordType::DS) {
                Some(ds) => {
                    self.put_above(Section::Authority, ds, current, owner)?;
                }
                None => self.deny_signer(current, cut)?,
            }
            // What follows belongs to the additional section.
            self.prove_expansion()?;
        }
        self.solve_additional(ns, written, owner.at, cut.cut);
        Ok(Step::Done(if hop == 0 {
            Disposition::Referral
        } else {
            Disposition::Static
        }))
    }

    /// Writes a DNAME and the CNAME made from it (RFC 6672 section 2.2).
    fn solve_redirected(
        &mut self,
        current: &ChainName<'_>,
        owner: &'m NameNode,
        hop: usize,
    ) -> Result<Step, ReplyFull> {
        let records = &self.context.catalog().records;
        let Some(dname) = owner.dname().and_then(|number| records.get(number)) else {
            return Ok(Step::Done(Disposition::Failed));
        };
        self.reply.authoritative = true;
        let keep = usize::from(owner.labels);
        let skip = current.name.label_count().saturating_sub(keep);
        if hop == 0 || !self.has_dname(current.name.suffix(skip)) {
            self.put_above(
                Section::Answer,
                dname,
                current,
                self.last_labels(current, keep),
            )?;
        }
        let wire = records.octets(dname);
        let (header, target) = wire.split_at(RECORD_HEADER.min(wire.len()));
        let labels = current.name.prefix(keep);
        let mut room = [0; name::MAX_NAME];
        let Some(name) = joined(labels, target, &mut room) else {
            self.reply.rcode = Rcode::YxDomain;
            return Ok(Step::Done(Disposition::Static));
        };
        let name = name.split_last().map_or(&[][..], |(_root, name)| name);
        let ttl = match header {
            [_, _, _, _, _, _, ttl @ .., _, _] => ttl.try_into().map_or(0, u32::from_be_bytes),
            _ => 0,
        };
        let cname = RrsetPosition {
            at: self.reply.position(),
            is_shortened: false,
        };
        self.put_with_name(current.at, RecordType::CNAME, ttl, &[], name)?;
        if self.query.question.rtype == RecordType::CNAME {
            return Ok(Step::Done(Disposition::Static));
        }
        Ok(follow(cname.data()))
    }

    /// Whether the answer has the DNAME of this name already. A chain may pass the same DNAME more
    /// than once.
    fn has_dname(&self, owner: &[u8]) -> bool {
        let Some(mut reader) = WireReader::at(self.reply.octets(), self.question_end()) else {
            return false;
        };
        while let Some(record) = PointedRecord::read(&mut reader) {
            if record.rtype() == RecordType::DNAME
                && let Some(name) = self.name_at(record.position as u16)
                && name.as_wire() == owner
            {
                return true;
            }
        }
        false
    }

    pub(super) fn zone(&self, zone: ZoneId) -> Option<&'m CatalogZone> {
        self.context.catalog().zones.get(zone.0 as usize)
    }

    /// The last so many labels of the current name, as an owner.
    #[inline]
    pub(super) fn last_labels(&self, current: &ChainName<'_>, labels: usize) -> RrsetOwner {
        let skip = current.name.label_count().saturating_sub(labels);
        let NameEnd { at, in_front } = skip_labels(self.reply.octets(), current.at, skip);
        RrsetOwner {
            labels,
            at,
            in_front,
        }
    }
}

/// The name made of labels and a name behind them; `None` if it is too long.
fn joined<'r>(labels: &[u8], name: &[u8], room: &'r mut [u8; name::MAX_NAME]) -> Option<&'r [u8]> {
    let place = room.get_mut(..labels.len().checked_add(name.len())?)?;
    let (first, last) = place.split_at_mut_checked(labels.len())?;
    first.copy_from_slice(labels);
    last.copy_from_slice(name);
    Some(place)
}

/// Continues with the name that was just written, if a pointer can reach it.
fn follow(target_at: usize) -> Step {
    if target_at <= POINTER_REACH {
        Step::Follow(target_at as u16)
    } else {
        Step::Done(Disposition::Static)
    }
}

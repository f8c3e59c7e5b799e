//! The three sections of a reply (RFC 1034 section 4.3.2), a function for each.

use super::copies::RrsetPosition;
use super::pointers::{NO_LABEL, expand, skip_labels};
use super::policy::ZoneAccess;
use super::shorten::data_length;
use super::{Disposition, QueryContext};
use crate::catalog::{Lookup, NameNode, NameRole, NodeId, ServiceId, WireRrset, ZoneId};
use crate::dns::reply::{POINTER_REACH, RECORD_HEADER, Reply, Section};
use crate::dns::reply_opt::ExtendedError;
use crate::dns::{Query, Rcode, RecordType, ReplyFull, SearchName, name};
use crate::net::ClientAddress;

/// Longest chain of aliases that is followed in one reply.
const MAX_CHAIN: usize = 16;
/// Most names whose addresses are added to one answer; a referral has its glue, all of it (RFC 9471 section 3.1).
const MAX_TARGETS: usize = 16;
/// Where the question's name stands in every reply.
pub(super) const QUESTION_NAME: u16 = crate::dns::query::HEADER as u16;

/// A reply on its way from the question to its last section.
pub struct Solver<'m, 'q, 'r, 'b> {
    pub(super) moment: &'m QueryContext<'m>,
    pub(super) query: &'q Query<'q>,
    pub(super) source: &'q ClientAddress,
    pub(super) reply: &'r mut Reply<'b>,
    /// SCOPE PREFIX-LENGTH to give.
    pub(super) scope: u8,
}

/// A name on the way along a chain, and where it stands in the reply.
pub(super) struct ChainName<'n> {
    pub(super) name: &'n SearchName,
    pub(super) at: u16,
}

/// The name that an RRset is given for: so many labels at the end of the current name.
#[derive(Clone, Copy)]
pub(super) struct RrsetOwner {
    pub(super) labels: usize,
    /// Where it stands in the reply.
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

/// What became of one name of a chain.
enum Step {
    /// The reply is complete.
    Done(Disposition),
    /// Go on with the name that stands here.
    Follow(u16),
}

impl<'m, 'q, 'r, 'b> Solver<'m, 'q, 'r, 'b> {
    /// A reply that has its question and nothing else.
    #[inline]
    pub fn new(
        moment: &'m QueryContext<'m>,
        query: &'q Query<'q>,
        source: &'q ClientAddress,
        reply: &'r mut Reply<'b>,
    ) -> Self {
        Solver {
            moment,
            query,
            source,
            reply,
            scope: 0,
        }
    }

    /// Writes every section; returns what became of the query, and the scope of its client subnet. A record that must
    /// be there and does not fit sets TC.
    #[inline(always)]
    pub fn solve(mut self) -> (Disposition, u8) {
        let verdict = self.solve_question();
        (verdict, self.scope)
    }

    #[inline(always)]
    fn solve_question(&mut self) -> Disposition {
        let question = &self.query.question;
        if !question.is_internet() || matches!(question.rtype, RecordType::AXFR | RecordType::IXFR)
        {
            return self.solve_elsewhere();
        }
        let first = ChainName {
            name: question.name,
            at: QUESTION_NAME,
        };
        match self.solve_name(&first, 0) {
            Ok(Step::Done(verdict)) => verdict,
            Ok(Step::Follow(at)) => self.solve_chain(at),
            Err(ReplyFull) => self.truncate(),
        }
    }

    /// Follows aliases inside our zones, each name once.
    #[inline(never)]
    fn solve_chain(&mut self, mut at: u16) -> Disposition {
        let mut places = [QUESTION_NAME; MAX_CHAIN];
        for hop in 1..MAX_CHAIN {
            let Some(name) = self.name_at(at) else { break };
            let same = |&place: &u16| {
                self.name_at(place)
                    .is_some_and(|seen| seen.as_wire() == name.as_wire())
            };
            let seen = places.get(1..hop).unwrap_or_default();
            if name.as_wire() == self.query.question.name.as_wire() || seen.iter().any(same) {
                break;
            }
            if let Some(place) = places.get_mut(hop) {
                *place = at;
            }
            match self.solve_name(&ChainName { name: &name, at }, hop) {
                Ok(Step::Done(verdict)) => return verdict,
                Ok(Step::Follow(next)) => at = next,
                Err(ReplyFull) => return self.truncate(),
            }
        }
        Disposition::Static
    }

    /// The name that stands somewhere in the reply.
    pub(super) fn name_at(&self, at: u16) -> Option<SearchName> {
        let mut wire = [0; name::MAX_NAME];
        let length = expand(self.reply.octets(), usize::from(at), &mut wire)?;
        SearchName::from_wire(wire.get(..length)?)
    }

    /// Where the first record of the reply stands.
    pub(super) fn question_end(&self) -> usize {
        usize::from(QUESTION_NAME).saturating_add(self.query.question.octets.len())
    }

    #[cold]
    fn truncate(&mut self) -> Disposition {
        self.reply.truncated = true;
        Disposition::Static
    }

    #[cold]
    fn refuse(&mut self) -> Disposition {
        self.reply.rcode = Rcode::Refused;
        self.reply.error = Some(&ExtendedError::NOT_AUTHORITATIVE);
        Disposition::Refused
    }

    /// Whether the name is in a zone that is not for this client. It is looked up a second time, so that those without
    /// such zones do not pay for it.
    #[cold]
    fn is_prohibited(&self, zones: &ZoneAccess, current: &ChainName<'_>) -> bool {
        let zone = self.moment.world().names.look_up(current.name).zone();
        zone.is_some_and(|zone| !zones.admits(zone, *self.source))
    }

    /// The name is in a zone that is not for this client: an alias into it leads out of what is answered here.
    #[cold]
    fn prohibit(&mut self, hop: usize) -> Disposition {
        if hop > 0 {
            return Disposition::Static;
        }
        self.reply.rcode = Rcode::Refused;
        self.reply.error = Some(&ExtendedError::PROHIBITED);
        Disposition::Refused
    }

    /// Another class, or a transfer.
    #[cold]
    fn solve_elsewhere(&mut self) -> Disposition {
        let known = if self.query.question.is_internet() {
            None
        } else {
            self.solve_chaos()
        };
        known.unwrap_or_else(|| {
            self.reply.rcode = Rcode::Refused;
            Disposition::Refused
        })
    }

    #[inline(always)]
    fn solve_name(&mut self, current: &ChainName<'_>, hop: usize) -> Result<Step, ReplyFull> {
        if let Some(zones) = &self.moment.snapshot.policy.zones
            && self.is_prohibited(zones, current)
        {
            return Ok(Step::Done(self.prohibit(hop)));
        }
        match self.moment.world().names.look_up(current.name) {
            Lookup::Found(node) | Lookup::Wildcard(node) => {
                self.reply.authoritative = true;
                self.solve_answer(current, node, hop)
            }
            Lookup::Missing(encloser) => {
                self.reply.authoritative = true;
                self.reply.rcode = Rcode::NxDomain;
                self.solve_negative(current, encloser.zone)?;
                Ok(Step::Done(Disposition::NoName))
            }
            Lookup::Delegated(cut) => self.solve_delegated(current, cut, hop),
            Lookup::Redirected(owner) => self.solve_redirected(current, owner, hop),
            Lookup::Outside if hop == 0 => Ok(Step::Done(self.refuse())),
            Lookup::Outside => Ok(Step::Done(Disposition::Static)),
        }
    }

    /// The answer section for a name that exists, or that a wildcard stands in for.
    #[inline(always)]
    fn solve_answer(
        &mut self,
        current: &ChainName<'_>,
        node: &'m NameNode,
        hop: usize,
    ) -> Result<Step, ReplyFull> {
        let asked = self.query.question.rtype;
        if let Some(service) = node.service
            && let Some(verdict) = self.solve_steered(service, current.at, asked, hop)?
        {
            return match verdict {
                Disposition::NoData => self.deny_steered(current, node.zone, service),
                verdict => Ok(Step::Done(verdict)),
            };
        }
        let rrsets = self.moment.world().records.of(node.rrsets);
        if let Some(found) = rrsets.iter().find(|rrset| rrset.rtype == asked) {
            let written = self.put(Section::Answer, found, current)?;
            self.solve_additional(found, written, current.at, None);
            return Ok(Step::Done(Disposition::Static));
        }
        if let Some(alias) = rrsets.iter().find(|rrset| rrset.rtype == RecordType::CNAME) {
            return self.solve_alias(current, alias);
        }
        if asked == RecordType::ANY && (!rrsets.is_empty() || node.service.is_some()) {
            self.put_hinfo(current.at)?;
            return Ok(Step::Done(Disposition::Static));
        }
        let upper_side = asked == RecordType::DS && node.role == NameRole::Apex;
        self.no_data(
            current,
            node.parent_zone.filter(|_| upper_side).unwrap_or(node.zone),
        )
    }

    fn no_data(&mut self, current: &ChainName<'_>, zone: ZoneId) -> Result<Step, ReplyFull> {
        self.solve_negative(current, zone)?;
        Ok(Step::Done(Disposition::NoData))
    }

    /// NODATA of a steered name, which is kept no longer than what the service gives: a denial must not outlive the
    /// outage, or the look-up that failed, which it comes from.
    #[cold]
    fn deny_steered(
        &mut self,
        current: &ChainName<'_>,
        zone: ZoneId,
        service: ServiceId,
    ) -> Result<Step, ReplyFull> {
        let soa_at = self.reply.position();
        self.solve_negative(current, zone)?;
        if let Some(now) = self.moment.present.service(service) {
            self.reply.cap_ttl(soa_at, now.ttl);
        }
        Ok(Step::Done(Disposition::NoData))
    }

    /// A CNAME, and its target to go on with.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
    fn solve_alias(
        &mut self,
        current: &ChainName<'_>,
        alias: &'m WireRrset,
    ) -> Result<Step, ReplyFull> {
        let target_at = self.put(Section::Answer, alias, current)?.at + RECORD_HEADER;
        if self.query.question.rtype == RecordType::ANY {
            return Ok(Step::Done(Disposition::Static));
        }
        Ok(follow(target_at))
    }

    /// The SOA record of a negative answer (RFC 2308 section 2).
    fn solve_negative(&mut self, current: &ChainName<'_>, zone: ZoneId) -> Result<(), ReplyFull> {
        let Some(soa) = self
            .zone(zone)
            .and_then(|zone| self.moment.world().records.get(zone.negative_soa))
        else {
            return Ok(());
        };
        let owner = self.last_labels(
            current,
            self.zone(zone).map_or(0, |zone| usize::from(zone.labels)),
        );
        self.put_above(Section::Authority, soa, current, owner)
            .map(|_| ())
    }

    /// A referral (RFC 1034 section 4.3.2 step 3b); the DS at the cut itself is ours to answer.
    fn solve_delegated(
        &mut self,
        current: &ChainName<'_>,
        cut: &'m NameNode,
        hop: usize,
    ) -> Result<Step, ReplyFull> {
        let at_cut = usize::from(cut.labels) == current.name.label_count();
        if at_cut && self.query.question.rtype == RecordType::DS {
            self.reply.authoritative = true;
            let rrsets = self.moment.world().records.of(cut.rrsets);
            return match rrsets.iter().find(|rrset| rrset.rtype == RecordType::DS) {
                None => self.no_data(current, cut.zone),
                Some(ds) => {
                    self.put(Section::Answer, ds, current)?;
                    Ok(Step::Done(Disposition::Static))
                }
            };
        }
        let rrsets = self.moment.world().records.of(cut.rrsets);
        let Some(ns) = rrsets.iter().find(|rrset| rrset.rtype == RecordType::NS) else {
            return Ok(Step::Done(Disposition::Referral));
        };
        let owner = self.last_labels(current, usize::from(cut.labels));
        let written = self.put_above(Section::Authority, ns, current, owner)?;
        self.solve_additional(ns, written, owner.at, cut.cut);
        Ok(Step::Done(if hop == 0 {
            Disposition::Referral
        } else {
            Disposition::Static
        }))
    }

    /// DNAME and the CNAME made from it (RFC 6672 section 2.2).
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
    fn solve_redirected(
        &mut self,
        current: &ChainName<'_>,
        owner: &'m NameNode,
        hop: usize,
    ) -> Result<Step, ReplyFull> {
        let records = &self.moment.world().records;
        let Some(dname) = owner.dname.and_then(|number| records.get(number)) else {
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
        let (mut room, length) = ([0; name::MAX_NAME], labels.len() + target.len());
        let Some(place) = room.get_mut(..length) else {
            self.reply.rcode = Rcode::YxDomain;
            return Ok(Step::Done(Disposition::Static));
        };
        let (first, last) = place.split_at_mut(labels.len());
        first.copy_from_slice(labels);
        last.copy_from_slice(target);
        let name = place.split_last().map_or(&[][..], |(_, name)| name);
        let ttl = header
            .get(6..10)
            .and_then(|ttl| ttl.first_chunk::<4>())
            .map_or(0, |ttl| u32::from_be_bytes(*ttl));
        let at = self.reply.position();
        self.put_with_name(current.at, RecordType::CNAME, ttl, &[], name)?;
        if self.query.question.rtype == RecordType::CNAME {
            return Ok(Step::Done(Disposition::Static));
        }
        Ok(follow(at + RECORD_HEADER))
    }

    /// Whether the answer has the DNAME of this name already: a chain may come by it more than once.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
    fn has_dname(&self, owner: &[u8]) -> bool {
        let mut at = self.question_end();
        while let Some(header) = self.reply.octets().get(at..at + RECORD_HEADER) {
            let is_dname = header.get(2..4) == Some(&RecordType::DNAME.0.to_be_bytes());
            if is_dname
                && self
                    .name_at(at as u16)
                    .is_some_and(|name| name.as_wire() == owner)
            {
                return true;
            }
            at += RECORD_HEADER + data_length(self.reply.octets(), at);
        }
        false
    }

    /// The addresses, and what else a client asks for next, of names in an RRset that was just written. With `cut` (a
    /// referral), glue at or below that cut must be there or TC is set (RFC 9471 section 3.1); whatever else does not fit is
    /// left out (section 3.2).
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
    fn solve_additional(
        &mut self,
        rrset: &'m WireRrset,
        written: RrsetPosition,
        owner: u16,
        cut: Option<NodeId>,
    ) {
        let (world, policy) = (self.moment.world(), &self.moment.snapshot.policy);
        let most = if cut.is_some() {
            usize::MAX
        } else {
            MAX_TARGETS
        };
        for target in world.records.targets(rrset).iter().take(most) {
            let Some(node) = world
                .names
                .node(target.node)
                .filter(|node| node.service.is_none())
            else {
                continue;
            };
            if policy
                .zones
                .as_ref()
                .is_some_and(|zones| !zones.admits(node.zone, *self.source))
            {
                continue;
            }
            let at = match target.at {
                None => usize::from(owner),
                Some(at) if written.is_shortened => {
                    self.place_of_moved(rrset, written.at, at as usize)
                }
                Some(at) => written.at + at as usize,
            };
            if at > POINTER_REACH {
                continue;
            }
            for further in world
                .records
                .of(node.rrsets)
                .iter()
                .filter(|rrset| target.further.has(rrset.rtype))
            {
                // Below a cut there is glue and nothing else.
                if node.cut.is_some() && !is_address(further.rtype) {
                    continue;
                }
                let written = self.put_plain(Section::Additional, further, at as u16);
                if written.is_err() && cut.is_some() && node.cut == cut {
                    self.reply.truncated = true;
                    return;
                }
            }
        }
    }

    fn zone(&self, zone: ZoneId) -> Option<&'m crate::catalog::CatalogZone> {
        self.moment.world().zones.get(zone.0 as usize)
    }

    /// The last so many labels of the current name.
    #[inline]
    fn last_labels(&self, current: &ChainName<'_>, labels: usize) -> RrsetOwner {
        let skip = current.name.label_count().saturating_sub(labels);
        let (at, in_front) = skip_labels(self.reply.octets(), current.at, skip);
        RrsetOwner {
            labels,
            at,
            in_front,
        }
    }

    /// The one record that ANY gets where there is something (RFC 8482 section 4.2).
    fn put_hinfo(&mut self, owner: u16) -> Result<(), ReplyFull> {
        self.reply.append_record(
            Section::Answer,
            owner,
            RecordType::HINFO,
            3600,
            &[b"\x07RFC8482\0"],
        )
    }
}

/// Goes on with the name that was just written, if a pointer can reach it.
fn follow(target_at: usize) -> Step {
    if target_at <= POINTER_REACH {
        Step::Follow(target_at as u16)
    } else {
        Step::Done(Disposition::Static)
    }
}

fn is_address(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::A | RecordType::AAAA)
}

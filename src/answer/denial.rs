//! Proofs of what does not exist, for queries that set DO (RFC 4035 section 3.1.3, RFC 5155 section
//! 7.2).
//!
//! A negative answer, an answer from a wildcard and a referral without DS carry the records of the
//! zone's chain that prove it. With NSEC, one record denies a name and everything that it could come
//! from. With NSEC3, the closest encloser is shown first, because hashes do not tell which name lies
//! above another, and then that nothing is right below it on the way to the name. An NSEC3 proof takes
//! three hashes at most. With compact denial, a record about a name that does not exist says that it
//! exists without data (RFC 9824), and is signed when somebody asks. All others were signed when the
//! zone was loaded.

use super::signed::CoveredRrset;
use super::solve::{ChainName, ExpandedName, RrsetOwner, Solver};
use crate::catalog::signed::{DenialRecord, SignedZone};
use crate::catalog::{NameNode, ServiceId, ZoneId};
use crate::dns::name::MAX_NAME;
use crate::dns::reply::{POINTER_REACH, Section};
use crate::dns::{RecordType, ReplyFull};
use crate::dnssec::denial::NextName;
use crate::dnssec::nsec3::{NSEC3_HASH, NSEC3_LABEL, nsec3_label};

/// The records of one proof by their places in the chain.
pub(super) type ProofLinks = [Option<usize>; 3];

impl<'m, const SIGNED: bool> Solver<'m, '_, '_, '_, SIGNED> {
    /// Proves that the current name, or the wildcard that stands for it, has no data of the type
    /// asked for.
    pub(super) fn deny_data(
        &mut self,
        current: &ChainName<'_>,
        zone: ZoneId,
    ) -> Result<(), ReplyFull> {
        let Some(zone) = self.signed_zone(zone) else {
            return Ok(());
        };
        let Some(wildcard) = self.expanded_as(current) else {
            let links = self.own_links(zone, current, current.name.as_wire());
            return self.put_links(zone, current, links);
        };
        let names = &self.context.catalog().names;
        let of_wildcard = zone.chain.find(names, names.name_of(wildcard));
        let [covering, encloser] = self.expansion_links(zone, current, wildcard);
        self.put_links(zone, current, [of_wildcard, covering, encloser])?;
        self.cover_compact(zone, current, wildcard)
    }

    /// Proves that a steered name has no data of the type asked for at present.
    pub(super) fn deny_steered_data(
        &mut self,
        current: &ChainName<'_>,
        node: &'m NameNode,
        service: ServiceId,
    ) -> Result<(), ReplyFull> {
        let catalog = self.context.catalog();
        let Some(zone) = self.signed_zone(node.zone) else {
            return Ok(());
        };
        let name = catalog.names.name_of(node);
        let Some(index) = zone.chain.find(&catalog.names, name) else {
            return Ok(());
        };
        let names_only = match catalog.services.get(service.0 as usize) {
            Some(service) => service.names_only,
            None => false,
        };
        let missing = if names_only {
            RecordType::CNAME
        } else {
            self.query.question.rtype
        };
        let record = zone.chain.record_without(index, missing);
        if let Some(record) = record.or_else(|| zone.chain.record(index)) {
            self.put_link(zone, current, record)?;
        }
        if let Some(wildcard) = self.expanded_as(current) {
            let links = self.expansion_links(zone, current, wildcard);
            let [covering, encloser] = links.map(|link| link.filter(|other| *other != index));
            self.put_links(zone, current, [covering, encloser, None])?;
            self.cover_compact(zone, current, wildcard)?;
        }
        Ok(())
    }

    /// The wildcard that stands for the current name, if one does. Its proof is then part of what
    /// the caller writes.
    fn expanded_as(&mut self, current: &ChainName<'_>) -> Option<&'m NameNode> {
        let expanded = self.expanded.filter(|expanded| expanded.at == current.at)?;
        self.expanded = None;
        Some(expanded.wildcard)
    }

    /// The records which prove that the current name does not exist, so that this wildcard stands
    /// for it: the one that covers it, and with NSEC3 that of the closest encloser (RFC 5155 section
    /// 7.2.5).
    fn expansion_links(
        &self,
        zone: &SignedZone,
        current: &ChainName<'_>,
        wildcard: &NameNode,
    ) -> [Option<usize>; 2] {
        let labels = usize::from(wildcard.labels).saturating_sub(1);
        if zone.chain.is_compact() {
            return [None, None];
        }
        let covering = self.covering(zone, current, labels);
        if !zone.chain.is_hashed() {
            return [covering, None];
        }
        let skip = current.name.label_count().saturating_sub(labels);
        let encloser = self.link_at(zone, current.name.suffix(skip));
        [covering, encloser]
    }

    /// The record which covers the current name, given how many labels its closest encloser has. With
    /// NSEC3 it is that of the next closer name (RFC 5155 section 1.3), which denies all below it.
    pub(super) fn covering(
        &self,
        zone: &SignedZone,
        current: &ChainName<'_>,
        encloser_labels: usize,
    ) -> Option<usize> {
        let name = current.name;
        if !zone.chain.is_hashed() {
            return self.link_at(zone, name.as_wire());
        }
        let below = name.label_count().saturating_sub(encloser_labels);
        self.link_at(zone, name.suffix(below.saturating_sub(1)))
    }

    /// Proves that the current name does not exist, nor a wildcard at its closest encloser.
    pub(super) fn deny_name(
        &mut self,
        current: &ChainName<'_>,
        encloser: &NameNode,
    ) -> Result<(), ReplyFull> {
        let Some(zone) = self.signed_zone(encloser.zone) else {
            return Ok(());
        };
        if zone.chain.is_compact() {
            return self.deny_compact(zone, current);
        }
        if zone.chain.is_hashed() {
            return self.deny_hashed_name(zone, current, usize::from(encloser.labels));
        }
        let names = &self.context.catalog().names;
        let covering = self.link_at(zone, current.name.as_wire());
        let mut wildcard = [0; MAX_NAME];
        let wildcard = match wildcard_of(names.name_of(encloser), &mut wildcard) {
            Some(wildcard) => zone.chain.find(names, wildcard),
            None => None,
        };
        self.put_links(zone, current, [covering, wildcard, None])
    }

    /// Proves that a zone cut has no DS record.
    pub(super) fn deny_signer(
        &mut self,
        current: &ChainName<'_>,
        cut: &NameNode,
    ) -> Result<(), ReplyFull> {
        let Some(zone) = self.signed_zone(cut.zone) else {
            return Ok(());
        };
        let name = self.context.catalog().names.name_of(cut);
        self.put_links(zone, current, self.own_links(zone, current, name))
    }

    /// The records which prove that a name of the zone has no data of a type. It is the current name,
    /// or one above it.
    fn own_links(&self, zone: &SignedZone, current: &ChainName<'_>, name: &[u8]) -> ProofLinks {
        if zone.chain.has_opt_out() {
            return self.own_or_left_out(zone, current, name);
        }
        [self.link_at(zone, name), None, None]
    }

    /// The link of a name, or the one that covers it.
    pub(super) fn link_at(&self, zone: &SignedZone, name: &[u8]) -> Option<usize> {
        zone.chain.find(&self.context.catalog().names, name)
    }

    /// Proves that the name which a wildcard has answered for does not exist, if there is one.
    #[inline]
    pub(super) fn prove_expansion(&mut self) -> Result<(), ReplyFull> {
        match self.expanded.take() {
            Some(expanded) => self.put_expansion(expanded),
            None => Ok(()),
        }
    }

    /// The answer states the wildcard's labels, which tell its closest encloser, so that needs no
    /// record (RFC 5155 section 7.2.6).
    #[cold]
    fn put_expansion(&mut self, expanded: ExpandedName<'_>) -> Result<(), ReplyFull> {
        let Some(zone) = self.signed_zone(expanded.wildcard.zone) else {
            return Ok(());
        };
        let Some(name) = self.name_at(expanded.at) else {
            return Ok(());
        };
        let current = ChainName {
            name: &name,
            at: expanded.at,
        };
        if zone.chain.is_compact() {
            return self.cover_compact(zone, &current, expanded.wildcard);
        }
        let labels = usize::from(expanded.wildcard.labels).saturating_sub(1);
        let link = self.covering(zone, &current, labels);
        self.put_links(zone, &current, [link, None, None])
    }

    /// Answers a question for the NSEC record of a name that has one.
    #[cold]
    pub(super) fn solve_nsec(
        &mut self,
        current: &ChainName<'_>,
        node: &NameNode,
    ) -> Result<bool, ReplyFull> {
        let catalog = self.context.catalog();
        let Some(zone) = catalog.signed.as_ref().and_then(|it| it.zone(node.zone)) else {
            return Ok(false);
        };
        if zone.chain.is_hashed() {
            // NSEC3 records have names of their own, which nobody can ask for (RFC 5155 section
            // 7.2.8).
            return Ok(false);
        }
        let name = catalog.names.name_of(node);
        let index = zone.chain.find(&catalog.names, name);
        let Some(record) = index.and_then(|index| zone.chain.record(index)) else {
            return Ok(false);
        };
        if catalog
            .names
            .node(record.owner)
            .map(|it| catalog.names.name_of(it))
            != Some(name)
        {
            // An empty non-terminal has no record of its own.
            return Ok(false);
        }
        self.put_record(Section::Answer, zone, &record, current.at)?;
        Ok(true)
    }

    pub(super) fn signed_zone(&self, zone: ZoneId) -> Option<&'m SignedZone> {
        self.signatures()?.zone(zone)
    }

    /// Writes the records of these names, each once.
    pub(super) fn put_links(
        &mut self,
        zone: &'m SignedZone,
        current: &ChainName<'_>,
        links: ProofLinks,
    ) -> Result<(), ReplyFull> {
        let [first, second, third] = links;
        let second = second.filter(|_| second != first);
        let third = third.filter(|_| third != first && third != second);
        for index in first.into_iter().chain(second).chain(third) {
            if let Some(record) = zone.chain.record(index) {
                self.put_link(zone, current, record)?;
            }
        }
        Ok(())
    }

    /// Writes one record of a chain. Its owner ends in the apex, which the current name ends in, too.
    fn put_link(
        &mut self,
        zone: &'m SignedZone,
        current: &ChainName<'_>,
        record: DenialRecord<'m>,
    ) -> Result<(), ReplyFull> {
        let RrsetOwner { at: apex, .. } = self.last_labels(current, zone.chain.apex_labels());
        if zone.chain.is_hashed() {
            return self.put_hashed(zone, record, apex);
        }
        let names = &self.context.catalog().names;
        let Some(owner) = names.node(record.owner).map(|node| names.name_of(node)) else {
            return Ok(());
        };
        if owner == current.name.as_wire() {
            return self.put_record(Section::Authority, zone, &record, current.at);
        }
        let Some(labels) = zone
            .chain
            .labels_above_apex(owner)
            .filter(|it| !it.is_empty())
        else {
            return self.put_record(Section::Authority, zone, &record, apex);
        };
        let mut made = None;
        let data = [self.next_of(zone, &record, &mut made), record.types];
        self.put_named(zone, &record, (labels, apex), &data)
    }

    /// Writes one NSEC3 record.
    fn put_hashed(
        &mut self,
        zone: &'m SignedZone,
        record: DenialRecord<'m>,
        apex: u16,
    ) -> Result<(), ReplyFull> {
        let label = hash_label(&zone.chain.hash(record.index));
        let next = zone.chain.hash(record.next);
        let data = &[
            &zone.chain.algorithm_and_flags(record.index)[..],
            zone.chain.parameters().shared(),
            &next,
            record.types,
        ];
        self.put_named(zone, &record, (&label, apex), data)
    }

    /// Writes one record whose owner consists of labels and a pointer.
    fn put_named(
        &mut self,
        zone: &'m SignedZone,
        record: &DenialRecord<'m>,
        owner: (&[u8], u16),
        data: &[&[u8]],
    ) -> Result<(), ReplyFull> {
        let at = self.reply.position();
        if at > POINTER_REACH {
            return Err(ReplyFull);
        }
        let (rtype, ttl) = (zone.chain.rtype(), zone.chain.ttl);
        self.reply
            .append_named(Section::Authority, owner, rtype, ttl, data)?;
        self.put_link_signatures(Section::Authority, zone, record, at as u16)
    }

    /// Writes one NSEC record whose owner is a pointer.
    fn put_record(
        &mut self,
        section: Section,
        zone: &'m SignedZone,
        record: &DenialRecord<'m>,
        owner: u16,
    ) -> Result<(), ReplyFull> {
        let mut made = None;
        let data = [self.next_of(zone, record, &mut made), record.types];
        let ttl = zone.chain.ttl;
        self.reply
            .append_record(section, owner, RecordType::NSEC, ttl, &data)?;
        self.put_link_signatures(section, zone, record, owner)
    }

    /// The name that an NSEC record leads to. `made` has room for one that is not in the zone.
    fn next_of<'r>(
        &self,
        zone: &'m SignedZone,
        record: &DenialRecord<'m>,
        made: &'r mut Option<NextName>,
    ) -> &'r [u8]
    where
        'm: 'r,
    {
        if zone.chain.is_compact() {
            *made = self.compact_next(zone, record);
            return made.as_ref().map_or(&[0], NextName::as_wire);
        }
        if let Some(next) = zone.chain.spelled_next(record) {
            return next;
        }
        let names = &self.context.catalog().names;
        let next = zone.chain.node(record.next);
        let next = next.and_then(|id| names.node(id));
        next.map_or(&[0], |node| names.name_of(node))
    }

    fn compact_next(&self, zone: &SignedZone, record: &DenialRecord<'m>) -> Option<NextName> {
        let names = &self.context.catalog().names;
        let node = names.node(record.owner)?;
        zone.chain.compact_next(node, names.name_of(node))
    }

    fn put_link_signatures(
        &mut self,
        section: Section,
        zone: &'m SignedZone,
        record: &DenialRecord<'m>,
        owner: u16,
    ) -> Result<(), ReplyFull> {
        // An NSEC record may be asked for without its signatures (RFC 4035 section 3.1).
        if !SIGNED {
            return Ok(());
        }
        let covered = CoveredRrset {
            section,
            rtype: zone.chain.rtype(),
            owner,
            ttl: zone.chain.ttl,
            original_ttl: zone.chain.ttl,
        };
        for signature in zone.chain.signatures(record) {
            self.put_signature(&covered, signature)?;
        }
        Ok(())
    }
}

/// A hash as the first label of an owner, with its length in front.
fn hash_label(hash: &[u8; NSEC3_HASH]) -> [u8; NSEC3_LABEL + 1] {
    let mut label = [NSEC3_LABEL as u8; NSEC3_LABEL + 1];
    if let Some((_, letters)) = label.split_first_mut() {
        letters.copy_from_slice(&nsec3_label(hash));
    }
    label
}

/// The wildcard right below a name; `None` if it would be too long.
pub(super) fn wildcard_of<'r>(name: &[u8], room: &'r mut [u8; MAX_NAME]) -> Option<&'r [u8]> {
    let whole = room.get_mut(..name.len().checked_add(2)?)?;
    let (star, rest) = whole.split_at_mut_checked(2)?;
    star.copy_from_slice(b"\x01*");
    rest.copy_from_slice(name);
    Some(whole)
}

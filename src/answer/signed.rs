//! Signatures and proofs of what does not exist, for queries that set DO (RFC 4035 section 3.1).
//!
//! An RRset is followed by its signatures. A negative answer, an answer from a wildcard and a referral
//! without DS carry the NSEC records that prove it. All of it was signed when the zone was loaded and
//! is copied from [`SignedZones`]; a zone that is not signed has nothing there.

use super::shorten::PointedRecord;
use super::solve::{ChainName, ExpandedName, QUESTION_NAME, RrsetOwner, Solver};
use crate::catalog::live_state::LiveView;
use crate::catalog::live_state::hands::{HandSignatures, SignedHand};
use crate::catalog::signed::{NsecRecord, SignatureRef, SignedZone, SignedZones};
use crate::catalog::{NameNode, ServiceId, WireRrset, ZoneId};
use crate::dns::name::MAX_NAME;
use crate::dns::reply::{POINTER_REACH, RECORD_HEADER, Section, TTL_AT, record_header};
use crate::dns::{RecordType, ReplyFull, WireReader};
use crate::steering::PickedEndpoints;

/// Where signatures go, and what they cover.
struct CoveredRrset {
    section: Section,
    rtype: RecordType,
    /// The position of its owner.
    owner: u16,
    /// As served, in seconds.
    ttl: u32,
    /// As signed, in seconds.
    original_ttl: u32,
}

/// A steered answer that was just written.
pub(super) struct SteeredHand {
    pub(super) picks: PickedEndpoints,
    /// The position of its first record.
    pub(super) at: usize,
    /// The position of its owner.
    pub(super) owner: u16,
    /// Seconds.
    pub(super) ttl: u32,
}

impl<'m, const SIGNED: bool> Solver<'m, '_, '_, '_, SIGNED> {
    /// Writes the signatures of a steered answer. A set that is not signed yet gives way to its first
    /// endpoint.
    pub(super) fn put_hand_signatures(
        &mut self,
        hand: &SteeredHand,
        view: &LiveView,
        signatures: &HandSignatures,
    ) -> Result<(), ReplyFull> {
        let Some((region, endpoint)) = hand.picks.iter().next() else {
            return Ok(());
        };
        if let Some(number) = view.hand_of(&hand.picks)
            && let Some(signed) = signatures.of(number)
        {
            return self.put_signed_hand(signed, hand.owner, hand.ttl);
        }
        self.keep_first_answer(hand.at)?;
        // Without its signature, it would be taken for forged.
        let alone = signatures.of_endpoint(region, endpoint).ok_or(ReplyFull)?;
        self.put_signed_hand(alone, hand.owner, hand.ttl)
    }

    /// Copies RRSIG records. Behind an alias, or with another TTL than was signed, it sets both.
    #[inline(always)]
    pub(super) fn put_signed_hand(
        &mut self,
        signed: SignedHand<'_>,
        owner: u16,
        ttl: u32,
    ) -> Result<(), ReplyFull> {
        let mut rest = self
            .reply
            .append(Section::Answer, signed.records, signed.count)?;
        if owner == QUESTION_NAME && ttl == signed.ttl {
            return Ok(());
        }
        while let Some((header, data)) = rest.split_first_chunk_mut::<RECORD_HEADER>() {
            let length = u16::from_be_bytes([header[10], header[11]]);
            *header = record_header(owner, RecordType::RRSIG, ttl, length);
            rest = data.get_mut(usize::from(length)..).unwrap_or_default();
        }
        Ok(())
    }

    /// Removes all records of a steered answer but the first.
    #[cold]
    fn keep_first_answer(&mut self, at: usize) -> Result<(), ReplyFull> {
        let mut reader = WireReader::at(self.reply.octets(), at).ok_or(ReplyFull)?;
        let mut first_end = None;
        let mut further = 0_u16;
        while PointedRecord::read(&mut reader).is_some() {
            match first_end {
                None => first_end = Some(reader.position()),
                Some(_) => further = further.saturating_add(1),
            }
        }
        let end = first_end.ok_or(ReplyFull)?;
        self.reply.take_back(end, Section::Answer, further);
        Ok(())
    }

    /// Writes the signatures of an RRset that was just written at `at`.
    #[cold]
    #[inline(never)]
    pub(super) fn put_signatures(
        &mut self,
        signed: &'m SignedZones,
        section: Section,
        number: u32,
        owner: u16,
        at: usize,
    ) -> Result<(), ReplyFull> {
        let records = &self.context.catalog().records;
        let Some(rrset) = records.get(number) else {
            return Ok(());
        };
        let covered = CoveredRrset {
            section,
            rtype: rrset.rtype,
            owner,
            ttl: ttl_at(self.reply.octets(), at),
            original_ttl: ttl_at(records.octets(rrset), 0),
        };
        for signature in signed.of_rrset(number) {
            self.put_signature(&covered, signature)?;
        }
        Ok(())
    }

    fn put_signature(
        &mut self,
        covered: &CoveredRrset,
        signature: SignatureRef<'_>,
    ) -> Result<(), ReplyFull> {
        let head = signature.head(covered.rtype, covered.original_ttl);
        self.reply.append_record(
            covered.section,
            covered.owner,
            RecordType::RRSIG,
            covered.ttl,
            &[&head, &signature.terms.tail, signature.octets],
        )
    }

    /// Writes the signatures of the SOA of a negative answer that was just written at `at`.
    #[cold]
    #[inline(never)]
    pub(super) fn put_soa_signatures(
        &mut self,
        signed: &'m SignedZones,
        zone: ZoneId,
        owner: u16,
        at: usize,
    ) -> Result<(), ReplyFull> {
        match signed.zone(zone) {
            Some(zone) => self.put_signatures(signed, Section::Authority, zone.soa, owner, at),
            None => Ok(()),
        }
    }

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
        let names = &self.context.catalog().names;
        let own = zone.chain.find(names, current.name.as_wire());
        let of_wildcard = match self.expanded_as(current) {
            Some(wildcard) => zone.chain.find(names, names.name_of(wildcard)),
            None => None,
        };
        self.put_links(zone, current, [of_wildcard, own])
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
            self.put_nsec(zone, current, record)?;
        }
        if self.expanded_as(current).is_some() {
            let covering = zone.chain.find(&catalog.names, current.name.as_wire());
            let covering = covering.filter(|other| *other != index);
            self.put_links(zone, current, [covering, None])?;
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

    /// Proves that the current name does not exist, nor a wildcard at its closest encloser.
    pub(super) fn deny_name(
        &mut self,
        current: &ChainName<'_>,
        encloser: &NameNode,
    ) -> Result<(), ReplyFull> {
        let Some(zone) = self.signed_zone(encloser.zone) else {
            return Ok(());
        };
        let names = &self.context.catalog().names;
        let covering = zone.chain.find(names, current.name.as_wire());
        let encloser = names.name_of(encloser);
        let mut wildcard = [0; MAX_NAME];
        let wildcard = match wildcard_of(encloser, &mut wildcard) {
            Some(wildcard) => zone.chain.find(names, wildcard),
            None => None,
        };
        self.put_links(zone, current, [covering, wildcard])
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
        let link = self.link_at(zone, name);
        self.put_links(zone, current, [link, None])
    }

    /// The link of a name, or the one that covers it.
    fn link_at(&self, zone: &SignedZone, name: &[u8]) -> Option<usize> {
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

    #[cold]
    fn put_expansion(&mut self, expanded: ExpandedName<'_>) -> Result<(), ReplyFull> {
        let Some(zone) = self.signed_zone(expanded.wildcard.zone) else {
            return Ok(());
        };
        let Some(name) = self.name_at(expanded.at) else {
            return Ok(());
        };
        let link = self.link_at(zone, name.as_wire());
        let current = ChainName {
            name: &name,
            at: expanded.at,
        };
        self.put_links(zone, &current, [link, None])
    }

    /// Answers a question for the signatures of a name. Those of steered answers are left out: they
    /// come with the answers.
    #[cold]
    pub(super) fn solve_rrsig(
        &mut self,
        current: &ChainName<'_>,
        rrsets: &'m [WireRrset],
    ) -> Result<bool, ReplyFull> {
        let catalog = self.context.catalog();
        let Some(signed) = &catalog.signed else {
            return Ok(false);
        };
        let mut is_any = false;
        for rrset in rrsets {
            let ttl = ttl_at(catalog.records.octets(rrset), 0);
            let covered = CoveredRrset {
                section: Section::Answer,
                rtype: rrset.rtype,
                owner: current.at,
                ttl,
                original_ttl: ttl,
            };
            for signature in signed.of_rrset(rrset.number) {
                self.put_signature(&covered, signature)?;
                is_any = true;
            }
        }
        Ok(is_any)
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

    fn signed_zone(&self, zone: ZoneId) -> Option<&'m SignedZone> {
        self.signatures()?.zone(zone)
    }

    /// Writes the NSEC records of these names, each once.
    fn put_links(
        &mut self,
        zone: &'m SignedZone,
        current: &ChainName<'_>,
        links: [Option<usize>; 2],
    ) -> Result<(), ReplyFull> {
        let [first, second] = links;
        let second = second.filter(|_| second != first);
        for index in first.into_iter().chain(second) {
            if let Some(record) = zone.chain.record(index) {
                self.put_nsec(zone, current, record)?;
            }
        }
        Ok(())
    }

    /// Writes one NSEC record. Its owner ends in the apex, which the current name ends in, too.
    fn put_nsec(
        &mut self,
        zone: &'m SignedZone,
        current: &ChainName<'_>,
        record: NsecRecord<'m>,
    ) -> Result<(), ReplyFull> {
        let names = &self.context.catalog().names;
        let Some(owner) = names.node(record.owner).map(|node| names.name_of(node)) else {
            return Ok(());
        };
        if owner == current.name.as_wire() {
            return self.put_record(Section::Authority, zone, &record, current.at);
        }
        let RrsetOwner { at: apex, .. } = self.last_labels(current, zone.chain.apex_labels());
        let Some(labels) = zone
            .chain
            .labels_above_apex(owner)
            .filter(|it| !it.is_empty())
        else {
            return self.put_record(Section::Authority, zone, &record, apex);
        };
        let at = self.reply.position();
        if at > POINTER_REACH {
            return Err(ReplyFull);
        }
        self.reply.append_named(
            Section::Authority,
            (labels, apex),
            RecordType::NSEC,
            zone.chain.ttl,
            &self.nsec_data(zone, &record),
        )?;
        self.put_nsec_signatures(Section::Authority, zone, &record, at as u16)
    }

    fn put_record(
        &mut self,
        section: Section,
        zone: &'m SignedZone,
        record: &NsecRecord<'m>,
        owner: u16,
    ) -> Result<(), ReplyFull> {
        let data = self.nsec_data(zone, record);
        let ttl = zone.chain.ttl;
        self.reply
            .append_record(section, owner, RecordType::NSEC, ttl, &data)?;
        self.put_nsec_signatures(section, zone, record, owner)
    }

    /// The next name, then the types (RFC 4034 section 4.1).
    fn nsec_data(&self, zone: &'m SignedZone, record: &NsecRecord<'m>) -> [&'m [u8]; 2] {
        if let Some(next) = zone.chain.spelled_next(record) {
            return [next, record.types];
        }
        let names = &self.context.catalog().names;
        let next = names.node(record.next).map(|node| names.name_of(node));
        [next.unwrap_or(&[0]), record.types]
    }

    fn put_nsec_signatures(
        &mut self,
        section: Section,
        zone: &'m SignedZone,
        record: &NsecRecord<'m>,
        owner: u16,
    ) -> Result<(), ReplyFull> {
        // An NSEC record may be asked for without its signatures (RFC 4035 section 3.1).
        if !SIGNED {
            return Ok(());
        }
        let covered = CoveredRrset {
            section,
            rtype: RecordType::NSEC,
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

/// The TTL of the record at a position, whose owner is a pointer; 0 if there is none.
fn ttl_at(octets: &[u8], position: usize) -> u32 {
    let record = octets.get(position..).unwrap_or_default();
    let header = record.get(..RECORD_HEADER).unwrap_or_default();
    match header
        .get(TTL_AT..)
        .and_then(|rest| rest.first_chunk::<4>())
    {
        Some(ttl) => u32::from_be_bytes(*ttl),
        None => 0,
    }
}

/// The wildcard right below a name; `None` if it would be too long.
fn wildcard_of<'r>(name: &[u8], room: &'r mut [u8; MAX_NAME]) -> Option<&'r [u8]> {
    let whole = room.get_mut(..name.len().checked_add(2)?)?;
    let (star, rest) = whole.split_at_mut_checked(2)?;
    star.copy_from_slice(b"\x01*");
    rest.copy_from_slice(name);
    Some(whole)
}

//! Signatures, for queries that set DO (RFC 4035 section 3.1).
//!
//! An RRset is followed by its signatures. All of them were made when the zone was loaded, or when
//! health changed, and are copied from [`SignedZones`] and the live state; a zone that is not signed
//! has nothing there. Proofs of what does not exist are in `denial`.

use super::shorten::PointedRecord;
use super::solve::{ChainName, QUESTION_NAME, Solver};
use crate::catalog::live_state::hands::{SignedHand, ViewSignatures};
use crate::catalog::signed::{SignatureRef, SignedZones};
use crate::catalog::{WireRrset, ZoneId};
use crate::dns::reply::{RECORD_HEADER, Section, TTL_AT, record_header};
use crate::dns::{RecordType, ReplyFull, WireReader};
use crate::steering::PickedEndpoints;

/// Where signatures go, and what they cover.
pub(super) struct CoveredRrset {
    pub(super) section: Section,
    pub(super) rtype: RecordType,
    /// The position of its owner.
    pub(super) owner: u16,
    /// As served, in seconds.
    pub(super) ttl: u32,
    /// As signed, in seconds.
    pub(super) original_ttl: u32,
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
        signatures: &ViewSignatures,
    ) -> Result<(), ReplyFull> {
        let Some((region, endpoint)) = hand.picks.iter().next() else {
            return Ok(());
        };
        if let Some(number) = hand.picks.dealt()
            && let Some(signed) = signatures.of_hand(number)
        {
            return self.put_signed_hand(signed.signatures(), hand.owner, hand.ttl);
        }
        if hand.picks.len() > 1 {
            self.keep_first_answer(hand.at)?;
        }
        // Without its signature, it would be taken for forged.
        let alone = signatures.of_endpoint(region, endpoint).ok_or(ReplyFull)?;
        self.put_signed_hand(alone.signatures(), hand.owner, hand.ttl)
    }

    /// Copies records. Behind an alias, or with another TTL than was signed, it sets both.
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
            let [_, _, t1, t0, .., l1, l0] = *header;
            let rtype = RecordType(u16::from_be_bytes([t1, t0]));
            let length = u16::from_be_bytes([l1, l0]);
            *header = record_header(owner, rtype, ttl, length);
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

    pub(super) fn put_signature(
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

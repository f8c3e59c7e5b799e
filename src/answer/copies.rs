//! Copies compiled RRsets into a reply and sets their compression pointers.
//!
//! An RRset is compiled to wire form with the sites of its pointers
//! ([`crate::catalog::compression`]). Each pointer leads to an end of the owner's name or into the
//! RRset itself, so a copy needs only the positions of both in the reply. An RRset that may share
//! more with other names of the reply is written by [`super::shorten`].

use super::pointers::{NameEnd, last_labels, pointer_to, set_pointer, skip_labels};
use super::shorten::can_be_shortened;
use super::solve::{ChainName, QUESTION_NAME, RrsetOwner, Solver};
use crate::catalog::WireRrset;
use crate::catalog::compression::{CompressedData, PointerSite, PointerTarget, compressible};
use crate::dns::name::MAX_NAME;
use crate::dns::reply::{RECORD_HEADER, Section};
use crate::dns::{RecordType, ReplyFull};

/// Where an RRset is in the reply.
#[derive(Clone, Copy)]
pub(super) struct RrsetPosition {
    /// The position of its first record.
    pub(super) at: usize,
    /// Its names are shorter than compiled, so its later records are at other distances from the
    /// first.
    pub(super) is_shortened: bool,
}

impl RrsetPosition {
    /// The position of the first record's data.
    #[inline]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
    pub(super) fn data(&self) -> usize {
        self.at + RECORD_HEADER
    }
}

impl<'m, const SIGNED: bool> Solver<'m, '_, '_, '_, SIGNED> {
    /// Writes an RRset of the current name.
    #[inline(always)]
    pub(super) fn put(
        &mut self,
        section: Section,
        rrset: &'m WireRrset,
        current: &ChainName<'_>,
    ) -> Result<RrsetPosition, ReplyFull> {
        self.put_above(section, rrset, current, current.owner())
    }

    /// Writes an RRset whose owner is an end of the current name, and its signatures.
    #[inline(always)]
    pub(super) fn put_above(
        &mut self,
        section: Section,
        rrset: &'m WireRrset,
        current: &ChainName<'_>,
        owner: RrsetOwner,
    ) -> Result<RrsetPosition, ReplyFull> {
        let written = self.put_unsigned(section, rrset, current, owner)?;
        if let Some(signed) = self.signatures() {
            self.put_signatures(signed, section, rrset.number, owner.at, written.at)?;
        }
        Ok(written)
    }

    /// Writes an RRset whose owner is an end of the current name.
    #[inline(always)]
    pub(super) fn put_unsigned(
        &mut self,
        section: Section,
        rrset: &'m WireRrset,
        current: &ChainName<'_>,
        owner: RrsetOwner,
    ) -> Result<RrsetPosition, ReplyFull> {
        if current.at != QUESTION_NAME {
            return self.put_shortest(section, rrset, current, owner);
        }
        let at = self.reply.position();
        self.put_records(section, rrset, owner.at)?;
        let pointers = self.context.catalog().records.pointers(rrset);
        if !pointers.is_empty() && self.set_pointers(pointers, current, owner, at) {
            self.reply.take_back(at, section, rrset.count);
            return self.put_shortest(section, rrset, current, owner);
        }
        Ok(RrsetPosition {
            at,
            is_shortened: false,
        })
    }

    /// Writes an RRset whose names may share more with an alias or the question than with their
    /// owner.
    #[cold]
    #[inline(never)]
    fn put_shortest(
        &mut self,
        section: Section,
        rrset: &'m WireRrset,
        current: &ChainName<'_>,
        owner: RrsetOwner,
    ) -> Result<RrsetPosition, ReplyFull> {
        let at = self.reply.position();
        if can_be_shortened(rrset) {
            self.put_shortened(section, rrset, current, owner)?;
            return Ok(RrsetPosition {
                at,
                is_shortened: true,
            });
        }
        self.put_records(section, rrset, owner.at)?;
        self.set_pointers(
            self.context.catalog().records.pointers(rrset),
            current,
            owner,
            at,
        );
        Ok(RrsetPosition {
            at,
            is_shortened: false,
        })
    }

    /// Appends one record of a steered name to the answer section; the name is at `owner`.
    #[cold]
    pub(super) fn put_compressed(
        &mut self,
        owner: u16,
        rtype: RecordType,
        ttl: u32,
        data: &CompressedData,
    ) -> Result<(), ReplyFull> {
        let target = data
            .end
            .map(|end| last_labels(self.reply.octets(), owner, usize::from(end.labels)));
        // Behind an alias or another record, the reply has more names than the owner's.
        if self.reply.position() != self.question_end() || self.repeats_label(data, target) {
            let (fixed_size, names) = compressible(rtype);
            if names == 0 {
                return self.reply.append_record(
                    Section::Answer,
                    owner,
                    rtype,
                    ttl,
                    &[&data.octets],
                );
            }
            let (fixed, labels) = data.octets.split_at_checked(fixed_size).unwrap_or_default();
            // A name without a pointer ends with the root label, which is written with the end.
            let labels = match (target, labels.split_last()) {
                (None, Some((_root, labels))) => labels,
                _ => labels,
            };
            let mut room = [0; MAX_NAME];
            let name = self
                .whole_name(labels, target, &mut room)
                .ok_or(ReplyFull)?;
            return self.put_with_name(owner, rtype, ttl, fixed, name);
        }
        let pointer = target.map(pointer_to);
        let pointer = pointer.as_ref().map_or(&[][..], |octets| octets);
        self.reply
            .append_record(Section::Answer, owner, rtype, ttl, &[&data.octets, pointer])
    }

    /// Whether the question and the data have the same label in front of `target`.
    fn repeats_label(&self, data: &CompressedData, target: Option<u16>) -> bool {
        match (data.end, target) {
            (Some(end), Some(target)) if end.in_front > 0 => is_same_label(
                self.reply.octets(),
                target,
                &data.octets,
                data.octets.len(),
                end.in_front,
            ),
            _ => false,
        }
    }

    /// Sets the pointers in the data of the RRset that was just written at `at` for `owner`.
    /// Returns whether one of its names may share more with the question than with the owner.
    #[inline(always)]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
    fn set_pointers(
        &mut self,
        pointers: &[PointerSite],
        current: &ChainName<'_>,
        owner: RrsetOwner,
        at: usize,
    ) -> bool {
        let mut may_share_more = false;
        let octets = self.reply.octets_mut();
        let labels = current.name.label_count();
        // Most pointers of an RRset lead to its owner or to the same end of it, so the last end is
        // remembered.
        let mut found = owner;
        for pointer in pointers {
            let pointer_at = at + usize::from(pointer.at);
            let target = match pointer.target() {
                PointerTarget::Within(offset) => at as u16 + offset,
                PointerTarget::OwnersEnd(end) => {
                    if usize::from(end.labels) != found.labels {
                        let end_labels = usize::from(end.labels);
                        let skip = labels.saturating_sub(end_labels);
                        let NameEnd { at, in_front } = skip_labels(octets, current.at, skip);
                        found = RrsetOwner {
                            labels: end_labels,
                            at,
                            in_front,
                        };
                    }
                    if end.in_front == found.in_front {
                        may_share_more |=
                            is_same_label(octets, found.at, octets, pointer_at, end.in_front);
                    }
                    found.at
                }
            };
            set_pointer(octets, pointer_at, target);
        }
        may_share_more
    }

    /// Copies an RRset that has no names in its data.
    #[inline]
    pub(super) fn put_plain(
        &mut self,
        section: Section,
        rrset: &'m WireRrset,
        owner: u16,
    ) -> Result<(), ReplyFull> {
        self.put_records(section, rrset, owner).map(|_| ())
    }

    /// Copies an RRset and sets the owner of each record.
    #[inline]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
    fn put_records(
        &mut self,
        section: Section,
        rrset: &'m WireRrset,
        owner: u16,
    ) -> Result<&mut [u8], ReplyFull> {
        let octets = self.context.catalog().records.octets(rrset);
        let written = self.reply.append(section, octets, rrset.count)?;
        let mut at = 0;
        for _ in 0..rrset.count {
            set_pointer(written, at, owner);
            let length = written
                .get(at + 10..at + 12)
                .and_then(|length| length.first_chunk::<2>());
            at += 12 + length.map_or(0, |&length| usize::from(u16::from_be_bytes(length)));
        }
        Ok(written)
    }
}

/// Whether the label of so many octets in front of `place` is also the one in front of `end` in
/// `data`.
#[cold]
fn is_same_label(question: &[u8], place: u16, data: &[u8], end: usize, octets: u8) -> bool {
    let place = usize::from(place);
    let start = place.saturating_sub(usize::from(octets));
    let wanted = question.get(start..place);
    let given = data.get(end.saturating_sub(usize::from(octets))..end);
    match (wanted, given) {
        (Some(wanted), Some(given)) => wanted.eq_ignore_ascii_case(given),
        _ => false,
    }
}

//! RRsets copied into a reply, and the compression pointers in them set.
//!
//! An RRset stands ready in wire form; where its pointers lead is known but for where it comes to stand and how the name
//! that it is given for begins ([`super::world::compression`]).

use super::pointers::{last_labels, name_end, pointer_to, set_pointer};
use super::solve::{Current, Owner, Solver};
use super::world::Prepared;
use super::world::compression::{CompressedData, Pointer, PointerTarget};
use crate::dns::reply::Section;
use crate::dns::{Full, RecordType};

impl<'m> Solver<'m, '_, '_, '_> {
    /// Copies an RRset of the current name and sets its pointers; returns where it stands.
    #[inline]
    pub(super) fn put(&mut self, section: Section, rrset: &'m Prepared, current: &Current<'_>) -> Result<usize, Full> {
        let at = self.reply.position();
        self.put_records(section, rrset, current.at)?;
        let pointers = self.moment.world().records.pointers(rrset);
        if !pointers.is_empty() {
            self.set_pointers(pointers, current, current.owner(), at);
        }
        Ok(at)
    }

    /// The same of a name that the current one ends with.
    #[inline]
    pub(super) fn put_above(
        &mut self,
        section: Section,
        rrset: &'m Prepared,
        current: &Current<'_>,
        owner: Owner,
    ) -> Result<usize, Full> {
        let at = self.reply.position();
        self.put_records(section, rrset, owner.at)?;
        let pointers = self.moment.world().records.pointers(rrset);
        if !pointers.is_empty() {
            self.set_pointers(pointers, current, owner, at);
        }
        Ok(at)
    }

    /// Appends one record of a steered name, which stands at `owner`, to the answer section.
    #[cold]
    pub(super) fn put_compressed(
        &mut self,
        owner: u16,
        rtype: RecordType,
        ttl: u32,
        data: &CompressedData,
    ) -> Result<(), Full> {
        let end = data.last_labels.map(|labels| last_labels(self.reply.octets(), owner, usize::from(labels)));
        let end = end.map(pointer_to);
        let end = end.as_ref().map_or(&[][..], |end| end);
        self.reply.append_record(Section::Answer, owner, rtype, ttl, &[&data.octets, end])
    }

    /// Sets the pointers in the data of the RRset that was just written at `at` for `owner`.
    #[expect(clippy::arithmetic_side_effects, reason = "positions inside a message, which has at most 65,535 octets")]
    fn set_pointers(&mut self, pointers: &[Pointer], current: &Current<'_>, owner: Owner, at: usize) {
        let labels = current.name.label_count();
        // Most pointers of an RRset lead to its owner, or to the same end of it, which is found once.
        let (mut found, mut place) = (owner.labels, owner.at);
        for pointer in pointers {
            let target = match pointer.target() {
                PointerTarget::Within(offset) => at as u16 + offset,
                PointerTarget::LastLabels(last) => {
                    if usize::from(last) != found {
                        found = usize::from(last);
                        place = name_end(self.reply.octets(), current.at, labels.saturating_sub(found));
                    }
                    place
                }
            };
            set_pointer(self.reply.octets_mut(), at + usize::from(pointer.at), target);
        }
    }

    /// Copies an RRset without names in its data.
    #[inline]
    pub(super) fn put_plain(&mut self, section: Section, rrset: &'m Prepared, owner: u16) -> Result<(), Full> {
        self.put_records(section, rrset, owner).map(|_| ())
    }

    #[inline]
    #[expect(clippy::arithmetic_side_effects, reason = "positions inside a message, which has at most 65,535 octets")]
    fn put_records(&mut self, section: Section, rrset: &'m Prepared, owner: u16) -> Result<&mut [u8], Full> {
        let octets = self.moment.world().records.octets(rrset);
        let written = self.reply.append(section, octets, rrset.count)?;
        let mut at = 0;
        for _ in 0..rrset.count {
            set_pointer(written, at, owner);
            let length = written.get(at + 10..at + 12).and_then(|length| length.first_chunk::<2>());
            at += 12 + length.map_or(0, |&length| usize::from(u16::from_be_bytes(length)));
        }
        Ok(written)
    }
}

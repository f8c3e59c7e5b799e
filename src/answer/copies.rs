//! RRsets copied into a reply, and the compression pointers in them set.
//!
//! An RRset stands ready in wire form; where its pointers lead is known but for where it comes to stand and how the name
//! that it is given for begins ([`super::world::compression`]).

use super::pointers::{name_end, set_pointer};
use super::solve::{Current, Solver};
use super::world::Prepared;
use super::world::compression::{Pointer, PointerTarget};
use crate::dns::Full;
use crate::dns::reply::Section;

impl<'m> Solver<'m, '_, '_, '_> {
    /// Copies an RRset and sets its pointers; returns where it stands.
    #[inline]
    pub(super) fn put(
        &mut self,
        section: Section,
        rrset: &'m Prepared,
        current: &Current<'_>,
        owner: u16,
    ) -> Result<usize, Full> {
        let at = self.reply.position();
        self.put_records(section, rrset, owner)?;
        let pointers = self.moment.world().records.pointers(rrset);
        if !pointers.is_empty() {
            self.set_pointers(pointers, current, at);
        }
        Ok(at)
    }

    /// Sets the pointers in the data of the RRset that was just written at `at`, for the current name.
    #[expect(clippy::arithmetic_side_effects, reason = "positions inside a message, which has at most 65,535 octets")]
    fn set_pointers(&mut self, pointers: &[Pointer], current: &Current<'_>, at: usize) {
        let labels = current.name.label_count();
        // Most pointers of an RRset lead to the same end of the name: it is found once.
        let (mut found, mut place) = (u16::MAX, 0);
        for pointer in pointers {
            let target = match pointer.target() {
                PointerTarget::Within(offset) => at as u16 + offset,
                PointerTarget::LastLabels(last) => {
                    if last != found {
                        let skip = labels.saturating_sub(usize::from(last));
                        (found, place) = (last, name_end(self.reply.octets(), current.at, skip));
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

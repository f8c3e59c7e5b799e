//! Writes an RRset name by name, each name as short as compression allows (RFC 1035 section 4.1.4).
//!
//! Zones are compiled with the pointers that a name shares with its owner and with earlier names of
//! its RRset ([`crate::catalog::compression`]). Two things are known only when a reply is written:
//! what the question has in front of the owner, and which aliases the reply already has. If a name
//! may share more with one of them, the RRset is written here.
//!
//! That costs more than a copy. It happens behind an alias, and where the question repeats a label
//! of the data in front of the owner, as when a query to a parent zone is for the address of a name
//! server.

use super::pointers::{expand, pointer_to, set_pointer, skip_labels};
use super::solve::{ChainName, QUESTION_NAME, RrsetOwner, Solver};
use crate::catalog::WireRrset;
use crate::catalog::compression::{PointerTarget, compressible};
use crate::dns::name::MAX_NAME;
use crate::dns::reply::{POINTER_REACH, RECORD_HEADER, Section};
use crate::dns::{RecordType, ReplyFull, SearchName, WireReader};

/// Most names of an RRset that is written name by name; one with more is copied as compiled.
const MAX_NAMES: usize = 32;
/// Most earlier names of the reply that are compared.
const MAX_NAMES_BEFORE: usize = 32;

/// A list of at most `N` items without allocation; further items are ignored.
struct ShortList<T, const N: usize> {
    items: [T; N],
    count: usize,
}

impl<T: Copy + Default, const N: usize> ShortList<T, N> {
    fn new() -> Self {
        ShortList {
            items: [T::default(); N],
            count: 0,
        }
    }

    fn push(&mut self, item: T) {
        if let Some(free) = self.items.get_mut(self.count) {
            *free = item;
            self.count = self.count.saturating_add(1);
        }
    }

    fn items(&self) -> &[T] {
        self.items.get(..self.count).unwrap_or_default()
    }
}

/// Positions of the names in the reply before an RRset.
type NamesBefore = ShortList<u16, MAX_NAMES_BEFORE>;
/// The names of an RRset that were written so far.
type MovedNames = ShortList<MovedName, MAX_NAMES>;

/// Where a name of an RRset was compiled and where it was written.
#[derive(Clone, Copy, Default)]
struct MovedName {
    /// Its position from the start of the compiled RRset.
    compiled: usize,
    /// Its position in the reply.
    at: u16,
}

/// Labels at the end of a name that the reply already has.
#[derive(Clone, Copy, Default)]
struct SharedEnd {
    labels: usize,
    /// The position of these labels in the reply.
    at: u16,
}

/// A record in wire form whose owner is a pointer.
pub(super) struct PointedRecord<'m> {
    /// The position of the record.
    pub(super) position: usize,
    pub(super) header: &'m [u8; RECORD_HEADER],
    pub(super) data: WireReader<'m>,
}

impl<'m> PointedRecord<'m> {
    /// Reads the next record.
    pub(super) fn read(reader: &mut WireReader<'m>) -> Option<PointedRecord<'m>> {
        let position = reader.position();
        let header = reader.chunk::<RECORD_HEADER>()?;
        let &length = header.last_chunk::<2>()?;
        let data = reader.part(usize::from(u16::from_be_bytes(length)))?;
        Some(PointedRecord {
            position,
            header,
            data,
        })
    }

    pub(super) fn rtype(&self) -> RecordType {
        let [_, _, high, low, ..] = *self.header;
        RecordType(u16::from_be_bytes([high, low]))
    }
}

/// A name as it is written: some labels, then a pointer or the root.
struct ShortName<'w> {
    labels: &'w [u8],
    pointer: Option<[u8; 2]>,
}

impl ShortName<'_> {
    /// The pointer, or the root label.
    fn end(&self) -> &[u8] {
        self.pointer.as_ref().map_or(&[0], |pointer| pointer)
    }
}

/// Whether an RRset has names, and few enough to be written one by one.
#[inline]
pub(super) fn can_be_shortened(rrset: &WireRrset) -> bool {
    let (_, names) = compressible(rrset.rtype);
    (1..=MAX_NAMES).contains(&names.saturating_mul(usize::from(rrset.count)))
}

impl<'m, const SIGNED: bool> Solver<'m, '_, '_, '_, SIGNED> {
    /// Writes an RRset with names as short as possible, or nothing if it does not fit.
    #[cold]
    #[inline(never)]
    pub(super) fn put_shortened(
        &mut self,
        section: Section,
        rrset: &'m WireRrset,
        current: &ChainName<'_>,
        owner: RrsetOwner,
    ) -> Result<(), ReplyFull> {
        let start = self.reply.position();
        let written = self.write_records(section, rrset, current, owner);
        match written {
            Ok(()) => self.reply.append(section, &[], rrset.count).map(|_| ()),
            Err(ReplyFull) => {
                self.reply.take_back(start, section, 0);
                Err(ReplyFull)
            }
        }
    }

    fn write_records(
        &mut self,
        section: Section,
        rrset: &'m WireRrset,
        current: &ChainName<'_>,
        owner: RrsetOwner,
    ) -> Result<(), ReplyFull> {
        let records = &self.context.catalog().records;
        let octets = records.octets(rrset);
        let mut pointers = records.pointers(rrset).iter().peekable();
        let (fixed, names) = compressible(rrset.rtype);
        let before = self.names_before();
        let mut moved = MovedNames::new();
        let mut compiled = WireReader::at(octets, 0).ok_or(ReplyFull)?;
        for _ in 0..rrset.count {
            let mut record = PointedRecord::read(&mut compiled).ok_or(ReplyFull)?;
            let fixed_data = record.data.take(fixed).ok_or(ReplyFull)?;
            let start = self.reply.position();
            self.reply.append(section, record.header, 0)?;
            set_pointer(self.reply.octets_mut(), start, owner.at);
            self.reply.append(section, fixed_data, 0)?;
            for _ in 0..names {
                moved.push(MovedName {
                    compiled: record.data.position(),
                    at: self.reply.position().min(POINTER_REACH) as u16,
                });
                let labels = record.data.labels();
                let labels_end = record.data.position();
                let pointer = pointers.next_if(|pointer| usize::from(pointer.at) == labels_end);
                let end_size = if pointer.is_some() { 2 } else { 1 };
                record.data.take(end_size).ok_or(ReplyFull)?;
                let target = pointer.map(|pointer| {
                    self.target_place(pointer.target(), octets, &moved, current, owner)
                });
                let mut room = [0; MAX_NAME];
                let name = self
                    .whole_name(labels, target, &mut room)
                    .ok_or(ReplyFull)?;
                let known = SharedEnd {
                    labels: count_labels(name).saturating_sub(count_labels(labels)),
                    at: target.unwrap_or(0),
                };
                let short = self.shortest(name, known, &before);
                self.reply.append(section, short.labels, 0)?;
                self.reply.append(section, short.end(), 0)?;
            }
            self.reply.append(section, record.data.rest(), 0)?;
            self.set_data_length(start);
        }
        Ok(())
    }

    /// The position in the reply of data that is at `compiled` of an RRset, whose records may have
    /// become shorter.
    #[cold]
    pub(super) fn place_of_moved(
        &self,
        rrset: &WireRrset,
        rrset_at: usize,
        compiled: usize,
    ) -> Option<usize> {
        let mut original = WireReader::at(self.context.catalog().records.octets(rrset), 0)?;
        let mut written = WireReader::at(self.reply.octets(), rrset_at)?;
        for _ in 0..rrset.count {
            let (start, written_start) = (original.position(), written.position());
            PointedRecord::read(&mut original)?;
            if compiled < original.position() {
                // Names that have additional records are the first ones of their record, so only
                // earlier records count.
                return written_start.checked_add(compiled.checked_sub(start)?);
            }
            PointedRecord::read(&mut written)?;
        }
        None
    }

    /// The position in the reply that a pointer of an RRset leads to.
    fn target_place(
        &self,
        target: PointerTarget,
        octets: &[u8],
        moved: &MovedNames,
        current: &ChainName<'_>,
        owner: RrsetOwner,
    ) -> u16 {
        match target {
            PointerTarget::OwnersEnd(end) => {
                let skip = current
                    .name
                    .label_count()
                    .saturating_sub(owner.labels.min(usize::from(end.labels)));
                skip_labels(self.reply.octets(), current.at, skip).at
            }
            PointerTarget::Within(offset) => {
                let offset = usize::from(offset);
                let mut name = MovedName {
                    compiled: offset,
                    at: owner.at,
                };
                for earlier in moved.items() {
                    if earlier.compiled <= offset {
                        name = *earlier;
                    }
                }
                let skip = count_labels(octets.get(name.compiled..offset).unwrap_or(&[]));
                skip_labels(self.reply.octets(), name.at, skip).at
            }
        }
    }

    /// A name, without its root label, from its first labels and the position of the others.
    pub(super) fn whole_name<'w>(
        &self,
        labels: &[u8],
        rest: Option<u16>,
        room: &'w mut [u8; MAX_NAME],
    ) -> Option<&'w [u8]> {
        room.get_mut(..labels.len())?.copy_from_slice(labels);
        let mut end = labels.len();
        if let Some(place) = rest {
            let length = expand(
                self.reply.octets(),
                usize::from(place),
                room.get_mut(end..)?,
            )?;
            end = end.saturating_add(length).saturating_sub(1);
        }
        room.get(..end)
    }

    /// The shortest form of a name that is given without its root label. `known` is an end of it
    /// that the reply has.
    fn shortest<'w>(
        &self,
        name: &'w [u8],
        known: SharedEnd,
        before: &NamesBefore,
    ) -> ShortName<'w> {
        let mut best = known;
        for &candidate in before.items() {
            let Some(other) = self.name_at(candidate) else {
                continue;
            };
            let shared = shared_labels(name, &other);
            if shared > best.labels {
                let skip = other.label_count().saturating_sub(shared);
                best = SharedEnd {
                    labels: shared,
                    at: skip_labels(self.reply.octets(), candidate, skip).at,
                };
            }
        }
        if best.labels == 0 {
            return ShortName {
                labels: name,
                pointer: None,
            };
        }
        let kept = name
            .len()
            .saturating_sub(last_octets(name, best.labels).len());
        ShortName {
            labels: name.get(..kept).unwrap_or(name),
            pointer: Some(pointer_to(best.at)),
        }
    }

    /// Appends a record to the answer section whose data is some octets and a name, which is
    /// written as short as possible.
    #[cold]
    #[inline(never)]
    pub(super) fn put_with_name(
        &mut self,
        owner: u16,
        rtype: RecordType,
        ttl: u32,
        fixed: &[u8],
        name: &[u8],
    ) -> Result<(), ReplyFull> {
        let before = self.names_before();
        let short = self.shortest(name, SharedEnd::default(), &before);
        self.reply.append_record(
            Section::Answer,
            owner,
            rtype,
            ttl,
            &[fixed, short.labels, short.end()],
        )
    }

    /// The positions of the question's name and of the names in the records written so far.
    fn names_before(&self) -> NamesBefore {
        let mut before = NamesBefore::new();
        before.push(QUESTION_NAME);
        let Some(mut reader) = WireReader::at(self.reply.octets(), self.question_end()) else {
            return before;
        };
        while let Some(mut record) = PointedRecord::read(&mut reader) {
            let (fixed, names) = match record.rtype() {
                RecordType::DNAME => (0, 1),
                rtype => compressible(rtype),
            };
            if record.data.take(fixed).is_none() {
                continue;
            }
            for _ in 0..names {
                let position = record.data.position();
                if position <= POINTER_REACH {
                    before.push(position as u16);
                }
                if record.data.skip_name().is_none() {
                    break;
                }
            }
        }
        before
    }

    /// Sets the data length of the record at a position, which must be the last one so far.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
    fn set_data_length(&mut self, record: usize) {
        let length = (self.reply.position() - record - RECORD_HEADER) as u16;
        if let Some(place) = self.reply.octets_mut().get_mut(record + 10..record + 12) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// Iterates over labels that are given without a root label.
struct WireLabels<'w> {
    rest: &'w [u8],
}

impl<'w> Iterator for WireLabels<'w> {
    type Item = &'w [u8];

    fn next(&mut self) -> Option<&'w [u8]> {
        let (&length, behind) = self.rest.split_first()?;
        let (label, rest) = behind.split_at_checked(usize::from(length))?;
        self.rest = rest;
        Some(label)
    }
}

/// The number of these labels.
fn count_labels(labels: &[u8]) -> usize {
    WireLabels { rest: labels }.count()
}

/// How many labels at their ends a name, given without its root label, and another one have in
/// common.
fn shared_labels(name: &[u8], other: &SearchName) -> usize {
    let other_labels = other.label_count();
    for count in (0..=other_labels.min(count_labels(name))).rev() {
        let end = other.suffix(other_labels.saturating_sub(count));
        if let Some((_root, end)) = end.split_last()
            && last_octets(name, count).eq_ignore_ascii_case(end)
        {
            return count;
        }
    }
    0
}

/// The last so many labels of a name that is given without its root label.
fn last_octets(name: &[u8], labels: usize) -> &[u8] {
    let mut name_labels = WireLabels { rest: name };
    for _ in labels..count_labels(name) {
        name_labels.next();
    }
    name_labels.rest
}

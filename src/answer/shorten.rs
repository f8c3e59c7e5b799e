//! Names in record data that point at whatever stands before them in the reply (RFC 1035 section 4.1.4).
//!
//! Zones are compiled with what a name shares with its owner and with names before it in the same RRset
//! ([`crate::catalog::compression`]). Two things are known only when a reply is written: what the question has in front of
//! the owner, and which aliases the reply has already. Where one of them may share more with a name, the RRset is written
//! here, name by name. That costs more than a copy, so it is done behind an alias, and where a label of the question
//! stands in front of the owner in the data too, as when the address of a name server is asked of its parent.

use super::pointers::{expand, name_end, pointer_to, set_pointer};
use super::solve::{ChainName, QUESTION_NAME, RrsetOwner, Solver};
use crate::catalog::WireRrset;
use crate::catalog::compression::{PointerTarget, compressible};
use crate::dns::name::MAX_NAME;
use crate::dns::reply::{POINTER_REACH, RECORD_HEADER, Section};
use crate::dns::{RecordType, ReplyFull, SearchName};

/// Most names of an RRset that is written name by name; one with more is copied as it was compiled.
const MOST_NAMES: usize = 32;
/// Most names before an RRset that are looked at.
const MOST_BEFORE: usize = 32;

/// Places of names, at most `N`.
struct Places<T, const N: usize> {
    places: [T; N],
    count: usize,
}

impl<T: Copy + Default, const N: usize> Places<T, N> {
    fn new() -> Self {
        Places {
            places: [T::default(); N],
            count: 0,
        }
    }

    /// One more, if there is room.
    fn push(&mut self, place: T) {
        if let Some(free) = self.places.get_mut(self.count) {
            *free = place;
            self.count = self.count.saturating_add(1);
        }
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = T> {
        self.places.iter().take(self.count).copied()
    }
}

/// Where names stand in the reply before an RRset.
type NamesBefore = Places<u16, MOST_BEFORE>;
/// Where the names of an RRset stand: from its start as it was compiled, and in the reply.
type MovedNames = Places<(usize, u16), MOST_NAMES>;

/// A name as it is written: some labels, then a pointer or the root.
struct ShortName<'w> {
    labels: &'w [u8],
    pointer: Option<[u8; 2]>,
}

impl ShortName<'_> {
    /// What is written behind the labels.
    fn end(&self) -> &[u8] {
        self.pointer.as_ref().map_or(&[0], |pointer| pointer)
    }
}

/// Whether the names of an RRset are few enough to be written one by one, and are there at all.
#[inline]
pub(super) fn can_be_shortened(rrset: &WireRrset) -> bool {
    let (_, names) = compressible(rrset.rtype);
    (1..=MOST_NAMES).contains(&names.saturating_mul(usize::from(rrset.count)))
}

impl<'m> Solver<'m, '_, '_, '_> {
    /// Writes an RRset, each of its names as short as what stands before it allows; nothing if it does not fit.
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

    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
    fn write_records(
        &mut self,
        section: Section,
        rrset: &'m WireRrset,
        current: &ChainName<'_>,
        owner: RrsetOwner,
    ) -> Result<(), ReplyFull> {
        let records = &self.moment.world().records;
        let (octets, mut pointers) = (
            records.octets(rrset),
            records.pointers(rrset).iter().peekable(),
        );
        let (fixed, names) = compressible(rrset.rtype);
        let before = self.names_before(self.reply.position());
        let mut moved = MovedNames::new();
        let mut at = 0;
        for _ in 0..rrset.count {
            let length = data_length(octets, at);
            let record = self.reply.position();
            let mut rest = at + RECORD_HEADER + fixed;
            self.reply
                .append(section, octets.get(at..rest).ok_or(ReplyFull)?, 0)?;
            set_pointer(self.reply.octets_mut(), record, owner.at);
            for _ in 0..names {
                let labels = labels_of(octets.get(rest..).ok_or(ReplyFull)?);
                moved.push((rest, self.reply.position().min(POINTER_REACH) as u16));
                rest += labels.len();
                let pointer = pointers.next_if(|pointer| usize::from(pointer.at) == rest);
                rest += if pointer.is_some() { 2 } else { 1 };
                let target = pointer.map(|pointer| {
                    self.target_place(pointer.target(), octets, &moved, current, owner)
                });
                let mut room = [0; MAX_NAME];
                let name = self
                    .whole_name(labels, target, &mut room)
                    .ok_or(ReplyFull)?;
                let compiled =
                    target.map(|place| (count_labels(name) - count_labels(labels), place));
                let short = self.shortest(name, compiled, &before);
                self.reply.append(section, short.labels, 0)?;
                self.reply.append(section, short.end(), 0)?;
            }
            at += RECORD_HEADER + length;
            self.reply
                .append(section, octets.get(rest..at).ok_or(ReplyFull)?, 0)?;
            self.set_data_length(record);
        }
        Ok(())
    }

    /// Where in the reply the data stands that is at `compiled` of an RRset: the record there and before may be shorter.
    #[cold]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
    pub(super) fn place_of_moved(
        &self,
        rrset: &WireRrset,
        rrset_at: usize,
        compiled: usize,
    ) -> usize {
        let octets = self.moment.world().records.octets(rrset);
        let (mut from, mut to) = (0, rrset_at);
        for _ in 0..rrset.count {
            let end = from + RECORD_HEADER + data_length(octets, from);
            if compiled < end {
                break;
            }
            from = end;
            to += RECORD_HEADER + data_length(self.reply.octets(), to);
        }
        // Names that anything is looked up for stand in front of all others of their record.
        to + compiled - from
    }

    /// Where a pointer of an RRset leads in the reply.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
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
                let skip = owner.labels.saturating_sub(usize::from(end.labels));
                let above = current.name.label_count().saturating_sub(owner.labels);
                name_end(self.reply.octets(), current.at, above + skip)
            }
            PointerTarget::Within(offset) => {
                let offset = usize::from(offset);
                let name = moved.iter().rev().find(|(compiled, _)| *compiled <= offset);
                let (compiled, place) = name.unwrap_or((offset, owner.at));
                let skip = count_labels(octets.get(compiled..offset).unwrap_or(&[]));
                name_end(self.reply.octets(), place, skip)
            }
        }
    }

    /// A name from its first labels and the place of the others, without the root at its end.
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

    /// The shortest form of a name, which is given without the root at its end. `compiled` is how many of its last labels
    /// are known to stand where.
    fn shortest<'w>(
        &self,
        name: &'w [u8],
        compiled: Option<(usize, u16)>,
        before: &NamesBefore,
    ) -> ShortName<'w> {
        let (mut most, mut place) = compiled.unwrap_or((0, 0));
        for candidate in before.iter() {
            let Some(other) = self.name_at(candidate) else {
                continue;
            };
            let shared = shared_labels(name, &other);
            if shared > most {
                most = shared;
                place = name_end(
                    self.reply.octets(),
                    candidate,
                    other.label_count().saturating_sub(shared),
                );
            }
        }
        let kept = name.len().saturating_sub(last_octets(name, most).len());
        let pointer = (most > 0).then(|| pointer_to(place));
        ShortName {
            labels: name.get(..kept).unwrap_or(name),
            pointer,
        }
    }

    /// Appends a record to the answer section whose data is so many octets and then a name, in its shortest form.
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
        let before = self.names_before(self.reply.position());
        let short = self.shortest(name, None, &before);
        self.reply.append_record(
            Section::Answer,
            owner,
            rtype,
            ttl,
            &[fixed, short.labels, short.end()],
        )
    }

    /// The question's name and those in the data of the records before `end`.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a message, which has at most 65,535 octets"
    )]
    fn names_before(&self, end: usize) -> NamesBefore {
        let mut before = NamesBefore::new();
        before.push(QUESTION_NAME);
        let octets = self.reply.octets();
        let mut at = self.question_end();
        while at < end {
            let rtype = octets
                .get(at + 2..at + 4)
                .and_then(|rtype| rtype.first_chunk::<2>());
            let rtype = RecordType(rtype.map_or(0, |&rtype| u16::from_be_bytes(rtype)));
            let (fixed, names) = if rtype == RecordType::DNAME {
                (0, 1)
            } else {
                compressible(rtype)
            };
            let mut place = at + RECORD_HEADER + fixed;
            for _ in 0..names {
                if place <= POINTER_REACH {
                    before.push(place as u16);
                }
                let labels = labels_of(octets.get(place..).unwrap_or(&[])).len();
                let is_pointed = octets.get(place + labels).is_some_and(|&octet| octet != 0);
                place += labels + 1 + usize::from(is_pointed);
            }
            at += RECORD_HEADER + data_length(octets, at);
        }
        before
    }

    /// Writes how much data the record at `record` has, which is the last one so far.
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

/// Octets of data of the record at `at`.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions inside a message, which has at most 65,535 octets"
)]
pub(super) fn data_length(octets: &[u8], at: usize) -> usize {
    let length = octets
        .get(at + 10..at + RECORD_HEADER)
        .and_then(|length| length.first_chunk::<2>());
    length.map_or(0, |&length| usize::from(u16::from_be_bytes(length)))
}

/// The labels at the start of `octets`, up to the root or a pointer.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions inside a message, which has at most 65,535 octets"
)]
fn labels_of(octets: &[u8]) -> &[u8] {
    let mut end = 0;
    while let Some(&length @ 1..=0x3f) = octets.get(end) {
        end += 1 + usize::from(length);
    }
    octets.get(..end).unwrap_or(&[])
}

/// How many labels these are.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions inside a message, which has at most 65,535 octets"
)]
fn count_labels(labels: &[u8]) -> usize {
    let (mut count, mut at) = (0, 0);
    while let Some(&length) = labels.get(at) {
        at += 1 + usize::from(length);
        count += 1;
    }
    count
}

/// How many labels at their ends a name, given without the root, and another one have in common.
fn shared_labels(name: &[u8], other: &SearchName) -> usize {
    let others = other.label_count();
    let is_shared = |&count: &usize| {
        let end = other.suffix(others.saturating_sub(count));
        end.split_last()
            .is_some_and(|(_, end)| last_octets(name, count).eq_ignore_ascii_case(end))
    };
    (0..=others.min(count_labels(name)))
        .rev()
        .find(is_shared)
        .unwrap_or(0)
}

/// The last so many labels of a name that is given without the root.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions inside a name, which has at most 255 octets"
)]
fn last_octets(name: &[u8], labels: usize) -> &[u8] {
    let mut rest = name;
    for _ in labels..count_labels(name) {
        let length = rest.first().map_or(0, |&length| usize::from(length));
        rest = rest.get(1 + length..).unwrap_or(&[]);
    }
    rest
}

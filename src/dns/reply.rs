//! The writer of replies into a buffer of a given size.
//!
//! An RRset is written whole or not at all. [`Reply::start`] reserves room for the OPT record, and
//! [`Reply::finish`] writes that record and the header. Owner names are compression pointers to
//! names that the reply already has.

use super::rcode::{HEADER, Rcode};
use super::reply_opt::{ExtendedError, ReplyOpt};
use super::{CLASS_IN, RecordType, WireReader};

/// The last position that a compression pointer can reach (RFC 1035 section 4.1.4).
pub const POINTER_REACH: usize = 0x3fff;

/// Octets of a record before its data if the owner is a pointer.
pub const RECORD_HEADER: usize = 12;

/// The position of the TTL in such a record.
pub const TTL_AT: usize = 6;

/// The header of a record whose owner is a pointer: type, class IN, TTL and data length (RFC 1035
/// section 4.1.3).
#[inline]
pub fn record_header(owner: u16, rtype: RecordType, ttl: u32, length: u16) -> [u8; RECORD_HEADER] {
    let [o1, o0] = (0xc000 | owner).to_be_bytes();
    let ([t1, t0], [c1, c0], [l1, l0]) = (
        rtype.0.to_be_bytes(),
        CLASS_IN.to_be_bytes(),
        length.to_be_bytes(),
    );
    let [ttl3, ttl2, ttl1, ttl0] = ttl.to_be_bytes();
    [o1, o0, t1, t0, c1, c0, ttl3, ttl2, ttl1, ttl0, l1, l0]
}

/// There is no room left for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyFull;

/// The section that a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Records that answer the question.
    Answer,
    /// The SOA of a negative answer, or the NS of a referral.
    Authority,
    /// Addresses of names in the other sections.
    Additional,
}

/// A reply that is being written.
pub struct Reply<'b> {
    buffer: &'b mut [u8],
    length: usize,
    /// The end of the room for records; the room for OPT is behind it.
    limit: usize,
    counts: [u16; 3],
    /// AA.
    pub authoritative: bool,
    /// TC.
    pub truncated: bool,
    /// RCODE.
    pub rcode: Rcode,
    /// An extended error that explains the answer.
    pub error: Option<&'static ExtendedError>,
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions and counts of one message, which has at most 65,535 octets"
)]
impl<'b> Reply<'b> {
    /// Starts a reply of at most `size` octets and echoes the question; `reserve` octets are for
    /// OPT.
    #[inline]
    pub fn start(
        buffer: &'b mut [u8],
        question: &[u8],
        size: usize,
        reserve: usize,
    ) -> Result<Reply<'b>, ReplyFull> {
        let length = HEADER + question.len();
        let limit = match size.min(buffer.len()).checked_sub(reserve) {
            Some(limit) if limit >= length => limit,
            _ => return Err(ReplyFull),
        };
        copy_short(buffer.get_mut(HEADER..length).ok_or(ReplyFull)?, question);
        Ok(Reply {
            buffer,
            length,
            limit,
            counts: [0; 3],
            authoritative: false,
            truncated: false,
            rcode: Rcode::NoError,
            error: None,
        })
    }

    /// Enlarges the room for OPT from `before` to `after` octets, if the records leave enough.
    #[cold]
    pub fn make_room(&mut self, before: usize, after: usize) -> Result<(), ReplyFull> {
        match (self.limit + before).checked_sub(after) {
            Some(limit) if limit >= self.length => {
                self.limit = limit;
                Ok(())
            }
            _ => Err(ReplyFull),
        }
    }

    /// The octets written so far, which is the position of the next record.
    #[inline]
    pub fn position(&self) -> usize {
        self.length
    }

    /// What was written so far; the header is still empty.
    #[inline]
    pub fn octets(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or(&[])
    }

    /// What was written so far, to set pointers in.
    #[inline]
    pub fn octets_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(..self.length).unwrap_or(&mut [])
    }

    /// Appends `count` records in wire form and returns them, so that the caller can set their
    /// pointers.
    #[inline]
    pub fn append(
        &mut self,
        section: Section,
        records: &[u8],
        count: u16,
    ) -> Result<&mut [u8], ReplyFull> {
        let end = self.length + records.len();
        if end > self.limit {
            return Err(ReplyFull);
        }
        let place = self.buffer.get_mut(self.length..end).ok_or(ReplyFull)?;
        place.copy_from_slice(records);
        self.length = end;
        if let Some(total) = self.counts.get_mut(section as usize) {
            *total += count;
        }
        Ok(place)
    }

    /// Removes everything from `position` on, which was `count` records of this section.
    #[cold]
    pub fn take_back(&mut self, position: usize, section: Section, count: u16) {
        self.length = self.length.min(position);
        if let Some(total) = self.counts.get_mut(section as usize) {
            *total = total.saturating_sub(count);
        }
    }

    /// Removes all records; `question_end` is the position of the first.
    #[cold]
    pub fn clear(&mut self, question_end: usize) {
        self.length = self.length.min(question_end);
        self.counts = [0; 3];
    }

    /// Lowers the TTL of each record from a position on to at most `max_ttl` seconds.
    #[cold]
    pub fn cap_ttls(&mut self, mut position: usize, max_ttl: u32) {
        while let Some((ttl_at, end)) = record_at(self.octets(), position) {
            let place = self.octets_mut().get_mut(ttl_at..);
            if let Some(ttl) = place.and_then(|place| place.first_chunk_mut::<4>()) {
                *ttl = u32::from_be_bytes(*ttl).min(max_ttl).to_be_bytes();
            }
            position = end;
        }
    }

    /// Appends one address record to the answer section, with a pointer to `owner`.
    #[inline(always)]
    pub fn append_address<const N: usize>(
        &mut self,
        owner: u16,
        rtype: RecordType,
        ttl: u32,
        address: &[u8; N],
    ) -> Result<(), ReplyFull> {
        let end = self.length + RECORD_HEADER + N;
        if end > self.limit {
            return Err(ReplyFull);
        }
        let place = self.buffer.get_mut(self.length..end).ok_or(ReplyFull)?;
        let (header, data) = place
            .split_first_chunk_mut::<RECORD_HEADER>()
            .ok_or(ReplyFull)?;
        *header = record_header(owner, rtype, ttl, N as u16);
        *data.first_chunk_mut::<N>().ok_or(ReplyFull)? = *address;
        self.length = end;
        let [answers, ..] = &mut self.counts;
        *answers += 1;
        Ok(())
    }

    /// Appends one record with a pointer to `owner` and data that consists of parts.
    #[inline]
    pub fn append_record(
        &mut self,
        section: Section,
        owner: u16,
        rtype: RecordType,
        ttl: u32,
        data: &[&[u8]],
    ) -> Result<(), ReplyFull> {
        let length: usize = data.iter().map(|part| part.len()).sum();
        let end = self.length + RECORD_HEADER + length;
        if end > self.limit {
            return Err(ReplyFull);
        }
        let place = self.buffer.get_mut(self.length..end).ok_or(ReplyFull)?;
        let (header, mut rest) = place
            .split_first_chunk_mut::<RECORD_HEADER>()
            .ok_or(ReplyFull)?;
        *header = record_header(owner, rtype, ttl, length as u16);
        for part in data {
            let (here, after) = rest.split_at_mut_checked(part.len()).ok_or(ReplyFull)?;
            here.copy_from_slice(part);
            rest = after;
        }
        self.length = end;
        if let Some(total) = self.counts.get_mut(section as usize) {
            *total += 1;
        }
        Ok(())
    }

    /// Appends one record whose owner consists of labels and a pointer to where it goes on.
    #[cold]
    pub fn append_named(
        &mut self,
        section: Section,
        (labels, end): (&[u8], u16),
        rtype: RecordType,
        ttl: u32,
        data: &[&[u8]],
    ) -> Result<(), ReplyFull> {
        let start = self.length;
        let owner_end = start + labels.len();
        let place = self.buffer.get_mut(start..owner_end).ok_or(ReplyFull)?;
        place.copy_from_slice(labels);
        self.length = owner_end;
        let appended = self.append_record(section, end, rtype, ttl, data);
        if appended.is_err() {
            self.length = start;
        }
        appended
    }

    /// Writes OPT and the header, and returns the length of the reply.
    ///
    /// `id_and_flags` are the first four octets of the query. ID, opcode and RD are copied (RFC
    /// 1035 section 4.1.1), and CD (RFC 4035 section 3.1.6); Z, AD and RA are 0. `scope` is the
    /// SCOPE PREFIX-LENGTH (RFC 7871 section 7.2.1).
    #[inline(always)]
    pub fn finish(
        self,
        id_and_flags: [u8; 4],
        question_count: u8,
        opt: &ReplyOpt<'_>,
        scope: u8,
    ) -> usize {
        let end = self.length + opt.size();
        let opt_written = match self.buffer.get_mut(self.length..end) {
            Some(place) if opt.size() > 0 => opt.write(place, self.rcode, scope).is_some(),
            _ => false,
        };
        let [id1, id0, flags1, flags0] = id_and_flags;
        let first = 0x80
            | (flags1 & 0x79)
            | u8::from(self.authoritative) << 2
            | u8::from(self.truncated) << 1;
        let second = (flags0 & 0x10) | (self.rcode as u16 & 0xf) as u8;
        let [an, ns, ar] = self.counts;
        let ar = ar + u16::from(opt_written);
        let ([an1, an0], [ns1, ns0], [ar1, ar0]) =
            (an.to_be_bytes(), ns.to_be_bytes(), ar.to_be_bytes());
        if let Some(header) = self.buffer.first_chunk_mut::<HEADER>() {
            *header = [
                id1,
                id0,
                first,
                second,
                0,
                question_count,
                an1,
                an0,
                ns1,
                ns0,
                ar1,
                ar0,
            ];
        }
        if opt_written { end } else { self.length }
    }
}

/// Copies octets into a place of the same length.
///
/// Most questions have 16 to 32 octets. For those, copying two overlapping lanes takes fewer
/// instructions than a call.
#[inline(always)]
fn copy_short(place: &mut [u8], octets: &[u8]) {
    const LANE: usize = 16;
    if octets.len() <= 2 * LANE
        && let (Some(first), Some(last)) =
            (octets.first_chunk::<LANE>(), octets.last_chunk::<LANE>())
        && let Some(start) = place.first_chunk_mut::<LANE>()
    {
        *start = *first;
        if let Some(end) = place.last_chunk_mut::<LANE>() {
            *end = *last;
        }
    } else {
        place.copy_from_slice(octets);
    }
}

/// The position of the TTL of the record at a position, and its end; `None`: no record is there.
fn record_at(octets: &[u8], position: usize) -> Option<(usize, usize)> {
    let mut reader = WireReader::at(octets, position)?;
    reader.skip_name()?;
    // Type and class.
    reader.u32()?;
    let ttl_at = reader.position();
    reader.u32()?;
    let length = reader.u16()?;
    reader.take(usize::from(length))?;
    Some((ttl_at, reader.position()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::edns::{ClientSubnet, Edns};
    use crate::dns::reply_opt::ReplyExtras;

    #[test]
    fn a_reply_is_laid_out_as_rfc_1035_says() {
        let mut buffer = [0; 64];
        let mut reply = Reply::start(&mut buffer, b"\x01a\0\0\x01\0\x01", 64, 0).unwrap();
        reply.authoritative = true;
        reply
            .append(
                Section::Answer,
                b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x01\x02\x03\x04",
                1,
            )
            .unwrap();
        let length = reply.finish([0xab, 0xcd, 0x01, 0x30], 1, &ReplyOpt::default(), 0);
        assert_eq!(length, 12 + 7 + 16);
        assert_eq!(
            buffer[..12],
            [0xab, 0xcd, 0x85, 0x10, 0, 1, 0, 1, 0, 0, 0, 0]
        );
    }

    #[test]
    fn room_for_opt_is_kept() {
        let subnet = ClientSubnet::around("203.0.113.0".parse().unwrap(), 24);
        let edns = Edns {
            payload: 1232,
            flags: 0x80,
            client_subnet: Some(subnet),
            ..Edns::default()
        };
        let extras = ReplyExtras {
            nsid: Some(b"ns1"),
            ..ReplyExtras::default()
        };
        let opt = ReplyOpt::owed(Some(&edns)).with(&extras);
        assert_eq!(opt.size(), 11 + 11 + 7);
        let mut buffer = [0; 12 + 7 + 20 + 29];
        let size = buffer.len();
        let mut reply =
            Reply::start(&mut buffer, b"\x01a\0\0\x01\0\x01", size, opt.size()).unwrap();
        assert_eq!(
            reply.append(Section::Answer, &[0; 21], 1).err(),
            Some(ReplyFull)
        );
        assert!(reply.append(Section::Answer, &[0; 20], 1).is_ok());
        let length = reply.finish([0; 4], 1, &opt, 20);
        assert_eq!(length, size);
        let opt_at = 12 + 7 + 20;
        assert_eq!(
            buffer[opt_at..][..11],
            [0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, 18]
        );
        assert_eq!(
            buffer[opt_at + 11..][..11],
            [0, 8, 0, 7, 0, 1, 24, 20, 203, 0, 113]
        );
        assert_eq!(buffer[opt_at + 22..], [0, 3, 0, 3, b'n', b's', b'1']);
    }
}

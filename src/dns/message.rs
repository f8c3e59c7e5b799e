//! What encrypted transports need from whole messages: an option of a query, how long a reply may
//! be cached, and padding.
//!
//! HTTPS sends the cache time in a header (RFC 8484), and encrypted replies are padded, so that
//! their length reveals little about the question (RFC 8467). None of this is on the UDP path.

use super::RecordType;
use super::edns::OPTION_PADDING;
use super::query::{SkippedRecord, TYPE_AND_CLASS};
use super::rcode::HEADER;
use super::reply::Section;
use super::wire::WireReader;

/// Replies are padded to a multiple of this many octets (RFC 8467 section 4.1).
pub const BLOCK: usize = 468;
/// Octets of an option before its value.
const OPTION_HEADER: usize = 4;

/// The records of a message, up to the first one that is malformed.
struct MessageRecords<'m> {
    reader: WireReader<'m>,
    /// Records that are still to come: answer, authority, additional.
    counts: [u16; 3],
}

/// A record and the section that it is in.
struct MessageRecord<'m> {
    section: Section,
    record: SkippedRecord<'m>,
    /// The position behind the record.
    end: usize,
}

impl<'m> MessageRecords<'m> {
    fn of(message: &'m [u8]) -> Option<MessageRecords<'m>> {
        let &[_, _, _, _, q1, q0, a1, a0, n1, n0, r1, r0] = message.first_chunk::<HEADER>()?;
        let mut reader = WireReader::at(message, HEADER)?;
        for _ in 0..u16::from_be_bytes([q1, q0]) {
            reader.skip_name()?;
            reader.take(TYPE_AND_CLASS)?;
        }
        let counts = [[a1, a0], [n1, n0], [r1, r0]].map(u16::from_be_bytes);
        Some(MessageRecords { reader, counts })
    }

    /// The section of the next record, which is counted off.
    fn next_section(&mut self) -> Option<Section> {
        let sections = [Section::Answer, Section::Authority, Section::Additional];
        for (count, section) in self.counts.iter_mut().zip(sections) {
            if let Some(left) = count.checked_sub(1) {
                *count = left;
                return Some(section);
            }
        }
        None
    }
}

impl<'m> Iterator for MessageRecords<'m> {
    type Item = MessageRecord<'m>;

    fn next(&mut self) -> Option<Self::Item> {
        let section = self.next_section()?;
        let record = SkippedRecord::read(&mut self.reader)?;
        Some(MessageRecord {
            section,
            record,
            end: self.reader.position(),
        })
    }
}

/// The value of an option (RFC 6891 section 6.1.2) of a message; `None`: it has no such option, or
/// no OPT record.
pub fn option(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let opt = MessageRecords::of(message)?.find(|one| one.record.rtype == RecordType::OPT)?;
    let mut options = WireReader::at(opt.record.data, 0)?;
    loop {
        let (code, length) = (options.u16()?, options.u16()?);
        let value = options.take(usize::from(length))?;
        if code == wanted {
            return Some(value);
        }
    }
}

/// How many seconds a reply may be cached (RFC 8484 section 5.1).
///
/// That is the smallest TTL in its answer section; without answers the negative TTL of its SOA
/// record (RFC 2308 section 5); without that, 0.
pub fn freshness(reply: &[u8]) -> u32 {
    let Some(records) = MessageRecords::of(reply) else {
        return 0;
    };
    let mut smallest = None;
    let mut negative = None;
    for MessageRecord {
        section, record, ..
    } in records
    {
        match section {
            Section::Answer => smallest = Some(record.ttl.min(smallest.unwrap_or(u32::MAX))),
            Section::Authority if negative.is_none() && record.rtype == RecordType::SOA => {
                negative = negative_ttl(&record);
            }
            Section::Authority | Section::Additional => {}
        }
    }
    smallest.or(negative).unwrap_or(0)
}

/// The TTL of a SOA record, or its MINIMUM if that is less.
fn negative_ttl(soa: &SkippedRecord<'_>) -> Option<u32> {
    let minimum = soa.data.last_chunk::<4>()?;
    Some(soa.ttl.min(u32::from_be_bytes(*minimum)))
}

/// Pads the reply in the first `length` octets of `buffer`, if the query has the padding option
/// (RFC 7830 section 4), and returns its new length. The OPT record must be the last of the reply,
/// as it is in all of ours.
pub fn pad(query: &[u8], buffer: &mut [u8], length: usize) -> usize {
    match option(query, OPTION_PADDING) {
        Some(_) => add_padding(buffer, length).unwrap_or(length),
        None => length,
    }
}

/// Adds the padding option to the OPT record at the end; `None` if there is no such record, or no
/// room.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "lengths inside a message, which has at most 65,535 octets"
)]
fn add_padding(buffer: &mut [u8], length: usize) -> Option<usize> {
    let reply = buffer.get(..length)?;
    let last = MessageRecords::of(reply)?.last()?;
    if last.record.rtype != RecordType::OPT || last.end != length {
        return None;
    }
    let options_size = last.record.data.len();
    let target = (length + OPTION_HEADER)
        .next_multiple_of(BLOCK)
        .min(buffer.len());
    let value = target.checked_sub(length + OPTION_HEADER)?;
    let size = u16::try_from(options_size + OPTION_HEADER + value).ok()?;
    let size_at = length - options_size - 2;
    *buffer.get_mut(size_at..)?.first_chunk_mut()? = size.to_be_bytes();
    let (header, zeros) = buffer
        .get_mut(length..target)?
        .split_first_chunk_mut::<OPTION_HEADER>()?;
    let ([code1, code0], [value1, value0]) =
        (OPTION_PADDING.to_be_bytes(), (value as u16).to_be_bytes());
    *header = [code1, code0, value1, value0];
    zeros.fill(0);
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `a. A`, with these sections and an OPT record that has these options.
    fn message(answers: &[&[u8]], authorities: &[&[u8]], options: Option<&[u8]>) -> Vec<u8> {
        let mut octets = vec![
            0,
            1,
            0x80,
            0,
            0,
            1,
            0,
            answers.len() as u8,
            0,
            authorities.len() as u8,
            0,
            0,
        ];
        octets.extend(b"\x01a\0\0\x01\0\x01");
        answers
            .iter()
            .chain(authorities)
            .for_each(|record| octets.extend(*record));
        if let Some(options) = options {
            octets[11] = 1;
            octets.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0]);
            octets.extend((options.len() as u16).to_be_bytes());
            octets.extend(options);
        }
        octets
    }

    const FIVE: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 192, 0, 2, 1];
    const NINE: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1];
    /// TTL 9, MINIMUM 7; only its end is looked at.
    const SOA: &[u8] = &[0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 9, 0, 6, 0, 0, 0, 0, 0, 7];
    const PADDING: &[u8] = &[0, 12, 0, 3, 0, 0, 0];

    #[test]
    fn rfc_8484_section_5_1_the_smallest_ttl_of_the_answer_counts() {
        assert_eq!(freshness(&message(&[NINE, FIVE], &[SOA], None)), 5);
        assert_eq!(freshness(&message(&[], &[SOA], Some(&[]))), 7);
        assert_eq!(freshness(&message(&[], &[NINE], None)), 0, "a referral");
        assert_eq!(freshness(&[0; 11]), 0);
    }

    #[test]
    fn options_are_found_behind_others() {
        let options = [&[0, 3, 0, 1, 7][..], PADDING].concat();
        assert_eq!(
            option(&message(&[], &[], Some(&options)), OPTION_PADDING),
            Some(&[0, 0, 0][..])
        );
        assert_eq!(
            option(&message(&[], &[], Some(&options)), 3),
            Some(&[7][..])
        );
        assert_eq!(option(&message(&[], &[], Some(&options)), 8), None);
        assert_eq!(option(&message(&[FIVE], &[], None), OPTION_PADDING), None);
    }

    #[test]
    fn rfc_8467_section_4_1_a_reply_is_a_multiple_of_468_octets() {
        let query = message(&[], &[], Some(PADDING));
        for records in [0, 1, 26, 27, 28, 29, 60] {
            let reply = message(&vec![FIVE; records], &[], Some(&[0, 3, 0, 1, 7]));
            let mut buffer = [0xff; 65535];
            buffer[..reply.len()].copy_from_slice(&reply);
            let length = pad(&query, &mut buffer, reply.len());
            assert_eq!(length % BLOCK, 0);
            assert!(length >= reply.len() + 4 && length < reply.len() + 4 + BLOCK);
            let padding = option(&buffer[..length], OPTION_PADDING).unwrap();
            assert!(
                padding.iter().all(|octet| *octet == 0)
                    && padding.len() == length - reply.len() - 4
            );
            assert_eq!(
                option(&buffer[..length], 3),
                Some(&[7][..]),
                "what was there is still there"
            );
        }
    }

    #[test]
    fn nothing_is_padded_that_did_not_ask_or_has_no_opt() {
        let reply = message(&[FIVE], &[], Some(&[]));
        let mut buffer = [0; 1000];
        buffer[..reply.len()].copy_from_slice(&reply);
        assert_eq!(
            pad(&message(&[], &[], Some(&[])), &mut buffer, reply.len()),
            reply.len()
        );
        let plain = message(&[FIVE], &[], None);
        buffer[..plain.len()].copy_from_slice(&plain);
        assert_eq!(
            pad(&message(&[], &[], Some(PADDING)), &mut buffer, plain.len()),
            plain.len()
        );
    }

    #[test]
    fn what_does_not_fit_is_padded_as_far_as_there_is_room() {
        let reply = message(&[FIVE], &[], Some(&[]));
        let query = message(&[], &[], Some(PADDING));
        let mut buffer = [0; 100];
        buffer[..reply.len()].copy_from_slice(&reply);
        assert_eq!(pad(&query, &mut buffer, reply.len()), 100);
        assert_eq!(
            pad(&query, &mut buffer[..reply.len() + 3], reply.len()),
            reply.len()
        );
    }

    proptest! {
        #[test]
        fn octets_of_any_kind_do_no_harm(
            query in proptest::collection::vec(any::<u8>(), 0..200),
            mut reply in proptest::collection::vec(any::<u8>(), 0..600),
            length in 0_usize..700,
        ) {
            let _ = (freshness(&reply), option(&query, OPTION_PADDING));
            let _ = add_padding(&mut reply, length);
            let size = reply.len();
            prop_assert!(pad(&query, &mut reply, length.min(size)) <= size);
        }
    }
}

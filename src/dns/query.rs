//! The parser of queries: it turns octets into a [`Query`] or a [`Reject`].
//!
//! A query has one question. Of the records behind it, OPT and TSIG are read and others, such as
//! the SOA of an IXFR query, are skipped. The name of the question is never compressed, because
//! nothing precedes it that a pointer could lead to.
//!
//! The parser writes the name and the OPT record into a [`QueryScratch`] that the caller keeps, so
//! it allocates and clears nothing per query.

use super::edns::Edns;
use super::rcode::{HEADER, Rcode};
use super::refusal::{Reject, RepeatedParts, refuse_malformed};
use super::tsig::TsigRecord;
use super::wire::WireReader;
use super::{CLASS_IN, RecordType, name};

/// The fixed bits of QDCOUNT, ANCOUNT, NSCOUNT and ARCOUNT in a query: one question, no answer,
/// fewer than 32 records in each of the other sections.
const COUNTS: u64 = 0x0001_0000_0000_0000;
const FIXED_COUNTS: u64 = 0xffff_ffff_ffe0_ffe0;

/// Octets of a question behind its name.
pub(super) const TYPE_AND_CLASS: usize = 4;

/// Octets that are turned to lower case at a time.
const LANE: usize = 16;
/// Room for a name and for the rest of its last lane.
const ROOM: usize = name::MAX_NAME + LANE;

/// A well-formed query of opcode QUERY with one question.
#[derive(Debug)]
pub struct Query<'d> {
    /// The two flag octets as sent.
    pub flags: u16,
    /// The question.
    pub question: Question<'d>,
    /// The OPT record, if there is one.
    pub edns: Option<&'d Edns>,
}

/// Room for what the parser reads out of a query. A caller keeps it from query to query.
#[derive(Debug, Clone, Default)]
pub struct QueryScratch {
    name: SearchName,
    edns: Edns,
}

/// What is asked: name, type and class.
#[derive(Debug)]
pub struct Question<'d> {
    /// Name, type and class as sent; a reply echoes them.
    pub octets: &'d [u8],
    /// The name in the form for look-ups.
    pub name: &'d SearchName,
    /// QTYPE.
    pub rtype: RecordType,
    /// QCLASS.
    pub class: u16,
}

/// A name in lower case with its labels counted, as look-ups need it.
#[derive(Clone)]
pub struct SearchName {
    /// The octets behind the name have no meaning.
    octets: [u8; ROOM],
    length: u8,
    labels: u8,
}

impl std::fmt::Debug for SearchName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_wire().escape_ascii().to_string())
    }
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions inside a name, which has at most 255 octets"
)]
impl SearchName {
    /// The root name.
    pub fn new() -> SearchName {
        SearchName {
            octets: [0; ROOM],
            length: 1,
            labels: 0,
        }
    }

    /// A name from its uncompressed wire form.
    pub fn from_wire(wire: &[u8]) -> Option<SearchName> {
        let mut name = SearchName::new();
        name.read(wire).map(|_| name)
    }

    /// Replaces the name by the uncompressed one at the start of `wire` and returns its length;
    /// `None` if it is cut off, compressed or too long.
    #[inline(always)]
    pub fn read(&mut self, wire: &[u8]) -> Option<usize> {
        // The end of a name that is too long lies beyond this.
        let within = wire.get(..name::MAX_NAME).unwrap_or(wire);
        let mut at = 0usize;
        let mut labels = 0usize;
        loop {
            let length = usize::from(*within.get(at)?);
            if length == 0 {
                break;
            }
            if length > name::MAX_LABEL {
                return None;
            }
            labels += 1;
            at += 1 + length;
        }
        self.labels = labels as u8;
        self.length = at as u8 + 1;
        copy_lowered(&mut self.octets, wire, at + 1);
        Some(at + 1)
    }

    /// The lower-cased wire form, root label included.
    #[inline]
    pub fn as_wire(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or(&[])
    }

    /// Number of labels, the root label left out.
    #[inline]
    pub fn label_count(&self) -> usize {
        usize::from(self.labels)
    }

    /// The wire form without the first `skip` labels; the root if there are fewer.
    #[inline]
    pub fn suffix(&self, skip: usize) -> &[u8] {
        let mut rest = self.as_wire();
        for _ in 0..skip.min(self.label_count()) {
            let length = rest.first().map_or(0, |&length| usize::from(length));
            rest = rest.get(1 + length..).unwrap_or(&[]);
        }
        rest
    }

    /// The labels before the last `keep` labels, as wire octets without an end.
    #[inline]
    pub fn prefix(&self, keep: usize) -> &[u8] {
        let suffix = self.suffix(self.label_count().saturating_sub(keep)).len();
        self.as_wire()
            .get(..usize::from(self.length).saturating_sub(suffix))
            .unwrap_or(&[])
    }
}

impl Default for SearchName {
    fn default() -> Self {
        SearchName::new()
    }
}

/// Copies the first `length` octets of `from` in lower case, a lane at a time.
///
/// The length octets of labels are at most 63, below the letters, so they need no care. The last
/// lane includes octets that follow the name.
#[inline(always)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "whole lanes of what is there"
)]
fn copy_lowered(to: &mut [u8; ROOM], from: &[u8], length: usize) {
    let (lanes, needed) = (from.as_chunks::<LANE>().0, length.div_ceil(LANE));
    for (place, lane) in to
        .as_chunks_mut::<LANE>()
        .0
        .iter_mut()
        .zip(lanes)
        .take(needed)
    {
        *place = lane.map(|octet| octet.to_ascii_lowercase());
    }
    if lanes.len() < needed {
        copy_last(to, from, lanes.len() * LANE, length);
    }
}

/// Copies the last octets of a datagram that ends inside their lane.
#[inline(never)]
fn copy_last(to: &mut [u8; ROOM], from: &[u8], at: usize, length: usize) {
    for (to, from) in to.iter_mut().zip(from).take(length).skip(at) {
        *to = from.to_ascii_lowercase();
    }
}

/// The opcode: the four bits after QR.
pub(super) fn opcode(flags: u16) -> u16 {
    (flags >> 11) & 0xf
}

/// Parses one message.
///
/// A message is rejected with
/// - FORMERR if it is malformed (RFC 1035 section 4.1.1), or if QDCOUNT is not 1 (RFC 9619 section
///   4),
/// - NOTIMP for any opcode but QUERY,
/// - BADVERS for an EDNS version above 0 (RFC 6891 section 6.1.3),
/// - NOTAUTH for a signature (RFC 8945 section 5.2.1), or FORMERR if it is malformed or not the
///   last record (section 5.1).
///
/// The refusal repeats the question, as far as it can be read. It does not for another opcode,
/// which may mean something else by it.
#[inline(always)]
pub fn parse<'d>(datagram: &'d [u8], scratch: &'d mut QueryScratch) -> Result<Query<'d>, Reject> {
    let header = datagram.first_chunk::<HEADER>().ok_or(Reject::Drop)?;
    let flags = u16::from_be_bytes([header[2], header[3]]);
    if flags & 0x8000 != 0 {
        return Err(Reject::Drop);
    }
    let QueryScratch { name, edns } = scratch;
    let (mut has_edns, mut signature) = (false, None);
    let question = parse_body(datagram, header, name, edns, &mut has_edns, &mut signature);
    let edns = if has_edns { Some(&*edns) } else { None };
    let Some(question) = question else {
        let dnssec_ok = edns.map(Edns::dnssec_ok);
        return Err(refuse_malformed(datagram, header, dnssec_ok));
    };
    if opcode(flags) != 0 || signature.is_some() || edns.is_some_and(|edns| edns.version != 0) {
        return Err(reject(flags, &question, edns, signature));
    }
    Ok(Query {
        flags,
        question,
        edns,
    })
}

/// Why a well-formed message is not answered: it is not a query, or has a signature, or its EDNS is
/// of a later version.
#[cold]
fn reject(
    flags: u16,
    question: &Question<'_>,
    edns: Option<&Edns>,
    signature: Option<TsigRecord>,
) -> Reject {
    let mut repeated = RepeatedParts {
        question: question.octets.len(),
        dnssec_ok: edns.map(Edns::dnssec_ok),
    };
    if opcode(flags) != 0 {
        repeated.question = 0;
        let rcode = Rcode::NotImp;
        return Reject::Reply { rcode, repeated };
    }
    match signature {
        Some(signature) => Reject::UnknownKey {
            signature,
            repeated,
        },
        None => Reject::Reply {
            rcode: Rcode::BadVers,
            repeated,
        },
    }
}

/// Parses a query without a question, whose one record is an OPT with a cookie (RFC 7873 section
/// 5.4); `None` for any other message.
#[cold]
pub fn parse_cookie_only(datagram: &[u8]) -> Option<Edns> {
    let header = datagram.first_chunk::<HEADER>()?;
    let [_, _, f1, f0, counts @ ..] = *header;
    if opcode(u16::from_be_bytes([f1, f0])) != 0 || u64::from_be_bytes(counts) != 1 {
        return None;
    }
    let mut reader = WireReader::at(datagram, HEADER)?;
    let record = SkippedRecord::read_plain(&mut reader)?;
    let mut edns = Edns::default();
    edns.read(record.class, record.ttl, record.data)?;
    if record.rtype != RecordType::OPT || !reader.is_empty() || edns.version != 0 {
        return None;
    }
    edns.requests()?.cookie?;
    Some(edns)
}

/// Parses everything after the header; `None` if it is malformed. `has_edns` is set when there is
/// an OPT record, even if the message is malformed behind it.
#[inline(always)]
fn parse_body<'d>(
    datagram: &'d [u8],
    header: &[u8; HEADER],
    name: &'d mut SearchName,
    edns: &mut Edns,
    has_edns: &mut bool,
    signature: &mut Option<TsigRecord>,
) -> Option<Question<'d>> {
    let [_, _, _, _, counts @ ..] = *header;
    let counts = u64::from_be_bytes(counts);
    if counts & FIXED_COUNTS != COUNTS {
        return None;
    }
    let (authorities, additionals) = (counts >> 16 & 0xffff, counts & 0xffff);
    let mut reader = WireReader::at(datagram, HEADER)?;
    let question = read_question(&mut reader, name)?;
    for _ in 0..authorities {
        reader = skip_record(reader)?;
    }
    for left in (0..additionals).rev() {
        let mut ahead = reader;
        match SkippedRecord::read_plain(&mut ahead) {
            Some(opt) if opt.rtype == RecordType::OPT => {
                if *has_edns {
                    return None;
                }
                *has_edns = true;
                edns.read(opt.class, opt.ttl, opt.data)?;
                reader = ahead;
            }
            _ if left == 0 => reader = read_last_record(reader, signature)?,
            _ => reader = skip_record(reader)?,
        }
    }
    if reader.is_empty() {
        Some(question)
    } else {
        None
    }
}

/// Skips a record. An OPT or a TSIG record that comes here is misplaced, and the message malformed.
#[cold]
fn skip_record(mut reader: WireReader<'_>) -> Option<WireReader<'_>> {
    match SkippedRecord::read(&mut reader)?.rtype {
        RecordType::OPT | RecordType::TSIG => None,
        _ => Some(reader),
    }
}

/// Reads the last record, which may be the signature, or skips it.
#[cold]
fn read_last_record<'d>(
    mut reader: WireReader<'d>,
    signature: &mut Option<TsigRecord>,
) -> Option<WireReader<'d>> {
    let mut ahead = reader;
    if SkippedRecord::read(&mut ahead)?.rtype != RecordType::TSIG {
        return skip_record(reader);
    }
    *signature = Some(TsigRecord::read(&mut reader)?);
    Some(reader)
}

/// Reads the question, which is the next thing in the message.
#[inline(always)]
pub(super) fn read_question<'d>(
    reader: &mut WireReader<'d>,
    name: &'d mut SearchName,
) -> Option<Question<'d>> {
    let size = name.read(reader.rest())?;
    let octets = reader.take(size.saturating_add(TYPE_AND_CLASS))?;
    let &[t1, t0, c1, c0] = octets.last_chunk::<TYPE_AND_CLASS>()?;
    Some(Question {
        octets,
        name,
        rtype: RecordType(u16::from_be_bytes([t1, t0])),
        class: u16::from_be_bytes([c1, c0]),
    })
}

/// The parts of a record that the parser looks at.
pub(super) struct SkippedRecord<'d> {
    pub(super) rtype: RecordType,
    class: u16,
    pub(super) ttl: u32,
    pub(super) data: &'d [u8],
}

impl<'d> SkippedRecord<'d> {
    /// The next record.
    #[cold]
    pub(super) fn read(reader: &mut WireReader<'d>) -> Option<SkippedRecord<'d>> {
        reader.skip_name()?;
        SkippedRecord::read_behind_owner(reader)
    }

    /// The next record if its owner is the root, as that of OPT is.
    #[inline(always)]
    pub(super) fn read_plain(reader: &mut WireReader<'d>) -> Option<SkippedRecord<'d>> {
        match reader.u8()? {
            0 => SkippedRecord::read_behind_owner(reader),
            _ => None,
        }
    }

    #[inline(always)]
    fn read_behind_owner(reader: &mut WireReader<'d>) -> Option<SkippedRecord<'d>> {
        let &[t1, t0, c1, c0, l3, l2, l1, l0, d1, d0] = reader.chunk()?;
        let length = usize::from(u16::from_be_bytes([d1, d0]));
        Some(SkippedRecord {
            rtype: RecordType(u16::from_be_bytes([t1, t0])),
            class: u16::from_be_bytes([c1, c0]),
            ttl: u32::from_be_bytes([l3, l2, l1, l0]),
            data: reader.take(length)?,
        })
    }
}

impl Question<'_> {
    /// Whether the class is IN.
    pub fn is_internet(&self) -> bool {
        self.class == CLASS_IN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(counts: [u16; 4], body: &[u8]) -> Vec<u8> {
        let mut octets = vec![0x12, 0x34, 0x01, 0x00];
        for count in counts {
            octets.extend_from_slice(&count.to_be_bytes());
        }
        octets.extend_from_slice(body);
        octets
    }

    const QUESTION: &[u8] = b"\x03WwW\x07example\x03com\0\0\x01\0\x01";
    const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0";

    fn rejected(datagram: &[u8]) -> Option<Reject> {
        parse(datagram, &mut QueryScratch::default()).err()
    }

    const FORMERR: Option<Reject> = formerr(0, None);

    const fn formerr(question: usize, dnssec_ok: Option<bool>) -> Option<Reject> {
        Some(Reject::Reply {
            rcode: Rcode::FormErr,
            repeated: RepeatedParts {
                question,
                dnssec_ok,
            },
        })
    }

    fn notimp(dnssec_ok: Option<bool>) -> Option<Reject> {
        Some(Reject::Reply {
            rcode: Rcode::NotImp,
            repeated: RepeatedParts {
                question: 0,
                dnssec_ok,
            },
        })
    }

    #[test]
    fn a_plain_query_reads() {
        let datagram = message([1, 0, 0, 0], QUESTION);
        let mut name = QueryScratch::default();
        let query = parse(&datagram, &mut name).unwrap();
        assert_eq!(
            query.question.name.as_wire(),
            b"\x03www\x07example\x03com\0"
        );
        assert_eq!(query.question.octets, QUESTION);
        assert_eq!(query.question.rtype, RecordType::A);
        assert!(query.edns.is_none());
        assert_eq!(query.question.name.suffix(1), b"\x07example\x03com\0");
        assert_eq!(query.question.name.suffix(3), b"\0");
        assert_eq!(query.question.name.prefix(2), b"\x03www");
    }

    #[test]
    fn responses_and_stubs_are_dropped() {
        let mut response = message([1, 0, 0, 0], QUESTION);
        response[2] |= 0x80;
        assert_eq!(rejected(&response), Some(Reject::Drop));
        for length in 0..12 {
            assert_eq!(rejected(&response[..length]), Some(Reject::Drop));
        }
    }

    #[test]
    fn every_cut_of_the_question_is_malformed() {
        let whole = message([1, 0, 0, 0], QUESTION);
        for length in 12..whole.len() {
            assert_eq!(rejected(&whole[..length]), FORMERR, "{length}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(rejected(&longer), formerr(QUESTION.len(), None));
    }

    #[test]
    fn counts_must_hold_what_they_say() {
        for counts in [[0, 0, 0, 0], [2, 0, 0, 0], [65535, 0, 0, 0]] {
            assert_eq!(rejected(&message(counts, QUESTION)), FORMERR, "{counts:?}");
        }
        for counts in [[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [1, 0, 0, 65535]] {
            assert_eq!(
                rejected(&message(counts, QUESTION)),
                formerr(QUESTION.len(), None),
                "{counts:?}"
            );
        }
    }

    #[test]
    fn rfc_6891_section_6_1_1_opt_is_found_whatever_the_counts_say() {
        let without_do = [&OPT[..7], b"\0", &OPT[8..]].concat();
        for (opt, dnssec_ok) in [(OPT, true), (&without_do, false)] {
            let found = formerr(0, Some(dnssec_ok));
            assert_eq!(rejected(&message([0, 0, 0, 1], opt)), found, "no question");
            assert_eq!(
                rejected(&message([2, 0, 0, 1], &[QUESTION, QUESTION, opt].concat())),
                found,
                "two questions"
            );
            let answer = &b"\0\0\x01\0\x01\0\0\0\0\0\0"[..];
            let with_answer = message([1, 1, 0, 1], &[QUESTION, answer, opt].concat());
            assert_eq!(
                rejected(&with_answer),
                formerr(QUESTION.len(), Some(dnssec_ok))
            );
        }
        assert_eq!(rejected(&message([0, 0, 0, 65535], b"")), FORMERR);
        assert_eq!(
            rejected(&message([65535, 65535, 65535, 65535], &[0; 3000])),
            FORMERR
        );
    }

    #[test]
    fn a_bad_option_leaves_question_and_do_as_they_are() {
        let cut = [&OPT[..7], b"\x80\0\0\x01\0"].concat();
        assert_eq!(
            rejected(&message([1, 0, 0, 1], &[QUESTION, &cut].concat())),
            formerr(QUESTION.len(), Some(true))
        );
    }

    #[test]
    fn pointers_and_odd_labels_in_the_question_are_malformed() {
        for name in [
            &b"\xc0\x0c"[..],
            b"\xc0\x00",
            b"\xc0\xff",
            b"\x40a\0",
            b"\x80a\0",
            b"\x03www\xc0\x0c",
        ] {
            let body = [name, b"\0\x01\0\x01"].concat();
            assert_eq!(rejected(&message([1, 0, 0, 0], &body)), FORMERR, "{name:?}");
        }
    }

    #[test]
    fn names_may_have_255_octets_and_no_more() {
        let label = |length: usize| [vec![length as u8], vec![b'a'; length]].concat();
        let longest = [label(63), label(63), label(63), label(61), vec![0]].concat();
        let over = [label(63), label(63), label(63), label(62), vec![0]].concat();
        let ask = |name: &[u8]| {
            rejected(&message([1, 0, 0, 0], &[name, b"\0\x01\0\x01"].concat())).is_none()
        };
        assert!(ask(&longest));
        assert!(!ask(&over));
        assert!(ask(&[b"\x01a".repeat(127), vec![0]].concat()));
        assert!(!ask(&[b"\x01a".repeat(128), vec![0]].concat()));
    }

    #[test]
    fn other_opcodes_are_not_implemented() {
        for opcode in 1..16u8 {
            let mut datagram = message([1, 0, 0, 1], &[QUESTION, OPT].concat());
            datagram[2] = opcode << 3;
            assert_eq!(rejected(&datagram), notimp(Some(true)));
            assert_eq!(rejected(&datagram[..12]), notimp(None));
        }
    }

    #[test]
    fn opt_is_one_and_belongs_to_the_root() {
        let ok = message([1, 0, 0, 1], &[QUESTION, OPT].concat());
        assert!(
            parse(&ok, &mut QueryScratch::default())
                .unwrap()
                .edns
                .is_some()
        );
        let twice = message([1, 0, 0, 2], &[QUESTION, OPT, OPT].concat());
        assert_eq!(rejected(&twice), formerr(QUESTION.len(), Some(true)));
        let named = message([1, 0, 0, 1], &[QUESTION, b"\x01a", OPT].concat());
        assert_eq!(rejected(&named), formerr(QUESTION.len(), None));
        let in_authority = message([1, 0, 1, 0], &[QUESTION, OPT].concat());
        assert_eq!(rejected(&in_authority), formerr(QUESTION.len(), None));
        let mut version = ok.clone();
        version[HEADER + QUESTION.len() + 6] = 1;
        let repeated = RepeatedParts {
            question: QUESTION.len(),
            dnssec_ok: Some(true),
        };
        assert_eq!(
            rejected(&version),
            Some(Reject::Reply {
                rcode: Rcode::BadVers,
                repeated
            })
        );
    }

    #[test]
    fn names_are_lowered_wherever_they_end() {
        for length in 1..=63u8 {
            let label: Vec<u8> = (0..length)
                .map(|at| [b'A', b'Z', b'[', b'@', 0xff, b'm'][usize::from(at) % 6])
                .collect();
            let wire = [&[length][..], &label, &[0]].concat();
            for behind in [0, 3, LANE] {
                let name =
                    SearchName::from_wire(&[&wire[..], &vec![b'X'; behind]].concat()).unwrap();
                assert_eq!(
                    name.as_wire(),
                    wire.to_ascii_lowercase(),
                    "{behind} octets behind {length}"
                );
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_octets_panic(datagram in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
            let _ = rejected(&datagram);
        }
    }
}

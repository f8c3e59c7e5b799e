//! Compresses names in record data (RFC 1035 section 4.1.4) of the types that RFC 3597 section 4
//! allows.
//!
//! A name may point at anything before it in the message. Two things are known when a zone is
//! compiled: the owner of the RRset, and the earlier names of the same RRset. A name is written up
//! to the longest suffix that it shares with one of these, and a [`PointerSite`] says where the
//! pointer leads. A suffix that the name shares only with the question or with an alias is found
//! when the query comes: a pointer to the owner keeps the length of the label before it, and
//! [`crate::answer`] compares further if the question has a label of that length there.
//!
//! Names are compared without regard to case (RFC 4343).

use crate::dns::{Name, RecordType, SearchName};

/// Names that begin further from the start of their RRset than this are not pointed at. The longest
/// chain before an RRset takes fewer than 9,000 octets, so each pointer stays below 16,384.
const REACH: usize = 4096;
/// Set in [`PointerSite::target`] for offsets in the same RRset.
const WITHIN: u16 = 0x8000;
/// Bits of [`PointerSite::target`] for a number of labels, at most 127. The bits above them hold
/// the length of the label in front.
const LABEL_BITS: u32 = 7;

/// Two octets of an RRset that become a compression pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PointerSite {
    /// Their offset from the start of the RRset.
    pub at: u16,
    target: u16,
}

/// The end of a name that it shares with the name that its record is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnersEnd {
    /// Number of labels.
    pub labels: u8,
    /// Octets of the label in front of the pointer; 0: the name has no further label.
    pub in_front: u8,
}

/// The place that a pointer leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointerTarget {
    /// The last labels of the name that the RRset is given for.
    OwnersEnd(OwnersEnd),
    /// An offset from the start of the same RRset.
    Within(u16),
}

impl PointerSite {
    /// Both of its numbers, as octets that are the same on every machine.
    pub fn octets(self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.at.to_le_bytes(), self.target.to_le_bytes());
        [a, b, c, d]
    }

    /// The place that it leads to.
    #[inline]
    pub fn target(self) -> PointerTarget {
        match self.target & WITHIN {
            0 => PointerTarget::OwnersEnd(OwnersEnd {
                labels: (self.target & ((1 << LABEL_BITS) - 1)) as u8,
                in_front: (self.target >> LABEL_BITS) as u8,
            }),
            _ => PointerTarget::Within(self.target & !WITHIN),
        }
    }
}

/// The data of a single record, without the labels at its end that it shares with its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompressedData {
    /// The octets before the pointer.
    pub octets: Box<[u8]>,
    /// The pointer that follows; `None`: the data is complete.
    pub end: Option<OwnersEnd>,
}

impl CompressedData {
    /// Compresses the data of a type that has at most one name, at its end.
    pub fn new(owner: &Name, rtype: RecordType, data: &[u8]) -> CompressedData {
        let (mut octets, mut pointers) = (Vec::new(), Vec::new());
        Compressor::new(owner.as_wire(), rtype, 1).data(rtype, data, 0, &mut octets, &mut pointers);
        let mut end = None;
        if let [pointer] = pointers[..]
            && let PointerTarget::OwnersEnd(shared) = pointer.target()
        {
            octets.truncate(usize::from(pointer.at));
            end = Some(shared);
        }
        CompressedData {
            octets: octets.into(),
            end,
        }
    }
}

/// Writes the data of one RRset's records.
pub struct Compressor {
    owner: SearchName,
    /// Labels of the owner that the question is sure to have: all except a wildcard's `*`.
    shared: usize,
    /// Suffixes that were written in full, in lower case, with their offsets; `None`: no later name
    /// can use them.
    known: Option<Vec<(Box<[u8]>, u16)>>,
}

impl Compressor {
    /// Starts an RRset with so many records; the owner is in wire form.
    pub fn new(owner: &[u8], rtype: RecordType, records: usize) -> Compressor {
        let (_, names) = compressible(rtype);
        let owner = SearchName::from_wire(owner).unwrap_or_default();
        let is_wildcard = owner.as_wire().starts_with(b"\x01*");
        let shared = owner.label_count() - usize::from(is_wildcard);
        Compressor {
            owner,
            shared,
            known: (names * records > 1).then(Vec::new),
        }
    }

    /// Appends the data of a record to `octets`, where the RRset starts at `start`. New pointers go
    /// to `pointers`.
    pub fn data(
        &mut self,
        rtype: RecordType,
        data: &[u8],
        start: usize,
        octets: &mut Vec<u8>,
        pointers: &mut Vec<PointerSite>,
    ) {
        let (skip, names) = compressible(rtype);
        let (fixed, mut rest) = data.split_at(skip.min(data.len()));
        octets.extend_from_slice(fixed);
        for _ in 0..names {
            let (name, after) = rest.split_at(name_length(rest));
            self.name(name, start, octets, pointers);
            rest = after;
        }
        octets.extend_from_slice(rest);
    }

    /// Appends a name: in full, or its new labels and a pointer.
    fn name(
        &mut self,
        wire: &[u8],
        start: usize,
        octets: &mut Vec<u8>,
        pointers: &mut Vec<PointerSite>,
    ) {
        let at = octets.len() - start;
        let Some(name) = SearchName::from_wire(wire) else {
            return octets.extend_from_slice(wire);
        };
        let labels = name.label_count();
        let mut kept = wire.len();
        for skip in 0..labels {
            let end = name.suffix(skip);
            let in_front = if skip == 0 {
                0
            } else {
                name.suffix(skip - 1)[0]
            };
            if let Some(target) = self.find(end, labels - skip, in_front) {
                kept = wire.len() - end.len();
                pointers.push(PointerSite {
                    at: (at + kept) as u16,
                    target,
                });
                break;
            }
        }
        for skip in 0..labels {
            let end = name.suffix(skip);
            let place = at + wire.len() - end.len();
            if let Some(known) = &mut self.known
                && wire.len() - end.len() < kept
                && place <= REACH
            {
                known.push((end.into(), place as u16));
            }
        }
        octets.extend_from_slice(&wire[..kept]);
        if kept < wire.len() {
            octets.extend_from_slice(&[0, 0]);
        }
    }

    /// The pointer target of a suffix with so many labels, if it was written before; `in_front` is
    /// the length of the label before it.
    fn find(&self, end: &[u8], labels: usize, in_front: u8) -> Option<u16> {
        if labels <= self.shared && self.owner.suffix(self.owner.label_count() - labels) == end {
            return Some(u16::from(in_front) << LABEL_BITS | labels as u16);
        }
        let known = self.known.as_deref().unwrap_or_default();
        let (_, at) = known.iter().find(|(known, _)| **known == *end)?;
        Some(WITHIN | at)
    }
}

/// Octets before the names that may be compressed, and how many names there are (RFC 1035 section
/// 3.3).
pub fn compressible(rtype: RecordType) -> (usize, usize) {
    match rtype {
        RecordType::NS | RecordType::CNAME | RecordType::PTR => (0, 1),
        RecordType::MD | RecordType::MF | RecordType::MB | RecordType::MG | RecordType::MR => {
            (0, 1)
        }
        RecordType::SOA | RecordType::MINFO => (0, 2),
        RecordType::MX => (2, 1),
        _ => (0, 0),
    }
}

/// Octets of the uncompressed name at the start of `wire`.
pub fn name_length(wire: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&length) = wire.get(at) {
        at += 1 + usize::from(length);
        if length == 0 {
            break;
        }
    }
    at.min(wire.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Vec<u8> {
        text.parse::<Name>().unwrap().as_wire().to_vec()
    }

    /// The data of records of one type, one behind the other, and their pointers.
    fn compressed(
        owner: &str,
        rtype: RecordType,
        data: &[Vec<u8>],
    ) -> (Vec<u8>, Vec<(u16, PointerTarget)>) {
        let owner: Name = owner.parse().unwrap();
        let mut compressor = Compressor::new(owner.as_wire(), rtype, data.len());
        let (mut octets, mut pointers) = (Vec::new(), Vec::new());
        for data in data {
            compressor.data(rtype, data, 0, &mut octets, &mut pointers);
        }
        (
            octets,
            pointers
                .iter()
                .map(|pointer| (pointer.at, pointer.target()))
                .collect(),
        )
    }

    use PointerTarget::Within;

    fn last_labels(labels: u8, in_front: u8) -> PointerTarget {
        PointerTarget::OwnersEnd(OwnersEnd { labels, in_front })
    }

    #[test]
    fn a_name_points_at_the_longest_end_that_it_shares() {
        let data = [
            "a.gtld-servers.net.",
            "b.GTLD-servers.net.",
            "a.gtld-servers.net.",
            "net.",
            "x.com.",
        ]
        .map(wire);
        let (octets, pointers) = compressed("com.", RecordType::NS, &data);
        assert_eq!(
            octets,
            b"\x01a\x0cgtld-servers\x03net\0\x01b\0\0\0\0\0\0\x01x\0\0"
        );
        assert_eq!(
            pointers,
            [
                (22, Within(2)),
                (24, Within(0)),
                (26, Within(15)),
                (30, last_labels(1, 1))
            ]
        );
    }

    #[test]
    fn the_owner_comes_before_other_records_and_counts_from_its_end() {
        let data = ["ns.sub.example.com.", "sub.example.com.", "ns.Example.com."].map(wire);
        let (octets, pointers) = compressed("sub.example.com.", RecordType::NS, &data);
        assert_eq!(octets, b"\x02ns\0\0\0\0\x02ns\0\0");
        assert_eq!(
            pointers,
            [
                (3, last_labels(3, 2)),
                (5, last_labels(3, 0)),
                (10, last_labels(2, 2))
            ]
        );
    }

    #[test]
    fn a_wildcards_star_is_not_in_the_question() {
        let (octets, pointers) = compressed(
            "*.example.com.",
            RecordType::PTR,
            &[wire("a.*.example.com.")],
        );
        assert_eq!(
            (&octets[..], &pointers[..]),
            (&b"\x01a\x01*\0\0"[..], &[(4, last_labels(2, 1))][..])
        );
    }

    #[test]
    fn one_record_by_itself_ends_with_its_owner() {
        let compressed = |owner: &str, rtype, data: &[u8]| {
            let data = CompressedData::new(&owner.parse().unwrap(), rtype, data);
            (data.octets.to_vec(), data.end.map(|end| end.labels))
        };
        let target = wire("fra.example.com.");
        assert_eq!(
            compressed("www.example.com.", RecordType::CNAME, &target),
            (b"\x03fra".to_vec(), Some(2))
        );
        assert_eq!(
            compressed("*.example.com.", RecordType::CNAME, &target),
            (b"\x03fra".to_vec(), Some(2))
        );
        assert_eq!(
            compressed("www.example.net.", RecordType::CNAME, &target),
            (target.clone(), None)
        );
        let mx = [&[0, 10][..], &target].concat();
        assert_eq!(
            compressed("example.com.", RecordType::MX, &mx),
            (b"\0\x0a\x03fra".to_vec(), Some(2))
        );
        let srv = [&[0, 1, 0, 2, 0, 3][..], &target].concat();
        assert_eq!(
            compressed("example.com.", RecordType::SRV, &srv),
            (srv.clone(), None),
            "RFC 2782"
        );
    }

    #[test]
    fn rfc_3597_section_4_other_types_stay_whole() {
        let data = [&[0, 1, 0, 2, 0, 3][..], &wire("host.example.com.")].concat();
        assert_eq!(
            compressed("example.com.", RecordType::SRV, std::slice::from_ref(&data)),
            (data, vec![])
        );
        assert_eq!(
            compressed("example.com.", RecordType::NS, &[wire(".")]),
            (vec![0], vec![])
        );
    }

    #[test]
    fn both_names_of_a_soa_are_shortened() {
        let data = [
            wire("ns.elsewhere.net."),
            wire("hostmaster.elsewhere.net."),
            vec![7; 20],
        ]
        .concat();
        let (octets, pointers) = compressed("example.com.", RecordType::SOA, &[data]);
        assert_eq!(
            octets,
            [
                &b"\x02ns\x09elsewhere\x03net\0\x0ahostmaster\0\0"[..],
                &[7; 20]
            ]
            .concat()
        );
        assert_eq!(pointers, [(29, Within(3))]);
    }

    #[test]
    fn what_stands_too_far_behind_is_not_pointed_at() {
        let far: Vec<Vec<u8>> = (0..2000)
            .map(|number| wire(&format!("n{number}.net.")))
            .collect();
        let (_, pointers) = compressed(".", RecordType::NS, &far);
        assert!(
            pointers.iter().all(|(_, target)| *target == Within(3)),
            "all share the first one's net."
        );
        let again = [&far[..], &[wire("x.n1999.net."), wire("x.n1.net.")]].concat();
        let (_, pointers) = compressed(".", RecordType::NS, &again);
        assert!(
            matches!(pointers[pointers.len() - 2..], [(_, Within(3)), (_, Within(at))] if at > 3),
            "{pointers:?}"
        );
    }
}

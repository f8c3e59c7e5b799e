//! The canonical order of names (RFC 4034 section 6.1), in which a chain of NSEC records goes.
//!
//! Names are compared label by label from the right. Every function here takes names in wire form
//! **in lower case** and expects them to be well-formed; of others the result has no meaning, but
//! nothing panics. For a binary search, [`sort_prefix`] puts the start of the order into one number,
//! so that whole names are compared only where the numbers are equal.

use std::cmp::Ordering;

/// Most labels of a name of 255 octets.
const MOST_LABELS: usize = 128;

/// Where the labels of a name start.
struct LabelPlaces<'n> {
    wire: &'n [u8],
    starts: [u8; MOST_LABELS],
    count: usize,
}

impl<'n> LabelPlaces<'n> {
    fn of(wire: &'n [u8]) -> LabelPlaces<'n> {
        let mut places = LabelPlaces {
            wire,
            starts: [0; MOST_LABELS],
            count: 0,
        };
        let mut at = 0_usize;
        while let Some(&length @ 1..=63) = wire.get(at) {
            match places.starts.get_mut(places.count) {
                Some(start) => *start = at as u8,
                None => break,
            }
            places.count += 1;
            at += 1 + usize::from(length);
        }
        places
    }

    /// The label at this place from the right, its length left out.
    fn label_from_end(&self, index: usize) -> Option<&'n [u8]> {
        let place = self.count.checked_sub(index + 1)?;
        let rest = self.wire.get(usize::from(*self.starts.get(place)?)..)?;
        let (&length, rest) = rest.split_first()?;
        rest.get(..usize::from(length))
    }
}

/// Compares two lower-cased names in wire form in canonical order.
pub fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (a, b) = (LabelPlaces::of(a), LabelPlaces::of(b));
    let mut index = 0;
    loop {
        let order = match (a.label_from_end(index), b.label_from_end(index)) {
            (Some(one), Some(other)) => one.cmp(other),
            (one, other) => return one.is_some().cmp(&other.is_some()),
        };
        if order.is_ne() {
            return order;
        }
        index += 1;
    }
}

/// The first eight octets of [`sort_key`], zeros behind its end, as a number. If the numbers of two
/// names below the same apex differ, they order the names; if they are equal, [`compare_names`]
/// does.
///
/// The rightmost `skipped` labels are left out: those of the apex, which all names share.
pub fn sort_prefix(name: &[u8], skipped: usize) -> u64 {
    let places = LabelPlaces::of(name);
    let (mut number, mut room) = (0_u64, u64::BITS);
    let mut index = skipped;
    while let Some(label) = places.label_from_end(index) {
        for octet in label.iter().flat_map(|octet| escaped(*octet)) {
            if let Some(left) = room.checked_sub(u8::BITS) {
                room = left;
                number |= u64::from(octet) << room;
            }
        }
        // The octet 0 that ends a label.
        room = room.saturating_sub(u8::BITS);
        if room == 0 {
            break;
        }
        index += 1;
    }
    number
}

/// A key whose order, octet by octet, is the canonical order: the labels from the right without the
/// rightmost `skipped`, a 0 behind each. In a label, 0 is written as 1 1 and 1 as 1 2.
pub fn sort_key(name: &[u8], skipped: usize) -> Vec<u8> {
    let places = LabelPlaces::of(name);
    let mut key = Vec::with_capacity(name.len());
    let mut index = skipped;
    while let Some(label) = places.label_from_end(index) {
        key.extend(label.iter().flat_map(|octet| escaped(*octet)));
        key.push(0);
        index += 1;
    }
    key
}

/// An octet of a label as sort keys hold it.
fn escaped(octet: u8) -> impl Iterator<Item = u8> {
    let (first, second) = match octet {
        0 => (1, Some(1)),
        1 => (1, Some(2)),
        other => (other, None),
    };
    std::iter::once(first).chain(second)
}

/// The Labels field of an RRSIG record (RFC 4034 section 3.1.3): the labels of the owner without
/// the root and without a `*` at the front.
pub fn signed_labels(owner: &[u8]) -> u8 {
    let count = LabelPlaces::of(owner).count as u8;
    match owner {
        [1, b'*', ..] => count.saturating_sub(1),
        _ => count,
    }
}

/// The name without labels at the front, so that `labels` are left; the root label is not counted.
/// `None` if it has fewer.
pub fn last_labels(name: &[u8], labels: u8) -> Option<&[u8]> {
    let places = LabelPlaces::of(name);
    let index = places.count.checked_sub(usize::from(labels))?;
    if index == places.count {
        return name.last_chunk::<1>().map(|root| &root[..]);
    }
    name.get(usize::from(*places.starts.get(index)?)..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::Name;

    /// Names with few letters and odd octets, so that they often share labels and prefixes.
    fn names() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop::sample::select(vec![0_u8, 1, 2, b'*', b'a', b'b', b'z', 0xff]);
        let label = prop::collection::vec(octet, 1..4);
        prop::collection::vec(label, 0..5).prop_map(|labels| {
            let mut wire = Vec::new();
            for label in labels {
                wire.push(label.len() as u8);
                wire.extend(label);
            }
            wire.push(0);
            wire
        })
    }

    #[test]
    fn rfc4034_section_6_1_example() {
        let texts = [
            "example",
            "a.example",
            "yljkjljk.a.example",
            "z.a.example",
            "zabc.a.example",
            "z.example",
            r"\001.z.example",
            "*.z.example",
            r"\200.z.example",
        ];
        let names: Vec<Name> = texts.iter().map(|text| text.parse().unwrap()).collect();
        for pair in names.windows(2) {
            let (one, next) = (pair[0].as_wire(), pair[1].as_wire());
            assert!(compare_names(one, next).is_lt(), "{pair:?}");
            assert!(sort_prefix(one, 1) <= sort_prefix(next, 1), "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_names_and_of_keys(a in names(), b in names()) {
            let order = compare_names(&a, &b);
            let (one, other) = (Name::from_wire(&a).unwrap(), Name::from_wire(&b).unwrap());
            prop_assert_eq!(order, one.cmp(&other));
            prop_assert_eq!(order, sort_key(&a, 0).cmp(&sort_key(&b, 0)));
            let numbers = sort_prefix(&a, 0).cmp(&sort_prefix(&b, 0));
            prop_assert!(numbers.is_eq() || numbers == order);
        }

        #[test]
        fn the_prefix_is_the_start_of_the_key(name in names(), skipped in 0..3_usize) {
            let mut key = sort_key(&name, skipped);
            key.resize(8, 0);
            prop_assert_eq!(sort_prefix(&name, skipped).to_be_bytes(), &key[..]);
        }

        #[test]
        fn octets_by_chance_are_no_panic(a in prop::collection::vec(any::<u8>(), 0..300)) {
            compare_names(&a, b"\x01a\0");
            sort_prefix(&a, 0);
            signed_labels(&a);
            last_labels(&a, 2);
        }
    }

    #[test]
    fn labels_are_counted_without_root_and_asterisk() {
        let wire = |text: &str| text.parse::<Name>().unwrap().as_wire().to_vec();
        assert_eq!(signed_labels(&wire("a.b.c")), 3);
        assert_eq!(signed_labels(&wire("*.b.c")), 2);
        assert_eq!(signed_labels(&wire("a.*.c")), 3);
        assert_eq!(signed_labels(&wire(".")), 0);
        assert_eq!(last_labels(&wire("a.b.c"), 2), Some(&b"\x01b\x01c\0"[..]));
        assert_eq!(last_labels(&wire("a.b.c"), 0), Some(&b"\0"[..]));
        assert_eq!(last_labels(&wire("a.b.c"), 4), None);
    }
}

//! The canonical order of names (RFC 4034 section 6.1).
//!
//! Names are compared label by label from the right, without regard to case. In this order everything
//! below a name follows it: a delegation covers one run of names, and the names that an NSEC record
//! denies are those between two neighbours. [`sort_number`] is the start of a name's sort key as a
//! number, so that most comparisons are one of numbers.

use std::cmp::Ordering;

/// Labels of a name at most, without the root (RFC 1035 section 2.3.4).
const MAX_LABELS: usize = 127;

/// Where the labels of a name start.
struct LabelStarts {
    starts: [u8; MAX_LABELS],
    count: usize,
}

impl LabelStarts {
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "positions inside a name, which has at most 255 octets"
    )]
    fn of(wire: &[u8]) -> LabelStarts {
        let mut found = LabelStarts {
            starts: [0; MAX_LABELS],
            count: 0,
        };
        let mut at = 0;
        while let Some(&length) = wire.get(at)
            && length > 0
            && let Some(place) = found.starts.get_mut(found.count)
        {
            *place = at as u8;
            found.count += 1;
            at += 1 + usize::from(length);
        }
        found
    }

    /// The labels from the right.
    fn rightmost_first<'w>(&self, wire: &'w [u8]) -> impl Iterator<Item = &'w [u8]> {
        let starts = self.starts.get(..self.count).unwrap_or_default();
        starts.iter().rev().map(|&start| label_at(wire, start))
    }
}

/// The label whose length is at a position.
fn label_at(wire: &[u8], start: u8) -> &[u8] {
    match wire.get(usize::from(start)..).and_then(<[u8]>::split_first) {
        Some((&length, rest)) => rest.get(..usize::from(length)).unwrap_or_default(),
        None => &[],
    }
}

/// Compares two names in wire form.
pub fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    let (labels_a, labels_b) = (LabelStarts::of(a), LabelStarts::of(b));
    let (mut of_a, mut of_b) = (labels_a.rightmost_first(a), labels_b.rightmost_first(b));
    loop {
        let (one, other) = match (of_a.next(), of_b.next()) {
            (Some(one), Some(other)) => (one, other),
            (one, other) => return one.is_some().cmp(&other.is_some()),
        };
        if !one.eq_ignore_ascii_case(other) {
            let one = one.iter().map(u8::to_ascii_lowercase);
            return one.cmp(other.iter().map(u8::to_ascii_lowercase));
        }
    }
}

/// The first sixteen octets of a key that sorts as the names below an apex do: labels from the
/// right in lower case, a zero after each; the octets 0 and 1 inside a label become 1 1 and 1 2.
/// Names with the same number may differ.
pub fn sort_number(wire: &[u8], apex_labels: usize) -> u128 {
    SortKey::of(wire, apex_labels, u128::BITS)
}

/// The first eight octets of the same key.
pub fn short_sort_number(wire: &[u8], apex_labels: usize) -> u64 {
    SortKey::of(wire, apex_labels, u64::BITS) as u64
}

/// The start of a sort key.
struct SortKey {
    number: u128,
    /// Bits that are left.
    room: u32,
}

impl SortKey {
    #[inline]
    fn of(wire: &[u8], apex_labels: usize, room: u32) -> u128 {
        let mut key = SortKey { number: 0, room };
        let labels = LabelStarts::of(wire);
        for label in labels.rightmost_first(wire).skip(apex_labels) {
            for octet in label {
                match octet.to_ascii_lowercase() {
                    escaped @ 0..=1 => {
                        key.push(1);
                        key.push(escaped.saturating_add(1));
                    }
                    lower => key.push(lower),
                }
                if key.room == 0 {
                    return key.number;
                }
            }
            key.push(0);
        }
        key.number.checked_shl(key.room).unwrap_or_default()
    }

    #[inline]
    fn push(&mut self, octet: u8) {
        if let Some(room) = self.room.checked_sub(u8::BITS) {
            self.number = self.number << u8::BITS | u128::from(octet);
            self.room = room;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Name;

    #[test]
    fn names_are_in_the_order_of_rfc_4034_section_6_1() {
        let ordered = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            "\\001.z.example.",
            "*.z.example.",
            "\\200.z.example.",
        ];
        let mut names = Vec::new();
        for text in ordered {
            names.push(Name::parse(text, &Name::root()).unwrap());
        }
        for (at, one) in names.iter().enumerate() {
            for (other_at, other) in names.iter().enumerate() {
                let (one, other) = (one.as_wire(), other.as_wire());
                assert_eq!(compare_names(one, other), at.cmp(&other_at));
                let by_number = sort_number(one, 1).cmp(&sort_number(other, 1));
                assert!(by_number == Ordering::Equal || by_number == at.cmp(&other_at));
            }
        }
    }

    #[test]
    fn octets_zero_and_one_inside_a_label_keep_the_order() {
        let mut names = Vec::new();
        for text in [
            "c.a", "b.a\\000", "a\\000b", "a\\001", "a\\001a", "ab", "a.ab",
        ] {
            names.push(Name::parse(text, &Name::root()).unwrap());
        }
        names.sort_by(|a, b| compare_names(a.as_wire(), b.as_wire()));
        for pair in names.windows(2) {
            let [one, other] = pair else { unreachable!() };
            assert!(sort_number(one.as_wire(), 0) <= sort_number(other.as_wire(), 0));
        }
    }

    #[test]
    fn a_sort_number_is_the_start_of_the_key() {
        for (text, key) in [
            ("example.", &b""[..]),
            ("b.A.example.", b"a\0b\0"),
            ("\\000\\001.example.", b"\x01\x01\x01\x02\0"),
            ("1234567.example.", b"1234567\0"),
            ("2.1234567.example.", b"1234567\x002\0"),
            (
                "\\0002345678901234567890.example.",
                b"\x01\x0123456789012345",
            ),
            ("123456789012345\\000.example.", b"123456789012345\x01"),
        ] {
            let name = Name::parse(text, &Name::root()).unwrap();
            let mut octets = [0; 16];
            octets[..key.len()].copy_from_slice(key);
            let number = u128::from_be_bytes(octets);
            assert_eq!(sort_number(name.as_wire(), 1), number, "{text}");
            let short = (number >> 64) as u64;
            assert_eq!(short_sort_number(name.as_wire(), 1), short, "{text}");
        }
    }
}

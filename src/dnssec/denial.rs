//! How a signed zone proves what does not exist, and the names next to a name.
//!
//! The records of a denial are signed ahead with the rest of the zone, except those of compact denial
//! for names that do not exist (RFC 9824). Such a record reaches from a name to the one right behind
//! it, so it says nothing of any other name. The neighbours of a name are those of RFC 4471, in the
//! canonical order of names (RFC 4034 section 6.1). Names are in lower-cased wire form.

use crate::dns::name::{MAX_LABEL, MAX_NAME};

/// The types of a record about a name that does not exist: RRSIG, NSEC and NXNAME (RFC 9824 section
/// 3.1), as a bitmap.
pub const TYPES_OF_MISSING: [u8; 19] =
    [0, 17, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80];
/// RRSIG and NSEC alone, as a bitmap: the types of a name that only has a record of the chain.
pub const TYPES_OF_CHAIN: [u8; 8] = [0, 6, 0, 0, 0, 0, 0, 3];

/// How a zone proves what does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ZoneDenial {
    /// A chain of the names (RFC 4034 section 4), with which a zone can be read name by name.
    #[default]
    Nsec,
    /// A chain of the hashes of the names (RFC 5155), with the parameters of RFC 9276.
    Nsec3,
    /// A record for each question, which says that the name exists without data (RFC 9824). Those of
    /// names that exist are signed ahead, the others when somebody asks.
    Compact,
}

/// A name in wire form that was made from another.
#[derive(Debug, Clone, Copy)]
pub struct NextName {
    octets: [u8; MAX_NAME],
    length: usize,
}

impl NextName {
    fn new() -> NextName {
        NextName {
            octets: [0; MAX_NAME],
            length: 0,
        }
    }

    /// Its wire form.
    pub fn as_wire(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// Appends octets; `None` if the name would be too long.
    fn push(&mut self, octets: &[u8]) -> Option<()> {
        let end = self.length.checked_add(octets.len())?;
        self.octets
            .get_mut(self.length..end)?
            .copy_from_slice(octets);
        self.length = end;
        Some(())
    }

    fn of(label: &[u8], rest: &[u8]) -> Option<NextName> {
        if label.is_empty() || label.len() > MAX_LABEL {
            return None;
        }
        let mut name = NextName::new();
        name.push(&[label.len() as u8])?;
        name.push(label)?;
        name.push(rest)?;
        Some(name)
    }
}

/// The name right behind a name: the first one below it. Nothing is below the longest names, so for
/// them it is the one beside it. `None`: the name is the root, or the last of all.
pub fn name_below(name: &[u8]) -> Option<NextName> {
    NextName::of(&[0], name).or_else(|| name_beside(name))
}

/// The name right behind a name and everything below it. `None`: the name is the root, or the last
/// of all.
pub fn name_beside(name: &[u8]) -> Option<NextName> {
    let (label, rest) = first_label(name)?;
    let mut longer = [0; MAX_LABEL];
    let place = longer.get_mut(..label.len())?;
    place.copy_from_slice(label);
    if let Some(longer) = longer.get(..label.len().saturating_add(1))
        && let Some(name) = NextName::of(longer, rest)
    {
        return Some(name);
    }
    // There is no longer label: the last octet that can be increased is, and ends it.
    let mut length = label.len();
    while let Some(last) = length.checked_sub(1) {
        let octet = longer.get_mut(last)?;
        if let Some(next) = octet.checked_add(1) {
            *octet = behind_capitals(next);
            return NextName::of(longer.get(..length)?, rest);
        }
        length = last;
    }
    name_beside(rest)
}

/// The name right in front of a name that does not exist, of those that have its parent. What is below
/// the result does not exist either, because a label of this length is nobody's. `None`: the label
/// ends with a zero octet, so a name that exists could be there.
pub fn name_before(name: &[u8]) -> Option<NextName> {
    let (label, rest) = first_label(name)?;
    let (last, start) = label.split_last()?;
    let before = match last.checked_sub(1)? {
        // Capitals are equal to small letters, and stand where those do.
        b'A'..=b'Z' => b'@',
        other => other,
    };
    let mut full = [0xff; MAX_LABEL];
    full.get_mut(..start.len())?.copy_from_slice(start);
    *full.get_mut(start.len())? = before;
    let room = MAX_NAME.checked_sub(rest.len().checked_add(1)?)?;
    NextName::of(full.get(..room.min(MAX_LABEL))?, rest)
}

/// An octet, or the one behind the capital letters, which do not occur.
fn behind_capitals(octet: u8) -> u8 {
    match octet {
        b'A'..=b'Z' => b'[',
        other => other,
    }
}

/// The first label and what is behind it; `None` for the root.
fn first_label(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = name.split_first()?;
    match length {
        0 => None,
        length => rest.split_at_checked(usize::from(*length)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::name_order::compare_names;
    use crate::dns::{Name, RecordType};
    use crate::dnssec::TypeSet;

    fn label() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 1..5),
            prop::collection::vec(prop::sample::select(b"\0\x01@[`a{\xff".to_vec()), 1..4),
            prop::collection::vec(prop::sample::select(b"@z\xff".to_vec()), 60..64),
        ]
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(label(), 1..7).prop_filter_map("too long", |labels| {
            let mut wire = Vec::new();
            for label in labels {
                wire.push(label.len() as u8);
                wire.extend(label.to_ascii_lowercase());
            }
            wire.push(0);
            Name::from_wire(&wire).ok().map(|_| wire)
        })
    }

    fn is_within(name: &[u8], other: &[u8]) -> bool {
        let (name, other) = (
            Name::from_wire(name).unwrap(),
            Name::from_wire(other).unwrap(),
        );
        name.is_within(&other)
    }

    proptest! {
        #[test]
        fn no_name_lies_between_a_name_and_its_neighbours(one in name(), other in name()) {
            let below = name_below(&one).unwrap();
            prop_assert!(compare_names(&one, below.as_wire()).is_lt());
            let is_between = compare_names(&one, &other).is_lt()
                && compare_names(&other, below.as_wire()).is_lt();
            prop_assert!(!is_between, "{below:?}");
            let Some(beside) = name_beside(&one) else { return Ok(()) };
            prop_assert!(compare_names(&one, beside.as_wire()).is_lt());
            let is_between = compare_names(&one, &other).is_lt()
                && compare_names(&other, beside.as_wire()).is_lt();
            prop_assert_eq!(is_between, other != one && is_within(&other, &one));
            let Some(before) = name_before(&one) else { return Ok(()) };
            prop_assert!(compare_names(before.as_wire(), &one).is_lt());
            let is_between = compare_names(before.as_wire(), &other).is_lt()
                && compare_names(&other, &one).is_lt();
            prop_assert!(!is_between || is_within(&other, before.as_wire()));
        }

        #[test]
        fn a_name_beside_a_relative_is_a_neighbour_too(one in name(), octet in any::<u8>()) {
            // Close relatives are where a mistake would show.
            let (length, rest) = one.split_first().unwrap();
            let mut longer = vec![length + 1];
            longer.extend(&rest[..usize::from(*length)]);
            longer.push(octet.to_ascii_lowercase());
            longer.extend(&rest[usize::from(*length)..]);
            if *length == 63 || longer.len() > MAX_NAME {
                return Ok(());
            }
            if let Some(beside) = name_beside(&one) {
                prop_assert!(compare_names(beside.as_wire(), &longer).is_le());
            }
            if let Some(before) = name_before(&longer) {
                prop_assert!(compare_names(&one, before.as_wire()).is_lt());
            }
        }

        #[test]
        fn octets_by_chance_are_no_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            name_below(&octets);
            name_beside(&octets);
            name_before(&octets);
        }
    }

    #[test]
    fn rfc9824_section_3_examples() {
        let below = name_below(b"\x01a\x07example\x03com\0").unwrap();
        assert_eq!(below.as_wire(), b"\x01\0\x01a\x07example\x03com\0");
        let beside = name_beside(b"\x03sub\x07example\x03com\0").unwrap();
        assert_eq!(beside.as_wire(), b"\x04sub\0\x07example\x03com\0");
        let before = name_before(b"\x03foo\0").unwrap();
        assert_eq!(before.as_wire()[..5], *b"\x3ffon\xff");
        assert!(name_before(b"\x02a\0\0").is_none());
    }

    #[test]
    fn the_bitmaps_have_their_types() {
        let types = TypeSet::parse(&TYPES_OF_MISSING).unwrap();
        let expected = [RecordType::RRSIG, RecordType::NSEC, RecordType::NXNAME];
        assert_eq!(types, TypeSet::from_iter(expected));
        let types = TypeSet::parse(&TYPES_OF_CHAIN).unwrap();
        assert_eq!(
            types,
            TypeSet::from_iter([RecordType::RRSIG, RecordType::NSEC])
        );
    }
}

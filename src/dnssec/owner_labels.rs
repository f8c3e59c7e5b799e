//! The labels of owners, as signatures count them (RFC 4034 section 3.1.3).
//!
//! A signature states how many labels its owner has, without the root and without a `*` at the front. From
//! that a validator learns which wildcard an answer was expanded from. Names are in wire form and well-formed;
//! of others the result has no meaning, but nothing panics.

/// Most labels of a name of 255 octets.
const MOST_LABELS: usize = 128;

/// Where the labels of a name start.
struct LabelPlaces {
    starts: [u8; MOST_LABELS],
    count: usize,
}

impl LabelPlaces {
    fn of(wire: &[u8]) -> LabelPlaces {
        let mut places = LabelPlaces {
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

    proptest! {
        #[test]
        fn octets_by_chance_are_no_panic(name in prop::collection::vec(any::<u8>(), 0..300)) {
            signed_labels(&name);
            last_labels(&name, 2);
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

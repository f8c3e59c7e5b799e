//! Compression pointers of a reply under way (RFC 1035 section 4.1.4): set, found and followed.

use crate::dns::reply::POINTER_REACH;
use crate::dns::{SearchName, name};

/// The length of a label that is not there.
pub const NO_LABEL: u8 = 0xff;

/// A pointer to what stands at `target`.
#[inline]
pub fn pointer_to(target: u16) -> [u8; 2] {
    (0xc000 | target).to_be_bytes()
}

/// Makes the two octets at `at` point to `target`.
#[inline]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions inside a message, which has at most 65,535 octets"
)]
pub fn set_pointer(octets: &mut [u8], at: usize, target: u16) {
    if let Some(place) = octets.get_mut(at..at + 2) {
        place.copy_from_slice(&pointer_to(target));
    }
}

/// Where the name at `at` stands without its first `skip` labels, pointers followed.
pub fn name_end(message: &[u8], at: u16, skip: usize) -> u16 {
    skip_labels(message, at, skip).0
}

/// The same, and the length of the last label that was skipped; `skip` is 0: [`NO_LABEL`].
#[inline]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions inside a message, which has at most 65,535 octets"
)]
pub fn skip_labels(message: &[u8], at: u16, skip: usize) -> (u16, u8) {
    let mut at = usize::from(at);
    let mut left = skip;
    let mut skipped = NO_LABEL;
    // Each step takes a label or goes back, and a name has at most 127 labels and as many pointers here.
    for _ in 0..2 * name::MAX_NAME {
        match message.get(at).copied() {
            Some(high @ 0xc0..) => {
                at = usize::from(high & 0x3f) << 8
                    | usize::from(message.get(at + 1).copied().unwrap_or(0))
            }
            _ if left == 0 => break,
            Some(length) => {
                at += 1 + usize::from(length);
                left -= 1;
                skipped = length;
            }
            None => break,
        }
    }
    (at.min(POINTER_REACH) as u16, skipped)
}

/// Where the last so many labels of the name at `at` stand.
pub fn last_labels(message: &[u8], at: u16, labels: usize) -> u16 {
    let mut wire = [0; name::MAX_NAME];
    let whole = expand(message, usize::from(at), &mut wire)
        .and_then(|length| SearchName::from_wire(wire.get(..length)?));
    let skip = whole.map_or(0, |whole| whole.label_count().saturating_sub(labels));
    name_end(message, at, skip)
}

/// The uncompressed form of the name at `at`; its length, or `None` if it does not fit.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions inside a message, which has at most 65,535 octets"
)]
pub fn expand(message: &[u8], mut at: usize, wire: &mut [u8]) -> Option<usize> {
    let mut length = 0;
    for _ in 0..2 * name::MAX_NAME {
        let octet = *message.get(at)?;
        if octet >= 0xc0 {
            at = usize::from(octet & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
            continue;
        }
        let label = message.get(at..at + 1 + usize::from(octet))?;
        wire.get_mut(length..length + label.len())?
            .copy_from_slice(label);
        length += label.len();
        at += label.len();
        if octet == 0 {
            return Some(length);
        }
    }
    None
}

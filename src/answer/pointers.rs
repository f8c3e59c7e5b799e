//! Compression pointers of a reply that is being written (RFC 1035 section 4.1.4).
//!
//! These functions make a pointer, follow pointers through a name, and find the positions in a name
//! to which a later name can point. The reply is our own, but its question comes from the client,
//! so every step is bounded.

use crate::dns::reply::POINTER_REACH;
use crate::dns::{SearchName, WireReader, name};

/// The length of a label that does not exist.
pub const NO_LABEL: u8 = 0xff;
/// The most steps through a name: it has at most 127 labels, and as many pointers in our replies.
const MAX_STEPS: usize = 2 * name::MAX_NAME;

/// Where the end of a name begins in the reply.
#[derive(Clone, Copy)]
pub struct NameEnd {
    /// Its position.
    pub at: u16,
    /// Octets of the label in front of it; [`NO_LABEL`] if no label was skipped.
    pub in_front: u8,
}

/// A pointer to a position.
#[inline]
pub fn pointer_to(target: u16) -> [u8; 2] {
    (0xc000 | target).to_be_bytes()
}

/// The position that a pointer leads to.
fn target_of(high: u8, low: u8) -> usize {
    usize::from(u16::from_be_bytes([high & 0x3f, low]))
}

/// Overwrites the two octets at a position with a pointer to `target`.
#[inline]
pub fn set_pointer(octets: &mut [u8], at: usize, target: u16) {
    if let Some(octets) = octets.get_mut(at..)
        && let Some(place) = octets.first_chunk_mut::<2>()
    {
        *place = pointer_to(target);
    }
}

/// Where the name at a position continues behind its first `skip` labels, pointers followed.
#[inline]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "positions inside a message, which has at most 65,535 octets"
)]
pub fn skip_labels(message: &[u8], at: u16, skip: usize) -> NameEnd {
    let mut at = usize::from(at);
    let mut left = skip;
    let mut in_front = NO_LABEL;
    for _ in 0..MAX_STEPS {
        match message.get(at).copied() {
            Some(high @ 0xc0..) => {
                at = target_of(high, message.get(at + 1).copied().unwrap_or(0));
            }
            _ if left == 0 => break,
            Some(length) => {
                at += 1 + usize::from(length);
                left -= 1;
                in_front = length;
            }
            None => break,
        }
    }
    NameEnd {
        at: at.min(POINTER_REACH) as u16,
        in_front,
    }
}

/// Where the last so many labels of the name at a position begin.
pub fn last_labels(message: &[u8], at: u16, labels: usize) -> u16 {
    let skip = match expanded(message, at) {
        Some(name) => name.label_count().saturating_sub(labels),
        None => 0,
    };
    skip_labels(message, at, skip).at
}

/// The name at a position, pointers followed.
pub fn expanded(message: &[u8], at: u16) -> Option<SearchName> {
    let mut wire = [0; name::MAX_NAME];
    let length = expand(message, usize::from(at), &mut wire)?;
    SearchName::from_wire(wire.get(..length)?)
}

/// Writes the uncompressed form of the name at a position and returns its length; `None` if it does
/// not fit.
pub fn expand(message: &[u8], at: usize, wire: &mut [u8]) -> Option<usize> {
    let mut reader = WireReader::at(message, at)?;
    let mut length = 0_usize;
    for _ in 0..MAX_STEPS {
        let labels = reader.labels();
        wire.get_mut(length..)?
            .get_mut(..labels.len())?
            .copy_from_slice(labels);
        length = length.checked_add(labels.len())?;
        match reader.u8()? {
            0 => {
                *wire.get_mut(length)? = 0;
                return length.checked_add(1);
            }
            high @ 0xc0.. => reader = WireReader::at(message, target_of(high, reader.u8()?))?,
            _ => return None,
        }
    }
    None
}

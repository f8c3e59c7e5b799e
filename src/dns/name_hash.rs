//! A hash of names, by which zones keep them and queries find them.
//!
//! The tables are built from the operator's own zones and never grow by queries, so no client can
//! cause collisions. Sixteen octets are folded in by one multiplication.

/// A hash of a lower-cased wire name.
#[inline]
pub fn name_hash(name: &[u8]) -> u64 {
    let length = name.len() as u64;
    let Some(last) = name.last_chunk::<LANE>() else {
        return mixed(length, short_lane(name));
    };
    let mut hash = length;
    let mut rest = name;
    while let Some((lane, after)) = rest.split_first_chunk::<LANE>()
        && !after.is_empty()
    {
        hash = mixed(hash, u128::from_le_bytes(*lane));
        rest = after;
    }
    // The last octets; the lane may overlap the one before.
    mixed(hash, u128::from_le_bytes(*last))
}

/// Octets that are hashed at a time.
const LANE: usize = 16;

/// The octets of a name shorter than a lane: its first and last eight, which may overlap.
#[inline]
fn short_lane(name: &[u8]) -> u128 {
    match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            u128::from(u64::from_le_bytes(*first)) << 64 | u128::from(u64::from_le_bytes(*last))
        }
        _ => {
            let mut lane = 0;
            for &octet in name {
                lane = lane << 8 | u128::from(octet);
            }
            lane
        }
    }
}

/// Folds a lane into the hash by one multiplication.
#[inline]
fn mixed(hash: u64, lane: u128) -> u64 {
    let (low, high) = (
        lane as u64 ^ 0x9e37_79b9_7f4a_7c15 ^ hash,
        (lane >> 64) as u64 ^ 0xd1b5_4a32_d192_ed03,
    );
    let product = u128::from(low).wrapping_mul(u128::from(high));
    product as u64 ^ (product >> 64) as u64
}

//! What the tests of this room share: digests, and views of a voter.
//!
//! Digests are numbers spread over all of 64 bits, as real ones are. The views have no checks; a
//! test adds its own.

use super::view::VoterView;

/// A digest made of a small number.
pub fn spread(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// A view of the fleet `world` without checks, in the group `west`.
pub fn view(voter: &str, sequence: u64) -> VoterView {
    VoterView {
        fleet: "world".into(),
        voter: voter.into(),
        group: "west".into(),
        epoch: 1,
        sequence,
        known_groups: 1,
        bits: 0,
        blocks: std::sync::Arc::new(vec![super::view::ViewBlock {
            digest: 0,
            votes: Vec::new(),
            spelled: None,
        }]),
        regions: Vec::new(),
        announcement: None,
    }
}

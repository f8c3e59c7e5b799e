//! The hash of a client and the pseudorandom numbers of a pick.
//!
//! Both are SplitMix64, so they are the same on every server and in every run: a client keeps its
//! share and its sticky endpoint, and a test can repeat a pick from its seed.

use std::net::IpAddr;

/// The client's stable prefix (/24 for IPv4, /48 for IPv6), hashed alike on every server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientHash {
    prefix: u64,
}

/// Prefix length of an IPv4 client for shares and sticky picks.
pub const STABLE_PREFIX_V4: u8 = 24;
/// Prefix length of an IPv6 client for shares and sticky picks.
pub const STABLE_PREFIX_V6: u8 = 48;

impl ClientHash {
    /// The client at an address.
    #[inline]
    pub fn at(address: IpAddr) -> ClientHash {
        match address {
            IpAddr::V4(address) => ClientHash::at_v4(address.to_bits()),
            IpAddr::V6(address) => ClientHash::at_v6(address.to_bits()),
        }
    }

    /// The client at an IPv4 address.
    #[inline]
    pub fn at_v4(address: u32) -> ClientHash {
        ClientHash {
            prefix: u64::from(address >> 8),
        }
    }

    /// The client at an IPv6 address.
    #[inline]
    pub fn at_v6(address: u128) -> ClientHash {
        ClientHash {
            prefix: (address >> 80) as u64 | 1 << 63,
        }
    }

    /// A hash of the client for one purpose; hashes with different salts are independent.
    #[inline]
    fn with_salt(self, salt: u64) -> u64 {
        mix(mix(self.prefix) ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The hash that decides whether this region's share takes the client.
    #[inline]
    pub(super) fn for_share(self, region: u8) -> u64 {
        self.with_salt(u64::from(region))
    }

    /// The hash that decides which hand of a region's deck is the client's.
    #[inline]
    pub(in crate::steering) fn for_hand(self, region: u8) -> u64 {
        self.with_salt(!u64::from(region))
    }

    /// The score of a candidate in weighted rendezvous hashing: the highest score wins.
    pub(in crate::steering) fn score(self, salt: u64, weight: u64) -> f64 {
        // 53 bits and a half: never 0 and never 1, so the logarithm is finite and below 0.
        let unit = ((self.with_salt(salt) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        -(weight as f64) / unit.ln()
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
/// 2014).
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The next draw after `draw`: the step of SplitMix64.
#[inline]
pub fn next_draw(draw: u64) -> u64 {
    mix(draw.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

/// A draw for the endpoint that is independent of the one for its region.
#[inline]
pub(super) fn endpoint_draw(draw: u64) -> u64 {
    next_draw(!draw)
}

/// Maps a uniform draw to `0..total`, exact to one part in 2^64 / total; 0 when `total` is 0.
///
/// Multiply and shift (Lemire: Fast random integer generation in an interval, 2019).
#[inline]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the product of two 64-bit numbers fits into 128 bits"
)]
pub(in crate::steering) fn below(draw: u64, total: u64) -> u64 {
    ((u128::from(draw) * u128::from(total)) >> 64) as u64
}

/// [`below`], and a draw that is independent of it: uniform to one part in 2^64 / total.
#[inline]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the product of two 64-bit numbers fits into 128 bits"
)]
pub(in crate::steering) fn with_rest(draw: u64, total: u64) -> (u64, u64) {
    let product = u128::from(draw) * u128::from(total);
    ((product >> 64) as u64, product as u64)
}

//! IPv4 and IPv6 addresses as plain numbers.
//!
//! [`AddressBits`] lets the code for ranges, layers and search trees be generic over both families.

use std::fmt::Debug;
use std::net::IpAddr;

/// An address as a number: `u32` for IPv4, `u128` for IPv6.
pub trait AddressBits: Copy + Ord + Debug + Default + Send + Sync + 'static {
    /// 32 or 128.
    const BITS: u32;
    /// The last address of the family.
    const LAST: Self;

    /// The same number in 128 bits.
    fn widen(self) -> u128;

    /// The low bits of a number; higher bits are dropped.
    fn truncate(wide: u128) -> Self;

    /// `self + (step << zeros)`, wrapping at the end of the space. A shift by all bits or more adds 0.
    fn stepped(self, step: u128, zeros: u8) -> Self;

    /// The distance from an earlier address, shifted right by its trailing zero bits, and their
    /// number.
    fn distance_from(self, earlier: Self) -> (u128, u8);

    /// The address as an [`IpAddr`].
    fn ip(self) -> IpAddr;

    /// The address as a number; `None` if it belongs to the other family.
    fn from_ip(ip: IpAddr) -> Option<Self>;

    /// The same address with the bit after a prefix of `depth` bits set: the start of the upper
    /// half of that prefix.
    #[inline]
    fn upper_half(self, depth: u32) -> Self {
        Self::truncate(
            self.widen()
                | 1u128
                    .checked_shl(Self::BITS - 1 - depth.min(Self::BITS - 1))
                    .unwrap_or(0),
        )
    }

    /// The first and the last address of the prefix of `length` bits that contains this address.
    fn prefix(self, length: u8) -> (Self, Self) {
        let hosts = Self::LAST
            .widen()
            .checked_shr(u32::from(length))
            .unwrap_or(0);
        (
            Self::truncate(self.widen() & !hosts),
            Self::truncate(self.widen() | hosts),
        )
    }

    /// The next address; `None` after the last.
    fn next(self) -> Option<Self> {
        (self < Self::LAST).then(|| Self::truncate(self.widen() + 1))
    }
}

impl AddressBits for u32 {
    const BITS: u32 = 32;
    const LAST: u32 = u32::MAX;

    #[inline]
    fn widen(self) -> u128 {
        u128::from(self)
    }

    #[inline]
    fn truncate(wide: u128) -> u32 {
        wide as u32
    }

    #[inline]
    fn stepped(self, step: u128, zeros: u8) -> u32 {
        self.wrapping_add((step as u32).checked_shl(u32::from(zeros)).unwrap_or(0))
    }

    #[inline]
    fn distance_from(self, earlier: u32) -> (u128, u8) {
        let distance = self.wrapping_sub(earlier);
        let zeros = if distance == 0 {
            0
        } else {
            distance.trailing_zeros()
        };
        ((distance >> zeros).widen(), zeros as u8)
    }

    fn ip(self) -> IpAddr {
        IpAddr::V4(self.into())
    }

    fn from_ip(ip: IpAddr) -> Option<u32> {
        match ip {
            IpAddr::V4(address) => Some(address.into()),
            IpAddr::V6(_) => None,
        }
    }
}

impl AddressBits for u128 {
    const BITS: u32 = 128;
    const LAST: u128 = u128::MAX;

    #[inline]
    fn widen(self) -> u128 {
        self
    }

    #[inline]
    fn truncate(wide: u128) -> u128 {
        wide
    }

    #[inline]
    fn stepped(self, step: u128, zeros: u8) -> u128 {
        self.wrapping_add(step.checked_shl(u32::from(zeros)).unwrap_or(0))
    }

    #[inline]
    fn distance_from(self, earlier: u128) -> (u128, u8) {
        let distance = self.wrapping_sub(earlier);
        let zeros = if distance == 0 {
            0
        } else {
            distance.trailing_zeros()
        };
        ((distance >> zeros).widen(), zeros as u8)
    }

    fn ip(self) -> IpAddr {
        IpAddr::V6(self.into())
    }

    fn from_ip(ip: IpAddr) -> Option<u128> {
        match ip {
            IpAddr::V6(address) => Some(address.into()),
            IpAddr::V4(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_any_length() {
        assert_eq!(0x0a01_0203u32.prefix(8), (0x0a00_0000, 0x0aff_ffff));
        assert_eq!(7u32.prefix(0), (0, u32::MAX));
        assert_eq!(7u32.prefix(32), (7, 7));
        assert_eq!(7u128.prefix(0), (0, u128::MAX));
        assert_eq!(7u128.prefix(128), (7, 7));
    }

    #[test]
    fn the_upper_half_of_a_prefix() {
        assert_eq!(0u32.upper_half(0), 1 << 31);
        assert_eq!(0u32.upper_half(31), 1);
        assert_eq!(0u128.upper_half(0), 1 << 127);
        assert_eq!(u32::MAX.next(), None);
    }
}

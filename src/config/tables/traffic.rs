//! `[traffic]` as written: what is noted of who asks.

use crate::config::document::tables;
use crate::config::values::plain::WholeNumber;

tables! {
    /// What is noted of who asks, so that foresight can count real clients.
    Traffic {
        /// Of so many queries for services one is noted, 1 to 1,000,000, rounded up to a power of
        /// two.
        sample: WholeNumber<1, 1_000_000> => "none",
        /// Bits of an IPv4 address that are noted, 8 to 24.
        ipv4_prefix: WholeNumber<8, 24> = 24,
        /// Bits of an IPv6 address that are noted, 16 to 48.
        ipv6_prefix: WholeNumber<16, 48> = 48,
    }
}

//! `[traffic]` as written: which queries are recorded.
//!
//! Nothing is recorded by default. Of an address, only its first bits are kept.

use crate::config::document::tables;
use crate::config::values::plain::WholeNumber;

tables! {
    /// The sample of queries that is recorded, so that forecasts can count real clients.
    Traffic {
        /// One of this many queries for services is recorded, 1 to 1,000,000, rounded up to a power
        /// of two.
        sample: WholeNumber<1, 1_000_000> => "none",
        /// Bits of an IPv4 address that are recorded, 8 to 24.
        ipv4_prefix: WholeNumber<8, 24> = 24,
        /// Bits of an IPv6 address that are recorded, 16 to 48.
        ipv6_prefix: WholeNumber<16, 48> = 48,
    }
}

//! `[traffic]` as written: what is noted of who asks.

use super::model::TrafficSample;
use super::read::tables;
use super::values::WholeNumber;

tables! {
    /// What is noted of who asks, so that foresight can count real clients.
    Traffic {
        /// Of so many queries for services one is noted, 1 to 1,000,000, rounded up to a power of two. Default: none is.
        sample: WholeNumber<1, 1_000_000>,
        /// Bits of an IPv4 address that are noted, 8 to 24. Default 24.
        #[schemars(extend("default" = 24))]
        ipv4_prefix: WholeNumber<8, 24>,
        /// Bits of an IPv6 address that are noted, 16 to 48. Default 48.
        #[schemars(extend("default" = 48))]
        ipv6_prefix: WholeNumber<16, 48>,
    }
}

impl Traffic {
    /// `None`: nobody is to be noted.
    pub fn resolve(self) -> Option<TrafficSample> {
        let (ipv4_prefix, ipv6_prefix) = (
            self.ipv4_prefix.or(WholeNumber(24)).0 as u8,
            self.ipv6_prefix.or(WholeNumber(48)).0 as u8,
        );
        self.sample.value().map(|one_in| TrafficSample {
            one_in: one_in.as_u32().next_power_of_two(),
            ipv4_prefix,
            ipv6_prefix,
        })
    }
}

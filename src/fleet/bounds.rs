//! The bounds of a fleet: how much one message, one list and one board may hold, and for how long.
//!
//! Messages come from other machines, so everything that is read or remembered has a bound. They are
//! the same on all servers, because a server that counted more than another would decide otherwise.

use std::time::Duration;

/// How long a view counts.
pub const FRESH: Duration = Duration::from_secs(3);
/// The most voters.
pub const MOST_VOTERS: usize = 512;
/// The most checks that a fleet votes on: those with the smallest digests, the same on all servers.
/// The others are each server's own.
pub const MOST_CHECKS: usize = 65_536;
/// The longest view, in octets. It has room for [`MOST_CHECKS`], all spelled out.
pub const MOST_OCTETS: usize = 600_000;
/// The most regions with figures.
pub const MOST_REGIONS: usize = 256;
/// The longest name of a region, in octets.
pub const LONGEST_NAME: usize = 63;
/// The most leases in one message.
pub const MOST_LEASES_AT_ONCE: usize = 128;
/// The longest message about leases, in octets.
pub const MOST_LEASE_OCTETS: usize = 600_000;
/// The longest author of a lease, in octets.
pub const LONGEST_TEXT: usize = 512;

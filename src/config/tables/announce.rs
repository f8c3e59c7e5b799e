//! `[announce]` as written: which addresses are announced, how the server is tried, and the router.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::config::document::{SpannedList, tables};
use crate::config::values::announce::BirdProtocol;
use crate::config::values::plain::{BoundedDuration, WholeNumber};
use crate::config::values::services::Percentage;
use crate::dns::{Name, RecordType};

tables! {
    /// What `meridian announce` does: it announces service addresses while the server answers.
    Announce {
        /// The service addresses, at most 16, such as `["192.0.2.53", "2001:db8::53"]`. The server
        /// is asked at each, and all of them are announced together.
        addresses: SpannedList<IpAddr> => "none; *needed* in `[announce]`",
        /// Port of the test queries, 1 to 65535.
        port: WholeNumber<1, 65535> = 53,
        /// The name of the test queries, which the server has in a zone of its own.
        query: Name => "none; *needed* in `[announce]`",
        /// The record type of the test queries.
        query_type: RecordType = "SOA",
        /// The control socket of BIRD, such as `"/run/bird/bird.ctl"`.
        bird: PathBuf => "none; this or `exabgp` is *needed*",
        /// The protocols of BIRD that are enabled and disabled, at most 16: those with the routes to
        /// the addresses.
        protocols: SpannedList<BirdProtocol> = ["meridian"],
        /// The named pipe that ExaBGP reads, such as `"/run/exabgp/exabgp.in"`.
        exabgp: PathBuf => "none; this or `bird` is *needed*",
        /// Time between two rounds: a duration from 100ms to 2s.
        interval: BoundedDuration<100, 2000> = "1s",
        /// Most time for one answer, of the server or of the router: a duration from 10ms to 2s.
        timeout: BoundedDuration<10, 2000> = "1s",
        /// Rounds in a row that must fail before the addresses are withdrawn, 1 to 100.
        fall: WholeNumber<1, 100> = 3,
        /// Rounds in a row that must be good before they are announced, 1 to 100.
        rise: WholeNumber<1, 100> = 5,
        /// Least time from a withdrawal to the next announcement: a duration from 0s to 1h. It
        /// doubles with each withdrawal within ten minutes of the one before, up to 16 times.
        pause: BoundedDuration<0, 3_600_000> = "30s",
        /// How many other servers of the fleet must go on announcing where this one withdraws because
        /// it is outvoted, 0 to 512.
        keep: WholeNumber<0, 512> = 1,
        /// The part of its checks on which a server must be outvoted to withdraw, `"0%"` to `"100%"`.
        outvoted: Percentage = "50%",
    }
}

//! `[fleet]` as written: the servers that share votes about health and orders, and their engine.

use std::path::PathBuf;

use crate::config::document::{SpannedList, tables};
use crate::config::values::fleet::{EngineAddress, MemberName, QuorumValue, ReleaseKey};
use crate::config::values::plain::{BoundedDuration, SingleLine, WholeNumber};
use crate::config::values::services::Percentage;

tables! {
    /// The servers that share votes about health and orders, and the NATS servers that carry both.
    Fleet {
        /// Name of the fleet, the same on all of its servers: 1 to 63 letters, digits, `-` and `_`.
        name: MemberName => "none; *needed* in `[fleet]`",
        /// Name of this server, unique in the fleet: 1 to 63 letters, digits, `-` and `_`.
        voter: MemberName => "the host name, up to its first dot",
        /// The vantage group of this server, such as its site: each group has one vote.
        group: MemberName => "the name of the server",
        /// The NATS servers, at most 16: `"nats://HOST:PORT"`, or `"tls://HOST:PORT"`; the port is
        /// 4222 where none is given.
        servers: SpannedList<EngineAddress> => "none, so this server votes alone and its orders are its own",
        /// File with the certificates (PEM) of the authorities that the NATS servers' certificates
        /// come from. States TLS for `nats://` too.
        ca_file: PathBuf => "those that the system knows",
        /// File with the certificate (PEM), and its chain, that this server shows. States TLS for
        /// `nats://` too.
        client_cert: PathBuf => "nothing is shown",
        /// File with the private key (PEM) of `client_cert`; only its owner may read it.
        client_key: PathBuf => "nothing is shown",
        /// The user that this server logs in as, 1 to 255 octets.
        user: SingleLine<255> => "no user",
        /// File with the password of `user`; only its owner may read it.
        password_file: PathBuf => "no password",
        /// How many groups must see an endpoint up: `"majority"`, a share of the groups such as
        /// `"18%"`, or a number, 1 to 512.
        quorum: QuorumValue = "majority",
        /// With fewer groups in touch, nothing is decided and the last agreed health holds, 1 to 512.
        min_groups: WholeNumber<1, 512> = 1,
        /// Releases of the configuration, which `meridian push` makes.
        releases: Releases => "none, so the configuration is this server's own",
    }

    /// Releases of the configuration: whose this server serves, and when.
    Releases {
        /// The public keys of the authors, at most 16, as `meridian push --new-key` prints them.
        trusted_keys: SpannedList<ReleaseKey> => "none; *needed* in `[fleet.releases]`",
        /// The ring of this server, 0 to 15. Ring 0 serves a release first; every ring from 0 to the
        /// last needs a server.
        ring: WholeNumber<0, 15> = 1,
        /// How long this server serves a release before the next ring may.
        soak: BoundedDuration<0, 604_800_000> = "5m",
        /// By how much the share of REFUSED, NXDOMAIN or SERVFAIL may grow meanwhile, `"0%"` to
        /// `"100%"` of all answers.
        max_jump: Percentage = "5%",
    }
}

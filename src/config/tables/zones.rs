//! `[zones]` as written: where the zone files are, which clients may query each zone, and how zones
//! are signed.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::document::{NamedTables, OneOrMore, SpannedList, tables};
use crate::config::values::plain::{BoundedDuration, WholeNumber};
use crate::config::values::words::{Keyword, ZoneSelector};
use crate::dns::Name;
use crate::dnssec::{SerialRule, SigningAlgorithm, TokenUri, ZoneDenial};
use crate::net::Cidr;

tables! {
    /// The zone files, and which clients may query each zone.
    Zones {
        /// Folder whose `*.zone` files (RFC 1035) are served. Relative to the
        /// folder of the configuration file.
        directory: PathBuf = "zones",
        /// Whether the configuration and the zones are reloaded automatically, some seconds after
        /// their last change.
        watch: bool = false,
        /// Zones that only some clients may query.
        access: SpannedList<AccessEntry> = [],
        /// Which zones are signed (DNSSEC), and with which keys.
        dnssec: Dnssec,
    }

    /// Which zones are signed (DNSSEC), and with which keys.
    Dnssec {
        /// The zones that are signed, by their apexes; `"*"` is every zone.
        sign: OneOrMore<ZoneSelector> = [],
        /// Folder with the keys of the zones: `K*.key` and `K*.private` as BIND writes them.
        /// Relative to the folder of the configuration file. `"elsewhere"`: there are none here,
        /// and the signatures come from a bundle.
        keys: PathBuf = "keys",
        /// The bundle of signatures that `meridian sign` makes where the keys are. Needed with
        /// `keys = "elsewhere"`.
        bundle: PathBuf => "none; *needed* with `keys = \"elsewhere\"`",
        /// The PKCS#11 token in which new keys are made, as a URI (RFC 7512) without an object, such as
        /// `"pkcs11:token=zones"`.
        token: TokenUri => "none: keys are made in files",
        /// The PKCS#11 module: the library that talks to the token. Relative to the folder of the
        /// configuration file.
        token_module: PathBuf => "none; *needed* for keys in a token whose URI names none",
        /// File with the PIN of the token, on one line; its owner alone may read it. Relative to the
        /// folder of the configuration file.
        token_pin_file: PathBuf => "no PIN, unless a URI names its file",
        /// Whether a key is made for a zone that has none.
        generate: bool = false,
        /// Whether this server carries out the rolls of keys that `meridian keys roll` begins.
        /// One server does; others have copies of its folder.
        rolls: bool = true,
        /// Whether copies of the CDS and CDNSKEY records of zones are served below the names of their
        /// nameservers, from which parents take the first DS record (RFC 9615).
        bootstrap: bool = false,
        /// Whether this server sends NOTIFY(CDS) to the parents that want it (RFC 9859). One server
        /// of a zone does.
        notify_parent: bool = false,
        /// Servers that are asked for the DS records of zones during a roll, with ports; at most
        /// 16.
        parent_servers: SpannedList<SocketAddr> => "those of the parent zone",
        /// Signatures per second for names that do not exist, in zones with `denial = "compact"`.
        compact_rate: WholeNumber<1, 100_000> = 2000,
        /// The policy of zones that no policy names.
        policy: String => "the defaults of a policy",
        /// Policies by name (`[a-z0-9-]`, 1 to 63 characters).
        policies: NamedTables<SigningPolicy>,
    }

    /// How zones are signed.
    SigningPolicy {
        /// The zones that it applies to.
        zones: OneOrMore<Name> = [],
        /// The algorithm of keys that are made: `"ecdsap256sha256"`, `"ed25519"` or
        /// `"ecdsap384sha384"`, which signs no steered names.
        algorithm: Keyword<SigningAlgorithm> = "ecdsap256sha256",
        /// Whether two keys are made: one signs the keys (KSK), the other the zone (ZSK).
        split_keys: bool = false,
        /// The serial of the zone: `"keep"` is that of the file; `"unixtime"` and `"increment"` rise
        /// whenever the zone or its signatures change. They need a state directory.
        serial: Keyword<SerialRule> = "keep",
        /// How names and types that do not exist are denied: `"nsec"`, with which the zone can be
        /// read name by name, `"nsec3"`, with hashes of the names, or `"compact"`, which tells
        /// nothing of other names and is signed when somebody asks.
        denial: Keyword<ZoneDenial> = "nsec",
        /// Time until every server of the zone serves a change.
        propagation: BoundedDuration<0, 604_800_000> = "1h",
        /// Time until every server of the parent serves a change.
        parent_propagation: BoundedDuration<0, 604_800_000> = "1h",
        /// TTL of DS records at the parent, unless its servers state a longer one.
        parent_ds_ttl: BoundedDuration<0, 2_592_000_000> = "1d",
    }

    /// The clients that may query one zone; others get REFUSED. `[server] allow` and `deny` come
    /// first.
    AccessEntry {
        /// The zone, by its apex.
        zone: Name => needed,
        /// Networks that are answered.
        allow: SpannedList<Cidr> => "everybody",
        /// Networks that are refused, whatever `allow` says.
        deny: SpannedList<Cidr> = [],
    }
}

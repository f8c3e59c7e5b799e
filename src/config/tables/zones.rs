//! `[zones]` as written: where the zone files are, and which clients may query each zone.

use std::path::PathBuf;

use crate::config::document::{SpannedList, tables};
use crate::dns::Name;
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

//! `[zones]` as written: where the zones are, and who may ask for them.

use std::path::PathBuf;

use crate::config::document::{SpannedList, tables};
use crate::dns::Name;
use crate::net::Cidr;

tables! {
    /// Where the zones are, and who may ask for them.
    Zones {
        /// Folder whose `*.zone` files (RFC 1035) are served. Relative to the
        /// folder of the configuration file.
        directory: PathBuf = "zones",
        /// Whether the configuration and the zones are reloaded by themselves when they have
        /// changed and were left alone for some seconds.
        watch: bool = false,
        /// Zones that are not for everybody.
        access: SpannedList<AccessEntry> = [],
    }

    /// Who may ask for one zone; for everybody else its names are REFUSED. `[server] allow` and `deny` come first.
    AccessEntry {
        /// The zone, by its apex.
        zone: Name => needed,
        /// Networks that are answered.
        allow: SpannedList<Cidr> => "everybody",
        /// Networks that are refused, whatever `allow` says.
        deny: SpannedList<Cidr> = [],
    }
}

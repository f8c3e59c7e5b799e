//! `[zones]`: where the zones are, and who may ask for them.

use std::collections::HashMap;
use std::path::PathBuf;

use super::error::ConfigReport;
use super::model::ZoneAccessConfig;
use super::read::{SpannedList, WithOffset, tables};
use crate::dns::Name;
use crate::net::Cidr;

tables! {
    /// Where the zones are, and who may ask for them.
    Zones {
        /// Folder whose `*.zone` files (RFC 1035) are served. Default `"zones"`, beside the configuration file.
        #[schemars(extend("default" = "zones"))]
        directory: PathBuf,
        /// Whether the configuration and the zones are reloaded by themselves when they have changed and were left alone for
        /// some seconds. Default `false`.
        #[schemars(extend("default" = false))]
        watch: bool,
        /// Zones that are not for everybody. Default `[]`.
        access: SpannedList<AccessEntry>,
    }

    /// Who may ask for one zone; for everybody else its names are REFUSED. `[server] allow` and `deny` come first.
    #[schemars(extend("required" = ["zone"]))]
    AccessEntry {
        /// The zone, by its apex. Needed, once.
        zone: Name,
        /// Networks that are answered. Default: everybody.
        allow: SpannedList<Cidr>,
        /// Networks that are refused, whatever `allow` says. Default `[]`.
        deny: SpannedList<Cidr>,
    }
}

/// Who may ask for which zone. Whether there is such a zone is known only when the zones are.
pub fn resolve_access(
    entries: SpannedList<AccessEntry>,
    report: &mut ConfigReport<'_>,
) -> Vec<ZoneAccessConfig> {
    let mut stated: HashMap<Name, u32> = HashMap::new();
    let mut resolve = |WithOffset { at, value: raw }: WithOffset<AccessEntry>| {
        if raw.allow.is_absent() && raw.deny.is_absent() {
            report.error(at, "the zone needs allow or deny".to_owned());
        }
        let zone = raw.zone.required(at, "access needs a zone", report)?;
        let line = report.line(zone.at);
        if let Some(before) = stated.insert(zone.value.clone(), line) {
            report.error(
                zone.at,
                format!("{} has its access already in line {before}", zone.value),
            );
        }
        Some(ZoneAccessConfig {
            line,
            zone: zone.value,
            allow: super::resolve::networks(raw.allow),
            deny: super::resolve::networks(raw.deny),
        })
    };
    entries.into_iter().filter_map(&mut resolve).collect()
}

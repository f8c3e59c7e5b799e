//! `[[zones.access]]`: the networks that may query a zone.
//!
//! An entry is checked by itself: it needs a zone, and no zone may have two entries. The zones are
//! loaded later, so this module cannot check that a zone exists.

use std::collections::HashMap;

use super::model::ZoneAccessConfig;

use crate::config::document::error::SourceLine;
use crate::config::document::{ConfigReport, SpannedList, WithOffset, values_of};
use crate::config::tables::AccessEntry;
use crate::dns::Name;

/// Checks the entries; those without a zone are reported and left out.
pub fn resolve_access(
    entries: SpannedList<AccessEntry>,
    report: &mut ConfigReport,
) -> Vec<ZoneAccessConfig> {
    let mut stated: HashMap<Name, SourceLine> = HashMap::new();
    let mut access = Vec::new();
    for WithOffset { at, value: raw } in entries {
        if raw.allow.is_absent() && raw.deny.is_absent() {
            report.error(at, "the zone needs allow or deny".to_owned());
        }
        let Some(zone) = raw.zone.required(at, "access needs a zone", report) else {
            continue;
        };
        let line = report.line(zone.at);
        if let Some(before) = stated.insert(zone.value.clone(), line.clone()) {
            let before = before.seen_from(&line);
            report.error(
                zone.at,
                format!("{} has its access already in {before}", zone.value),
            );
        }
        access.push(ZoneAccessConfig {
            stated: line,
            zone: zone.value,
            allow: values_of(raw.allow.or_default()),
            deny: values_of(raw.deny.value),
        });
    }
    access
}

//! The configuration of a server that only checks: `meridian probe`.
//!
//! Such a server has the configuration of the nameservers, so that its checks are theirs, but none of
//! their other files. It answers nobody, so listeners, databases, signatures and rules about clients
//! are left out, and one empty zone, the root, holds the names of all services. Events are the
//! nameservers' to deliver.

use std::path::Path;

use super::{AtlasCache, LoadPurpose, LoadedState, load_config};
use crate::config::{Config, EncryptedListen, EventsConfig, LoadedConfig};
use crate::zone::{self, LoadedZones, ZoneError};

const ZONE: &str = "$ORIGIN .\n$TTL 60\n@ SOA localhost. localhost. 1 2 3 4 5\n@ NS localhost.\n\
                    localhost A 127.0.0.1\n";

/// Loads what checks need of a configuration.
///
/// # Errors
/// Every mistake, one line each.
pub(super) fn load(
    mut read: LoadedConfig,
    before: Option<&AtlasCache>,
    purpose: LoadPurpose,
) -> Result<LoadedState, Vec<String>> {
    reduce(&mut read.config);
    load_config(read, before, purpose, |_| zone())
}

/// Leaves out what checks do not need.
fn reduce(config: &mut Config) {
    config.server.listen.clear();
    config.server.encrypted = EncryptedListen::default();
    config.events = EventsConfig::default();
    config.max_move = None;
    config.min_covered = None;
    config.traffic_sample = None;
    config.zone_access.clear();
    config.dnssec = None;
    config.geo.databases.clear();
}

/// The zone of all services.
fn zone() -> Result<LoadedZones, Vec<ZoneError>> {
    zone::load_text(Path::new("built-in.zone"), ZONE.as_bytes(), None, None)
}

#[cfg(test)]
mod tests {
    use crate::control::ConfigOrigin;

    #[test]
    fn a_server_that_only_checks_needs_neither_zones_nor_databases() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("meridian.toml");
        let text = "[server]\nlisten = [\"0.0.0.0:53\"]\n[zones]\ndirectory = \"nowhere\"\n\
                    [[zones.access]]\nzone = \"example.com\"\nallow = [\"10.0.0.0/8\"]\n\
                    [geo]\ndatabases = [\"city.mmdb\"]\n[regions.fra]\n[checks.web]\ntype = \"tcp\"\n\
                    port = 80\n[[services]]\nname = \"www.example.com\"\norder = \"none\"\ncheck = \"web\"\n\
                    [services.endpoints]\nfra = \"192.0.2.1\"\n";
        std::fs::write(&file, text).unwrap();
        assert!(ConfigOrigin::File(file.clone()).load(None).is_err());
        let loaded = ConfigOrigin::Checks(file).load(None).unwrap();
        assert_eq!(loaded.warnings, Vec::<String>::new());
        assert_eq!(loaded.config.services.len(), 1);
        assert!(loaded.config.server.listen.is_empty());
    }
}

//! Files that have changed since they were read: zones, databases and certificates.
//!
//! All of this runs on the thread for reloads, because a file may be on a mount that hangs. A
//! changed zone or database causes a reload. A changed certificate needs no reload: new connections
//! get it.

use super::identity::{self, IdentityPrints, OfEach};
use super::load::prints;
use super::running::{Control, FileMemory};
use super::watched;
use crate::config::{Config, IdentityFiles};
use crate::server::encrypted::TlsIdentity;

impl FileMemory {
    /// Whether the configuration or a zone has changed and is no longer being written. False if the
    /// configuration does not watch zones.
    pub(super) fn files_changed(&mut self, config: &Config) -> bool {
        if !config.zones_watch {
            return false;
        }
        let now = watched::now(self.watched.loaded(), &config.zones_directory);
        self.watched.has_settled(now)
    }

    /// Whether a database file has changed since it was read. False while one is missing.
    pub(super) fn databases_changed(&self, config: &Config) -> bool {
        let now = prints(config);
        now.iter().all(Option::is_some) && now != self.databases
    }
}

impl Control {
    /// Reads certificates again whose files have changed, and shows them to new connections. If a
    /// new one cannot be used, this logs an error and the old one stays.
    pub(super) fn renew_identity(&self, known: &mut OfEach<IdentityPrints>, config: &Config) {
        let OfEach { dns, admin } = identity::files_of(config);
        renew(dns, &mut known.dns, &self.identity.dns, "the certificate");
        renew(
            admin,
            &mut known.admin,
            &self.identity.admin,
            "the admin certificate",
        );
    }
}

fn renew(
    files: Option<&IdentityFiles>,
    known: &mut IdentityPrints,
    shown: &TlsIdentity,
    name: &str,
) {
    let now = identity::prints(files);
    if now.is_none() || now == *known {
        return;
    }
    // A refused certificate is not read again until its files change again.
    *known = now;
    match identity::read_one(files) {
        Ok(found) => {
            if let Some(warning) = found.warning {
                tracing::warn!("{warning}");
            }
            shown.show(found.key);
            tracing::info!("{name} was renewed");
        }
        Err(sentence) => {
            let of_it = name.trim_start_matches("the ");
            tracing::error!(
                "the new {of_it} was refused, the one before is shown still:\n  {sentence}"
            );
        }
    }
}

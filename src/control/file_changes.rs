//! Files that have changed since they were read: zones, databases and certificates.
//!
//! All of this runs on the thread for reloads, because a file may be on a mount that hangs. A changed zone or database makes
//! a reload. A changed certificate is shown to new connections without one.

use super::identity::{self, IdentityPrints, OfEach};
use super::load::prints;
use super::running::{Control, FileMemory};
use super::watched;
use crate::config::{Config, IdentityFiles};
use crate::server::encrypted::TlsIdentity;

impl FileMemory {
    /// Whether the configuration or a zone has changed and was left alone since, where that is watched.
    pub(super) fn files_changed(&mut self, config: &Config) -> bool {
        config.zones_watch && {
            let now = watched::now(self.watched.loaded(), &config.zones_directory);
            self.watched.has_settled(now)
        }
    }

    /// Whether a database file is another than the one that was read, and whole enough to be looked at.
    pub(super) fn databases_changed(&self, config: &Config) -> bool {
        let now = prints(config);
        now.iter().all(Option::is_some) && now != self.databases
    }
}

impl Control {
    /// Looks whether a certificate or its key is another than the one that was read, and shows the new one to new
    /// connections; what cannot be used is told, and the one before is shown still.
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
    // What is refused is not read again until it changes again.
    *known = now;
    match identity::read_one(files) {
        Ok(found) => {
            found
                .warning
                .iter()
                .for_each(|warning| tracing::warn!("{warning}"));
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

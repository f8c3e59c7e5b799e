//! Where the keys and signatures of a load come from: a folder of keys, or a bundle that was made elsewhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::purpose::{LoadPurpose, make_folder, now};
use crate::config::DnssecConfig;
use crate::dnssec::key_file::time_for_people;
use crate::dnssec::rollover::{KeyRoles, ZoneRoll};
use crate::dnssec::{BundleKey, BundleRole, KeyFile, KeyFolder, SignatureBundle, SignatureStore};
use crate::files::{self, FileKind};

/// Seconds before the expiry of a bundle at which `check` and a load warn: three days.
const SOON: u64 = 3 * DAY;
/// Seconds of a day.
const DAY: u64 = 86_400;

/// Where the keys and signatures of a load come from.
pub(super) struct KeySource {
    pub(super) folder: KeyFolder,
    /// Signatures that were made elsewhere; `None`: they are made here.
    pub(super) bundle: Option<Arc<SignatureStore>>,
    /// When the first signature of the bundle expires, in seconds since 1970.
    pub(super) expires: Option<u64>,
    /// The serials of zones by their apexes in wire form, if a bundle says them.
    pub(super) serials: BTreeMap<Vec<u8>, u32>,
    /// What the keys of each zone do, if a bundle says it.
    roles: BTreeMap<Vec<u8>, ZoneKeyRoles>,
    /// The times of keys count as of then: now, or when the bundle was made. Seconds since 1970.
    pub(super) as_of: u64,
    /// Sentences about signatures that expire soon.
    pub(super) warnings: Vec<String>,
}

impl KeySource {
    /// Reads the folder of keys, or the bundle.
    ///
    /// # Errors
    /// Every mistake, a sentence with its file.
    pub(super) fn read(
        dnssec: &DnssecConfig,
        purpose: LoadPurpose,
    ) -> Result<KeySource, Vec<String>> {
        if let Some(path) = &dnssec.bundle {
            if purpose == LoadPurpose::Sign {
                let keys = "the keys are elsewhere, so a bundle cannot be made here";
                return Err(vec![keys.to_owned()]);
            }
            let source = KeySource::of_bundle(path);
            return source.map_err(|reason| vec![format!("{}: {reason}", path.display())]);
        }
        if purpose.signs() && dnssec.generate {
            make_folder(&dnssec.keys).map_err(|mistake| vec![mistake])?;
        }
        let folder = if dnssec.generate && !dnssec.keys.exists() {
            KeyFolder::default()
        } else {
            KeyFolder::read(&dnssec.keys)?
        };
        Ok(KeySource {
            folder,
            bundle: None,
            expires: None,
            serials: BTreeMap::new(),
            roles: BTreeMap::new(),
            as_of: now(),
            warnings: Vec::new(),
        })
    }

    fn of_bundle(path: &Path) -> Result<KeySource, String> {
        let content = files::read(path, FileKind::Signatures).map_err(|error| error.to_string())?;
        let bundle = SignatureBundle::parse(&content.octets)?;
        let mut folder = KeyFolder {
            files: vec![content.read],
            ..KeyFolder::default()
        };
        let mut roles: BTreeMap<Vec<u8>, ZoneKeyRoles> = BTreeMap::new();
        for BundleKey { key, roles: found } in bundle.keys {
            let zone = key.public.zone().to_lower().as_wire().to_vec();
            let keys = folder.zones.entry(zone.clone()).or_default();
            roles.entry(zone).or_default().add(keys.len(), &found);
            keys.push(key);
        }
        let mut serials = BTreeMap::new();
        for (zone, serial) in bundle.serials {
            serials.insert(zone.as_wire().to_vec(), serial);
        }
        let now = now();
        let expiration = bundle.signatures.first_expiration();
        let expires = expiration.map(|expiration| time_of(expiration, now));
        let warning = expires.and_then(|expires| expiry_warning(path, expires, now));
        Ok(KeySource {
            folder,
            bundle: Some(Arc::new(bundle.signatures)),
            expires,
            serials,
            roles,
            as_of: bundle.made_at,
            warnings: warning.into_iter().collect(),
        })
    }
}

impl KeySource {
    /// What the keys of a zone do. The zone is given by its lower-cased name in wire form.
    pub(super) fn roles_of(&self, zone: &[u8]) -> ZoneKeyRoles {
        if self.bundle.is_some() {
            return self.roles.get(zone).cloned().unwrap_or_default();
        }
        let roll = self.folder.roll_of(zone);
        ZoneKeyRoles {
            roles: KeyRoles::of_files(self.folder.of_zone(zone), roll, self.as_of),
            is_leaving: roll.is_some_and(ZoneRoll::asks_for_deletion),
        }
    }

    /// All keys without their private halves, with what they do.
    pub(super) fn bundle_keys(&self) -> Vec<BundleKey> {
        let mut found = Vec::new();
        for (zone, keys) in &self.folder.zones {
            let roles = self.roles_of(zone);
            for (index, key) in keys.iter().enumerate() {
                let key = KeyFile {
                    pair: None,
                    ..key.clone()
                };
                let roles = roles.of_key(index);
                found.push(BundleKey { key, roles });
            }
        }
        found
    }
}

/// What the keys of a zone do.
#[derive(Debug, Clone, Default)]
pub(super) struct ZoneKeyRoles {
    pub(super) roles: KeyRoles,
    /// The zone asks its parent to remove its DS records.
    pub(super) is_leaving: bool,
}

impl ZoneKeyRoles {
    fn add(&mut self, index: usize, found: &[BundleRole]) {
        for role in found {
            match role {
                BundleRole::Published => self.roles.published.push(index),
                BundleRole::Synced => self.roles.synced.push(index),
                BundleRole::SignsKeys => self.roles.sign_keys.push(index),
                BundleRole::SignsZone => self.roles.sign_zone.push(index),
                BundleRole::Leaving => self.is_leaving = true,
            }
        }
    }

    fn of_key(&self, index: usize) -> Vec<BundleRole> {
        let roles = &self.roles;
        let mut found = Vec::new();
        for (keys, role) in [
            (&roles.published, BundleRole::Published),
            (&roles.synced, BundleRole::Synced),
            (&roles.sign_keys, BundleRole::SignsKeys),
            (&roles.sign_zone, BundleRole::SignsZone),
        ] {
            if keys.contains(&index) {
                found.push(role);
            }
        }
        if self.is_leaving {
            found.push(BundleRole::Leaving);
        }
        found
    }
}

/// The time in seconds since 1970 that a signature states modulo 2^32; it is at most 68 years off.
fn time_of(expiration: u32, now: u64) -> u64 {
    let left = i64::from(expiration.wrapping_sub(now as u32) as i32);
    now.saturating_add_signed(left)
}

/// When the next load is due that warns of a bundle: three days before the first of its signatures
/// expires, and then daily.
pub(super) fn warning_due(expires: u64, now: u64) -> u64 {
    expires.saturating_sub(SOON).max(now.saturating_add(DAY))
}

/// A sentence about a bundle whose first signature has expired or will soon.
fn expiry_warning(path: &Path, expires: u64, now: u64) -> Option<String> {
    if expires > now.saturating_add(SOON) {
        return None;
    }
    let at = time_for_people(expires);
    let (path, verb) = (
        path.display(),
        if expires < now { "expired" } else { "expires" },
    );
    Some(format!(
        "{path}: the first of its signatures {verb} on {at}; make a new bundle with `meridian sign`"
    ))
}

//! Where the keys and signatures of a load come from: a folder of keys, or a bundle that was made elsewhere.

use std::path::Path;
use std::sync::Arc;

use super::{LoadPurpose, make_folder, now};
use crate::config::DnssecConfig;
use crate::dnssec::key_file::date_text;
use crate::dnssec::{KeyFolder, SignatureBundle, SignatureStore};
use crate::files::{self, FileKind};

/// Seconds before the expiry of a bundle at which `check` and a load warn: three days.
const SOON: i64 = 259_200;

/// Where the keys and signatures of a load come from.
pub(super) struct KeySource {
    pub(super) folder: KeyFolder,
    /// Signatures that were made elsewhere; `None`: they are made here.
    pub(super) bundle: Option<Arc<SignatureStore>>,
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
        for key in bundle.keys {
            let zone = key.public.zone().to_lower().as_wire().to_vec();
            folder.zones.entry(zone).or_default().push(key);
        }
        let expiration = bundle.signatures.first_expiration();
        let warning = expiration.and_then(|expiration| expiry_warning(path, expiration, now()));
        Ok(KeySource {
            folder,
            bundle: Some(Arc::new(bundle.signatures)),
            as_of: bundle.made_at,
            warnings: warning.into_iter().collect(),
        })
    }
}

/// A sentence about a bundle whose first signature has expired or will soon.
fn expiry_warning(path: &Path, expiration: u32, now: u64) -> Option<String> {
    // Seconds since 1970 modulo 2^32: at most 68 years off.
    let left = i64::from(expiration.wrapping_sub(now as u32) as i32);
    if left > SOON {
        return None;
    }
    let at = date_text(now.saturating_add_signed(left));
    let (path, verb) = (path.display(), if left < 0 { "expired" } else { "expires" });
    Some(format!(
        "{path}: the first of its signatures {verb} on {at}; make a new bundle with `meridian sign`"
    ))
}

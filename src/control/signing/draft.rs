//! The bundle that a load signs: what `meridian sign` writes for servers without keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::dnssec::{KeyFile, SignatureBundle, SigningSession};

/// What a load for a bundle has signed with.
pub struct BundleDraft {
    pub(super) made_at: u64,
    /// Without their private halves.
    pub(super) keys: Vec<KeyFile>,
    /// Of zones, and of steered names.
    pub(super) sessions: [Arc<SigningSession>; 2],
}

impl BundleDraft {
    /// The bundle of everything that was signed until now, and how many of the signatures are new.
    ///
    /// # Errors
    /// A sentence: there are too many signatures.
    pub fn finish(self) -> Result<(SignatureBundle, u64), String> {
        let [of_zones, of_services] = self.sessions;
        let mut signatures = of_zones.take_collected();
        signatures.add_all(&of_services.take_collected())?;
        let made = of_zones.made().saturating_add(of_services.made());
        let bundle = SignatureBundle {
            made_at: self.made_at,
            keys: self.keys,
            signatures,
        };
        Ok((bundle, made))
    }
}

/// Keys without their private halves. Those that do not sign here do not sign in a bundle either.
pub(super) fn public_keys(zones: BTreeMap<Vec<u8>, Vec<KeyFile>>, now: u64) -> Vec<KeyFile> {
    let mut public = Vec::new();
    for mut key in zones.into_values().flatten() {
        if key.pair.take().is_none() {
            key.times.inactive = Some(now);
        }
        public.push(key);
    }
    public
}

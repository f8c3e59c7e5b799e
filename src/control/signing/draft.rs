//! The bundle that a load signs: what `meridian sign` writes for servers without keys.

use std::sync::Arc;

use crate::dns::Name;
use crate::dnssec::{BundleKey, SignatureBundle, SigningSession};

/// What a load for a bundle has signed with.
pub struct BundleDraft {
    pub(super) made_at: u64,
    pub(super) keys: Vec<BundleKey>,
    /// Those that rise by themselves, by zone.
    pub(super) serials: Vec<(Name, u32)>,
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
        let mut signatures = of_zones.take_collected()?;
        signatures.add_all(&of_services.take_collected()?)?;
        let made = of_zones.made().saturating_add(of_services.made());
        let bundle = SignatureBundle {
            made_at: self.made_at,
            keys: self.keys,
            serials: self.serials,
            signatures,
        };
        Ok((bundle, made))
    }
}

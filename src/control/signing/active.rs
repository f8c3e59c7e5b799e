//! The keys that sign a zone, ready to sign.
//!
//! What a key does is decided by its roles; here its private half is made ready. Where the keys are
//! elsewhere, a key without its private half stands for the signatures of a bundle.

use std::sync::Arc;

use crate::dnssec::rollover::KeyRoles;
use crate::dnssec::{KeyFile, SigningAlgorithm, SigningKey, TokenSetup};
use crate::zone::Zone;

/// The keys that sign a zone: the DNSKEY set, and everything else.
#[derive(Default)]
pub(super) struct ActiveKeys {
    /// The DNSKEY, CDS and CDNSKEY sets.
    pub(super) sign_keys: Vec<Arc<SigningKey>>,
    /// Everything else; none: the zone is not signed.
    pub(super) sign_zone: Vec<Arc<SigningKey>>,
}

impl ActiveKeys {
    /// Whether the zone is signed.
    pub(super) fn signs(&self) -> bool {
        !self.sign_zone.is_empty()
    }
}

/// Makes the keys that sign ready.
pub(super) fn active_keys(
    keys: &[KeyFile],
    roles: &KeyRoles,
    tokens: &TokenSetup,
    is_elsewhere: bool,
) -> Result<ActiveKeys, String> {
    let mut active = ActiveKeys::default();
    for (index, key) in keys.iter().enumerate() {
        let signs_keys = roles.sign_keys.contains(&index);
        let signs_zone = roles.sign_zone.contains(&index);
        if !signs_keys && !signs_zone {
            continue;
        }
        let key = match &key.pair {
            Some(pair) => {
                SigningKey::with_tokens(pair, tokens).map_err(|error| error.to_string())?
            }
            None if is_elsewhere => SigningKey::elsewhere(key.public.clone()),
            None => continue,
        };
        let key = Arc::new(key);
        if signs_keys {
            active.sign_keys.push(key.clone());
        }
        if signs_zone {
            active.sign_zone.push(key);
        }
    }
    Ok(active)
}

/// Refuses an algorithm that signs too slowly for steered names, as a change of health may need
/// thousands of signatures, or for denials that are signed when somebody asks.
pub(super) fn check_speed(
    zone: &Zone,
    algorithm: SigningAlgorithm,
    is_steered: bool,
    is_on_demand: bool,
) -> Result<(), String> {
    let reason = match (is_steered, is_on_demand) {
        _ if algorithm.may_sign_steered() => return Ok(()),
        (true, _) => "names of this zone are steered",
        (false, true) => "this zone has denial = \"compact\"",
        (false, false) => return Ok(()),
    };
    Err(format!(
        "{}: {reason}, and {algorithm} signs too slowly for that; take ecdsap256sha256 or ed25519",
        zone.file.display()
    ))
}

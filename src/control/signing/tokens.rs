//! Whether the keys in PKCS#11 tokens sign: each makes a signature that nobody uses.
//!
//! A load asks a token for signatures that are missing, and only for those, so that what is signed is
//! served while the token is away. `meridian check` wants to know before.

use crate::config::Config;
use crate::dnssec::key_file::file_stem;
use crate::dnssec::{KeyFile, KeyFolder, SigningKey, TokenSetup};

/// What a key is asked to sign.
const TRIAL: &[u8] = b"meridian check";

/// A sentence for each key in a token that does not sign. It may take some seconds.
pub fn token_mistakes(config: &Config) -> Vec<String> {
    let mut mistakes = Vec::new();
    let Some(dnssec) = config.dnssec.as_ref().filter(|it| it.bundle.is_none()) else {
        return mistakes;
    };
    // Mistakes in the folder are those of the load.
    let folder = KeyFolder::read(&dnssec.keys).unwrap_or_default();
    for key in folder.zones.values().flatten() {
        if let Err(reason) = try_key(key, &dnssec.tokens) {
            let path = dnssec.keys.join(file_stem(&key.public));
            mistakes.push(format!("{}.private: {reason}", path.display()));
        }
    }
    mistakes
}

fn try_key(key: &KeyFile, tokens: &TokenSetup) -> Result<(), String> {
    let pair = key.pair.as_ref().filter(|pair| pair.token().is_some());
    let Some(pair) = pair else {
        return Ok(());
    };
    let key = SigningKey::with_tokens(pair, tokens).map_err(|error| error.to_string())?;
    key.sign(TRIAL).map_err(|error| error.to_string())?;
    Ok(())
}

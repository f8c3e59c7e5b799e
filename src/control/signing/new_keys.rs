//! Makes keys for zones: in files, or in the PKCS#11 token that the configuration names.
//!
//! A new key is published and signs from now on. Nothing is written here, but a key in a token is
//! there from the moment it is made.

use crate::config::SigningRules;
use crate::dns::Name;
use crate::dnssec::{KeyFile, KeyPair, KeyTimes, SigningAlgorithm, TokenSetup};

/// Flags of a key that signs everything or the keys (RFC 4034 section 2.1.1).
const ENTRY: u16 = 257;
/// Flags of a key that signs everything but the keys.
const ZONE_ONLY: u16 = 256;

/// New keys of a zone, which are published and sign from now on.
pub(super) fn new_keys(
    origin: &Name,
    rules: SigningRules,
    now: u64,
    tokens: &TokenSetup,
) -> Result<Vec<KeyFile>, String> {
    let flags: &[u16] = if rules.split_keys {
        &[ENTRY, ZONE_ONLY]
    } else {
        &[ENTRY]
    };
    let mut keys = Vec::new();
    for &flags in flags {
        keys.push(new_key(origin, flags, rules.algorithm, now, tokens)?);
    }
    Ok(keys)
}

/// A new key, made in a token or here, which is published and signs from now on. The zone asks its
/// parent for a DS record of an entry key (RFC 7344).
///
/// # Errors
/// A sentence.
pub fn new_key(
    origin: &Name,
    flags: u16,
    algorithm: SigningAlgorithm,
    now: u64,
    tokens: &TokenSetup,
) -> Result<KeyFile, String> {
    let pair = KeyPair::generate_in(tokens, origin, flags, algorithm)
        .map_err(|error| error.to_string())?;
    Ok(KeyFile::new(pair, first_times(flags, now)))
}

/// The times of a key that is published and signs from now on.
fn first_times(flags: u16, now: u64) -> KeyTimes {
    let mut times = KeyTimes::from_now(now);
    times.sync_publish = (flags == ENTRY).then_some(now);
    times
}

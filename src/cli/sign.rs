//! `meridian sign`: signs zones and steered answers where the keys are, for servers that have none.
//!
//! The bundle has the signatures of everything static, of every endpoint, and of the sets of endpoints
//! that are answered now or after one more change. Signatures are kept in the state directory, so
//! signing again makes only those that are new or due.

use std::process::ExitCode;
use std::time::Instant;

use super::arguments::SignArgs;
use crate::catalog::LiveState;
use crate::control::ConfigOrigin;
use crate::control::signing::{LoadPurpose, now};
use crate::control::state_directory::StateDirectory;
use crate::disk;
use crate::dnssec::key_file::time_for_people;
use crate::terminal::say;

/// The rights of the bundle: it holds nothing secret.
const MODE: u32 = 0o644;

/// Signs, and writes the bundle.
pub fn run(sign: &SignArgs) -> Result<ExitCode, String> {
    let start = Instant::now();
    let origin = ConfigOrigin::File(sign.config.clone());
    let config = &crate::config::load(&sign.config)
        .map_err(|mistakes| lines(&mistakes))?
        .config;
    if config.dnssec.is_none() {
        return Err(format!(
            "{}: no zone is signed; add [zones.dnssec] with sign = [\"*\"]",
            sign.config.display()
        ));
    }
    // A running server writes the same signatures.
    let owned = config.state_directory.as_deref().map(StateDirectory::own);
    let _owned = owned.transpose()?;
    let mut loaded = origin
        .load_for(LoadPurpose::Sign, None)
        .map_err(|mistakes| lines(&mistakes))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let snapshot = &loaded.snapshot;
    sign_ahead(&snapshot.live, &snapshot.catalog);
    if snapshot.live.is_half_full() {
        tracing::warn!(
            "there are so many services that not all sets of endpoints were signed ahead: where a set is \
             missing, clients get one of its endpoints"
        );
    }
    for roll in &loaded.rolls {
        tracing::warn!(
            "{}: a roll of keys is under way; nameservers serve its steps only with a bundle that is \
             newer, so `propagation` of its policy must be longer than the time between two bundles",
            roll.zone
        );
    }
    snapshot.live.keep_signatures()?;
    let draft = loaded.bundle.take().ok_or("no zone is signed")?;
    let (bundle, made) = draft.finish()?;
    let expiration = bundle.signatures.first_expiration();
    let count = bundle.signatures.len();
    let octets = bundle.to_octets();
    let output = sign.output.display();
    disk::replace(&sign.output, &octets, MODE)
        .map_err(|error| format!("{output}: cannot be written: {error}"))?;
    say!(
        "{output}: {count} signatures, {made} of them new, in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    if let Some(expiration) = expiration {
        let now = now();
        let left = u64::from(expiration.wrapping_sub(now as u32));
        say!(
            "The first of them expires on {}. Sign again by {}.",
            time_for_people(now.saturating_add(left)),
            time_for_people(now.saturating_add(left / 2))
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Signs everything that is foreseen.
fn sign_ahead(live: &LiveState, catalog: &crate::catalog::Catalog) {
    let mut next = Some(0);
    while let Some(from) = next {
        next = live.sign_ahead(catalog, None, from, u32::MAX);
    }
}

fn lines(mistakes: &[impl ToString]) -> String {
    let mut lines = Vec::new();
    for mistake in mistakes {
        lines.push(mistake.to_string());
    }
    lines.join("\nmeridian: ")
}

//! `meridian verify-scopes`: proves that the ECS scopes of a service are consistent.
//!
//! The command walks the whole IPv4 space. It checks that the scopes cover it without overlap, and
//! counts them: that is the number of cache entries of a resolver. For comparison it counts them
//! with wider bands and with coarser client locations, too.

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

use super::arguments::VerifyScopes;
use super::explain::loaded;
use super::simulate::named;
use crate::catalog::services::ServiceFamily;
use crate::control::LoadedState;
use crate::daemon::progress;
use crate::dns::Name;
use crate::foresight::{BlockCounts, ScopeBasis, scopes};
use crate::steering::Band;
use crate::terminal::{TextOutput, say, say_json};

/// Bands to compare with: regions within one count as equally near.
const BANDS: [Band; 2] = [Band::Kilometres(100.0), Band::Kilometres(500.0)];

/// The size in degrees of the squares to which client locations are coarsened for comparison.
const SQUARE: f64 = 10.0;

/// The counts of one service: as configured, with each of the bands, and with coarser locations.
struct Verified {
    name: Name,
    now: BlockCounts,
    banded: Vec<BlockCounts>,
    coarse: BlockCounts,
}

/// Verifies and counts the scopes of the services.
pub fn run(arguments: &VerifyScopes) -> Result<ExitCode, String> {
    let loaded = loaded(arguments.config.as_deref())?;
    let coarse = ScopeBasis::Atlas(Arc::new(loaded.snapshot.catalog.atlas.coarsened(SQUARE)));
    let family = arguments.rtype.family();
    let verified = progress::during("going through the address space", || {
        let mut verified = Vec::new();
        for name in named(&arguments.names, &loaded) {
            verified.push(verify(&loaded, name, family, &coarse)?);
        }
        Ok::<_, String>(verified)
    })?;
    if arguments.json {
        say_json(Value::Array(verified.iter().map(in_json).collect()));
    } else {
        print(&verified);
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(
    loaded: &LoadedState,
    name: Name,
    family: ServiceFamily,
    coarse: &ScopeBasis,
) -> Result<Verified, String> {
    let state = (&loaded.snapshot, &loaded.config);
    let now = scopes(state, &name, family, &ScopeBasis::Now)?;
    let mut banded = Vec::new();
    for band in BANDS {
        banded.push(scopes(state, &name, family, &ScopeBasis::Band(band))?);
    }
    let coarse = scopes(state, &name, family, coarse)?;
    Ok(Verified {
        name,
        now,
        banded,
        coarse,
    })
}

fn print(verified: &[Verified]) {
    let output = TextOutput::stdout();
    let whole =
        "the IPv4 space is covered without gaps, no two scopes overlap, each has one outcome";
    output.bold(whole);
    say!();
    let mut rows = Vec::new();
    for it in verified {
        let now = &it.now;
        let mut row = vec![
            it.name.to_string(),
            now.count.to_string(),
            format!("/{} to /{}", now.widest, now.narrowest),
            now.beyond_24.to_string(),
        ];
        for banded in &it.banded {
            row.push(saving(now, banded));
        }
        row.push(saving(now, &it.coarse));
        rows.push(row);
    }
    let bands = BANDS.map(|band| format!("band {band}"));
    let square = format!("squares of {SQUARE} degrees");
    let mut heads = vec!["service", "blocks", "scopes", "beyond /24"];
    for band in &bands {
        heads.push(band);
    }
    heads.push(&square);
    output.table(&heads, &rows);
    let note = "blocks: the most cache entries of a resolver, if it queries for every client; few send more than a /24";
    say!();
    output.faint(note);
}

/// `24310 (-9.3%)`
fn saving(now: &BlockCounts, then: &BlockCounts) -> String {
    let part = (then.count as f64 / now.count.max(1) as f64 - 1.0) * 100.0;
    format!("{} ({part:+.1}%)", then.count)
}

fn in_json(verified: &Verified) -> Value {
    let Verified {
        name,
        now,
        banded,
        coarse,
    } = verified;
    let mut bands = serde_json::Map::new();
    for (band, then) in BANDS.iter().zip(banded) {
        bands.insert(band.to_string(), then.count.into());
    }
    json!({
        "name": name.to_string(),
        "blocks": now.count,
        "widest": now.widest,
        "narrowest": now.narrowest,
        "beyond_24": now.beyond_24,
        "blocks_with_band": bands,
        "blocks_with_squares": { SQUARE.to_string(): coarse.count },
    })
}

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

/// The counts of one service.
struct ServiceScopes {
    name: Name,
    configured: BlockCounts,
    /// With each of [`BANDS`].
    with_bands: Vec<BlockCounts>,
    /// With coarser client locations.
    coarse: BlockCounts,
}

/// Verifies and counts the scopes of the services.
pub fn run(arguments: &VerifyScopes) -> Result<ExitCode, String> {
    let loaded = loaded(arguments.config.as_deref())?;
    let coarse = ScopeBasis::Atlas(Arc::new(loaded.snapshot.catalog.atlas.coarsened(SQUARE)));
    let family = arguments.rtype.family();
    let verified = progress::during("walking the address space", || {
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
) -> Result<ServiceScopes, String> {
    let state = (&loaded.snapshot, &loaded.config);
    let configured = scopes(state, &name, family, &ScopeBasis::Now)?;
    let mut with_bands = Vec::new();
    for band in BANDS {
        with_bands.push(scopes(state, &name, family, &ScopeBasis::Band(band))?);
    }
    let coarse = scopes(state, &name, family, coarse)?;
    Ok(ServiceScopes {
        name,
        configured,
        with_bands,
        coarse,
    })
}

fn print(verified: &[ServiceScopes]) {
    let output = TextOutput::stdout();
    let whole =
        "the IPv4 space is covered without gaps, no two scopes overlap, each has one outcome";
    output.bold(whole);
    say!();
    let mut rows = Vec::new();
    for it in verified {
        let configured = &it.configured;
        let mut row = vec![
            it.name.to_string(),
            configured.count.to_string(),
            format!("/{} to /{}", configured.widest, configured.narrowest),
            configured.beyond_24.to_string(),
        ];
        for counts in &it.with_bands {
            row.push(saving(configured, counts));
        }
        row.push(saving(configured, &it.coarse));
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

/// A count, and its difference from the configured one: `24310 (-9.3%)`.
fn saving(configured: &BlockCounts, compared: &BlockCounts) -> String {
    let part = (compared.count as f64 / configured.count.max(1) as f64 - 1.0) * 100.0;
    format!("{} ({part:+.1}%)", compared.count)
}

fn in_json(verified: &ServiceScopes) -> Value {
    let ServiceScopes {
        name,
        configured,
        with_bands,
        coarse,
    } = verified;
    let mut bands = serde_json::Map::new();
    for (band, counts) in BANDS.iter().zip(with_bands) {
        bands.insert(band.to_string(), counts.count.into());
    }
    json!({
        "name": name.to_string(),
        "blocks": configured.count,
        "widest": configured.widest,
        "narrowest": configured.narrowest,
        "beyond_24": configured.beyond_24,
        "blocks_with_band": bands,
        "blocks_with_squares": { SQUARE.to_string(): coarse.count },
    })
}

//! `meridian verify-scopes`

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

/// What it would be like if regions that are nearly as near counted as equally near.
const BANDS: [Band; 2] = [Band::Kilometres(100.0), Band::Kilometres(500.0)];

/// And if clients were known to squares of so many degrees only.
const SQUARE: f64 = 10.0;

/// One service: the blocks of its answers as they are, with each of the bands, and with coarser places.
struct Verified {
    name: Name,
    now: BlockCounts,
    banded: Vec<BlockCounts>,
    coarse: BlockCounts,
}

/// Proves the scopes of the services, and counts them.
pub fn run(arguments: &VerifyScopes) -> Result<ExitCode, String> {
    let loaded = loaded(arguments.config.as_deref())?;
    let coarse = ScopeBasis::Atlas(Arc::new(loaded.snapshot.catalog.atlas.coarsened(SQUARE)));
    let verify = |name| verify(&loaded, name, arguments.rtype.family(), &coarse);
    let all = || {
        named(&arguments.names, &loaded)
            .into_iter()
            .map(verify)
            .collect::<Result<Vec<_>, _>>()
    };
    let verified = progress::during("going through the address space", all)?;
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
    let with =
        |under: &ScopeBasis| scopes((&loaded.snapshot, &loaded.config), &name, family, under);
    let now = with(&ScopeBasis::Now)?;
    let banded = BANDS
        .into_iter()
        .map(|band| with(&ScopeBasis::Band(band)))
        .collect::<Result<_, _>>()?;
    let coarse = with(coarse)?;
    Ok(Verified {
        name,
        now,
        banded,
        coarse,
    })
}

fn print(verified: &[Verified]) {
    let paper = TextOutput::stdout();
    let whole =
        "the IPv4 space is covered without a gap, no two scopes overlap, each has one outcome";
    paper.bold(whole);
    say!();
    let row = |verified: &Verified| {
        let Verified {
            name,
            now,
            banded,
            coarse,
        } = verified;
        let mut row = vec![
            name.to_string(),
            now.count.to_string(),
            format!("/{} to /{}", now.widest, now.narrowest),
            now.beyond_24.to_string(),
        ];
        row.extend(banded.iter().chain([coarse]).map(|then| saving(now, then)));
        row
    };
    let bands = BANDS.map(|band| format!("band {band}"));
    let square = format!("squares of {SQUARE} degrees");
    let heads = ["service", "blocks", "scopes", "beyond /24"].into_iter();
    let heads: Vec<&str> = heads
        .chain(bands.iter().map(String::as_str))
        .chain([square.as_str()])
        .collect();
    paper.table(&heads, &verified.iter().map(row).collect::<Vec<_>>());
    let note = "blocks: what a resolver keeps at most, if it asks for every client; few send more than a /24";
    say!();
    paper.faint(note);
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
    let bands = BANDS
        .iter()
        .zip(banded)
        .map(|(band, then)| (band.to_string(), then.count.into()));
    json!({
        "name": name.to_string(),
        "blocks": now.count,
        "widest": now.widest,
        "narrowest": now.narrowest,
        "beyond_24": now.beyond_24,
        "blocks_with_band": bands.collect::<serde_json::Map<_, Value>>(),
        "blocks_with_squares": { SQUARE.to_string(): coarse.count },
    })
}

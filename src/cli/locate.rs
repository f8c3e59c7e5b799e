//! `meridian locate`: looks addresses up in the geodata.
//!
//! The geodata are those of a configuration, or the built-in table.

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use super::arguments::LocateArgs;
use crate::answer::client::LookupAddress;
use crate::config;
use crate::control::load::cached_atlas;
use crate::explain::PlaceFacts;
use crate::geo::Atlas;
use crate::terminal::{TextOutput, say_json};

/// The result for one address; stable in JSON.
#[derive(Debug, Serialize)]
struct Located {
    /// The address on the command line.
    address: IpAddr,
    /// The address that is looked up: IPv4 if the address is an IPv6 form of one.
    looked_up: IpAddr,
    /// The first address of the range that the result holds for.
    first: IpAddr,
    /// The last address of that range.
    last: IpAddr,
    /// The place of the address.
    #[serde(flatten)]
    place: PlaceFacts,
}

/// Prints the place of each address.
pub fn run(locate: &LocateArgs) -> Result<ExitCode, String> {
    let atlas = atlas(locate.config.as_deref())?;
    let mut located = Vec::new();
    for address in &locate.addresses {
        located.push(look_up(&atlas, *address));
    }
    if locate.json {
        say_json(serde_json::json!(located));
    } else {
        print(&located);
    }
    Ok(ExitCode::SUCCESS)
}

/// The geodata of a configuration, or the built-in table.
fn atlas(config: Option<&Path>) -> Result<Arc<Atlas>, String> {
    let Some(file) = config else {
        return Ok(Arc::new(Atlas::builtin()));
    };
    let read = config::load(file).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        format!(
            "{} cannot be used:\n  {}",
            file.display(),
            lines.join("\n  ")
        )
    })?;
    cached_atlas(&read.config, None).map(|cache| cache.atlas())
}

fn look_up(atlas: &Atlas, address: IpAddr) -> Located {
    let looked_up = LookupAddress::of(address.into()).address();
    let found = atlas.locate(looked_up);
    Located {
        address,
        looked_up,
        first: found.first,
        last: found.last,
        place: PlaceFacts::of(atlas, looked_up),
    }
}

fn print(located: &[Located]) {
    let rows: Vec<Vec<String>> = located.iter().map(row).collect();
    let heads = [
        "address",
        "place",
        "country",
        "continent",
        "network",
        "range",
        "source",
        "",
    ];
    TextOutput::stdout().table(&heads, &rows);
}

fn row(found: &Located) -> Vec<String> {
    let place = &found.place;
    let coarse = if place.coarse {
        "no nearer than the country or state"
    } else {
        ""
    };
    vec![
        found.address.to_string(),
        place.to_string(),
        place.country_name.clone().unwrap_or_default(),
        place.continent.clone().unwrap_or_default(),
        place.asn.map_or(String::new(), |asn| format!("AS{asn}")),
        format!("{} - {}", found.first, found.last),
        place.source.clone().unwrap_or_default(),
        coarse.to_owned(),
    ]
}

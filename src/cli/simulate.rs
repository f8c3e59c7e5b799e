//! `meridian simulate`

mod map;

use std::fs;
use std::process::ExitCode;

use super::arguments::{Remote, Simulate};
use super::client::Client;
use super::explain::loaded;
use super::paper::{Paper, plain};
use crate::answer::explain::percent;
use crate::answer::foresight::{Blocks, Change, Foresight, foresee, scopes};
use crate::control::Loaded;
use crate::control::admin::Status;
use crate::dns::Name;

/// Says who goes where, and what if.
pub fn run(arguments: &Simulate) -> Result<ExitCode, String> {
    if arguments.scopes {
        return prove(arguments);
    }
    let foresights = match &arguments.admin {
        Some(admin) => ask(arguments, admin)?,
        None => work_out(arguments)?,
    };
    if let Some(file) = &arguments.map {
        let [foresight] = &foresights[..] else {
            return Err("--map draws one service; say its NAME".to_owned());
        };
        let write = fs::write(file, map::draw(foresight)?);
        write.map_err(|error| format!("{}: cannot write the map: {error}", file.display()))?;
    }
    if arguments.json {
        println!("{}", serde_json::json!(foresights));
    } else {
        for (index, foresight) in foresights.iter().enumerate() {
            if index > 0 {
                println!();
            }
            print(foresight, arguments.is_change());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks a running server.
fn ask(arguments: &Simulate, admin: &str) -> Result<Vec<Foresight>, String> {
    let client = Client::new(&Remote { admin: admin.to_owned(), token_file: None })?;
    let mut names: Vec<String> = arguments.names.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        names = client.get::<Status>("/v1/status", &[])?.services.into_iter().map(|service| service.name).collect();
    }
    let weights: Vec<String> = arguments.weights.iter().map(|(region, weight)| format!("{region}={weight}")).collect();
    let biases: Vec<String> =
        arguments.biases.iter().map(|(region, bias)| format!("{region}={}", bias.percent())).collect();
    let one = |name: &String| {
        let mut query = vec![("name", name.as_str()), ("type", arguments.rtype.word())];
        query.extend(arguments.down.iter().map(|region| ("down", region.as_str())));
        query.extend(weights.iter().map(|weight| ("weight", weight.as_str())));
        query.extend(biases.iter().map(|bias| ("bias", bias.as_str())));
        client.get("/v1/shares", &query)
    };
    names.iter().map(one).collect()
}

/// Works it out from the configuration, as a server of it would that has just been started.
fn work_out(arguments: &Simulate) -> Result<Vec<Foresight>, String> {
    let loaded = loaded(arguments.config.as_deref())?;
    let change =
        Change { down: arguments.down.clone(), weights: arguments.weights.clone(), biases: arguments.biases.clone() };
    let (names, family) = (named(arguments, &loaded), arguments.rtype.family());
    names.iter().map(|name| foresee(&loaded.snapshot, &loaded.config, name, family, &change)).collect()
}

/// Proves the scopes of the services, as they are without a change.
fn prove(arguments: &Simulate) -> Result<ExitCode, String> {
    let loaded = loaded(arguments.config.as_deref())?;
    for name in named(arguments, &loaded) {
        let blocks = scopes(&loaded.snapshot, &name, arguments.rtype.family())?;
        let Blocks { count, widest, narrowest } = blocks;
        println!("{name}: {count} blocks cover IPv4, /{widest} to /{narrowest}; no two overlap, each has one outcome");
    }
    Ok(ExitCode::SUCCESS)
}

/// The services asked about: those named, or all of them.
fn named(arguments: &Simulate, loaded: &Loaded) -> Vec<Name> {
    match arguments.names.is_empty() {
        true => loaded.config.services.iter().map(|service| service.name.clone()).collect(),
        false => arguments.names.clone(),
    }
}

fn print(foresight: &Foresight, is_change: bool) {
    let paper = Paper::stdout();
    println!("{}\n", paper.bold(&plain(&foresight.summary)));
    let row = |region: &crate::answer::foresight::RegionForesight| {
        let change = region.after_percent - region.before_percent;
        vec![
            region.region.clone(),
            region.weight.to_string(),
            if region.bias == 0 { String::new() } else { format!("{:+}%", region.bias) },
            percent(region.before_percent),
            if is_change { percent(region.after_percent) } else { String::new() },
            if change.abs() >= 0.05 { format!("{change:+.1}") } else { String::new() },
        ]
    };
    let heads = ["region", "weight", "bias", if is_change { "before" } else { "share" }, "after", "change"];
    paper.table(&heads, &foresight.regions.iter().map(row).collect::<Vec<_>>());
    if !foresight.movers.is_empty() {
        println!();
        let row = |mover: &crate::answer::foresight::Mover| {
            let name = mover.name.clone().unwrap_or_else(|| mover.country.clone());
            let nobody = || "nobody".to_owned();
            let (from, to) = (mover.from.clone().unwrap_or_else(nobody), mover.to.clone().unwrap_or_else(nobody));
            vec![name, in_millions(mover.addresses), format!("{from} > {to}")]
        };
        paper.table(&["moved", "addresses", "way"], &foresight.movers.iter().map(row).collect::<Vec<_>>());
    }
    println!();
    print_distance(foresight, is_change, &paper);
    let note = format!(
        "of {} public IPv4 addresses whose place is known; {} more are of unknown place",
        in_millions(foresight.addresses),
        in_millions(foresight.unlocated)
    );
    println!("{}", paper.faint(&note));
}

fn print_distance(foresight: &Foresight, is_change: bool, paper: &Paper) {
    let distance = &foresight.distance;
    let kilometres = |it: Option<f64>| it.map_or_else(String::new, |it| format!("{it:.0} km"));
    let row = |name: &str, before, after| {
        vec![name.to_owned(), kilometres(before), if is_change { kilometres(after) } else { String::new() }]
    };
    let rows = [
        row("mean", distance.before_mean_km, distance.after_mean_km),
        row("95 of 100", distance.before_p95_km, distance.after_p95_km),
    ];
    paper.table(&["distance", if is_change { "before" } else { "up to" }, "after"], &rows);
}

/// `1234.5 M`, or the number itself where it is small.
fn in_millions(addresses: u64) -> String {
    if addresses < 100_000 { addresses.to_string() } else { format!("{:.1} M", addresses as f64 / 1e6) }
}

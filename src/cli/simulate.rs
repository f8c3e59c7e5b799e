//! `meridian simulate`: shows where clients go, and what a planned change would do.
//!
//! The command counts the clients of each region over addresses, population or recorded traffic. It
//! can take regions down, change weights and biases, or compare with another configuration. The
//! output is a set of tables, JSON, or a map.

mod map;
mod png;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::arguments::{RemoteArgs, SimulateArgs};
use super::client::AdminClient;
use super::explain::{kilometres, loaded, refusal};
use super::remote::service_names;
use super::traffic;
use crate::control::{LoadedState, load};
use crate::daemon::progress;
use crate::dns::Name;
use crate::explain::percent;
use crate::foresight::coverage::CoverageParts;
use crate::foresight::{
    CountryForesight, ForecastRequest, Foresight, NotedTraffic, PlannedChange, RegionForesight,
    ShareBasis, foresee,
};
use crate::terminal::{TextOutput, say, say_json};
use crate::text::shown;

/// Prints the shares of the regions, before and after a change.
pub fn run(arguments: &SimulateArgs) -> Result<ExitCode, String> {
    let foresights = match &arguments.admin {
        Some(admin) => ask(arguments, admin)?,
        None => work_out(arguments)?,
    };
    if let Some(file) = &arguments.map {
        let [foresight] = &foresights[..] else {
            return Err("--map draws one service; give its NAME".to_owned());
        };
        draw(foresight, file)?;
    }
    if arguments.json {
        say_json(serde_json::json!(foresights));
    } else {
        print_all(&foresights, arguments);
    }
    Ok(ExitCode::SUCCESS)
}

fn print_all(foresights: &[Foresight], arguments: &SimulateArgs) {
    for (index, foresight) in foresights.iter().enumerate() {
        if index > 0 {
            say!();
        }
        print(foresight, arguments);
    }
}

/// Draws a map as SVG or PNG, depending on the file name.
fn draw(foresight: &Foresight, file: &Path) -> Result<(), String> {
    let svg = map::draw(foresight)?;
    let octets = match file.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => svg.into_bytes(),
        Some("png") => png::render(&svg)?,
        _ => {
            return Err(format!(
                "{}: the file name of a map must end in .svg or .png",
                file.display()
            ));
        }
    };
    fs::write(file, octets)
        .map_err(|error| format!("{}: cannot write the map: {error}", file.display()))
}

/// Asks a running server.
fn ask(arguments: &SimulateArgs, admin: &str) -> Result<Vec<Foresight>, String> {
    let over = match arguments.traffic.as_deref() {
        None => &arguments.over[..],
        Some(traffic::LIVE) => "traffic",
        Some(_) => {
            return Err("a running server counts its own traffic: \
                        use --traffic live, or remove --admin"
                .to_owned());
        }
    };
    let client = AdminClient::new(&RemoteArgs::to_read(admin, arguments.ca_file.as_deref()))?;
    let mut names: Vec<String> = arguments.names.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        names = service_names(&client)?;
    }
    let mut changes = Vec::new();
    for region in &arguments.down {
        changes.push(("down", region.clone()));
    }
    for (region, weight) in &arguments.weights {
        changes.push(("weight", format!("{region}={weight}")));
    }
    for (region, bias) in &arguments.biases {
        changes.push(("bias", format!("{region}={}", bias.percent())));
    }
    let mut foresights = Vec::new();
    for name in &names {
        let mut query = vec![
            ("name", name.as_str()),
            ("type", arguments.rtype.word()),
            ("over", over),
        ];
        for (key, value) in &changes {
            query.push((key, value));
        }
        foresights.push(client.get("/v1/shares", &query)?);
    }
    Ok(foresights)
}

/// Computes the forecast as a server would that has just started with the configuration.
fn work_out(arguments: &SimulateArgs) -> Result<Vec<Foresight>, String> {
    let loaded = loaded(arguments.config.as_deref())?;
    let mut other = None;
    if let Some(file) = &arguments.against {
        let load = load(file, Some(&loaded.atlas));
        other = Some(load.map_err(|mistakes| refusal(file, &mistakes))?);
    }
    let against = other.as_ref().map(|other| (&other.snapshot, &other.config));
    let change = PlannedChange {
        down: arguments.down.clone(),
        weights: arguments.weights.clone(),
        biases: arguments.biases.clone(),
    };
    let (over, traffic) = match &arguments.traffic {
        Some(source) => (
            ShareBasis::Traffic,
            traffic::read(source, &loaded.config, arguments.ca_file.as_deref())?,
        ),
        None => (arguments.over.parse()?, NotedTraffic::default()),
    };
    progress::during("counting clients", || {
        let mut foresights = Vec::new();
        for name in &named(&arguments.names, &loaded) {
            let request = ForecastRequest {
                name,
                family: arguments.rtype.family(),
                over,
                traffic: &traffic,
                change: &change,
            };
            let state = (&loaded.snapshot, &loaded.config);
            foresights.push(foresee(state, against, request)?);
        }
        Ok(foresights)
    })
}

/// The named services, or all of them if none is named.
pub fn named(names: &[Name], loaded: &LoadedState) -> Vec<Name> {
    let mut names = names.to_vec();
    if names.is_empty() {
        for service in &loaded.config.services {
            names.push(service.name.clone());
        }
    }
    names
}

fn print(foresight: &Foresight, arguments: &SimulateArgs) {
    let is_change = arguments.is_change();
    let output = TextOutput::stdout();
    output.bold(&format!("{}\n", shown(&foresight.summary)));
    print_regions(foresight, is_change, &output);
    print_movers(foresight, &output);
    print_coverage(foresight, is_change, &output);
    if arguments.countries {
        say!();
        print_countries(foresight, is_change, &output);
    }
    say!();
    print_distance(foresight, is_change, &output);
    output.faint(&basis(foresight));
}

fn print_regions(foresight: &Foresight, is_change: bool, output: &TextOutput) {
    let heads = [
        "region",
        "weight",
        "bias",
        before_head(is_change, "share"),
        "after",
        "change",
        "capacity",
        "!",
    ];
    let mut rows = Vec::new();
    for region in &foresight.regions {
        rows.push(region_row(region, is_change));
    }
    output.table(&heads, &rows);
}

/// Prints the countries whose clients move to another region.
fn print_movers(foresight: &Foresight, output: &TextOutput) {
    if foresight.movers.is_empty() {
        return;
    }
    say!();
    let mut rows = Vec::new();
    for mover in &foresight.movers {
        let name = mover.name.as_ref().unwrap_or(&mover.country);
        let from = mover.from.as_deref().unwrap_or("no region");
        let to = mover.to.as_deref().unwrap_or("no region");
        rows.push(vec![
            name.clone(),
            in_millions(mover.addresses),
            format!("{from} > {to}"),
        ]);
    }
    output.table(&["moved", unit(foresight), "way"], &rows);
}

/// The note on what the shares are measured in.
fn basis(foresight: &Foresight) -> String {
    let (known, more) = (
        in_millions(foresight.addresses),
        in_millions(foresight.unlocated),
    );
    match foresight.over {
        ShareBasis::Addresses => {
            format!("of {known} public IPv4 addresses with a known location; {more} more have none")
        }
        ShareBasis::Population => {
            format!("of {known} people in places with known addresses; {more} more live elsewhere")
        }
        ShareBasis::Traffic => {
            let noun = if foresight.addresses == 1 {
                "query"
            } else {
                "queries"
            };
            format!("of {known} {noun} recorded recently; {more} more came from unknown locations")
        }
    }
}

fn region_row(region: &RegionForesight, is_change: bool) -> Vec<String> {
    let change = region.after_percent - region.before_percent;
    vec![
        region.region.clone(),
        region.weight.to_string(),
        text_if(region.bias != 0, format!("{:+}%", region.bias)),
        percent(region.before_percent),
        text_if(is_change, percent(region.after_percent)),
        text_if(change.abs() >= 0.05, format!("{change:+.1}")),
        region.capacity_percent.map_or_else(String::new, percent),
        text_if(region.over_capacity, "over its capacity".to_owned()),
    ]
}

/// A cell of a table that is empty without the condition.
fn text_if(condition: bool, text: String) -> String {
    if condition { text } else { String::new() }
}

/// Prints the coverage if some clients have no live region, before or after the change.
fn print_coverage(foresight: &Foresight, is_change: bool, output: &TextOutput) {
    let (before, after) = (&foresight.before_coverage, &foresight.after_coverage);
    if before.uncovered_percent() == 0.0 && after.uncovered_percent() == 0.0 {
        return;
    }
    say!();
    let mut rows = Vec::new();
    for ((name, before), (_, after)) in parts_of(before).into_iter().zip(parts_of(after)) {
        let after = text_if(is_change, percent(after));
        rows.push(vec![name.to_owned(), percent(before), after]);
    }
    output.table(
        &["clients that get", before_head(is_change, "share"), "after"],
        &rows,
    );
    print_losing(foresight, output);
}

/// The parts of the clients, in per cent.
fn parts_of(coverage: &CoverageParts) -> [(&'static str, f64); 5] {
    [
        ("a live region", coverage.live_percent),
        ("a live region of a later tier", coverage.displaced_percent),
        ("a region that is out", coverage.dead_percent),
        ("none", coverage.none_percent),
        ("none, by a fence", coverage.excluded_percent),
    ]
}

/// Prints the countries whose clients lose their last live region.
fn print_losing(foresight: &Foresight, output: &TextOutput) {
    if foresight.losing.is_empty() {
        return;
    }
    say!();
    let mut rows = Vec::new();
    for loser in &foresight.losing {
        let name = loser.name.as_ref().unwrap_or(&loser.country);
        rows.push(vec![name.clone(), in_millions(loser.addresses)]);
    }
    output.table(&["no live region", unit(foresight)], &rows);
}

fn before_head(is_change: bool, alone: &'static str) -> &'static str {
    if is_change { "before" } else { alone }
}

fn unit(foresight: &Foresight) -> &'static str {
    match foresight.over {
        ShareBasis::Addresses => "addresses",
        ShareBasis::Population => "people",
        ShareBasis::Traffic => "queries",
    }
}

/// `fra 60.0%, nyc 40.0%`, the largest share first.
fn share_list(shares: &BTreeMap<String, f64>) -> String {
    let mut shares: Vec<_> = shares.iter().collect();
    shares.sort_by(|one, other| other.1.total_cmp(one.1));
    let mut parts = Vec::new();
    for (region, share) in shares {
        parts.push(format!("{region} {}", percent(*share)));
    }
    parts.join(", ")
}

fn print_countries(foresight: &Foresight, is_change: bool, output: &TextOutput) {
    let mut countries: Vec<&CountryForesight> = foresight.countries.iter().collect();
    countries.sort_by_key(|country| std::cmp::Reverse(country.addresses));
    let mut rows = Vec::new();
    for country in countries {
        let name = country.name.as_ref().unwrap_or(&country.country);
        rows.push(vec![
            name.clone(),
            in_millions(country.addresses),
            share_list(&country.before),
            text_if(is_change, share_list(&country.after)),
        ]);
    }
    output.table(
        &[
            "country",
            unit(foresight),
            before_head(is_change, "regions"),
            "after",
        ],
        &rows,
    );
}

fn print_distance(foresight: &Foresight, is_change: bool, output: &TextOutput) {
    let distance = &foresight.distance;
    let lines = [
        ("mean", distance.before_mean_km, distance.after_mean_km),
        ("95 of 100", distance.before_p95_km, distance.after_p95_km),
        (
            "beyond the nearest, mean",
            distance.before_extra_mean_km,
            distance.after_extra_mean_km,
        ),
        (
            "beyond the nearest, 95 of 100",
            distance.before_extra_p95_km,
            distance.after_extra_p95_km,
        ),
    ];
    let mut rows = Vec::new();
    for (name, before, after) in lines {
        let after = text_if(is_change, kilometres(after));
        rows.push(vec![name.to_owned(), kilometres(before), after]);
    }
    output.table(
        &["distance", before_head(is_change, "up to"), "after"],
        &rows,
    );
}

/// `1234.5 M`, or the number itself where it is small.
fn in_millions(addresses: u64) -> String {
    if addresses < 100_000 {
        addresses.to_string()
    } else {
        format!("{:.1} M", addresses as f64 / 1e6)
    }
}

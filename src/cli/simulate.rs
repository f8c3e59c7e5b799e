//! `meridian simulate`

mod map;
mod png;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::arguments::{RemoteArgs, SimulateArgs};
use super::client::AdminClient;
use super::explain::{loaded, refusal};
use super::traffic;
use crate::admin::ServerStatus;
use crate::control::{LoadedState, load};
use crate::daemon::progress;
use crate::dns::Name;
use crate::explain::percent;
use crate::foresight::{
    CountryForesight, CountryLoss, ForecastRequest, Foresight, PlannedChange, ShareBasis, foresee,
};
use crate::terminal::{TextOutput, say, say_json};
use crate::text::shown;

/// Says who goes where, and what if.
pub fn run(arguments: &SimulateArgs) -> Result<ExitCode, String> {
    let foresights = match &arguments.admin {
        Some(admin) => ask(arguments, admin)?,
        None => work_out(arguments)?,
    };
    if let Some(file) = &arguments.map {
        let [foresight] = &foresights[..] else {
            return Err("--map draws one service; say its NAME".to_owned());
        };
        draw(foresight, file)?;
    }
    if arguments.json {
        say_json(serde_json::json!(foresights));
    } else {
        for (index, foresight) in foresights.iter().enumerate() {
            if index > 0 {
                say!();
            }
            print(foresight, arguments);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws a map, as the file's name says: SVG or PNG.
fn draw(foresight: &Foresight, file: &Path) -> Result<(), String> {
    let svg = map::draw(foresight)?;
    let octets = match file.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => svg.into_bytes(),
        Some("png") => png::render(&svg)?,
        _ => {
            return Err(format!(
                "{}: a map is a file in .svg or .png",
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
            return Err("a running server counts its own traffic: say --traffic live, or leave --admin away".to_owned());
        }
    };
    let client = AdminClient::new(&RemoteArgs::to_read(admin, arguments.ca_file.as_deref()))?;
    let mut names: Vec<String> = arguments.names.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        names = client
            .get::<ServerStatus>("/v1/status", &[])?
            .services
            .into_iter()
            .map(|service| service.name)
            .collect();
    }
    let weights: Vec<String> = arguments
        .weights
        .iter()
        .map(|(region, weight)| format!("{region}={weight}"))
        .collect();
    let biases: Vec<String> = arguments
        .biases
        .iter()
        .map(|(region, bias)| format!("{region}={}", bias.percent()))
        .collect();
    let one = |name: &String| {
        let mut query = vec![
            ("name", name.as_str()),
            ("type", arguments.rtype.word()),
            ("over", over),
        ];
        query.extend(
            arguments
                .down
                .iter()
                .map(|region| ("down", region.as_str())),
        );
        query.extend(weights.iter().map(|weight| ("weight", weight.as_str())));
        query.extend(biases.iter().map(|bias| ("bias", bias.as_str())));
        client.get("/v1/shares", &query)
    };
    names.iter().map(one).collect()
}

/// Works it out from the configuration, as a server of it would that has just been started.
fn work_out(arguments: &SimulateArgs) -> Result<Vec<Foresight>, String> {
    let loaded = loaded(arguments.config.as_deref())?;
    let other = arguments
        .against
        .as_deref()
        .map(|file| load(file, Some(&loaded.atlas)).map_err(|mistakes| refusal(file, &mistakes)));
    let other = other.transpose()?;
    let against = other.as_ref().map(|other| (&other.snapshot, &other.config));
    let change = PlannedChange {
        down: arguments.down.clone(),
        weights: arguments.weights.clone(),
        biases: arguments.biases.clone(),
    };
    let traffic = arguments
        .traffic
        .as_deref()
        .map(|source| traffic::read(source, &loaded.config, arguments.ca_file.as_deref()))
        .transpose()?;
    let over = if traffic.is_some() {
        ShareBasis::Traffic
    } else {
        arguments.over.parse()?
    };
    let (family, traffic) = (arguments.rtype.family(), &traffic.unwrap_or_default());
    let one = |name: &Name| {
        let wanted = ForecastRequest {
            name,
            family,
            over,
            traffic,
            change: &change,
        };
        foresee((&loaded.snapshot, &loaded.config), against, wanted)
    };
    progress::during("counting clients", || {
        named(&arguments.names, &loaded).iter().map(one).collect()
    })
}

/// The services asked about: those named, or all of them.
pub fn named(names: &[Name], loaded: &LoadedState) -> Vec<Name> {
    match names.is_empty() {
        true => loaded
            .config
            .services
            .iter()
            .map(|service| service.name.clone())
            .collect(),
        false => names.to_vec(),
    }
}

fn print(foresight: &Foresight, arguments: &SimulateArgs) {
    let is_change = arguments.is_change();
    let paper = TextOutput::stdout();
    paper.bold(&format!("{}\n", shown(&foresight.summary)));
    let row = |region: &crate::foresight::RegionForesight| {
        let change = region.after_percent - region.before_percent;
        vec![
            region.region.clone(),
            region.weight.to_string(),
            if region.bias == 0 {
                String::new()
            } else {
                format!("{:+}%", region.bias)
            },
            percent(region.before_percent),
            if is_change {
                percent(region.after_percent)
            } else {
                String::new()
            },
            if change.abs() >= 0.05 {
                format!("{change:+.1}")
            } else {
                String::new()
            },
            region.capacity_percent.map_or_else(String::new, percent),
            if region.over_capacity {
                "over its capacity".to_owned()
            } else {
                String::new()
            },
        ]
    };
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
    paper.table(
        &heads,
        &foresight.regions.iter().map(row).collect::<Vec<_>>(),
    );
    if !foresight.movers.is_empty() {
        say!();
        let row = |mover: &crate::foresight::CountryMove| {
            let name = mover.name.clone().unwrap_or_else(|| mover.country.clone());
            let nobody = || "nobody".to_owned();
            let (from, to) = (
                mover.from.clone().unwrap_or_else(nobody),
                mover.to.clone().unwrap_or_else(nobody),
            );
            vec![name, in_millions(mover.addresses), format!("{from} > {to}")]
        };
        paper.table(
            &["moved", unit(foresight), "way"],
            &foresight.movers.iter().map(row).collect::<Vec<_>>(),
        );
    }
    print_coverage(foresight, is_change, &paper);
    if arguments.countries {
        say!();
        print_countries(foresight, is_change, &paper);
    }
    say!();
    print_distance(foresight, is_change, &paper);
    let (known, more) = (
        in_millions(foresight.addresses),
        in_millions(foresight.unlocated),
    );
    let note = match foresight.over {
        ShareBasis::Addresses => {
            format!(
                "of {known} public IPv4 addresses whose place is known; {more} more are of unknown place"
            )
        }
        ShareBasis::Population => {
            format!("of {known} people where addresses are known; {more} more live where none is")
        }
        ShareBasis::Traffic => {
            let noun = if foresight.addresses == 1 {
                "query"
            } else {
                "queries"
            };
            format!("of {known} {noun} noted lately; {more} more came from places that are unknown")
        }
    };
    paper.faint(&note);
}

/// What clients are given, where some have no live region, before or after.
fn print_coverage(foresight: &Foresight, is_change: bool, paper: &TextOutput) {
    let (before, after) = (&foresight.before_coverage, &foresight.after_coverage);
    if before.uncovered_percent() == 0.0 && after.uncovered_percent() == 0.0 {
        return;
    }
    say!();
    let row = |name: &str, before: f64, after: f64| {
        vec![
            name.to_owned(),
            percent(before),
            if is_change {
                percent(after)
            } else {
                String::new()
            },
        ]
    };
    let rows = [
        row("a live region", before.live_percent, after.live_percent),
        row(
            "a live region of a later tier",
            before.displaced_percent,
            after.displaced_percent,
        ),
        row(
            "a region that is out",
            before.dead_percent,
            after.dead_percent,
        ),
        row("none", before.none_percent, after.none_percent),
        row(
            "none, by a fence",
            before.excluded_percent,
            after.excluded_percent,
        ),
    ];
    paper.table(
        &[
            "clients that are given",
            before_head(is_change, "share"),
            "after",
        ],
        &rows,
    );
    let row = |loser: &CountryLoss| {
        let name = loser.name.clone().unwrap_or_else(|| loser.country.clone());
        vec![name, in_millions(loser.addresses)]
    };
    if !foresight.losing.is_empty() {
        say!();
        paper.table(
            &["no live region", unit(foresight)],
            &foresight.losing.iter().map(row).collect::<Vec<_>>(),
        );
    }
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

fn print_countries(foresight: &Foresight, is_change: bool, paper: &TextOutput) {
    let shares = |parts: &std::collections::BTreeMap<String, f64>| {
        let mut parts: Vec<_> = parts.iter().collect();
        parts.sort_by(|one, other| other.1.total_cmp(one.1));
        parts
            .iter()
            .map(|(region, part)| format!("{region} {}", percent(**part)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let row = |country: &CountryForesight| {
        let name = country
            .name
            .clone()
            .unwrap_or_else(|| country.country.clone());
        let after = if is_change {
            shares(&country.after)
        } else {
            String::new()
        };
        vec![
            name,
            in_millions(country.addresses),
            shares(&country.before),
            after,
        ]
    };
    let mut countries: Vec<&CountryForesight> = foresight.countries.iter().collect();
    countries.sort_by_key(|country| std::cmp::Reverse(country.addresses));
    let rows: Vec<Vec<String>> = countries.into_iter().map(row).collect();
    paper.table(
        &[
            "country",
            unit(foresight),
            before_head(is_change, "regions"),
            "after",
        ],
        &rows,
    );
}

fn print_distance(foresight: &Foresight, is_change: bool, paper: &TextOutput) {
    let distance = &foresight.distance;
    let kilometres = |it: Option<f64>| it.map_or_else(String::new, |it| format!("{it:.0} km"));
    let row = |name: &str, before, after| {
        vec![
            name.to_owned(),
            kilometres(before),
            if is_change {
                kilometres(after)
            } else {
                String::new()
            },
        ]
    };
    let rows = [
        row("mean", distance.before_mean_km, distance.after_mean_km),
        row("95 of 100", distance.before_p95_km, distance.after_p95_km),
        row(
            "beyond the nearest, mean",
            distance.before_extra_mean_km,
            distance.after_extra_mean_km,
        ),
        row(
            "beyond the nearest, 95 of 100",
            distance.before_extra_p95_km,
            distance.after_extra_p95_km,
        ),
    ];
    paper.table(
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

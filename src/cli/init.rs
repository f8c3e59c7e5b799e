//! `meridian init`: a configuration and a zone to begin with, explained line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::ExitCode;

use super::arguments::{InitArgs, RegionGiven};
use crate::control;
use crate::dns::Name;
use crate::geo::locations;
use crate::new_files::{NewFile, new_token, write_new};
use crate::terminal::say;
use crate::text::toml_text;

/// Writes the files, checks them as the server would, and says what to do next.
pub fn run(arguments: &InitArgs) -> Result<ExitCode, String> {
    let domain = arguments
        .domain
        .to_string()
        .trim_end_matches('.')
        .to_owned();
    let name = format!("{}.{domain}", arguments.service);
    name.parse::<Name>()
        .map_err(|error| format!("{name:?} is not a domain name: {error}"))?;
    let directory = &arguments.directory;
    let config = directory.join("meridian.toml");
    let token = NewFile::secret(directory.join("token"), new_token()?);
    let files = [
        NewFile::public(
            config.clone(),
            configuration(&name, &domain, &arguments.regions)?,
        ),
        NewFile::public(
            directory.join("zones").join(format!("{domain}.zone")),
            zone_text(&name, &domain),
        ),
        token,
    ];
    write_new(&files)?;
    let state = directory.join("state");
    let checked = make_state(&state).and_then(|()| {
        let refused = |mistakes: Vec<String>| {
            format!(
                "these options make no good configuration:\n  {}",
                mistakes.join("\n  ")
            )
        };
        control::load(&config, None).map(drop).map_err(refused)
    });
    if let Err(why) = checked {
        // Nothing was there before, so nothing of ours stays that cannot be used.
        files
            .iter()
            .for_each(|file| drop(fs::remove_file(&file.path)));
        let _ = fs::remove_dir(&state);
        return Err(why);
    }
    files
        .iter()
        .for_each(|file| say!("wrote {}", file.path.display()));
    for (region, label) in known_places(&arguments.regions) {
        say!("{region} is at {label}");
    }
    say!(
        "\nnext: meridian check --config {0} && meridian serve --config {0}",
        config.display()
    );
    say!("then: dig @127.0.0.1 -p 1053 {name} A +subnet=193.0.0.0/21");
    say!(
        "and:  meridian status; what changes something takes --token-file {}",
        files[2].path.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Regions whose place has a name, each once, and what that place is.
fn known_places(given: &[RegionGiven]) -> BTreeMap<&str, String> {
    let mut places = BTreeMap::new();
    for region in given {
        if let Ok(known) = locations::find(&region.place) {
            places.insert(region.name.as_str(), known.label);
        }
    }
    places
}

/// A folder that only its owner reaches, or the one that is there.
fn make_state(state: &Path) -> Result<(), String> {
    match DirBuilder::new().mode(0o700).create(state) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(format!("{}: cannot be made: {error}", state.display()))
        }
        _ => Ok(()),
    }
}

/// `"FRA"`, or `[50.1, 8.7]` of `50.1,8.7`.
fn place(text: &str) -> String {
    match text
        .split_once(',')
        .map(|(north, east)| (north.trim().parse::<f64>(), east.trim().parse::<f64>()))
    {
        Some((Ok(north), Ok(east))) => format!("[{north:?}, {east:?}]"),
        _ => toml_text(text),
    }
}

fn configuration(name: &str, domain: &str, given: &[RegionGiven]) -> Result<String, String> {
    let mut seen = BTreeSet::new();
    let names: Vec<&String> = given
        .iter()
        .map(|it| &it.name)
        .filter(|name| seen.insert(*name))
        .collect();
    let (mut regions, mut endpoints) = (String::new(), String::new());
    for region in names {
        let own: Vec<&RegionGiven> = given.iter().filter(|it| it.name == *region).collect();
        if let Some(other) = own.iter().find(|it| it.place != own[0].place) {
            return Err(format!(
                "{region} cannot be at {} and at {} at once",
                own[0].place, other.place
            ));
        }
        let addresses: Vec<String> = own
            .iter()
            .map(|it| toml_text(&it.address.to_string()))
            .collect();
        let addresses = if addresses.len() == 1 {
            addresses.concat()
        } else {
            format!("[{}]", addresses.join(", "))
        };
        let _ = writeln!(
            regions,
            "[regions.{region}]\nlocation = {}",
            place(&own[0].place)
        );
        let _ = writeln!(endpoints, "{region} = {addresses}");
    }
    Ok(format!(
        r#"# Meridian answers {name} with the region that is nearest to the client.
# Every key is explained in docs/configuration.md.

[server]
listen = ["127.0.0.1:1053", "[::1]:1053"]   # for everybody: ["0.0.0.0:53", "[::]:53"]

[admin]
listen = "127.0.0.1:8053"       # meridian status; metrics; the console in a browser
token_file = "token"            # what changes something shows it: meridian drain fra --reason test --token-file token

[state]                         # orders, leases and the last agreed health outlive a restart
directory = "state"

# A reload that would move more than this of a service's clients is refused until it is told --yes-move:
# [guard]
# max_move = "30%"

[zones]
directory = "zones"             # zones/{domain}.zone holds all that is not steered

# Where the regions are: an airport, a cloud region, a city, a country, or [latitude, longitude].
{regions}
# How endpoints are asked whether they serve: GET /health on port 80, every 3 seconds.
[checks.web]
type = "http"
path = "/health"

[[services]]
name = {}
ttl = 30                        # seconds; how long a failover takes to reach everybody
check = "web"                   # without it, nobody asks, and every endpoint counts as alive

[services.endpoints]
{endpoints}"#,
        toml_text(name)
    ))
}

fn zone_text(name: &str, domain: &str) -> String {
    format!(
        "$ORIGIN {domain}.
$TTL 3600
@       IN SOA  ns1 hostmaster ( 1 7200 3600 1209600 30 )   ; raise the first number with each change
        IN NS   ns1
ns1     IN A    127.0.0.1       ; the public address of this nameserver
; {name} is not written here: meridian.toml steers it.
"
    )
}

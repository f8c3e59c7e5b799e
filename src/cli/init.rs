//! `meridian init`: writes a first configuration and zone, with a comment on each line.
//!
//! The command loads the files that it wrote as the server would, and removes them if that fails.

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

/// Writes the files, checks them, and prints the next steps.
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
    if let Err(reason) = check(&config, &state) {
        // None of the files existed before, so they can all be removed again.
        for file in &files {
            let _ = fs::remove_file(&file.path);
        }
        let _ = fs::remove_dir(&state);
        return Err(reason);
    }
    print_result(arguments, &files, &name);
    Ok(ExitCode::SUCCESS)
}

/// Prints the written files and the next steps. The first file is the configuration, the last one
/// the token.
fn print_result(arguments: &InitArgs, files: &[NewFile; 3], name: &str) {
    let [config, _, token] = files;
    for file in files {
        say!("wrote {}", file.path.display());
    }
    for (region, label) in known_places(&arguments.regions) {
        say!("{region} is at {label}");
    }
    say!(
        "\nnext: meridian check --config {0} && meridian serve --config {0}",
        config.path.display()
    );
    say!("then: dig @127.0.0.1 -p 1053 {name} A +subnet=193.0.0.0/21");
    say!(
        "and:  meridian status; commands that change state need --token-file {}",
        token.path.display()
    );
}

/// Loads the configuration as the server would, with its state directory.
fn check(config: &Path, state: &Path) -> Result<(), String> {
    make_state(state)?;
    match control::load(config, None) {
        Ok(_) => Ok(()),
        Err(mistakes) => Err(format!(
            "the configuration from these options is not valid:\n  {}",
            mistakes.join("\n  ")
        )),
    }
}

/// The regions at a known place, each once, with the label of that place.
fn known_places(given: &[RegionGiven]) -> BTreeMap<&str, String> {
    let mut places = BTreeMap::new();
    for region in given {
        if let Ok(known) = locations::find(&region.place) {
            places.insert(region.name.as_str(), known.label);
        }
    }
    places
}

/// Creates the state directory for its owner alone, unless it exists.
fn make_state(state: &Path) -> Result<(), String> {
    match DirBuilder::new().mode(0o700).create(state) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(format!("{}: cannot be created: {error}", state.display()))
        }
        _ => Ok(()),
    }
}

/// The TOML of a place: `"FRA"`, or `[50.1, 8.7]` for `50.1,8.7`.
fn place(text: &str) -> String {
    if let Some((north, east)) = text.split_once(',')
        && let Ok(north) = north.trim().parse::<f64>()
        && let Ok(east) = east.trim().parse::<f64>()
    {
        return format!("[{north:?}, {east:?}]");
    }
    toml_text(text)
}

fn configuration(name: &str, domain: &str, given: &[RegionGiven]) -> Result<String, String> {
    let mut seen = BTreeSet::new();
    let (mut regions, mut endpoints) = (String::new(), String::new());
    for RegionGiven { name: region, .. } in given {
        if !seen.insert(region) {
            continue;
        }
        let own: Vec<&RegionGiven> = given.iter().filter(|it| it.name == *region).collect();
        if let Some(other) = own.iter().find(|it| it.place != own[0].place) {
            return Err(format!(
                "{region} cannot be at {} and at {} at once",
                own[0].place, other.place
            ));
        }
        let mut addresses = Vec::new();
        for it in &own {
            addresses.push(toml_text(&it.address.to_string()));
        }
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
        r#"# Meridian answers {name} with the region nearest to the client.
# Every key is explained in docs/configuration.md.

[server]
listen = ["127.0.0.1:1053", "[::1]:1053"]   # for all clients: ["0.0.0.0:53", "[::]:53"]

[admin]
listen = "127.0.0.1:8053"       # meridian status; metrics; the console in a browser
token_file = "token"            # for commands that change state: meridian drain fra --reason test --token-file token

[state]                         # overrides, leases and health survive a restart
directory = "state"

# A reload that would move more of a service's clients than this is refused without --yes-move:
# [guard]
# max_move = "30%"

[zones]
directory = "zones"             # zones/{domain}.zone holds all other records

# Where the regions are: an airport, a cloud region, a city, a country, or [latitude, longitude].
{regions}
# The health check of the endpoints: GET /health on port 80, every 3 seconds.
[checks.web]
type = "http"
path = "/health"

[[services]]
name = {}
ttl = 30                        # seconds; clients notice a failover after at most this time
check = "web"                   # without a check, every endpoint counts as up

[services.endpoints]
{endpoints}"#,
        toml_text(name)
    ))
}

fn zone_text(name: &str, domain: &str) -> String {
    format!(
        "$ORIGIN {domain}.
$TTL 3600
@       IN SOA  ns1 hostmaster ( 1 7200 3600 1209600 30 )   ; increase the first number with each change
        IN NS   ns1
ns1     IN A    127.0.0.1       ; the public address of this nameserver
; {name} is not here, because meridian.toml steers it.
"
    )
}

//! `meridian init`: a configuration and a zone to begin with, explained line by line.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::arguments::{Init, RegionGiven};
use crate::cli::paper::say;
use crate::control;
use crate::dns::Name;

/// Writes both files, checks them as the server would, and says what to do next.
pub fn run(arguments: &Init) -> Result<ExitCode, String> {
    let domain = arguments.domain.to_string().trim_end_matches('.').to_owned();
    let name = format!("{}.{domain}", arguments.service);
    name.parse::<Name>().map_err(|error| format!("{name:?} is not a domain name: {error}"))?;
    let config = arguments.directory.join("meridian.toml");
    let zone = arguments.directory.join("zones").join(format!("{domain}.zone"));
    let files =
        [(config.clone(), configuration(&name, &domain, &arguments.regions)?), (zone, zone_text(&name, &domain))];
    write_new(&files)?;
    if let Err(mistakes) = control::load(&config, None) {
        // Nothing was there before, so nothing of ours stays that cannot be used.
        files.iter().for_each(|(path, _)| drop(fs::remove_file(path)));
        return Err(format!("these options make no good configuration:\n  {}", mistakes.join("\n  ")));
    }
    files.iter().for_each(|(path, _)| say!("wrote {}", path.display()));
    say!("\nnext: meridian check --config {0} && meridian serve --config {0}", config.display());
    say!("then: dig @127.0.0.1 -p 1053 {name} A +subnet=193.0.0.0/21");
    Ok(ExitCode::SUCCESS)
}

/// Writes files where there are none, all or none of them.
///
/// # Errors
/// A sentence: one of them is there already, or cannot be written.
pub fn write_new(files: &[(PathBuf, String)]) -> Result<(), String> {
    if let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        return Err(format!("{} is there already and is not overwritten; choose another folder", path.display()));
    }
    let mut written: Vec<&Path> = Vec::new();
    for (path, text) in files {
        if let Err(error) = create(path, text) {
            written.iter().for_each(|path| drop(fs::remove_file(path)));
            return Err(format!("{}: cannot be written: {error}", path.display()));
        }
        written.push(path);
    }
    Ok(())
}

fn create(path: &Path, text: &str) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// `"FRA"`, or `[50.1, 8.7]` of `50.1,8.7`.
fn place(text: &str) -> String {
    match text.split_once(',').map(|(north, east)| (north.trim().parse::<f64>(), east.trim().parse::<f64>())) {
        Some((Ok(north), Ok(east))) => format!("[{north:?}, {east:?}]"),
        _ => toml_text(text),
    }
}

/// A TOML string; JSON's escapes are among TOML's.
pub fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn configuration(name: &str, domain: &str, given: &[RegionGiven]) -> Result<String, String> {
    let mut seen = BTreeSet::new();
    let names: Vec<&String> = given.iter().map(|it| &it.name).filter(|name| seen.insert(*name)).collect();
    let (mut regions, mut endpoints) = (String::new(), String::new());
    for region in names {
        let own: Vec<&RegionGiven> = given.iter().filter(|it| it.name == *region).collect();
        if let Some(other) = own.iter().find(|it| it.place != own[0].place) {
            return Err(format!("{region} cannot be at {} and at {} at once", own[0].place, other.place));
        }
        let addresses: Vec<String> = own.iter().map(|it| toml_text(&it.address.to_string())).collect();
        let addresses = if addresses.len() == 1 { addresses.concat() } else { format!("[{}]", addresses.join(", ")) };
        let _ = writeln!(regions, "[regions.{region}]\nlocation = {}", place(&own[0].place));
        let _ = writeln!(endpoints, "{region} = {addresses}");
    }
    Ok(format!(
        r#"# Meridian answers {name} with the region that is nearest to the client.
# Every key is explained in docs/configuration.md.

[server]
listen = ["127.0.0.1:1053", "[::1]:1053"]   # for everybody: ["0.0.0.0:53", "[::]:53"]

[admin]
listen = "127.0.0.1:8053"       # meridian status; metrics; the console in a browser

# Orders, leases and the last agreed health outlive a restart:
# [state]
# directory = "state"

# A reload that would move more than this of a service's clients is refused until it is told --yes-move:
# [guard]
# max_move = "30%"

[zones]
directory = "zones"             # zones/{domain}.zone holds all that is not steered

# Where the regions are: an airport, a cloud region, a country, or [latitude, longitude].
{regions}
# How endpoints are asked whether they serve. Once they do, take the comment signs away, here and in the service:
# [checks.web]
# type = "http"
# path = "/health"

[[services]]
name = {}
ttl = 30                        # seconds; how long a failover takes to reach everybody
# check = "web"

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

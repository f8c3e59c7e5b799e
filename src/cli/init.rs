//! `meridian init`: a configuration and a zone to begin with, explained line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::rand::GetRandomFlags;

use super::arguments::{InitArgs, RegionGiven};
use crate::cli::paper::say;
use crate::control;
use crate::dns::Name;
use crate::geo::locations;

/// Octets of chance in a token.
const TOKEN_OCTETS: usize = 32;

/// A file that is to be written where none is.
pub struct NewFile {
    /// Where.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
    /// Nobody but its owner may read it.
    pub is_secret: bool,
}

impl NewFile {
    /// A file that everybody may read.
    pub fn public(path: PathBuf, text: String) -> NewFile {
        NewFile { path, text, is_secret: false }
    }

    /// A file that nobody but its owner may read.
    pub fn secret(path: PathBuf, text: String) -> NewFile {
        NewFile { path, text, is_secret: true }
    }

    /// Writes it, and its folder if there is none.
    ///
    /// # Errors
    /// It is there already, or cannot be written.
    pub fn create(&self) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mode = if self.is_secret { 0o600 } else { 0o666 };
        OpenOptions::new().write(true).create_new(true).mode(mode).open(&self.path)?.write_all(self.text.as_bytes())
    }
}

/// Writes the files, checks them as the server would, and says what to do next.
pub fn run(arguments: &InitArgs) -> Result<ExitCode, String> {
    let domain = arguments.domain.to_string().trim_end_matches('.').to_owned();
    let name = format!("{}.{domain}", arguments.service);
    name.parse::<Name>().map_err(|error| format!("{name:?} is not a domain name: {error}"))?;
    let directory = &arguments.directory;
    let config = directory.join("meridian.toml");
    let token = NewFile::secret(directory.join("token"), new_token()?);
    let files = [
        NewFile::public(config.clone(), configuration(&name, &domain, &arguments.regions)?),
        NewFile::public(directory.join("zones").join(format!("{domain}.zone")), zone_text(&name, &domain)),
        token,
    ];
    write_new(&files)?;
    let state = directory.join("state");
    let checked = make_state(&state).and_then(|()| {
        let refused =
            |mistakes: Vec<String>| format!("these options make no good configuration:\n  {}", mistakes.join("\n  "));
        control::load(&config, None).map(drop).map_err(refused)
    });
    if let Err(why) = checked {
        // Nothing was there before, so nothing of ours stays that cannot be used.
        files.iter().for_each(|file| drop(fs::remove_file(&file.path)));
        let _ = fs::remove_dir(&state);
        return Err(why);
    }
    files.iter().for_each(|file| say!("wrote {}", file.path.display()));
    for (region, label) in known_places(&arguments.regions) {
        say!("{region} is at {label}");
    }
    say!("\nnext: meridian check --config {0} && meridian serve --config {0}", config.display());
    say!("then: dig @127.0.0.1 -p 1053 {name} A +subnet=193.0.0.0/21");
    say!("and:  meridian status; what changes something takes --token-file {}", files[2].path.display());
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

/// Random octets as hexadecimal digits, and the end of the line.
///
/// # Errors
/// A sentence: the system has none to give.
pub fn new_token() -> Result<String, String> {
    let mut octets = [0; TOKEN_OCTETS];
    let taken = rustix::rand::getrandom(&mut octets, GetRandomFlags::empty());
    let taken = taken.map_err(|error| format!("the system has no random octets for a token: {error}"))?;
    if taken < octets.len() {
        return Err("the system has too few random octets for a token".to_owned());
    }
    let mut token: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    token.push('\n');
    Ok(token)
}

/// Writes files where there are none, all or none of them.
///
/// # Errors
/// A sentence: one of them is there already, or cannot be written.
pub fn write_new(files: &[NewFile]) -> Result<(), String> {
    if let Some(file) = files.iter().find(|file| file.path.symlink_metadata().is_ok()) {
        let path = file.path.display();
        return Err(format!("{path} is there already and is not overwritten; choose another folder"));
    }
    let mut written: Vec<&Path> = Vec::new();
    for file in files {
        if let Err(error) = file.create() {
            written.iter().for_each(|path| drop(fs::remove_file(path)));
            return Err(format!("{}: cannot be written: {error}", file.path.display()));
        }
        written.push(&file.path);
    }
    Ok(())
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

//! The options of commands that create or check files before they are served.
//!
//! These are `check`, `plan`, `verify-scopes`, `init` and `geodata`. The parsers below read the
//! compound values of `init`, such as `fra=FRA@192.0.2.1`, and name the wrong part in their errors.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ConfigFile, SharesOf};
use crate::config::is_name;
use crate::dns::Name;
use crate::geo::locations;
use crate::steering::Point;

/// `meridian check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Say what this user may not read, too: NAME or UID:GID of the user that the server runs as. Needs root; as root,
    /// the owner of the state directory or the user `meridian` is asked about without it, and told as warnings
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Take warnings as mistakes: exit 1 with any
    #[arg(long)]
    pub strict: bool,
    /// Print JSON: a list of what was found
    #[arg(long)]
    pub json: bool,
}

/// `meridian plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The configuration that is to come; without it, the running server compares its files with what it serves
    #[arg(value_name = "NEW.toml", conflicts_with_all = ["admin", "token_file"])]
    pub new: Option<PathBuf>,
    /// The configuration that is served [default: meridian.toml]
    #[arg(long, value_name = "FILE", requires = "new")]
    pub config: Option<PathBuf>,
    /// The running server: a URL, or unix:PATH [default: http://127.0.0.1:8053]
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// File that holds its token; else MERIDIAN_TOKEN is the token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Say what moves of the queries that a running server noted, too: live asks it, else a file with what its /v1/traffic says
    #[arg(long, value_name = "live|FILE", requires = "new")]
    pub traffic: Option<String>,
    /// Trust the authorities of this file (PEM), and no others, where the server that is asked speaks HTTPS
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `meridian verify-scopes`
#[derive(Debug, Args)]
pub struct VerifyScopes {
    /// Services; without any, all of them
    #[arg(value_name = "NAME")]
    pub names: Vec<Name>,
    /// Whose endpoints are counted
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = "A",
        ignore_case = true
    )]
    pub rtype: SharesOf,
    /// The configuration file [default: meridian.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `meridian init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The zone
    #[arg(long, value_name = "NAME", value_parser = read_domain)]
    pub domain: Name,
    /// A region, where it is, and an address of it; the same region may be there again with another address
    #[arg(long = "region", required = true, value_name = "NAME=PLACE@ADDRESS", value_parser = read_region)]
    pub regions: Vec<RegionGiven>,
    /// The name that is steered, below the zone
    #[arg(long, value_name = "LABEL", default_value = "www")]
    pub service: String,
    /// Where the files are written
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub directory: PathBuf,
}

/// `fra=FRA@192.0.2.1`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionGiven {
    /// Its name.
    pub name: String,
    /// Its location: the name of a known place, or `LATITUDE,LONGITUDE`.
    pub place: String,
    /// One address of it.
    pub address: IpAddr,
}

/// `meridian geodata`
#[derive(Debug, Subcommand)]
pub enum GeodataCommand {
    /// Make an MMDB file of comma-separated networks and their places
    Build {
        /// Columns network, latitude, longitude, country, subdivision, asn; only network must be there
        #[arg(value_name = "INPUT.csv")]
        input: PathBuf,
        /// The MMDB file to write
        #[arg(short, long, value_name = "OUT.mmdb")]
        output: PathBuf,
    },
    /// Make the compact built-in table of City databases in MMDB form
    Compile {
        /// The databases; the first that knows a network wins
        #[arg(required = true, value_name = "INPUT.mmdb")]
        inputs: Vec<PathBuf>,
        /// The table to write
        #[arg(short, long, value_name = "OUT")]
        output: PathBuf,
    },
}

fn read_domain(text: &str) -> Result<Name, String> {
    let name: Name = text
        .parse()
        .map_err(|error| format!("not a domain name: {error}"))?;
    if name.as_wire().len() == 1 {
        Err("the root is not a zone to begin with".to_owned())
    } else {
        Ok(name)
    }
}

/// Parses `NAME=PLACE@ADDRESS`. The error names the wrong part; clap adds the whole argument.
fn read_region(text: &str) -> Result<RegionGiven, String> {
    let lacks =
        |what: &str| format!("{what}; expected NAME=PLACE@ADDRESS, such as fra=FRA@192.0.2.1");
    let (name, rest) = text
        .split_once('=')
        .ok_or_else(|| lacks("there is no \"=\" behind the name"))?;
    let (place, address) = rest
        .rsplit_once('@')
        .ok_or_else(|| lacks("there is no \"@\" before the address"))?;
    if place.is_empty() {
        return Err(lacks("the place is empty"));
    }
    check_name(name).map_err(|what| lacks(&what))?;
    let address = address.parse().map_err(|_| {
        lacks(&format!(
            "the address {address:?} is no IPv4 or IPv6 address"
        ))
    })?;
    check_place(place)?;
    Ok(RegionGiven {
        name: name.to_owned(),
        place: place.to_owned(),
        address,
    })
}

/// A name of a region, `[a-z0-9-]{1,63}`, or what was perhaps meant.
fn check_name(name: &str) -> Result<(), String> {
    if is_name(name) {
        return Ok(());
    }
    let meant = name.trim().to_lowercase().replace([' ', '_', '.'], "-");
    let hint = if is_name(&meant) {
        format!(" (did you mean {meant:?}?)")
    } else {
        String::new()
    };
    Err(format!(
        "the name {name:?} is not made of 1 to 63 of a-z, 0-9 and \"-\"{hint}"
    ))
}

fn degrees(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// A place is a name that the tables know, or `LATITUDE,LONGITUDE` in degrees.
fn check_place(place: &str) -> Result<(), String> {
    let Some((north, east)) = place
        .split_once(',')
        .filter(|(north, _)| degrees(north).is_some())
    else {
        return locations::find(place)
            .map(drop)
            .map_err(|unknown| format!("the place {place:?}: {unknown}"));
    };
    match degrees(north)
        .zip(degrees(east))
        .map(|(north, east)| Point::new(north, east).is_ok())
    {
        Some(true) => Ok(()),
        Some(false) => Err(format!(
            "the place {place:?} is not on the earth: latitude is -90 to 90 degrees and longitude -180 to 180"
        )),
        None => Err(format!(
            "the place {place:?}: expected LATITUDE,LONGITUDE in degrees, such as 50.11,8.68"
        )),
    }
}

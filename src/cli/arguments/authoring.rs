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
    /// Also report files that this user cannot read: NAME or UID:GID of the user that the server
    /// runs as. Needs root. Without it, root gets warnings about the owner of the state directory
    /// or the user `meridian`
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Treat warnings as errors: exit with 1 if there are any
    #[arg(long)]
    pub strict: bool,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
    /// Also ask for the DS records of the zones, and compare them with the keys. The questions go
    /// to `parent_servers` or the resolver, and take a minute at most
    #[arg(long)]
    pub online: bool,
}

/// `meridian plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The new configuration [default: the files of the running server]
    #[arg(value_name = "NEW.toml", conflicts_with_all = ["admin", "token_file"])]
    pub new: Option<PathBuf>,
    /// The configuration to compare with [default: meridian.toml]
    #[arg(long, value_name = "FILE", requires = "new")]
    pub config: Option<PathBuf>,
    /// Admin address of the server: a URL, or unix:PATH [default: http://127.0.0.1:8053]
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// Read the admin token from this file [default: the variable MERIDIAN_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Also show how many queries move: "live" asks a running server, FILE holds the output of its
    /// /v1/traffic
    #[arg(long, value_name = "live|FILE", requires = "new")]
    pub traffic: Option<String>,
    /// For an HTTPS server: trust only the CA certificates in this file (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `meridian verify-scopes`
#[derive(Debug, Args)]
pub struct VerifyScopes {
    /// The services to include [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<Name>,
    /// Count the endpoints of this record type
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
    /// The domain name of the zone
    #[arg(long, value_name = "NAME", value_parser = read_domain)]
    pub domain: Name,
    /// A region, its location and an address of it; repeat it for more addresses or regions
    #[arg(long = "region", required = true, value_name = "NAME=PLACE@ADDRESS", value_parser = read_region)]
    pub regions: Vec<RegionGiven>,
    /// The first label of the service, a name in the zone
    #[arg(long, value_name = "LABEL", default_value = "www")]
    pub service: String,
    /// Write the files to this directory
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
    /// Build an MMDB file from a CSV file of networks and locations
    Build {
        /// A file with the columns network, latitude, longitude, country, subdivision, asn; only
        /// network is required
        #[arg(value_name = "INPUT.csv")]
        input: PathBuf,
        /// The MMDB file to write
        #[arg(short, long, value_name = "OUT.mmdb")]
        output: PathBuf,
    },
    /// Build the compact built-in table from City databases (MMDB)
    Compile {
        /// The databases; the first one that has a network wins
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
        Err("the root zone cannot be used here".to_owned())
    } else {
        Ok(name)
    }
}

/// Parses `NAME=PLACE@ADDRESS`. The error names the wrong part; clap adds the whole argument.
fn read_region(text: &str) -> Result<RegionGiven, String> {
    let (name, rest) = text
        .split_once('=')
        .ok_or_else(|| with_region_form("there is no \"=\" after the name"))?;
    let (place, address) = rest
        .rsplit_once('@')
        .ok_or_else(|| with_region_form("there is no \"@\" before the address"))?;
    if place.is_empty() {
        return Err(with_region_form("the place is empty"));
    }
    check_name(name).map_err(|what| with_region_form(&what))?;
    let address = read_address(address)?;
    check_place(place)?;
    Ok(RegionGiven {
        name: name.to_owned(),
        place: place.to_owned(),
        address,
    })
}

fn read_address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| {
        with_region_form(&format!(
            "the address {text:?} is not an IPv4 or IPv6 address"
        ))
    })
}

/// An error with the form that is expected.
fn with_region_form(what: &str) -> String {
    format!("{what}; expected NAME=PLACE@ADDRESS, such as fra=FRA@192.0.2.1")
}

/// Checks the name of a region, `[a-z0-9-]{1,63}`. The error suggests a name that is valid.
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
        "the name {name:?} must be 1 to 63 characters of a-z, 0-9 and \"-\"{hint}"
    ))
}

fn degrees(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// Checks a place: a name in the tables, or `LATITUDE,LONGITUDE` in degrees.
fn check_place(place: &str) -> Result<(), String> {
    if let Some((north, east)) = place.split_once(',')
        && let Some(north) = degrees(north)
    {
        return check_point(place, north, degrees(east));
    }
    match locations::find(place) {
        Ok(_) => Ok(()),
        Err(unknown) => Err(format!("the place {place:?}: {unknown}")),
    }
}

fn check_point(place: &str, north: f64, east: Option<f64>) -> Result<(), String> {
    let Some(east) = east else {
        return Err(format!(
            "the place {place:?}: expected LATITUDE,LONGITUDE in degrees, such as 50.11,8.68"
        ));
    };
    if Point::new(north, east).is_err() {
        return Err(format!(
            "the place {place:?} is not on the earth: latitude is -90 to 90 degrees and longitude -180 to 180"
        ));
    }
    Ok(())
}

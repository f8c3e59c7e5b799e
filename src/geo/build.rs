//! Builds a MaxMind DB file from a table of networks in comma-separated form.
//!
//! ```text
//! network,latitude,longitude,country,subdivision,asn
//! 10.0.0.0/8,52.52,13.40,DE,BE,64512
//! 10.7.0.0/16,,,US,CA,
//! ```
//!
//! The file has the layout of GeoIP2 City, so any reader of such files can read it. Networks may
//! overlap and come in any order; an address belongs to the longest prefix that contains it.

mod rows;

use std::fmt;
use std::fs;
use std::io;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mmdb_writer::ipnet::{IpNet, Ipv6Net};
use mmdb_writer::{Value, Writer};

pub use self::rows::RowErrors;
use self::rows::{HOLDERS_OF_IPV4, NetworkRow, RowRecord};
use crate::disk;
use crate::files::{self, FileKind, ReadError};
use crate::geo::locations;
use crate::text::shown;

/// The contents of a built database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildSummary {
    /// Networks of IPv4.
    pub ipv4_networks: usize,
    /// Networks of IPv6.
    pub ipv6_networks: usize,
    /// Size of the file in octets.
    pub octets: usize,
}

/// Why no database was built. The output file is left unchanged.
#[derive(Debug)]
pub enum BuildError {
    /// The input cannot be read.
    Input(PathBuf, ReadError),
    /// Rows of the input cannot be stored; all mistakes at once.
    Rows(RowErrors),
    /// The environment's SOURCE_DATE_EPOCH is not a number of seconds.
    SourceDate(String),
    /// The networks do not fit into a MaxMind DB file.
    Encoding(mmdb_writer::Error),
    /// The output cannot be written.
    Output(PathBuf, io::Error),
}

/// Reads `input` (comma-separated, with a header, `#` before comments) and writes `output` (MaxMind
/// DB format) atomically.
///
/// The columns are `network`, `latitude`, `longitude` (degrees), `country` (ISO 3166-1 alpha-2),
/// `subdivision` (ISO 3166-2) and `asn`, in any order. Only `network` is required. A blank field
/// means unknown.
///
/// The build is reproducible: the file's build time is SOURCE_DATE_EPOCH, or else the time at which
/// `input` was last modified.
pub fn build(input: &Path, output: &Path) -> Result<BuildSummary, BuildError> {
    let octets = match files::read(input, FileKind::Networks) {
        Ok(content) => content.octets,
        Err(error) => return Err(BuildError::Input(input.to_owned(), error)),
    };
    let built = match source_date()? {
        Some(date) => date,
        None => modified(input)?,
    };
    let rows = rows::parse(input, &octets).map_err(BuildError::Rows)?;
    let database = encode(&rows, built).map_err(BuildError::Encoding)?;
    disk::replace(output, &database, 0o666)
        .map_err(|error| BuildError::Output(output.to_owned(), error))?;
    let mut summary = BuildSummary {
        ipv4_networks: 0,
        ipv6_networks: 0,
        octets: database.len(),
    };
    for row in &rows {
        match row.network {
            IpNet::V4(_) => summary.ipv4_networks += 1,
            IpNet::V6(_) => summary.ipv6_networks += 1,
        }
    }
    Ok(summary)
}

/// When a file was last modified.
fn modified(input: &Path) -> Result<SystemTime, BuildError> {
    let modified = fs::metadata(input).and_then(|file| file.modified());
    modified.map_err(|error| BuildError::Input(input.to_owned(), ReadError::Refused(error)))
}

/// The number of rows in a table.
///
/// # Errors
/// All rows that cannot be stored.
pub(crate) fn count_rows(octets: &[u8]) -> Result<usize, RowErrors> {
    Ok(rows::parse(Path::new("table.csv"), octets)?.len())
}

/// The build time that the environment asks for (reproducible-builds.org, SOURCE_DATE_EPOCH).
fn source_date() -> Result<Option<SystemTime>, BuildError> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let text = text.to_string_lossy();
    if let Ok(seconds) = text.parse()
        && let Some(date) = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    {
        return Ok(Some(date));
    }
    Err(BuildError::SourceDate(text.into_owned()))
}

/// Encodes the database. A later insertion overwrites an earlier one, so the shortest prefixes are
/// inserted first.
fn encode(rows: &[NetworkRow], built: SystemTime) -> Result<Vec<u8>, mmdb_writer::Error> {
    let mut writer = Writer::builder("Meridian-City")
        .description(&[(
            "en",
            "Networks and where they are, made by meridian geodata build",
        )])
        .build_epoch(built)
        .build();
    let mut ordered: Vec<&NetworkRow> = rows.iter().collect();
    ordered.sort_unstable_by_key(|row| (row.network.prefix_len(), row.network));
    for row in ordered {
        match row.network {
            IpNet::V4(_) => writer.insert_value(row.network, value(&row.record))?,
            IpNet::V6(network) => {
                for (first, last) in beside_ipv4(network) {
                    writer.insert_range(first.into(), last.into(), &value(&row.record))?;
                }
            }
        }
    }
    writer.to_bytes()
}

/// The ranges of the network without the parts that stand for IPv4, as first and last addresses: a
/// row for ::/0 does not apply to IPv4 clients.
fn beside_ipv4(network: Ipv6Net) -> Vec<(Ipv6Addr, Ipv6Addr)> {
    let (mut first, last) = (
        u128::from(network.network()),
        u128::from(network.broadcast()),
    );
    let mut ranges = Vec::new();
    for holder in &HOLDERS_OF_IPV4 {
        if !network.contains(holder) {
            continue;
        }
        let (start, end) = (u128::from(holder.network()), u128::from(holder.broadcast()));
        if first < start {
            ranges.push((first.into(), (start - 1).into()));
        }
        first = end.saturating_add(1);
    }
    if first <= last {
        ranges.push((first.into(), last.into()));
    }
    ranges
}

/// The record in GeoIP2 City's layout, with the system number that GeoIP2 ASN has at its top level.
fn value(record: &RowRecord) -> Value {
    let mut fields = Vec::new();
    if let Some(country) = record.country {
        fields.push(("country", Value::map([("iso_code", country.as_str())])));
        if let Some(continent) = locations::country_continent(country) {
            fields.push(("continent", Value::map([("code", continent.as_str())])));
        }
    }
    if let Some(subdivision) = record.subdivision {
        fields.push((
            "subdivisions",
            Value::array([Value::map([("iso_code", subdivision.as_str())])]),
        ));
    }
    if let Some(point) = record.point {
        let location = [
            ("latitude", point.latitude()),
            ("longitude", point.longitude()),
        ];
        fields.push(("location", Value::map(location)));
    }
    if let Some(asn) = record.asn {
        fields.push(("autonomous_system_number", Value::from(asn)));
    }
    Value::map(fields)
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Input(path, error) => write!(f, "{}: {error}", shown(path.display())),
            BuildError::Rows(errors) => errors.fmt(f),
            BuildError::SourceDate(text) => {
                write!(
                    f,
                    "SOURCE_DATE_EPOCH is \"{}\"; set it to seconds since 1970, or unset it",
                    shown(text)
                )
            }
            BuildError::Encoding(error) => {
                write!(f, "the networks do not fit into a MaxMind DB file: {error}")
            }
            BuildError::Output(path, error) => {
                write!(f, "{}: cannot be written: {error}", shown(path.display()))
            }
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::Input(_, error) => Some(error),
            BuildError::Output(_, error) => Some(error),
            BuildError::Encoding(error) => Some(error),
            BuildError::Rows(_) | BuildError::SourceDate(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;

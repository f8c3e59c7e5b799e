//! A server's report: what it is and does, for the people who look after the fleet.
//!
//! Beside its votes, every server publishes a small JSON value every two seconds. Nothing decides by
//! it: a report that is lost, late or wrong changes no answer, no health and no order. It comes from
//! another machine all the same, so [`ServerReport::read`] is bounded and checks every part, and each
//! way of being wrong has a word ([`ReportError`]). Keys are added, never changed, so servers of
//! different releases read each other.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds::{LONGEST_NAME, MOST_REGIONS, MOST_VOTERS};
use crate::text::is_plain_name;

/// The version of reports.
const VERSION: u32 = 1;
/// The longest report, in octets.
pub const LONGEST_REPORT: usize = 65_536;
/// The longest sentence and the longest word in a report, in octets.
const LONGEST_TEXT: usize = 600;
const LONGEST_WORD: usize = 64;
/// Most results of queries.
const MOST_RESULTS: usize = 64;
/// Most orders of one server only that are named.
pub const MOST_HERE_ONLY: usize = 8;
/// Most clocks of others that one report speaks of.
pub const MOST_CLOCKS: usize = 16;

/// What a server is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServerRole {
    /// It answers queries (`meridian serve`).
    #[default]
    Nameserver,
    /// It only checks and votes (`meridian probe`).
    Probe,
}

/// What one server says about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerReport {
    /// The version of the form: 1.
    pub report: u32,
    /// The name of the fleet.
    pub fleet: String,
    /// The name of the server, unique in the fleet.
    pub server: String,
    /// Its vantage group.
    pub group: String,
    /// A random number of the server's process.
    pub epoch: u64,
    /// Rises with every report of the process.
    pub sequence: u64,
    /// What it is.
    pub role: ServerRole,
    /// The version of the program.
    pub version: String,
    /// The fingerprint of its configuration and zones without the sections that are its own.
    pub revision: String,
    /// Since when it serves them, in seconds since 1970.
    pub served_since: u64,
    /// Seconds since it was started.
    pub uptime: u64,
    /// Its wall clock when the report was sent, in microseconds since 1970.
    pub clock: u64,
    /// Queries per second, by result.
    #[serde(default)]
    pub queries: BTreeMap<String, f64>,
    /// Answers per second, by region.
    #[serde(default)]
    pub regions: BTreeMap<String, f64>,
    /// The fleet's orders as it has them in force; absent: its fleet keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<ReportedOrders>,
    /// Orders that are in force on this server only, a sentence each.
    #[serde(default)]
    pub here_only: Vec<String>,
    /// By how many microseconds the clocks of some other servers are ahead of its own, at least.
    #[serde(default)]
    pub clocks: BTreeMap<String, i64>,
}

/// How far a server follows the orders of its fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedOrders {
    /// The epoch of the bucket.
    pub epoch: u64,
    /// Orders up to this revision are in force.
    pub revision: u64,
    /// Whether the bucket can be read and counts.
    pub current: bool,
}

/// Why octets are no report of this fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportError {
    /// Longer than any report, in octets.
    TooLong(usize),
    /// It is no JSON of this form; a clause.
    NoReport(String),
    /// A report of another version.
    OtherVersion(u32),
    /// A report of this other fleet.
    OtherFleet(String),
    /// A part that cannot be, by its name.
    BadPart(&'static str),
    /// It came under the subject of another server.
    OtherServer {
        /// The server of the subject.
        subject: String,
        /// The server that the report names.
        server: String,
    },
    /// An older report of the same process, which came late.
    Late,
    /// It comes from another server with this server's name.
    OwnName,
    /// There are too many servers.
    TooMany,
}

impl ServerReport {
    /// The wire form, within all bounds: what is too much is left out.
    pub fn write(mut self) -> Vec<u8> {
        self.report = VERSION;
        shorten(&mut self.queries, MOST_RESULTS);
        shorten(&mut self.regions, MOST_REGIONS);
        shorten(&mut self.clocks, MOST_CLOCKS);
        self.here_only.truncate(MOST_HERE_ONLY);
        for sentence in &mut self.here_only {
            *sentence = plain(sentence);
        }
        serde_json::to_vec(&self).unwrap_or_default()
    }

    /// Reads a report of this fleet.
    ///
    /// # Errors
    /// It is no whole report of this fleet, or has a part that cannot be.
    pub fn read(octets: &[u8], fleet: &str) -> Result<ServerReport, ReportError> {
        if octets.len() > LONGEST_REPORT {
            return Err(ReportError::TooLong(octets.len()));
        }
        let version: FormVersion = parse(octets)?;
        if version.report != VERSION {
            return Err(ReportError::OtherVersion(version.report));
        }
        let report: ServerReport = parse(octets)?;
        report.check()?;
        if report.fleet != fleet {
            return Err(ReportError::OtherFleet(report.fleet));
        }
        Ok(report)
    }

    fn check(&self) -> Result<(), ReportError> {
        for name in [&self.fleet, &self.server, &self.group] {
            check(is_plain_name(name), "name")?;
        }
        check(is_text(&self.version, LONGEST_WORD), "version")?;
        check(is_text(&self.revision, LONGEST_WORD), "revision")?;
        check(are_rates(&self.queries, MOST_RESULTS), "queries")?;
        check(are_rates(&self.regions, MOST_REGIONS), "regions")?;
        check(self.here_only.len() <= MOST_HERE_ONLY, "here_only")?;
        for sentence in &self.here_only {
            check(is_text(sentence, LONGEST_TEXT), "here_only")?;
        }
        check(self.clocks.len() <= MOST_VOTERS, "clocks")?;
        for name in self.clocks.keys() {
            check(is_plain_name(name), "clocks")?;
        }
        Ok(())
    }

    /// Queries per second of all results.
    pub fn rate(&self) -> f64 {
        self.queries.values().sum()
    }
}

/// The version alone, which is read first.
#[derive(Deserialize)]
struct FormVersion {
    report: u32,
}

fn parse<'o, T: Deserialize<'o>>(octets: &'o [u8]) -> Result<T, ReportError> {
    serde_json::from_slice(octets).map_err(|error| ReportError::NoReport(error.to_string()))
}

fn check(holds: bool, part: &'static str) -> Result<(), ReportError> {
    if holds {
        Ok(())
    } else {
        Err(ReportError::BadPart(part))
    }
}

/// Whether it is a text of one line, this long at most.
fn is_text(text: &str, longest: usize) -> bool {
    text.len() <= longest && !text.chars().any(char::is_control)
}

fn are_rates(rates: &BTreeMap<String, f64>, most: usize) -> bool {
    let mut is_so = rates.len() <= most;
    for (name, rate) in rates {
        is_so &= is_text(name, LONGEST_NAME) && rate.is_finite() && *rate >= 0.0;
    }
    is_so
}

fn shorten<T>(map: &mut BTreeMap<String, T>, most: usize) {
    while map.len() > most {
        map.pop_last();
    }
}

/// A sentence as a report may have it.
fn plain(sentence: &str) -> String {
    let mut text = String::new();
    for letter in sentence.chars().filter(|letter| !letter.is_control()) {
        if text.len() + letter.len_utf8() > LONGEST_TEXT {
            break;
        }
        text.push(letter);
    }
    text
}

impl ReportError {
    /// A word for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            ReportError::TooLong(_) => "too_long",
            ReportError::NoReport(_) => "no_report",
            ReportError::OtherVersion(_) => "other_version",
            ReportError::OtherFleet(_) => "other_fleet",
            ReportError::BadPart(_) => "damaged",
            ReportError::OtherServer { .. } => "other_server",
            ReportError::Late => "late",
            ReportError::OwnName => "two_servers",
            ReportError::TooMany => "too_many_servers",
        }
    }

    /// All words.
    pub const WORDS: [&'static str; 9] = [
        "too_long",
        "no_report",
        "other_version",
        "other_fleet",
        "damaged",
        "other_server",
        "late",
        "two_servers",
        "too_many_servers",
    ];
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReportError::TooLong(octets) => write!(
                f,
                "has {octets} octets, and a report has at most {LONGEST_REPORT}"
            ),
            ReportError::NoReport(clause) => write!(f, "is no report: {clause}"),
            ReportError::OtherVersion(version) => write!(
                f,
                "is of version {version}, and this server reads version {VERSION}"
            ),
            ReportError::OtherFleet(name) => write!(f, "is of the fleet \"{name}\""),
            ReportError::BadPart(part) => write!(f, "has a part that cannot be: {part}"),
            ReportError::OtherServer { subject, server } => write!(
                f,
                "names the server \"{server}\", but \"{subject}\" published it"
            ),
            ReportError::Late => f.write_str("came after a newer one of the same server"),
            ReportError::OwnName => f.write_str(
                "comes from another server with the name of this one; \
                 give each its own `voter` in [fleet]",
            ),
            ReportError::TooMany => {
                write!(f, "is of one server more than the {MOST_VOTERS} of a fleet")
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A report of a server of the fleet `world`.
    pub fn sample(server: &str, sequence: u64) -> ServerReport {
        ServerReport {
            report: VERSION,
            fleet: "world".into(),
            server: server.into(),
            group: "europe".into(),
            epoch: 1,
            sequence,
            version: "0.1.0".into(),
            revision: "00ff".into(),
            queries: BTreeMap::from([("steered".to_owned(), 12.5)]),
            regions: BTreeMap::from([("fra".to_owned(), 12.5)]),
            orders: Some(ReportedOrders::default()),
            here_only: vec!["fra is drained by ops".into()],
            clocks: BTreeMap::from([("iad".to_owned(), -300)]),
            ..ServerReport::default()
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let read = |octets: &[u8]| ServerReport::read(octets, "world").unwrap_err();
        let changed = |change: fn(&mut ServerReport)| {
            let mut report = sample("ams", 1);
            change(&mut report);
            read(&serde_json::to_vec(&report).unwrap())
        };
        assert_eq!(read(b"MVEW").word(), "no_report");
        assert_eq!(read(b"{\"report\": 2}"), ReportError::OtherVersion(2));
        assert_eq!(read(b"{\"report\": 1}").word(), "no_report");
        assert_eq!(read(&[b' '; LONGEST_REPORT + 1]).word(), "too_long");
        assert_eq!(changed(|it| it.fleet = "moon".into()).word(), "other_fleet");
        for bad in [
            (|it| it.server = "a b".into()) as fn(&mut ServerReport),
            |it| it.version = "1\n2".into(),
            |it| it.revision = "f".repeat(65),
            |it| it.here_only = vec![String::new(); MOST_HERE_ONLY + 1],
            |it| it.here_only = vec!["x".repeat(LONGEST_TEXT + 1)],
            |it| it.regions = [("fra".into(), -1.0)].into(),
            |it| it.clocks = [("no name".into(), 1)].into(),
        ] {
            assert_eq!(changed(bad).word(), "damaged");
        }
        // The largest report that can be, of what takes the most room, is not too long.
        let name = |number| format!("{number:02}{}", "\"".repeat(LONGEST_NAME - 3));
        let rates = |count| (0..count).map(|at| (name(at), 0.1 + 0.2)).collect();
        let largest = ServerReport {
            queries: rates(MOST_RESULTS),
            regions: rates(MOST_REGIONS),
            here_only: vec!["\"".repeat(LONGEST_TEXT); MOST_HERE_ONLY],
            ..sample("ams", 1)
        };
        let octets = largest.write();
        assert!(octets.len() > LONGEST_REPORT / 2, "{}", octets.len());
        assert!(ServerReport::read(&octets, "world").is_ok());
    }

    #[test]
    fn a_newer_release_may_say_more() {
        let mut value = serde_json::to_value(sample("ams", 1)).unwrap();
        value["phase of the moon"] = serde_json::json!({"deep": [1, 2, 3]});
        let read = ServerReport::read(value.to_string().as_bytes(), "world");
        assert_eq!(read, Ok(sample("ams", 1)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_within_the_bounds(
            // Numbers that have one decimal place are read as they were written.
            tenths in proptest::collection::btree_map("[ -~]{0,63}", 0..1_000_000_000_u32, 0..300),
            sentences in proptest::collection::vec("\\PC{0,700}", 0..20),
            clocks in proptest::collection::btree_map("[a-z0-9]{1,20}", any::<i64>(), 0..30),
            numbers in any::<[u64; 5]>(),
        ) {
            let rate = |(name, tenths)| (name, f64::from(tenths) / 10.0);
            let rates: BTreeMap<String, f64> = tenths.into_iter().map(rate).collect();
            let report = ServerReport {
                regions: rates.clone(),
                queries: rates,
                here_only: sentences,
                clocks,
                sequence: numbers[0],
                epoch: numbers[1],
                clock: numbers[2],
                uptime: numbers[3],
                served_since: numbers[4],
                ..sample("ams", 1)
            };
            let octets = report.clone().write();
            prop_assert!(octets.len() <= LONGEST_REPORT);
            let read = ServerReport::read(&octets, "world").unwrap();
            prop_assert_eq!(read.sequence, report.sequence);
            prop_assert_eq!(read.clone().write(), octets);
        }

        #[test]
        fn nothing_that_arrives_panics(octets in proptest::collection::vec(any::<u8>(), 0..200), at in 0..400usize) {
            let _ = ServerReport::read(&octets, "world");
            let whole = sample("ams", 1).write();
            let cut = ServerReport::read(&whole[..at.min(whole.len() - 1)], "world");
            prop_assert!(cut.is_err());
        }
    }
}

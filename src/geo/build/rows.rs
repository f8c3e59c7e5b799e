//! Parses and checks the rows of a table of networks.
//!
//! Every row is checked, and all mistakes are reported at once, each with its line. The readers of
//! single fields are at the end of the file; their messages say how to write the field.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, Position, ReaderBuilder, Trim};
use mmdb_writer::ipnet::{IpNet, Ipv6Net};

use crate::geo::{PlaceCode, locations};
use crate::steering::Point;
use crate::text::shown;

/// The most mistakes that are reported; the rest are counted.
const MOST_ERRORS: usize = 100;

/// Networks that a MaxMind DB file looks up by the IPv4 address inside them, so it cannot store
/// records of their own for them: the subtree of IPv4, IPv4-mapped (RFC 4291), Teredo (RFC 4380)
/// and 6to4 (RFC 3056), in ascending order.
pub(super) const HOLDERS_OF_IPV4: [Ipv6Net; 4] = [
    Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96),
    Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
    Ipv6Net::new_assert(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];

/// One row: a network and its record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NetworkRow {
    pub network: IpNet,
    pub record: RowRecord,
}

/// Location and AS number of a network; every field may be unknown.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct RowRecord {
    pub point: Option<Point>,
    pub country: Option<PlaceCode>,
    pub subdivision: Option<PlaceCode>,
    pub asn: Option<u32>,
}

/// The mistakes in a table, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RowErrors {
    file: PathBuf,
    /// A line's number, from 1, and what is wrong with it.
    listed: Vec<(u64, String)>,
    left_out: usize,
}

/// All rows of the table, or all mistakes.
pub(super) fn parse(file: &Path, octets: &[u8]) -> Result<Vec<NetworkRow>, RowErrors> {
    let mut table = Table {
        rows: Vec::new(),
        lines: HashMap::new(),
        errors: RowErrors::new(file),
    };
    table.read(octets);
    if table.errors.listed.is_empty() {
        Ok(table.rows)
    } else {
        Err(table.errors)
    }
}

struct Table {
    rows: Vec<NetworkRow>,
    /// The line of each network.
    lines: HashMap<IpNet, u64>,
    errors: RowErrors,
}

impl Table {
    fn read(&mut self, octets: &[u8]) {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(Trim::All)
            .from_reader(octets);
        let mut columns = None;
        let mut record = ByteRecord::new();
        // Reading from memory does not fail, and a flexible reader of octets refuses no record.
        while reader.read_byte_record(&mut record).unwrap_or(false) {
            let line = match record.position() {
                Some(position) => line_of_record(octets, position),
                None => 0,
            };
            match &columns {
                None => match Columns::from_header(&record) {
                    Ok(found) => columns = Some(found),
                    Err(mistake) => return self.errors.add(line, mistake),
                },
                Some(columns) => self.take(line, columns, &record),
            }
        }
        if columns.is_none() {
            self.errors.add(
                1,
                format!(
                    "no header; begin with a line such as {}",
                    Column::ALL.map(Column::name).join(",")
                ),
            );
        }
    }

    fn take(&mut self, line: u64, columns: &Columns, record: &ByteRecord) {
        let mut mistakes = Vec::new();
        let row = columns.row(record, &mut mistakes);
        if let Some(NetworkRow { network, .. }) = row {
            let first = *self.lines.entry(network).or_insert(line);
            if first != line {
                mistakes.push(format!(
                    "{network} stands on line {first} already; keep one of them"
                ));
            }
        }
        if mistakes.is_empty() {
            self.rows.extend(row);
        }
        for mistake in mistakes {
            self.errors.add(line, mistake);
        }
    }
}

/// The line of a record. The reader's position is where it began to look; blank lines, comments and
/// the rest of a line end (`\r\n`) may come before the record.
fn line_of_record(octets: &[u8], position: &Position) -> u64 {
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let mut rest = octets.get(start..).unwrap_or_default();
    let mut line = position.line();
    loop {
        let skipped = match rest.first() {
            Some(b'#') => rest
                .iter()
                .position(|&octet| octet == b'\n')
                .unwrap_or(rest.len()),
            Some(b'\r') => 1,
            Some(b'\n') => {
                line += 1;
                1
            }
            _ => return line,
        };
        rest = &rest[skipped..];
    }
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Network,
    Latitude,
    Longitude,
    Country,
    Subdivision,
    Asn,
}

impl Column {
    const ALL: [Column; 6] = [
        Column::Network,
        Column::Latitude,
        Column::Longitude,
        Column::Country,
        Column::Subdivision,
        Column::Asn,
    ];

    fn name(self) -> &'static str {
        match self {
            Column::Network => "network",
            Column::Latitude => "latitude",
            Column::Longitude => "longitude",
            Column::Country => "country",
            Column::Subdivision => "subdivision",
            Column::Asn => "asn",
        }
    }

    fn from_name(name: &str) -> Result<Column, String> {
        for column in Column::ALL {
            if column.name().eq_ignore_ascii_case(name) {
                return Ok(column);
            }
        }
        Err(format!(
            "unknown column {}; the columns are {}",
            quoted(name),
            Column::ALL.map(Column::name).join(", ")
        ))
    }
}

/// The columns in the order of the file.
struct Columns(Vec<Column>);

impl Columns {
    fn from_header(record: &ByteRecord) -> Result<Columns, String> {
        let mut columns = Vec::new();
        for name in record {
            let column = Column::from_name(&String::from_utf8_lossy(name))?;
            if columns.contains(&column) {
                return Err(format!("column {} stands twice; remove one", column.name()));
            }
            columns.push(column);
        }
        if !columns.contains(&Column::Network) {
            return Err("no column network; add it to the header".to_owned());
        }
        Ok(Columns(columns))
    }

    /// The field of a column; empty where the file has no such column.
    fn field<'r>(&self, record: &'r ByteRecord, column: Column) -> Result<&'r str, String> {
        let index = self.0.iter().position(|&found| found == column);
        let octets = index
            .and_then(|index| record.get(index))
            .unwrap_or_default();
        std::str::from_utf8(octets).map_err(|_| format!("{} is not UTF-8 text", column.name()))
    }

    /// The row, if its network can be read at all, and what is wrong with it.
    fn row(&self, record: &ByteRecord, mistakes: &mut Vec<String>) -> Option<NetworkRow> {
        if record.len() != self.0.len() {
            mistakes.push(format!(
                "{} fields where the header has {}",
                record.len(),
                self.0.len()
            ));
            return None;
        }
        let network = known(self.network(record), mistakes);
        let point = known(self.point(record), mistakes).flatten();
        let country = known(self.country(record), mistakes).flatten();
        let subdivision = known(self.subdivision(record, country), mistakes).flatten();
        let asn = known(self.asn(record), mistakes).flatten();
        Some(NetworkRow {
            network: network?,
            record: RowRecord {
                point,
                country,
                subdivision,
                asn,
            },
        })
    }

    fn network(&self, record: &ByteRecord) -> Result<IpNet, String> {
        network(self.field(record, Column::Network)?)
    }

    fn country(&self, record: &ByteRecord) -> Result<Option<PlaceCode>, String> {
        country(self.field(record, Column::Country)?)
    }

    fn subdivision(
        &self,
        record: &ByteRecord,
        country: Option<PlaceCode>,
    ) -> Result<Option<PlaceCode>, String> {
        subdivision(self.field(record, Column::Subdivision)?, country)
    }

    fn asn(&self, record: &ByteRecord) -> Result<Option<u32>, String> {
        asn(self.field(record, Column::Asn)?)
    }

    fn point(&self, record: &ByteRecord) -> Result<Option<Point>, String> {
        let latitude = self.field(record, Column::Latitude)?;
        let longitude = self.field(record, Column::Longitude)?;
        match (latitude.is_empty(), longitude.is_empty()) {
            (true, true) => Ok(None),
            (false, false) => Point::new(degrees(latitude)?, degrees(longitude)?)
                .map(Some)
                .map_err(|error| format!("{error}; give degrees north and east")),
            (true, false) => Err("longitude without latitude; give both or none".to_owned()),
            (false, true) => Err("latitude without longitude; give both or none".to_owned()),
        }
    }
}

/// The value of a field, or its mistake added to `mistakes`.
fn known<T>(field: Result<T, String>, mistakes: &mut Vec<String>) -> Option<T> {
    match field {
        Ok(value) => Some(value),
        Err(mistake) => {
            mistakes.push(mistake);
            None
        }
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = if let Ok(network) = text.parse::<IpNet>() {
        network
    } else if let Ok(address) = text.parse::<IpAddr>() {
        IpNet::from(address)
    } else {
        return Err(format!(
            "{} is no network; write one such as 192.0.2.0/24 or 2001:db8::/32",
            quoted(text)
        ));
    };
    if network != network.trunc() {
        return Err(format!(
            "{network} has bits set behind its prefix; write {}",
            network.trunc()
        ));
    }
    match network {
        IpNet::V6(ipv6) => outside_of_ipv4(ipv6)?,
        IpNet::V4(_) => {}
    }
    Ok(network)
}

fn outside_of_ipv4(network: Ipv6Net) -> Result<(), String> {
    for holder in &HOLDERS_OF_IPV4 {
        if holder.contains(&network) {
            return Err(format!(
                "{network} lies in {holder}, which stands for IPv4; write the IPv4 network"
            ));
        }
    }
    Ok(())
}

fn degrees(text: &str) -> Result<f64, String> {
    text.parse()
        .map_err(|_| format!("{} is no number of degrees", quoted(text)))
}

fn country(text: &str) -> Result<Option<PlaceCode>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(code) if locations::country_name(code).is_some() => Ok(Some(code)),
        _ => Err(format!(
            "{} is no country; write ISO 3166-1 alpha-2, such as DE",
            quoted(text)
        )),
    }
}

/// `CA`, or `US-CA` in the country US.
fn subdivision(text: &str, country: Option<PlaceCode>) -> Result<Option<PlaceCode>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let Some(country) = country else {
        return Err(format!("subdivision {} without a country", quoted(text)));
    };
    let own = match text.split_once('-') {
        Some((before, own)) if before.eq_ignore_ascii_case(country.as_str()) => own,
        _ => text,
    };
    match own.parse() {
        Ok(code) if own.len() <= 3 => Ok(Some(code)),
        _ => Err(format!(
            "{} is no subdivision; write ISO 3166-2, such as CA or US-CA",
            quoted(text)
        )),
    }
}

fn without_as(text: &str) -> &str {
    match text.split_at_checked(2) {
        Some((prefix, digits)) if prefix.eq_ignore_ascii_case("AS") => digits,
        _ => text,
    }
}

/// `64512` or `AS64512`.
fn asn(text: &str) -> Result<Option<u32>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match without_as(text).parse() {
        Ok(asn) => Ok(Some(asn)),
        Err(_) => Err(format!(
            "{} is no autonomous system number, 0 to 4294967295",
            quoted(text)
        )),
    }
}

/// The text in quotes, truncated to fit on a line, with control characters escaped.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let cut: String = text.chars().take(LONGEST).collect();
    format!("{cut:?}")
}

impl RowErrors {
    fn new(file: &Path) -> RowErrors {
        RowErrors {
            file: file.to_owned(),
            ..RowErrors::default()
        }
    }

    fn add(&mut self, line: u64, mistake: String) {
        if self.listed.len() < MOST_ERRORS {
            self.listed.push((line, mistake));
        } else {
            self.left_out += 1;
        }
    }

    /// The first hundred mistakes, each with its line number (from 1).
    pub fn listed(&self) -> &[(u64, String)] {
        &self.listed
    }

    /// How many mistakes are not listed.
    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

impl fmt::Display for RowErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = shown(self.file.display());
        for (index, (line, mistake)) in self.listed.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{file}:{line}: {}", shown(mistake))?;
        }
        if self.left_out > 0 {
            write!(f, "\n{file}: {} more mistakes", self.left_out)?;
        }
        Ok(())
    }
}

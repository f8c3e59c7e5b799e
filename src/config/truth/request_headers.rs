//! `headers` of a check: what its requests carry besides the usual headers.
//!
//! A value is in the configuration, or in a file of its own that only its owner may read. Values
//! are never shown: not in messages, not in logs, not by `Debug`.

use std::path::Path;

use hyper::header::{self, HeaderName, HeaderValue};

use crate::config::document::{ConfigReport, NamedEntry, NamedTables, TableField, WithOffset};
use crate::config::tables::{HeaderEntry, HeaderFile};
use crate::config::values::plain::SingleLine;
use crate::files::FileKind;

/// Most headers of one check.
const MOST: usize = 32;
/// Longest name, in octets.
const LONGEST_NAME: usize = 128;
/// Longest value in a file, in octets.
const LONGEST_VALUE: usize = 4096;
/// Headers that say how the connection is used, which is not for a check to say.
const OF_THE_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// The headers of a check, each once.
pub fn resolve(
    headers: TableField<NamedTables<HeaderEntry>>,
    is_grpc: bool,
    folder: &Path,
    report: &mut ConfigReport,
) -> Vec<(HeaderName, HeaderValue)> {
    let Some(WithOffset {
        at,
        value: NamedTables(entries),
    }) = headers.given()
    else {
        return Vec::new();
    };
    if entries.len() > MOST {
        report.error(
            at,
            format!(
                "these are {} headers; a request may have {MOST} of its own",
                entries.len()
            ),
        );
    }
    let mut resolved: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(entries.len());
    for NamedEntry { name, value } in entries {
        let Some(header) = resolve_name(&name, is_grpc, report) else {
            continue;
        };
        if resolved.iter().any(|(known, _)| *known == header) {
            report.error(
                name.at,
                format!("the header {header} is stated twice; case makes no difference"),
            );
        }
        let Some(value) = value
            .given()
            .and_then(|entry| resolve_value(entry, folder, report))
        else {
            continue;
        };
        resolved.push((header, value));
    }
    resolved
}

fn resolve_name(
    name: &WithOffset<String>,
    is_grpc: bool,
    report: &mut ConfigReport,
) -> Option<HeaderName> {
    let text = &name.value;
    // RFC 9110 section 5.6.2: token.
    let Some(header) = HeaderName::from_bytes(text.as_bytes())
        .ok()
        .filter(|_| text.len() <= LONGEST_NAME)
    else {
        report.error(
            name.at,
            format!("\"{}\" is no name of a header", text.escape_debug()),
        );
        return None;
    };
    if header == header::HOST {
        report.error(
            name.at,
            "the Host header is what `host` says; state it there".to_owned(),
        );
    } else if OF_THE_CONNECTION.contains(&header) || is_grpc && header == header::CONTENT_TYPE {
        report.error(
            name.at,
            format!("the header {header} belongs to the protocol; leave it out"),
        );
    }
    Some(header)
}

fn resolve_value(
    entry: WithOffset<HeaderEntry>,
    folder: &Path,
    report: &mut ConfigReport,
) -> Option<HeaderValue> {
    let value = match entry.value {
        HeaderEntry::Value(SingleLine(text)) => visible(text.as_bytes()),
        HeaderEntry::File(HeaderFile { file }) => {
            let path = file.required(
                entry.at,
                "the value of a header is a text, or a table with a file",
                report,
            )?;
            let path = folder.join(path.value);
            read_value(&path, report).map_err(|sentence| format!("{}: {sentence}", path.display()))
        }
    };
    let mut value = value
        .map_err(|sentence| report.error(entry.at, sentence))
        .ok()?;
    // Nobody who shows the check shows the value, and HTTP/2 keeps it out of its tables (RFC 7541
    // section 7.1.3).
    value.set_sensitive(true);
    Some(value)
}

fn read_value(path: &Path, report: &mut ConfigReport) -> Result<HeaderValue, String> {
    let octets = report.read_secret(path, FileKind::Secret)?;
    let text = octets.trim_ascii();
    if text.is_empty() {
        return Err("the file is empty, but it is to hold the value of a header".to_owned());
    }
    if text.len() > LONGEST_VALUE {
        return Err(format!(
            "the value of a header is longer than {LONGEST_VALUE} octets"
        ));
    }
    visible(text)
}

/// Without line ends, control characters and what is not ASCII (RFC 9110 section 5.5).
fn visible(text: &[u8]) -> Result<HeaderValue, String> {
    let is_visible = text.iter().all(|octet| matches!(octet, b' '..=b'~'));
    match HeaderValue::from_bytes(text) {
        Ok(value) if is_visible => Ok(value),
        _ => Err("the value of a header is one line of visible ASCII characters".to_owned()),
    }
}

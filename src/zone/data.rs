//! Record data in presentation form to its uncompressed wire form, every type.

use domain::base::rdata::{ComposeRecordData, UnknownRecordData};
use domain::base::scan::{Scanner, ScannerError};
use domain::base::{ParseRecordData, Rtype};
use domain::dep::octseq::Parser;
use domain::rdata::ZoneRecordData;

use super::fields::{fields_of, read, skip};
use super::scanner::Token;
use super::words::{DataError, Words};
use crate::dns::{Name, RecordType};

/// Longest data of one record (RFC 1035 section 3.2.1: its length has two octets).
const MAX_DATA: usize = 65_535;
/// Longest text that can mean [`MAX_DATA`] octets: `\DDD` takes four characters for one.
const MAX_TEXT: usize = 4 * MAX_DATA;

/// Reads the data of a record of type `rtype` from `tokens`; relative names take `origin`.
///
/// An error comes with its line and column; `before` is the token in front, blamed when nothing follows it.
pub fn parse(
    rtype: RecordType,
    tokens: &[Token<'_>],
    origin: Option<&Name>,
    before: Token<'_>,
) -> Result<Box<[u8]>, ((u32, u32), String)> {
    let mut words = Words::new(tokens, origin);
    let wire = if tokens.iter().map(|token| token.text.len()).sum::<usize>() > MAX_TEXT {
        Err(DataError::short_buf())
    } else {
        any_data(rtype, &mut words)
    };
    let wire = wire.and_then(|wire| match wire.len() {
        _ if !words.is_empty() => Err(DataError::TooMany),
        0..=MAX_DATA => Ok(wire),
        _ => Err(DataError::short_buf()),
    });
    wire.map(Vec::into_boxed_slice)
        .map_err(|error| (words.place(&error, before), format!("the data of this {rtype} record is wrong: {error}")))
}

fn any_data(rtype: RecordType, words: &mut Words<'_, '_>) -> Result<Vec<u8>, DataError> {
    if words.scan_opt_unknown_marker()? {
        return unknown_data(rtype, words);
    }
    let Some(fields) = fields_of(rtype) else { return other_data(rtype, words) };
    let mut wire = Vec::with_capacity(32);
    for &field in fields {
        read(field, words, &mut wire)?;
    }
    Ok(wire)
}

/// Types that are more than a row of fields.
fn other_data(rtype: RecordType, words: &mut Words<'_, '_>) -> Result<Vec<u8>, DataError> {
    let data = ZoneRecordData::scan(Rtype::from_int(rtype.0), words).map_err(|error| match error {
        DataError::Wrong(reason) if reason.starts_with("unknown record type") => DataError::Wrong(format!(
            "{rtype} has no text form here; write it as octets, \\# LENGTH HEXADECIMAL (RFC 3597)"
        )),
        other => other,
    })?;
    Ok(composed(&data))
}

/// `\# length hex` (RFC 3597 section 5); a type that is known must still be well formed.
fn unknown_data(rtype: RecordType, words: &mut Words<'_, '_>) -> Result<Vec<u8>, DataError> {
    let data = UnknownRecordData::scan_without_marker(Rtype::from_int(rtype.0), words)?;
    let wire = composed(&data);
    if is_well_formed(rtype, &wire) {
        Ok(wire)
    } else {
        Err(DataError::Wrong(format!("these octets are not the data of a {rtype} record")))
    }
}

fn is_well_formed(rtype: RecordType, wire: &[u8]) -> bool {
    if let Some(fields) = fields_of(rtype) {
        return fields.iter().try_fold(wire, |rest, &field| skip(field, rest)).is_some_and(<[u8]>::is_empty);
    }
    let mut parser = Parser::from_ref(wire);
    let parsed = ZoneRecordData::parse_rdata(Rtype::from_int(rtype.0), &mut parser);
    // Composing again shows a compressed name, which must not stand in a zone: it comes out longer.
    matches!(parsed, Ok(Some(data)) if parser.remaining() == 0 && composed(&data) == wire)
}

fn composed(data: &impl ComposeRecordData) -> Vec<u8> {
    let mut wire = Vec::new();
    match data.compose_rdata(&mut wire) {
        Ok(()) => wire,
        Err(never) => match never {},
    }
}

//! Values of services and limits: TTLs, percentages, capacities and amounts of memory.
//!
//! A percentage is written as a string with its sign, such as `"40%"`. A capacity is a percentage
//! of all answers or a number of answers per second, which the form of the value tells apart.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::plain::{WholeNumber, integer};
use crate::config::document::{ConfigReport, DocumentItem, ReadValue, TextValue, ValueError};

/// A TTL in seconds.
pub type TtlSeconds = WholeNumber<0, 2_147_483_647>;

/// A part of a whole, 0.0..=1.0, written `"50%"`.
#[derive(Debug, Clone, Copy)]
pub struct Percentage(pub f64);

impl TextValue for Percentage {
    fn expected() -> String {
        "a percentage from 0 to 100, such as \"50%\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        let digits = text
            .strip_suffix('%')
            .filter(|digits| digits.bytes().all(|it| it.is_ascii_digit() || it == b'.'));
        let percent = digits
            .and_then(|digits| digits.parse().ok())
            .filter(|percent| (0.0..=100.0).contains(percent));
        percent
            .map(|percent: f64| Percentage(percent / 100.0))
            .ok_or_else(ValueError::default)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9.]+%$" })
    }
}

/// An amount of memory in octets, from 32 MB to 1 TB, written `"512MB"`.
#[derive(Debug, Clone, Copy)]
pub struct MemorySize(pub u64);

impl TextValue for MemorySize {
    fn expected() -> String {
        "an amount of memory from 32MB to 1TB, such as \"512MB\" or \"2GB\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        const UNITS: [(&str, u64); 3] = [
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("TB", 1_000_000_000_000),
        ];
        for (unit, octets) in UNITS {
            let Some(digits) = text.strip_suffix(unit) else {
                continue;
            };
            let number: Option<u64> = digits.trim_end().parse().ok();
            let size = number.and_then(|number| number.checked_mul(octets));
            return size
                .filter(|size| (32_000_000..=1_000_000_000_000).contains(size))
                .map(MemorySize)
                .ok_or_else(ValueError::default);
        }
        Err(ValueError::default())
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ ?(MB|GB|TB)$" })
    }
}

/// The most load that a region of a service takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Capacity {
    /// A part of all answers of the service, above 0.0 and at most 1.0.
    Part(f64),
    /// Answers per second.
    Rate(f64),
}

impl ReadValue for Capacity {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
        let rate = integer(item.value)
            .filter(|rate| (1..=1_000_000_000).contains(rate))
            .map(|rate| rate as f64);
        let part = item
            .value
            .as_str()
            .and_then(|text| Percentage::from_text(text).ok())
            .filter(|part| part.0 > 0.0);
        let capacity = rate
            .map(Capacity::Rate)
            .or(part.map(|part| Capacity::Part(part.0)));
        if capacity.is_none() {
            let expected = "a percentage above 0 (\"40%\") or a whole number of answers per second from 1 to 1000000000";
            item.refuse(expected, None, report);
        }
        capacity
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "pattern": "^[0-9.]+%$" },
            { "type": "integer", "minimum": 1, "maximum": 1_000_000_000 },
        ] })
    }
}

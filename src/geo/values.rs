//! Decodes values of a MaxMind DB file (MaxMind DB File Format Specification 2.0, "Output Data
//! Section").
//!
//! The `maxminddb` library would decode whole records, with names in eight languages, and that
//! would dominate the time to load a file. Only a few scalars of a record are needed.
//! [`ValueReader`] skips the rest, most of it pointers, without following them. Maps that many
//! records point to, such as countries, are decoded once and remembered.

use foldhash::HashMap;

/// The most values to read for one record, as in the library. This bounds the cost of a hostile
/// file.
const MOST_VALUES: u32 = 1 << 16;

/// The values of records, one record at a time.
#[derive(Debug, Clone)]
pub struct ValueReader<'a> {
    octets: &'a [u8],
    left: u32,
    /// The codes of maps that many records point to, countries and subdivisions, by the offset of the
    /// map.
    shared: HashMap<usize, Option<&'a str>>,
}

/// A value; maps and lists with their number of entries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MmdbValue<'a> {
    /// Text, which may not be UTF-8.
    Text(&'a [u8]),
    /// Any number of up to 64 bits.
    Number(f64),
    /// Keys and values by turns.
    Map(usize),
    /// Values.
    List(usize),
    /// Octets, booleans, numbers of 128 bits.
    Other,
}

/// A value and the offset of its entries.
#[derive(Debug, Clone, Copy)]
pub struct MmdbItem<'a> {
    /// The value.
    pub value: MmdbValue<'a>,
    entries: usize,
}

/// The value does not follow the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DamagedValue;

type Result<T> = std::result::Result<T, DamagedValue>;

/// Type and size of a value, and the offset of its content.
struct Head {
    kind: u8,
    size: usize,
    at: usize,
}

const POINTER: u8 = 1;
const TEXT: u8 = 2;
const DOUBLE: u8 = 3;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
const INT32: u8 = 8;
const UINT64: u8 = 9;
const LIST: u8 = 11;
const BOOLEAN: u8 = 14;
const FLOAT: u8 = 15;

impl<'a> ValueReader<'a> {
    /// Values of the data section `octets`.
    pub fn new(octets: &'a [u8]) -> Self {
        ValueReader {
            octets,
            left: MOST_VALUES,
            shared: HashMap::default(),
        }
    }

    /// Begins another record and resets the limit on values.
    #[inline]
    pub fn begin(&mut self) {
        self.left = MOST_VALUES;
    }

    /// The target of a pointer at this offset; `None` for any other value.
    #[inline]
    pub fn target(&mut self, at: usize) -> Result<Option<usize>> {
        let head = self.head(at)?;
        if head.kind == POINTER {
            self.pointer(&head).map(|(target, _)| Some(target))
        } else {
            Ok(None)
        }
    }

    /// The code of the map at an offset, if it was decoded before.
    #[inline]
    pub fn shared(&self, at: usize) -> Option<Option<&'a str>> {
        self.shared.get(&at).copied()
    }

    /// Remembers the code of the map at an offset.
    pub fn share(&mut self, at: usize, code: Option<&'a str>) {
        self.shared.insert(at, code);
    }

    /// The value at an offset; a pointer is followed.
    #[inline]
    pub fn item(&mut self, at: usize) -> Result<MmdbItem<'a>> {
        let head = self.head(at)?;
        if head.kind != POINTER {
            return self.plain(&head);
        }
        let (target, _) = self.pointer(&head)?;
        let head = self.head(target)?;
        self.plain(&head)
    }

    /// Calls `each` with every key of a map and the offset of its value, until it returns
    /// [`MapProgress::Yes`].
    #[inline]
    pub fn entries(
        &mut self,
        map: &MmdbItem<'a>,
        mut each: impl FnMut(&mut Self, &'a [u8], usize) -> Result<MapProgress>,
    ) -> Result<()> {
        let MmdbValue::Map(count) = map.value else {
            return Ok(());
        };
        let mut at = map.entries;
        for _ in 0..count {
            let MmdbValue::Text(key) = self.item(at)?.value else {
                return Err(DamagedValue);
            };
            let value = self.skip(at, 1)?;
            if each(self, key, value)? == MapProgress::Yes {
                break;
            }
            at = self.skip(value, 1)?;
        }
        Ok(())
    }

    /// The offset of the first element of a list.
    pub fn first(list: &MmdbItem<'a>) -> Option<usize> {
        matches!(list.value, MmdbValue::List(1..)).then_some(list.entries)
    }

    /// Skips values with their content; pointers are not followed.
    #[inline]
    fn skip(&mut self, mut at: usize, mut count: usize) -> Result<usize> {
        while count > 0 {
            count -= 1;
            let head = self.head(at)?;
            at = match head.kind {
                POINTER => self.pointer(&head)?.1,
                // The size of a boolean is its value.
                MAP | LIST | BOOLEAN => head.at,
                _ => head.at + head.size,
            };
            count += match head.kind {
                MAP => head.size * 2,
                LIST => head.size,
                _ => 0,
            };
        }
        if at > self.octets.len() {
            Err(DamagedValue)
        } else {
            Ok(at)
        }
    }

    #[inline]
    fn head(&mut self, at: usize) -> Result<Head> {
        self.left = self.left.checked_sub(1).ok_or(DamagedValue)?;
        let control = self.octet(at)?;
        let (kind, at) = match control >> 5 {
            0 => (self.octet(at + 1)?.saturating_add(7), at + 2),
            kind => (kind, at + 1),
        };
        let short = usize::from(control & 0x1f);
        if kind == POINTER || short < 29 {
            return Ok(Head {
                kind,
                size: short,
                at,
            });
        }
        let length = short - 28;
        let more = self.number(at, length)? as usize;
        Ok(Head {
            kind,
            size: more + [29, 285, 65_821][length - 1],
            at: at + length,
        })
    }

    /// The value of a head that is not a pointer.
    #[inline]
    fn plain(&self, head: &Head) -> Result<MmdbItem<'a>> {
        let number = || self.number(head.at, head.size);
        let value = match head.kind {
            TEXT => MmdbValue::Text(
                self.octets
                    .get(head.at..head.at + head.size)
                    .ok_or(DamagedValue)?,
            ),
            DOUBLE if head.size == 8 => MmdbValue::Number(f64::from_bits(number()?)),
            FLOAT if head.size == 4 => {
                MmdbValue::Number(f64::from(f32::from_bits(number()? as u32)))
            }
            INT32 if head.size <= 4 => MmdbValue::Number(f64::from(number()? as u32 as i32)),
            UINT16 | UINT32 | UINT64 if head.size <= 8 => MmdbValue::Number(number()? as f64),
            MAP => MmdbValue::Map(head.size),
            LIST => MmdbValue::List(head.size),
            POINTER | DOUBLE | FLOAT | INT32 | UINT16 | UINT32 | UINT64 => {
                return Err(DamagedValue);
            }
            _ => MmdbValue::Other,
        };
        Ok(MmdbItem {
            value,
            entries: head.at,
        })
    }

    /// The target of a pointer, and the offset after the pointer.
    #[inline]
    fn pointer(&self, head: &Head) -> Result<(usize, usize)> {
        let (length, high) = (head.size >> 3 & 3, head.size & 7);
        let low = self.number(head.at, length + 1)? as usize;
        let target = match length {
            0 => high << 8 | low,
            1 => (high << 16 | low) + 2048,
            2 => (high << 24 | low) + 526_336,
            _ => low,
        };
        Ok((target, head.at + length + 1))
    }

    /// An integer of up to eight octets, the highest first.
    #[inline]
    fn number(&self, at: usize, length: usize) -> Result<u64> {
        let octets = self.octets.get(at..at + length).ok_or(DamagedValue)?;
        Ok(octets
            .iter()
            .fold(0, |sum, &octet| sum << 8 | u64::from(octet)))
    }

    #[inline]
    fn octet(&self, at: usize) -> Result<u8> {
        self.octets.get(at).copied().ok_or(DamagedValue)
    }
}

/// Whether a reader of a map is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapProgress {
    /// Done: the rest is not read.
    Yes,
    /// Not done: the next entry follows.
    No,
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::Value as Json;

    use super::*;

    fn head(kind: u8, size: usize) -> Vec<u8> {
        let (short, more): (u8, &[u8]) = match size {
            0..29 => (size as u8, &[]),
            29..285 => (29, &[(size - 29) as u8]),
            _ => (30, &((size - 285) as u16).to_be_bytes()),
        };
        let control = if kind < 8 {
            vec![kind << 5 | short]
        } else {
            vec![short, kind - 7]
        };
        [&control, more].concat()
    }

    /// A value as a file has it; numbers without a fraction are UINT32 or INT32, others DOUBLE.
    pub fn encode(json: &Json) -> Vec<u8> {
        let text = |text: &str| [head(TEXT, text.len()), text.as_bytes().to_vec()].concat();
        match json {
            Json::String(string) => text(string),
            Json::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => [head(UINT64, 8), number.to_be_bytes().to_vec()].concat(),
                (None, Some(number)) => {
                    [head(INT32, 4), (number as i32).to_be_bytes().to_vec()].concat()
                }
                _ => [
                    head(DOUBLE, 8),
                    number.as_f64().unwrap().to_be_bytes().to_vec(),
                ]
                .concat(),
            },
            Json::Object(map) => {
                let entries = map
                    .iter()
                    .flat_map(|(key, value)| [text(key), encode(value)]);
                [head(MAP, map.len())]
                    .into_iter()
                    .chain(entries)
                    .flatten()
                    .collect()
            }
            Json::Array(list) => [head(LIST, list.len())]
                .into_iter()
                .chain(list.iter().map(encode))
                .flatten()
                .collect(),
            Json::Bool(value) => head(BOOLEAN, usize::from(*value)),
            Json::Null => head(4, 0),
        }
    }

    fn keys(octets: &[u8], at: usize) -> Result<Vec<String>> {
        let mut values = ValueReader::new(octets);
        let (map, mut keys) = (values.item(at)?, Vec::new());
        values.entries(&map, |_, key, _| {
            keys.push(String::from_utf8_lossy(key).into_owned());
            Ok(MapProgress::No)
        })?;
        Ok(keys)
    }

    #[test]
    fn every_kind_of_value_is_stepped_over() {
        let long = "x".repeat(400);
        let json = serde_json::json!({"a": {"b": [1, -2, {"c": true}], "d": false}, "e": 1.5, "f": long, "g": null,
            "h": "y".repeat(100), "z": 1});
        assert_eq!(
            keys(&encode(&json), 0),
            Ok(["a", "e", "f", "g", "h", "z"].map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn pointers_of_all_lengths() {
        for (pointer, target) in [
            (vec![0x20, 5], 5),
            (vec![0x28, 0, 5], 2053),
            (vec![0x30, 0, 0, 5], 526_341),
            (vec![0x38, 0, 0, 0, 5], 5),
        ] {
            let mut octets = vec![0; target + 2];
            octets[..pointer.len()].copy_from_slice(&pointer);
            octets[target..].copy_from_slice(&[0x41, b'x']);
            let item = ValueReader::new(&octets).item(0).unwrap();
            assert_eq!(item.value, MmdbValue::Text(b"x"), "to {target}");
            assert_eq!(ValueReader::new(&octets).skip(0, 1), Ok(pointer.len()));
        }
        assert_eq!(
            ValueReader::new(&[0x20, 0]).item(0).map(|item| item.value),
            Err(DamagedValue)
        );
    }

    #[test]
    fn damage_is_an_error() {
        let octets = encode(&serde_json::json!({"a": {"b": [1, "c"]}, "d": 1.5}));
        for length in 0..octets.len() {
            assert_eq!(
                keys(&octets[..length], 0),
                Err(DamagedValue),
                "{length} octets"
            );
        }
        // A map of 65,821 and more entries, each of them nothing.
        assert_eq!(
            keys(
                &[&[0xff, 0xff, 0xff, 0xff][..], &[0x40; 200_000]].concat(),
                0
            ),
            Err(DamagedValue)
        );
    }
}

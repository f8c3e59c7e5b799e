//! Works around two faults of the `domain` crate, version 0.12.3, in SVCB and HTTPS records (RFC
//! 9460).
//!
//! The crate refuses keys with a `9` or a `z`, because both of its ranges end one early: `key9` and
//! `key96` fail. Such a key is passed to it under another number, a stand-in, and restored in its
//! output. No registered key has a `z`. The crate also accepts `dohpath` without a value, which RFC
//! 9461 section 5 forbids. The last test of this file fails when a version of the crate no longer
//! needs this.

use super::words::DataError;

/// Numbers for private use (RFC 9460 section 14.3.2) that are written without a 9: the first
/// that the record does not use is the stand-in.
const STAND_INS: std::ops::Range<u16> = 65_300..65_390;
/// `mandatory`
const MANDATORY: u16 = 0;
/// `dohpath`
const DOHPATH: u16 = 7;

/// The stand-ins of one record.
#[derive(Debug, Default)]
pub struct KeyStandIns {
    /// Each stand-in and the key that it replaces.
    pairs: Vec<(u16, u16)>,
}

impl KeyStandIns {
    /// One parameter as the crate reads it; `record` is the whole record's text.
    pub fn replace(&mut self, parameter: Vec<u8>, record: &str) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(&parameter) else {
            return parameter;
        };
        let replaced = match text.split_once('=') {
            Some(("mandatory", keys)) => {
                let keys: Vec<String> = keys
                    .split(',')
                    .map(|key| self.spelled(key, record))
                    .collect();
                format!("mandatory={}", keys.join(","))
            }
            Some((key, _)) => {
                return [
                    self.spelled(key, record).as_bytes(),
                    &parameter[key.len()..],
                ]
                .concat();
            }
            None => self.spelled(text, record),
        };
        replaced.into_bytes()
    }

    /// A key, or its stand-in.
    fn spelled(&mut self, key: &str, record: &str) -> String {
        let Some(meant) = number_with_nine(key) else {
            return key.to_owned();
        };
        let known = self
            .pairs
            .iter()
            .find(|(_, other)| *other == meant)
            .map(|(stand_in, _)| *stand_in);
        let stand_in = known.or_else(|| {
            STAND_INS
                .clone()
                .find(|&number| self.is_free(number, record))
        });
        match stand_in {
            Some(stand_in) => {
                if known.is_none() {
                    self.pairs.push((stand_in, meant));
                }
                format!("key{stand_in}")
            }
            None => key.to_owned(),
        }
    }

    /// Whether a number can stand in for a key: the crate accepts it, and nothing else in the
    /// record uses it.
    fn is_free(&self, number: u16, record: &str) -> bool {
        !number.to_string().contains('9')
            && !record.contains(&format!("key{number}"))
            && !self.pairs.iter().any(|(taken, _)| *taken == number)
    }

    /// Restores the original keys, and sorts the parameters by them.
    pub fn restore(&self, wire: Vec<u8>) -> Result<Vec<u8>, DataError> {
        if self.pairs.is_empty() {
            return Ok(wire);
        }
        let Some((head, mut parameters)) = split(&wire) else {
            return Ok(wire);
        };
        let mut restored: Vec<(u16, Vec<u8>)> = Vec::new();
        while let Some((key, value, rest)) = parameter(parameters) {
            let mut value = value.to_vec();
            if key == MANDATORY {
                let keys = value
                    .chunks_exact(2)
                    .map(|key| self.meant(u16::from_be_bytes([key[0], key[1]])));
                let mut keys: Vec<u16> = keys.collect();
                keys.sort_unstable();
                value = keys.into_iter().flat_map(u16::to_be_bytes).collect();
            }
            restored.push((self.meant(key), value));
            parameters = rest;
        }
        restored.sort();
        if restored.windows(2).any(|two| two[0].0 == two[1].0) {
            return Err(DataError::Wrong("duplicate SvcParamKey".to_owned()));
        }
        let mut wire = head.to_vec();
        for (key, value) in restored {
            wire.extend(key.to_be_bytes());
            wire.extend((value.len() as u16).to_be_bytes());
            wire.extend(value);
        }
        Ok(wire)
    }

    fn meant(&self, key: u16) -> u16 {
        self.pairs
            .iter()
            .find(|(stand_in, _)| *stand_in == key)
            .map_or(key, |(_, meant)| *meant)
    }
}

/// Whether `dohpath` is present but empty.
pub fn has_empty_path(wire: &[u8]) -> bool {
    let Some((_, mut parameters)) = split(wire) else {
        return false;
    };
    while let Some((key, value, rest)) = parameter(parameters) {
        if key == DOHPATH && value.is_empty() {
            return true;
        }
        parameters = rest;
    }
    false
}

/// Priority and target, and the parameters.
fn split(wire: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 2;
    while *wire.get(end)? != 0 {
        end += 1 + usize::from(wire[end]);
    }
    wire.split_at_checked(end + 1)
}

/// Key and value of the first parameter, and what follows it.
fn parameter(parameters: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (&[k1, k0, l1, l0], rest) = parameters.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l1, l0])))?;
    Some((u16::from_be_bytes([k1, k0]), value, rest))
}

/// The number of a key `keyN`, if it has a 9 in it.
fn number_with_nine(key: &str) -> Option<u16> {
    let digits = key.strip_prefix("key")?;
    let is_number = digits.bytes().all(|octet| octet.is_ascii_digit());
    let is_meant = is_number && digits.contains('9') && !digits.starts_with('0');
    digits.parse().ok().filter(|_| is_meant)
}

#[cfg(test)]
mod tests {
    use domain::base::Rtype;
    use domain::rdata::ZoneRecordData;

    use crate::zone::scanner::{ScannedEntry, Scanner};
    use crate::zone::testing::{errors, wire};
    use crate::zone::words::WordReader;

    #[test]
    fn keys_with_a_nine_are_read() {
        assert_eq!(wire("SVCB 1 . key9=a"), "00010000090001".to_owned() + "61");
        assert_eq!(
            wire("HTTPS 1 . key96=\"b c\" alpn=h2"),
            "000100".to_owned() + "00010003026832" + "00600003622063"
        );
        assert_eq!(
            wire("SVCB 1 . key49999 key9=x"),
            "000100".to_owned() + "0009000178" + "c34f0000"
        );
        assert_eq!(
            wire("SVCB 1 . key65300=a key96=b"),
            "000100".to_owned() + "0060000162" + "ff14000161"
        );
        assert_eq!(
            wire("SVCB 1 . mandatory=key96,alpn alpn=h2 key96=z"),
            "000100".to_owned() + "0000000400010060" + "00010003026832" + "006000017a"
        );
    }

    #[test]
    fn a_key_twice_is_still_a_mistake() {
        for record in [
            "SVCB 1 . key96=a key96=b",
            "SVCB 1 . tls-supported-groups=29 key9=a",
            "SVCB 1 . mandatory=key9",
        ] {
            assert_eq!(errors(&format!("x {record}\n")).len(), 1, "{record}");
        }
    }

    #[test]
    fn rfc_9461_section_5_a_path_has_a_value() {
        for record in [
            "SVCB 1 . dohpath",
            "SVCB 1 . dohpath=\"\"",
            "HTTPS \\# 7 00010000070000",
        ] {
            assert_eq!(errors(&format!("x {record}\n")).len(), 1, "{record}");
        }
        assert!(wire("SVCB 1 . dohpath=/q{?dns}").ends_with("2f717b3f646e737d"));
    }

    /// Whether the crate reads this data of an SVCB record without our help.
    fn crate_reads(data: &str) -> bool {
        let mut scanner = Scanner::new(data.as_bytes());
        assert_eq!(
            scanner.next_entry(),
            ScannedEntry::Entry { indented: false }
        );
        ZoneRecordData::scan(Rtype::SVCB, &mut WordReader::new(&scanner.tokens, None)).is_ok()
    }

    #[test]
    fn the_crate_still_needs_this_file() {
        assert!(crate_reads("1 . key8888=a"));
        let mended = [
            crate_reads("1 . key9=a"),
            crate_reads("1 . key96=a"),
            !crate_reads("1 . dohpath"),
        ];
        assert_eq!(
            mended, [false; 3],
            "the `domain` crate was mended: take out of zone/binding.rs what it does now"
        );
    }
}

//! Reads LOC records: a place on earth in text form (RFC 1876 section 3).
//!
//! The text states latitude, longitude and altitude, then optionally the size and the precision.
//! [`read`] converts it to the 16 octets of the wire format. Missing sizes get the defaults of the
//! RFC.

use domain::base::scan::ScannerError;

use super::words::{DataError, WordReader};

/// Latitude and longitude are stated in thousandths of a second of arc from here (RFC 1876 section
/// 2).
const EQUATOR: i64 = 1 << 31;
/// Altitude is stated in centimetres from 100 km below the sea.
const BELOW_SEA: i64 = 10_000_000;

/// Reads `d [m [s]] N|S d [m [s]] E|W altitude [size [horizontal [vertical]]]`.
pub fn read(words: &mut WordReader<'_, '_>) -> Result<Vec<u8>, DataError> {
    let latitude = angle(words, 90, "N", "S")?;
    let longitude = angle(words, 180, "E", "W")?;
    let altitude = metres(words.take_plain()?)? + BELOW_SEA;
    let altitude = u32::try_from(altitude).map_err(|_| wrong("the altitude is out of range"))?;
    let mut precision = [0x12, 0x16, 0x13];
    for slot in &mut precision {
        if words.is_empty() {
            break;
        }
        *slot = power_of_ten(metres(words.take_plain()?)?)?;
    }
    let mut wire = vec![0];
    wire.extend(precision);
    wire.extend(
        [latitude, longitude, altitude]
            .into_iter()
            .flat_map(u32::to_be_bytes),
    );
    Ok(wire)
}

fn wrong(reason: &'static str) -> DataError {
    DataError::custom(reason)
}

/// Degrees, minutes and seconds up to the letter of the hemisphere.
fn angle(
    words: &mut WordReader<'_, '_>,
    most: i64,
    plus: &str,
    minus: &str,
) -> Result<u32, DataError> {
    let mut thousandths = 0;
    for unit in [3_600_000, 60_000, 1_000, 0] {
        let word = words.take_plain()?;
        let toward = if word.eq_ignore_ascii_case(plus) {
            1
        } else {
            -1
        };
        if toward == 1 || word.eq_ignore_ascii_case(minus) {
            return match u32::try_from(EQUATOR + toward * thousandths) {
                Ok(angle) if unit < 3_600_000 && thousandths <= most * 3_600_000 => Ok(angle),
                _ => Err(wrong("the latitude or longitude is out of range")),
            };
        }
        thousandths += match unit {
            1_000 => fixed_point(word, 3).filter(|&seconds| seconds < 60_000),
            60_000 => fixed_point(word, 0)
                .filter(|&minutes| minutes < 60)
                .map(|minutes| minutes * unit),
            _ => fixed_point(word, 0).map(|degrees| degrees.saturating_mul(unit)),
        }
        .filter(|_| unit > 0)
        .ok_or_else(|| wrong("expected degrees, minutes and seconds, then N, S, E or W"))?;
    }
    Err(wrong("expected N, S, E or W"))
}

/// Centimetres from metres with up to two digits after the point and perhaps an `m`.
fn metres(word: &str) -> Result<i64, DataError> {
    let number = word.strip_suffix(['m', 'M']).unwrap_or(word);
    let (sign, digits) = number
        .strip_prefix('-')
        .map_or((1, number), |digits| (-1, digits));
    fixed_point(digits, 2)
        .map(|value| sign * value)
        .ok_or_else(|| wrong("expected a length in metres"))
}

/// `12.5` with three places is 12500; at most nine digits in front of the point.
fn fixed_point(word: &str, places: usize) -> Option<i64> {
    let (whole, part) = word.split_once('.').unwrap_or((word, ""));
    if whole.is_empty()
        || whole.len() > 9
        || part.len() > places
        || !are_digits(whole)
        || !are_digits(part)
    {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

fn are_digits(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_digit())
}

/// One digit and a power of ten in centimetres (RFC 1876 section 2, SIZE).
fn power_of_ten(centimetres: i64) -> Result<u8, DataError> {
    let mut mantissa = centimetres;
    let mut exponent = 0u8;
    while mantissa > 9 {
        mantissa /= 10;
        exponent += 1;
    }
    match u8::try_from(mantissa) {
        Ok(digit) if exponent <= 9 => Ok(digit << 4 | exponent),
        _ => Err(wrong("a size or precision is out of range")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::scanner::Scanner;

    fn loc(text: &str) -> Result<Vec<u8>, DataError> {
        let mut scanner = Scanner::new(text.as_bytes());
        scanner.next_entry();
        read(&mut WordReader::new(&scanner.tokens, None))
    }

    #[test]
    fn the_examples_of_rfc_1876_read_back() {
        let precision = [0, 0x12, 0x16, 0x13];
        let wire = loc("42 21 43.528 N 71 05 06.284 W -24m 1m 10000m 10m").expect("good");
        assert_eq!(wire[..4], precision);
        let latitude = (1i64 << 31) + ((42 * 60 + 21) * 60_000 + 43_528);
        let longitude = (1i64 << 31) - ((71 * 60 + 5) * 60_000 + 6_284);
        assert_eq!(wire[4..8], (latitude as u32).to_be_bytes());
        assert_eq!(wire[8..12], (longitude as u32).to_be_bytes());
        assert_eq!(wire[12..], (10_000_000u32 - 2_400).to_be_bytes());
        assert_eq!(
            loc("1 S 0 E 0").map(|wire| wire[4..8].to_vec()),
            Ok(0x7fc9_1180u32.to_be_bytes().to_vec())
        );
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for text in [
            "91 N 0 E 0",
            "90 0 0.001 N 0 E 0",
            "0 60 N 0 E 0",
            "0 N 181 E 0",
            "N 0 E 0",
            "0 N 0 E -100001",
        ] {
            assert!(loc(text).is_err(), "{text}");
        }
        assert!(loc("0 N 0 E 0 99999999999m").is_err());
        assert_eq!(loc("0 N 0 E"), Err(DataError::TooFew));
    }
}

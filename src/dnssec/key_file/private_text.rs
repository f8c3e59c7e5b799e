//! The text of a `.private` file: `Private-key-format: v1.3`, one `Word: value` a line.
//!
//! Versions 1.2 and 1.3 differ in the lines with times alone, and later ones of the same major
//! version may add lines. All octets of the private key pass through memory that is wiped. A key in a
//! token has a line `Label:` with its PKCS#11 URI instead. BIND writes that URI in base64 with a zero
//! behind it, and a line `Engine:`, which is passed over.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::times::KeyTimes;
use crate::dnssec::algorithm::told;
use crate::dnssec::der::without_zeros;
use crate::dnssec::key::{PrivateKey, RsaParts};
use crate::dnssec::pkcs8::padded;
use crate::dnssec::token_uri::TokenUri;
use crate::dnssec::zone_key::{rsa_octets, rsa_parts, supported};
use crate::dnssec::{KeyPair, SigningAlgorithm, ZoneKey};

/// The lines of an RSA key, in BIND's order.
const RSA_LINES: [&str; 8] = [
    "Modulus",
    "PublicExponent",
    "PrivateExponent",
    "Prime1",
    "Prime2",
    "Exponent1",
    "Exponent2",
    "Coefficient",
];
/// The line of a key on a curve.
const CURVE_LINE: &str = "PrivateKey";
/// The line of a key in a token.
const TOKEN_LINE: &str = "Label";

/// A mistake in a file: its line, and a sentence.
pub(super) type LineMistake = (usize, String);

/// What is read: the private half, and the times.
pub(super) struct PrivateText {
    pub private: PrivateKey,
    pub times: KeyTimes,
}

/// The lines of a file that belong to the key.
#[derive(Default)]
struct KeyLines<'t> {
    /// Line numbers, words and values.
    values: Vec<(usize, &'t str, &'t str)>,
}

impl<'t> KeyLines<'t> {
    /// The octets of a line.
    fn octets(&self, wanted: &str, end: usize) -> Result<Zeroizing<Vec<u8>>, LineMistake> {
        let line = self.values.iter().find(|(_, word, _)| *word == wanted);
        let &(number, _, value) =
            line.ok_or_else(|| (end, format!("the line {wanted}: is missing")))?;
        // The decoder must not grow its memory, which would leave a copy behind.
        let mut octets = Zeroizing::new(Vec::with_capacity(value.len()));
        match STANDARD.decode_vec(value, &mut octets) {
            Ok(()) => Ok(octets),
            Err(_) => Err((number, format!("{wanted} is not base64"))),
        }
    }

    /// The number of a line, without leading zeros.
    fn number(&self, wanted: &str, end: usize) -> Result<Zeroizing<Vec<u8>>, LineMistake> {
        let octets = self.octets(wanted, end)?;
        Ok(Zeroizing::new(without_zeros(&octets).to_vec()))
    }
}

/// Reads the text of a `.private` file that belongs to a public key.
pub(super) fn parse(text: &str, public: &ZoneKey) -> Result<PrivateText, LineMistake> {
    let mut times = KeyTimes::default();
    let mut lines = KeyLines::default();
    let (mut algorithm, mut place) = (None, None);
    let mut end = 1;
    for (number, line) in (1..).zip(text.lines()) {
        end = number;
        let line = line.trim();
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        let (word, value) = line
            .split_once(':')
            .ok_or_else(|| (number, "a line is written as Word: value".to_owned()))?;
        let value = value.trim();
        match word {
            "Private-key-format" => check_version(value).map_err(|error| (number, error))?,
            "Algorithm" => algorithm = Some(read_algorithm(value).map_err(|e| (number, e))?),
            TOKEN_LINE => place = Some(read_label(value).map_err(|error| (number, error))?),
            "Engine" => {}
            CURVE_LINE => lines.values.push((number, word, value)),
            _ if RSA_LINES.contains(&word) => lines.values.push((number, word, value)),
            _ => times
                .read_line(word, value)
                .map_err(|error| (number, error))?,
        }
    }
    let algorithm = algorithm.ok_or_else(|| (end, "the line Algorithm: is missing".to_owned()))?;
    if algorithm != public.algorithm() {
        return Err((
            end,
            format!(
                "the private key is of {algorithm}, and the public key beside it of {}",
                public.algorithm()
            ),
        ));
    }
    let private = match place {
        Some(place) => PrivateKey::Token(Box::new(place)),
        None => read_private(&lines, public, end)?,
    };
    Ok(PrivateText { private, times })
}

/// Reads a URI, as it is or as BIND writes it.
fn read_label(value: &str) -> Result<TokenUri, String> {
    let decoded = STANDARD.decode(value).unwrap_or_default();
    let decoded = decoded.strip_suffix(&[0]).unwrap_or(&decoded);
    let text = std::str::from_utf8(decoded).unwrap_or_default();
    let text = if text.starts_with("pkcs11:") {
        text
    } else {
        value
    };
    let uri: TokenUri = text.parse()?;
    if uri.has_object() {
        Ok(uri)
    } else {
        Err("Label names no object of the token; add object= or id=".to_owned())
    }
}

fn check_version(value: &str) -> Result<(), String> {
    if value.starts_with("v1.") {
        Ok(())
    } else {
        Err(format!(
            "the format is \"{value}\"; v1.2 and v1.3 are supported"
        ))
    }
}

/// Reads `13 (ECDSAP256SHA256)`.
fn read_algorithm(value: &str) -> Result<SigningAlgorithm, String> {
    let number = value.split_whitespace().next().unwrap_or("");
    let number = number
        .parse()
        .map_err(|_| format!("Algorithm is \"{value}\", which starts with no number"))?;
    supported(number)
}

fn read_private(
    lines: &KeyLines<'_>,
    public: &ZoneKey,
    end: usize,
) -> Result<PrivateKey, LineMistake> {
    if public.algorithm() != SigningAlgorithm::RsaSha256 {
        let octets = lines.octets(CURVE_LINE, end)?;
        let octets = padded(&octets, public.algorithm()).map_err(|error| (end, error))?;
        return Ok(PrivateKey::Curve(octets));
    }
    let [modulus, exponent, d, p, q, dp, dq, q_inverse] = RSA_LINES;
    let modulus = lines.number(modulus, end)?;
    let exponent = lines.number(exponent, end)?;
    if rsa_octets(&exponent, &modulus) != public.octets() {
        return Err((end, OTHER_PUBLIC.to_owned()));
    }
    let parts = RsaParts {
        d: lines.number(d, end)?,
        p: lines.number(p, end)?,
        q: lines.number(q, end)?,
        dp: lines.number(dp, end)?,
        dq: lines.number(dq, end)?,
        q_inverse: lines.number(q_inverse, end)?,
    };
    Ok(PrivateKey::Rsa(Box::new(parts)))
}

const OTHER_PUBLIC: &str = "the private key does not belong to the public key beside it";

/// The text of a `.private` file.
pub(super) fn text(pair: &KeyPair, times: &KeyTimes) -> Zeroizing<String> {
    // Room for the largest RSA key, so that nothing moves while it is written.
    let mut text = Zeroizing::new(String::with_capacity(8192));
    text.push_str("Private-key-format: v1.3\n");
    let algorithm = told(pair.public().algorithm().number());
    text.push_str(&format!("Algorithm: {algorithm}\n"));
    match pair.private() {
        PrivateKey::Curve(octets) => push_line(&mut text, CURVE_LINE, octets),
        PrivateKey::Rsa(parts) => {
            let (exponent, modulus) = rsa_parts(pair.public().octets()).unwrap_or_default();
            let numbers: [&[u8]; 8] = [
                modulus,
                exponent,
                &parts.d,
                &parts.p,
                &parts.q,
                &parts.dp,
                &parts.dq,
                &parts.q_inverse,
            ];
            for (word, octets) in RSA_LINES.into_iter().zip(numbers) {
                push_line(&mut text, word, octets);
            }
        }
        PrivateKey::Token(place) => text.push_str(&format!("{TOKEN_LINE}: {place}\n")),
    }
    for line in times.lines() {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn push_line(text: &mut String, word: &str, octets: &[u8]) {
    text.push_str(word);
    text.push_str(": ");
    STANDARD.encode_string(octets, text);
    text.push('\n');
}

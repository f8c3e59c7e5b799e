//! The text of a `.key` file: one DNSKEY record, with comments.
//!
//! Programs write the record with or without TTL and class, in one line or in parentheses, and the
//! key in pieces. The comments repeat the times of the key; they count only where there is no
//! `.private` file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::private_text::LineMistake;
use super::times::{KeyTimes, parse_time};
use crate::dns::Name;
use crate::dnssec::zone_key::supported;
use crate::dnssec::{SigningAlgorithm, ZoneKey};

/// What is read: the public half, the TTL if there is one, and the times in the comments.
pub(super) struct PublicText {
    pub public: ZoneKey,
    pub ttl: Option<u32>,
    pub times: KeyTimes,
}

/// Reads the text of a `.key` file.
pub(super) fn parse(text: &str) -> Result<PublicText, LineMistake> {
    let mut times = KeyTimes::default();
    let mut words = Vec::new();
    let mut start = 1;
    for (number, line) in (1..).zip(text.lines()) {
        let (record, comment) = split_comment(line);
        if let Some(comment) = comment {
            read_comment(comment, &mut times);
        }
        for word in
            record.split(|letter: char| letter.is_ascii_whitespace() || "()".contains(letter))
        {
            if !word.is_empty() {
                if words.is_empty() {
                    start = number;
                }
                words.push(word);
            }
        }
    }
    let (public, ttl) = read_record(&words).map_err(|error| (start, error))?;
    Ok(PublicText { public, ttl, times })
}

/// A line's record and comment.
fn split_comment(line: &str) -> (&str, Option<&str>) {
    let mut escaped = false;
    for (at, letter) in line.char_indices() {
        match letter {
            ';' if !escaped => return (line.get(..at).unwrap_or(""), line.get(at + 1..)),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    (line, None)
}

/// Takes in a comment such as ` Publish: 20261129091538 (Sun Nov 29 09:15:38 2026)`.
fn read_comment(comment: &str, times: &mut KeyTimes) {
    let Some((word, value)) = comment.trim().split_once(':') else {
        return;
    };
    let value = value.split_whitespace().next().unwrap_or("");
    if parse_time(value).is_some() {
        // Only times were let through, so there is no error.
        let _ = times.read_line(word, value);
        times.others.clear();
    }
}

fn read_record(words: &[&str]) -> Result<(ZoneKey, Option<u32>), String> {
    let (owner, rest) = words
        .split_first()
        .ok_or_else(|| "there is no DNSKEY record".to_owned())?;
    let zone = Name::parse(owner, &Name::root()).map_err(|error| format!("{owner}: {error}"))?;
    let mut ttl = None;
    let mut rest = rest.iter();
    loop {
        let word = rest
            .next()
            .ok_or_else(|| "there is no DNSKEY record".to_owned())?;
        match word.parse() {
            Ok(number) => ttl = Some(number),
            Err(_) if word.eq_ignore_ascii_case("IN") => {}
            Err(_) if word.eq_ignore_ascii_case("DNSKEY") => break,
            Err(_) => return Err(format!("\"{word}\" stands where DNSKEY is expected")),
        }
    }
    let key = read_key(&zone, rest.as_slice())?;
    Ok((key, ttl))
}

/// Reads flags, protocol, algorithm and key.
fn read_key(zone: &Name, words: &[&str]) -> Result<ZoneKey, String> {
    let [flags, protocol, algorithm, base64 @ ..] = words else {
        return Err("the DNSKEY record is cut off".to_owned());
    };
    let flags = flags
        .parse()
        .map_err(|_| format!("the flags \"{flags}\" are no number"))?;
    if *protocol != "3" {
        return Err(format!("the protocol is {protocol}; it must be 3"));
    }
    let algorithm = match algorithm.parse() {
        Ok(number) => supported(number)?,
        Err(_) => SigningAlgorithm::from_mnemonic(algorithm)
            .ok_or_else(|| format!("algorithm {algorithm} is not supported"))?,
    };
    let octets = STANDARD
        .decode(base64.concat())
        .map_err(|_| "the public key is not base64".to_owned())?;
    ZoneKey::new(zone, flags, algorithm, &octets)
}

/// The text of a `.key` file.
pub(super) fn text(public: &ZoneKey, ttl: Option<u32>, times: &KeyTimes) -> String {
    let zone = absolute(public.zone());
    let role = if public.is_entry() { "key" } else { "zone" };
    let tag = public.tag();
    let mut text = format!("; This is a {role}-signing key, keyid {tag}, for {zone}\n");
    for line in times.time_lines() {
        text.push_str(&format!("; {line}\n"));
    }
    let ttl = ttl.map(|ttl| format!("{ttl} ")).unwrap_or_default();
    text.push_str(&format!(
        "{zone} {ttl}IN DNSKEY {} 3 {} {}\n",
        public.flags(),
        public.algorithm().number(),
        STANDARD.encode(public.octets())
    ));
    text
}

/// A name with its dot at the end.
fn absolute(name: &Name) -> String {
    if name.is_root() {
        ".".to_owned()
    } else {
        format!("{name}.")
    }
}

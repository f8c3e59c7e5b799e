//! Converts gdnsd's `options` (gdnsd.config(5), "OPTIONS HASH") to `[server]` and `[geo]`.
//!
//! Each option becomes one line with its source. Options without a counterpart are noted, either as
//! a difference or as not needed. The TTL bounds are not written: they apply to the zones.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::notes::ImportNotes;
use super::source::{ImportSource, SourcePlace};
use super::vscf::{VscfContent, VscfEntry, VscfHash, VscfValue};
use crate::text::toml_text;

/// The converted options.
#[derive(Debug)]
pub struct GdnsdOptions {
    /// Lines of `[server]`.
    pub server: Vec<OptionLine>,
    /// Lines of `[geo]`.
    pub geo: Vec<OptionLine>,
    /// The bounds of all TTLs in the zones.
    pub ttls: TtlBounds,
}

/// A line of the configuration and the option that it was made from.
#[derive(Debug)]
pub struct OptionLine {
    /// The key and its value, with the line feed.
    pub text: String,
    /// The option.
    pub source: ImportSource,
}

/// Bounds of TTLs, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct TtlBounds {
    /// The TTL of records that state none.
    pub default: u32,
    /// The lowest TTL.
    pub least: u32,
    /// The highest TTL.
    pub most: u32,
    /// The highest value of the last field of an SOA record.
    pub negative_most: u32,
    /// The TTL of TXT records at `_acme-challenge`.
    pub acme: u32,
}

impl Default for TtlBounds {
    /// gdnsd's own defaults.
    fn default() -> Self {
        TtlBounds {
            default: 86_400,
            least: 5,
            most: 3_600_000,
            negative_most: 10_800,
            acme: 0,
        }
    }
}

impl TtlBounds {
    fn read(table: &VscfHash) -> TtlBounds {
        let usual = TtlBounds::default();
        let most = table.number("max_ttl").unwrap_or(usual.most);
        let least = table.number("min_ttl").unwrap_or(usual.least).min(most);
        let negative_most = table.number("max_ncache_ttl");
        let acme = table.number("acme_challenge_dns_ttl");
        TtlBounds {
            default: table.number("zones_default_ttl").unwrap_or(usual.default),
            least,
            most,
            negative_most: negative_most.unwrap_or(usual.negative_most).max(least),
            acme: acme.unwrap_or(usual.acme),
        }
    }

    /// Limits a TTL to the bounds.
    pub fn clamp(&self, ttl: u32) -> u32 {
        ttl.clamp(self.least, self.most)
    }

    /// Limits the last field of an SOA record to its bounds.
    pub fn clamp_negative(&self, ttl: u32) -> u32 {
        ttl.clamp(self.least, self.negative_most)
    }
}

/// Options that Meridian does not need.
const NEEDLESS: [&str; 14] = [
    "zones_strict_data",
    "zones_rfc1035_threads",
    "lock_mem",
    "disable_text_autosplit",
    "run_dir",
    "state_dir",
    "udp_rcvbuf",
    "udp_sndbuf",
    "tcp_fastopen",
    "tcp_backlog",
    "disable_tcp_dso",
    "experimental_no_chain",
    "tcp_pad",
    "acme_challenge_ttl",
];
/// Options that are read together with others, or for the TTL bounds.
const READ: [&str; 10] = [
    "listen",
    "dns_port",
    "max_ttl",
    "min_ttl",
    "max_ncache_ttl",
    "acme_challenge_dns_ttl",
    "tcp_threads",
    "tcp_clients_per_thread",
    "zones_default_ttl",
    "nsid",
];

/// Reads `options`; an empty hash where there are none.
pub fn read(table: &VscfHash, notes: &mut ImportNotes) -> GdnsdOptions {
    let mut options = GdnsdOptions {
        server: Vec::new(),
        geo: Vec::new(),
        ttls: TtlBounds::read(table),
    };
    let port = table.number("dns_port").unwrap_or(53);
    let listen = format!("listen = [{}]\n", listen(table, port, notes).join(", "));
    let somewhere = SourcePlace {
        file: Path::new("config").into(),
        line: 1,
    };
    let place = match table.entry("listen") {
        Some(entry) => &entry.place,
        None => &somewhere,
    };
    options.server.push(OptionLine {
        text: listen,
        source: ImportSource::new(place, "listen"),
    });
    for entry in &table.0 {
        options.read_one(entry, table, notes);
    }
    options
}

impl GdnsdOptions {
    /// Converts one option, or notes why it is left out.
    fn read_one(&mut self, entry: &VscfEntry, table: &VscfHash, notes: &mut ImportNotes) {
        let source = ImportSource::new(&entry.place, &*entry.key);
        if notes.refuses(&source) {
            return;
        }
        let text = entry.value.text().unwrap_or("");
        let truth = text.eq_ignore_ascii_case("true");
        let text = match &*entry.key {
            "nsid_ascii" => format!("nsid = {}\n", toml_text(text)),
            "nsid" if table.get("nsid_ascii").is_none() => {
                format!("nsid = {}\n", toml_text(&ascii_of(text)))
            }
            "chaos_response" => format!("chaos_version = {}\n", toml_text(text)),
            "tcp_timeout" => format!("tcp_idle = {}\n", toml_text(&format!("{text}s"))),
            "tcp_clients_per_thread" => {
                let threads: u32 = table.number("tcp_threads").unwrap_or(2);
                let connections = threads.saturating_mul(text.parse().unwrap_or(128));
                format!("tcp_connections = {}\n", connections.clamp(1, 1_000_000))
            }
            "udp_threads" if text.parse().is_ok_and(|threads: u32| threads > 0) => {
                format!("workers = {text}\n")
            }
            "disable_cookies" => format!("cookies = {}\n", !truth),
            "max_nocookie_response" => {
                let octets: u32 = text.parse().unwrap_or(1232);
                format!("max_nocookie_response = {}\n", octets.clamp(512, 1232))
            }
            "edns_client_subnet" => {
                let text = format!("client_subnet = {truth}\n");
                return self.geo.push(OptionLine { text, source });
            }
            key if READ.contains(&key) => return,
            key if NEEDLESS.contains(&key) => {
                return notes.add_needless(
                    &entry.place,
                    format!("{key}: this cannot be configured here"),
                );
            }
            key => return notes.add(&entry.place, format!("{key}: {}", reason(key))),
        };
        self.server.push(OptionLine { text, source });
    }
}

fn reason(key: &str) -> &'static str {
    match key {
        "max_edns_response" | "max_edns_response_v6" => {
            "replies over UDP have at most 1232 octets here"
        }
        "cookie_key_file" => {
            "the format differs; create a file for cookie_secrets_file (docs/configuration.md)"
        }
        "tcp_proxy" => {
            "list the networks of the proxies in proxy_from; they must use version 2 of the PROXY protocol"
        }
        "tcp_control" => "the admin server is at 127.0.0.1:8053; see [admin]",
        _ => "it has no equivalent here",
    }
}

/// gdnsd writes an NSID in hexadecimal, Meridian as text. An NSID that is not text stays as it is.
fn ascii_of(hex: &str) -> String {
    let mut text = String::new();
    for pair in hex.as_bytes().chunks(2) {
        let digits = std::str::from_utf8(pair).unwrap_or_default();
        match u8::from_str_radix(digits, 16) {
            Ok(octet) if octet.is_ascii_graphic() => text.push(octet.into()),
            _ => return hex.to_owned(),
        }
    }
    text
}

/// The addresses with their ports, in quotes.
fn listen(options: &VscfHash, port: u32, notes: &mut ImportNotes) -> Vec<String> {
    let any = vec![format!("\"0.0.0.0:{port}\""), format!("\"[::]:{port}\"")];
    let Some(value) = options.get("listen") else {
        return any;
    };
    if value.text() == Some("any") {
        return any;
    }
    let mut stated: Vec<(&str, &VscfValue)> = Vec::new();
    match &value.content {
        VscfContent::Table(table) => {
            for entry in &table.0 {
                stated.push((&entry.key, &entry.value));
            }
        }
        _ => {
            for value in value.list() {
                if let Some(text) = value.text() {
                    stated.push((text, value));
                }
            }
        }
    }
    let mut addresses = Vec::new();
    for (text, value) in stated {
        match with_port(text, port) {
            Some(address) if addresses.contains(&format!("\"{address}\"")) => {}
            Some(address) => addresses.push(format!("\"{address}\"")),
            None => notes.add(&value.place, format!("listen: {text:?} is not an address")),
        }
        for entry in value.table().map_or(&[][..], |table| &table.0) {
            notes.add(
                &entry.place,
                format!(
                    "{}: options of a single address are not supported here",
                    entry.key
                ),
            );
        }
    }
    if addresses.is_empty() { any } else { addresses }
}

/// An address with the port that it states, or with the default.
fn with_port(text: &str, port: u32) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let address: IpAddr = text.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(address, u16::try_from(port).ok()?))
}

//! gdnsd's `options` (gdnsd.config(5), "OPTIONS HASH") as `[server]` and `[geo]`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::notes::{ImportNotes, ImportSource};
use super::vscf::{SourcePlace, VscfContent, VscfEntry, VscfHash, VscfValue};
use crate::text::toml_text;

/// What the options come to.
#[derive(Debug)]
pub struct GdnsdOptions {
    /// Lines of `[server]`, each with its option.
    pub server: Vec<(String, ImportSource)>,
    /// Lines of `[geo]`, likewise.
    pub geo: Vec<(String, ImportSource)>,
    /// Where and how long answers may be kept.
    pub ttls: TtlBounds,
}

/// Bounds of TTLs, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct TtlBounds {
    /// Of records that state none.
    pub default: u32,
    /// The least of any.
    pub least: u32,
    /// The most of any.
    pub most: u32,
    /// The most of the last field of an SOA record.
    pub negative_most: u32,
    /// Of TXT records at `_acme-challenge`.
    pub acme: u32,
}

impl Default for TtlBounds {
    /// What gdnsd takes where nothing is stated.
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
        let number = |key: &str, default: u32| {
            table
                .text(key)
                .and_then(|text| text.parse().ok())
                .unwrap_or(default)
        };
        let usual = TtlBounds::default();
        let most = number("max_ttl", usual.most);
        let least = number("min_ttl", usual.least).min(most);
        TtlBounds {
            default: number("zones_default_ttl", usual.default),
            least,
            most,
            negative_most: number("max_ncache_ttl", usual.negative_most).max(least),
            acme: number("acme_challenge_dns_ttl", usual.acme),
        }
    }

    /// A TTL within the bounds.
    pub fn clamp(&self, ttl: u32) -> u32 {
        ttl.clamp(self.least, self.most)
    }

    /// The last field of an SOA record within its bounds.
    pub fn clamp_negative(&self, ttl: u32) -> u32 {
        ttl.clamp(self.least, self.negative_most)
    }
}

/// What has no counterpart because there is nothing to be set.
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
/// What is read here.
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
    let number = |key: &str, default: u32| {
        table
            .text(key)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let listen = format!(
        "listen = [{}]\n",
        listen(table, number("dns_port", 53), notes).join(", ")
    );
    let somewhere = SourcePlace {
        file: Path::new("config").into(),
        line: 1,
    };
    let listed = table
        .0
        .iter()
        .find(|entry| entry.key == "listen")
        .map_or(&somewhere, |entry| &entry.place);
    options
        .server
        .push((listen, ImportSource::new(listed, "listen")));
    for entry in &table.0 {
        options.read_one(entry, table, notes);
    }
    options
}

impl GdnsdOptions {
    /// One option, where it is a line of ours.
    fn read_one(&mut self, entry: &VscfEntry, table: &VscfHash, notes: &mut ImportNotes) {
        let source = ImportSource::new(&entry.place, &*entry.key);
        if notes.refuses(&source) {
            return;
        }
        let text = entry.value.text().unwrap_or("");
        let truth = text.eq_ignore_ascii_case("true");
        let line = match &*entry.key {
            "nsid_ascii" => format!("nsid = {}\n", toml_text(text)),
            "nsid" if table.get("nsid_ascii").is_none() => {
                format!("nsid = {}\n", toml_text(&ascii_of(text)))
            }
            "chaos_response" => format!("chaos_version = {}\n", toml_text(text)),
            "tcp_timeout" => format!("tcp_idle = {}\n", toml_text(&format!("{text}s"))),
            "tcp_clients_per_thread" => {
                let number = |key: &str| table.text(key).and_then(|text| text.parse::<u32>().ok());
                let connections = number("tcp_threads")
                    .unwrap_or(2)
                    .saturating_mul(number(&entry.key).unwrap_or(128));
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
                return self
                    .geo
                    .push((format!("client_subnet = {truth}\n"), source));
            }
            key if READ.contains(&key) => return,
            key if NEEDLESS.contains(&key) => {
                return notes.add_needless(
                    &entry.place,
                    format!("{key}: there is nothing to be set here"),
                );
            }
            key => return notes.add(&entry.place, format!("{key}: {}", reason(key))),
        };
        self.server.push((line, source));
    }
}

fn reason(key: &str) -> &'static str {
    match key {
        "max_edns_response" | "max_edns_response_v6" => {
            "replies over UDP have at most 1232 octets here"
        }
        "cookie_key_file" => {
            "the file is another here; make one for cookie_secrets_file (docs/configuration.md)"
        }
        "tcp_proxy" => {
            "name the networks of the fronts in proxy_from; they speak version 2 of the PROXY protocol"
        }
        "tcp_control" => "the admin server is at 127.0.0.1:8053; see [admin]",
        _ => "there is nothing like it here",
    }
}

/// NSIDs are octets in hexadecimal there and text here; those that are no text stay as they are written.
fn ascii_of(hex: &str) -> String {
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let octets: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(octet).collect();
    let text = octets.and_then(|octets| String::from_utf8(octets).ok());
    text.filter(|text| text.chars().all(|c| c.is_ascii_graphic()))
        .unwrap_or_else(|| hex.to_owned())
}

/// The addresses with their ports, in quotes.
fn listen(options: &VscfHash, port: u32, notes: &mut ImportNotes) -> Vec<String> {
    let any = || [format!("\"0.0.0.0:{port}\""), format!("\"[::]:{port}\"")].to_vec();
    let Some(value) = options.get("listen") else {
        return any();
    };
    if value.text() == Some("any") {
        return any();
    }
    let stated: Vec<(String, &VscfValue)> = match &value.content {
        VscfContent::Table(table) => table
            .0
            .iter()
            .map(|entry| (entry.key.clone(), &entry.value))
            .collect(),
        _ => value
            .list()
            .iter()
            .filter_map(|it| Some((it.text()?.to_owned(), it)))
            .collect(),
    };
    let mut addresses = Vec::new();
    for (text, value) in stated {
        match text
            .parse::<SocketAddr>()
            .ok()
            .or_else(|| with_port(&text, port))
        {
            Some(address) if addresses.contains(&format!("\"{address}\"")) => {}
            Some(address) => addresses.push(format!("\"{address}\"")),
            None => notes.add(&value.place, format!("listen: {text:?} is no address")),
        }
        for entry in value.table().map_or(&[][..], |table| &table.0) {
            notes.add(
                &entry.place,
                format!(
                    "{}: what holds for one address alone is not known here",
                    entry.key
                ),
            );
        }
    }
    if addresses.is_empty() {
        any()
    } else {
        addresses
    }
}

fn with_port(text: &str, port: u32) -> Option<SocketAddr> {
    let address: IpAddr = text.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(address, u16::try_from(port).ok()?))
}

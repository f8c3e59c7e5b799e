//! gdnsd's `options` (gdnsd.config(5), "OPTIONS HASH") as `[server]` and `[geo]`.

use std::net::{IpAddr, SocketAddr};

use super::notes::Notes;
use super::vscf::{Content, Entry, Table, Value};
use crate::cli::init::toml_text;

/// What the options come to.
#[derive(Debug)]
pub struct Options {
    /// Lines of `[server]`.
    pub server: String,
    /// Lines of `[geo]`.
    pub geo: String,
    /// Seconds, for records that state no TTL.
    pub default_ttl: u32,
    /// The least and most seconds of any TTL.
    pub ttl_bounds: (u32, u32),
}

/// What has no counterpart because there is nothing to be set.
const NEEDLESS: [&str; 16] = [
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
    "max_ncache_ttl",
    "zones_default_ttl",
];
/// What is read here.
const READ: [&str; 8] =
    ["listen", "dns_port", "max_ttl", "min_ttl", "tcp_threads", "tcp_clients_per_thread", "zones_default_ttl", "nsid"];

/// Reads `options`; an empty hash where there are none.
pub fn read(table: &Table, notes: &mut Notes) -> Options {
    let number = |key: &str, default: u32| table.text(key).and_then(|text| text.parse().ok()).unwrap_or(default);
    let mut server = format!("listen = [{}]\n", listen(table, number("dns_port", 53), notes).join(", "));
    let mut geo = String::new();
    for entry in &table.0 {
        option(entry, &mut server, &mut geo, notes);
    }
    if table.get("tcp_clients_per_thread").is_some() {
        let connections = number("tcp_threads", 2).saturating_mul(number("tcp_clients_per_thread", 128));
        server += &format!("tcp_connections = {}\n", connections.clamp(1, 1_000_000));
    }
    if let Some(hex) = table.text("nsid") {
        server += &format!("nsid = {}\n", toml_text(&ascii_of(hex)));
    }
    Options {
        server,
        geo,
        default_ttl: number("zones_default_ttl", 86_400),
        ttl_bounds: (number("min_ttl", 5), number("max_ttl", 3_600_000)),
    }
}

/// One option, where it is a line of ours.
fn option(entry: &Entry, server: &mut String, geo: &mut String, notes: &mut Notes) {
    let text = entry.value.text().unwrap_or("");
    let truth = text.eq_ignore_ascii_case("true");
    match &*entry.key {
        "nsid_ascii" => *server += &format!("nsid = {}\n", toml_text(text)),
        "chaos_response" => *server += &format!("chaos_version = {}\n", toml_text(text)),
        "tcp_timeout" => *server += &format!("tcp_idle = {}\n", toml_text(&format!("{text}s"))),
        "udp_threads" if text.parse().is_ok_and(|threads: u32| threads > 0) => {
            *server += &format!("workers = {text}\n");
        }
        "disable_cookies" => *server += &format!("cookies = {}\n", !truth),
        "max_nocookie_response" => {
            let octets: u32 = text.parse().unwrap_or(1232);
            *server += &format!("max_nocookie_response = {}\n", octets.clamp(512, 1232));
        }
        "edns_client_subnet" => *geo += &format!("client_subnet = {truth}\n"),
        key if READ.contains(&key) => {}
        key if NEEDLESS.contains(&key) => notes.add(&entry.place, format!("{key}: there is nothing to be set here")),
        key => notes.add(&entry.place, format!("{key}: {}", reason(key))),
    }
}

fn reason(key: &str) -> &'static str {
    match key {
        "max_edns_response" | "max_edns_response_v6" => "replies over UDP have at most 1232 octets here",
        "cookie_key_file" => "the file is another here; make one for cookie_secrets_file (docs/configuration.md)",
        "tcp_proxy" => "name the networks of the fronts in proxy_from; they speak version 2 of the PROXY protocol",
        "tcp_control" => "the admin server is at 127.0.0.1:8053; see [admin]",
        "acme_challenge_dns_ttl" => "DNS-01 challenges are records of the zone here; edit and reload",
        _ => "there is nothing like it here",
    }
}

/// NSIDs are octets in hexadecimal there and text here; those that are no text stay as they are written.
fn ascii_of(hex: &str) -> String {
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let octets: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(octet).collect();
    let text = octets.and_then(|octets| String::from_utf8(octets).ok());
    text.filter(|text| text.chars().all(|c| c.is_ascii_graphic())).unwrap_or_else(|| hex.to_owned())
}

/// The addresses with their ports, in quotes.
fn listen(options: &Table, port: u32, notes: &mut Notes) -> Vec<String> {
    let any = || [format!("\"0.0.0.0:{port}\""), format!("\"[::]:{port}\"")].to_vec();
    let Some(value) = options.get("listen") else { return any() };
    if value.text() == Some("any") {
        return any();
    }
    let stated: Vec<(String, &Value)> = match &value.content {
        Content::Table(table) => table.0.iter().map(|entry| (entry.key.clone(), &entry.value)).collect(),
        _ => value.list().iter().filter_map(|it| Some((it.text()?.to_owned(), it))).collect(),
    };
    let mut addresses = Vec::new();
    for (text, value) in stated {
        match text.parse::<SocketAddr>().ok().or_else(|| with_port(&text, port)) {
            Some(address) => addresses.push(format!("\"{address}\"")),
            None => notes.add(&value.place, format!("listen: {text:?} is no address")),
        }
        for entry in value.table().map_or(&[][..], |table| &table.0) {
            notes.add(&entry.place, format!("{}: what holds for one address alone is not known here", entry.key));
        }
    }
    if addresses.is_empty() { any() } else { addresses }
}

fn with_port(text: &str, port: u32) -> Option<SocketAddr> {
    let address: IpAddr = text.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(address, u16::try_from(port).ok()?))
}

//! Makes the [`Config`] from the tables of the file.
//!
//! Regions, checks and lists of fences are resolved first, because services name them. A value that
//! was refused has its default here, so that later checks can run; the report then prevents the use
//! of the result. This module states no defaults: a key with a default always has a value.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::announce;
use super::checks;
use super::dnssec::resolve_dnssec;
use super::fences::FenceLists;
use super::fleet;
use super::listen::{ListenLists, identity_files};
use super::model::{
    AdminConfig, AdminListen, Config, EventsConfig, GeoConfig, GeoNetwork, NameserverConfig,
    RateLimitConfig, RegionConfig, TrafficSample,
};
use super::names::DeclaredNames;
use super::policies::Policies;
use super::pools::{EndpointNames, Pools};
use super::services::ServiceResolver;
use super::upstreams::resolve_servers;
use super::zones::resolve_access;
use crate::config::document::{
    ConfigReport, NamedEntry, SpannedList, TableField, WithOffset, values_of,
};
use crate::config::tables::{self, RawConfig};
use crate::config::values::addresses::LocationValue;
use crate::config::values::plain::WholeNumber;
use crate::geo::{PlaceCode, locations};
use crate::resolve::ResolverSettings;
use crate::steering::{Bias, Point};

/// Where relative paths start.
pub struct ConfigFolders<'p> {
    /// Those of the server's own tables.
    pub own: &'p Path,
    /// Those of the tables that a release brings, if one counts.
    pub shared: &'p Path,
    /// Those of `[zones.dnssec]`.
    pub dnssec: &'p Path,
}

/// Resolves everything and reports every mistake and warning.
pub fn resolve(
    raw: RawConfig,
    file: &Path,
    folders: &ConfigFolders<'_>,
    report: &mut ConfigReport,
) -> Config {
    let folder = folders.own;
    let raw_regions = raw.regions.or_default().0;
    let raw_checks = raw.checks.or_default().0;
    let raw_lists = raw.fences.or_default().0;
    let geo = resolve_geo(raw.geo.or_default(), folders.shared, report);
    let mut check_names = DeclaredNames::declare("check", &raw_checks, report);
    let checks = checks::resolve(raw_checks, &mut check_names, report);
    let mut region_names = DeclaredNames::declare("region", &raw_regions, report);
    let mut fence_lists = FenceLists::declare(raw_lists, &region_names, report);
    let raw_policies = raw.policies.or_default().0;
    let policies = Policies::declare(raw_policies, &mut check_names, &mut fence_lists, report);
    let mut names = EndpointNames {
        regions: &mut region_names,
        checks: &mut check_names,
    };
    let pools = Pools::declare(raw.pools.or_default().0, &mut names, report);
    let regions: Vec<RegionConfig> = raw_regions.into_iter().map(resolve_region).collect();
    let mut resolver = ServiceResolver {
        fence_lists,
        region_names,
        check_names,
        checks: &checks,
        regions: &regions,
        policies,
        pools,
        client_subnet: geo.client_subnet,
    };
    let services = resolver.services(raw.services.or_default(), report);
    resolver.warn_unused(report);
    let zones = raw.zones.or_default();
    let state_directory = raw.state.or_default().directory.path_in(folder);
    let fleet = fleet::resolve(raw.fleet.clone(), folder, report);
    if let Some(at) = raw.fleet.get().and_then(|fleet| fleet.releases.at())
        && state_directory.is_none()
    {
        let sentence = "releases are kept in the [state] directory; state one";
        report.error(at, sentence.to_owned());
    }
    let guard = raw.guard.or_default();
    let limits = raw.limits.or_default();
    let server = resolve_server(raw.server.or_default(), raw.tls, folder, report);
    let admin = resolve_admin(raw.admin.or_default(), folder, report);
    let surroundings = announce::AnnounceSurroundings {
        has_fleet: !raw.fleet.is_absent(),
        listen: &server.listen,
        admin: &admin,
    };
    let dnssec = zones.dnssec.or_default();
    let announce = announce::resolve(raw.announce, &surroundings, folder, report);
    Config {
        file: file.to_owned(),
        announce,
        server,
        max_memory: limits.memory.get().map(|size| size.0),
        limits: resolve_limits(limits, report),
        admin,
        dnssec: resolve_dnssec(dnssec, folders.dnssec, state_directory.is_some(), report),
        state_directory,
        events: resolve_events(raw.events.or_default(), folder, report),
        resolver: resolve_resolver(raw.resolver.or_default(), report),
        max_move: guard.max_move.value().map(|part| part.0),
        min_covered: guard.min_covered.value().map(|part| part.0),
        fleet,
        traffic_sample: resolve_traffic(raw.traffic.or_default()),
        zones_watch: zones.watch.value,
        zones_directory: folders.shared.join(zones.directory.value),
        zone_access: resolve_access(zones.access.value, report),
        regions,
        geo,
        services,
        checks,
    }
}

fn resolve_server(
    raw: tables::Server,
    tls: TableField<tables::Tls>,
    folder: &Path,
    report: &mut ConfigReport,
) -> NameserverConfig {
    let connections = raw.tcp_connections.value.as_usize();
    let per_client = raw.tcp_connections_per_client.value.as_usize();
    if let Some(at) = raw.tcp_connections_per_client.at()
        && per_client > connections
    {
        let sentence =
            format!("tcp_connections_per_client is more than the {connections} of tcp_connections");
        report.warning(at, sentence);
    }
    let listen_at = raw.listen.at().unwrap_or(0);
    let listen = resolve_listen(listen_at, raw.listen.value, report);
    let workers = match raw.workers.value() {
        Some(workers) => workers.as_usize(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    // Without a limit of the operator's own the longest reply is that of any client.
    let max_nocookie_response = if raw.max_nocookie_response.at().is_some() {
        Some(raw.max_nocookie_response.value.as_u16())
    } else {
        None
    };
    let listeners = ListenLists {
        tls: raw.listen_tls,
        https: raw.listen_https,
        quic: raw.listen_quic,
        https_path: raw.https_path,
    };
    NameserverConfig {
        encrypted: listeners.resolve(tls, &listen, folder, report),
        listen,
        workers,
        nsid: raw.nsid.value().map(|nsid| nsid.0),
        cookies: raw.cookies.value,
        cookie_secrets_file: raw.cookie_secrets_file.path_in(folder),
        max_nocookie_response,
        chaos_id: raw.chaos_id.value().map(|text| text.0),
        chaos_version: raw.chaos_version.value().map(|text| text.0),
        allow: values_of(raw.allow.or_default()),
        deny: values_of(raw.deny.value),
        drop: values_of(raw.drop.value),
        proxy_from: values_of(raw.proxy_from.value),
        tcp_connections: connections,
        tcp_connections_per_client: per_client,
        tcp_idle: raw.tcp_idle.value.0,
    }
}

fn resolve_limits(raw: tables::Limits, report: &mut ConfigReport) -> Option<RateLimitConfig> {
    let rate = raw.rate.value.as_u32();
    let burst_at = raw.burst.at();
    let burst = raw.burst.value().map_or(rate * 5 / 2, WholeNumber::as_u32);
    if let Some(at) = burst_at
        && burst < rate
    {
        report.error(
            at,
            format!("burst is below the {rate} of rate, so that rate would never be reached"),
        );
    }
    if !raw.enabled.value {
        return None;
    }
    Some(RateLimitConfig {
        rate,
        burst,
        slip: raw.slip.value.as_u32(),
        exempt: values_of(raw.exempt.value),
        dry_run: raw.dry_run.value,
    })
}

fn resolve_listen(
    at: usize,
    listen: SpannedList<SocketAddr>,
    report: &mut ConfigReport,
) -> Vec<SocketAddr> {
    if listen.is_empty() {
        report.error(at, "listen names no address to listen on".to_owned());
    }
    let mut seen = HashSet::new();
    for address in &listen {
        // Port 0 is a new port each time, so the same address may ask for it again.
        if address.value.port() != 0 && !seen.insert(address.value) {
            report.error(address.at, format!("{} is listed twice", address.value));
        }
    }
    values_of(listen)
}

fn resolve_admin(raw: tables::Admin, folder: &Path, report: &mut ConfigReport) -> AdminConfig {
    let listen_at = raw.listen.at().unwrap_or(0);
    let listen = match raw.listen.value {
        AdminListen::Unix(path) => AdminListen::Unix(folder.join(path)),
        AdminListen::Tcp(address) => {
            if raw.token_file.is_absent() && !address.ip().is_loopback() {
                let sentence = format!(
                    "the admin address {address} is reachable from outside, so it needs a token_file"
                );
                report.error(listen_at, sentence);
            }
            AdminListen::Tcp(address)
        }
    };
    let mut identity = None;
    if let Some(tls) = raw.tls.given() {
        if matches!(listen, AdminListen::Unix(_)) {
            report.error(
                tls.at,
                "TLS is for a TCP address; nobody listens in on a unix socket".to_owned(),
            );
        }
        identity = identity_files(tls.value, tls.at, "[admin] tls", folder, report);
    }
    AdminConfig {
        listen,
        token_file: raw.token_file.path_in(folder),
        hosts: values_of(raw.hosts.value),
        tls: identity,
    }
}

fn resolve_events(raw: tables::Events, folder: &Path, report: &mut ConfigReport) -> EventsConfig {
    let token_at = raw.token_file.at();
    let token_file = raw.token_file.path_in(folder);
    let webhook = raw.webhook.given();
    match &webhook {
        Some(webhook) if !is_web_url(&webhook.value.0) => {
            let sentence = format!(
                "\"{}\" is no URL; it starts with https:// or http://",
                webhook.value.0
            );
            report.error(webhook.at, sentence);
        }
        Some(_) => {}
        None => {
            if let Some(at) = token_at {
                report.warning(
                    at,
                    "the token is shown to nobody without a webhook".to_owned(),
                );
            }
        }
    }
    EventsConfig {
        webhook: webhook.map(|webhook| webhook.value.0),
        token_file,
    }
}

/// Whether a text is an http or https URL with a host.
fn is_web_url(text: &str) -> bool {
    let Some(rest) = text
        .strip_prefix("https://")
        .or(text.strip_prefix("http://"))
    else {
        return false;
    };
    !rest.is_empty()
        && !rest.starts_with(['/', '?', '#'])
        && text.bytes().all(|octet| octet.is_ascii_graphic())
}

fn resolve_resolver(raw: tables::Resolver, report: &mut ConfigReport) -> ResolverSettings {
    ResolverSettings {
        servers: resolve_servers(raw.servers.or_default(), report),
        timeout: raw.timeout.value.0,
    }
}

/// `None`: the sample is off.
fn resolve_traffic(raw: tables::Traffic) -> Option<TrafficSample> {
    let one_in = raw.sample.value()?;
    Some(TrafficSample {
        one_in: one_in.as_u32().next_power_of_two(),
        ipv4_prefix: raw.ipv4_prefix.value.as_u8(),
        ipv6_prefix: raw.ipv6_prefix.value.as_u8(),
    })
}

fn resolve_geo(raw: tables::Geo, folder: &Path, report: &mut ConfigReport) -> GeoConfig {
    let mut databases: Vec<PathBuf> = Vec::new();
    for path in raw.databases.value {
        databases.push(folder.join(path.value));
    }
    let mut networks = Vec::new();
    for network in raw.networks.value {
        resolve_network(network, &mut networks, report);
    }
    GeoConfig {
        databases,
        coarse_points: raw.coarse_points.value.0,
        client_subnet: raw.client_subnet.value,
        networks,
    }
}

/// One entry may state many prefixes; each becomes a network of its own.
fn resolve_network(
    raw: WithOffset<tables::Network>,
    networks: &mut Vec<GeoNetwork>,
    report: &mut ConfigReport,
) {
    let WithOffset { at, value: raw } = raw;
    check_network(&raw, at, report);
    let place = NetworkPlace::of(&raw);
    let asn = raw.asn.value().map(WholeNumber::as_u32);
    let Some(prefixes) = raw.cidr.required(at, "the network needs a cidr", report) else {
        return;
    };
    for cidr in prefixes.value.0 {
        let NetworkPlace {
            point,
            country,
            subdivision,
        } = place;
        networks.push(GeoNetwork {
            cidr: cidr.value,
            point,
            country,
            subdivision,
            asn,
        });
    }
}

/// Where a network is, as far as its entry says so.
#[derive(Clone, Copy)]
struct NetworkPlace {
    point: Option<Point>,
    country: Option<PlaceCode>,
    subdivision: Option<PlaceCode>,
}

impl NetworkPlace {
    /// Derives the keys that are absent: the country from the subdivision or the known place, the
    /// point from both.
    fn of(raw: &tables::Network) -> Self {
        let location: Option<&LocationValue> = raw.location.get();
        let stated = raw.subdivision.get();
        let country = match (raw.country.get(), stated, location) {
            (Some(country), ..) => Some(country.0),
            (None, Some(subdivision), _) => Some(subdivision.0),
            (None, None, location) => location.and_then(|location| location.country),
        };
        let subdivision = match (stated, location) {
            (Some(stated), _) => Some(stated.1),
            // A known place in another country than the stated one says nothing about the
            // subdivision.
            (None, Some(location)) if location.country == country => location.subdivision,
            (None, _) => None,
        };
        let point = match (location, country) {
            (Some(location), _) => Some(location.point),
            (None, Some(country)) => centre(country, subdivision),
            (None, None) => None,
        };
        NetworkPlace {
            point,
            country,
            subdivision,
        }
    }
}

fn check_network(raw: &tables::Network, at: usize, report: &mut ConfigReport) {
    let no_place =
        raw.location.is_absent() && raw.country.is_absent() && raw.subdivision.is_absent();
    if no_place && raw.asn.is_absent() {
        report.error(
            at,
            "the network needs a location, country, subdivision or asn".to_owned(),
        );
    }
    if let (TableField::Given(country), TableField::Given(subdivision)) =
        (&raw.country, &raw.subdivision)
        && country.value.0 != subdivision.value.0
    {
        let sentence = format!(
            "the subdivision lies in {}, not in {}",
            subdivision.value.0, country.value.0
        );
        report.error(subdivision.at, sentence);
    }
}

/// The centre of the subdivision if that is known, else of the country.
fn centre(country: PlaceCode, part: Option<PlaceCode>) -> Option<Point> {
    if let Some(part) = part
        && let Some(point) = locations::subdivision_point(country, part)
    {
        return Some(point);
    }
    locations::country_point(country)
}

fn resolve_region(entry: NamedEntry<tables::Region>) -> RegionConfig {
    let is_refused = entry.value.is_refused();
    let raw = entry.value.or_default();
    let location = if is_refused || raw.location.is_refused() {
        // Some point, so that a refused location is not reported again as a missing one.
        Point::new(0.0, 0.0).ok()
    } else {
        raw.location.value().map(|location| location.point)
    };
    RegionConfig {
        name: entry.name.value,
        location,
        bias: Bias::new(raw.bias.value.0).unwrap_or_default(),
        weight: raw.weight.value.as_u32(),
    }
}

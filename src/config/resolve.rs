//! From the file as written to the truth: defaults filled in, names resolved, contradictions reported.
//!
//! A value that was refused is replaced by its default, so that the checks after it can go on; the report then keeps
//! the result from being used.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::checks;
use super::error::ConfigReport;
use super::fences::FenceLists;
use super::listen::{ListenLists, identity_files};
use super::model::{
    AdminConfig, AdminListen, Config, EventsConfig, GeoConfig, GeoNetwork, NameserverConfig,
    RateLimitConfig, RegionConfig,
};
use super::names::DeclaredNames;
use super::raw::{self, RawConfig};
use super::raw_endpoints;
use super::read::{NamedEntry, SpannedList, TableField, WithOffset};
use super::services::ServiceResolver;
use super::traffic::Traffic;
use super::values::{Keyword, WholeNumber};
use super::zones::resolve_access;
use crate::geo::{PlaceCode, locations};
use crate::net::Cidr;
use crate::resolve::{self, ResolverSettings};
use crate::steering::{Bias, Point};

/// Weight of a region or endpoint that states none.
pub const DEFAULT_WEIGHT: i64 = 100;
/// Most servers that are asked for names.
const MOST_RESOLVERS: usize = 16;

/// Resolves everything and reports every mistake and warning.
pub fn resolve(raw: RawConfig, file: &Path, report: &mut ConfigReport<'_>) -> Config {
    let folder = file.parent().unwrap_or(Path::new(""));
    let raw_regions = raw.regions.value().map_or(Vec::new(), |regions| regions.0);
    let raw_checks = raw.checks.value().map_or(Vec::new(), |checks| checks.0);
    let geo = resolve_geo(raw.geo.or(raw::Geo::default()), folder, report);
    let mut check_names = DeclaredNames::declare("check", &raw_checks, report);
    let checks = checks::resolve(raw_checks, &mut check_names, folder, report);
    let region_names = DeclaredNames::declare("region", &raw_regions, report);
    let raw_lists = raw.fences.value().map_or(Vec::new(), |fences| fences.0);
    let mut resolver = ServiceResolver {
        fence_lists: FenceLists::declare(raw_lists, &region_names, report),
        region_names,
        check_names,
        checks: &checks,
        regions: &raw_regions
            .into_iter()
            .map(resolve_region)
            .collect::<Vec<_>>(),
        client_subnet: geo.client_subnet,
    };
    let services = resolver.services(raw.services.or(SpannedList::new()), report);
    resolver.region_names.warn_unused(report);
    resolver.check_names.warn_unused(report);
    resolver.fence_lists.warn_unused(report);
    let zones = raw.zones.or(raw::Zones::default());
    let guard = raw.guard.or(Default::default());
    Config {
        file: file.to_owned(),
        server: resolve_server(
            raw.server.or(raw::Server::default()),
            raw.tls,
            folder,
            report,
        ),
        limits: resolve_limits(raw.limits.or(raw::Limits::default()), report),
        admin: resolve_admin(raw.admin.given(), folder, report),
        state_directory: raw
            .state
            .value()
            .and_then(|state| state.directory.value())
            .map(|path| folder.join(path)),
        events: resolve_events(raw.events.or(raw::Events::default()), folder, report),
        resolver: resolve_resolver(raw.resolver.or(Default::default()), report),
        max_move: guard.max_move.value().map(|part| part.0),
        min_covered: guard.min_covered.value().map(|part| part.0),
        traffic_sample: raw.traffic.value().and_then(Traffic::resolve),
        zones_watch: zones.watch.or(false),
        zones_directory: folder.join(zones.directory.or(PathBuf::from("zones"))),
        zone_access: resolve_access(zones.access.or(SpannedList::new()), report),
        regions: resolver.regions.to_vec(),
        geo,
        services,
        checks,
    }
}

fn resolve_server(
    raw: raw::Server,
    tls: TableField<raw::Tls>,
    folder: &Path,
    report: &mut ConfigReport<'_>,
) -> NameserverConfig {
    let connections = raw.tcp_connections.or(WholeNumber(1000)).as_usize();
    let per_client_at = raw.tcp_connections_per_client.at();
    let per_client = raw
        .tcp_connections_per_client
        .or(WholeNumber(100))
        .as_usize();
    if let Some(at) = per_client_at.filter(|_| per_client > connections) {
        let sentence =
            format!("tcp_connections_per_client is more than the {connections} of tcp_connections");
        report.warning(at, sentence);
    }
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let listen = raw
        .listen
        .given()
        .map_or_else(default_listen, |listen| resolve_listen(listen, report));
    let listeners = ListenLists {
        tls: raw.listen_tls,
        https: raw.listen_https,
        quic: raw.listen_quic,
    };
    NameserverConfig {
        encrypted: listeners.resolve(raw.https_path, tls, &listen, folder, report),
        listen,
        workers: raw
            .workers
            .value()
            .map_or_else(cores, WholeNumber::as_usize),
        nsid: raw.nsid.value().map(|nsid| nsid.0),
        cookies: raw.cookies.or(true),
        cookie_secrets_file: raw
            .cookie_secrets_file
            .value()
            .map(|path| folder.join(path)),
        max_nocookie_response: raw.max_nocookie_response.value().map(|most| most.0 as u16),
        chaos_id: raw.chaos_id.value().map(|text| text.0),
        chaos_version: raw.chaos_version.value().map(|text| text.0),
        allow: networks(raw.allow),
        deny: networks(raw.deny),
        drop: networks(raw.drop),
        proxy_from: networks(raw.proxy_from),
        tcp_connections: connections,
        tcp_connections_per_client: per_client,
        tcp_idle: raw
            .tcp_idle
            .value()
            .map_or(Duration::from_secs(10), |idle| idle.0),
    }
}

pub(super) fn networks(field: TableField<SpannedList<Cidr>>) -> Vec<Cidr> {
    field
        .or(SpannedList::new())
        .into_iter()
        .map(|network| network.value)
        .collect()
}

fn resolve_limits(raw: raw::Limits, report: &mut ConfigReport<'_>) -> Option<RateLimitConfig> {
    let rate = raw.rate.or(WholeNumber(50)).as_u32();
    let burst_at = raw.burst.at();
    let burst = raw.burst.value().map_or(rate * 5 / 2, WholeNumber::as_u32);
    if let Some(at) = burst_at.filter(|_| burst < rate) {
        report.error(
            at,
            format!("burst is below the {rate} of rate, so that rate would never be reached"),
        );
    }
    let loopback = [
        (Ipv4Addr::new(127, 0, 0, 0).into(), 8),
        (Ipv6Addr::LOCALHOST.into(), 128),
    ];
    let loopback = || {
        loopback
            .map(|(address, prefix)| Cidr::around(address, prefix))
            .to_vec()
    };
    let exempt = if raw.exempt.is_absent() {
        loopback()
    } else {
        networks(raw.exempt)
    };
    let slip = raw.slip.or(WholeNumber(1)).as_u32();
    let limits = RateLimitConfig {
        rate,
        burst,
        slip,
        exempt,
        dry_run: raw.dry_run.or(false),
    };
    raw.enabled.or(true).then_some(limits)
}

fn default_listen() -> Vec<SocketAddr> {
    vec![
        (Ipv4Addr::LOCALHOST, 1053).into(),
        (Ipv6Addr::LOCALHOST, 1053).into(),
    ]
}

fn resolve_listen(
    listen: WithOffset<SpannedList<SocketAddr>>,
    report: &mut ConfigReport<'_>,
) -> Vec<SocketAddr> {
    if listen.value.is_empty() {
        report.error(listen.at, "listen names no address to listen on".to_owned());
    }
    let mut seen = HashSet::new();
    for address in &listen.value {
        // Port 0 is a new port each time, so the same address may ask for it again.
        if address.value.port() != 0 && !seen.insert(address.value) {
            report.error(address.at, format!("{} is listed twice", address.value));
        }
    }
    listen
        .value
        .into_iter()
        .map(|address| address.value)
        .collect()
}

fn resolve_admin(
    raw: Option<WithOffset<raw::Admin>>,
    folder: &Path,
    report: &mut ConfigReport<'_>,
) -> AdminConfig {
    let raw = raw.map_or_else(raw::Admin::default, |admin| admin.value);
    let no_token = raw.token_file.is_absent();
    let token_file = raw.token_file.value().map(|path| folder.join(path));
    let default = WithOffset {
        at: 0,
        value: AdminListen::Tcp((Ipv4Addr::LOCALHOST, 8053).into()),
    };
    let listen = raw.listen.given().unwrap_or(default);
    let listen = match listen.value {
        AdminListen::Unix(path) => AdminListen::Unix(folder.join(path)),
        AdminListen::Tcp(address) => {
            if no_token && !address.ip().is_loopback() {
                let sentence = format!(
                    "the admin address {address} is reachable from outside, so it needs a token_file"
                );
                report.error(listen.at, sentence);
            }
            AdminListen::Tcp(address)
        }
    };
    let hosts = raw
        .hosts
        .or(SpannedList::new())
        .into_iter()
        .map(|host| host.value)
        .collect();
    let tls = raw.tls.given().and_then(|tls| {
        if matches!(listen, AdminListen::Unix(_)) {
            report.error(
                tls.at,
                "TLS is for a TCP address; nobody listens in on a unix socket".to_owned(),
            );
        }
        identity_files(tls.value, tls.at, "[admin] tls", folder, report)
    });
    AdminConfig {
        listen,
        token_file,
        hosts,
        tls,
    }
}

fn resolve_events(raw: raw::Events, folder: &Path, report: &mut ConfigReport<'_>) -> EventsConfig {
    let webhook = raw.webhook.given();
    if let Some(token_file) = raw.token_file.at().filter(|_| webhook.is_none()) {
        report.warning(
            token_file,
            "the token is shown to nobody without a webhook".to_owned(),
        );
    }
    let is_url = |text: &str| {
        let host = text
            .strip_prefix("https://")
            .or(text.strip_prefix("http://"));
        let host = host.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
        host.is_some_and(|host| !host.is_empty())
            && text.bytes().all(|octet| octet.is_ascii_graphic())
    };
    if let Some(wrong) = webhook.as_ref().filter(|webhook| !is_url(&webhook.value.0)) {
        report.error(
            wrong.at,
            format!(
                "\"{}\" is no URL; it starts with https:// or http://",
                wrong.value.0
            ),
        );
    }
    let token_file = raw.token_file.value().map(|path| folder.join(path));
    EventsConfig {
        webhook: webhook.map(|webhook| webhook.value.0),
        token_file,
    }
}

fn resolve_resolver(
    raw: raw_endpoints::Resolver,
    report: &mut ConfigReport<'_>,
) -> ResolverSettings {
    let servers = raw.servers.or(SpannedList::new());
    if let Some(surplus) = servers.get(MOST_RESOLVERS) {
        report.error(
            surplus.at,
            format!("there are more than {MOST_RESOLVERS} servers to ask"),
        );
    }
    for server in servers
        .iter()
        .filter(|it| !resolve::is_of_a_host(it.value.ip()) || it.value.port() == 0)
    {
        report.error(
            server.at,
            format!("{} is no server that can be asked", server.value),
        );
    }
    let timeout = raw
        .timeout
        .value()
        .map_or(Duration::from_secs(2), |timeout| timeout.0);
    ResolverSettings {
        servers: servers.into_iter().map(|server| server.value).collect(),
        timeout,
    }
}

fn resolve_geo(raw: raw::Geo, folder: &Path, report: &mut ConfigReport<'_>) -> GeoConfig {
    let databases = raw.databases.or(SpannedList::new());
    let networks = raw.networks.or(SpannedList::new());
    GeoConfig {
        databases: databases
            .into_iter()
            .map(|path| folder.join(path.value))
            .collect(),
        coarse_points: raw.coarse_points.or(Keyword(Default::default())).0,
        client_subnet: raw.client_subnet.or(true),
        networks: networks
            .into_iter()
            .flat_map(|network| resolve_network(network, report))
            .collect(),
    }
}

/// One entry may state many prefixes; each becomes a network of its own.
fn resolve_network(
    raw: WithOffset<raw::Network>,
    report: &mut ConfigReport<'_>,
) -> Vec<GeoNetwork> {
    let WithOffset { at, value: raw } = raw;
    check_network(&raw, at, report);
    let location = raw.location.value();
    let subdivision = raw.subdivision.value();
    let country = raw.country.value().map(|country| country.0);
    let country = country.or(subdivision.map(|subdivision| subdivision.0));
    let country = country.or(location.as_ref().and_then(|location| location.country));
    // A known place in another country than the stated one says nothing about the subdivision.
    let same_country = location
        .as_ref()
        .filter(|location| location.country == country);
    let known_part = same_country.and_then(|location| location.subdivision);
    let part = subdivision.map(|subdivision| subdivision.1).or(known_part);
    let point = location
        .map(|location| location.point)
        .or_else(|| centre(country?, part));
    let asn = raw.asn.value().map(WholeNumber::as_u32);
    let prefixes = raw
        .cidr
        .required(at, "the network needs a cidr", report)
        .map_or(Vec::new(), |cidr| cidr.value.0);
    let network = |cidr: WithOffset<_>| GeoNetwork {
        cidr: cidr.value,
        point,
        country,
        subdivision: part,
        asn,
    };
    prefixes.into_iter().map(network).collect()
}

fn check_network(raw: &raw::Network, at: usize, report: &mut ConfigReport<'_>) {
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
    let subdivision = part.and_then(|part| locations::subdivision_point(country, part));
    subdivision.or_else(|| locations::country_point(country))
}

fn resolve_region(entry: NamedEntry<raw::Region>) -> RegionConfig {
    let refused = entry.value.is_refused();
    let raw = entry.value.or(raw::Region::default());
    // A refused location must not be reported again as a missing one.
    let refused = refused || raw.location.is_refused();
    let stand_in = Point::new(0.0, 0.0).ok().filter(|_| refused);
    RegionConfig {
        name: entry.name.value,
        location: raw
            .location
            .value()
            .map(|location| location.point)
            .or(stand_in),
        bias: Bias::new(raw.bias.or(WholeNumber(0)).0).unwrap_or_default(),
        weight: raw.weight.or(WholeNumber(DEFAULT_WEIGHT)).as_u32(),
    }
}

//! The truth that the rest of the program works with: every value checked, every name resolved.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use super::endpoints::{Endpoint, EndpointTarget};
pub use super::listen::AdminConfig;
use super::listen::EncryptedListen;
pub use crate::config::values::addresses::AdminListen;
pub use crate::config::values::bindings::SvcbTemplate;
pub use crate::config::values::hosts::TargetHost;
pub use crate::config::values::services::Capacity;
pub use crate::config::values::words::UnknownPlace;
use crate::dns::{Name, RecordType};
pub use crate::geo::CoarsePoints;
use crate::geo::groups::CountryGroup;
use crate::geo::{OperatorNetwork, PlaceCode};
use crate::health::check::{CertificateRule, HttpExpectation, HttpMethod, RequestHeaders};
use crate::health::fold::{CheckCombination, FoldRules};
use crate::health::machine::HealthRules;
use crate::net::Cidr;
use crate::resolve::ResolverSettings;
use crate::steering::{AllDown, Band, Bias, PickMethod, Point, RegionOrder};

/// A whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from; relative paths in it are already resolved against its folder.
    pub file: PathBuf,
    /// `[server]`
    pub server: NameserverConfig,
    /// `[limits]`; absent: nobody is limited.
    pub limits: Option<RateLimitConfig>,
    /// `[admin]`
    pub admin: AdminConfig,
    /// `[state] directory`; absent: nothing is kept across restarts.
    pub state_directory: Option<PathBuf>,
    /// `[events]`
    pub events: EventsConfig,
    /// `[guard] max_move`, 0.0..=1.0: the largest part of a service that a reload may move; absent: any.
    pub max_move: Option<f64>,
    /// `[guard] min_covered`, 0.0..=1.0: the smallest part of a service's clients that a reload may leave a live region.
    pub min_covered: Option<f64>,
    /// `[traffic]`; absent: nobody is noted.
    pub traffic_sample: Option<TrafficSample>,
    /// `[zones] directory`.
    pub zones_directory: PathBuf,
    /// Whether files that have changed are reloaded by themselves.
    pub zones_watch: bool,
    /// `[[zones.access]]`
    pub zone_access: Vec<ZoneAccessConfig>,
    /// `[resolver]`
    pub resolver: ResolverSettings,
    /// `[geo]`
    pub geo: GeoConfig,
    /// `[regions.*]` as listed; a [`RegionId`] indexes this.
    pub regions: Vec<RegionConfig>,
    /// `[checks.*]` as listed.
    pub checks: Vec<CheckConfig>,
    /// `[[services]]` as listed.
    pub services: Vec<ServiceConfig>,
}

/// Index into [`Config::regions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionId(pub u16);

/// `[server]`
#[derive(Debug, Clone)]
pub struct NameserverConfig {
    /// UDP and TCP listen addresses.
    pub listen: Vec<SocketAddr>,
    /// The encrypted transports.
    pub encrypted: EncryptedListen,
    /// UDP threads per listen address.
    pub workers: usize,
    /// What NSID (RFC 5001) answers; absent: not answered.
    pub nsid: Option<String>,
    /// Whether DNS Cookies (RFC 7873) are answered.
    pub cookies: bool,
    /// File with the secrets of server cookies; absent: each process has its own.
    pub cookie_secrets_file: Option<PathBuf>,
    /// Longest reply over UDP without a good cookie, in octets; absent: as long as any.
    pub max_nocookie_response: Option<u16>,
    /// What `id.server.` is in class CHAOS (RFC 4892); absent: refused.
    pub chaos_id: Option<String>,
    /// What `version.bind.` is in class CHAOS; absent: refused.
    pub chaos_version: Option<String>,
    /// Who is answered; empty: everybody.
    pub allow: Vec<Cidr>,
    /// Who is refused.
    pub deny: Vec<Cidr>,
    /// Who hears nothing.
    pub drop: Vec<Cidr>,
    /// Fronts that speak the PROXY protocol.
    pub proxy_from: Vec<Cidr>,
    /// Most connections at a time, whatever is spoken on them.
    pub tcp_connections: usize,
    /// Most of them at a time from one address.
    pub tcp_connections_per_client: usize,
    /// How long an idle connection is kept.
    pub tcp_idle: Duration,
}

/// Who may ask for one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneAccessConfig {
    /// Where it is stated in the file, from 1.
    pub line: u32,
    /// The apex.
    pub zone: Name,
    /// Who is answered; empty: everybody.
    pub allow: Vec<Cidr>,
    /// Who is refused.
    pub deny: Vec<Cidr>,
}

/// `[traffic]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficSample {
    /// Of so many queries one is noted: a power of two.
    pub one_in: u32,
    /// Bits of an IPv4 address that are noted, 8..=24.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address, 16..=48.
    pub ipv6_prefix: u8,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitConfig {
    /// Answers per second to one address for good.
    pub rate: u32,
    /// Answers to one address at once; not below `rate`.
    pub burst: u32,
    /// Every so many answers above the limit, one is sent with TC; 0: none.
    pub slip: u32,
    /// Who is never limited.
    pub exempt: Vec<Cidr>,
    /// What is above the limit is answered all the same, and counted.
    pub dry_run: bool,
}

/// `[events]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsConfig {
    /// URL that events are sent to.
    pub webhook: Option<String>,
    /// File that holds the token to show there.
    pub token_file: Option<PathBuf>,
}

/// `[geo]`
#[derive(Debug, Clone)]
pub struct GeoConfig {
    /// MMDB files, the first one that knows the client wins; the built-in table comes last.
    pub databases: Vec<PathBuf>,
    /// What to make of country-only records.
    pub coarse_points: CoarsePoints,
    /// Default of `Service::client_subnet`.
    pub client_subnet: bool,
    /// The operator's own word, in the order written; a longer prefix wins over a shorter one, a later entry over
    /// an earlier one of the same length.
    pub networks: Vec<GeoNetwork>,
}

/// One prefix of `[[geo.networks]]`.
#[derive(Debug, Clone)]
pub struct GeoNetwork {
    /// The prefix.
    pub cidr: Cidr,
    /// Where it is, if the operator said so (or the country's centre, if only the country was given).
    pub point: Option<Point>,
    /// Country, if given.
    pub country: Option<PlaceCode>,
    /// Subdivision, if given (`US-CA` sets both).
    pub subdivision: Option<PlaceCode>,
    /// Autonomous system, if given.
    pub asn: Option<u32>,
}

impl From<&GeoNetwork> for OperatorNetwork {
    fn from(network: &GeoNetwork) -> OperatorNetwork {
        OperatorNetwork {
            cidr: network.cidr,
            point: network.point,
            country: network.country,
            subdivision: network.subdivision,
            asn: network.asn,
        }
    }
}

/// `[regions.NAME]`
#[derive(Debug, Clone)]
pub struct RegionConfig {
    /// `[a-z0-9-]{1,63}`
    pub name: String,
    /// Where it is; needed when a service with `order = "nearest"` uses it.
    pub location: Option<Point>,
    /// Attraction.
    pub bias: Bias,
    /// How a tier is divided between its regions, 0..=1,000,000; 0 = standby.
    pub weight: u32,
}

/// Index into [`Config::checks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CheckId(pub u16);

/// What a check does. A host or query that is not stated is the name of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// One HTTP request.
    Http {
        /// Host header, and SNI.
        host: Option<String>,
        /// Over TLS; `None`: in clear.
        certificate: Option<CertificateRule>,
        /// Path and query, starting with `/`.
        path: String,
        /// What is asked with.
        method: HttpMethod,
        /// Sent beside the usual headers.
        headers: RequestHeaders,
        /// What counts as good.
        expect: HttpExpectation,
    },
    /// The connection is accepted.
    Tcp,
    /// The TLS handshake comes to its end.
    Tls {
        /// SNI.
        host: Option<String>,
        /// What is wanted of the certificate.
        certificate: CertificateRule,
    },
    /// `grpc.health.v1`
    Grpc {
        /// `:authority`, and SNI.
        host: Option<String>,
        /// Over TLS; `None`: in clear.
        certificate: Option<CertificateRule>,
        /// Sent beside the usual headers.
        headers: RequestHeaders,
        /// The service asked about; empty: the server as a whole.
        service: String,
    },
    /// A DNS query over UDP.
    Dns {
        /// QNAME.
        query: Option<Name>,
        /// QTYPE.
        rtype: RecordType,
    },
    /// A program.
    Exec {
        /// Where it is.
        program: PathBuf,
        /// `{address}` and `{port}` stand for the endpoint's.
        arguments: Vec<String>,
    },
    /// What other checks come to together.
    Combined {
        /// How many of them must be good.
        rule: CheckCombination,
        /// At least one; no circles.
        parts: Vec<CheckId>,
    },
}

/// `[checks.NAME]`
#[derive(Debug, Clone)]
pub struct CheckConfig {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: CheckKind,
    /// Port; 0 where there is none: a program may do without, a combination has those of its parts.
    pub port: u16,
    /// When, and how many results make a verdict; meaningless for a combination.
    pub rules: HealthRules,
}

/// `[[services]]`
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// Owner; may be a wildcard.
    pub name: Name,
    /// Seconds, 0..=2^31-1; the most where the TTL follows health.
    pub ttl: u32,
    /// The least where the TTL follows health; `None`: it is fixed.
    pub least_ttl: Option<u32>,
    /// How regions are ordered.
    pub order: RegionOrder,
    /// How endpoints are picked.
    pub pick: PickMethod,
    /// Tie band.
    pub band: Band,
    /// Endpoints per reply, 1..=8.
    pub answers: u8,
    /// Usable endpoints that a region needs to take clients, 1..=1000.
    pub min_endpoints: usize,
    /// How a region comes back, and how many may be out.
    pub fold: FoldRules,
    /// What is answered when nothing is available.
    pub all_down: AllDown,
    /// Whether EDNS Client Subnet is used.
    pub client_subnet: bool,
    /// Whether its aliases may come to loopback, private and link-local addresses.
    pub private_targets: bool,
    /// The check of endpoints that state none; leased ones among them.
    pub check: Option<CheckId>,
    /// Regions in the order listed, each with its endpoints (never empty).
    pub regions: Vec<ServiceRegion>,
    /// Its HTTPS and SVCB records, each without its hints.
    pub bindings: Vec<SvcbTemplate>,
    /// Its own fences, then those of the lists that it names; the first that matches wins. Services with the same lists
    /// and regions share them.
    pub fences: Arc<[FenceConfig]>,
    /// Where the service is stated: file line, from 1.
    pub line: u32,
}

/// One region of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceRegion {
    /// The region.
    pub region: RegionId,
    /// Its endpoints as listed.
    pub endpoints: Vec<Endpoint>,
    /// What it has room for; `None`: no limit.
    pub capacity: Option<Capacity>,
}

/// These clients get only these regions.
#[derive(Debug, Clone)]
pub struct FenceConfig {
    /// The list of `[fences]` that it stands in; `None`: it is the service's own.
    pub list: Option<Arc<str>>,
    /// Who it is about.
    pub clients: Arc<FenceClients>,
    /// Regions they may get, in the order written, all of the service's own; empty: none.
    pub regions: Vec<RegionId>,
    /// What becomes of clients whose place is unknown.
    pub unknown: UnknownPlace,
}

/// The clients of a fence: one match in any list is enough. All lists empty matches everybody.
#[derive(Debug, Clone, Default)]
pub struct FenceClients {
    /// Groups of countries; their members are among the countries, too.
    pub groups: Vec<&'static CountryGroup>,
    /// ISO 3166-1 alpha-2.
    pub countries: Vec<PlaceCode>,
    /// AF AN AS EU NA OC SA.
    pub continents: Vec<PlaceCode>,
    /// Country and subdivision.
    pub subdivisions: Vec<(PlaceCode, PlaceCode)>,
    /// Autonomous systems.
    pub asns: Vec<u32>,
    /// Networks.
    pub networks: Vec<Cidr>,
}

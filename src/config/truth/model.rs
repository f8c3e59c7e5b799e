//! The types of a checked configuration.
//!
//! In a [`Config`] every value is within its bounds, every name is resolved to an id, and every
//! default is filled in. The rest of the program works with these types and never sees the tables
//! of the file. The modules beside this one make them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use super::announce::{AnnounceConfig, AnnounceRules, SpeakerConfig};
pub use super::endpoints::{Endpoint, EndpointTarget};
pub use super::fleet::{EngineLogin, FleetConfig, ReleasesConfig};
pub use super::listen::AdminConfig;
use super::listen::EncryptedListen;
pub use crate::config::document::error::SourceLine;
pub use crate::config::values::addresses::AdminListen;
pub use crate::config::values::bindings::SvcbTemplate;
pub use crate::config::values::hosts::TargetHost;
pub use crate::config::values::services::Capacity;
pub use crate::config::values::words::UnknownPlace;
use crate::dns::{Name, RecordType};
use crate::dnssec::rollover::RollDelays;
use crate::dnssec::{SerialRule, SigningAlgorithm, TokenSetup, ZoneDenial};
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
    /// `[limits]`; absent: no limit.
    pub limits: Option<RateLimitConfig>,
    /// `[limits] memory` in octets; absent: no limit of its own.
    pub max_memory: Option<u64>,
    /// `[admin]`
    pub admin: AdminConfig,
    /// `[state] directory`; absent: nothing is kept across restarts.
    pub state_directory: Option<PathBuf>,
    /// `[events]`
    pub events: EventsConfig,
    /// `[guard] max_move`, 0.0..=1.0: the largest part of a service that a reload may move; absent:
    /// any.
    pub max_move: Option<f64>,
    /// `[guard] min_covered`, 0.0..=1.0: the smallest part of a service's clients that must have a
    /// live region after a reload.
    pub min_covered: Option<f64>,
    /// `[fleet]`; absent: this server decides about health alone.
    pub fleet: Option<FleetConfig>,
    /// `[announce]`; absent: nothing is announced.
    pub announce: Option<AnnounceConfig>,
    /// `[traffic]`; absent: no queries are recorded.
    pub traffic_sample: Option<TrafficSample>,
    /// `[zones] directory`.
    pub zones_directory: PathBuf,
    /// Whether changed files are reloaded automatically.
    pub zones_watch: bool,
    /// `[[zones.access]]`
    pub zone_access: Vec<ZoneAccessConfig>,
    /// `[zones.dnssec]`; absent: nothing is signed.
    pub dnssec: Option<DnssecConfig>,
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

/// `[zones.dnssec]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnssecConfig {
    /// The zones that are signed, each with where it is stated; `None`: all.
    pub zones: Option<Vec<(SourceLine, Name)>>,
    /// Folder with the keys.
    pub keys: PathBuf,
    /// The signatures that were made elsewhere; `None`: the keys are here.
    pub bundle: Option<PathBuf>,
    /// How PKCS#11 tokens are reached, and whether new keys are made in one.
    pub tokens: TokenSetup,
    /// Whether a key is made for a zone that has none.
    pub generate: bool,
    /// Whether this server carries out rolls of keys.
    pub rolls: bool,
    /// Whether nameservers' names vouch for zones without a DS record.
    pub bootstrap: bool,
    /// Whether parents are notified of new CDS records.
    pub notify_parent: bool,
    /// The servers that are asked for DS records; if empty, those of the parent zone.
    pub parent_servers: Vec<SocketAddr>,
    /// Signatures per second for names that do not exist, in zones with compact denial.
    pub compact_rate: u32,
    /// The policy of zones that no policy names.
    pub policy: SigningRules,
    /// The policies of other zones, each with where the zone is stated.
    pub policies: Vec<(SourceLine, Name, SigningRules)>,
}

impl DnssecConfig {
    /// The policy of the zone with this apex.
    pub fn rules_of(&self, apex: &Name) -> SigningRules {
        let own = self.policies.iter().find(|(_, zone, _)| zone == apex);
        own.map_or(self.policy, |(_, _, rules)| *rules)
    }
}

/// `[zones.dnssec.policies.*]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningRules {
    /// The algorithm of keys that are made.
    pub algorithm: SigningAlgorithm,
    /// Whether keys are made in pairs of KSK and ZSK.
    pub split_keys: bool,
    /// Where the serial comes from.
    pub serial: SerialRule,
    /// How what does not exist is denied.
    pub denial: ZoneDenial,
    /// How long changes take to be everywhere.
    pub delays: RollDelays,
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
    /// Content of the NSID option (RFC 5001); absent: not answered.
    pub nsid: Option<String>,
    /// Whether DNS Cookies (RFC 7873) are supported.
    pub cookies: bool,
    /// File with the secrets of server cookies; absent: each process has its own.
    pub cookie_secrets_file: Option<PathBuf>,
    /// Longest reply over UDP without a valid cookie, in octets; absent: no shorter than others.
    pub max_nocookie_response: Option<u16>,
    /// Answer for `id.server.` in class CHAOS (RFC 4892); absent: refused.
    pub chaos_id: Option<String>,
    /// Answer for `version.bind.` in class CHAOS; absent: refused.
    pub chaos_version: Option<String>,
    /// Networks that are answered; empty: all.
    pub allow: Vec<Cidr>,
    /// Networks that are refused.
    pub deny: Vec<Cidr>,
    /// Networks that get no reply.
    pub drop: Vec<Cidr>,
    /// Networks of front ends that use the PROXY protocol.
    pub proxy_from: Vec<Cidr>,
    /// Most connections at a time, over all transports.
    pub tcp_connections: usize,
    /// Most of them at a time from one address.
    pub tcp_connections_per_client: usize,
    /// How long an idle connection is kept.
    pub tcp_idle: Duration,
}

/// The clients that may query one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneAccessConfig {
    /// Where it is stated.
    pub stated: SourceLine,
    /// The apex.
    pub zone: Name,
    /// Networks that are answered; empty: all.
    pub allow: Vec<Cidr>,
    /// Networks that are refused.
    pub deny: Vec<Cidr>,
}

/// `[traffic]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficSample {
    /// One of this many queries is recorded: a power of two.
    pub one_in: u32,
    /// Bits of an IPv4 address that are recorded, 8..=24.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address, 16..=48.
    pub ipv6_prefix: u8,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitConfig {
    /// Sustained answers per second to one address.
    pub rate: u32,
    /// Answers to one address in a burst; not below `rate`.
    pub burst: u32,
    /// One of this many answers above the limit is sent with TC; 0: none.
    pub slip: u32,
    /// Networks that are never limited.
    pub exempt: Vec<Cidr>,
    /// Answers above the limit are only counted, and still sent.
    pub dry_run: bool,
}

/// `[events]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsConfig {
    /// URL that events are sent to.
    pub webhook: Option<String>,
    /// File with the token for the webhook.
    pub token_file: Option<PathBuf>,
}

/// `[geo]`
#[derive(Debug, Clone)]
pub struct GeoConfig {
    /// MMDB files, the first one that knows the client wins; the built-in table comes last.
    pub databases: Vec<PathBuf>,
    /// The location of records that have only a country.
    pub coarse_points: CoarsePoints,
    /// Default of `Service::client_subnet`.
    pub client_subnet: bool,
    /// Networks whose location overrides the databases, in the order written. A longer prefix wins
    /// over a shorter one, then a later entry over an earlier one.
    pub networks: Vec<GeoNetwork>,
}

/// One entry of `[[geo.networks]]`: where a network is, as the operator states it.
#[derive(Debug, Clone)]
pub struct GeoNetwork {
    /// The addresses that it speaks of.
    pub cidr: Cidr,
    /// The location, if given, or the centre of the country, if only that was given.
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
    /// The location; required if a service with `order = "nearest"` uses the region.
    pub location: Option<Point>,
    /// How strongly the region attracts clients, beside the distance.
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
        /// The request method.
        method: HttpMethod,
        /// Sent beside the usual headers.
        headers: RequestHeaders,
        /// What counts as good.
        expect: HttpExpectation,
    },
    /// The connection is accepted.
    Tcp,
    /// The TLS handshake succeeds.
    Tls {
        /// SNI.
        host: Option<String>,
        /// The rule for the certificate.
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
        /// The service to check; empty: the server as a whole.
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
        /// The path of the program.
        program: PathBuf,
        /// `{address}` and `{port}` are replaced by those of the endpoint.
        arguments: Vec<String>,
    },
    /// A combination of other checks.
    Combined {
        /// How many of them must be good.
        rule: CheckCombination,
        /// The checks that it combines: at least one, without cycles.
        parts: Vec<CheckId>,
    },
}

/// `[checks.NAME]`
#[derive(Debug, Clone)]
pub struct CheckConfig {
    /// The `NAME` of the table: `[a-z0-9-]{1,63}`.
    pub name: String,
    /// What it does.
    pub kind: CheckKind,
    /// Port; 0 where there is none: a program may do without, a combination has those of its parts.
    pub port: u16,
    /// When to probe, and how many results change the state; unused for a combination.
    pub rules: HealthRules,
}

/// `[[services]]`
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// Owner; may be a wildcard.
    pub name: Name,
    /// The policy that it names.
    pub policy: Option<Arc<str>>,
    /// The pool that has its endpoints; `None`: they are its own.
    pub pool: Option<Arc<str>>,
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
    /// How a region recovers, and how many health may remove.
    pub fold: FoldRules,
    /// The answer when no region is available.
    pub all_down: AllDown,
    /// Whether EDNS Client Subnet is used.
    pub client_subnet: bool,
    /// Whether its aliases may resolve to loopback, private and link-local addresses.
    pub private_targets: bool,
    /// The check of endpoints that name none, including leased ones.
    pub check: Option<CheckId>,
    /// Regions in the order listed, each with its endpoints (never empty).
    pub regions: Vec<ServiceRegion>,
    /// Its HTTPS and SVCB records, each without its hints.
    pub bindings: Vec<SvcbTemplate>,
    /// Its own fences, then those of the lists that it names; the first that matches wins. Services
    /// with the same lists and regions share them.
    pub fences: Arc<[FenceConfig]>,
    /// Where the service is stated.
    pub stated: SourceLine,
}

/// A region that serves a service, and its endpoints there.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceRegion {
    /// The region.
    pub region: RegionId,
    /// Its endpoints as listed.
    pub endpoints: Vec<Endpoint>,
    /// The most load that it takes; `None`: no limit.
    pub capacity: Option<Capacity>,
}

/// A rule that limits clients to regions.
#[derive(Debug, Clone)]
pub struct FenceConfig {
    /// The list of `[fences]` that contains it; `None`: it is the service's own.
    pub list: Option<Arc<str>>,
    /// The clients of the fence.
    pub clients: Arc<FenceClients>,
    /// Regions they may get, in the order written, all of the service's own; empty: none.
    pub regions: Vec<RegionId>,
    /// How clients with an unknown location are treated.
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

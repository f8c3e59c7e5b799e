//! The tables of the configuration file: every key, with its type, its bounds and its default.
//!
//! Each table is declared once; see [`document::table`](super::document::table). The doc comments
//! become the descriptions in the JSON Schema. `docs/configuration.md` states the same defaults,
//! and a test compares them. A table describes only the shape of the file.
//! [`truth`](super::truth) checks whether its keys fit together.

use std::path::PathBuf;

use crate::config::document::{NamedTables, OneOrMore, SpannedList, tables};
use crate::config::values::addresses::{AdminListen, CountryCode, LocationValue, SubdivisionCode};
use crate::config::values::plain::{SingleLine, WeightValue, WholeNumber};
use crate::config::values::words::Keyword;
use crate::dns::Name;
use crate::geo::CoarsePoints;
use crate::net::Cidr;

mod announce;
mod checks;
mod endpoints;
mod fleet;
mod guard;
mod server;
mod services;
mod traffic;
mod zones;

pub use announce::Announce;
pub use checks::{Check, Expect, HeaderEntry, HeaderFile, JsonExpect};
pub use endpoints::{Endpoint, EndpointEntry, Resolver};
pub use fleet::{Fleet, Releases};
pub use guard::Guard;
pub use server::{Limits, Server, Tls};
pub use services::{Fence, FenceClients, Policy, Service, TtlEntry};

#[cfg(test)]
pub use self::{checks::Damping, services::TtlRange};
pub use traffic::Traffic;
pub use zones::{AccessEntry, Dnssec, SigningPolicy, Zones};

tables! {
    /// The configuration file of Meridian. Unknown keys are errors.
    #[schemars(title = "Meridian configuration")]
    RawConfig {
        /// Further files, by paths or patterns with `*` and `?`, such as `"services.d/*.toml"`.
        /// They may hold `regions`, `checks`, `fences`, `policies`, `pools` and `services`.
        include: OneOrMore<SingleLine<1024>> = [],
        /// The nameserver's own sockets.
        server: Server,
        /// The certificate of the encrypted transports.
        tls: Tls,
        /// The rate limit for answers over UDP.
        limits: Limits,
        /// The admin server: API, metrics and console.
        admin: Admin,
        /// What is kept across restarts.
        state: State,
        /// The webhook that receives events.
        events: Events,
        /// The changes that a reload refuses without confirmation.
        guard: Guard,
        /// The servers that vote about health together.
        fleet: Fleet,
        /// What `meridian announce` does: anycast.
        announce: Announce,
        /// The sample of queries that is recorded.
        traffic: Traffic,
        /// The zone files, and which clients may query each zone.
        zones: Zones,
        /// The resolvers that look up endpoints that are names.
        resolver: Resolver,
        /// How clients are located.
        geo: Geo,
        /// The regions by name (`[a-z0-9-]`, 1 to 63 characters).
        regions: NamedTables<Region>,
        /// The health checks by name (`[a-z0-9-]`, 1 to 63 characters).
        checks: NamedTables<Check>,
        /// Lists of fences by name (`[a-z0-9-]`, 1 to 63 characters), for services that share them.
        fences: NamedTables<SpannedList<Fence>>,
        /// Policies by name (`[a-z0-9-]`, 1 to 63 characters): settings that services share.
        policies: NamedTables<Policy>,
        /// Pools by name (`[a-z0-9-]`, 1 to 63 characters): endpoints by region, as in a service.
        pools: NamedTables<NamedTables<OneOrMore<EndpointEntry>>>,
        /// The steered names; at most 100,000.
        services: SpannedList<Service>,
    }

    /// A file that `include` names. Unknown keys are errors.
    #[schemars(title = "Meridian configuration, included file")]
    IncludedConfig {
        /// The regions by name (`[a-z0-9-]`, 1 to 63 characters).
        regions: NamedTables<Region>,
        /// The health checks by name (`[a-z0-9-]`, 1 to 63 characters).
        checks: NamedTables<Check>,
        /// Lists of fences by name (`[a-z0-9-]`, 1 to 63 characters), for services that share them.
        fences: NamedTables<SpannedList<Fence>>,
        /// Policies by name (`[a-z0-9-]`, 1 to 63 characters): settings that services share.
        policies: NamedTables<Policy>,
        /// Pools by name (`[a-z0-9-]`, 1 to 63 characters): endpoints by region, as in a service.
        pools: NamedTables<NamedTables<OneOrMore<EndpointEntry>>>,
        /// The steered names; at most 100,000.
        services: SpannedList<Service>,
    }

    /// The admin server: API, metrics and console.
    Admin {
        /// A TCP address, or `unix:` and a path. An address other than loopback needs `token_file`.
        listen: AdminListen = "127.0.0.1:8053",
        /// File that holds the token for calls that change state.
        token_file: PathBuf => "none",
        /// Host names that requests may use, besides its addresses and localhost.
        hosts: SpannedList<Name> = [],
        /// The certificate for HTTPS. Only for a TCP address.
        tls: Tls => "plain HTTP",
    }

    /// What is kept across restarts.
    State {
        /// Folder for overrides, leases and the last known health.
        directory: PathBuf => "nothing is kept",
    }

    /// The webhook that receives events.
    Events {
        /// URL that receives every event as JSON by POST, http or https, 1 to 2048 octets.
        webhook: SingleLine<2048> => "none",
        /// File with the token that is sent as `Authorization: Bearer`.
        token_file: PathBuf => "none",
    }

    /// How clients are located.
    Geo {
        /// MMDB files; the first that contains the client wins, the built-in data comes last.
        databases: SpannedList<PathBuf> = [],
        /// The location of a record that has only a country: `"population"` (the country's
        /// population centre) or `"database"` (the coordinates in the database).
        coarse_points: Keyword<CoarsePoints> = "population",
        /// Whether EDNS Client Subnet (RFC 7871) is used, unless a service says otherwise.
        client_subnet: bool = true,
        /// Locations of networks that override every database.
        networks: SpannedList<Network> = [],
    }

    /// Networks whose location overrides every database.
    Network {
        /// One network or a list of them, IPv4 or IPv6. The longest prefix wins, then the later
        /// entry.
        cidr: OneOrMore<Cidr> => needed,
        /// `[latitude, longitude]` in degrees, or a known place.
        location: LocationValue => "the middle of the subdivision or country, if one is given",
        /// ISO 3166-1 two-letter code.
        country: CountryCode => "that of the known place or the subdivision",
        /// ISO 3166-2 code with its country, such as `"US-CA"`.
        subdivision: SubdivisionCode => "that of the known place",
        /// Number of the autonomous system, 1 to 4294967295.
        asn: WholeNumber<1, 4_294_967_295> => "unknown",
    }

    /// One region: a place with endpoints.
    Region {
        /// `[latitude, longitude]` in degrees, or a known place.
        location: LocationValue
            => "none; *needed* where a service with `order = \"nearest\"` uses the region",
        /// Per cent, -99 to 99; positive draws clients from farther away.
        bias: WholeNumber<-99, 99> = 0,
        /// Share of the region in a tier with several regions, 0 to 1,000,000; 0 is a standby.
        weight: WeightValue = 100,
    }
}

impl RawConfig {
    /// Adds the entries of an included file behind those that are there.
    pub fn add(&mut self, included: IncludedConfig) {
        let IncludedConfig {
            regions,
            checks,
            fences,
            policies,
            pools,
            services,
        } = included;
        self.regions.append(regions);
        self.checks.append(checks);
        self.fences.append(fences);
        self.policies.append(policies);
        self.pools.append(pools);
        self.services.append(services);
    }
}

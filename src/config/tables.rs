//! The file as written: every table and key, with its type, its bounds and its default.
//!
//! Each table is declared once, in the words of the JSON Schema; see [`document::table`](super::document::table) for how.
//! `docs/configuration.md` has the same defaults, which a test compares. A table is only the shape of the file: whether its
//! keys go together is for [`truth`](super::truth) to say.

use std::path::PathBuf;

use crate::config::document::{NamedTables, OneOrMore, SpannedList, tables};
use crate::config::values::addresses::{AdminListen, CountryCode, LocationValue, SubdivisionCode};
use crate::config::values::plain::{SingleLine, WeightValue, WholeNumber};
use crate::config::values::words::Keyword;
use crate::dns::Name;
use crate::geo::CoarsePoints;
use crate::net::Cidr;

mod checks;
mod endpoints;
mod guard;
mod server;
mod services;
mod traffic;
mod zones;

pub use checks::{Check, Expect, HeaderEntry, HeaderFile, JsonExpect};
pub use endpoints::{Endpoint, EndpointEntry, Resolver};
pub use guard::Guard;
pub use server::{Limits, Server, Tls};
pub use services::{Fence, FenceClients, Service, TtlEntry};

#[cfg(test)]
pub use self::{checks::Damping, services::TtlRange};
pub use traffic::Traffic;
pub use zones::{AccessEntry, Zones};

tables! {
    /// The configuration file of Meridian. Unknown keys are errors.
    #[schemars(title = "Meridian configuration")]
    RawConfig {
        /// The nameserver's own sockets.
        server: Server,
        /// The certificate of the encrypted transports.
        tls: Tls,
        /// How often one network is answered over UDP.
        limits: Limits,
        /// Where operators look and act.
        admin: Admin,
        /// What is kept across restarts.
        state: State,
        /// Who is told what happens.
        events: Events,
        /// What a reload may not do unasked.
        guard: Guard,
        /// What is noted of who asks.
        traffic: Traffic,
        /// Where the zones are, and who may ask for them.
        zones: Zones,
        /// Who is asked for the addresses of endpoints that are names.
        resolver: Resolver,
        /// How clients are located.
        geo: Geo,
        /// The regions by name (`[a-z0-9-]`, 1 to 63 characters).
        regions: NamedTables<Region>,
        /// The health checks by name (`[a-z0-9-]`, 1 to 63 characters).
        checks: NamedTables<Check>,
        /// Lists of fences by name (`[a-z0-9-]`, 1 to 63 characters), for services that share them.
        fences: NamedTables<SpannedList<Fence>>,
        /// The names that are answered by steering; at most 100,000.
        services: SpannedList<Service>,
    }

    /// Where operators look and act.
    Admin {
        /// A TCP address, or `unix:` and a path. Other than loopback needs `token_file`.
        listen: AdminListen = "127.0.0.1:8053",
        /// File that holds the token for calls that change state.
        token_file: PathBuf => "none",
        /// Host names that it may be asked by, beside its addresses and localhost.
        hosts: SpannedList<Name> = [],
        /// The certificate by which it speaks HTTPS, over TCP alone.
        tls: Tls => "plain HTTP",
    }

    /// What is kept across restarts.
    State {
        /// Folder for drains, overrides and the last agreed health.
        directory: PathBuf => "nothing is kept",
    }

    /// Who is told what happens.
    Events {
        /// URL that every event is sent to as JSON by POST, http or https, 1 to 2048 octets.
        webhook: SingleLine<2048> => "none",
        /// File that holds the token to show there as `Authorization: Bearer`.
        token_file: PathBuf => "none",
    }

    /// How clients are located.
    Geo {
        /// MMDB files; the first that knows the client wins, the built-in data comes last.
        databases: SpannedList<PathBuf> = [],
        /// Where a record stands that knows only its country: `"population"` (the country's
        /// weighted centre) or `"database"` (where the database puts it).
        coarse_points: Keyword<CoarsePoints> = "population",
        /// Whether EDNS Client Subnet (RFC 7871) is used, unless a service says otherwise.
        client_subnet: bool = true,
        /// The operator's own word about networks; it comes before every database.
        networks: SpannedList<Network> = [],
    }

    /// Networks that the operator knows better than any database.
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

    /// One region: a place where endpoints stand.
    Region {
        /// `[latitude, longitude]` in degrees, or a known place.
        location: LocationValue
            => "none; *needed* where a service with `order = \"nearest\"` uses the region",
        /// Per cent, -99 to 99; positive draws clients from farther away.
        bias: WholeNumber<-99, 99> = 0,
        /// The region's share where it divides a tier with others, 0 to 1,000,000; 0 is a standby.
        weight: WeightValue = 100,
    }
}

//! `[[services]]`, `[policies]` and `[fences]` as written: the steered names, the settings that
//! they share, and which clients may get which regions.
//!
//! [`truth`](crate::config::truth) resolves the names of regions, checks, policies, pools and fence
//! lists.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::endpoints::EndpointEntry;
use crate::config::document::{
    ConfigReport, DocumentItem, NamedTables, OneOrMore, ReadValue, SpannedList, tables,
};
use crate::config::values::addresses::{
    ContinentCode, CountryCode, CountryGroupValue, SubdivisionCode,
};
use crate::config::values::bindings::{HttpsText, SvcbText};
use crate::config::values::plain::{BoundedDuration, WholeNumber};
use crate::config::values::services::{Capacity, Percentage, TtlSeconds};
use crate::config::values::words::{Keyword, UnknownPlace};
use crate::dns::Name;
use crate::net::Cidr;
use crate::steering::{AllDown, Band, PickMethod, RegionOrder};

tables! {
    /// One steered name.
    Service {
        /// The domain name; it must lie in a zone and may be a wildcard.
        name: Name => needed,
        /// The name of a policy in `[policies]`. The keys of the service override it.
        policy: String => "none",
        /// Seconds that a resolver may cache an answer, 0 to 2147483647, or a table with `max` and
        /// `min`: then no longer than until health can change.
        ttl: TtlEntry = 30,
        /// How regions are ordered for a client: `"nearest"`, `"priority"` (as listed) or `"none"`.
        order: Keyword<RegionOrder> = "nearest",
        /// How endpoints are picked: `"weighted"`, `"round-robin"`, `"sticky"` or `"least-load"`.
        pick: Keyword<PickMethod> = "weighted",
        /// How much farther than the nearest region another may be and still share its clients:
        /// per cent (`"5%"`, up to 1000) or kilometres (`"150km"`, up to 20037).
        band: Band = "0%",
        /// Endpoints per reply, 1 to 8.
        answers: WholeNumber<1, 8> = 1,
        /// The check of every endpoint that does not name its own.
        check: String => "endpoints count as up",
        /// Endpoints that must be usable for a region to take clients, 1 to 1000.
        min_endpoints: WholeNumber<1, 1000> = 1,
        /// How long a region that recovers takes to get all its clients back: a duration from 0s to
        /// 1h.
        ramp: BoundedDuration<0, 3_600_000> = "60s",
        /// The largest part of the regions, by weight, that health alone may take out, `"0%"` to
        /// `"100%"`.
        max_removed: Percentage = "100%",
        /// Capacity by region: answers per second, or a part of all answers (`"40%"`). The excess
        /// goes to the next region.
        capacity: NamedTables<Capacity> => "no limit",
        /// The answer when no region is available: `"answer-all"`, `"last-good"`, `"nodata"`
        /// or `"servfail"`.
        all_down: Keyword<AllDown> = "answer-all",
        /// Whether EDNS Client Subnet is used for this service.
        client_subnet: bool => "what `[geo]` says",
        /// Whether aliases may resolve to loopback, private and link-local addresses. They are
        /// refused by default, because clients would reach machines in their own network.
        private_targets: bool = false,
        /// Data of an HTTPS record, as in a zone file (`"1 . alpn=h2,h3"`), without hints: they are
        /// the addresses that the client gets.
        https: HttpsText => "from the zone file",
        /// Data of an SVCB record, likewise.
        svcb: SvcbText => "from the zone file",
        /// Endpoints by region, in the order of preference where `order = "priority"`: an address,
        /// a table, or a list of these; at most 254 regions.
        endpoints: NamedTables<OneOrMore<EndpointEntry>> => "*needed*, unless there is a `pool`",
        /// The name of a pool in `[pools]`, instead of `endpoints`.
        pool: String => "none",
        /// Rules that limit clients to regions; the first that matches wins.
        fence: SpannedList<Fence> = [],
        /// The name of a list in `[fences]`, or several; they follow the service's own.
        fences: OneOrMore<String> = [],
    }

    /// Settings that services share. The keys mean what they mean in a service.
    Policy {
        /// As in a service.
        ttl: TtlEntry => "that of a service",
        /// As in a service.
        order: Keyword<RegionOrder> => "that of a service",
        /// As in a service.
        pick: Keyword<PickMethod> => "that of a service",
        /// As in a service.
        band: Band => "that of a service",
        /// As in a service.
        answers: WholeNumber<1, 8> => "that of a service",
        /// As in a service.
        check: String => "that of a service",
        /// As in a service.
        min_endpoints: WholeNumber<1, 1000> => "that of a service",
        /// As in a service.
        ramp: BoundedDuration<0, 3_600_000> => "that of a service",
        /// As in a service.
        max_removed: Percentage => "that of a service",
        /// As in a service.
        all_down: Keyword<AllDown> => "that of a service",
        /// As in a service.
        client_subnet: bool => "that of a service",
        /// The lists of fences of every service with this policy that names none itself.
        fences: OneOrMore<String> => "that of a service",
    }

    /// A TTL that follows health.
    TtlRange {
        /// Most seconds, 0 to 2147483647.
        max: TtlSeconds => needed,
        /// Least seconds, 0 to 2147483647, not above `max`.
        min: TtlSeconds = 5 => "or `max` if that is less",
    }

    /// A rule that limits clients to regions.
    Fence {
        /// The clients of the rule; one match in any list is enough.
        clients: FenceClients => "everybody",
        /// The regions they may get; where `order = "priority"`, in this order. `[]`: none, so they
        /// get no records.
        regions: SpannedList<String> => needed,
        /// How clients with an unknown location are treated: `"allow"` skips the fence for them;
        /// `"deny"` treats them as clients of the fence.
        unknown: Keyword<UnknownPlace> = "allow",
    }

    /// The clients of a fence.
    FenceClients {
        /// ISO 3166-1 two-letter codes.
        countries: SpannedList<CountryCode> = [],
        /// Groups of countries by name, such as `"EU-27"`, `"EEA"` or `"GDPR"`.
        groups: SpannedList<CountryGroupValue> = [],
        /// AF, AN, AS, EU, NA, OC, SA.
        continents: SpannedList<ContinentCode> = [],
        /// ISO 3166-2 codes with their country, such as `"US-CA"`.
        subdivisions: SpannedList<SubdivisionCode> = [],
        /// Numbers of autonomous systems, 1 to 4294967295.
        asns: SpannedList<WholeNumber<1, 4_294_967_295>> = [],
        /// Networks.
        networks: SpannedList<Cidr> = [],
    }
}

/// A fixed TTL, or the bounds of one that follows health.
#[derive(Debug, Clone)]
pub enum TtlEntry {
    /// The same at all times.
    Fixed(TtlSeconds),
    /// Between these bounds.
    Range(TtlRange),
}

impl ReadValue for TtlEntry {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
        match item.value.is_table() {
            true => TtlRange::read(item, report).map(TtlEntry::Range),
            false => TtlSeconds::read(item, report).map(TtlEntry::Fixed),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let (fixed, range) = (TtlSeconds::schema(generator), TtlRange::schema(generator));
        json_schema!({ "anyOf": [fixed, range] })
    }
}

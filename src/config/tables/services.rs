//! `[[services]]` and `[fences]` as written: the names that are steered, and who may get which regions.

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
    /// One name that is answered by steering.
    Service {
        /// The domain name; it must lie in a zone and may be a wildcard.
        name: Name => needed,
        /// Seconds that a resolver may keep an answer, 0 to 2147483647, or a table with `max` and
        /// `min`: then no longer than health stays as it is at least.
        ttl: TtlEntry = 30,
        /// How regions are ordered for a client: `"nearest"`, `"priority"` (as listed) or `"none"`.
        order: Keyword<RegionOrder> = "nearest",
        /// How endpoints are picked: `"weighted"`, `"round-robin"`, `"sticky"` or `"least-load"`.
        pick: Keyword<PickMethod> = "weighted",
        /// How much farther than the nearest a region may be and still share its clients: per cent
        /// (`"5%"`, up to 1000) or kilometres (`"150km"`, up to 20037).
        band: Band = "0%",
        /// Endpoints per reply, 1 to 8.
        answers: WholeNumber<1, 8> = 1,
        /// The check of every endpoint that does not name its own.
        check: String => "endpoints count as up",
        /// Endpoints that must be usable for a region to take clients, 1 to 1000.
        min_endpoints: WholeNumber<1, 1000> = 1,
        /// How long a region that comes back takes to take all its clients: a duration from 0s to
        /// 1h.
        ramp: BoundedDuration<0, 3_600_000> = "60s",
        /// The largest part of the regions, by weight, that health alone may take out, `"0%"` to
        /// `"100%"`.
        max_removed: Percentage = "100%",
        /// What regions have room for, by region: answers per second, or a part of all of them
        /// (`"40%"`). What is more goes on to the next region.
        capacity: NamedTables<Capacity> => "no limit",
        /// What is answered when no region is available: `"answer-all"`, `"last-good"`, `"nodata"`
        /// or `"servfail"`.
        all_down: Keyword<AllDown> = "answer-all",
        /// Whether EDNS Client Subnet is used for this service.
        client_subnet: bool => "what `[geo]` says",
        /// Whether aliases may come to loopback, private and link-local addresses, which are
        /// refused otherwise: clients elsewhere would reach machines of their own by them.
        private_targets: bool = false,
        /// Data of an HTTPS record, as in a zone file (`"1 . alpn=h2,h3"`), without hints: they are
        /// the addresses that the same client gets.
        https: HttpsText => "from the zone file",
        /// Data of an SVCB record, likewise.
        svcb: SvcbText => "from the zone file",
        /// Endpoints by region, in the order of preference where `order = "priority"`: an address,
        /// a table, or a list of these; at most 254 regions.
        endpoints: NamedTables<OneOrMore<EndpointEntry>> => needed,
        /// Rules about who may get which regions; the first that matches wins.
        fence: SpannedList<Fence> = [],
        /// The name of a list in `[fences]`, or several; they come behind the service's own.
        fences: OneOrMore<String> = [],
    }

    /// A TTL that follows health.
    TtlRange {
        /// Most seconds, 0 to 2147483647.
        max: TtlSeconds => needed,
        /// Least seconds, 0 to 2147483647, not above `max`.
        min: TtlSeconds = 5 => "or `max` if that is less",
    }

    /// These clients get only these regions.
    Fence {
        /// Whom the rule is about; one match in any list is enough.
        clients: FenceClients => "everybody",
        /// The regions they may get; where `order = "priority"`, in this order. `[]`: none, so they
        /// get no records.
        regions: SpannedList<String> => needed,
        /// What becomes of clients whose place is unknown: `"allow"` leaves them to the fences
        /// behind and to every region; `"deny"` takes them as clients of this fence.
        unknown: Keyword<UnknownPlace> = "allow",
    }

    /// Whom a fence is about.
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
    /// Always this.
    Fixed(TtlSeconds),
    /// Between these.
    Range(TtlRange),
}

impl ReadValue for TtlEntry {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport<'_>) -> Option<Self> {
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

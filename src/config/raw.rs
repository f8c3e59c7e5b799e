//! The file as written: every table and key, with its default, unit and bounds. `docs/configuration.md` says the
//! same in prose (a test keeps it complete), and the JSON Schema is made from here.

use std::path::PathBuf;

use super::addresses::{
    ContinentCode, CountryCode, CountryGroupValue, LocationValue, SubdivisionCode,
};
use super::bindings::{HttpsText, SvcbText};
use super::check_values::{CheckType, JsonPointer, JsonScalar};
use super::guard::Guard;
use super::model::{AdminListen, Capacity, CoarsePoints, UnknownPlace};
use super::raw_endpoints::{EndpointEntry, Resolver};
use super::read::{NamedTables, OneOrMore, SpannedList, tables};
use super::request_headers::HeaderEntry;
use super::service_values::{Percentage, TtlEntry};
use super::traffic::Traffic;
use super::values::{BoundedDuration, Keyword, SingleLine, StatusRanges, WeightValue, WholeNumber};
use crate::dns::{Name, RecordType};
use crate::health::check::HttpMethod;
use crate::net::Cidr;
use crate::steering::{AllDown, Band, PickMethod, RegionOrder};

pub use super::raw_server::{Limits, Server, Tls};
pub use super::zones::Zones;

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
        /// A TCP address, or `unix:` and a path. Default `"127.0.0.1:8053"`. Other than loopback needs `token_file`.
        #[schemars(extend("default" = "127.0.0.1:8053"))]
        listen: AdminListen,
        /// File that holds the token for calls that change state. Default: none.
        token_file: PathBuf,
        /// Host names that it may be asked by, beside its addresses and localhost. Default `[]`.
        hosts: SpannedList<Name>,
        /// The certificate by which it speaks HTTPS, over TCP alone. Default: plain HTTP.
        tls: Tls,
    }

    /// What is kept across restarts.
    State {
        /// Folder for drains, overrides and the last agreed health. Default: nothing is kept.
        directory: PathBuf,
    }

    /// Who is told what happens.
    Events {
        /// URL that every event is sent to as JSON by POST, http or https, 1 to 2048 octets. Default: none.
        webhook: SingleLine<2048>,
        /// File that holds the token to show there as `Authorization: Bearer`. Default: none is shown.
        token_file: PathBuf,
    }

    /// How clients are located.
    Geo {
        /// MMDB files; the first that knows the client wins, the built-in data comes last. Default `[]`.
        databases: SpannedList<PathBuf>,
        /// Where a record stands that knows only its country: `"population"` (the country's weighted centre, the
        /// default) or `"database"` (where the database puts it).
        #[schemars(extend("default" = "population"))]
        coarse_points: Keyword<CoarsePoints>,
        /// Whether EDNS Client Subnet (RFC 7871) is used, unless a service says otherwise. Default `true`.
        #[schemars(extend("default" = true))]
        client_subnet: bool,
        /// The operator's own word about networks; it comes before every database. Default `[]`.
        networks: SpannedList<Network>,
    }

    /// Networks that the operator knows better than any database.
    #[schemars(extend("required" = ["cidr"]))]
    Network {
        /// One network or a list of them, IPv4 or IPv6. Needed. The longest prefix wins, then the later entry.
        cidr: OneOrMore<Cidr>,
        /// `[latitude, longitude]` in degrees, or a known place. Default: the centre of the subdivision or country.
        location: LocationValue,
        /// ISO 3166-1 two-letter code. Default: that of the known place or the subdivision, if there is one.
        country: CountryCode,
        /// ISO 3166-2 code with its country, such as `"US-CA"`. Default: that of the known place, if there is one.
        subdivision: SubdivisionCode,
        /// Number of the autonomous system, 1 to 4294967295. Default: unknown.
        asn: WholeNumber<1, 4_294_967_295>,
    }

    /// One region: a place where endpoints stand.
    Region {
        /// `[latitude, longitude]` in degrees, or a known place. Needed where `order = "nearest"` uses the region.
        location: LocationValue,
        /// Per cent, -99 to 99; positive draws clients from farther away. Default 0.
        #[schemars(extend("default" = 0))]
        bias: WholeNumber<-99, 99>,
        /// The region's share where it divides a tier with others, 0 to 1,000,000; 0 is a standby. Default 100.
        #[schemars(extend("default" = 100))]
        weight: WeightValue,
    }

    /// One health check, used by services and endpoints under its name.
    Check {
        /// `"http"`, `"https"`, `"tcp"`, `"tls"`, `"grpc"`, `"dns"` or `"exec"`. Needed, unless the check combines others.
        r#type: Keyword<CheckType>,
        /// The checks that must all be good, instead of a type.
        all: SpannedList<String>,
        /// The checks of which one must be good, instead of a type.
        any: SpannedList<String>,
        /// How many of those in `of` must be good, 1 to 64; instead of a type.
        at_least: WholeNumber<1, 64>,
        /// The checks of which `at_least` so many must be good.
        of: SpannedList<String>,
        /// Port, 1 to 65535. Default 80 for http, 443 for https and tls, 53 for dns, none for exec; needed for tcp and
        /// grpc.
        port: WholeNumber<1, 65535>,
        /// Path and query of the request, 1 to 2048 octets. Default `"/"`. For http and https.
        #[schemars(extend("default" = "/"))]
        path: SingleLine<2048>,
        /// `"GET"` (the default), `"HEAD"`, `"OPTIONS"` or `"POST"`. For http and https.
        #[schemars(extend("default" = "GET"))]
        method: Keyword<HttpMethod>,
        /// Host header, `:authority` of grpc, and SNI, 1 to 255 octets. Default: the name of the service. For http,
        /// https, tls and grpc.
        host: SingleLine<255>,
        /// Whether grpc is spoken over TLS. Default `false`.
        #[schemars(extend("default" = false))]
        tls: bool,
        /// Whether the certificate is verified. Default `true`. For https, tls, and grpc over TLS.
        #[schemars(extend("default" = true))]
        verify: bool,
        /// File with the certificates (PEM) of those who may have signed. Default: the system's. For https, tls, and
        /// grpc over TLS.
        ca_file: PathBuf,
        /// File with the certificate (PEM), and its chain, that is shown to endpoints that ask their clients for one. Default:
        /// none is. For https, tls, and grpc over TLS.
        client_cert: PathBuf,
        /// File with the private key (PEM) of `client_cert`; only its owner may read it. Needed with it.
        client_key: PathBuf,
        /// How long before a certificate expires the log warns of it, once a day: a duration up to 365d. Default
        /// `"14d"`. For https, tls, and grpc over TLS.
        #[schemars(extend("default" = "14d"))]
        expiry_warning: BoundedDuration<0, 31_536_000_000>,
        /// Headers of the request by name, at most 32: a text of 1 to 4096 octets, or a table with the `file` that holds it.
        /// Default: none but the usual ones. For http, https and grpc.
        headers: NamedTables<HeaderEntry>,
        /// The gRPC service asked about, 1 to 127 octets. Default: the server as a whole. For grpc.
        service: SingleLine<127>,
        /// The name asked for. Default: the name of the service. For dns.
        query: Name,
        /// The record type asked for. Default `"A"`. For dns.
        #[schemars(extend("default" = "A"))]
        query_type: RecordType,
        /// The program to be run. Needed for exec.
        program: PathBuf,
        /// Its arguments, each 1 to 4096 octets; `{address}` and `{port}` in them stand for the endpoint's. Default `[]`.
        /// For exec.
        arguments: SpannedList<SingleLine<4096>>,
        /// Time between two probes of an endpoint: a duration from 100ms to 1h. Default `"3s"`.
        #[schemars(extend("default" = "3s"))]
        interval: BoundedDuration<100, 3_600_000>,
        /// Time between two probes while a verdict is in doubt: a duration from 10ms to 1h. Default `"500ms"`, or the
        /// interval if that is shorter.
        quick: BoundedDuration<10, 3_600_000>,
        /// Most time that one probe may take: a duration from 10ms to 1m, not above the interval. Default `"2s"`, or
        /// the interval if that is shorter.
        timeout: BoundedDuration<10, 60_000>,
        /// Failures in a row that take an endpoint out, 1 to 100. Default 3.
        #[schemars(extend("default" = 3))]
        fall: WholeNumber<1, 100>,
        /// Successes in a row that bring an endpoint back, 1 to 100. Default 5.
        #[schemars(extend("default" = 5))]
        rise: WholeNumber<1, 100>,
        /// How falls make the way back longer.
        damping: Damping,
        /// What counts as a good answer. For http and https.
        expect: Expect,
    }

    /// How falls make the way back longer: each fall after the first within `memory` doubles the rise that is needed.
    Damping {
        /// How often it is doubled at most, 0 to 16; 0: never. Default 5.
        #[schemars(extend("default" = 5))]
        doublings: WholeNumber<0, 16>,
        /// How long a fall is remembered: a duration from 1s to 1d. Default `"1h"`.
        #[schemars(extend("default" = "1h"))]
        memory: BoundedDuration<1000, 86_400_000>,
    }

    /// What counts as a good answer; everything that is given must hold.
    Expect {
        /// Status codes and ranges from 100 to 599, such as `"200,204,300-310"`. Default `"200-299"`.
        #[schemars(extend("default" = "200-299"))]
        status: StatusRanges,
        /// A text that the body must contain, 1 to 1024 octets. Default: any body.
        body: SingleLine<1024>,
        /// A value that the body, which is JSON, must hold. Default: any body.
        json: JsonExpect,
        /// Headers that must be there, by name, with their values. Default: any.
        header: NamedTables<SingleLine<1024>>,
        /// The longest that a good answer takes: a duration from 1ms to 1m; what takes longer is degraded. Default: the
        /// timeout.
        latency: BoundedDuration<1, 60_000>,
    }

    /// A value in a JSON document.
    #[schemars(extend("required" = ["pointer", "equals"]))]
    JsonExpect {
        /// Where it is (RFC 6901), such as `"/status"`. Needed.
        pointer: JsonPointer,
        /// What it must be: a string, a whole number, or true or false. Needed.
        equals: JsonScalar,
    }

    /// One name that is answered by steering.
    #[schemars(extend("required" = ["name", "endpoints"]))]
    Service {
        /// The domain name; it must lie in a zone and may be a wildcard. Needed.
        name: Name,
        /// Seconds that a resolver may keep an answer, 0 to 2147483647, or a table with `max` and `min`: then no longer
        /// than health stays as it is at least. Default 30.
        #[schemars(extend("default" = 30))]
        ttl: TtlEntry,
        /// How regions are ordered for a client: `"nearest"` (the default), `"priority"` (as listed) or `"none"`.
        #[schemars(extend("default" = "nearest"))]
        order: Keyword<RegionOrder>,
        /// How endpoints are picked: `"weighted"` (the default), `"round-robin"`, `"sticky"` or `"least-load"`.
        #[schemars(extend("default" = "weighted"))]
        pick: Keyword<PickMethod>,
        /// How much farther than the nearest a region may be and still share its clients: per cent (`"5%"`, up to
        /// 1000) or kilometres (`"150km"`, up to 20037). Default `"0%"`: the nearest alone.
        #[schemars(extend("default" = "0%"))]
        band: Band,
        /// Endpoints per reply, 1 to 8. Default 1.
        #[schemars(extend("default" = 1))]
        answers: WholeNumber<1, 8>,
        /// The check of every endpoint that does not name its own. Default: endpoints are not checked.
        check: String,
        /// Endpoints that must be usable for a region to take clients, 1 to 1000. Default 1.
        #[schemars(extend("default" = 1))]
        min_endpoints: WholeNumber<1, 1000>,
        /// How long a region that comes back takes to take all its clients: a duration from 0s to 1h. Default `"60s"`.
        #[schemars(extend("default" = "60s"))]
        ramp: BoundedDuration<0, 3_600_000>,
        /// The largest part of the regions, by weight, that health alone may take out, `"0%"` to `"100%"`. Default
        /// `"100%"`: all.
        #[schemars(extend("default" = "100%"))]
        max_removed: Percentage,
        /// What regions have room for, by region: answers per second, or a part of all of them (`"40%"`). What is more
        /// goes on to the next region. Default: no limit.
        capacity: NamedTables<Capacity>,
        /// What is answered when no region is available: `"answer-all"` (the default), `"last-good"`, `"nodata"` or
        /// `"servfail"`.
        #[schemars(extend("default" = "answer-all"))]
        all_down: Keyword<AllDown>,
        /// Whether EDNS Client Subnet is used for this service. Default: what `[geo]` says.
        client_subnet: bool,
        /// Whether aliases may come to loopback, private and link-local addresses, which are refused otherwise: clients
        /// elsewhere would reach machines of their own by them. Default `false`.
        #[schemars(extend("default" = false))]
        private_targets: bool,
        /// Data of an HTTPS record, as in a zone file (`"1 . alpn=h2,h3"`), without hints: they are the addresses that the
        /// same client gets. Default: HTTPS comes from the zone file.
        https: HttpsText,
        /// Data of an SVCB record, likewise.
        svcb: SvcbText,
        /// Endpoints by region, in the order of preference where `order = "priority"`: an address, a table, or a
        /// list of these. Needed; at most 254 regions.
        endpoints: NamedTables<OneOrMore<EndpointEntry>>,
        /// Rules about who may get which regions; the first that matches wins. Default `[]`.
        fence: SpannedList<Fence>,
        /// The name of a list in `[fences]`, or several; they come behind the service's own. Default `[]`.
        fences: OneOrMore<String>,
    }

    /// These clients get only these regions.
    #[schemars(extend("required" = ["regions"]))]
    Fence {
        /// Whom the rule is about; one match in any list is enough. Default: everybody.
        clients: FenceClients,
        /// The regions they may get; where `order = "priority"`, in this order. `[]`: none, so they get no records.
        /// Needed.
        regions: SpannedList<String>,
        /// What becomes of clients whose place is unknown: `"allow"` (the default) leaves them to the fences behind and to
        /// every region; `"deny"` takes them as clients of this fence.
        #[schemars(extend("default" = "allow"))]
        unknown: Keyword<UnknownPlace>,
    }

    /// Whom a fence is about.
    FenceClients {
        /// ISO 3166-1 two-letter codes. Default `[]`.
        countries: SpannedList<CountryCode>,
        /// Groups of countries by name, such as `"EU-27"`, `"EEA"` or `"GDPR"`. Default `[]`.
        groups: SpannedList<CountryGroupValue>,
        /// AF, AN, AS, EU, NA, OC, SA. Default `[]`.
        continents: SpannedList<ContinentCode>,
        /// ISO 3166-2 codes with their country, such as `"US-CA"`. Default `[]`.
        subdivisions: SpannedList<SubdivisionCode>,
        /// Numbers of autonomous systems, 1 to 4294967295. Default `[]`.
        asns: SpannedList<WholeNumber<1, 4_294_967_295>>,
        /// Networks. Default `[]`.
        networks: SpannedList<Cidr>,
    }
}

//! `[checks]` as written.
//!
//! A check that probes endpoints and a check that combines others share one table.
//! [`truth`](crate::config::truth) decides which keys fit together.

use std::path::PathBuf;

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::config::document::{
    ConfigReport, DocumentItem, NamedTables, ReadValue, SpannedList, tables,
};
use crate::config::values::checks::{CheckType, JsonPointer, JsonScalar, StatusRanges};
use crate::config::values::plain::{BoundedDuration, SingleLine, WholeNumber};
use crate::config::values::words::Keyword;
use crate::dns::{Name, RecordType};
use crate::health::check::HttpMethod;

tables! {
    /// One health check, used by services and endpoints under its name.
    Check {
        /// `"http"`, `"https"`, `"tcp"`, `"tls"`, `"grpc"`, `"dns"` or `"exec"`.
        r#type: Keyword<CheckType> => "none; *needed* unless the check combines others",
        /// The checks that must all be good, instead of a type.
        all: SpannedList<String>,
        /// The checks of which one must be good, instead of a type.
        any: SpannedList<String>,
        /// How many of those in `of` must be good, 1 to 64; instead of a type.
        at_least: WholeNumber<1, 64>,
        /// The checks of which `at_least` must be good.
        of: SpannedList<String>,
        /// Port, 1 to 65535.
        port: WholeNumber<1, 65535>
            => "80 for http, 443 for https and tls, 53 for dns, 0 for exec; *needed* for tcp and grpc",
        /// Path and query of the request, 1 to 2048 octets. For http and https.
        path: SingleLine<2048> = "/",
        /// `"GET"`, `"HEAD"`, `"OPTIONS"` or `"POST"`. For http and https.
        method: Keyword<HttpMethod> = "GET",
        /// Host header, `:authority` of grpc, and SNI, 1 to 255 octets. For http, https, tls and
        /// grpc.
        host: SingleLine<255> => "name of the service",
        /// Whether grpc uses TLS.
        tls: bool = false,
        /// Whether the certificate is verified. For https, tls, and grpc over TLS.
        verify: bool = true,
        /// File with the certificates (PEM) of the trusted authorities. For https, tls, and grpc
        /// over TLS.
        ca_file: PathBuf => "those that the system knows",
        /// File with the certificate (PEM), and its chain, that is shown to endpoints that ask
        /// their clients for one. For https, tls, and grpc over TLS.
        client_cert: PathBuf => "nothing is shown",
        /// File with the private key (PEM) of `client_cert`; only its owner may read it.
        client_key: PathBuf => "nothing is shown",
        /// How long before a certificate expires the log warns of it, once a day: a duration up to
        /// 365d. For https, tls, and grpc over TLS.
        expiry_warning: BoundedDuration<0, 31_536_000_000> = "14d",
        /// Headers of the request by name, at most 32: a text of 1 to 4096 octets, or a table with
        /// the `file` that holds it. For http, https and grpc.
        headers: NamedTables<HeaderEntry> => "none but the usual ones",
        /// The gRPC service to check, 1 to 127 octets. For grpc.
        service: SingleLine<127> => "the server as a whole",
        /// The name to query. For dns.
        query: Name => "name of the service",
        /// The record type to query. For dns.
        query_type: RecordType = "A",
        /// The program to run. For exec.
        program: PathBuf => "none; *needed* for exec",
        /// Its arguments, each 1 to 4096 octets; `{address}` and `{port}` in them stand for the
        /// endpoint's. For exec.
        arguments: SpannedList<SingleLine<4096>> = [],
        /// Time between two probes of an endpoint: a duration from 100ms to 1h.
        interval: BoundedDuration<100, 3_600_000> = "3s",
        /// Time between two probes while the state is about to change: a duration from 10ms to 1h.
        quick: BoundedDuration<10, 3_600_000> = "500ms" => "or the interval if that is shorter",
        /// Most time that one probe may take: a duration from 10ms to 1m, not above the interval.
        timeout: BoundedDuration<10, 60_000> = "2s" => "or the interval if that is shorter",
        /// Failures in a row that take an endpoint out, 1 to 100.
        fall: WholeNumber<1, 100> = 3,
        /// Successes in a row that bring an endpoint back, 1 to 100.
        rise: WholeNumber<1, 100> = 5,
        /// How repeated failures delay recovery.
        damping: Damping => table,
        /// What counts as a good answer. For http and https.
        expect: Expect => table,
    }

    /// How repeated failures delay recovery: each failure of the endpoint after the first within
    /// `memory` doubles the successes that it needs.
    Damping {
        /// Most doublings, 0 to 16; 0: none.
        doublings: WholeNumber<0, 16> = 5,
        /// How long a failure counts: a duration from 1s to 1d.
        memory: BoundedDuration<1000, 86_400_000> = "1h",
    }

    /// What counts as a good answer; every condition must hold.
    Expect {
        /// Status codes and ranges from 100 to 599, such as `"200,204,300-310"`.
        status: StatusRanges = "200-299",
        /// A text that the body must contain, 1 to 1024 octets.
        body: SingleLine<1024> => "any",
        /// A value that a JSON body must contain.
        json: JsonExpect => "any",
        /// Required headers by name, with their values.
        header: NamedTables<SingleLine<1024>> => "any",
        /// Longest time of a good answer: a duration from 1ms to 1m. With a slower answer the
        /// endpoint is degraded.
        latency: BoundedDuration<1, 60_000> => "the timeout",
    }

    /// A value in a JSON document.
    JsonExpect {
        /// Where it is (RFC 6901), such as `"/status"`.
        pointer: JsonPointer => needed,
        /// The expected value: a string, a whole number, or true or false.
        equals: JsonScalar => needed,
    }

    /// The value of a header, in a file.
    HeaderFile {
        /// File that holds the value and nothing else, at most 4096 octets; only its owner may read
        /// it.
        file: PathBuf => needed,
    }
}

/// The value of a header as it is written, or the file that holds it.
#[derive(Debug, Clone)]
pub enum HeaderEntry {
    /// The value itself.
    Value(SingleLine<4096>),
    /// The file with the value.
    File(HeaderFile),
}

impl ReadValue for HeaderEntry {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
        if item.value.is_table() {
            return HeaderFile::read(item, report).map(HeaderEntry::File);
        }
        SingleLine::read(item, report).map(HeaderEntry::Value)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let (value, table) = (
            <SingleLine<4096> as ReadValue>::schema(generator),
            HeaderFile::schema(generator),
        );
        json_schema!({ "anyOf": [value, table] })
    }
}

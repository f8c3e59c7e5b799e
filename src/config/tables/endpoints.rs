//! Endpoints as written, and `[resolver]`, which looks up endpoints that are names.
//!
//! An endpoint is a table, or only its address.

use std::net::SocketAddr;

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::config::document::{
    ConfigReport, DocumentItem, ReadValue, SpannedList, TableField, WithOffset, tables,
};
use crate::config::values::addresses::EndpointAddress;
use crate::config::values::hosts::{MxText, SrvText};
use crate::config::values::plain::{BoundedDuration, WeightValue, WholeNumber};
use crate::dns::Name;

tables! {
    /// The resolvers that look up endpoints that are names.
    Resolver {
        /// Addresses of resolvers, or of servers that are authoritative for those names, with
        /// ports; at most 16.
        servers: SpannedList<SocketAddr> => "those of `/etc/resolv.conf`",
        /// The longest that looking up a name may take: a duration from 10ms to 1m.
        timeout: BoundedDuration<10, 60_000> = "2s",
    }

    /// One endpoint: one of `address`, `cname`, `alias`, `mx` and `srv`.
    Endpoint {
        /// IPv4 or IPv6 address.
        address: EndpointAddress => "one of these five",
        /// Domain name that is answered as CNAME. Its addresses are looked up where it is checked.
        cname: Name => "one of these five",
        /// Domain name whose addresses are looked up and answered.
        alias: Name => "one of these five",
        /// Data of an MX record, as in a zone file: answered where mail exchangers are asked for.
        /// The exchanger's addresses are looked up where it is checked.
        mx: MxText => "one of these five",
        /// Data of an SRV record, likewise.
        srv: SrvText => "one of these five",
        /// Share among the endpoints of its region, 0 to 1,000,000; 0 is a standby.
        weight: WeightValue = 100,
        /// Its own check instead of the service's.
        check: String => "that of the service",
        /// Its own port instead of the check's, 1 to 65535.
        port: WholeNumber<1, 65535> => "that of the check",
    }
}

/// An endpoint as a table, or as nothing but its address.
#[derive(Debug, Clone)]
pub struct EndpointEntry(pub Endpoint);

impl ReadValue for EndpointEntry {
    fn read(item: DocumentItem<'_>, report: &mut ConfigReport) -> Option<Self> {
        if item.value.is_table() {
            return Endpoint::read(item, report).map(EndpointEntry);
        }
        let value = EndpointAddress::read(item, report)?;
        let address = TableField::Given(WithOffset { at: item.at, value });
        Some(EndpointEntry(Endpoint {
            address,
            ..Endpoint::default()
        }))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let (address, table) = (
            EndpointAddress::schema(generator),
            Endpoint::schema(generator),
        );
        json_schema!({ "anyOf": [address, table] })
    }
}

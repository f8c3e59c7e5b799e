//! Lists of servers that this one asks: resolvers, and the servers of parent zones.
//!
//! Each has its port. Addresses that cannot belong to a host are errors, and so is a list that is too
//! long: every server may be asked in turn.

use std::net::SocketAddr;

use crate::config::document::{ConfigReport, SpannedList, values_of};
use crate::resolve;

/// Most servers that are asked for names.
const MOST_RESOLVERS: usize = 16;

/// Servers that are asked, at most 16.
pub fn resolve_servers(
    servers: SpannedList<SocketAddr>,
    report: &mut ConfigReport,
) -> Vec<SocketAddr> {
    if let Some(surplus) = servers.get(MOST_RESOLVERS) {
        report.error(
            surplus.at,
            format!("there are more than {MOST_RESOLVERS} servers to ask"),
        );
    }
    for server in &servers {
        if !resolve::is_of_a_host(server.value.ip()) || server.value.port() == 0 {
            report.error(
                server.at,
                format!("{} is no server that can be asked", server.value),
            );
        }
    }
    values_of(servers)
}

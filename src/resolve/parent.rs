//! Asks the servers of a parent zone for the DS records of a zone.
//!
//! Each server is asked itself, because a resolver would tell what one of them has said some time
//! ago. Without a list of servers, they are those of the parent zone, which is found by going up from
//! the zone until there are NS records. A server that is authoritative for the zone alone knows
//! nothing about its DS records, so "no such records" counts only with the SOA record of a zone above.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name as HickoryName, RData, RecordType};
use hickory_resolver::proto::serialize::binary::BinEncodable;

use super::stub::describe;
use super::{UpstreamServers, is_of_a_host};
use crate::dns::Name;

/// The most servers of a parent that are asked.
const MOST_SERVERS: usize = 32;
/// The longest that all questions about one zone may take.
const LONGEST: Duration = Duration::from_secs(60);

/// The DS records of a zone as one server has them: their data and their TTL in seconds, which is 0
/// where there are none; or why there is no answer.
pub type DsRecords = Result<(Vec<Vec<u8>>, u32), String>;

/// Asks every server of a list, or else of the parent zone, for the DS records of a zone. Must be
/// called inside a tokio runtime.
///
/// # Errors
/// A sentence: the servers of the parent cannot be found.
pub async fn ask_parent(
    zone: &Name,
    servers: &[SocketAddr],
    upstream: &UpstreamServers,
) -> Result<Vec<(SocketAddr, DsRecords)>, String> {
    match tokio::time::timeout(LONGEST, ask_all(zone, servers, upstream)).await {
        Ok(answers) => answers,
        Err(_) => Err(format!("no answer within {LONGEST:?}")),
    }
}

/// The DS records of a zone as the resolver finds them: their data. Must be called inside a tokio
/// runtime.
///
/// # Errors
/// A sentence: there is no answer.
pub async fn look_up_ds(zone: &Name, upstream: &UpstreamServers) -> Result<Vec<Vec<u8>>, String> {
    let (resolver, timeout) = (upstream.resolver()?, upstream.timeout());
    match look_up(&resolver, zone, RecordType::DS, timeout).await {
        Ok(records) => Ok(ds_of(&records).0),
        Err(NetError::Dns(DnsError::NoRecordsFound(_))) => Ok(Vec::new()),
        Err(error) => Err(describe(&error, timeout)),
    }
}

async fn ask_all(
    zone: &Name,
    servers: &[SocketAddr],
    upstream: &UpstreamServers,
) -> Result<Vec<(SocketAddr, DsRecords)>, String> {
    let mut servers = servers.to_vec();
    if servers.is_empty() {
        servers = servers_above(zone, upstream).await?;
    }
    let mut answers = Vec::new();
    for server in servers {
        let one = upstream.only(server);
        let answer = match one.resolver() {
            Ok(resolver) => ask_one(&resolver, zone, one.timeout()).await,
            Err(reason) => Err(reason),
        };
        answers.push((server, answer));
    }
    Ok(answers)
}

async fn ask_one(resolver: &TokioResolver, zone: &Name, timeout: Duration) -> DsRecords {
    let asked = look_up(resolver, zone, RecordType::DS, timeout).await;
    match asked {
        Ok(records) => Ok(ds_of(&records)),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) if !is_nx(&none) => {
            let above = none.soa.as_ref().map(|soa| wire_name(&soa.name));
            match above {
                Some(Some(above)) if is_below(zone, &above) => Ok((Vec::new(), 0)),
                _ => Err("does not answer for the parent".to_owned()),
            }
        }
        Err(error) => Err(describe(&error, timeout)),
    }
}

fn is_nx(none: &NoRecords) -> bool {
    none.response_code == ResponseCode::NXDomain
}

/// The data of the DS records in an answer, and their TTL.
fn ds_of(records: &Lookup) -> (Vec<Vec<u8>>, u32) {
    let (mut found, mut longest) = (Vec::new(), 0);
    for record in records.answers() {
        if record.record_type() != RecordType::DS {
            continue;
        }
        if let Ok(data) = record.data.to_bytes() {
            found.push(data);
            longest = longest.max(record.ttl);
        }
    }
    (found, longest)
}

/// The addresses of the servers of the closest zone above.
async fn servers_above(zone: &Name, upstream: &UpstreamServers) -> Result<Vec<SocketAddr>, String> {
    let (resolver, timeout) = (upstream.resolver()?, upstream.timeout());
    let mut above = zone.parent();
    while let Some(name) = above {
        if let Ok(records) = look_up(&resolver, &name, RecordType::NS, timeout).await {
            return addresses(&resolver, &hosts_of(&records), timeout).await;
        }
        above = name.parent();
    }
    Err("no servers of the parent are found; name some with parent_servers".to_owned())
}

fn hosts_of(records: &Lookup) -> Vec<HickoryName> {
    let mut hosts = Vec::new();
    for record in records.answers() {
        if let RData::NS(host) = &record.data {
            hosts.push(host.0.clone());
        }
    }
    hosts
}

async fn addresses(
    resolver: &TokioResolver,
    hosts: &[HickoryName],
    timeout: Duration,
) -> Result<Vec<SocketAddr>, String> {
    let mut servers = Vec::new();
    for host in hosts.iter().take(MOST_SERVERS) {
        match address(resolver, host, timeout).await {
            Some(ip) => servers.push(SocketAddr::new(ip, 53)),
            None => return Err(format!("{host}, a server of the parent, has no address")),
        }
    }
    Ok(servers)
}

/// One address of a host: a server answers alike at all of them.
pub(super) async fn address(
    resolver: &TokioResolver,
    host: &HickoryName,
    timeout: Duration,
) -> Option<IpAddr> {
    for rtype in [RecordType::A, RecordType::AAAA] {
        let asked = tokio::time::timeout(timeout, resolver.lookup(host.clone(), rtype)).await;
        let Ok(Ok(records)) = asked else { continue };
        for record in records.answers() {
            if let Some(ip) = record.data.ip_addr().filter(|ip| is_of_a_host(*ip)) {
                return Some(ip);
            }
        }
    }
    None
}

pub(super) async fn look_up(
    resolver: &TokioResolver,
    name: &Name,
    rtype: RecordType,
    timeout: Duration,
) -> Result<Lookup, NetError> {
    let query = hickory_name(name)?;
    match tokio::time::timeout(timeout, resolver.lookup(query, rtype)).await {
        Ok(answer) => answer,
        Err(_) => Err(NetError::Timeout),
    }
}

/// A name of ours as one of the library.
pub(super) fn hickory_name(name: &Name) -> Result<HickoryName, NetError> {
    let labels = name.labels().filter(|label| !label.is_empty());
    let mut query = HickoryName::from_labels(labels)?;
    query.set_fqdn(true);
    Ok(query)
}

fn is_below(zone: &Name, apex: &Name) -> bool {
    let mut above = zone.parent();
    while let Some(name) = above {
        if name == *apex {
            return true;
        }
        above = name.parent();
    }
    false
}

/// A name of the library as one of ours.
pub(super) fn wire_name(name: &HickoryName) -> Option<Name> {
    let mut text = name.to_ascii();
    if !text.ends_with('.') {
        text.push('.');
    }
    Name::parse(&text, &Name::root()).ok()
}

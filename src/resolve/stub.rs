//! The stub resolver: looks up the addresses of a name from recursive servers.
//!
//! It asks the servers of the `[resolver]` section or of `/etc/resolv.conf`. They must recurse, or
//! be authoritative for the name. A bounded cache keeps each answer for its own TTL, so repeated
//! lookups cost no query until it expires. Failures are not cached.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name as HickoryName, RecordType};
use moka::Expiry;
use moka::sync::Cache;

use super::{IpFamily, LookupKey, MOST_ADDRESSES, is_of_a_host};
use crate::dns::Name;

/// The shortest time that an answer is valid, whatever its TTL.
const SHORTEST_TTL: Duration = Duration::from_secs(1);
/// The longest time that an answer is valid, whatever its TTL.
const LONGEST_TTL: Duration = Duration::from_secs(3600);
/// How long "no such records" is valid if the answer has no SOA (RFC 2308 section 5).
const NEGATIVE_TTL: Duration = Duration::from_secs(5);
/// The most answers in the cache.
const CACHE_SIZE: u64 = 10_000;

/// The `[resolver]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverSettings {
    /// The servers to ask. If empty, those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// The longest time for one lookup, including all retries and servers.
    pub timeout: Duration,
}

/// The servers to ask, and how long to wait for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServers {
    /// The servers, or the reason why there are none.
    servers: Result<Vec<SocketAddr>, String>,
    timeout: Duration,
}

/// The result of a lookup of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupResult {
    /// The addresses, sorted and without duplicates.
    Addresses(Vec<IpAddr>),
    /// The name exists but has no address of the family.
    Nothing,
    /// The lookup failed. Holds the reason.
    Failed(String),
}

/// The answer for one family of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyAnswer {
    /// The result of the lookup.
    pub result: LookupResult,
    /// How long the result is valid, 1 s to 1 h.
    pub ttl: Duration,
    /// When it expires.
    pub until: Instant,
}

impl FamilyAnswer {
    fn new(result: LookupResult, ttl: Duration) -> FamilyAnswer {
        let ttl = ttl.clamp(SHORTEST_TTL, LONGEST_TTL);
        FamilyAnswer {
            result,
            ttl,
            until: Instant::now() + ttl,
        }
    }

    fn failed(reason: String) -> FamilyAnswer {
        FamilyAnswer::new(LookupResult::Failed(reason), SHORTEST_TTL)
    }

    fn from_records(records: &Lookup) -> FamilyAnswer {
        let mut addresses = Vec::new();
        for record in records.answers() {
            addresses.extend(record.data.ip_addr());
        }
        let ttl = records.answers().iter().map(|record| record.ttl).min();
        let ttl = Duration::from_secs(ttl.unwrap_or(0).into());
        FamilyAnswer::new(usable(addresses), ttl)
    }

    fn from_error(error: &NetError, timeout: Duration) -> FamilyAnswer {
        if let NetError::Dns(DnsError::NoRecordsFound(negative)) = error
            && !error.is_nx_domain()
        {
            let ttl = match negative.negative_ttl {
                Some(seconds) => Duration::from_secs(seconds.into()),
                None => NEGATIVE_TTL,
            };
            return FamilyAnswer::new(LookupResult::Nothing, ttl);
        }
        FamilyAnswer::failed(describe(error, timeout))
    }
}

/// Looks up addresses, and caches them.
pub struct StubResolver {
    servers: UpstreamServers,
    /// The library's resolver, or the reason why there is none.
    resolver: Result<TokioResolver, String>,
    cache: Cache<LookupKey, Arc<FamilyAnswer>>,
}

impl ResolverSettings {
    /// The servers to ask now. Reads `/etc/resolv.conf` if the settings name none.
    pub fn servers(&self) -> UpstreamServers {
        let servers = if self.servers.is_empty() {
            system_servers()
        } else {
            Ok(self.servers.clone())
        };
        UpstreamServers {
            servers,
            timeout: self.timeout,
        }
    }
}

impl UpstreamServers {
    /// One server alone, with the same timeout.
    pub(super) fn only(&self, server: SocketAddr) -> UpstreamServers {
        UpstreamServers {
            servers: Ok(vec![server]),
            timeout: self.timeout,
        }
    }

    /// The longest time for one lookup.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn resolver(&self) -> Result<TokioResolver, String> {
        let mut servers = Vec::new();
        for server in self.servers.as_ref().map_err(Clone::clone)? {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = server.port();
            }
            servers.push(NameServerConfig::new(server.ip(), true, connections));
        }
        let config = ResolverConfig::from_name_servers(servers);
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        // A datagram may get lost, so the timeout covers two attempts.
        options.timeout = self.timeout / 2;
        options.attempts = 2;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        builder
            .build()
            .map_err(|error| format!("the resolver cannot be created: {error}"))
    }
}

impl StubResolver {
    /// Asks these servers. If there are none, every lookup fails with the reason.
    pub fn new(servers: UpstreamServers) -> StubResolver {
        StubResolver {
            resolver: servers.resolver(),
            servers,
            cache: Cache::builder()
                .max_capacity(CACHE_SIZE)
                .expire_after(AnswerExpiry)
                .build(),
        }
    }

    /// The servers that it asks.
    pub fn servers(&self) -> &UpstreamServers {
        &self.servers
    }

    /// The addresses of one family of a name, from the cache or the servers. Takes at most the
    /// configured timeout, and must be called inside a tokio runtime.
    pub async fn addresses(&self, name: &Name, family: IpFamily) -> Arc<FamilyAnswer> {
        let key = LookupKey {
            name: name.clone(),
            family,
        };
        if let Some(cached) = self.cache.get(&key) {
            return cached;
        }
        let answer = Arc::new(self.look_up(name, family).await);
        // Without addresses, the next lookup asks again.
        if matches!(answer.result, LookupResult::Addresses(_)) {
            self.cache.insert(key, answer.clone());
        }
        answer
    }

    async fn look_up(&self, name: &Name, family: IpFamily) -> FamilyAnswer {
        let resolver = match &self.resolver {
            Ok(resolver) => resolver,
            Err(reason) => return FamilyAnswer::failed(reason.clone()),
        };
        let labels = name.labels().filter(|label| !label.is_empty());
        let Ok(mut query) = HickoryName::from_labels(labels) else {
            return FamilyAnswer::failed("it is not a name that can be looked up".to_owned());
        };
        // The name is complete: the system's search list and domain do not apply.
        query.set_fqdn(true);
        let rtype = match family {
            IpFamily::V4 => RecordType::A,
            IpFamily::V6 => RecordType::AAAA,
        };
        let timeout = self.servers.timeout;
        match tokio::time::timeout(timeout, resolver.lookup(query, rtype)).await {
            Ok(Ok(records)) => FamilyAnswer::from_records(&records),
            Ok(Err(error)) => FamilyAnswer::from_error(&error, timeout),
            Err(_) => FamilyAnswer::from_error(&NetError::Timeout, timeout),
        }
    }
}

/// Expires each cached answer by its own TTL.
struct AnswerExpiry;

impl Expiry<LookupKey, Arc<FamilyAnswer>> for AnswerExpiry {
    fn expire_after_create(
        &self,
        _: &LookupKey,
        answer: &Arc<FamilyAnswer>,
        _: Instant,
    ) -> Option<Duration> {
        Some(answer.ttl)
    }

    fn expire_after_update(
        &self,
        _: &LookupKey,
        answer: &Arc<FamilyAnswer>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(answer.ttl)
    }
}

fn system_servers() -> Result<Vec<SocketAddr>, String> {
    let (config, _) = hickory_resolver::system_conf::read_system_conf()
        .map_err(|error| format!("/etc/resolv.conf names no server to ask: {error}"))?;
    let mut servers = Vec::new();
    for server in config.name_servers() {
        servers.push(SocketAddr::new(server.ip, 53));
    }
    Ok(servers)
}

/// Keeps the addresses that can belong to a host. They are sorted, so a server that rotates them
/// causes no change.
fn usable(mut addresses: Vec<IpAddr>) -> LookupResult {
    addresses.sort_unstable();
    addresses.dedup();
    let Some(&first) = addresses.first() else {
        return LookupResult::Nothing;
    };
    addresses.retain(|&address| is_of_a_host(address));
    addresses.truncate(MOST_ADDRESSES);
    if addresses.is_empty() {
        let reason = format!("it has no address of a host, only such as {first}");
        return LookupResult::Failed(reason);
    }
    LookupResult::Addresses(addresses)
}

/// Why a lookup failed.
pub(super) fn describe(error: &NetError, timeout: Duration) -> String {
    match error {
        NetError::Timeout => format!("no answer within {timeout:?}"),
        error if error.is_nx_domain() => "there is no such name".to_owned(),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("its servers answer {code}"),
        NetError::Io(error) => format!("no upstream server can be reached: {error}"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_are_sorted_distinct_and_limited() {
        let found = usable(addresses(&[
            "192.0.2.2",
            "0.0.0.0",
            "192.0.2.1",
            "192.0.2.2",
        ]));
        assert_eq!(
            found,
            LookupResult::Addresses(addresses(&["192.0.2.1", "192.0.2.2"]))
        );
        assert_eq!(usable(vec![]), LookupResult::Nothing);
        let LookupResult::Failed(message) = usable(addresses(&["224.0.0.1"])) else {
            panic!()
        };
        assert!(message.contains("224.0.0.1"), "{message}");
        let many = (1..=255)
            .map(|last| IpAddr::from([192, 0, 2, last]))
            .collect();
        let LookupResult::Addresses(kept) = usable(many) else {
            panic!()
        };
        assert_eq!(kept.len(), MOST_ADDRESSES);
    }

    #[tokio::test]
    async fn without_servers_every_name_fails_and_says_why() {
        let servers = UpstreamServers {
            servers: Err("there is no server".to_owned()),
            timeout: Duration::from_secs(1),
        };
        let answer = StubResolver::new(servers)
            .addresses(&"lb.example.net".parse().unwrap(), IpFamily::V6)
            .await;
        assert_eq!(
            answer.result,
            LookupResult::Failed("there is no server".to_owned())
        );
    }

    #[tokio::test]
    async fn answers_are_cached_for_their_own_ttl() {
        let servers = UpstreamServers {
            servers: Err("not asked".to_owned()),
            timeout: Duration::from_secs(1),
        };
        let resolver = StubResolver::new(servers);
        let kept = |name: &str, ttl: Duration| {
            let result = LookupResult::Addresses(addresses(&["192.0.2.1"]));
            let answer = FamilyAnswer {
                result,
                ttl,
                until: Instant::now() + ttl,
            };
            let key = LookupKey {
                name: name.parse().unwrap(),
                family: IpFamily::V4,
            };
            resolver.cache.insert(key, Arc::new(answer));
        };
        kept("short.example.net", Duration::from_millis(20));
        kept("long.example.net", Duration::from_secs(3600));
        tokio::time::sleep(Duration::from_millis(40)).await;
        let is_kept = async |name: &str| {
            let answer = resolver
                .addresses(&name.parse().unwrap(), IpFamily::V4)
                .await;
            matches!(answer.result, LookupResult::Addresses(_))
        };
        assert!(!is_kept("short.example.net").await && is_kept("LONG.example.net").await);
    }
}

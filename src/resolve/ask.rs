//! Asking: one family of one name, other people's servers.
//!
//! What they say is kept in a bounded cache, each answer under its own TTL, so that whoever asks again before that costs
//! nobody anything. A stub resolver: it asks servers that recurse, or that are authoritative for the name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name as HickoryName, RecordType};
use moka::Expiry;
use moka::sync::Cache;

use super::{IpFamily, MOST_ADDRESSES, is_of_a_host};
use crate::dns::Name;

/// The shortest and the longest that an answer is kept, whatever TTL it has.
const KEPT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
/// How long it holds that a name has nothing of a family, where the answer does not say (RFC 2308 section 5).
const DENIED: Duration = Duration::from_secs(5);
/// Most answers that are kept.
const MOST_KEPT: u64 = 10_000;

/// `[resolver]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverSettings {
    /// Whom to ask; empty: those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// The longest that looking up a name may take, tries and servers together.
    pub timeout: Duration,
}

/// Whom to ask, and how long to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServers {
    /// Those servers, or a sentence: why there are none.
    addresses: Result<Vec<SocketAddr>, String>,
    timeout: Duration,
}

/// What asking for the addresses of one family came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupResult {
    /// These, in order, each once.
    Addresses(Vec<IpAddr>),
    /// The name has none of the family.
    Nothing,
    /// Nobody knows: a sentence.
    Failed(String),
}

/// What is said of one family of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyAnswer {
    /// What there is.
    pub found: LookupResult,
    /// How long it holds, 1 s to 1 h.
    pub ttl: Duration,
    /// Until when.
    pub until: Instant,
}

/// Asks, and keeps what it is told.
pub struct StubResolver {
    servers: UpstreamServers,
    stub: Result<TokioResolver, String>,
    kept: Cache<(Name, IpFamily), Arc<FamilyAnswer>>,
}

impl ResolverSettings {
    /// The servers to be asked now: those of the system may have changed.
    pub fn servers(&self) -> UpstreamServers {
        let addresses = if self.servers.is_empty() {
            servers_of_the_system()
        } else {
            Ok(self.servers.clone())
        };
        UpstreamServers {
            addresses,
            timeout: self.timeout,
        }
    }
}

impl StubResolver {
    /// Asks these servers. Where there are none, every name fails and says why.
    pub fn new(servers: UpstreamServers) -> StubResolver {
        let kept = Cache::builder()
            .max_capacity(MOST_KEPT)
            .expire_after(OwnTtl)
            .build();
        let stub = servers
            .addresses
            .clone()
            .and_then(|addresses| stub(&addresses, servers.timeout));
        StubResolver {
            servers,
            stub,
            kept,
        }
    }

    /// Whom it asks.
    pub fn servers(&self) -> &UpstreamServers {
        &self.servers
    }

    /// The addresses of one family of a name, over within the timeout. Needs a tokio runtime.
    pub async fn addresses(&self, name: &Name, family: IpFamily) -> Arc<FamilyAnswer> {
        let key = (name.clone(), family);
        if let Some(kept) = self.kept.get(&key) {
            return kept;
        }
        let (found, ttl) = self.look_up(name, family).await;
        let ttl = ttl.clamp(KEPT.0, KEPT.1);
        let answer = Arc::new(FamilyAnswer {
            found,
            ttl,
            until: Instant::now() + ttl,
        });
        // What is missing is asked for again as soon as anybody likes.
        if matches!(answer.found, LookupResult::Addresses(_)) {
            self.kept.insert(key, answer.clone());
        }
        answer
    }

    /// What is found, and for how long it holds.
    async fn look_up(&self, name: &Name, family: IpFamily) -> (LookupResult, Duration) {
        let failed = |reason: String| (LookupResult::Failed(reason), KEPT.0);
        let stub = match &self.stub {
            Ok(stub) => stub,
            Err(reason) => return failed(reason.clone()),
        };
        let Ok(mut wanted) =
            HickoryName::from_labels(name.labels().filter(|label| !label.is_empty()))
        else {
            return failed("it is no name that can be asked for".to_owned());
        };
        // Neither the search list nor the domain of the system is for names that are written in full.
        wanted.set_fqdn(true);
        let rtype = match family {
            IpFamily::V4 => RecordType::A,
            IpFamily::V6 => RecordType::AAAA,
        };
        match tokio::time::timeout(self.servers.timeout, stub.lookup(wanted, rtype)).await {
            Ok(Ok(lookup)) => {
                let ttl = lookup
                    .answers()
                    .iter()
                    .map(|record| record.ttl)
                    .min()
                    .unwrap_or(0);
                let found = lookup
                    .answers()
                    .iter()
                    .filter_map(|record| record.data.ip_addr())
                    .collect();
                (usable(found), Duration::from_secs(ttl.into()))
            }
            Ok(Err(error)) => match without_records(&error) {
                Some(ttl) => (LookupResult::Nothing, ttl),
                None => failed(sentence(&error, self.servers.timeout)),
            },
            Err(_) => failed(sentence(&NetError::Timeout, self.servers.timeout)),
        }
    }
}

/// Every answer is kept as long as it says itself.
struct OwnTtl;

impl Expiry<(Name, IpFamily), Arc<FamilyAnswer>> for OwnTtl {
    fn expire_after_create(
        &self,
        _: &(Name, IpFamily),
        answer: &Arc<FamilyAnswer>,
        _: Instant,
    ) -> Option<Duration> {
        Some(answer.ttl)
    }

    fn expire_after_update(
        &self,
        _: &(Name, IpFamily),
        answer: &Arc<FamilyAnswer>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(answer.ttl)
    }
}

fn servers_of_the_system() -> Result<Vec<SocketAddr>, String> {
    let read = hickory_resolver::system_conf::read_system_conf();
    let (config, _) =
        read.map_err(|error| format!("/etc/resolv.conf names no server to ask: {error}"))?;
    Ok(config
        .name_servers()
        .iter()
        .map(|server| SocketAddr::new(server.ip, 53))
        .collect())
}

fn stub(servers: &[SocketAddr], timeout: Duration) -> Result<TokioResolver, String> {
    let connection = |mut connection: ConnectionConfig, server: &SocketAddr| {
        connection.port = server.port();
        connection
    };
    let server = |server: &SocketAddr| {
        let connections =
            [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|made| connection(made, server));
        NameServerConfig::new(server.ip(), true, connections.to_vec())
    };
    let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    // A datagram may get lost, so there is time for another one.
    (options.timeout, options.attempts) = (timeout / 2, 2);
    (options.cache_size, options.use_hosts_file) = (0, ResolveHosts::Never);
    builder
        .build()
        .map_err(|error| format!("the resolver cannot be made: {error}"))
}

/// What of the addresses can be that of a host; in order, so that servers that rotate them change nothing.
fn usable(mut found: Vec<IpAddr>) -> LookupResult {
    found.sort_unstable();
    found.dedup();
    let first = found.first().copied();
    found.retain(|address| is_of_a_host(*address));
    found.truncate(MOST_ADDRESSES);
    match first {
        None => LookupResult::Nothing,
        Some(bad) if found.is_empty() => {
            LookupResult::Failed(format!("it has no address of a host, only such as {bad}"))
        }
        Some(_) => LookupResult::Addresses(found),
    }
}

/// How long it holds that the name exists and has no such record; `None`: something else is wrong.
fn without_records(error: &NetError) -> Option<Duration> {
    let NetError::Dns(DnsError::NoRecordsFound(denied)) = error else {
        return None;
    };
    let ttl = denied
        .negative_ttl
        .map_or(DENIED, |seconds| Duration::from_secs(seconds.into()));
    (!error.is_nx_domain()).then_some(ttl)
}

fn sentence(error: &NetError, timeout: Duration) -> String {
    match error {
        NetError::Timeout => format!("no answer within {timeout:?}"),
        error if error.is_nx_domain() => "there is no such name".to_owned(),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("its servers answer {code}"),
        NetError::Io(error) => format!("nobody can be asked: {error}"),
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
    fn addresses_come_in_order_each_once_and_never_too_many() {
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
        let LookupResult::Failed(told) = usable(addresses(&["224.0.0.1"])) else {
            panic!()
        };
        assert!(told.contains("224.0.0.1"), "{told}");
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
            addresses: Err("nobody is there".to_owned()),
            timeout: Duration::from_secs(1),
        };
        let answer = StubResolver::new(servers)
            .addresses(&"lb.example.net".parse().unwrap(), IpFamily::V6)
            .await;
        assert_eq!(
            answer.found,
            LookupResult::Failed("nobody is there".to_owned())
        );
    }

    #[tokio::test]
    async fn what_is_kept_is_kept_under_its_own_ttl() {
        let servers = UpstreamServers {
            addresses: Err("not asked".to_owned()),
            timeout: Duration::from_secs(1),
        };
        let resolver = StubResolver::new(servers);
        let kept = |name: &str, ttl: Duration| {
            let found = LookupResult::Addresses(addresses(&["192.0.2.1"]));
            let answer = FamilyAnswer {
                found,
                ttl,
                until: Instant::now() + ttl,
            };
            resolver
                .kept
                .insert((name.parse().unwrap(), IpFamily::V4), Arc::new(answer));
        };
        kept("short.example.net", Duration::from_millis(20));
        kept("long.example.net", Duration::from_secs(3600));
        tokio::time::sleep(Duration::from_millis(40)).await;
        let is_kept = async |name: &str| {
            let answer = resolver
                .addresses(&name.parse().unwrap(), IpFamily::V4)
                .await;
            matches!(answer.found, LookupResult::Addresses(_))
        };
        assert!(!is_kept("short.example.net").await && is_kept("LONG.example.net").await);
    }
}

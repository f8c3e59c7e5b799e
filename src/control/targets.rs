//! Targets: whom the configuration wants to be probed, and which endpoint rests on which probe.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::config::{self, CheckId, CheckKind, Config, Endpoint};
use crate::dns::Name;
use crate::health::check::{
    CertificateRule, CheckTls, DnsCheck, ExecCheck, GrpcCheck, HealthCheck, HttpCheck, ProbeKind,
    ProbeTarget, TargetKey,
};
use crate::health::fold::{self, CheckCombination};
use crate::health::machine::{HealthState, ProbeResult};
use crate::health::monitor::TargetHealth;
use crate::resolve::{KnownNames, ResolvedName, is_private};

/// The probes of one configuration and of what its names have been resolved to. Endpoints of several services that are
/// asked the same are one probe.
#[derive(Debug, Clone, Default)]
pub struct ProbePlan {
    /// Each once.
    pub targets: Vec<ProbeTarget>,
    /// By service, region and endpoint as listed; `None`: nothing is asked, so the endpoint counts as up.
    asked: Vec<Vec<Vec<Option<ProbeRef>>>>,
    /// By service, the least TTL of what its aliases were resolved to, in seconds.
    ttls: Vec<Option<u32>>,
}

/// What an endpoint rests on.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeRef {
    /// One probe.
    One(TargetKey),
    /// What several come to together.
    Several(CheckCombination, Vec<ProbeRef>),
    /// None: it is a name that was never resolved.
    Nobody {
        /// Unknown before there was a first result.
        verdict: HealthState,
        /// Why, for people.
        reason: String,
    },
}

/// What counts of what is known of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// What is agreed, held verdicts among it.
    Agreed,
    /// The same, but what is held counts as down: there is somewhere else to go.
    Unheld,
    /// The same, but a last probe that was good counts though nothing is agreed by it yet.
    LastSeen,
}

impl Evidence {
    fn verdict_of(self, target: &TargetHealth) -> HealthState {
        let seen_alive = || {
            target
                .last
                .as_ref()
                .is_some_and(|last| last.result != ProbeResult::Fail)
        };
        match self {
            Evidence::Unheld | Evidence::LastSeen if target.held => HealthState::Down,
            Evidence::LastSeen if !target.state.serves() && seen_alive() => HealthState::Up,
            Evidence::Agreed | Evidence::Unheld | Evidence::LastSeen => target.state,
        }
    }
}

impl ProbeRef {
    /// What it comes to under what is known. `None` only where nothing is asked.
    pub fn verdict(
        &self,
        known: &HashMap<TargetKey, TargetHealth>,
        evidence: Evidence,
    ) -> Option<HealthState> {
        match self {
            ProbeRef::Nobody { verdict, .. } => Some(*verdict),
            asked => asked.deciding(known, evidence).map(|(_, verdict)| verdict),
        }
    }

    /// The probe that decides under what is known, with its verdict. `None` only where there is none.
    pub fn deciding(
        &self,
        known: &HashMap<TargetKey, TargetHealth>,
        evidence: Evidence,
    ) -> Option<(&TargetKey, HealthState)> {
        match self {
            ProbeRef::Nobody { .. } => None,
            ProbeRef::One(key) => Some((
                key,
                known
                    .get(key)
                    .map_or(HealthState::Unknown, |target| evidence.verdict_of(target)),
            )),
            ProbeRef::Several(rule, parts) => {
                let parts: Vec<_> = parts
                    .iter()
                    .filter_map(|part| part.deciding(known, evidence))
                    .collect();
                let verdicts: Vec<HealthState> =
                    parts.iter().map(|(_, verdict)| *verdict).collect();
                parts.get(fold::deciding(*rule, &verdicts)?).copied()
            }
        }
    }

    /// Calls `each` with every probe.
    pub fn for_each<'a>(&'a self, each: &mut dyn FnMut(&'a TargetKey)) {
        match self {
            ProbeRef::Nobody { .. } => {}
            ProbeRef::One(key) => each(key),
            ProbeRef::Several(_, parts) => parts.iter().for_each(|part| part.for_each(each)),
        }
    }

    /// Every probe that this rests on.
    pub fn targets(&self) -> Vec<&TargetKey> {
        let mut targets = Vec::new();
        self.for_each(&mut |key| targets.push(key));
        targets
    }

    fn rests_on(&self, key: &TargetKey) -> bool {
        self.targets().contains(&key)
    }
}

impl ProbePlan {
    /// Works out whom to ask, by what is known of names.
    pub fn of(config: &Config, names: &KnownNames) -> ProbePlan {
        let mut targets = Targets::default();
        let asked = config.services.iter().map(|service| {
            let mut checks = Checks {
                config,
                service: &service.name,
                made: Vec::new(),
                targets: &mut targets,
            };
            let mut endpoint = |endpoint: &Endpoint| match &endpoint.target {
                config::EndpointTarget::Address(address) => {
                    checks.ask(endpoint.check?, *address, endpoint.port)
                }
                config::EndpointTarget::Name(name)
                | config::EndpointTarget::Host(config::TargetHost { name, .. }) => {
                    Some(checks.ask_all(endpoint.check?, name, names, endpoint.port))
                }
                config::EndpointTarget::Alias(name) => {
                    Some(nobody(name, names.get(name), service.private_targets))
                }
            };
            let regions = service.regions.iter();
            regions
                .map(|region| region.endpoints.iter().map(&mut endpoint).collect())
                .collect()
        });
        let asked = asked.collect();
        let ttls = config
            .services
            .iter()
            .map(|service| least_ttl(service, names))
            .collect();
        ProbePlan {
            targets: targets.list,
            asked,
            ttls,
        }
    }

    /// How long a service's answers may be kept on account of what its aliases were resolved to, in seconds; `None`: it
    /// has none.
    pub fn longest_ttl(&self, service: usize) -> Option<u32> {
        self.ttls.get(service).copied().flatten()
    }

    /// What an endpoint rests on.
    pub fn asked(&self, service: usize, region: usize, endpoint: usize) -> Option<&ProbeRef> {
        self.asked
            .get(service)?
            .get(region)?
            .get(endpoint)?
            .as_ref()
    }

    /// Service and region of every endpoint that rests on a probe.
    pub fn places(&self, key: &TargetKey) -> Vec<(usize, usize)> {
        let mut places = Vec::new();
        for (service, regions) in self.asked.iter().enumerate() {
            let rests = |(_, endpoints): &(usize, &Vec<Option<ProbeRef>>)| {
                endpoints.iter().flatten().any(|it| it.rests_on(key))
            };
            places.extend(
                regions
                    .iter()
                    .enumerate()
                    .filter(rests)
                    .map(|(region, _)| (service, region)),
            );
        }
        places
    }

    /// Whether some probe verifies a certificate by the system's roots.
    pub fn needs_system_roots(&self) -> bool {
        self.targets
            .iter()
            .any(|target| target.check.needs_system_roots())
    }
}

/// Targets, each once.
#[derive(Default)]
struct Targets {
    list: Vec<ProbeTarget>,
    known: HashSet<TargetKey>,
}

/// The checks of one service as probes, each made once.
struct Checks<'c> {
    config: &'c Config,
    service: &'c Name,
    made: Vec<(CheckId, Arc<HealthCheck>)>,
    targets: &'c mut Targets,
}

impl Checks<'_> {
    /// Whom a check asks about an endpoint. Combinations have no circles and few parts: the configuration sees to that.
    fn ask(&mut self, id: CheckId, address: IpAddr, port: Option<u16>) -> Option<ProbeRef> {
        let check = self.config.checks.get(usize::from(id.0))?;
        if let CheckKind::Combined { rule, parts } = &check.kind {
            let parts = parts
                .iter()
                .filter_map(|part| self.ask(*part, address, None))
                .collect();
            return Some(ProbeRef::Several(*rule, parts));
        }
        let made = self
            .made
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, made)| made.clone());
        let made = made.unwrap_or_else(|| {
            let made = Arc::new(probe_of(check, self.service));
            self.made.push((id, made.clone()));
            made
        });
        let target = ProbeTarget {
            address: SocketAddr::new(address, port.unwrap_or(check.port)),
            check: made,
        };
        let key = target.key();
        if self.targets.known.insert(key.clone()) {
            self.targets.list.push(target);
        }
        Some(ProbeRef::One(key))
    }
}

impl Checks<'_> {
    /// Whom a check asks about a name: every address of it, of which one must be good.
    fn ask_all(
        &mut self,
        id: CheckId,
        name: &Name,
        names: &KnownNames,
        port: Option<u16>,
    ) -> ProbeRef {
        let addresses = names
            .get(name)
            .map_or_else(Vec::new, ResolvedName::addresses);
        if addresses.is_empty() {
            return nobody(name, names.get(name), true);
        }
        let parts = addresses
            .iter()
            .filter_map(|address| self.ask(id, *address, port))
            .collect();
        ProbeRef::Several(CheckCombination::Any, parts)
    }
}

/// Of a name there is no address to be asked, or not all that there should be.
fn nobody(name: &Name, known: Option<&ResolvedName>, private_targets: bool) -> ProbeRef {
    let known = known.cloned().unwrap_or_default();
    let verdict = if known.untried() == 0 {
        HealthState::Down
    } else {
        HealthState::Unknown
    };
    let reason = known
        .complaint()
        .or_else(|| refusal(&known).filter(|_| !private_targets));
    let reason = reason.unwrap_or_else(|| {
        "has only addresses that are endpoints of the service already".to_owned()
    });
    ProbeRef::Nobody {
        verdict,
        reason: format!("{name} {reason}"),
    }
}

/// Why some addresses of an alias are not given; `None`: they may be.
fn refusal(known: &ResolvedName) -> Option<String> {
    let private: Vec<String> = known
        .addresses()
        .iter()
        .filter(|address| is_private(**address))
        .map(ToString::to_string)
        .collect();
    let listed = private.join(", ");
    (!private.is_empty()).then(|| {
        format!("comes to {listed}, private space that its clients cannot reach; private_targets = true allows that")
    })
}

fn least_ttl(service: &config::ServiceConfig, names: &KnownNames) -> Option<u32> {
    let endpoints = service.regions.iter().flat_map(|region| &region.endpoints);
    endpoints
        .filter_map(|endpoint| names.get(endpoint.alias.as_ref()?)?.ttl())
        .min()
}

/// The host that a service's endpoints are asked for; `*` would be refused by servers and certificates alike.
fn host_of(service: &Name) -> String {
    let service = service.to_string();
    service
        .strip_prefix("*.")
        .map(|parent| format!("www.{parent}"))
        .unwrap_or(service)
}

fn probe_of(check: &config::CheckConfig, service: &Name) -> HealthCheck {
    let (stated, probe) = match &check.kind {
        CheckKind::Http {
            host,
            certificate,
            path,
            method,
            headers,
            expect,
        } => {
            let (name, tls) = named(host, certificate, service);
            let (path, headers, expect) = (path.clone(), headers.clone(), expect.clone());
            (
                host.is_some(),
                ProbeKind::Http(HttpCheck {
                    tls,
                    method: *method,
                    path,
                    host: Some(name),
                    headers,
                    expect,
                }),
            )
        }
        CheckKind::Tls { host, certificate } => {
            match named(host, &Some(certificate.clone()), service).1 {
                Some(tls) => (host.is_some(), ProbeKind::Tls(tls)),
                None => (true, ProbeKind::Tcp),
            }
        }
        CheckKind::Grpc {
            host,
            certificate,
            headers,
            service: about,
        } => {
            let (name, tls) = named(host, certificate, service);
            let (headers, about) = (headers.clone(), about.clone());
            (
                host.is_some(),
                ProbeKind::Grpc(GrpcCheck {
                    tls,
                    host: Some(name),
                    headers,
                    service: about,
                }),
            )
        }
        CheckKind::Dns { query, rtype } => {
            let name = query
                .clone()
                .or_else(|| Name::parse(&host_of(service), &Name::root()).ok());
            (
                query.is_some(),
                ProbeKind::Dns(DnsCheck {
                    name: name.unwrap_or_else(Name::root),
                    rtype: *rtype,
                }),
            )
        }
        CheckKind::Exec { program, arguments } => (
            true,
            ProbeKind::Exec(ExecCheck {
                program: program.clone(),
                arguments: arguments.clone(),
            }),
        ),
        CheckKind::Tcp | CheckKind::Combined { .. } => (true, ProbeKind::Tcp),
    };
    // Two services that leave the host to the default ask differently, so they are two probes with two names.
    let name = if stated {
        check.name.clone()
    } else {
        format!("{} {}", check.name, host_of(service))
    };
    HealthCheck {
        name: name.into(),
        rules: check.rules.clone(),
        probe,
    }
}

/// The host that is asked for, and TLS for its name.
fn named(
    host: &Option<String>,
    certificate: &Option<CertificateRule>,
    service: &Name,
) -> (String, Option<CheckTls>) {
    let host = host.clone().unwrap_or_else(|| host_of(service));
    let name = without_port(&host).to_owned();
    let tls = certificate.clone().map(|certificate| CheckTls {
        name: Some(name),
        certificate,
    });
    (host, tls)
}

/// The name that a certificate must be for: a host without its port, an IPv6 address without its brackets.
fn without_port(host: &str) -> &str {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or(bracketed);
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn plan(text: &str) -> ProbePlan {
        ProbePlan::of(
            &config::parse(text, Path::new("meridian.toml"))
                .unwrap()
                .config,
            &KnownNames::new(),
        )
    }

    const REGIONS: &str = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n";

    fn two_services(check: &str) -> ProbePlan {
        let service = |name: &str| {
            format!(
                "[[services]]\nname = \"{name}.example.com\"\ncheck = \"web\"\n[services.endpoints]\n\
                 fra = [\"192.0.2.1\", {{ address = \"2001:db8::1\", port = 8080 }}]\niad = {{ cname = \"x.example.net\" }}\n"
            )
        };
        plan(&format!(
            "{REGIONS}[checks.web]\n{check}\n{}{}",
            service("www"),
            service("*")
        ))
    }

    #[test]
    fn services_that_ask_the_same_share_a_probe() {
        for check in ["type = \"http\"\nhost = \"h\"", "type = \"tcp\"\nport = 80"] {
            let plan = two_services(check);
            let addresses: Vec<String> = plan
                .targets
                .iter()
                .map(|target| target.address.to_string())
                .collect();
            assert_eq!(addresses, ["192.0.2.1:80", "[2001:db8::1]:8080"], "{check}");
            assert_eq!(plan.places(&plan.targets[0].key()), [(0, 0), (1, 0)]);
            let Some(ProbeRef::Nobody { verdict, reason }) = plan.asked(0, 1, 0) else {
                panic!("{plan:?}")
            };
            assert_eq!(
                (*verdict, reason.as_str()),
                (
                    HealthState::Unknown,
                    "x.example.net does not resolve: no answer yet"
                )
            );
        }
    }

    #[test]
    fn combinations_come_to_their_probes_and_the_deciding_one_is_known() {
        let checks = "[checks.web]\ntype = \"http\"\nhost = \"h\"\n[checks.db]\ntype = \"tcp\"\nport = 5432\n\
                      [checks.dns]\ntype = \"dns\"\n[checks.some]\nat_least = 1\nof = [\"db\", \"dns\"]\n\
                      [checks.both]\nall = [\"web\", \"some\"]\n";
        let service = "[[services]]\nname = \"www.example.com\"\ncheck = \"both\"\n[services.endpoints]\n\
                       fra = \"192.0.2.1\"\niad = { address = \"192.0.2.2\", check = \"web\" }\n";
        let plan = plan(&format!("{REGIONS}{checks}{service}"));
        let asked: Vec<String> = plan
            .targets
            .iter()
            .map(|target| format!("{} {}", target.check.name, target.address))
            .collect();
        let expected = [
            "web 192.0.2.1:80",
            "db 192.0.2.1:5432",
            "dns www.example.com 192.0.2.1:53",
            "web 192.0.2.2:80",
        ];
        assert_eq!(asked, expected);
        let health = |verdict| TargetHealth {
            state: verdict,
            lasting: std::time::Duration::ZERO,
            observed_ago: None,
            last: None,
            not_made: None,
            settled: true,
            held: false,
            flip_possible_in: std::time::Duration::ZERO,
        };
        let mut known: HashMap<TargetKey, TargetHealth> = plan
            .targets
            .iter()
            .map(|target| (target.key(), health(HealthState::Up)))
            .collect();
        let both = plan.asked(0, 0, 0).unwrap();
        known.insert(plan.targets[1].key(), health(HealthState::Down));
        assert_eq!(
            both.deciding(&known, Evidence::Agreed).unwrap().1,
            HealthState::Up,
            "one of db and dns is enough"
        );
        known.insert(plan.targets[2].key(), health(HealthState::Down));
        let (key, verdict) = both.deciding(&known, Evidence::Agreed).unwrap();
        assert_eq!((key.check.as_ref(), verdict), ("db", HealthState::Down));
        assert_eq!(plan.places(&plan.targets[2].key()), [(0, 0)]);
    }

    #[test]
    fn the_host_is_the_services_name() {
        let plan = two_services("type = \"https\"");
        let hosts: Vec<(String, String)> = plan.targets.iter().map(host_and_name).collect();
        assert_eq!(plan.targets.len(), 2, "the wildcard is asked as www, too");
        assert_eq!(
            hosts[0],
            ("www.example.com".to_owned(), "www.example.com".to_owned())
        );
        assert!(plan.needs_system_roots() && plan.targets[0].address.port() == 443);
        let stated = two_services("type = \"https\"\nhost = \"[2001:db8::9]:8443\"");
        assert_eq!(
            host_and_name(&stated.targets[0]),
            ("[2001:db8::9]:8443".to_owned(), "2001:db8::9".to_owned())
        );
        assert_eq!(
            ["h:80", "h", "2001:db8::1"].map(without_port),
            ["h", "h", "2001:db8::1"]
        );
    }

    fn host_and_name(target: &ProbeTarget) -> (String, String) {
        let ProbeKind::Http(http) = &target.check.probe else {
            panic!("{target:?}")
        };
        (
            http.host.clone().unwrap(),
            http.tls.clone().unwrap().name.unwrap(),
        )
    }
}

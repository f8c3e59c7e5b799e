//! Plans the probes of a configuration.
//!
//! [`ProbePlan::of`] turns the checks of each service into probe targets, and records which
//! probes each endpoint depends on. Endpoints that are probed in the same way share one probe,
//! also across services. A check may combine other checks; the configuration guarantees that
//! combinations have no circles. Endpoints that are names are probed at every known address.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::catalog::keys::{ByRegion, EndpointKey, RegionKey};
use crate::config::{self, CheckId, CheckKind, Config, Endpoint, EndpointTarget, TargetHost};
use crate::dns::Name;
use crate::health::check::{
    CertificateRule, CheckTls, DnsCheck, ExecCheck, GrpcCheck, HealthCheck, HttpCheck, ProbeKind,
    ProbeTarget, TargetKey,
};
use crate::health::fold::{self, CheckCombination};
use crate::health::machine::{HealthState, ProbeResult};
use crate::health::monitor::TargetHealth;
use crate::resolve::{KnownNames, ResolvedName, is_private};

/// The probes of one configuration and of the addresses that its names resolve to. Endpoints of
/// several services that are probed in the same way share one probe.
#[derive(Debug, Clone, Default)]
pub struct ProbePlan {
    /// Each target once.
    pub targets: Vec<ProbeTarget>,
    /// The probe of each endpoint, as listed. `None`: there is none, so the endpoint counts as up.
    probes: ByRegion<Vec<Option<ProbeRef>>>,
    /// By service, the least TTL of the names that its aliases resolve to, in seconds.
    ttls: Vec<Option<u32>>,
}

/// The probes that an endpoint depends on.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeRef {
    /// One probe.
    One(TargetKey),
    /// A combination of probes.
    Several(CheckCombination, Vec<ProbeRef>),
    /// No probe: the endpoint is a name without a usable address.
    NotProbed {
        /// Unknown until the name was resolved for the first time.
        state: HealthState,
        /// The reason, for messages.
        reason: String,
    },
}

/// How the state of a target is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The agreed state, including a state that is held.
    Agreed,
    /// A held state counts as down, because clients can go to another region.
    Unheld,
    /// Like `Unheld`, but a good last probe counts as up, even before the state changes.
    LastSeen,
}

impl Evidence {
    fn state_of(self, target: &TargetHealth) -> HealthState {
        if self == Evidence::Agreed {
            return target.state;
        }
        if target.held {
            return HealthState::Down;
        }
        if self == Evidence::LastSeen
            && !target.state.serves()
            && let Some(last) = &target.last
            && last.result != ProbeResult::Fail
        {
            return HealthState::Up;
        }
        target.state
    }
}

impl ProbeRef {
    /// The health state by the known targets. `None` only where there is no probe.
    pub fn state(
        &self,
        known: &HashMap<TargetKey, TargetHealth>,
        evidence: Evidence,
    ) -> Option<HealthState> {
        match self {
            ProbeRef::NotProbed { state, .. } => Some(*state),
            probes => probes.deciding(known, evidence).map(|(_, state)| state),
        }
    }

    /// The probe that decides by the known targets, with its state. `None` if there is no probe.
    pub fn deciding(
        &self,
        known: &HashMap<TargetKey, TargetHealth>,
        evidence: Evidence,
    ) -> Option<(&TargetKey, HealthState)> {
        match self {
            ProbeRef::NotProbed { .. } => None,
            ProbeRef::One(key) => {
                let state = match known.get(key) {
                    Some(target) => evidence.state_of(target),
                    None => HealthState::Unknown,
                };
                Some((key, state))
            }
            ProbeRef::Several(rule, parts) => {
                let mut keys = Vec::with_capacity(parts.len());
                let mut states = Vec::with_capacity(parts.len());
                for part in parts {
                    if let Some((key, state)) = part.deciding(known, evidence) {
                        keys.push(key);
                        states.push(state);
                    }
                }
                let decisive = fold::deciding(*rule, &states)?;
                Some((*keys.get(decisive)?, *states.get(decisive)?))
            }
        }
    }

    /// Calls `each` with every probe.
    pub fn for_each<'a>(&'a self, each: &mut dyn FnMut(&'a TargetKey)) {
        match self {
            ProbeRef::NotProbed { .. } => {}
            ProbeRef::One(key) => each(key),
            ProbeRef::Several(_, parts) => {
                for part in parts {
                    part.for_each(each);
                }
            }
        }
    }

    /// Every probe that this depends on.
    pub fn targets(&self) -> Vec<&TargetKey> {
        let mut targets = Vec::new();
        self.for_each(&mut |key| targets.push(key));
        targets
    }

    fn depends_on(&self, key: &TargetKey) -> bool {
        self.targets().contains(&key)
    }
}

impl ProbePlan {
    /// Plans the probes of a configuration, with the known addresses of its names.
    pub fn of(config: &Config, names: &KnownNames) -> ProbePlan {
        let mut targets = Targets::default();
        let mut probes = ByRegion::new();
        let mut ttls = Vec::with_capacity(config.services.len());
        for service in &config.services {
            let mut checks = Checks {
                config,
                names,
                service,
                made: Vec::new(),
                targets: &mut targets,
            };
            let mut regions = Vec::with_capacity(service.regions.len());
            for region in &service.regions {
                let mut probes = Vec::with_capacity(region.endpoints.len());
                for endpoint in &region.endpoints {
                    probes.push(checks.probe_endpoint(endpoint));
                }
                regions.push(probes);
            }
            probes.push_service(regions);
            ttls.push(least_ttl(service, names));
        }
        ProbePlan {
            targets: targets.list,
            probes,
            ttls,
        }
    }

    /// The longest TTL that the aliases of a service allow for its answers, in seconds. `None`: it
    /// has no resolved alias.
    pub fn longest_ttl(&self, service: usize) -> Option<u32> {
        self.ttls.get(service).copied().flatten()
    }

    /// The probes that an endpoint depends on.
    pub fn probes_of(&self, key: EndpointKey) -> Option<&ProbeRef> {
        self.probes.get(key.region)?.get(key.endpoint)?.as_ref()
    }

    /// Every region with an endpoint that depends on a target.
    pub fn places(&self, key: &TargetKey) -> Vec<RegionKey> {
        let mut places = Vec::new();
        for (place, probes) in self.probes.iter() {
            if probes.iter().flatten().any(|probe| probe.depends_on(key)) {
                places.push(place);
            }
        }
        places
    }

    /// Whether some probe verifies a certificate with the roots of the system.
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
    names: &'c KnownNames,
    service: &'c config::ServiceConfig,
    made: Vec<(CheckId, Arc<HealthCheck>)>,
    targets: &'c mut Targets,
}

impl Checks<'_> {
    /// The probes of one endpoint; `None` if it has no check.
    fn probe_endpoint(&mut self, endpoint: &Endpoint) -> Option<ProbeRef> {
        match &endpoint.target {
            EndpointTarget::Address(address) => {
                self.probe_address(endpoint.check?, *address, endpoint.port)
            }
            EndpointTarget::Name(name) | EndpointTarget::Host(TargetHost { name, .. }) => {
                Some(self.probe_name(endpoint.check?, name, endpoint.port))
            }
            EndpointTarget::Alias(name) => {
                let known = self.names.get(name);
                Some(unresolved(name, known, self.service.private_targets))
            }
        }
    }

    /// The probes that a check makes of an address. The configuration guarantees that combinations
    /// have no circles and few parts.
    fn probe_address(
        &mut self,
        id: CheckId,
        address: IpAddr,
        port: Option<u16>,
    ) -> Option<ProbeRef> {
        let check = self.config.checks.get(usize::from(id.0))?;
        if let CheckKind::Combined { rule, parts } = &check.kind {
            let mut probes = Vec::with_capacity(parts.len());
            for part in parts {
                probes.extend(self.probe_address(*part, address, None));
            }
            return Some(ProbeRef::Several(*rule, probes));
        }
        let made = match self.made.iter().find(|(known, _)| *known == id) {
            Some((_, made)) => made.clone(),
            None => {
                let made = Arc::new(probe_of(check, &self.service.name));
                self.made.push((id, made.clone()));
                made
            }
        };
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

    /// The probes that a check makes of a name: one of each address, of which one must be good.
    fn probe_name(&mut self, id: CheckId, name: &Name, port: Option<u16>) -> ProbeRef {
        let known = self.names.get(name);
        let addresses = known.map_or_else(Vec::new, ResolvedName::addresses);
        if addresses.is_empty() {
            return unresolved(name, known, true);
        }
        let mut probes = Vec::with_capacity(addresses.len());
        for address in addresses {
            probes.extend(self.probe_address(id, address, port));
        }
        ProbeRef::Several(CheckCombination::Any, probes)
    }
}

/// Replaces the probes of a name without a usable address.
fn unresolved(name: &Name, known: Option<&ResolvedName>, private_targets: bool) -> ProbeRef {
    let known = known.cloned().unwrap_or_default();
    let state = if known.untried() == 0 {
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
    ProbeRef::NotProbed {
        state,
        reason: format!("{name} {reason}"),
    }
}

/// Why some addresses of an alias may not be used; `None`: all may be used.
fn refusal(known: &ResolvedName) -> Option<String> {
    let mut private = known.addresses();
    private.retain(|address| is_private(*address));
    if private.is_empty() {
        return None;
    }
    let listed: Vec<String> = private.iter().map(ToString::to_string).collect();
    let listed = listed.join(", ");
    Some(format!(
        "comes to {listed}, private space that its clients cannot reach; \
         private_targets = true allows that"
    ))
}

fn least_ttl(service: &config::ServiceConfig, names: &KnownNames) -> Option<u32> {
    let mut least: Option<u32> = None;
    for region in &service.regions {
        for endpoint in &region.endpoints {
            let alias = endpoint.alias.as_ref();
            if let Some(ttl) = alias.and_then(|alias| names.get(alias)?.ttl()) {
                least = Some(least.map_or(ttl, |least| least.min(ttl)));
            }
        }
    }
    least
}

/// The host name that probes of a service send. Servers and certificates refuse `*`.
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
    // Without a stated host, each service sends its own, so its probe needs a name of its own.
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

/// The host name that a probe sends, and TLS for that name.
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

/// The name that a certificate must be for: the host without its port, or the IPv6 address without
/// its brackets.
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

    fn region(service: usize, region: usize) -> RegionKey {
        RegionKey { service, region }
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
            assert_eq!(
                plan.places(&plan.targets[0].key()),
                [region(0, 0), region(1, 0)]
            );
            let Some(ProbeRef::NotProbed { state, reason }) =
                plan.probes_of(region(0, 1).endpoint(0))
            else {
                panic!("{plan:?}")
            };
            assert_eq!(
                (*state, reason.as_str()),
                (
                    HealthState::Unknown,
                    "x.example.net does not resolve: no answer yet"
                )
            );
        }
    }

    #[test]
    fn a_combination_names_the_probe_that_decides() {
        let checks = "[checks.web]\ntype = \"http\"\nhost = \"h\"\n[checks.db]\ntype = \"tcp\"\nport = 5432\n\
                      [checks.dns]\ntype = \"dns\"\n[checks.some]\nat_least = 1\nof = [\"db\", \"dns\"]\n\
                      [checks.both]\nall = [\"web\", \"some\"]\n";
        let service = "[[services]]\nname = \"www.example.com\"\ncheck = \"both\"\n[services.endpoints]\n\
                       fra = \"192.0.2.1\"\niad = { address = \"192.0.2.2\", check = \"web\" }\n";
        let plan = plan(&format!("{REGIONS}{checks}{service}"));
        let probes: Vec<String> = plan
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
        assert_eq!(probes, expected);
        let health = |state| TargetHealth {
            state,
            lasting: std::time::Duration::ZERO,
            observed_ago: None,
            last: None,
            not_made: None,
            settled: true,
            held: false,
            flip_possible_in: std::time::Duration::ZERO,
            outvoted: false,
        };
        let mut known: HashMap<TargetKey, TargetHealth> = plan
            .targets
            .iter()
            .map(|target| (target.key(), health(HealthState::Up)))
            .collect();
        let both = plan.probes_of(region(0, 0).endpoint(0)).unwrap();
        known.insert(plan.targets[1].key(), health(HealthState::Down));
        assert_eq!(
            both.deciding(&known, Evidence::Agreed).unwrap().1,
            HealthState::Up,
            "one of db and dns is enough"
        );
        known.insert(plan.targets[2].key(), health(HealthState::Down));
        let (key, state) = both.deciding(&known, Evidence::Agreed).unwrap();
        assert_eq!((key.check.as_ref(), state), ("db", HealthState::Down));
        assert_eq!(plan.places(&plan.targets[2].key()), [region(0, 0)]);
    }

    #[test]
    fn the_host_is_the_services_name() {
        let plan = two_services("type = \"https\"");
        let hosts: Vec<(String, String)> = plan.targets.iter().map(host_and_name).collect();
        assert_eq!(plan.targets.len(), 2, "the wildcard is probes as www, too");
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

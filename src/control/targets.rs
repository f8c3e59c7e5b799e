//! Targets: whom the configuration wants to be probed, and which endpoint rests on which probe.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::{self, CheckId, CheckKind, Config, Endpoint};
use crate::health::check::{Check, Expect, Http, Probe, Target, TargetKey, Tls};
use crate::health::verdict::Rules;

/// The probes of one configuration. Endpoints of several services that are asked the same are one probe.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Each once.
    pub targets: Vec<Target>,
    /// By service, region and endpoint as listed; `None`: nothing is asked, so the endpoint counts as up.
    keys: Vec<Vec<Vec<Option<TargetKey>>>>,
}

impl Plan {
    /// Works out whom to ask.
    pub fn of(config: &Config) -> Plan {
        let mut plan = Plan::default();
        let mut known = HashSet::new();
        for service in &config.services {
            let mut checks = Checks { config, host: host_of(&service.name.to_string()), made: Vec::new() };
            let mut key = |endpoint: &Endpoint| {
                let target = checks.target(endpoint)?;
                let key = target.key();
                if known.insert(key.clone()) {
                    plan.targets.push(target);
                }
                Some(key)
            };
            let mut regions = Vec::with_capacity(service.regions.len());
            for region in &service.regions {
                regions.push(region.endpoints.iter().map(&mut key).collect());
            }
            plan.keys.push(regions);
        }
        plan
    }

    /// The probe that an endpoint rests on.
    pub fn key(&self, service: usize, region: usize, endpoint: usize) -> Option<&TargetKey> {
        self.keys.get(service)?.get(region)?.get(endpoint)?.as_ref()
    }

    /// Service and region of every endpoint that rests on a probe.
    pub fn places(&self, key: &TargetKey) -> Vec<(usize, usize)> {
        let mut places = Vec::new();
        for (service, regions) in self.keys.iter().enumerate() {
            let rests =
                |(_, endpoints): &(usize, &Vec<Option<TargetKey>>)| endpoints.iter().flatten().any(|it| it == key);
            places.extend(regions.iter().enumerate().filter(rests).map(|(region, _)| (service, region)));
        }
        places
    }

    /// Whether some probe verifies a certificate.
    pub fn verifies(&self) -> bool {
        self.targets.iter().any(|target| matches!(&target.check.probe, Probe::Http(http) if http.tls.is_some()))
    }
}

/// The checks of one service as probes, each made once.
struct Checks<'c> {
    config: &'c Config,
    host: String,
    made: Vec<(CheckId, Arc<Check>)>,
}

impl Checks<'_> {
    fn target(&mut self, endpoint: &Endpoint) -> Option<Target> {
        let config::Target::Address(address) = endpoint.target else { return None };
        let id = endpoint.check?;
        let check = self.config.checks.get(usize::from(id.0))?;
        let made = self.made.iter().find(|(known, _)| *known == id).map(|(_, made)| made.clone());
        let made = made.unwrap_or_else(|| {
            let made = Arc::new(probe_of(check, &self.host));
            self.made.push((id, made.clone()));
            made
        });
        Some(Target { address: SocketAddr::new(address, endpoint.port.unwrap_or(check.port)), check: made })
    }
}

/// The host that a service's endpoints are asked for; `*` would be refused by servers and certificates alike.
fn host_of(service: &str) -> String {
    service.strip_prefix("*.").map_or_else(|| service.to_owned(), |parent| format!("www.{parent}"))
}

fn probe_of(check: &config::Check, service_host: &str) -> Check {
    let rules = Rules {
        interval: check.interval,
        timeout: check.timeout,
        fall: check.fall,
        rise: check.rise,
        ..Rules::default()
    };
    // Two services that leave the host to the default ask differently, so they are two probes with two names.
    let named = |host: &Option<String>| match host {
        Some(_) => check.name.clone(),
        None => format!("{} {service_host}", check.name),
    };
    let host_or = |host: &Option<String>| host.clone().unwrap_or_else(|| service_host.to_owned());
    let (name, probe) = match &check.kind {
        CheckKind::Tcp => (check.name.clone(), Probe::Tcp),
        CheckKind::Http { path, host, expect } => (named(host), http(path, host_or(host), expect, false)),
        CheckKind::Https { path, host, expect } => (named(host), http(path, host_or(host), expect, true)),
    };
    Check { name: name.into(), rules, probe }
}

fn http(path: &str, host: String, expect: &config::Expect, secure: bool) -> Probe {
    let tls = secure.then(|| Tls { name: Some(without_port(&host).to_owned()), verify: true });
    let expect = Expect { status: expect.status.clone(), body: expect.body.clone(), ..Expect::default() };
    Probe::Http(Http { tls, path: path.to_owned(), host: Some(host), expect })
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

    fn plan(text: &str) -> Plan {
        Plan::of(&config::parse(text, Path::new("meridian.toml")).unwrap().config)
    }

    const REGIONS: &str = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n";

    fn two_services(check: &str) -> Plan {
        let service = |name: &str| {
            format!(
                "[[services]]\nname = \"{name}.example.com\"\ncheck = \"web\"\n[services.endpoints]\n\
                 fra = [\"192.0.2.1\", {{ address = \"2001:db8::1\", port = 8080 }}]\niad = {{ cname = \"x.example.net\" }}\n"
            )
        };
        plan(&format!("{REGIONS}[checks.web]\n{check}\n{}{}", service("www"), service("*")))
    }

    #[test]
    fn services_that_ask_the_same_share_a_probe() {
        for check in ["type = \"http\"\nhost = \"h\"", "type = \"tcp\"\nport = 80"] {
            let plan = two_services(check);
            let addresses: Vec<String> = plan.targets.iter().map(|target| target.address.to_string()).collect();
            assert_eq!(addresses, ["192.0.2.1:80", "[2001:db8::1]:8080"], "{check}");
            assert_eq!(plan.places(&plan.targets[0].key()), [(0, 0), (1, 0)]);
            assert_eq!(plan.key(0, 1, 0), None, "a name is not asked");
        }
    }

    #[test]
    fn the_host_is_the_services_name() {
        let plan = two_services("type = \"https\"");
        let hosts: Vec<(String, String)> = plan.targets.iter().map(host_and_name).collect();
        assert_eq!(plan.targets.len(), 2, "the wildcard is asked as www, too");
        assert_eq!(hosts[0], ("www.example.com".to_owned(), "www.example.com".to_owned()));
        assert!(plan.verifies() && plan.targets[0].address.port() == 443);
        let stated = two_services("type = \"https\"\nhost = \"[2001:db8::9]:8443\"");
        assert_eq!(host_and_name(&stated.targets[0]), ("[2001:db8::9]:8443".to_owned(), "2001:db8::9".to_owned()));
        assert_eq!(["h:80", "h", "2001:db8::1"].map(without_port), ["h", "h", "2001:db8::1"]);
    }

    fn host_and_name(target: &Target) -> (String, String) {
        let Probe::Http(http) = &target.check.probe else { panic!("{target:?}") };
        (http.host.clone().unwrap(), http.tls.clone().unwrap().name.unwrap())
    }
}

//! The checks of a service in words, for `GET /v1/status?rules=true`.
//!
//! A check becomes one [`CheckFacts`]: a phrase such as `HTTPS GET /health, port 443`, its timing
//! and its thresholds. Nothing here shows a secret: queries of paths, headers and arguments of
//! programs are left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::values::duration_text;
use crate::config::{CheckConfig, CheckId, CheckKind, Config, ServiceConfig};
use crate::health::check::HttpMethod;
use crate::health::fold::CheckCombination;

/// One check. Keys are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckFacts {
    /// The name of the check.
    pub name: String,
    /// What a probe does: `HTTP GET /health, port 8080`, `all of web, port`. The query of a path,
    /// headers and arguments are left out, because they may be secret.
    pub asks: String,
    /// The longest time between two probes; absent for a combination, like all keys that follow.
    pub interval: Option<String>,
    /// Time limit of one probe.
    pub timeout: Option<String>,
    /// Failures in a row until down.
    pub fall: Option<u32>,
    /// Successes in a row until up.
    pub rise: Option<u32>,
}

/// The checks of a service's endpoints, combinations before their parts, each once.
pub fn checks_of(config: &Config, service: &ServiceConfig) -> Vec<CheckFacts> {
    let mut listed = CheckList {
        config,
        checks: Vec::new(),
    };
    for region in &service.regions {
        for endpoint in &region.endpoints {
            if let Some(check) = endpoint.check {
                listed.add(check);
            }
        }
    }
    let mut facts = Vec::new();
    for id in listed.checks {
        if let Some(check) = config.checks.get(usize::from(id.0)) {
            facts.push(CheckFacts::of(config, check));
        }
    }
    facts
}

/// The checks found so far, each once.
struct CheckList<'c> {
    config: &'c Config,
    checks: Vec<CheckId>,
}

impl CheckList<'_> {
    /// Adds a check and its parts. The recursion is short: the configuration refuses combinations
    /// that contain themselves or have many parts.
    fn add(&mut self, id: CheckId) {
        if self.checks.contains(&id) {
            return;
        }
        self.checks.push(id);
        let config = self.config;
        if let Some(check) = config.checks.get(usize::from(id.0))
            && let CheckKind::Combined { parts, .. } = &check.kind
        {
            for part in parts {
                self.add(*part);
            }
        }
    }
}

impl CheckFacts {
    fn of(config: &Config, check: &CheckConfig) -> CheckFacts {
        let facts = CheckFacts {
            name: check.name.clone(),
            asks: asks(config, check),
            ..CheckFacts::default()
        };
        if matches!(check.kind, CheckKind::Combined { .. }) {
            return facts;
        }
        CheckFacts {
            interval: Some(duration_text(check.rules.interval)),
            timeout: Some(duration_text(check.rules.timeout)),
            fall: Some(check.rules.fall),
            rise: Some(check.rules.rise),
            ..facts
        }
    }
}

fn asks(config: &Config, check: &CheckConfig) -> String {
    let port = check.port;
    match &check.kind {
        CheckKind::Http {
            certificate,
            path,
            method,
            ..
        } => {
            let scheme = if certificate.is_some() {
                "HTTPS"
            } else {
                "HTTP"
            };
            let method = method_word(*method);
            match path.split_once('?') {
                Some((path, _)) => format!("{scheme} {method} {path}?..., port {port}"),
                None => format!("{scheme} {method} {path}, port {port}"),
            }
        }
        CheckKind::Tcp => format!("a TCP connection, port {port}"),
        CheckKind::Tls { .. } => format!("a TLS handshake, port {port}"),
        CheckKind::Grpc {
            certificate,
            service,
            ..
        } => {
            let about = if service.is_empty() {
                "the server"
            } else {
                service
            };
            let over = if certificate.is_some() {
                " over TLS"
            } else {
                ""
            };
            format!("gRPC health of {about}{over}, port {port}")
        }
        CheckKind::Dns { query, rtype } => match query {
            Some(query) => format!("DNS {query} {rtype}, port {port}"),
            None => format!("DNS the service {rtype}, port {port}"),
        },
        CheckKind::Exec { program, .. } => format!("the program {}", program.display()),
        CheckKind::Combined { rule, parts } => {
            format!("{} of {}", how_many(rule), names(config, parts).join(", "))
        }
    }
}

fn how_many(rule: &CheckCombination) -> String {
    match rule {
        CheckCombination::All => "all".to_owned(),
        CheckCombination::Any => "any".to_owned(),
        CheckCombination::AtLeast(least) => format!("at least {least}"),
    }
}

fn names<'c>(config: &'c Config, checks: &[CheckId]) -> Vec<&'c str> {
    let mut names = Vec::new();
    for id in checks {
        if let Some(check) = config.checks.get(usize::from(id.0)) {
            names.push(check.name.as_str());
        }
    }
    names
}

fn method_word(method: HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Head => "HEAD",
        HttpMethod::Options => "OPTIONS",
        HttpMethod::Post => "POST",
    }
}

//! What the endpoints of a service are asked, in words: the checks of `GET /v1/status?rules=true`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::values::duration_text;
use crate::config::{CheckConfig, CheckId, CheckKind, Config, ServiceConfig};
use crate::health::check::HttpMethod;
use crate::health::fold::CheckCombination;

/// One check. Keys are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckFacts {
    /// Its name.
    pub name: String,
    /// What is asked, for people: `HTTP GET /health, port 8080`, `all of web, port`. What follows `?` in a path is left
    /// out, and so are headers and arguments: they may be secret.
    pub asks: String,
    /// The longest time between two probes; absent for a combination, like all that follows.
    pub interval: Option<String>,
    /// Limit of one probe.
    pub timeout: Option<String>,
    /// Failures in a row until down.
    pub fall: Option<u32>,
    /// Successes in a row until up.
    pub rise: Option<u32>,
}

/// The checks of a service's endpoints, combinations before their parts, each once.
pub fn checks_of(config: &Config, service: &ServiceConfig) -> Vec<CheckFacts> {
    let endpoints = service.regions.iter().flat_map(|region| &region.endpoints);
    let mut listed: Vec<CheckId> = Vec::new();
    endpoints
        .filter_map(|endpoint| endpoint.check)
        .for_each(|check| list(config, check, &mut listed));
    listed
        .iter()
        .filter_map(|check| config.checks.get(usize::from(check.0)))
        .map(|check| facts(config, check))
        .collect()
}

/// Combinations have no circles and few parts: the configuration sees to that.
fn list(config: &Config, id: CheckId, listed: &mut Vec<CheckId>) {
    if listed.contains(&id) {
        return;
    }
    listed.push(id);
    if let Some(CheckConfig {
        kind: CheckKind::Combined { parts, .. },
        ..
    }) = config.checks.get(usize::from(id.0))
    {
        parts.iter().for_each(|part| list(config, *part, listed));
    }
}

fn facts(config: &Config, check: &CheckConfig) -> CheckFacts {
    let is_combined = matches!(check.kind, CheckKind::Combined { .. });
    let time = |time: Duration| (!is_combined).then(|| duration_text(time));
    CheckFacts {
        name: check.name.clone(),
        asks: asks(config, check),
        interval: time(check.rules.interval),
        timeout: time(check.rules.timeout),
        fall: (!is_combined).then_some(check.rules.fall),
        rise: (!is_combined).then_some(check.rules.rise),
    }
}

fn asks(config: &Config, check: &CheckConfig) -> String {
    let over = |certificate: bool| if certificate { " over TLS" } else { "" };
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
            let (path, more) = path
                .split_once('?')
                .map_or((path.as_str(), ""), |(path, _)| (path, "?..."));
            format!(
                "{scheme} {} {path}{more}, port {port}",
                method_word(*method)
            )
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
            format!(
                "gRPC health of {about}{}, port {port}",
                over(certificate.is_some())
            )
        }
        CheckKind::Dns { query, rtype } => {
            let query = query
                .as_ref()
                .map_or_else(|| "the service".to_owned(), ToString::to_string);
            format!("DNS {query} {rtype}, port {port}")
        }
        CheckKind::Exec { program, .. } => format!("the program {}", program.display()),
        CheckKind::Combined { rule, parts } => {
            let names = parts
                .iter()
                .filter_map(|part| config.checks.get(usize::from(part.0)));
            let names: Vec<&str> = names.map(|check| check.name.as_str()).collect();
            let many = match rule {
                CheckCombination::All => "all".to_owned(),
                CheckCombination::Any => "any".to_owned(),
                CheckCombination::AtLeast(least) => format!("at least {least}"),
            };
            format!("{many} of {}", names.join(", "))
        }
    }
}

fn method_word(method: HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Head => "HEAD",
        HttpMethod::Options => "OPTIONS",
        HttpMethod::Post => "POST",
    }
}

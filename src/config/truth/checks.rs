//! `[checks.*]`: how the health of endpoints is probed.
//!
//! A check either probes endpoints or combines other checks, which `combinations` resolves. All
//! types of checks share one table, so this module first refuses the keys that a type does not
//! have. It also tests that programs can be run and certificates can be read, because a check that
//! can never succeed is a mistake.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::combinations;
use super::model::{CheckConfig, CheckId, CheckKind};
use super::names::DeclaredNames;
use super::{certificates, request_headers};
use crate::config::document::{ConfigReport, NamedEntry, Setting, TableField, WithOffset};
use crate::config::tables;
use crate::config::values::checks::{CheckType, JsonScalar, StatusRanges};
use crate::config::values::plain::{BoundedDuration, SingleLine, duration_text};
use crate::health::check::{CertificateRule, HttpExpectation, HttpMethod};
use crate::health::machine::{Damping, HealthRules};

/// The id of each part of a combination, and where it is named.
pub type CombinationParts = Vec<WithOffset<CheckId>>;

/// Resolves every check, and reports what does not go together.
pub fn resolve(
    entries: Vec<NamedEntry<tables::Check>>,
    names: &mut DeclaredNames,
    report: &mut ConfigReport,
) -> Vec<CheckConfig> {
    let mut places = Vec::with_capacity(entries.len());
    let mut checks = Vec::with_capacity(entries.len());
    for NamedEntry { name, value } in entries {
        // A check that was refused as a whole has no type, which is not to be reported again.
        let kind = if value.is_refused() {
            Some(CheckType::Http)
        } else {
            None
        };
        let raw = value.or_default();
        let mut parts = Vec::new();
        let check = if combinations::is_combined(&raw) {
            let kind = combinations::resolve(raw, &name, names, &mut parts, report);
            CheckConfig {
                port: 0,
                rules: HealthRules::default(),
                kind,
                name: name.value,
            }
        } else {
            let folder = report.folder(name.at);
            resolve_one(name, raw, kind, &folder, report)
        };
        checks.push(check);
        places.push(parts);
    }
    combinations::check(&checks, &places, report);
    checks
}

fn resolve_one(
    name: WithOffset<String>,
    raw: tables::Check,
    kind: Option<CheckType>,
    folder: &Path,
    report: &mut ConfigReport,
) -> CheckConfig {
    let kind = kind.or_else(|| {
        let sentence = format!("check \"{}\" needs a type", name.value);
        raw.r#type
            .clone()
            .required(name.at, &sentence, report)
            .map(|kind| kind.value.0)
    });
    if let Some(kind) = kind {
        refuse_strangers(&raw, kind, report);
    }
    let port = match raw.port.get() {
        Some(port) => Some(port.as_u16()),
        None => default_port(kind),
    };
    if port.is_none() && !raw.port.is_refused() {
        report.error(name.at, format!("check \"{}\" needs a port", name.value));
    }
    CheckConfig {
        port: port.unwrap_or(0),
        rules: resolve_rules(&raw, report),
        kind: resolve_kind(kind, raw, &name, folder, report),
        name: name.value,
    }
}

/// `None` where there is no usual port; a check of unknown type is complained about elsewhere.
fn default_port(kind: Option<CheckType>) -> Option<u16> {
    match kind {
        Some(CheckType::Tcp | CheckType::Grpc) => None,
        Some(CheckType::Https | CheckType::Tls) => Some(443),
        Some(CheckType::Dns) => Some(53),
        Some(CheckType::Exec) => Some(0),
        Some(CheckType::Http) | None => Some(80),
    }
}

/// Reports the keys that a check of this type has no use for.
fn refuse_strangers(raw: &tables::Check, kind: CheckType, report: &mut ConfigReport) {
    use CheckType::{Dns, Exec, Grpc, Http, Https, Tls};
    let web: &[CheckType] = &[Http, Https];
    let secure: &[CheckType] = &[Https, Tls, Grpc];
    let keys: [(&str, Option<usize>, &[CheckType]); 16] = [
        ("path", raw.path.at(), web),
        ("method", raw.method.at(), web),
        ("expect", raw.expect.at(), web),
        ("host", raw.host.at(), &[Http, Https, Tls, Grpc]),
        ("tls", raw.tls.at(), &[Grpc]),
        ("verify", raw.verify.at(), secure),
        ("ca_file", raw.ca_file.at(), secure),
        ("client_cert", raw.client_cert.at(), secure),
        ("client_key", raw.client_key.at(), secure),
        ("expiry_warning", raw.expiry_warning.at(), secure),
        ("headers", raw.headers.at(), &[Http, Https, Grpc]),
        ("service", raw.service.at(), &[Grpc]),
        ("query", raw.query.at(), &[Dns]),
        ("query_type", raw.query_type.at(), &[Dns]),
        ("program", raw.program.at(), &[Exec]),
        ("arguments", raw.arguments.at(), &[Exec]),
    ];
    for (key, at, kinds) in keys {
        if let Some(at) = at
            && !kinds.contains(&kind)
        {
            report.error(
                at,
                format!("a check of type \"{}\" has no {key}", kind.word()),
            );
        }
    }
}

fn resolve_rules(raw: &tables::Check, report: &mut ConfigReport) -> HealthRules {
    let interval = raw.interval.value.0;
    let damping = raw.damping.get().cloned().unwrap_or_default();
    HealthRules {
        interval,
        quick: if raw.quick.at().is_some() {
            raw.quick.value.0
        } else {
            interval.min(raw.quick.value.0)
        },
        timeout: resolve_timeout(&raw.timeout, interval, report),
        fall: raw.fall.value.as_u32(),
        rise: raw.rise.value.as_u32(),
        damping: Damping {
            doublings: damping.doublings.value.as_u32(),
            memory: damping.memory.value.0,
        },
    }
}

/// Probes of one endpoint never overlap, so a probe must be over when the next one is due.
fn resolve_timeout(
    timeout: &Setting<BoundedDuration<10, 60_000>>,
    interval: Duration,
    report: &mut ConfigReport,
) -> Duration {
    let BoundedDuration(limit) = timeout.value;
    let Some(at) = timeout.at() else {
        return interval.min(limit);
    };
    if limit > interval {
        let (limit, interval) = (duration_text(limit), duration_text(interval));
        report.error(
            at,
            format!("the timeout of {limit} is longer than the interval of {interval}"),
        );
    }
    limit
}

fn resolve_kind(
    kind: Option<CheckType>,
    raw: tables::Check,
    name: &WithOffset<String>,
    folder: &Path,
    report: &mut ConfigReport,
) -> CheckKind {
    let secure = matches!(kind, Some(CheckType::Https | CheckType::Tls)) || raw.tls.value;
    if kind == Some(CheckType::Grpc) && !secure {
        let given = [
            raw.verify.at(),
            raw.ca_file.at(),
            raw.client_cert.at(),
            raw.client_key.at(),
            raw.expiry_warning.at(),
        ];
        if let Some(at) = given.into_iter().flatten().next() {
            report.error(at, "a certificate is there only with tls = true".to_owned());
        }
    }
    let identity = certificates::resolve_identity(raw.client_cert, raw.client_key, folder, report);
    let certificate = certificates::resolve(
        &raw.verify,
        raw.ca_file,
        &raw.expiry_warning,
        folder,
        report,
    );
    let certificate = CertificateRule {
        identity,
        ..certificate
    };
    let host = resolve_host(raw.host, report);
    let headers =
        request_headers::resolve(raw.headers, kind == Some(CheckType::Grpc), folder, report);
    match kind {
        Some(CheckType::Tcp) => CheckKind::Tcp,
        Some(CheckType::Tls) => CheckKind::Tls { host, certificate },
        Some(CheckType::Grpc) => {
            let service = raw
                .service
                .value()
                .map_or(String::new(), |service| service.0);
            CheckKind::Grpc {
                host,
                certificate: secure.then_some(certificate),
                headers,
                service,
            }
        }
        Some(CheckType::Dns) => CheckKind::Dns {
            query: raw.query.value(),
            rtype: raw.query_type.value,
        },
        Some(CheckType::Exec) => {
            let sentence = format!("check \"{}\" needs a program", name.value);
            let program = raw.program.required(name.at, &sentence, report);
            let program = program.map(|program| resolve_program(program, folder, report));
            let arguments = raw
                .arguments
                .value
                .into_iter()
                .map(|argument| argument.value.0)
                .collect();
            CheckKind::Exec {
                program: program.unwrap_or_default(),
                arguments,
            }
        }
        Some(CheckType::Http | CheckType::Https) | None => {
            let method = raw.method.value.0;
            CheckKind::Http {
                host,
                certificate: secure.then_some(certificate),
                path: resolve_path(raw.path, report),
                headers,
                method,
                expect: resolve_expect(raw.expect.or_default(), method, report),
            }
        }
    }
}

/// A program that cannot be run is a mistake, since nothing would ever be known by it.
fn resolve_program(
    program: WithOffset<PathBuf>,
    folder: &Path,
    report: &mut ConfigReport,
) -> PathBuf {
    let path = folder.join(&program.value);
    let wrong = match std::fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Some("the program does not exist".to_owned())
        }
        Err(error) => Some(format!("cannot look at the program: {error}")),
        Ok(data) if !data.is_file() => Some("the program is not a regular file".to_owned()),
        Ok(data) if data.permissions().mode() & 0o111 == 0 => Some(format!(
            "the program is not executable; `chmod +x {}` makes it so",
            path.display()
        )),
        Ok(_) => None,
    };
    if let Some(sentence) = wrong {
        report.error(program.at, format!("{}: {sentence}", path.display()));
    }
    path
}

fn resolve_path(path: Setting<SingleLine<2048>>, report: &mut ConfigReport) -> String {
    let at = path.at().unwrap_or(0);
    let SingleLine(text) = path.value;
    if !text.starts_with('/')
        || !text.bytes().all(|octet| octet.is_ascii_graphic())
        || text.contains('#')
    {
        let sentence = format!(
            "\"{text}\" is no path; it starts with / and has neither spaces nor # (percent-encode)"
        );
        report.error(at, sentence);
    }
    text
}

fn resolve_host(host: TableField<SingleLine<255>>, report: &mut ConfigReport) -> Option<String> {
    let host = host.given()?;
    let text = host.value.0;
    if !text
        .bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || b"-._:[]".contains(&octet))
    {
        report.error(host.at, format!("\"{text}\" is no host name"));
    }
    Some(text)
}

fn resolve_expect(
    raw: tables::Expect,
    method: HttpMethod,
    report: &mut ConfigReport,
) -> HttpExpectation {
    if let Some(at) = raw.body.at().or(raw.json.at())
        && method == HttpMethod::Head
    {
        report.error(
            at,
            "the answer to HEAD has no body to hold against it".to_owned(),
        );
    }
    let StatusRanges(status) = raw.status.value;
    let mut headers = Vec::new();
    for header in raw.header.value().map_or(Vec::new(), |headers| headers.0) {
        headers.extend(resolve_header(header, report));
    }
    HttpExpectation {
        status,
        body: raw.body.value().map(|body| body.0),
        json: raw.json.given().and_then(|json| resolve_json(json, report)),
        headers,
        latency: raw.latency.value().map(|latency| latency.0),
    }
}

fn resolve_json(
    WithOffset { at, value }: WithOffset<tables::JsonExpect>,
    report: &mut ConfigReport,
) -> Option<(String, String)> {
    let pointer = value.pointer.required(at, "json needs a pointer", report);
    let equals = value
        .equals
        .required(at, "json needs what the value equals", report);
    let JsonScalar(equals) = equals?.value;
    Some((pointer?.value.0, equals))
}

fn resolve_header(
    entry: NamedEntry<SingleLine<1024>>,
    report: &mut ConfigReport,
) -> Option<(String, String)> {
    let NamedEntry { name, value } = entry;
    // RFC 9110 section 5.6.2: token.
    let is_token = name
        .value
        .bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet));
    if name.value.is_empty() || name.value.len() > 255 || !is_token {
        report.error(
            name.at,
            format!("\"{}\" is no name of a header", name.value),
        );
    }
    Some((name.value, value.value()?.0))
}

//! `[checks.*]`: how health is asked for.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check_values::{CheckType, JsonScalar};
use super::combinations;
use super::error::ConfigReport;
use super::model::{CheckConfig, CheckId, CheckKind};
use super::names::DeclaredNames;
use super::read::{NamedEntry, TableField, WithOffset};
use super::values::{
    BoundedDuration, Keyword, SingleLine, StatusRanges, WholeNumber, duration_text,
};
use super::{certificates, raw, request_headers};
use crate::dns::RecordType;
use crate::health::check::{CertificateRule, HttpExpectation, HttpMethod};
use crate::health::machine::{Damping, HealthRules};

/// Fills in the defaults of every check, and reports what does not go together.
pub fn resolve(
    entries: Vec<NamedEntry<raw::Check>>,
    names: &mut DeclaredNames,
    folder: &Path,
    report: &mut ConfigReport<'_>,
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
        let raw = value.or(raw::Check::default());
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
            resolve_one(name, raw, kind, folder, report)
        };
        checks.push(check);
        places.push(parts);
    }
    combinations::check(&checks, &places, report);
    checks
}

fn resolve_one(
    name: WithOffset<String>,
    mut raw: raw::Check,
    kind: Option<CheckType>,
    folder: &Path,
    report: &mut ConfigReport<'_>,
) -> CheckConfig {
    let kind = kind.or_else(|| {
        let sentence = format!("check \"{}\" needs a type", name.value);
        raw.r#type
            .clone()
            .required(name.at, &sentence, report)
            .map(|kind| kind.value.0)
    });
    kind.iter()
        .for_each(|&kind| refuse_strangers(&raw, kind, report));
    let port = raw
        .port
        .clone()
        .value()
        .map(|port| port.0)
        .or_else(|| default_port(kind));
    let port = port.and_then(|port| port.try_into().ok());
    if port.is_none() && !raw.port.is_refused() {
        report.error(name.at, format!("check \"{}\" needs a port", name.value));
    }
    CheckConfig {
        port: port.unwrap_or(0),
        rules: resolve_rules(&mut raw, report),
        kind: resolve_kind(kind, raw, &name, folder, report),
        name: name.value,
    }
}

/// `None` where there is no usual port; a check of unknown type is complained about elsewhere.
fn default_port(kind: Option<CheckType>) -> Option<i64> {
    match kind {
        Some(CheckType::Tcp | CheckType::Grpc) => None,
        Some(CheckType::Https | CheckType::Tls) => Some(443),
        Some(CheckType::Dns) => Some(53),
        Some(CheckType::Exec) => Some(0),
        Some(CheckType::Http) | None => Some(80),
    }
}

/// Reports the keys that a check of this type has no use for.
fn refuse_strangers(raw: &raw::Check, kind: CheckType, report: &mut ConfigReport<'_>) {
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
        if let Some(at) = at.filter(|_| !kinds.contains(&kind)) {
            report.error(
                at,
                format!("a check of type \"{}\" has no {key}", kind.word()),
            );
        }
    }
}

fn resolve_rules(raw: &mut raw::Check, report: &mut ConfigReport<'_>) -> HealthRules {
    let usual = HealthRules::default();
    let interval = raw
        .interval
        .clone()
        .value()
        .map_or(usual.interval, |interval| interval.0);
    let damping = std::mem::take(&mut raw.damping).or(raw::Damping::default());
    HealthRules {
        interval,
        quick: raw
            .quick
            .clone()
            .value()
            .map_or(usual.quick.min(interval), |quick| quick.0),
        timeout: resolve_timeout(raw.timeout.clone(), interval, report),
        fall: raw.fall.clone().or(WholeNumber(3)).as_u32(),
        rise: raw.rise.clone().or(WholeNumber(5)).as_u32(),
        damping: Damping {
            doublings: damping.doublings.or(WholeNumber(5)).as_u32(),
            memory: damping
                .memory
                .value()
                .map_or(usual.damping.memory, |memory| memory.0),
        },
    }
}

/// Probes of one endpoint never overlap, so a probe must be over when the next one is due.
fn resolve_timeout(
    timeout: TableField<BoundedDuration<10, 60_000>>,
    interval: Duration,
    report: &mut ConfigReport<'_>,
) -> Duration {
    let Some(timeout) = timeout.given() else {
        return interval.min(Duration::from_secs(2));
    };
    if timeout.value.0 > interval {
        let (timeout_text, interval) = (duration_text(timeout.value.0), duration_text(interval));
        report.error(
            timeout.at,
            format!("the timeout of {timeout_text} is longer than the interval of {interval}"),
        );
    }
    timeout.value.0
}

fn resolve_kind(
    kind: Option<CheckType>,
    raw: raw::Check,
    name: &WithOffset<String>,
    folder: &Path,
    report: &mut ConfigReport<'_>,
) -> CheckKind {
    let secure =
        matches!(kind, Some(CheckType::Https | CheckType::Tls)) || raw.tls.clone().or(false);
    if kind == Some(CheckType::Grpc) && !secure {
        let given = [
            raw.verify.at(),
            raw.ca_file.at(),
            raw.client_cert.at(),
            raw.client_key.at(),
            raw.expiry_warning.at(),
        ];
        let given = given.into_iter().flatten().next();
        given.iter().for_each(|&at| {
            report.error(at, "a certificate is there only with tls = true".to_owned())
        });
    }
    let identity = certificates::resolve_identity(raw.client_cert, raw.client_key, folder, report);
    let certificate =
        certificates::resolve(raw.verify, raw.ca_file, raw.expiry_warning, folder, report);
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
            rtype: raw.query_type.or(RecordType::A),
        },
        Some(CheckType::Exec) => {
            let sentence = format!("check \"{}\" needs a program", name.value);
            let program = raw.program.required(name.at, &sentence, report);
            let program = program.map(|program| resolve_program(program, folder, report));
            let arguments = raw
                .arguments
                .or(Vec::new())
                .into_iter()
                .map(|argument| argument.value.0)
                .collect();
            CheckKind::Exec {
                program: program.unwrap_or_default(),
                arguments,
            }
        }
        Some(CheckType::Http | CheckType::Https) | None => {
            let method = raw.method.or(Keyword(HttpMethod::Get)).0;
            CheckKind::Http {
                host,
                certificate: secure.then_some(certificate),
                path: resolve_path(raw.path, report),
                headers,
                method,
                expect: resolve_expect(raw.expect.or(raw::Expect::default()), method, report),
            }
        }
    }
}

/// A program that cannot be run is a mistake, since nothing would ever be known by it.
fn resolve_program(
    program: WithOffset<PathBuf>,
    folder: &Path,
    report: &mut ConfigReport<'_>,
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
    wrong
        .iter()
        .for_each(|sentence| report.error(program.at, format!("{}: {sentence}", path.display())));
    path
}

fn resolve_path(path: TableField<SingleLine<2048>>, report: &mut ConfigReport<'_>) -> String {
    let Some(path) = path.given() else {
        return "/".to_owned();
    };
    let text = path.value.0;
    if !text.starts_with('/')
        || !text.bytes().all(|octet| octet.is_ascii_graphic())
        || text.contains('#')
    {
        let sentence = format!(
            "\"{text}\" is no path; it starts with / and has neither spaces nor # (percent-encode)"
        );
        report.error(path.at, sentence);
    }
    text
}

fn resolve_host(
    host: TableField<SingleLine<255>>,
    report: &mut ConfigReport<'_>,
) -> Option<String> {
    let host = host.given()?;
    let text = host.value.0;
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-._:[]".contains(&octet);
    if !text.bytes().all(allowed) {
        report.error(host.at, format!("\"{text}\" is no host name"));
    }
    Some(text)
}

fn resolve_expect(
    raw: raw::Expect,
    method: HttpMethod,
    report: &mut ConfigReport<'_>,
) -> HttpExpectation {
    if let Some(at) = raw
        .body
        .at()
        .or(raw.json.at())
        .filter(|_| method == HttpMethod::Head)
    {
        report.error(
            at,
            "the answer to HEAD has no body to hold against it".to_owned(),
        );
    }
    let StatusRanges(status) = raw.status.or(StatusRanges(vec![(200, 299)]));
    let headers = raw.header.value().map_or(Vec::new(), |headers| headers.0);
    HttpExpectation {
        status,
        body: raw.body.value().map(|body| body.0),
        json: raw.json.given().and_then(|json| resolve_json(json, report)),
        headers: headers
            .into_iter()
            .filter_map(|header| resolve_header(header, report))
            .collect(),
        latency: raw.latency.value().map(|latency| latency.0),
    }
}

fn resolve_json(
    WithOffset { at, value }: WithOffset<raw::JsonExpect>,
    report: &mut ConfigReport<'_>,
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
    report: &mut ConfigReport<'_>,
) -> Option<(String, String)> {
    let NamedEntry { name, value } = entry;
    // RFC 9110 section 5.6.2: token.
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    if name.value.is_empty() || name.value.len() > 255 || !name.value.bytes().all(allowed) {
        report.error(
            name.at,
            format!("\"{}\" is no name of a header", name.value),
        );
    }
    Some((name.value, value.value()?.0))
}

/// The id of each part of a combination, and where it is named.
pub type CombinationParts = Vec<WithOffset<CheckId>>;

//! `[checks.*]`: how health is asked for.

use std::time::Duration;

use super::error::Report;
use super::model::{Check, CheckKind, Expect};
use super::raw;
use super::read::{Field, NamedEntry};
use super::values::{CheckType, Line, Period, Status, Whole, duration_text};

/// Fills in the defaults of one check, and reports what does not go together.
pub fn resolve(entry: NamedEntry<raw::Check>, report: &mut Report<'_>) -> Check {
    let NamedEntry { name, value } = entry;
    // A check that was refused as a whole has no type, which is not to be reported again.
    let kind = if value.is_refused() { Some(CheckType::Http) } else { None };
    let raw = value.or(raw::Check::default());
    let kind = kind.or_else(|| {
        let sentence = format!("check \"{}\" needs a type", name.value);
        raw.r#type.required(name.at, &sentence, report).map(|kind| kind.value.0)
    });
    let interval = raw.interval.value().map_or(Duration::from_secs(3), |interval| interval.0);
    let port_refused = raw.port.is_refused();
    let port = raw.port.value().map(|port| port.0).or_else(|| default_port(kind)).and_then(|port| port.try_into().ok());
    if port.is_none() && !port_refused {
        report.error(name.at, format!("check \"{}\" needs a port", name.value));
    }
    Check {
        port: port.unwrap_or(0),
        interval,
        timeout: resolve_timeout(raw.timeout, interval, report),
        fall: raw.fall.or(Whole(3)).as_u32(),
        rise: raw.rise.or(Whole(5)).as_u32(),
        kind: resolve_kind(kind, raw.path, raw.host, raw.expect, report),
        name: name.value,
    }
}

/// `None` where there is no usual port; a check of unknown type is complained about elsewhere.
fn default_port(kind: Option<CheckType>) -> Option<i64> {
    match kind {
        Some(CheckType::Tcp) => None,
        Some(CheckType::Https) => Some(443),
        Some(CheckType::Http) | None => Some(80),
    }
}

/// Probes of one endpoint never overlap, so a probe must be over when the next one is due.
fn resolve_timeout(timeout: Field<Period<10, 60_000>>, interval: Duration, report: &mut Report<'_>) -> Duration {
    let Some(timeout) = timeout.given() else {
        return interval.min(Duration::from_secs(2));
    };
    if timeout.value.0 > interval {
        let (timeout_text, interval) = (duration_text(timeout.value.0), duration_text(interval));
        report.error(timeout.at, format!("the timeout of {timeout_text} is longer than the interval of {interval}"));
    }
    timeout.value.0
}

fn resolve_kind(
    kind: Option<CheckType>,
    path: Field<Line<2048>>,
    host: Field<Line<255>>,
    expect: Field<raw::Expect>,
    report: &mut Report<'_>,
) -> CheckKind {
    if kind == Some(CheckType::Tcp) {
        for (key, at) in [("path", path.at()), ("host", host.at()), ("expect", expect.at())] {
            if let Some(at) = at {
                report.error(at, format!("a tcp check only connects, so it has no {key}"));
            }
        }
        return CheckKind::Tcp;
    }
    let path = resolve_path(path, report);
    let host = resolve_host(host, report);
    let expect = resolve_expect(expect.or(raw::Expect::default()));
    match kind {
        Some(CheckType::Https) => CheckKind::Https { path, host, expect },
        _ => CheckKind::Http { path, host, expect },
    }
}

fn resolve_path(path: Field<Line<2048>>, report: &mut Report<'_>) -> String {
    let Some(path) = path.given() else {
        return "/".to_owned();
    };
    let text = path.value.0;
    if !text.starts_with('/') || !text.bytes().all(|octet| octet.is_ascii_graphic()) || text.contains('#') {
        let sentence = format!("\"{text}\" is no path; it starts with / and has neither spaces nor # (percent-encode)");
        report.error(path.at, sentence);
    }
    text
}

fn resolve_host(host: Field<Line<255>>, report: &mut Report<'_>) -> Option<String> {
    let host = host.given()?;
    let text = host.value.0;
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-._:[]".contains(&octet);
    if !text.bytes().all(allowed) {
        report.error(host.at, format!("\"{text}\" is no host name"));
    }
    Some(text)
}

fn resolve_expect(raw: raw::Expect) -> Expect {
    let Status(status) = raw.status.or(Status(vec![(200, 299)]));
    Expect { status, body: raw.body.value().map(|body| body.0) }
}

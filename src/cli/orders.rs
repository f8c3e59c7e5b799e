//! The commands that override the health or the weights of a running server: `meridian drain`,
//! `undrain`, `shift`, `unshift`, `force` and `weight`.
//!
//! Each command becomes one request of the admin API: PUT sets an override, DELETE removes it. The
//! path names the region, service or endpoint; the body carries the reason, the operator and the
//! duration. The server checks the request and answers with the sentence that is printed.

use std::process::ExitCode;

use reqwest::Method;
use serde::Serialize;

use super::arguments::{
    AuditArgs, DrainArgs, ForceArgs, ForceTo, RemoteArgs, ShiftArgs, UndrainArgs, UnshiftArgs,
    WeightArgs,
};
use super::client::AdminClient;
use crate::admin::{
    ChangeDone, DrainRequest, EndpointDrainRequest, ForceRequest, ForcedState, OrderTime,
    PlainText, ReturnRequest, ShiftRequest, TakeBackRequest, WeightRequest,
};
use crate::terminal::say;
use crate::text::shown;

/// `meridian drain`: sends no clients to a region, a service or an endpoint.
pub fn drain(drain: &DrainArgs) -> Result<ExitCode, String> {
    let endpoint = drain.about.endpoint.as_deref();
    let parts = parts(
        drain.region.as_deref(),
        drain.about.service.as_deref(),
        endpoint,
    )?;
    let terms = terms(&drain.why, &drain.reason)?;
    match (time(drain.over.as_deref())?, endpoint) {
        (Some(_), Some(_)) => Err("an endpoint is drained at once: remove --over".to_owned()),
        (None, Some(_)) => order(
            &drain.remote,
            Method::PUT,
            parts,
            "drain",
            &EndpointDrainRequest {
                reason: terms.reason,
                by: terms.by,
                lasting: terms.lasting,
                yes: terms.yes,
                here_only: terms.here_only,
            },
        ),
        (over, None) => order(
            &drain.remote,
            Method::PUT,
            parts,
            "drain",
            &DrainRequest {
                over,
                reason: terms.reason,
                by: terms.by,
                lasting: terms.lasting,
                yes: terms.yes,
                here_only: terms.here_only,
            },
        ),
    }
}

/// `meridian shift`: sends a part of a region's clients to other regions.
pub fn shift(shift: &ShiftArgs) -> Result<ExitCode, String> {
    let parts = parts(Some(&shift.region), shift.service.as_deref(), None)?;
    let number = shift.percent.trim().trim_end_matches('%').trim_end();
    let percent = number
        .parse()
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent));
    let percent = percent
        .ok_or_else(|| format!("{:?} is not a percentage from 0% to 100%", shift.percent))?;
    let (to, over) = (shift.to.clone(), time(shift.over.as_deref())?);
    let terms = terms(&shift.why, &shift.reason)?;
    let body = ShiftRequest {
        percent,
        to,
        over,
        reason: terms.reason,
        by: terms.by,
        lasting: terms.lasting,
        yes: terms.yes,
        here_only: terms.here_only,
    };
    order(&shift.remote, Method::PUT, parts, "shift", &body)
}

/// `meridian unshift`: removes a shift.
pub fn unshift(unshift: &UnshiftArgs) -> Result<ExitCode, String> {
    let parts = parts(Some(&unshift.region), unshift.service.as_deref(), None)?;
    let (by, over) = (by(unshift.by.as_deref())?, time(unshift.over.as_deref())?);
    order(
        &unshift.remote,
        Method::DELETE,
        parts,
        "shift",
        &ReturnRequest {
            over,
            by,
            here_only: unshift.here_only,
            ..ReturnRequest::default()
        },
    )
}

/// `meridian undrain`: removes a drain.
pub fn undrain(undrain: &UndrainArgs) -> Result<ExitCode, String> {
    let about = &undrain.about;
    let parts = parts(
        undrain.region.as_deref(),
        about.service.as_deref(),
        about.endpoint.as_deref(),
    )?;
    let (by, over) = (by(undrain.by.as_deref())?, time(undrain.over.as_deref())?);
    if about.endpoint.is_none() {
        let body = ReturnRequest {
            over,
            by,
            here_only: undrain.here_only,
            ..ReturnRequest::default()
        };
        return order(&undrain.remote, Method::DELETE, parts, "drain", &body);
    }
    if over.is_some() {
        return Err("an endpoint is undrained at once: remove --over".to_owned());
    }
    let body = TakeBackRequest {
        by,
        here_only: undrain.here_only,
        ..TakeBackRequest::default()
    };
    order(&undrain.remote, Method::DELETE, parts, "drain", &body)
}

/// `meridian force`: overrides the health of a region, a service or an endpoint, or stops doing so.
pub fn force(force: &ForceArgs) -> Result<ExitCode, String> {
    let parts = parts(
        force.region.as_deref(),
        force.about.service.as_deref(),
        force.about.endpoint.as_deref(),
    )?;
    let terms = terms(&force.why, force.reason.as_deref().unwrap_or(""))?;
    let state = match force.to {
        ForceTo::Up => ForcedState::Up,
        ForceTo::Down => ForcedState::Down,
        ForceTo::Off => {
            return order(
                &force.remote,
                Method::DELETE,
                parts,
                "force",
                &TakeBackRequest {
                    reason: terms.reason,
                    by: terms.by,
                    here_only: terms.here_only,
                },
            );
        }
    };
    order(
        &force.remote,
        Method::PUT,
        parts,
        "force",
        &ForceRequest {
            state,
            reason: terms.reason,
            by: terms.by,
            lasting: terms.lasting,
            yes: terms.yes,
            here_only: terms.here_only,
        },
    )
}

/// `meridian weight`: overrides the weight of a region or an endpoint, or restores the configured
/// one.
pub fn weight(weight: &WeightArgs) -> Result<ExitCode, String> {
    let parts = parts(
        Some(&weight.region),
        weight.service.as_deref(),
        weight.endpoint.as_deref(),
    )?;
    let terms = terms(&weight.why, &weight.reason)?;
    if weight.weight == "configured" {
        return order(
            &weight.remote,
            Method::DELETE,
            parts,
            "weight",
            &TakeBackRequest {
                reason: terms.reason,
                by: terms.by,
                here_only: terms.here_only,
            },
        );
    }
    let number = weight.weight.parse().map_err(|_| {
        format!(
            "the weight {:?} is neither a number from 0 to 1000000 nor `configured`",
            weight.weight
        )
    })?;
    let body = WeightRequest {
        weight: number,
        reason: terms.reason,
        by: terms.by,
        lasting: terms.lasting,
        yes: terms.yes,
        here_only: terms.here_only,
    };
    order(&weight.remote, Method::PUT, parts, "weight", &body)
}

/// Sends the request and prints the server's sentence.
fn order(
    remote: &RemoteArgs,
    method: Method,
    parts: Vec<&str>,
    what: &str,
    body: &impl Serialize,
) -> Result<ExitCode, String> {
    let parts: Vec<&str> = parts.into_iter().chain([what]).collect();
    let done: ChangeDone = AdminClient::new(remote)?.change(method, &parts, body)?;
    let lost = if done.kept {
        ""
    } else {
        " (until the server is restarted: it has no [state] directory)"
    };
    say!("{}{lost}", shown(&done.sentence));
    Ok(ExitCode::SUCCESS)
}

/// The path of the region, service or endpoint, below `/v1`.
fn parts<'p>(
    region: Option<&'p str>,
    service: Option<&'p str>,
    endpoint: Option<&'p str>,
) -> Result<Vec<&'p str>, String> {
    Ok(match (service, region, endpoint) {
        (None, Some(region), _) => vec!["regions", region],
        (Some(service), None, None) => vec!["services", service],
        (Some(service), Some(region), None) => vec!["services", service, "regions", region],
        (Some(service), Some(region), Some(endpoint)) => {
            vec!["services", service, "endpoints", region, endpoint]
        }
        (Some(_), None, Some(_)) => {
            return Err("an endpoint needs its region: REGION is missing".to_owned());
        }
        (None, None, _) => return Err("give a REGION, or a service with --service NAME".to_owned()),
    })
}

/// The terms of an override: reason, author, time, whether the risk is confirmed, and its scope.
struct Terms {
    reason: PlainText,
    by: PlainText,
    lasting: Option<OrderTime>,
    yes: bool,
    here_only: bool,
}

fn terms(why: &AuditArgs, reason: &str) -> Result<Terms, String> {
    Ok(Terms {
        reason: plain_text("--reason", reason.to_owned())?,
        by: by(why.by.as_deref())?,
        lasting: time(why.lasting.as_deref())?,
        yes: why.yes,
        here_only: why.here_only,
    })
}

fn time(text: Option<&str>) -> Result<Option<OrderTime>, String> {
    text.map(|text| OrderTime::try_from(text.to_owned()))
        .transpose()
}

/// The author of the override: the name in `--by`, else the user of this process.
pub(super) fn by(named: Option<&str>) -> Result<PlainText, String> {
    plain_text("--by", named.map_or_else(user, str::to_owned))
}

/// Checks the text of an option; the error names the option.
fn plain_text(option: &str, text: String) -> Result<PlainText, String> {
    PlainText::try_from(text).map_err(|sentence| format!("{option}: {sentence}"))
}

/// The user's name from the environment. If it is empty, the server records the client's address.
fn user() -> String {
    for key in ["SUDO_USER", "USER", "LOGNAME"] {
        if let Ok(name) = std::env::var(key)
            && !name.trim().is_empty()
        {
            return name;
        }
    }
    String::new()
}

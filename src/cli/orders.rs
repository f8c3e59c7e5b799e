//! `meridian drain`, `undrain`, `shift`, `unshift`, `force` and `weight`: orders to a running server.

use std::process::ExitCode;

use reqwest::Method;

use super::arguments::{Drain, Force, ForceTo, Remote, Shift, Undrain, Unshift, Weight, Why};
use super::client::Client;
use crate::cli::paper::say;
use crate::control::admin::{ChangeDone, Forced, OrderBody};
use crate::text::shown;

/// Sends no clients there.
pub fn drain(drain: &Drain) -> Result<ExitCode, String> {
    let parts = parts(drain.region.as_deref(), drain.about.service.as_deref(), drain.about.endpoint.as_deref())?;
    let body = OrderBody { over: drain.over.clone(), ..body(&drain.why, &drain.reason) };
    order(&drain.remote, Method::PUT, parts, "drain", &body)
}

/// Sends a part of a region's clients elsewhere.
pub fn shift(shift: &Shift) -> Result<ExitCode, String> {
    let parts = parts(Some(&shift.region), shift.service.as_deref(), None)?;
    let number = shift.percent.trim().trim_end_matches('%').trim_end();
    let percent = number.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    let percent = percent.ok_or_else(|| format!("{:?} is no part from 0% to 100%", shift.percent))?;
    let (to, over) = (shift.to.clone(), shift.over.clone());
    let body = OrderBody { percent: Some(percent), to, over, ..body(&shift.why, &shift.reason) };
    order(&shift.remote, Method::PUT, parts, "shift", &body)
}

/// Takes a shift back.
pub fn unshift(unshift: &Unshift) -> Result<ExitCode, String> {
    let parts = parts(Some(&unshift.region), unshift.service.as_deref(), None)?;
    let by = unshift.by.clone().unwrap_or_else(user);
    let body = OrderBody { by, over: unshift.over.clone(), ..OrderBody::default() };
    order(&unshift.remote, Method::DELETE, parts, "shift", &body)
}

/// Takes a drain back.
pub fn undrain(undrain: &Undrain) -> Result<ExitCode, String> {
    let about = &undrain.about;
    let parts = parts(undrain.region.as_deref(), about.service.as_deref(), about.endpoint.as_deref())?;
    let body = OrderBody { by: undrain.by.clone().unwrap_or_else(user), ..OrderBody::default() };
    order(&undrain.remote, Method::DELETE, parts, "drain", &body)
}

/// Takes something as up or down, or by its health again.
pub fn force(force: &Force) -> Result<ExitCode, String> {
    let parts = parts(force.region.as_deref(), force.about.service.as_deref(), force.about.endpoint.as_deref())?;
    let state = match force.to {
        ForceTo::Up => Some(Forced::Up),
        ForceTo::Down => Some(Forced::Down),
        ForceTo::Off => None,
    };
    let method = if state.is_some() { Method::PUT } else { Method::DELETE };
    let body = OrderBody { state, ..body(&force.why, force.reason.as_deref().unwrap_or("")) };
    order(&force.remote, method, parts, "force", &body)
}

/// Gives something another weight, or the configured one again.
pub fn weight(weight: &Weight) -> Result<ExitCode, String> {
    let parts = parts(Some(&weight.region), weight.service.as_deref(), weight.endpoint.as_deref())?;
    let body = body(&weight.why, &weight.reason);
    if weight.weight == "configured" {
        return order(&weight.remote, Method::DELETE, parts, "weight", &body);
    }
    let number = weight.weight.parse().map_err(|_| {
        format!("the weight {:?} is neither a number from 0 to 1000000 nor `configured`", weight.weight)
    })?;
    order(&weight.remote, Method::PUT, parts, "weight", &OrderBody { weight: Some(number), ..body })
}

fn order(remote: &Remote, method: Method, parts: Vec<&str>, what: &str, body: &OrderBody) -> Result<ExitCode, String> {
    let parts: Vec<&str> = parts.into_iter().chain([what]).collect();
    let done: ChangeDone = Client::new(remote)?.change(method, &parts, body)?;
    let lost = if done.kept { "" } else { " (until the server is restarted: it has no [state] directory)" };
    say!("{}{lost}", shown(&done.sentence));
    Ok(ExitCode::SUCCESS)
}

/// The path of what is ordered about, behind `/v1`.
fn parts<'p>(
    region: Option<&'p str>,
    service: Option<&'p str>,
    endpoint: Option<&'p str>,
) -> Result<Vec<&'p str>, String> {
    Ok(match (service, region, endpoint) {
        (None, Some(region), _) => vec!["regions", region],
        (Some(service), None, None) => vec!["services", service],
        (Some(service), Some(region), None) => vec!["services", service, "regions", region],
        (Some(service), Some(region), Some(endpoint)) => vec!["services", service, "endpoints", region, endpoint],
        (Some(_), None, Some(_)) => return Err("an endpoint is named with its region: REGION is missing".to_owned()),
        (None, None, _) => return Err("name a REGION, or a service with --service NAME".to_owned()),
    })
}

fn body(why: &Why, reason: &str) -> OrderBody {
    let by = why.by.clone().unwrap_or_else(user);
    OrderBody { reason: reason.to_owned(), by, lasting: why.lasting.clone(), yes: why.yes, ..OrderBody::default() }
}

/// The name of the user, as the environment has it; empty where it has none, and the server then takes the address.
fn user() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|key| std::env::var(key).ok());
    named.into_iter().find(|name| !name.trim().is_empty()).unwrap_or_default()
}

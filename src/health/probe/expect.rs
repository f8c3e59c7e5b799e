//! Expectations: whether an HTTP answer is good, and what it says about itself. Pure.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use super::{Observation, load};
use crate::health::check::Expect;
use crate::health::verdict::Outcome;

/// An answer as it came.
pub struct Answer<'a> {
    /// Status code.
    pub status: StatusCode,
    /// Header fields.
    pub headers: &'a HeaderMap,
    /// The body, up to its limit.
    pub body: Vec<u8>,
    /// Since the start of the probe.
    pub took: Duration,
}

/// Whether it is as expected. Of what is wrong the first is told.
pub fn judge(expect: &Expect, answer: &Answer<'_>) -> Observation {
    let json = || serde_json::from_slice::<Value>(&answer.body).ok();
    let said = if is_health_json(answer.headers) { json() } else { None };
    let load = load::from_headers(answer.headers).or_else(|| said.as_ref().and_then(load::from_health));
    let wrong = wrong_status(expect, answer.status)
        .or_else(|| wrong_header(expect, answer.headers))
        .or_else(|| wrong_body(expect, &answer.body))
        .or_else(|| wrong_field(expect, json));
    let found = match wrong {
        Some(reason) => Observation::fail(reason),
        None => said.as_ref().map_or_else(Observation::pass, own_word),
    };
    let found = match expect.latency {
        Some(ceiling) if found.outcome == Outcome::Pass && answer.took > ceiling => {
            Observation::warn(format!("it took {:.0?}, more than {ceiling:?}", answer.took))
        }
        _ => found,
    };
    Observation { load, ..found }
}

fn wrong_status(expect: &Expect, status: StatusCode) -> Option<String> {
    let code = status.as_u16();
    let wanted = expect.status.iter().any(|&(first, last)| (first..=last).contains(&code));
    (!wanted).then(|| format!("status {code}"))
}

fn wrong_header(expect: &Expect, headers: &HeaderMap) -> Option<String> {
    let right = |(name, wanted): &&(String, String)| {
        headers.get_all(name).iter().any(|value| value.as_bytes() == wanted.as_bytes())
    };
    let (name, wanted) = expect.headers.iter().find(|header| !right(header))?;
    Some(format!("the header {name} is not \"{wanted}\""))
}

fn wrong_body(expect: &Expect, body: &[u8]) -> Option<String> {
    let wanted = expect.body.as_ref()?;
    let found = wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted.as_bytes());
    (!found).then(|| format!("the body does not contain \"{wanted}\""))
}

fn wrong_field(expect: &Expect, json: impl Fn() -> Option<Value>) -> Option<String> {
    let (pointer, wanted) = expect.json.as_ref()?;
    let Some(json) = json() else { return Some("the body is no JSON".to_owned()) };
    let text = json.pointer(pointer).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    (text.as_ref() != Some(wanted)).then(|| format!("the field {pointer} is not \"{wanted}\""))
}

fn is_health_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    media.and_then(|media| media.split(';').next()).is_some_and(|media| media.trim() == "application/health+json")
}

/// `status` of `application/health+json` (draft-inadarei-api-health-check section 3.1).
fn own_word(said: &Value) -> Observation {
    match said.get("status").and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref() {
        Some("pass" | "ok" | "up") => Observation::pass(),
        Some("warn") => Observation::warn("it says warn about itself"),
        Some("fail" | "error" | "down") => Observation::fail("it says fail about itself"),
        _ => Observation::fail("its application/health+json has no known status"),
    }
}

//! Expectations: whether an HTTP answer is good, and what it says about itself. Pure.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use super::{Observation, load};
use crate::health::check::HttpExpectation;
use crate::health::verdict::ProbeResult;

/// The most that is read of a body, in octets.
pub const BODY_LIMIT: usize = 64 * 1024;

/// Media types of health documents (draft-inadarei-api-health-check, and its first drafts).
const HEALTH_DOCUMENTS: [&str; 2] = ["application/health+json", "application/vnd.health+json"];

/// An answer as it came.
pub struct ReceivedAnswer<'a> {
    /// Status code.
    pub status: StatusCode,
    /// Header fields.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a AnswerBody,
    /// Since the start of the probe.
    pub took: Duration,
}

/// The body of an answer, up to its limit.
#[derive(Debug, Default)]
pub struct AnswerBody {
    /// What was read of it.
    pub octets: Vec<u8>,
    /// It is longer than its limit, so that the rest is not known.
    pub cut: bool,
    /// The exchange can have none: the answer to HEAD, or a status that forbids one (RFC 9110 section 6.4.1).
    pub absent: bool,
}

impl AnswerBody {
    /// The JSON document that it is. A byte order mark before it is passed over, as RFC 8259 section 8.1 allows.
    ///
    /// # Errors
    /// Why it is none: the end of a sentence that begins with what was to be read.
    fn json(&self) -> Result<Value, String> {
        if self.cut {
            return Err(format!("is longer than {} KiB", BODY_LIMIT >> 10));
        }
        let text = self
            .octets
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&self.octets);
        serde_json::from_slice(text).map_err(|error| format!("is no JSON ({error})"))
    }
}

/// Whether it is as expected. Of what is wrong the first is told.
pub fn judge(expect: &HttpExpectation, answer: &ReceivedAnswer<'_>) -> Observation {
    // What claims to be a health document and cannot be read is no word for the endpoint's health.
    let said =
        (is_health_document(answer.headers) && !answer.body.absent).then(|| answer.body.json());
    let document = said.as_ref().and_then(|said| said.as_ref().ok());
    let load = load::from_headers(answer.headers).or_else(|| document.and_then(load::from_health));
    let wrong = wrong_status(expect, answer.status)
        .or_else(|| wrong_header(expect, answer.headers))
        .or_else(|| wrong_body(expect, &answer.body.octets))
        .or_else(|| wrong_field(expect, answer.body));
    let found = match (wrong, &said) {
        (Some(reason), _) => Observation::fail(reason),
        (None, Some(Ok(said))) => own_word(said),
        (None, Some(Err(why))) => Observation::fail(format!("its health document {why}")),
        (None, None) => Observation::pass(),
    };
    let found = match expect.latency {
        Some(ceiling) if found.outcome == ProbeResult::Pass && answer.took > ceiling => {
            Observation::warn(format!(
                "it took {:.0?}, more than {ceiling:?}",
                answer.took
            ))
        }
        _ => found,
    };
    Observation { load, ..found }
}

fn wrong_status(expect: &HttpExpectation, status: StatusCode) -> Option<String> {
    let code = status.as_u16();
    let wanted = expect
        .status
        .iter()
        .any(|&(first, last)| (first..=last).contains(&code));
    (!wanted).then(|| format!("status {code}"))
}

fn wrong_header(expect: &HttpExpectation, headers: &HeaderMap) -> Option<String> {
    let right = |(name, wanted): &&(String, String)| {
        headers
            .get_all(name)
            .iter()
            .any(|value| value.as_bytes() == wanted.as_bytes())
    };
    let (name, wanted) = expect.headers.iter().find(|header| !right(header))?;
    Some(format!("the header {name} is not \"{wanted}\""))
}

fn wrong_body(expect: &HttpExpectation, body: &[u8]) -> Option<String> {
    let wanted = expect.body.as_ref()?;
    let found = wanted.is_empty()
        || body
            .windows(wanted.len())
            .any(|part| part == wanted.as_bytes());
    (!found).then(|| format!("the body does not contain \"{wanted}\""))
}

fn wrong_field(expect: &HttpExpectation, body: &AnswerBody) -> Option<String> {
    let (pointer, wanted) = expect.json.as_ref()?;
    let json = match body.json() {
        Ok(json) => json,
        Err(why) => return Some(format!("the body {why}")),
    };
    let text = json.pointer(pointer).map(|value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    });
    (text.as_ref() != Some(wanted)).then(|| format!("the field {pointer} is not \"{wanted}\""))
}

/// Whether the answer claims to be a health document: `application/health+json`, or its name in earlier drafts. Media
/// types are compared without regard to case, and parameters do not matter (RFC 9110 section 8.3.1).
fn is_health_document(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_TYPE).iter().any(|value| {
        let media = value
            .as_bytes()
            .split(|&octet| octet == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        HEALTH_DOCUMENTS
            .iter()
            .any(|known| media.eq_ignore_ascii_case(known.as_bytes()))
    })
}

/// `status` of `application/health+json` (draft-inadarei-api-health-check section 3.1).
fn own_word(said: &Value) -> Observation {
    match said
        .get("status")
        .and_then(Value::as_str)
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("pass" | "ok" | "up") => Observation::pass(),
        Some("warn") => Observation::warn("it says warn about itself"),
        Some("fail" | "error" | "down") => Observation::fail("it says fail about itself"),
        _ => Observation::fail("its health document has no known status"),
    }
}

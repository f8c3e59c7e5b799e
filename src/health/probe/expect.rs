//! HTTP expectations: decides whether an answer is good.
//!
//! [`judge`] compares status, headers and body with the check's expectations. It then reads what
//! the answer says about the endpoint: a health document (`application/health+json`) with its own
//! status, and the load ([`super::load`]). The functions are pure.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use super::load;
use super::observation::Observation;
use crate::health::check::HttpExpectation;
use crate::health::machine::ProbeResult;

/// The largest body that is read, in octets.
pub const BODY_LIMIT: usize = 64 * 1024;

/// Media types of health documents (draft-inadarei-api-health-check and its early versions).
const HEALTH_DOCUMENTS: [&str; 2] = ["application/health+json", "application/vnd.health+json"];

/// An answer to a probe, as far as it was read.
pub struct ReceivedAnswer<'a> {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a AnswerBody,
    /// Time since the start of the probe.
    pub took: Duration,
}

/// The body of an answer, up to its limit.
#[derive(Debug, Default)]
pub struct AnswerBody {
    /// The part that was read.
    pub octets: Vec<u8>,
    /// The body is longer than its limit, so the rest is unknown.
    pub cut: bool,
    /// The answer cannot have a body: it answers HEAD, or its status forbids one (RFC 9110 section
    /// 6.4.1).
    pub absent: bool,
}

impl AnswerBody {
    /// Appends a chunk, up to the limit.
    pub fn append(&mut self, data: &[u8]) {
        let room = BODY_LIMIT - self.octets.len();
        self.octets
            .extend_from_slice(data.get(..room).unwrap_or(data));
        self.cut = data.len() > room;
    }

    /// Parses the body as JSON. A leading byte order mark is ignored, as RFC 8259 section 8.1
    /// allows.
    ///
    /// # Errors
    /// The end of a sentence that starts with the name of the document.
    fn json(&self) -> Result<Value, String> {
        if self.cut {
            return Err(format!("is longer than {} KiB", BODY_LIMIT >> 10));
        }
        let text = self.octets.strip_prefix(b"\xef\xbb\xbf");
        serde_json::from_slice(text.unwrap_or(&self.octets))
            .map_err(|error| format!("is not JSON ({error})"))
    }

    fn contains(&self, text: &str) -> bool {
        text.is_empty()
            || self
                .octets
                .windows(text.len())
                .any(|part| part == text.as_bytes())
    }
}

/// Judges an answer. If several conditions fail, the reason names the first.
pub fn judge(expect: &HttpExpectation, answer: &ReceivedAnswer<'_>) -> Observation {
    let document = answer.health_document();
    let mut load = load::from_headers(answer.headers);
    if load.is_none()
        && let Some(Ok(document)) = &document
    {
        load = load::from_health(document);
    }
    let mut observation = match (expect.unmet(answer), &document) {
        (Some(reason), _) => Observation::fail(reason),
        (None, Some(Ok(document))) => judge_health_document(document),
        (None, Some(Err(error))) => Observation::fail(format!("its health document {error}")),
        (None, None) => Observation::pass(),
    };
    if observation.result == ProbeResult::Pass
        && let Some(limit) = expect.latency
        && answer.took > limit
    {
        let reason = format!("it took {:.0?}, more than {limit:?}", answer.took);
        observation = Observation::warn(reason);
    }
    observation.load = load;
    observation
}

impl ReceivedAnswer<'_> {
    /// The health document, if the answer claims to be one. An unreadable one is an error.
    fn health_document(&self) -> Option<Result<Value, String>> {
        if self.body.absent || !is_health_document(self.headers) {
            return None;
        }
        Some(self.body.json())
    }
}

impl HttpExpectation {
    /// The first condition that the answer does not meet, as a sentence.
    fn unmet(&self, answer: &ReceivedAnswer<'_>) -> Option<String> {
        let code = answer.status.as_u16();
        if !self.allows_status(code) {
            return Some(format!("status {code}"));
        }
        for (name, value) in &self.headers {
            let mut received = answer.headers.get_all(name).iter();
            if !received.any(|received| received.as_bytes() == value.as_bytes()) {
                return Some(format!("the header {name} is not \"{value}\""));
            }
        }
        if let Some(text) = &self.body
            && !answer.body.contains(text)
        {
            return Some(format!("the body does not contain \"{text}\""));
        }
        let (pointer, value) = self.json.as_ref()?;
        match answer.body.json() {
            Ok(json) if field_as_text(&json, pointer).as_ref() == Some(value) => None,
            Ok(_) => Some(format!("the field {pointer} is not \"{value}\"")),
            Err(error) => Some(format!("the body {error}")),
        }
    }

    fn allows_status(&self, code: u16) -> bool {
        for &(first, last) in &self.status {
            if (first..=last).contains(&code) {
                return true;
            }
        }
        false
    }
}

/// The value at a JSON pointer: a string without its quotes, anything else as JSON.
fn field_as_text(json: &Value, pointer: &str) -> Option<String> {
    match json.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Whether the answer claims to be a health document. Media types ignore case, and their parameters
/// do not matter (RFC 9110 section 8.3.1).
fn is_health_document(headers: &HeaderMap) -> bool {
    for value in headers.get_all(CONTENT_TYPE) {
        let mut parts = value.as_bytes().split(|&octet| octet == b';');
        let media_type = parts.next().unwrap_or_default().trim_ascii();
        for known in HEALTH_DOCUMENTS {
            if media_type.eq_ignore_ascii_case(known.as_bytes()) {
                return true;
            }
        }
    }
    false
}

/// Judges the `status` of a health document (draft-inadarei-api-health-check section 3.1).
fn judge_health_document(document: &Value) -> Observation {
    let status = document.get("status").and_then(Value::as_str);
    match status.unwrap_or_default().to_ascii_lowercase().as_str() {
        "pass" | "ok" | "up" => Observation::pass(),
        "warn" => Observation::warn("it says warn about itself"),
        "fail" | "error" | "down" => Observation::fail("it says fail about itself"),
        _ => Observation::fail("its health document has no known status"),
    }
}

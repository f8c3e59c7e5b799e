//! The JSON bodies of calls that change state.
//!
//! Each operation has a body type of its own, with the keys that it needs and no others. Unknown
//! keys are refused. Every type turns into an [`OverrideRequest`] or an [`OverrideEndRequest`],
//! which is all that the handlers in `overrides` see. For example, `{"weight": 20, "for": "2h"}` is
//! a [`WeightRequest`].

use axum::body::Bytes;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::forms::{LeaseTime, MOST_WEIGHT, OrderTime, PlainText};
use crate::control::overrides::OverrideAction;

/// Reads a JSON object; an empty body stands for `{}`.
///
/// # Errors
/// 400: it is no such object.
pub fn read_body<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    let text = if body.is_empty() { b"{}" } else { &body[..] };
    // serde would also read a list, as the values of the fields in their order.
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::bad_request(
            "the body is not a JSON object, {...}",
        ));
    }
    serde_json::from_slice(text)
        .map_err(|error| ApiError::bad_request(format!("the body is not valid: {error}")))
}

/// An override as its body states it, for every operation.
pub struct OverrideRequest {
    /// What is to be done.
    pub action: OverrideAction,
    /// Why; may be empty.
    pub reason: String,
    /// The author; may be empty.
    pub by: String,
    /// How long it holds, in seconds; `None`: until it is removed.
    pub lasting: Option<u64>,
    /// Over how many seconds it takes effect; `None`: at once.
    pub over: Option<u64>,
    /// Whether it is confirmed even if it leaves clients without a live region.
    pub confirmed: bool,
    /// Whether it is for this server only, though it is in a fleet.
    pub here_only: bool,
}

/// The body of a call that makes an override.
pub trait OrderRequest: DeserializeOwned + JsonSchema + Send + 'static {
    /// The override that the body asks for.
    fn into_override(self) -> OverrideRequest;
}

/// The removal of an override as its body states it.
pub struct OverrideEndRequest {
    /// Why; may be empty.
    pub reason: String,
    /// The author; may be empty.
    pub by: String,
    /// Over how many seconds clients return; `None`: at once.
    pub over: Option<u64>,
    /// Whether it is for this server only, though it is in a fleet.
    pub here_only: bool,
}

/// The body of a call that removes an override.
pub trait EndRequest: DeserializeOwned + JsonSchema + Send + 'static {
    /// The removal that the body asks for.
    fn into_end(self) -> OverrideEndRequest;
}

/// Defines body types. Each has its own keys, followed by the keys that all overrides share. Its
/// method `with_action` takes the action and the time over which it takes effect.
macro_rules! override_bodies {
    ($($(#[$about:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$meta])* pub $field: $type,)*
            /// Why; optional.
            #[serde(default)]
            pub reason: PlainText,
            /// The author; by default the caller's address, or `the local socket`.
            #[serde(default)]
            pub by: PlainText,
            /// How long it holds, such as `2h`; by default until it is removed.
            #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
            pub lasting: Option<OrderTime>,
            /// Do it even if it leaves clients without a live region.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            pub yes: bool,
            /// Do it on this server only, not on all servers of its fleet.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            pub here_only: bool,
        }

        impl $name {
            fn with_action(self, action: OverrideAction, over: Option<OrderTime>) -> OverrideRequest {
                OverrideRequest {
                    action,
                    over: seconds(&over),
                    reason: self.reason.text().to_owned(),
                    by: self.by.text().to_owned(),
                    lasting: seconds(&self.lasting),
                    confirmed: self.yes,
                    here_only: self.here_only,
                }
            }
        }
    )*};
}

override_bodies! {
    /// The body of a drain of a region or a service.
    DrainRequest {
        /// How long it takes to move all clients, such as `30m`; by default they move at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        over: Option<OrderTime>,
    }

    /// The body of a drain of an endpoint, which always takes effect at once.
    EndpointDrainRequest {}

    /// The body of a call that forces something up or down.
    ForceRequest {
        /// The forced state.
        state: ForcedState,
    }

    /// The body of a call that overrides a weight.
    WeightRequest {
        /// 0 is a standby.
        #[schemars(range(max = 1_000_000))]
        #[serde(deserialize_with = "weight")]
        weight: u32,
    }

    /// The body of a call that moves a part of a region's clients to other regions.
    ShiftRequest {
        /// The part, in per cent; 0 removes the shift.
        #[schemars(range(min = 0.0, max = 100.0))]
        #[serde(deserialize_with = "percent")]
        percent: f64,
        /// The region that they try first; by default each client's next one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// How long it takes to move the whole part, such as `30m`; by default it moves at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        over: Option<OrderTime>,
    }
}

impl OrderRequest for DrainRequest {
    fn into_override(self) -> OverrideRequest {
        let over = self.over.clone();
        self.with_action(OverrideAction::Drain, over)
    }
}

impl OrderRequest for EndpointDrainRequest {
    fn into_override(self) -> OverrideRequest {
        self.with_action(OverrideAction::Drain, None)
    }
}

impl OrderRequest for ForceRequest {
    fn into_override(self) -> OverrideRequest {
        let action = match self.state {
            ForcedState::Up => OverrideAction::ForceUp,
            ForcedState::Down => OverrideAction::ForceDown,
        };
        self.with_action(action, None)
    }
}

impl OrderRequest for WeightRequest {
    fn into_override(self) -> OverrideRequest {
        let weight = self.weight;
        self.with_action(OverrideAction::Weight { weight }, None)
    }
}

impl OrderRequest for ShiftRequest {
    fn into_override(self) -> OverrideRequest {
        let action = OverrideAction::Shift {
            percent: self.percent,
            to: self.to.clone(),
        };
        let over = self.over.clone();
        self.with_action(action, over)
    }
}

fn seconds(time: &Option<OrderTime>) -> Option<u64> {
    time.as_ref().map(OrderTime::seconds)
}

/// The body of a call that removes something at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeBackRequest {
    /// Why; optional.
    #[serde(default)]
    pub reason: PlainText,
    /// The author; by default the caller's address, or `the local socket`.
    #[serde(default)]
    pub by: PlainText,
    /// Remove what was ordered on this server only, not what the fleet has ordered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub here_only: bool,
}

impl EndRequest for TakeBackRequest {
    fn into_end(self) -> OverrideEndRequest {
        OverrideEndRequest {
            reason: self.reason.text().to_owned(),
            by: self.by.text().to_owned(),
            over: None,
            here_only: self.here_only,
        }
    }
}

/// The body of a call that removes a drain or a shift.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnRequest {
    /// How long it takes until all clients are back, such as `30m`; by default they return at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<OrderTime>,
    /// Why; optional.
    #[serde(default)]
    pub reason: PlainText,
    /// The author; by default the caller's address, or `the local socket`.
    #[serde(default)]
    pub by: PlainText,
    /// Remove what was ordered on this server only, not what the fleet has ordered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub here_only: bool,
}

impl EndRequest for ReturnRequest {
    fn into_end(self) -> OverrideEndRequest {
        OverrideEndRequest {
            reason: self.reason.text().to_owned(),
            by: self.by.text().to_owned(),
            over: seconds(&self.over),
            here_only: self.here_only,
        }
    }
}

/// The body of a call that asks what a reload would change. It has no keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {}

/// The state that something is forced into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForcedState {
    /// Treated as up.
    Up,
    /// Treated as down.
    Down,
}

/// The body of a call that begins or renews a lease.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// How long the endpoint stays without being renewed, such as `30s`.
    pub ttl: LeaseTime,
    /// 0 is a standby.
    #[schemars(range(max = 1_000_000))]
    #[serde(default = "usual_weight", deserialize_with = "weight")]
    pub weight: u32,
    /// The port that is checked, instead of the check's own port.
    #[schemars(range(min = 1, max = 65_535))]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "port"
    )]
    pub port: Option<u16>,
    /// The author; by default the caller's address, or `the local socket`.
    #[serde(default)]
    pub by: PlainText,
}

/// The weight of a lease that states none.
fn usual_weight() -> u32 {
    100
}

/// Reads a weight from 0 to 1,000,000.
fn weight<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let weight = f64::deserialize(from)?;
    if is_whole(weight, 0.0, MOST_WEIGHT.into()) {
        return Ok(weight as u32);
    }
    Err(D::Error::custom(format!(
        "a weight is a whole number from 0 to {MOST_WEIGHT}, not {weight}"
    )))
}

/// Reads a percentage from 0 to 100.
fn percent<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let percent = f64::deserialize(from)?;
    if (0.0..=100.0).contains(&percent) {
        return Ok(percent);
    }
    Err(D::Error::custom(format!(
        "percent is from 0 to 100, not {percent}"
    )))
}

/// Reads a port from 1 to 65,535.
fn port<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    let Some(port) = Option::<f64>::deserialize(from)? else {
        return Ok(None);
    };
    if is_whole(port, 1.0, u16::MAX.into()) {
        return Ok(Some(port as u16));
    }
    Err(D::Error::custom(format!(
        "a port is a whole number from 1 to 65535, not {port}"
    )))
}

/// Whether a number is whole and within bounds. JSON has one type of number, so `5.0` is whole.
fn is_whole(number: f64, least: f64, most: f64) -> bool {
    number.fract() == 0.0 && (least..=most).contains(&number)
}

//! The bodies of calls that change something: one type for each operation, which takes what that operation needs and no more.

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::forms::{LeaseTime, MOST_WEIGHT, OrderTime, PlainText};
use crate::control::orders::OverrideAction;

/// An order as its body says it, of whatever operation.
pub struct OverrideRequest {
    /// What is demanded.
    pub demand: OverrideAction,
    /// Why; may be empty.
    pub reason: String,
    /// Who says so; may be empty.
    pub by: String,
    /// How long it holds, in seconds; `None`: until it is lifted.
    pub lasting: Option<u64>,
    /// Within how many seconds it comes into force; `None`: at once.
    pub over: Option<u64>,
    /// Even if it takes their last live region from clients.
    pub yes: bool,
}

/// The body of a call that orders something.
pub trait OrderRequest: DeserializeOwned + JsonSchema + Send + 'static {
    /// What it comes to.
    fn asked(self) -> OverrideRequest;
}

/// The end of an order as its body says it.
pub struct OverrideEndRequest {
    /// Why; may be empty.
    pub reason: String,
    /// Who says so; may be empty.
    pub by: String,
    /// Within how many seconds it comes about; `None`: at once.
    pub over: Option<u64>,
}

/// The body of a call that takes an order back.
pub trait EndRequest: DeserializeOwned + JsonSchema + Send + 'static {
    /// What it comes to.
    fn ended(self) -> OverrideEndRequest;
}

/// Structures with the keys that every order has behind their own.
macro_rules! order_requests {
    ($($(#[$about:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* }
       demands $demand:expr, over $over:expr;)*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$meta])* pub $field: $type,)*
            /// Why; may be left out.
            #[serde(default)]
            pub reason: PlainText,
            /// Who says so; if left out, the address that the call comes from, or `the local socket`.
            #[serde(default)]
            pub by: PlainText,
            /// How long it holds, such as `2h`; if left out, until it is lifted.
            #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
            pub lasting: Option<OrderTime>,
            /// Do it even if it takes their last live region from clients.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            pub yes: bool,
        }

        impl OrderRequest for $name {
            fn asked(self) -> OverrideRequest {
                let demand: fn(&$name) -> OverrideAction = $demand;
                let over: fn(&$name) -> Option<&OrderTime> = $over;
                OverrideRequest {
                    demand: demand(&self),
                    over: over(&self).map(OrderTime::seconds),
                    reason: self.reason.text().to_owned(),
                    by: self.by.text().to_owned(),
                    lasting: self.lasting.as_ref().map(OrderTime::seconds),
                    yes: self.yes,
                }
            }
        }
    )*};
}

order_requests! {
    /// The body of a drain of a region or a service.
    DrainRequest {
        /// How long it takes until all clients go elsewhere, such as `30m`; if left out, it is at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        over: Option<OrderTime>,
    }
    demands |_| OverrideAction::Drain, over |it| it.over.as_ref();

    /// The body of a drain of an endpoint, which is at once.
    EndpointDrainRequest {}
    demands |_| OverrideAction::Drain, over |_| None;

    /// The body of a call that takes something as up or down.
    ForceRequest {
        /// What it is taken as.
        state: ForcedState,
    }
    demands |it| it.state.demand(), over |_| None;

    /// The body of a call that gives another weight.
    WeightRequest {
        /// 0 is a standby.
        #[schemars(range(max = 1_000_000))]
        #[serde(deserialize_with = "weight")]
        weight: u32,
    }
    demands |it| OverrideAction::Weight { weight: it.weight }, over |_| None;

    /// The body of a call that sends a part of a region's clients elsewhere.
    ShiftRequest {
        /// The part, in per cent; 0 takes the shift back.
        #[schemars(range(min = 0.0, max = 100.0))]
        #[serde(deserialize_with = "percent")]
        percent: f64,
        /// The region that they are offered first; if left out, each client's next one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// How long it takes until the whole part goes elsewhere, such as `30m`; if left out, it is at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        over: Option<OrderTime>,
    }
    demands |it| OverrideAction::Shift { percent: it.percent, to: it.to.clone() }, over |it| it.over.as_ref();
}

/// The body of a call that takes something back at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeBackRequest {
    /// Why; may be left out.
    #[serde(default)]
    pub reason: PlainText,
    /// Who says so; if left out, the address that the call comes from, or `the local socket`.
    #[serde(default)]
    pub by: PlainText,
}

impl EndRequest for TakeBackRequest {
    fn ended(self) -> OverrideEndRequest {
        OverrideEndRequest {
            reason: self.reason.text().to_owned(),
            by: self.by.text().to_owned(),
            over: None,
        }
    }
}

/// The body of a call that takes back what sends clients elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnRequest {
    /// How long it takes until all clients are back, such as `30m`; if left out, it is at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<OrderTime>,
    /// Why; may be left out.
    #[serde(default)]
    pub reason: PlainText,
    /// Who says so; if left out, the address that the call comes from, or `the local socket`.
    #[serde(default)]
    pub by: PlainText,
}

impl EndRequest for ReturnRequest {
    fn ended(self) -> OverrideEndRequest {
        let over = self.over.as_ref().map(OrderTime::seconds);
        OverrideEndRequest {
            reason: self.reason.text().to_owned(),
            by: self.by.text().to_owned(),
            over,
        }
    }
}

/// The body of a call that asks what a reload would change: nothing is to be said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {}

/// What something is forced to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForcedState {
    /// Taken as up.
    Up,
    /// Taken as down.
    Down,
}

impl ForcedState {
    fn demand(self) -> OverrideAction {
        match self {
            ForcedState::Up => OverrideAction::ForceUp,
            ForcedState::Down => OverrideAction::ForceDown,
        }
    }
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
    /// Where it is checked, instead of the check's own port.
    #[schemars(range(min = 1, max = 65_535))]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "port"
    )]
    pub port: Option<u16>,
    /// Who says so; if left out, the address that the call comes from, or `the local socket`.
    #[serde(default)]
    pub by: PlainText,
}

/// The weight of a lease that states none.
fn usual_weight() -> u32 {
    100
}

/// 0 to 1,000,000
fn weight<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let weight = f64::deserialize(from)?;
    let wrong = || {
        D::Error::custom(format!(
            "a weight is a whole number from 0 to {MOST_WEIGHT}, not {weight}"
        ))
    };
    whole(weight, 0.0, MOST_WEIGHT.into())
        .map(|weight| weight as u32)
        .ok_or_else(wrong)
}

/// 0 to 100
fn percent<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let percent = f64::deserialize(from)?;
    let wrong = || D::Error::custom(format!("percent is from 0 to 100, not {percent}"));
    if (0.0..=100.0).contains(&percent) {
        Ok(percent)
    } else {
        Err(wrong())
    }
}

/// 1 to 65,535
fn port<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    let Some(port) = Option::<f64>::deserialize(from)? else {
        return Ok(None);
    };
    let wrong = || {
        D::Error::custom(format!(
            "a port is a whole number from 1 to 65535, not {port}"
        ))
    };
    whole(port, 1.0, u16::MAX.into())
        .map(|port| Some(port as u16))
        .ok_or_else(wrong)
}

/// JSON knows numbers only, so `5.0` is as whole as `5`.
fn whole(number: f64, least: f64, most: f64) -> Option<f64> {
    (number.fract() == 0.0 && (least..=most).contains(&number)).then_some(number)
}

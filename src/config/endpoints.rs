//! Endpoints: where they are reached, and which of their names have to be looked up.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

use super::error::ValueError;
use super::model::{CheckId, Config, ServiceConfig};
use super::read::TextValue;
use crate::dns::{Name, RecordType};
use crate::resolve::IpFamily;
use crate::zone;

/// Where an endpoint is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EndpointTarget {
    /// An address.
    Address(IpAddr),
    /// A name, given as CNAME.
    Name(Name),
    /// A name whose addresses are given. Where they are known, they stand in its place.
    Alias(Name),
    /// A host that a record of another type leads to.
    Host(TargetHost),
}

/// A mail exchanger or the host of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetHost {
    /// Where it leads.
    pub name: Name,
    /// MX or SRV.
    pub rtype: RecordType,
    /// The whole data of the record, uncompressed.
    pub data: Box<[u8]>,
}

/// `mx = "10 mx.example.com."`
#[derive(Debug)]
pub struct MxText(pub TargetHost);

/// `srv = "10 5 5060 sip.example.com."`
#[derive(Debug)]
pub struct SrvText(pub TargetHost);

impl TextValue for MxText {
    fn expected() -> String {
        "the data of an MX record as in a zone file, such as \"10 mx.example.com.\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        TargetHost::from_text(RecordType::MX, 2, text).map(MxText)
    }
}

impl TextValue for SrvText {
    fn expected() -> String {
        "the data of an SRV record as in a zone file, such as \"10 5 5060 sip.example.com.\""
            .to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        TargetHost::from_text(RecordType::SRV, 6, text).map(SrvText)
    }
}

impl TargetHost {
    /// The name stands behind `before` octets of numbers (RFC 1035 section 3.3.9, RFC 2782).
    fn from_text(rtype: RecordType, before: usize, text: &str) -> Result<TargetHost, ValueError> {
        let data = zone::parse_data(rtype, text)?;
        let name = data
            .get(before..)
            .and_then(|wire| Name::from_wire(wire).ok())
            .filter(|name| *name != Name::root());
        let name =
            name.ok_or_else(|| ValueError::from(format!("this {rtype} record leads to no host")))?;
        Ok(TargetHost { name, rtype, data })
    }
}

impl fmt::Display for EndpointTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointTarget::Address(address) => address.fmt(f),
            EndpointTarget::Name(name)
            | EndpointTarget::Alias(name)
            | EndpointTarget::Host(TargetHost { name, .. }) => name.fmt(f),
        }
    }
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub target: EndpointTarget,
    /// 0..=1,000,000, default 100; 0 = standby.
    pub weight: u32,
    /// Its check: its own or the service's.
    pub check: Option<CheckId>,
    /// Overrides the check's port.
    pub port: Option<u16>,
    /// The alias that its address was resolved from.
    pub alias: Option<Name>,
    /// Of an alias, the families of which nobody knows yet what it has; nothing is known when the file is read.
    pub unknown: Vec<IpFamily>,
}

impl Endpoint {
    /// The name that is looked up for it: its alias, or the name that it leads to if that is checked.
    pub fn resolved_name(&self) -> Option<&Name> {
        match &self.target {
            EndpointTarget::Address(_) => self.alias.as_ref(),
            EndpointTarget::Alias(name) => Some(name),
            EndpointTarget::Name(name) | EndpointTarget::Host(TargetHost { name, .. }) => {
                Some(name).filter(|_| self.check.is_some())
            }
        }
    }

    /// Whether people mean it by this text: its address or name, or the alias that its address comes from.
    pub fn is_called(&self, text: &str) -> bool {
        let alias = self.alias.as_ref().map(Name::to_string);
        self.target.to_string().eq_ignore_ascii_case(text)
            || alias.is_some_and(|it| it.eq_ignore_ascii_case(text))
    }
}

impl ServiceConfig {
    /// Whether a type is the service's, so that none of it comes from the zone file.
    pub fn answers(&self, rtype: RecordType) -> bool {
        let mut targets = self
            .regions
            .iter()
            .flat_map(|region| &region.endpoints)
            .map(|endpoint| &endpoint.target);
        let leads = |target: &EndpointTarget| match target {
            EndpointTarget::Host(host) => host.rtype == rtype,
            EndpointTarget::Address(_) | EndpointTarget::Alias(_) => {
                matches!(rtype, RecordType::A | RecordType::AAAA)
            }
            // A name with a CNAME has nothing else (RFC 1034 section 3.6.2).
            EndpointTarget::Name(_) => {
                matches!(rtype, RecordType::A | RecordType::AAAA | RecordType::CNAME)
            }
        };
        targets.any(leads) || self.bindings.iter().any(|binding| binding.rtype == rtype)
    }
}

impl Config {
    /// Whether the endpoints of all services, and all weights, are those of another configuration of the same services.
    pub fn has_services_of(&self, other: &Config) -> bool {
        let weights = |config: &Config| {
            config
                .regions
                .iter()
                .map(|region| region.weight)
                .collect::<Vec<_>>()
        };
        let mut pairs = self.services.iter().zip(&other.services);
        pairs.all(|(one, other)| one.regions == other.regions) && weights(self) == weights(other)
    }

    /// Every name that is to be looked up.
    pub fn resolved_names(&self) -> HashSet<Name> {
        let regions = self.services.iter().flat_map(|service| &service.regions);
        regions
            .flat_map(|region| &region.endpoints)
            .filter_map(Endpoint::resolved_name)
            .cloned()
            .collect()
    }
}

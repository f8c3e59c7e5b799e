//! The endpoints of a service: their targets, and which of their names must be looked up.
//!
//! The target of an endpoint is an address, a domain name or a record that names a host. An
//! alias has no addresses when the file is read. Once the resolver knows them, endpoints with these
//! addresses replace it.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

use super::model::{CheckId, Config, ServiceConfig, ServiceRegion};
use crate::config::values::hosts::TargetHost;
use crate::dns::{Name, RecordType};
use crate::resolve::IpFamily;

/// Where an endpoint is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EndpointTarget {
    /// An address.
    Address(IpAddr),
    /// A name that is answered as CNAME.
    Name(Name),
    /// A name whose addresses are answered. They replace the endpoint once they are known.
    Alias(Name),
    /// A host that an MX or SRV record names.
    Host(TargetHost),
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

impl EndpointTarget {
    /// Whether clients are sent on to this name, as a CNAME or by its addresses.
    pub(super) fn leads_to(&self, other: &Name) -> bool {
        matches!(self, EndpointTarget::Name(name) | EndpointTarget::Alias(name) if name == other)
    }
}

impl ServiceRegion {
    /// Whether one of its endpoints is an alias, which may come to any number of addresses.
    pub fn has_alias(&self) -> bool {
        self.endpoints
            .iter()
            .any(|endpoint| matches!(endpoint.target, EndpointTarget::Alias(_)))
    }
}

/// An endpoint: what replies name, its weight, and how it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The address or name of the endpoint.
    pub target: EndpointTarget,
    /// 0..=1,000,000; 0 = standby.
    pub weight: u32,
    /// The check of the endpoint or, by default, of the service.
    pub check: Option<CheckId>,
    /// Overrides the check's port.
    pub port: Option<u16>,
    /// The alias that its address was resolved from.
    pub alias: Option<Name>,
    /// The address families of an alias that have not been resolved yet: all of them when the file
    /// is read.
    pub unknown: Vec<IpFamily>,
}

impl Endpoint {
    /// The name that must be looked up: the alias, or the name of a CNAME, MX or SRV endpoint with
    /// a check.
    pub fn resolved_name(&self) -> Option<&Name> {
        match &self.target {
            EndpointTarget::Address(_) => self.alias.as_ref(),
            EndpointTarget::Alias(name) => Some(name),
            EndpointTarget::Name(name) | EndpointTarget::Host(TargetHost { name, .. }) => {
                Some(name).filter(|_| self.check.is_some())
            }
        }
    }

    /// Whether this text names the endpoint: its address or name, or the alias of its address.
    pub fn is_called(&self, text: &str) -> bool {
        let alias = self.alias.as_ref().map(Name::to_string);
        self.target.to_string().eq_ignore_ascii_case(text)
            || alias.is_some_and(|it| it.eq_ignore_ascii_case(text))
    }
}

impl ServiceConfig {
    /// Whether the service answers this type, instead of the zone file.
    pub fn answers(&self, rtype: RecordType) -> bool {
        let mut targets = self
            .regions
            .iter()
            .flat_map(|region| &region.endpoints)
            .map(|endpoint| &endpoint.target);
        targets.any(|target| target.answers(rtype))
            || self.bindings.iter().any(|binding| binding.rtype == rtype)
    }
}

impl EndpointTarget {
    /// Whether a query of this type leads here.
    fn answers(&self, rtype: RecordType) -> bool {
        match self {
            EndpointTarget::Host(host) => host.rtype == rtype,
            EndpointTarget::Address(_) | EndpointTarget::Alias(_) => {
                matches!(rtype, RecordType::A | RecordType::AAAA)
            }
            // A name with a CNAME has nothing else (RFC 1034 section 3.6.2).
            EndpointTarget::Name(_) => {
                matches!(rtype, RecordType::A | RecordType::AAAA | RecordType::CNAME)
            }
        }
    }
}

impl Config {
    /// Whether all endpoints and all weights are the same in another configuration of the same
    /// services.
    pub fn has_services_of(&self, other: &Config) -> bool {
        let weights = self.regions.iter().map(|region| region.weight);
        let mut pairs = self.services.iter().zip(&other.services);
        pairs.all(|(one, other)| one.regions == other.regions)
            && weights.eq(other.regions.iter().map(|region| region.weight))
    }

    /// Every name that must be looked up.
    pub fn resolved_names(&self) -> HashSet<Name> {
        let regions = self.services.iter().flat_map(|service| &service.regions);
        regions
            .flat_map(|region| &region.endpoints)
            .filter_map(Endpoint::resolved_name)
            .cloned()
            .collect()
    }
}

//! Endpoints: where they are reached, and which of their names have to be looked up.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

use super::model::{CheckId, Config};
use crate::dns::Name;

/// Where an endpoint is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// An address.
    Address(IpAddr),
    /// A name, given as CNAME.
    Name(Name),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Address(address) => address.fmt(f),
            Target::Name(name) => name.fmt(f),
        }
    }
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub target: Target,
    /// 0..=1,000,000, default 100; 0 = standby.
    pub weight: u32,
    /// Its check: its own or the service's.
    pub check: Option<CheckId>,
    /// Overrides the check's port.
    pub port: Option<u16>,
}

impl Endpoint {
    /// The name that is looked up for it: one that is given as CNAME is, if it is checked.
    pub fn resolved_name(&self) -> Option<&Name> {
        match &self.target {
            Target::Address(_) => None,
            Target::Name(name) => Some(name).filter(|_| self.check.is_some()),
        }
    }
}

impl Config {
    /// Whether the endpoints of all services, and all weights, are those of another configuration of the same services.
    pub fn has_services_of(&self, other: &Config) -> bool {
        let weights = |config: &Config| config.regions.iter().map(|region| region.weight).collect::<Vec<_>>();
        let mut pairs = self.services.iter().zip(&other.services);
        pairs.all(|(one, other)| one.regions == other.regions) && weights(self) == weights(other)
    }

    /// Every name that is to be looked up.
    pub fn resolved_names(&self) -> HashSet<Name> {
        let regions = self.services.iter().flat_map(|service| &service.regions);
        regions.flat_map(|region| &region.endpoints).filter_map(Endpoint::resolved_name).cloned().collect()
    }
}

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
    /// A name whose addresses are given. Where they are known, they stand in its place.
    Alias(Name),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Address(address) => address.fmt(f),
            Target::Name(name) | Target::Alias(name) => name.fmt(f),
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
    /// The alias that its address was resolved from.
    pub alias: Option<Name>,
}

impl Endpoint {
    /// The name that is looked up for it: its alias, or the name that is given as CNAME if that is checked.
    pub fn resolved_name(&self) -> Option<&Name> {
        match &self.target {
            Target::Address(_) => self.alias.as_ref(),
            Target::Alias(name) => Some(name),
            Target::Name(name) => Some(name).filter(|_| self.check.is_some()),
        }
    }

    /// Whether people mean it by this text: its address or name, or the alias that its address comes from.
    pub fn is_called(&self, text: &str) -> bool {
        let alias = self.alias.as_ref().map(Name::to_string);
        self.target.to_string().eq_ignore_ascii_case(text) || alias.is_some_and(|it| it.eq_ignore_ascii_case(text))
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

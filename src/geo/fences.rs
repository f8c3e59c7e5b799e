//! Fences and the rules of a catchment.
//!
//! A [`Fence`] matches clients by country, continent, subdivision, autonomous system or network, and
//! limits them to some of the candidates. [`CatchmentRules`] joins the fences of a service with the
//! order of its regions. Services with equal rules share one catchment.

use super::place::{Place, PlaceCode};
use crate::net::{Cidr, ClientAddress};
use crate::steering::{RegionOrder, SteeringRules};

/// Limits the clients that it matches to some of the candidates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fence {
    /// ISO 3166-1 alpha-2.
    pub countries: Vec<PlaceCode>,
    /// AF AN AS EU NA OC SA.
    pub continents: Vec<PlaceCode>,
    /// Country and subdivision.
    pub subdivisions: Vec<(PlaceCode, PlaceCode)>,
    /// Autonomous systems.
    pub asns: Vec<u32>,
    /// Networks of the clients.
    pub networks: Vec<Cidr>,
    /// Whether it also matches clients whose country or continent is unknown.
    pub of_unknown: bool,
    /// Positions in [`SteeringRules::candidates`], in the fence's order.
    pub allowed: Vec<u8>,
}

impl Fence {
    /// Whether it matches a client at `place`. A fence whose lists are all empty matches all
    /// clients.
    pub fn matches(&self, place: &Place, in_networks: bool) -> bool {
        in_networks
            || self.matches_everybody()
            || self.names(place)
            || self.of_unknown && self.cannot_place(place)
    }

    fn matches_everybody(&self) -> bool {
        self.countries.is_empty()
            && self.continents.is_empty()
            && self.subdivisions.is_empty()
            && self.asns.is_empty()
            && self.networks.is_empty()
    }

    /// Whether one of its lists, apart from the networks, contains the place.
    fn names(&self, place: &Place) -> bool {
        if let (Some(country), Some(subdivision)) = (place.country, place.subdivision)
            && self.subdivisions.contains(&(country, subdivision))
        {
            return true;
        }
        place
            .country
            .is_some_and(|code| self.countries.contains(&code))
            || place
                .continent
                .is_some_and(|code| self.continents.contains(&code))
            || place.asn.is_some_and(|asn| self.asns.contains(&asn.get()))
    }

    /// Whether the geodata lack what the fence lists: the country, or the continent if only
    /// continents are listed.
    pub fn cannot_place(&self, place: &Place) -> bool {
        if self.countries.is_empty() && self.subdivisions.is_empty() {
            !self.continents.is_empty() && place.continent.is_none()
        } else {
            place.country.is_none()
        }
    }

    /// Whether an address lies in its networks.
    pub fn holds(&self, address: ClientAddress) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }
}

/// Rules and fences. Services with equal rules and fences share one catchment.
#[derive(Debug, Clone, PartialEq)]
pub struct CatchmentRules {
    /// The order of the candidates.
    pub rules: SteeringRules,
    /// The first that matches wins.
    pub fences: Vec<Fence>,
}

impl CatchmentRules {
    /// The first fence that matches a client.
    pub fn fence_of(&self, place: &Place, in_networks: impl Fn(usize) -> bool) -> Option<usize> {
        let mut fences = self.fences.iter().enumerate();
        let found = fences.find(|(index, fence)| fence.matches(place, in_networks(*index)));
        found.map(|(index, _)| index)
    }

    /// The candidates that a fence allows; `None` without a fence: all of them.
    pub fn allowed_by(&self, fence: Option<usize>) -> Option<&[u8]> {
        let fence = self.fences.get(fence?)?;
        Some(&fence.allowed)
    }

    /// The candidates that the first matching fence allows; `None` if no fence matches.
    pub fn allowed(&self, place: &Place, in_networks: impl Fn(usize) -> bool) -> Option<&[u8]> {
        self.allowed_by(self.fence_of(place, in_networks))
    }

    /// Whether clients can belong to different classes.
    pub fn depends_on_client(&self) -> bool {
        !self.fences.is_empty()
            || (self.rules.order == RegionOrder::Nearest && self.rules.candidates.len() > 1)
    }
}

//! The part of the compiled state that changes with health: look-up tables and endpoint pools.
//!
//! A [`LiveState`] is made from a [`super::Catalog`] and an [`Availability`] and never changes.
//! When health or an override changes, a new one is compiled and swapped in; tables that still
//! apply are shared with the one before. Queries read it without a lock. This file holds what
//! queries look up; `compile` builds it.

#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod ahead;
#[allow(clippy::indexing_slicing)]
mod compile;
pub mod hands;
mod shared;
#[allow(clippy::arithmetic_side_effects)]
mod sign;

use std::sync::Arc;

use super::availability::Availability;
use super::endpoint_data::EndpointData;
use super::services::ServiceFamily;
use super::signed::ZoneSigners;
use crate::dns::RecordType;
use crate::dnssec::SigningError;
use crate::geo::OutcomeTable;
use crate::steering::pick::PickSource;
use crate::steering::{
    ActiveTier, EndpointPool, FailoverChain, HandId, PickedEndpoints, ViewDecks,
};

use hands::{HandSignatures, ViewSignatures};
use shared::{TableKey, Tables};
pub use sign::SignedBinding;

/// What queries look up beside the catalog.
#[derive(Debug)]
pub struct LiveState {
    services: Vec<LiveService>,
    tables: Tables,
    availability: Availability,
    /// Sign steered names; `None`: no zone is signed. Queries never use them.
    signers: Option<Arc<ZoneSigners>>,
    /// Some hands are not signed yet.
    is_unsigned: bool,
    /// Why an endpoint has no signature at all.
    signing_fault: Option<SigningError>,
}

/// One service under the current availability. A clone shares everything with the original.
#[derive(Debug, Clone)]
pub struct LiveService {
    /// Seconds.
    pub ttl: u32,
    views: [Option<LiveView>; ServiceFamily::ALL.len()],
    /// The signatures of its HTTPS and SVCB records; none if its zone is not signed.
    bindings: Arc<[SignedBinding]>,
    /// The signatures of all endpoints alone, whether they can be picked or not: by family, and by
    /// their places in the configuration.
    alone: [Option<Arc<HandSignatures>>; ServiceFamily::ALL.len()],
}

/// One family of a service under the current availability.
#[derive(Debug, Clone)]
pub struct LiveView {
    /// From address to the number of a failover chain.
    pub table: Arc<OutcomeTable>,
    /// By the table's values.
    pub outcomes: Arc<[FailoverChain]>,
    /// Endpoints that can be picked, by position in the view.
    pub pools: Arc<[Option<EndpointPool>]>,
    /// Their record data, by position and by index into the pool.
    pub data: Arc<[Box<[EndpointData]>]>,
    /// The hands that replies of several endpoints are dealt from; `None` where a reply has one, or
    /// where the hands would be too many.
    pub decks: Option<Arc<ViewDecks>>,
    /// The signatures of what it answers; `None`: the zone is not signed.
    pub signed: Option<ViewSignatures>,
    /// What the table was made from.
    key: Arc<TableKey>,
}

impl LiveState {
    /// The availability that this was compiled from.
    pub fn availability(&self) -> &Availability {
        &self.availability
    }

    /// Whether a zone is signed.
    pub fn is_signed(&self) -> bool {
        self.signers.is_some()
    }

    /// Whether so much is signed that no more is signed ahead.
    pub fn is_half_full(&self) -> bool {
        self.signers
            .as_deref()
            .is_some_and(ZoneSigners::is_half_full)
    }

    /// How many signatures of steered names were made since the configuration was loaded.
    pub fn signatures_made(&self) -> u64 {
        self.signers.as_deref().map_or(0, ZoneSigners::made)
    }

    /// Why an endpoint of a signed zone has no signature at all, so that it cannot be answered.
    pub fn signing_fault(&self) -> Option<&SigningError> {
        self.signing_fault.as_ref()
    }

    /// Writes the signatures of steered names that were made since the last time to their file.
    ///
    /// # Errors
    /// A sentence: the file cannot be written.
    pub fn keep_signatures(&self) -> Result<(), String> {
        match &self.signers {
            Some(signers) => signers.keep(),
            None => Ok(()),
        }
    }

    /// A service, if its availability is still the same.
    fn unchanged(&self, index: usize, availability: &Availability) -> Option<&LiveService> {
        let is_same = self.availability.services.get(index) == availability.services.get(index);
        self.services.get(index).filter(|_| is_same)
    }

    /// A service by its number in the catalog.
    #[inline]
    pub fn service(&self, id: super::ServiceId) -> Option<&LiveService> {
        self.services.get(id.0 as usize)
    }
}

impl LiveService {
    /// The view that answers for a family.
    #[inline]
    pub fn view(&self, family: ServiceFamily) -> Option<&LiveView> {
        self.views.get(family as usize)?.as_ref()
    }

    /// The signatures of a binding of this type.
    pub fn signed_binding(&self, rtype: RecordType) -> Option<&SignedBinding> {
        self.bindings.iter().find(|binding| binding.rtype == rtype)
    }
}

impl LiveView {
    /// What the endpoints of a reply are picked from.
    #[inline(always)]
    pub fn source(&self) -> PickSource<'_> {
        PickSource {
            pools: &self.pools,
            decks: self.decks.as_deref(),
        }
    }

    /// The number of the set that a reply carries: first the hands of the decks, then each endpoint
    /// alone. `None` if several endpoints were picked one after the other, or none.
    #[inline]
    pub fn hand_of(&self, picks: &PickedEndpoints) -> Option<HandId> {
        if let Some(hand) = picks.dealt() {
            return Some(hand);
        }
        match (picks.len(), picks.iter().next()) {
            (1, Some((region, endpoint))) => Some(self.hand_of_endpoint(region, endpoint)),
            _ => None,
        }
    }

    /// The number of the set of one endpoint.
    #[inline]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "254 regions of 65,536 endpoints at most, and 4,096 hands"
    )]
    pub fn hand_of_endpoint(&self, region: u8, endpoint: u16) -> HandId {
        let mut number = self.decks.as_deref().map_or(0, |decks| decks.hands().len());
        for before in self.data.iter().take(usize::from(region)) {
            number += before.len();
        }
        HandId(number as u32 + u32::from(endpoint))
    }

    /// The sets that replies may carry whole, in the order of their numbers ([`LiveView::hand_of`]):
    /// region positions and indices into the pools.
    pub fn hands(&self) -> Vec<Vec<(u8, u16)>> {
        let mut hands = Vec::new();
        for hand in self.decks.as_deref().map_or(&[][..], |decks| decks.hands()) {
            hands.push(hand.iter().collect());
        }
        for (region, endpoints) in (0..).zip(self.data.iter()) {
            for endpoint in (0..).take(endpoints.len()) {
                hands.push(vec![(region, endpoint)]);
            }
        }
        hands
    }

    /// The record data of a pick.
    #[inline]
    pub fn endpoint(&self, region: u8, endpoint: u16) -> Option<&EndpointData> {
        self.data
            .get(usize::from(region))?
            .get(usize::from(endpoint))
    }

    /// Whether more than one endpoint of a tier can be picked.
    #[inline]
    pub fn has_choice(&self, tier: &ActiveTier) -> bool {
        tier.regions.len() > 1
            || tier
                .regions
                .iter()
                .any(|(region, _)| self.endpoint_count(*region) > 1)
    }

    /// How many endpoints of a region can be picked.
    #[inline]
    pub fn endpoint_count(&self, region: u8) -> usize {
        self.data
            .get(usize::from(region))
            .map_or(0, |data| data.len())
    }
}

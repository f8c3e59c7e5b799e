//! Compiles a [`LiveState`] from a catalog and an availability.
//!
//! Outcome tables are the expensive part: one for each catchment, states of its regions and
//! all-down rule. Views with equal keys share a table (`shared`), and a new state takes over the
//! tables of the one before. A service whose availability is the same is shared whole, so a change of one
//! service does not cost what all of them cost. A table is either wide, with blocks as large as
//! the outcomes allow, or made at once from the classes of the catchment, which takes milliseconds
//! however large the map is. Views that are alike share their decks.

use std::sync::Arc;

use super::hands::ViewSignatures;
use super::shared::{DeckCache, DeckKey, LiveTable, TableCache, TableKey};
use super::sign::HandSigning;
use super::{LiveService, LiveState, LiveView};
use crate::catalog::Catalog;
use crate::catalog::availability::{Availability, ServiceAvailability};
use crate::catalog::region_states::ViewAvailability;
use crate::catalog::services::{ServiceFamily, ServiceView, SteeredService, ViewRegion};
use crate::catalog::signed::ZoneSigners;
use crate::geo::catchment::{Catchment, Outcomes};
use crate::steering::deck::{DeckRegion, DeckRules};
use crate::steering::{EndpointPool, RegionStates, ViewDecks};

impl LiveState {
    /// Compiles the first live state of a catalog, in which these signers sign the steered names.
    pub fn first(
        catalog: &Catalog,
        availability: &Availability,
        signers: Option<Arc<ZoneSigners>>,
    ) -> LiveState {
        LiveStateBuild {
            catalog,
            availability,
            before: None,
            is_same_catalog: false,
            shares_services: false,
            signers,
            is_at_once: false,
        }
        .build(LiveTable::wide)
    }

    /// Compiles the live state. Tables that `before` has for the same catalog are shared, and its
    /// signers sign.
    pub fn compile(
        catalog: &Catalog,
        availability: &Availability,
        before: Option<&LiveState>,
    ) -> LiveState {
        LiveStateBuild {
            catalog,
            availability,
            before,
            is_same_catalog: false,
            shares_services: false,
            signers: before.and_then(|before| before.signers.clone()),
            is_at_once: false,
        }
        .build(LiveTable::wide)
    }

    /// Compiles the live state within milliseconds. The blocks of new tables are narrower than
    /// necessary until [`LiveState::widened`]. `before` must be a state of the same catalog:
    /// services whose availability it has are shared with it.
    pub fn compile_at_once(
        catalog: &Catalog,
        availability: &Availability,
        before: Option<&LiveState>,
    ) -> LiveState {
        LiveStateBuild {
            catalog,
            availability,
            before,
            is_same_catalog: true,
            shares_services: true,
            signers: before.and_then(|before| before.signers.clone()),
            is_at_once: true,
        }
        .build(LiveTable::at_once)
    }

    /// Whether some blocks are narrower than necessary, or some hands are not signed yet.
    pub fn is_narrow(&self) -> bool {
        self.is_unsigned || self.tables.values().any(|table| !table.wide)
    }

    /// The same state with every block as wide as the outcomes allow, and every hand signed.
    pub fn widened(&self, catalog: &Catalog) -> LiveState {
        LiveStateBuild {
            catalog,
            availability: &self.availability,
            before: Some(self),
            is_same_catalog: true,
            shares_services: false,
            signers: self.signers.clone(),
            is_at_once: false,
        }
        .build(LiveTable::wide)
    }
}

/// What a live state is built from.
struct LiveStateBuild<'b> {
    catalog: &'b Catalog,
    availability: &'b Availability,
    /// The state before, whose tables are shared.
    before: Option<&'b LiveState>,
    /// The state before is one of the same catalog, so its endpoints are the same.
    is_same_catalog: bool,
    /// Services of the state before are shared, too.
    shares_services: bool,
    signers: Option<Arc<ZoneSigners>>,
    /// It must not take longer than a step of the controller.
    is_at_once: bool,
}

/// A service whose tables are not made yet.
#[expect(
    clippy::large_enum_variant,
    reason = "they live for one build; a box for each would be slower"
)]
enum PreparedService<'s> {
    /// As in the state before.
    Shared(&'s LiveService),
    /// By family.
    New([Option<PreparedView<'s>>; ServiceFamily::ALL.len()]),
}

impl<'b> LiveStateBuild<'b> {
    fn build(&self, make: fn(&Catchment, &RegionStates) -> LiveTable) -> LiveState {
        let mut tables = TableCache::new(self.before.map(|before| &before.tables), make);
        let mut prepared = Vec::with_capacity(self.catalog.services.len());
        for index in 0..self.catalog.services.len() {
            prepared.push(self.prepare(index));
        }
        let (mut shared, mut new) = (Vec::new(), Vec::new());
        for service in &prepared {
            match service {
                PreparedService::Shared(service) => shared.extend(service.views.iter().flatten()),
                PreparedService::New(views) => new.extend(views.iter().flatten()),
            }
        }
        tables.keep(shared.into_iter());
        tables.make_all(new.into_iter().map(PreparedView::table_source));
        let mut services = Vec::with_capacity(prepared.len());
        let mut decks = DeckCache::default();
        let signers = self.signers.as_deref();
        let signing = signers.map(|signers| match self.is_at_once {
            true => HandSigning::at_once(signers),
            false => HandSigning::new(signers, u32::MAX),
        });
        for (index, service) in prepared.into_iter().enumerate() {
            services.push(match service {
                PreparedService::Shared(service) => service.clone(),
                PreparedService::New(views) => {
                    let mut live = [const { Vec::new() }; ServiceFamily::ALL.len()];
                    if signing.is_some() {
                        for (live, view) in live.iter_mut().zip(&views) {
                            if let Some(view) = view {
                                live.clone_from(&view.live);
                            }
                        }
                    }
                    let mut service = LiveService {
                        ttl: self.ttl(index),
                        views: views.map(|view| view?.finish(&tables, &mut decks)),
                        bindings: Arc::default(),
                        alone: Default::default(),
                    };
                    if let Some(signing) = &signing {
                        self.sign(index, &mut service, signing, &live);
                    }
                    service
                }
            });
        }
        LiveState {
            services,
            tables: tables.into_tables(),
            availability: self.availability.clone(),
            is_unsigned: signing.as_ref().is_some_and(HandSigning::is_incomplete),
            signing_fault: signing.and_then(HandSigning::into_fault),
            signers: self.signers.clone(),
        }
    }

    fn prepare(&self, index: usize) -> PreparedService<'b> {
        let before = self.before.filter(|_| self.shares_services);
        if let Some(same) = before.and_then(|before| before.unchanged(index, self.availability)) {
            return PreparedService::Shared(same);
        }
        let service = &self.catalog.services[index];
        let now = self.availability.of(index);
        let is_signed = self.is_signed(service);
        let views =
            ServiceFamily::ALL.map(|family| PreparedView::new(service, family, now, is_signed));
        PreparedService::New(views)
    }

    /// Whether the zone of a service is signed.
    fn is_signed(&self, service: &SteeredService) -> bool {
        let Some(signers) = &self.signers else {
            return false;
        };
        let node = self.catalog.names.get(service.name.to_lower().as_wire());
        node.is_some_and(|node| signers.of(node.zone.0 as usize).is_some())
    }

    /// Signs everything that a service can answer, if its zone is signed.
    fn sign(
        &self,
        index: usize,
        live: &mut LiveService,
        signing: &HandSigning<'_>,
        picked: &[Vec<Vec<usize>>; ServiceFamily::ALL.len()],
    ) {
        let service = &self.catalog.services[index];
        let Some(signing) = signing.of_service(self.catalog, service) else {
            return;
        };
        let mut bindings = Vec::with_capacity(service.bindings.len());
        for binding in &service.bindings {
            let views = [ServiceFamily::V4, ServiceFamily::V6].map(|family| live.view(family));
            bindings.push(signing.binding(binding, views));
        }
        let before = self.before.filter(|_| self.is_same_catalog);
        let before = before.and_then(|before| before.services.get(index));
        for family in ServiceFamily::ALL {
            let at = family as usize;
            let (Some(view), Some(configured)) = (&mut live.views[at], service.view(family)) else {
                continue;
            };
            let known = before.and_then(|before| before.alone[at].clone());
            let known = known.filter(|alone| alone.is_complete());
            let alone = known.unwrap_or_else(|| Arc::new(signing.alone(family, configured)));
            view.signed = Some(ViewSignatures {
                hands: signing.hands(family, view).map(Arc::new),
                alone: alone.picked(&picked[at]),
            });
            live.alone[at] = Some(alone);
        }
        live.bindings = bindings.into();
    }

    fn ttl(&self, index: usize) -> u32 {
        let now = self.availability.of(index);
        let replaced = now.and_then(|now| now.ttl);
        replaced.unwrap_or(self.catalog.services[index].ttl)
    }
}

impl LiveView {
    /// One family of one service under any availability, for what-if questions; `None`: the
    /// service has no endpoint of that family.
    pub fn alone(
        service: &SteeredService,
        family: ServiceFamily,
        now: Option<&ServiceAvailability>,
    ) -> Option<LiveView> {
        LiveView::compile(service, family, now, LiveTable::wide)
    }

    /// The same with an outcome for each class of the catchment, as narrow as its blocks are.
    pub fn by_class(
        service: &SteeredService,
        family: ServiceFamily,
        now: Option<&ServiceAvailability>,
    ) -> Option<LiveView> {
        LiveView::compile(service, family, now, LiveTable::by_class)
    }

    fn compile(
        service: &SteeredService,
        family: ServiceFamily,
        now: Option<&ServiceAvailability>,
        make: fn(&Catchment, &RegionStates) -> LiveTable,
    ) -> Option<LiveView> {
        let prepared = PreparedView::new(service, family, now, false)?;
        let mut tables = TableCache::new(None, make);
        tables.make_all(std::iter::once(prepared.table_source()));
        prepared.finish(&tables, &mut DeckCache::default())
    }
}

/// A view whose table is not made yet.
pub(super) struct PreparedView<'s> {
    view: &'s ServiceView,
    available: ViewAvailability<'s>,
    rules: DeckRules,
    /// By region, the endpoints that can be picked.
    live: Vec<Vec<usize>>,
    key: Arc<TableKey>,
}

impl<'s> PreparedView<'s> {
    pub(super) fn new(
        service: &'s SteeredService,
        family: ServiceFamily,
        now: Option<&'s ServiceAvailability>,
        is_signed: bool,
    ) -> Option<PreparedView<'s>> {
        let view = service.view(family)?;
        let available = ViewAvailability::new(view, now);
        let live = available.live_endpoints();
        let states = available.states(service.all_down, &live);
        let key = TableKey::new(&view.catchment, states);
        Some(PreparedView {
            view,
            available,
            rules: DeckRules {
                answers: service.answers,
                pick: service.pick,
                only_hands: is_signed,
            },
            live,
            key: Arc::new(key),
        })
    }

    /// What its outcome table is made from.
    pub(super) fn table_source(&self) -> (&Arc<TableKey>, &Arc<Catchment>) {
        (&self.key, &self.view.catchment)
    }

    pub(super) fn finish(self, tables: &TableCache<'_>, decks: &mut DeckCache) -> Option<LiveView> {
        let (key, outcomes) = tables.get(&self.key)?;
        let mut pools = Vec::with_capacity(self.live.len());
        let mut data = Vec::with_capacity(self.live.len());
        for (region, live) in self.view.regions.iter().zip(&self.live) {
            let weights = live_weights(&self.available, region, live);
            pools.push(EndpointPool::new(&weights));
            data.push(
                live.iter()
                    .map(|&at| region.endpoints[at].data.clone())
                    .collect(),
            );
        }
        let decks = self.decks(&pools, &key, &outcomes, decks);
        Some(LiveView {
            table: outcomes.table,
            outcomes: outcomes.chains,
            pools: pools.into(),
            data: data.into(),
            decks,
            signed: None,
            key,
        })
    }

    /// The decks of the view; `None` where one endpoint is picked at a time.
    fn decks(
        &self,
        pools: &[Option<EndpointPool>],
        key: &Arc<TableKey>,
        outcomes: &Outcomes,
        decks: &mut DeckCache,
    ) -> Option<Arc<ViewDecks>> {
        if self.rules.answers < 2 {
            return None;
        }
        let mut regions = Vec::with_capacity(pools.len());
        for ((region, live), pool) in self.view.regions.iter().zip(&self.live).zip(pools) {
            let endpoints = region.endpoints.iter();
            regions.push(DeckRegion {
                weights: pool
                    .as_ref()
                    .map_or(Vec::new(), |pool| pool.weights.to_vec()),
                places: live.iter().map(|&at| at as u16).collect(),
                configured: endpoints.map(|endpoint| endpoint.weight).collect(),
            });
        }
        let deck_key = DeckKey {
            table: Arc::as_ptr(key) as usize,
            rules: self.rules,
            regions,
        };
        decks.get(deck_key, &outcomes.chains)
    }
}

/// The weights of a region's live endpoints, as replaced or as configured.
fn live_weights(available: &ViewAvailability<'_>, region: &ViewRegion, live: &[usize]) -> Vec<u32> {
    let replaced = available.weights(region);
    let mut weights = Vec::with_capacity(live.len());
    for &at in live {
        let endpoint = &region.endpoints[at];
        let weight = replaced.and_then(|weights| weights.endpoints.get(endpoint.listed));
        weights.push(weight.copied().unwrap_or(endpoint.weight));
    }
    weights
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{self, Config};
    use crate::geo::Atlas;
    use crate::steering::pick::{PickPolicy, next_draw, pick};
    use crate::steering::{ClientHash, PickMethod, Share};
    use crate::zone;
    use proptest::prelude::*;

    fn catalog(services: usize) -> (Config, Catalog) {
        catalog_with(services, "")
    }

    fn catalog_with(services: usize, keys: &str) -> (Config, Catalog) {
        let mut text =
            "regions = { fra = { location = [50, 8] }, iad = { location = [39, -77] } }\n"
                .to_owned();
        for number in 0..services {
            text += &format!(
                "[[services]]\nname = \"s{number}.example.com\"\n{keys}[services.endpoints]\n\
                 fra = [\"192.0.2.1\", \"2001:db8::1\"]\niad = [\"192.0.2.2\", \"192.0.2.3\"]\n"
            );
        }
        let config = config::parse(&text, Path::new("meridian.toml"))
            .unwrap()
            .config;
        let text = "$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n";
        let origin = "example.com".parse().unwrap();
        let zones = zone::load_text(Path::new("z.zone"), text.as_bytes(), Some(&origin), None);
        let zones = zones.unwrap().zones;
        let catalog = Catalog::compile(&config, &zones, Arc::new(Atlas::empty())).unwrap();
        (config, catalog)
    }

    /// Everything that queries see of a state.
    fn shown(state: &LiveState) -> String {
        let mut text = String::new();
        for service in &state.services {
            text += &format!("{}", service.ttl);
            for view in &service.views {
                let Some(view) = view else { continue };
                let found = view.table.find("192.0.2.77".parse().unwrap());
                let chain = &view.outcomes[found.value as usize];
                text += &format!(" {:?} {:?} {chain:?}", view.pools, view.data);
            }
        }
        text
    }

    proptest! {
        #[test]
        fn sharing_services_with_the_state_before_changes_no_answer(
            steps in prop::collection::vec((0..4usize, 0..2usize, any::<bool>()), 1..12)
        ) {
            let (config, catalog) = catalog(4);
            let mut availability = Availability::all_up(&config);
            let mut state = LiveState::compile(&catalog, &availability, None);
            for (service, region, is_up) in steps {
                let share = if is_up { Share::ALL } else { Share::NONE };
                Arc::make_mut(&mut availability.services[service]).regions[region].share = share;
                let next = LiveState::compile_at_once(&catalog, &availability, Some(&state));
                let alone = LiveState::compile_at_once(&catalog, &availability, None);
                prop_assert_eq!(shown(&next), shown(&alone));
                prop_assert_eq!(next.tables.len(), alone.tables.len());
                state = next;
            }
            let wide = state.widened(&catalog);
            prop_assert!(!wide.is_narrow());
            prop_assert_eq!(shown(&wide), shown(&state));
        }
    }

    #[test]
    fn every_set_that_is_dealt_has_its_number() {
        let keys = "answers = 2\norder = \"none\"\n";
        let (config, catalog) = catalog_with(2, keys);
        let availability = Availability::all_up(&config);
        let state = LiveState::compile(&catalog, &availability, None);
        let views = [0, 1].map(|at| state.services[at].views[0].as_ref().unwrap());
        let decks = views.map(|view| Arc::as_ptr(view.decks.as_ref().unwrap()));
        assert_eq!(decks[0], decks[1], "views that are alike share their decks");
        let (view, hands) = (views[0], views[0].hands());
        // Three endpoints, two of which make a hand.
        assert!(hands.len() > 3 && hands.len() <= 3 + 3);
        let tier = &view.outcomes[view.table.find("192.0.2.77".parse().unwrap()).value as usize];
        for seed in 0..500 {
            let policy = PickPolicy {
                pick: PickMethod::Weighted,
                answers: 2,
                seed: next_draw(seed),
                turn: 0,
            };
            let client = ClientHash::at_v4(77);
            let picks = pick(&tier.tiers[0], view.source(), client, policy);
            let mut endpoints: Vec<(u8, u16)> = picks.iter().collect();
            endpoints.sort_unstable();
            assert_eq!(hands[view.hand_of(&picks).unwrap().0 as usize], endpoints);
        }
        let alone = state.services[0].views[1].as_ref().unwrap();
        assert_eq!(alone.hands(), [[(0, 0)]]);
    }

    #[test]
    fn a_change_of_one_service_leaves_the_others_as_they_are() {
        let (config, catalog) = catalog(3);
        let mut availability = Availability::all_up(&config);
        let before = LiveState::compile(&catalog, &availability, None);
        Arc::make_mut(&mut availability.services[1]).regions[0].share = Share::NONE;
        let after = LiveState::compile_at_once(&catalog, &availability, Some(&before));
        let is_shared = |index: usize| {
            let pools = [&before, &after]
                .map(|state| Arc::as_ptr(&state.services[index].views[0].as_ref().unwrap().pools));
            std::ptr::eq(pools[0], pools[1])
        };
        assert_eq!([0, 1, 2].map(is_shared), [true, false, true]);
    }
}

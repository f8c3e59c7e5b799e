//! Signs the hands of the states that lie one change away, so that a failover waits for no signature.
//!
//! For each signed service these states are: everything up, and the present state with one region or
//! one endpoint lost or back. Their hands are signed into the store, where compiling such a state
//! finds them. Answers of one endpoint need only the first of these states. A service has at most
//! [`MOST_HANDS`] hands ahead, and half of the store is left to what is in use; what lies beyond is
//! signed when it happens.

use super::compile::PreparedView;
use super::shared::{DeckCache, LiveTable, TableCache};
use super::sign::{HandSigning, ServiceSigning};
use super::{LiveState, LiveView};
use crate::catalog::Catalog;
use crate::catalog::availability::{Availability, ServiceAvailability};
use crate::catalog::services::{ServiceFamily, SteeredService};
use crate::steering::Share;

/// Hands of one service that are looked at ahead.
const MOST_HANDS: usize = 4096;
/// Services that share tables and decks while they are looked at.
const TOGETHER: usize = 256;

impl LiveState {
    /// Signs ahead for some services, beginning with one, and returns the one to go on with. `None`:
    /// all are done, or nothing can be signed. Services that are as in `done` were signed ahead
    /// before. At most `budget` signatures are made.
    pub fn sign_ahead(
        &self,
        catalog: &Catalog,
        done: Option<&Availability>,
        from: usize,
        budget: u32,
    ) -> Option<usize> {
        let signers = self.signers.as_deref()?;
        if signers.is_half_full() {
            return None;
        }
        let signing = HandSigning::new(signers, budget);
        let mut tables = TableCache::new(None, LiveTable::by_class);
        let mut decks = DeckCache::default();
        let services = catalog.services.iter().enumerate();
        for (index, service) in services.skip(from).take(TOGETHER) {
            let Some(now) = self.availability.of(index) else {
                continue;
            };
            let before = done.and_then(|done| done.of(index));
            if before == Some(now) {
                continue;
            }
            if let Some(signing) = signing.of_service(catalog, service) {
                let mut ahead = ServiceAhead {
                    service,
                    signing,
                    tables: &mut tables,
                    decks: &mut decks,
                    hands: 0,
                };
                ahead.sign(now);
            }
            if signing.is_spent() {
                return Some(index);
            }
            if signing.is_incomplete() {
                return None;
            }
        }
        let next = from.saturating_add(TOGETHER);
        (next < catalog.services.len()).then_some(next)
    }
}

/// Signs ahead for one service.
struct ServiceAhead<'a> {
    service: &'a SteeredService,
    signing: ServiceSigning<'a>,
    tables: &'a mut TableCache<'static>,
    decks: &'a mut DeckCache,
    /// That were looked at.
    hands: usize,
}

impl ServiceAhead<'_> {
    fn sign(&mut self, now: &ServiceAvailability) {
        let mut state = now.clone();
        for region in &mut state.regions {
            region.share = Share::ALL;
            region.detour = None;
            region.drained = false;
            region.endpoints.fill(true);
            region.drained_endpoints.fill(false);
        }
        self.sign_state(&state);
        if self.service.answers < 2 {
            return;
        }
        state.clone_from(now);
        for (at, region) in now.regions.iter().enumerate() {
            let is_back = !region.endpoints.contains(&true);
            state.regions[at].endpoints.fill(is_back);
            self.sign_state(&state);
            state.regions[at].endpoints.clone_from(&region.endpoints);
            for (endpoint, is_up) in region.endpoints.iter().enumerate() {
                state.regions[at].endpoints[endpoint] = !is_up;
                self.sign_state(&state);
                state.regions[at].endpoints[endpoint] = *is_up;
            }
        }
    }

    /// Signs the hands of one state into the store.
    fn sign_state(&mut self, state: &ServiceAvailability) {
        if self.hands >= MOST_HANDS {
            return;
        }
        let mut views = ServiceFamily::ALL.map(|_| None);
        for family in ServiceFamily::ALL {
            views[family as usize] = self.view(family, state);
        }
        for (family, view) in ServiceFamily::ALL.into_iter().zip(&views) {
            if let Some(view) = view {
                self.hands += view.hands().len();
                self.signing.hands(family, view);
            }
        }
        let [v4, v6] =
            [ServiceFamily::V4, ServiceFamily::V6].map(|family| views[family as usize].as_ref());
        for binding in &self.service.bindings {
            self.hands += self.signing.binding(binding, [v4, v6]).signatures.count();
        }
    }

    fn view(&mut self, family: ServiceFamily, state: &ServiceAvailability) -> Option<LiveView> {
        let view = PreparedView::new(self.service, family, Some(state), true)?;
        self.tables.make_all(std::iter::once(view.table_source()));
        view.finish(self.tables, self.decks)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::catalog::signed::ZoneSigners;
    use crate::config::{self, Config};
    use crate::dnssec::{
        KeyPair, SignatureStore, SigningAlgorithm, SigningKey, SigningSession, ValidityRules,
        ZoneSigner,
    };
    use crate::geo::Atlas;
    use crate::zone;

    const ZONE: &str = "$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 192.0.2.53\n";

    struct SignedWorld {
        config: Config,
        catalog: Catalog,
        session: Arc<SigningSession>,
        signers: Arc<ZoneSigners>,
    }

    fn clock() -> u64 {
        1_800_000_000
    }

    /// A zone with one service: `sizes` are the endpoints of its regions.
    fn signed_world(sizes: &[usize], keys: &str) -> SignedWorld {
        let mut text = String::new();
        for (region, _) in sizes.iter().enumerate() {
            text += &format!("[regions.r{region}]\nlocation = [{}, 8]\n", region * 10);
        }
        text += &format!("[[services]]\nname = \"www.example.com\"\n{keys}[services.endpoints]\n");
        for (region, size) in sizes.iter().enumerate() {
            let mut endpoints = Vec::new();
            for at in 1..=*size {
                let weight = at * 10;
                endpoints.push(format!(
                    "{{ address = \"192.0.{region}.{at}\", weight = {weight} }}"
                ));
                endpoints.push(format!("\"2001:db8:{region}::{at}\""));
            }
            text += &format!("r{region} = [{}]\n", endpoints.join(", "));
        }
        let config = config::parse(&text, Path::new("meridian.toml"));
        let config = config.unwrap().config;
        let origin = "example.com".parse().unwrap();
        let zones = zone::load_text(Path::new("z.zone"), ZONE.as_bytes(), Some(&origin), None);
        let zones = zones.unwrap().zones;
        let catalog = Catalog::compile(&config, &zones, Arc::new(Atlas::empty())).unwrap();
        let pair = KeyPair::generate(&origin, 257, SigningAlgorithm::Ed25519).unwrap();
        let key = Arc::new(SigningKey::new(&pair).unwrap());
        let store = SignatureStore::in_memory();
        let session = Arc::new(SigningSession::new(clock, ValidityRules::default(), store));
        let signer = ZoneSigner::new(&origin, &[key], session.clone());
        SignedWorld {
            config,
            catalog,
            session,
            signers: Arc::new(ZoneSigners {
                zones: vec![Some(signer)],
            }),
        }
    }

    impl SignedWorld {
        fn first(&self, availability: &Availability) -> LiveState {
            LiveState::first(&self.catalog, availability, Some(self.signers.clone()))
        }

        /// Signs ahead to the end, in small parts.
        fn sign_ahead(&self, live: &LiveState) {
            let mut next = Some(0);
            while let Some(from) = next {
                next = live.sign_ahead(&self.catalog, None, from, 7);
            }
        }
    }

    /// Takes an endpoint in or out, or a region if there is no endpoint of this number.
    fn change(availability: &mut Availability, region: usize, endpoint: usize) {
        let region = &mut Arc::make_mut(&mut availability.services[0]).regions[region];
        match region.endpoints.get_mut(endpoint) {
            Some(is_up) => *is_up = !*is_up,
            None => {
                let is_back = !region.endpoints.contains(&true);
                region.endpoints.fill(is_back);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_change_of_one_region_or_endpoint_needs_no_signature(
            sizes in prop::collection::vec(1..5_usize, 1..4),
            answers in 1..4_u8,
            pick in prop::sample::select(vec!["weighted", "round-robin", "sticky", "least-load"]),
            order in prop::sample::select(vec!["nearest", "priority", "none"]),
            https in any::<bool>(),
            before in prop::collection::vec((0..3_usize, 0..9_usize), 0..3),
            after in (0..3_usize, 0..9_usize),
        ) {
            let mut keys = format!("answers = {answers}\npick = \"{pick}\"\norder = \"{order}\"\n");
            // Pairs of more hands would be more than are looked at ahead.
            if https && sizes.iter().sum::<usize>() <= 5 {
                keys += "https = \"1 . alpn=h2\"\n";
            }
            let world = signed_world(&sizes, &keys);
            let mut availability = Availability::all_up(&world.config);
            for (region, endpoint) in before {
                change(&mut availability, region % sizes.len(), endpoint);
            }
            let live = world.first(&availability);
            world.sign_ahead(&live);
            let signed_ahead = world.session.made();
            change(&mut availability, after.0 % sizes.len(), after.1);
            let now = LiveState::compile_at_once(&world.catalog, &availability, Some(&live));
            prop_assert_eq!(world.session.made(), signed_ahead);
            prop_assert!(!now.is_unsigned);
        }
    }

    #[test]
    fn what_was_signed_ahead_is_not_looked_at_again() {
        let world = signed_world(&[3, 3], "answers = 2\norder = \"none\"\n");
        let availability = Availability::all_up(&world.config);
        let live = world.first(&availability);
        let now = world.session.made();
        let done = Some(live.availability());
        assert_eq!(live.sign_ahead(&world.catalog, done, 0, 1000), None);
        assert_eq!(world.session.made(), now);
        assert_eq!(live.sign_ahead(&world.catalog, None, 0, 1000), None);
        assert!(world.session.made() > now);
    }

    #[test]
    fn an_endpoint_alone_is_signed_whatever_else_waits() {
        let world = signed_world(&[4, 4], "answers = 3\norder = \"none\"\n");
        let signers = &world.signers;
        let signing = HandSigning::new(signers, 0);
        let service = signing.of_service(&world.catalog, &world.catalog.services[0]);
        let configured = world.catalog.services[0].view(ServiceFamily::V4).unwrap();
        let signatures = service.unwrap().alone(ServiceFamily::V4, configured);
        assert!(signatures.is_complete());
    }
}

//! Coverage: which clients of a service have a live region.
//!
//! Control logs when clients lose their last live region, and refuses an override or a reload that
//! would take it from them. The number of clients of each class is counted once for each catchment.
//! That takes seconds, so it happens on a thread of its own (`count_clients`), and publishing never
//! waits for it. Coverage is then computed for each snapshot that a reader asks about, which takes
//! milliseconds. Services whose clients are not counted yet have no coverage.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use super::availability::{AvailabilityFacts, AvailabilityMemory};
use super::book::OverrideBook;
use super::clock::BootTime;
use super::coverage_cache::CoverageReport;
use super::effect::EffectiveOverrides;
use super::events::{EventDraft, EventTopic};
use super::guard;
use super::inputs::Derived;
use super::outcome::ChangeRefusal;
use super::overrides::{Override, OverrideAction};
use super::running::Control;
use super::targets::ProbePlan;
use crate::answer::Snapshot;
use crate::catalog::availability::ServiceAvailability;
use crate::catalog::region_states::region_states;
use crate::catalog::services::{ServiceFamily, ServiceView, SteeredService};
use crate::catalog::{Availability, Catalog};
use crate::config::Config;
use crate::foresight::NotedTraffic;
use crate::foresight::coverage::{ClassSplit, Coverage, classes_of, fates};
use crate::foresight::coverages::{coverages, noted, noted_in};
use crate::steering::RegionStates;

/// A loss is logged again when it has grown by this many percentage points of the clients.
const LOGGED_AGAIN: f64 = 1.0;

/// An event about the clients of a service.
fn coverage_news(service: &str, sentence: String, [from, to]: [&str; 2]) -> EventDraft {
    EventDraft {
        services: vec![service.to_owned()],
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
        ..EventDraft::new(EventTopic::Coverage, sentence)
    }
}

impl Control {
    /// The coverage of all services of this snapshot.
    pub(super) fn coverage_of(&self, snapshot: &Arc<Snapshot>) -> Arc<CoverageReport> {
        self.coverage.report(snapshot)
    }

    /// Counts the clients that are not counted yet, and logs which services lost or regained
    /// coverage. It may take seconds.
    pub(super) fn count_clients(&self) {
        let snapshot = self.snapshot();
        self.coverage.count_all(&snapshot.catalog);
        self.coverage.counts().keep(&snapshot.catalog);
        let report = self.coverage.report(&snapshot);
        self.tell_coverage(&snapshot.catalog, &report);
    }

    fn tell_coverage(&self, catalog: &Catalog, report: &CoverageReport) {
        let mut logged = self
            .coverage
            .logged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut live = HashSet::new();
        for (service, families) in catalog.services.iter().zip(&report.services) {
            let name = service.name.to_string();
            for coverage in families {
                let key = (name.clone(), coverage.rtype.clone());
                live.insert(key.clone());
                if coverage.is_whole() {
                    if logged.remove(&key).is_some() {
                        self.tell_covered(&name, coverage);
                    }
                    continue;
                }
                let worst = coverage.worst_percent();
                let before = logged.get(&key);
                if before.is_none_or(|before| worst >= before + LOGGED_AGAIN) {
                    logged.insert(key, worst);
                    self.tell_uncovered(&name, coverage);
                }
            }
        }
        logged.retain(|key, _| live.contains(key));
    }

    fn tell_covered(&self, service: &str, coverage: &Coverage) {
        let rtype = &coverage.rtype;
        let sentence = format!("{service} {rtype}: every client has a live region again");
        tracing::warn!(service, "{sentence}");
        self.events()
            .tell(coverage_news(service, sentence, ["uncovered", "covered"]));
    }

    fn tell_uncovered(&self, service: &str, coverage: &Coverage) {
        let sentence = coverage.sentence(service);
        tracing::error!(service, "{sentence}");
        self.events()
            .tell(coverage_news(service, sentence, ["covered", "uncovered"]));
    }

    /// Refuses an override that takes the last live region from some clients. Callers skip this for
    /// requests that confirm the risk.
    ///
    /// # Errors
    /// It would take the last live region from clients, or its subject is not configured.
    pub async fn expect_covered(
        self: &Arc<Control>,
        override_: Override,
    ) -> Result<(), ChangeRefusal> {
        let control = self.clone();
        self.threads
            .foresight
            .run(move || control.check_covered(override_))
            .await?
    }

    fn check_covered(&self, override_: Override) -> Result<(), ChangeRefusal> {
        let state = self.state();
        let subject = override_
            .subject
            .resolve(&state.derived.config)
            .map_err(ChangeRefusal::Unknown)?;
        // A region of weight 0 is a standby: it still serves when all others are out.
        if matches!(
            override_.action,
            OverrideAction::ForceUp | OverrideAction::Weight { .. }
        ) {
            return Ok(());
        }
        let what = format!("{subject} {}", override_.action.as_clause());
        let mut book = OverrideBook::clone(&state.book);
        book.give(Override {
            subject,
            pace: None,
            ..override_
        })
        .map_err(ChangeRefusal::Unfit)?;
        let Derived {
            config,
            plan,
            effect,
            ..
        } = &state.derived;
        let now = self.foreseen(config, plan, effect);
        let then = self.foreseen(
            config,
            plan,
            &EffectiveOverrides::of(&book, config, BootTime::now()),
        );
        let losses = self.losses(&state.snapshot.catalog, &now, &then);
        match refusal(&what, &losses) {
            Some(sentence) => Err(ChangeRefusal::Uncovers(sentence)),
            None => Ok(()),
        }
    }

    /// The availability that current probe results give with other overrides or another
    /// configuration. Control does not remember it.
    fn foreseen(
        &self,
        config: &Config,
        plan: &ProbePlan,
        effect: &EffectiveOverrides,
    ) -> Availability {
        let targets = self
            .watch()
            .map(|watch| watch.monitor.health().targets)
            .unwrap_or_default();
        let facts = AvailabilityFacts {
            config,
            plan,
            targets: &targets,
            effect,
            catalog: None,
            now: BootTime::now().elapsed(),
        };
        AvailabilityMemory::default().fold(&facts).availability
    }

    /// Why `[guard] min_covered` refuses this reload, given the current probe results and
    /// overrides; `None`: it does not.
    pub(super) fn uncovering(
        &self,
        limit: f64,
        new: &Catalog,
        derived: &Derived,
    ) -> Option<String> {
        let state = self.state();
        let now = &state.snapshot;
        let effect = EffectiveOverrides::of(&state.book, &derived.config, BootTime::now());
        let then = self.foreseen(&derived.config, &derived.plan, &effect);
        self.coverage.count_all(&now.catalog);
        self.coverage.count_all(new);
        let traffic = noted_in(new, &NotedTraffic::of(&now.catalog)).unwrap_or_default();
        let counts = self.coverage.counts();
        let before = coverages(
            &now.catalog,
            Some(now.live.availability()),
            &noted(&now.catalog),
            &counts,
        );
        let after = coverages(new, Some(&then), &traffic, &counts);
        drop(counts);
        guard::uncovering(
            limit,
            &guard::changes_of_coverage((&now.catalog, &before), (new, &after)),
        )
    }

    /// The clients that lose their last live region between two availabilities. Clients that are
    /// not counted yet are counted now.
    fn losses(
        &self,
        catalog: &Catalog,
        now: &Availability,
        then: &Availability,
    ) -> Vec<ServiceLoss> {
        let noted = noted(catalog);
        let mut known = LossCache::default();
        let mut losses = Vec::new();
        for (at, service) in catalog.services.iter().enumerate() {
            let (now, then) = (now.of(at), then.of(at));
            if now == then {
                continue;
            }
            for family in ServiceFamily::ALL {
                let Some(view) = service.view(family) else {
                    continue;
                };
                let Some(lost) = known.newly_uncovered(service, view, now, then) else {
                    continue;
                };
                let clients = noted
                    .get(at)
                    .map_or(Vec::new(), |clients| classes_of(&view.catchment, clients));
                let loss = Coverage::of(
                    family,
                    &self.coverage.count(view, &catalog.atlas),
                    &lost,
                    &clients,
                );
                if !loss.is_whole() {
                    losses.push(ServiceLoss {
                        service: service.name.to_string(),
                        loss,
                    });
                }
            }
        }
        losses
    }
}

/// The clients of a service that lose their last live region.
struct ServiceLoss {
    service: String,
    loss: Coverage,
}

/// A catchment, by its address, and the states of its regions before and after.
type LossKey = (usize, RegionStates, RegionStates);

/// The losses of the classes of a catchment. Services with the same catchment and states share it.
#[derive(Default)]
struct LossCache(HashMap<LossKey, Option<Arc<Vec<ClassSplit>>>>);

impl LossCache {
    /// By class, the part that loses its last live region; `None`: no class does.
    fn newly_uncovered(
        &mut self,
        service: &SteeredService,
        view: &ServiceView,
        now: Option<&ServiceAvailability>,
        then: Option<&ServiceAvailability>,
    ) -> Option<Arc<Vec<ClassSplit>>> {
        let before = region_states(service, view, now);
        let after = region_states(service, view, then);
        let key = (Arc::as_ptr(&view.catchment) as usize, before, after);
        let lost = self
            .0
            .entry(key)
            .or_insert_with_key(|(_, before, after)| loss_between(view, before, after));
        lost.clone()
    }
}

/// By class, the part that loses its last live region; `None`: no class does.
fn loss_between(
    view: &ServiceView,
    before: &RegionStates,
    after: &RegionStates,
) -> Option<Arc<Vec<ClassSplit>>> {
    let mut lost = Vec::new();
    for (before, after) in fates(view, before).iter().zip(&fates(view, after)) {
        lost.push(after.newly_uncovered(before));
    }
    if lost.iter().all(|split| split.uncovered() <= 0.0) {
        return None;
    }
    Some(Arc::new(lost))
}

/// Why an override needs to be confirmed, given the clients that it affects; `None`: it does not.
fn refusal(what: &str, losses: &[ServiceLoss]) -> Option<String> {
    let worst = losses.iter().max_by(|one, other| {
        one.loss
            .worst_percent()
            .total_cmp(&other.loss.worst_percent())
    })?;
    let ServiceLoss { service, loss } = worst;
    let (how_many, where_to, others) = (loss.how_many(), loss.where_to(), others(losses));
    Some(format!(
        "nothing is done yet: once {what}, {how_many} have no live region of {service} ({}){where_to}{others}; if that is \
         meant, use --yes, or \"yes\": true in the body",
        loss.rtype
    ))
}

/// What the sentence says about all services but one.
fn others(losses: &[ServiceLoss]) -> String {
    let services: HashSet<&str> = losses.iter().map(|it| it.service.as_str()).collect();
    match services.len() {
        0 | 1 => String::new(),
        2 => "; and clients of one more service".to_owned(),
        count => format!("; and clients of {} more services", count - 1),
    }
}

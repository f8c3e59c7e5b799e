//! Coverage of the services that are served: who has a live region, told to whoever looks, and who would lose one by an
//! order or a reload.
//!
//! How many clients each class has is counted once for each catchment, on a thread of its own (`count_clients`):
//! nothing that is published waits for it. What becomes of the classes is worked out anew for every snapshot that somebody
//! looks at, which takes milliseconds. Services whose clients are not counted yet have no coverage.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use super::availability::{AvailabilityFacts, AvailabilityMemory};
use super::book::OverrideBook;
use super::clock::BootTime;
use super::coverage_desk::CoverageReport;
use super::effect::EffectiveOverrides;
use super::events::{EventDraft, EventTopic};
use super::guard;
use super::inputs::Derived;
use super::orders::{Override, OverrideAction};
use super::outcome::ChangeRefusal;
use super::running::Control;
use super::targets::ProbePlan;
use crate::answer::Snapshot;
use crate::catalog::present::ServiceAvailability;
use crate::catalog::region_states::region_states;
use crate::catalog::services::{ServiceFamily, ServiceView, SteeredService};
use crate::catalog::{Availability, Catalog};
use crate::config::Config;
use crate::foresight::NotedTraffic;
use crate::foresight::coverage::{ClassSplit, Coverage, classes_of, fates};
use crate::foresight::coverages::{coverages, noted, noted_in};
use crate::steering::RegionStates;

/// By so much more of the clients, in points of per cent, a loss that was told is told again.
const TOLD_AGAIN: f64 = 1.0;

/// What is told of the clients of a service.
fn coverage_news(service: &str, sentence: String, [from, to]: [&str; 2]) -> EventDraft {
    EventDraft {
        services: vec![service.to_owned()],
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
        ..EventDraft::new(EventTopic::Coverage, sentence)
    }
}

impl Control {
    /// The coverage of what is served in this snapshot.
    pub(super) fn coverage_of(&self, snapshot: &Arc<Snapshot>) -> Arc<CoverageReport> {
        self.coverage.report(snapshot)
    }

    /// Counts clients where they are not counted yet, and tells who lost or found a live region. It may take seconds.
    pub(super) fn count_clients(&self) {
        let snapshot = self.snapshot();
        self.coverage.count_all(&snapshot.catalog);
        self.coverage.counts().keep(&snapshot.catalog);
        let report = self.coverage.report(&snapshot);
        self.tell_coverage(&snapshot.catalog, &report);
    }

    fn tell_coverage(&self, catalog: &Catalog, report: &CoverageReport) {
        let mut told = self
            .coverage
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut live = HashSet::new();
        for (service, families) in catalog.services.iter().zip(&report.services) {
            let name = service.name.to_string();
            for coverage in families {
                let key = (name.clone(), coverage.rtype.clone());
                live.insert(key.clone());
                let before = told.get(&key).copied();
                if coverage.is_whole() {
                    if told.remove(&key).is_some() {
                        let sentence = format!(
                            "{name} {}: every client has a live region again",
                            coverage.rtype
                        );
                        tracing::warn!(service = name, "{sentence}");
                        self.events().tell(coverage_news(
                            &name,
                            sentence,
                            ["uncovered", "covered"],
                        ));
                    }
                } else if before
                    .is_none_or(|before| coverage.worst_percent() >= before + TOLD_AGAIN)
                {
                    told.insert(key, coverage.worst_percent());
                    let sentence = coverage.sentence(&name);
                    tracing::error!(service = name, "{sentence}");
                    self.events()
                        .tell(coverage_news(&name, sentence, ["covered", "uncovered"]));
                }
            }
        }
        told.retain(|key, _| live.contains(key));
    }

    /// Refuses an order that leaves clients without a live region who have one now. Whoever means it does not ask.
    ///
    /// # Errors
    /// It would, or it is about nothing that is configured.
    pub async fn expect_covered(self: &Arc<Control>, order: Override) -> Result<(), ChangeRefusal> {
        let control = self.clone();
        self.threads
            .foresight
            .run(move || control.check_covered(order))
            .await?
    }

    fn check_covered(&self, order: Override) -> Result<(), ChangeRefusal> {
        let state = self.state();
        let subject = order
            .subject
            .resolve(&state.derived.config)
            .map_err(ChangeRefusal::Unknown)?;
        // A weight of 0 is a standby, which serves when all else is out.
        if matches!(
            order.demand,
            OverrideAction::ForceUp | OverrideAction::Weight { .. }
        ) {
            return Ok(());
        }
        let what = format!("{subject} {}", order.demand.words());
        let mut book = OverrideBook::clone(&state.book);
        book.give(Override {
            subject,
            pace: None,
            ..order
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
        match refusal(&what, &self.losses(&state.snapshot.catalog, &now, &then)) {
            Some(sentence) => Err(ChangeRefusal::Uncovers(sentence)),
            None => Ok(()),
        }
    }

    /// What all that is known would come to with other orders or another configuration. Nothing of it is remembered.
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

    /// Why a reload would be refused that leaves too many clients without a live region under `[guard] min_covered`, as far
    /// as probes and orders know now; `None`: it would not.
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

    /// What clients lose their last live region from one availability to another, by service; the clients are counted if
    /// they are not yet.
    fn losses(
        &self,
        catalog: &Catalog,
        now: &Availability,
        then: &Availability,
    ) -> Vec<(String, Coverage)> {
        let (noted, mut known) = (noted(catalog), Losses::new());
        let mut losses = Vec::new();
        for (at, service) in catalog.services.iter().enumerate() {
            let (now, then) = (now.services.get(at), then.services.get(at));
            if now == then {
                continue;
            }
            for family in ServiceFamily::ALL {
                let Some(view) = service.view(family) else {
                    continue;
                };
                let Some(lost) = newly_uncovered(&mut known, service, view, (now, then)) else {
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
                    losses.push((service.name.to_string(), loss));
                }
            }
        }
        losses
    }
}

type Now<'n> = Option<&'n ServiceAvailability>;

/// By catchment, and how its regions stood before and after: who of each class loses the last live region.
type Losses = HashMap<(usize, RegionStates, RegionStates), Option<Arc<Vec<ClassSplit>>>>;

/// By class, who loses the last live region; `None`: nobody. Services that are alike share what is worked out.
fn newly_uncovered(
    known: &mut Losses,
    service: &SteeredService,
    view: &ServiceView,
    (now, then): (Now<'_>, Now<'_>),
) -> Option<Arc<Vec<ClassSplit>>> {
    let states = (
        region_states(service, view, now),
        region_states(service, view, then),
    );
    let key = (Arc::as_ptr(&view.catchment) as usize, states.0, states.1);
    let lost = known.entry(key).or_insert_with_key(|(_, before, after)| {
        let (before, after) = (fates(view, before), fates(view, after));
        let lost: Vec<ClassSplit> = after
            .iter()
            .zip(&before)
            .map(|(after, before)| after.newly_uncovered(before))
            .collect();
        lost.iter()
            .any(|fate| fate.uncovered() > 0.0)
            .then(|| Arc::new(lost))
    });
    lost.clone()
}

/// Why an order is not obeyed at once, by what is lost; `None`: nothing is.
fn refusal(what: &str, losses: &[(String, Coverage)]) -> Option<String> {
    let worst = losses
        .iter()
        .max_by(|(_, one), (_, other)| one.worst_percent().total_cmp(&other.worst_percent()));
    let (service, loss) = worst?;
    let services: HashSet<&String> = losses.iter().map(|(service, _)| service).collect();
    let others = match services.len() - 1 {
        0 => String::new(),
        1 => "; and clients of one more service".to_owned(),
        more => format!("; and clients of {more} more services"),
    };
    let (how_many, where_to) = (loss.how_many(), loss.where_to());
    Some(format!(
        "nothing is done yet: once {what}, {how_many} have no live region of {service} ({}){where_to}{others}; if that is \
         meant, use --yes, or \"yes\": true in the body",
        loss.rtype
    ))
}

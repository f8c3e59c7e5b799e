//! What operators do: orders and leases are put in force at once, then kept, and end by themselves.
//!
//! Drains and forces change what is available only, so they wait for nothing. Weights and leases change what services
//! are made of: services are compiled anew from the same zones, on a thread of its own, once for all that came meanwhile.
//! None of them waits for a reload: reading has no lock in common with them, only the swap at its end has.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::book::OverrideBook;
use super::clock::{BootTime, ClockReading};
use super::effect::EffectiveOverrides;
use super::events::{EventDraft, EventTopic};
use super::keep::{self, LEASES, ORDERS, PendingFile};
use super::leases::{Lease, LeaseKey, LeaseMistake, LeaseRecord, LeaseTable};
use super::orders::{OrderRecord, Override, OverrideAction, OverrideKind, OverrideSubject};
use super::overlay;
use super::probed::ProbeAccount;
use super::reload::{Control, ControlState};
use super::state_directory::StateDirectory;
use super::targets::ProbePlan;
use super::worker::NotDone;
use crate::answer::Snapshot;
use crate::catalog::{Availability, LiveState};
use crate::config::Config;
use crate::config::values::duration_text;

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeOutcome {
    /// What is true now.
    pub sentence: String,
    /// Whether it outlives a restart: there is a state directory.
    pub kept: bool,
}

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// It is about something that is not there.
    Unknown(String),
    /// It does not fit what is there.
    Unfit(String),
    /// It takes their last live region from clients, and nobody said that this is meant.
    Uncovers(String),
    /// It is in force, but does not outlive a restart.
    NotKept(String),
    /// The server has no time for it now; it was not begun.
    Busy(String),
    /// It ended early, by a mistake of ours.
    Failed(String),
}

impl From<NotDone> for ChangeRefusal {
    fn from(not_done: NotDone) -> ChangeRefusal {
        match not_done {
            NotDone::Busy(_) => ChangeRefusal::Busy(not_done.to_string()),
            NotDone::Panicked(_) => ChangeRefusal::Failed(not_done.to_string()),
        }
    }
}

impl From<LeaseMistake> for ChangeRefusal {
    fn from(misfit: LeaseMistake) -> ChangeRefusal {
        match misfit {
            LeaseMistake::Unknown(sentence) => ChangeRefusal::Unknown(sentence),
            LeaseMistake::NoRoom(sentence) => ChangeRefusal::Unfit(sentence),
        }
    }
}

/// What operators have demanded, and what it comes to.
#[derive(Debug, Default)]
pub(super) struct OperatorState {
    pub(super) book: OverrideBook,
    pub(super) leases: LeaseTable,
    /// A lease was renewed, which is written in a while only: it happens often.
    pub(super) renewed: bool,
    pub(super) effect: Arc<EffectiveOverrides>,
    /// How far orders had come when that was worked out.
    progress: Vec<f64>,
    /// Grows with every change that services must be compiled anew for.
    edition: u64,
}

/// A change that was made, and what is still to be done for it.
struct Begun {
    /// What is true then.
    sentence: String,
    /// What those who watch are told once it is in force.
    news: Option<EventDraft>,
    /// Services are to be compiled anew, with at least this edition of the demands.
    edition: Option<u64>,
    /// The file that is to keep it.
    handed: Option<PendingFile>,
    /// It is kept already.
    kept: bool,
}

impl OperatorState {
    /// What was kept before the restart; what cannot be used is told.
    pub(super) fn load(directory: Option<&StateDirectory>) -> OperatorState {
        let Some(directory) = directory.map(StateDirectory::path) else {
            return OperatorState::default();
        };
        let (orders, orders_warning) = keep::load::<OrderRecord>(directory, ORDERS);
        let (leases, leases_warning) = keep::load::<LeaseRecord>(directory, LEASES);
        orders_warning
            .iter()
            .chain(&leases_warning)
            .for_each(|warning| tracing::error!("{warning}"));
        let now = ClockReading::now();
        let gap = orders.gap(&now);
        let mut book = OverrideBook::of(
            orders
                .items
                .into_iter()
                .map(|record| record.revived(gap, &now))
                .collect(),
        );
        book.expire(now.boot);
        OperatorState {
            book,
            leases: LeaseTable::of(leases.items, now.boot),
            ..OperatorState::default()
        }
    }

    /// How many changes there were that services must be compiled anew for.
    pub(super) fn edition(&self) -> u64 {
        self.edition
    }

    pub(super) fn next_edition(&mut self) -> u64 {
        self.edition += 1;
        self.edition
    }
}

impl Control {
    /// Puts an order in force and keeps it.
    ///
    /// # Errors
    /// It is about nothing that is configured, there are too many, or it is in force and not kept yet.
    pub async fn order(
        self: &Arc<Control>,
        order: Override,
    ) -> Result<ChangeOutcome, ChangeRefusal> {
        let begun = self
            .change(move |control| control.put_in_force(order))
            .await??;
        self.finish(begun).await
    }

    fn put_in_force(&self, order: Override) -> Result<Begun, ChangeRefusal> {
        let mut current = self.current();
        let mut order = order
            .resolve(&current.config)
            .map_err(ChangeRefusal::Unknown)?;
        if order.is_returning()
            || matches!(order.demand, OverrideAction::Shift { percent: 0.0, .. })
        {
            let kind = order.demand.kind();
            let known = current.demands.book.get(&order.subject, kind).is_some();
            let Some(pace) = order.pace.as_ref().filter(|_| known) else {
                drop(current);
                return self.take_back(&order.subject, kind, &order.by);
            };
            // Once all clients are back there is no order any more.
            order.ends = Some(pace.arrives);
        }
        current.demands.book.set_out(&mut order, BootTime::now());
        current
            .demands
            .book
            .give(order.clone())
            .map_err(ChangeRefusal::Unfit)?;
        let (edition, moved) = match order.demand.kind() {
            OverrideKind::Weight => (Some(current.demands.next_edition()), 0.0),
            _ => (None, self.reckon(&mut current)),
        };
        let left = order
            .ends
            .map(|deadline| deadline.left(BootTime::now()).as_secs_f64().ceil());
        let lasting = left.map_or(String::new(), |seconds| {
            format!(
                " for {}",
                duration_text(Duration::from_secs((seconds as u64).max(1)))
            )
        });
        let hint = self.weight_hint(&order);
        let sentence = format!("{} {}{lasting}{hint}", order.subject, order.words());
        let told = format!("{} {}", order.subject, order.sentence());
        let news = EventDraft {
            to: Some(if order.is_returning() {
                "undrained".to_owned()
            } else {
                order.demand.state()
            }),
            cause: Some(order.reason),
            by: Some(order.by),
            ..order.subject.news(told).moving(moved)
        };
        Ok(Begun {
            sentence,
            news: Some(news),
            edition,
            handed: self.keep_orders(&current),
            kept: false,
        })
    }

    /// Takes an order back; it is no error if there is none.
    ///
    /// # Errors
    /// It is about nothing that is configured or ordered, or what is true now is not kept yet.
    pub async fn lift(
        self: &Arc<Control>,
        subject: OverrideSubject,
        kind: OverrideKind,
        by: String,
    ) -> Result<ChangeOutcome, ChangeRefusal> {
        let begun = self
            .change(move |control| control.take_back(&subject, kind, &by))
            .await??;
        self.finish(begun).await
    }

    fn take_back(
        &self,
        subject: &OverrideSubject,
        kind: OverrideKind,
        by: &str,
    ) -> Result<Begun, ChangeRefusal> {
        let mut current = self.current();
        let known = current.demands.book.get(subject, kind).is_some();
        // What is not configured any more can still be lifted.
        let subject = match subject.resolve(&current.config) {
            Err(_) if known => subject.clone(),
            resolved => resolved.map_err(ChangeRefusal::Unknown)?,
        };
        let Some(lifted) = current.demands.book.lift(&subject, kind) else {
            let sentence = format!("{subject}: no order says that it {}", kind.words());
            let handed = self.keep_orders(&current);
            return Ok(Begun {
                sentence,
                news: None,
                edition: None,
                handed,
                kept: false,
            });
        };
        let edition = match kind {
            OverrideKind::Weight => Some(current.demands.next_edition()),
            _ => {
                self.reckon(&mut current);
                None
            }
        };
        let sentence = format!("{subject}: the order that it {} is lifted", lifted.words());
        let from = Some(lifted.demand.state());
        let news = EventDraft {
            from,
            by: Some(by.to_owned()),
            ..subject.news(format!("{sentence} by {by}"))
        };
        Ok(Begun {
            sentence,
            news: Some(news),
            edition,
            handed: self.keep_orders(&current),
            kept: false,
        })
    }

    /// Begins or renews a lease. A new endpoint is probed before this is over.
    ///
    /// # Errors
    /// It does not fit what is configured, there are too many, or it runs and cannot be kept.
    pub async fn lease(self: &Arc<Control>, lease: Lease) -> Result<ChangeOutcome, ChangeRefusal> {
        let begun = self
            .change(move |control| control.put_lease(lease))
            .await??;
        self.finish(begun).await
    }

    fn put_lease(&self, lease: Lease) -> Result<Begun, ChangeRefusal> {
        let mut current = self.current();
        let lease = lease.resolve(&current.base)?;
        let changed = current
            .demands
            .leases
            .put(lease.clone())
            .map_err(ChangeRefusal::Unfit)?;
        let Lease {
            service,
            region,
            address,
            weight,
            ttl,
            by,
            ..
        } = &lease;
        let lasting = duration_text(Duration::from_secs(*ttl));
        let sentence = format!(
            "{address} is an endpoint of {service} in {region} for {lasting}, weight {weight}"
        );
        if !changed {
            current.demands.renewed = true;
            let kept = current.state.is_some();
            return Ok(Begun {
                sentence,
                news: None,
                edition: None,
                handed: None,
                kept,
            });
        }
        let edition = Some(current.demands.next_edition());
        let cause = Some(format!("leased by {by}"));
        let news = EventDraft {
            to: Some("leased".to_owned()),
            cause,
            by: Some(by.clone()),
            ..lease.news(sentence.clone())
        };
        Ok(Begun {
            sentence,
            news: Some(news),
            edition,
            handed: self.keep_leases(&current),
            kept: false,
        })
    }

    /// Ends a lease; it is no error if there is none.
    ///
    /// # Errors
    /// What is true now cannot be kept.
    pub async fn end_lease(
        self: &Arc<Control>,
        key: LeaseKey,
        by: String,
    ) -> Result<ChangeOutcome, ChangeRefusal> {
        let begun = self
            .change(move |control| control.take_lease(&key, &by))
            .await?;
        self.finish(begun).await
    }

    fn take_lease(&self, key: &LeaseKey, by: &str) -> Begun {
        let mut current = self.current();
        let (service, region, address) = key;
        let Some(lease) = current.demands.leases.end(key) else {
            let sentence = format!("{address} has no lease in {region} of {service}");
            return Begun {
                sentence,
                news: None,
                edition: None,
                handed: self.keep_leases(&current),
                kept: false,
            };
        };
        let edition = Some(current.demands.next_edition());
        let sentence = format!(
            "{} left {} in {}",
            lease.address, lease.service, lease.region
        );
        let (from, by) = (Some("leased".to_owned()), by.to_owned());
        let news = EventDraft {
            from,
            cause: Some(format!("withdrawn by {by}")),
            by: Some(by),
            ..lease.news(sentence.clone())
        };
        Begun {
            sentence,
            news: Some(news),
            edition,
            handed: self.keep_leases(&current),
            kept: false,
        }
    }

    /// Makes a change on the thread for it.
    async fn change<T: Send + 'static>(
        self: &Arc<Control>,
        make: impl FnOnce(&Control) -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let control = self.clone();
        self.threads.orders.run(move || make(&control)).await
    }

    /// Waits until a change is in force, tells of it, and waits until it is kept.
    async fn finish(self: &Arc<Control>, begun: Begun) -> Result<ChangeOutcome, ChangeRefusal> {
        let Begun {
            sentence,
            news,
            edition,
            handed,
            kept,
        } = begun;
        if let Some(edition) = edition {
            self.compiled(edition).await;
        }
        if let Some(news) = news {
            if news.topic == EventTopic::Lease {
                tracing::info!("{}", news.sentence);
            }
            self.events.tell(news);
        }
        match handed {
            Some(handed) => self.kept(sentence, handed).await,
            None => Ok(ChangeOutcome { sentence, kept }),
        }
    }

    /// Waits until services are compiled with this edition of the demands, or a newer one.
    pub(super) async fn compiled(self: &Arc<Control>, edition: u64) {
        let control = self.clone();
        // Where another waits already, it has not begun, so it sees this edition too.
        self.threads.compile.offer(move || {
            let (compiled, wanted) = (
                *control.compiled.borrow(),
                control.current().demands.edition,
            );
            if compiled < wanted {
                let _one_at_a_time = control.one_at_a_time();
                control.rebuild();
            }
        });
        let mut compiled = self.compiled.subscribe();
        // The sender is our own, so it outlives this.
        let _ = compiled.wait_for(|compiled| *compiled >= edition).await;
    }

    /// Works out what the orders come to now, and publishes it; returns how many answers per second go elsewhere.
    pub(super) fn reckon(&self, current: &mut ControlState) -> f64 {
        let now = BootTime::now();
        current.demands.progress = current.demands.book.progress(now);
        current.demands.effect = Arc::new(EffectiveOverrides::of(
            &current.demands.book,
            &current.config,
            now,
        ));
        self.refresh(current, None).iter().flatten().sum()
    }

    /// Publishes how far orders have come that come into force little by little, if that is another step than before.
    pub(super) fn progress(&self, current: &mut ControlState, now: BootTime) {
        if current.demands.book.progress(now) != current.demands.progress {
            self.reckon(current);
        }
    }

    /// What is to be said of a region's weight that changes nothing, because it shares clients with no other region.
    fn weight_hint(&self, order: &Override) -> String {
        let (OverrideAction::Weight { .. }, Some(name), None) = (
            &order.demand,
            &order.subject.region,
            &order.subject.endpoint,
        ) else {
            return String::new();
        };
        let catalog = &self.snapshot().catalog;
        if catalog
            .services
            .iter()
            .flat_map(|service| service.views.iter().flatten())
            .any(|view| view.shares(catalog, name))
        {
            return String::new();
        }
        format!(
            "; that changes nothing now: {name} shares a tier with no other region (order = \"nearest\" needs a band \
             for that, order = \"priority\" has none). To send a part of its clients elsewhere: meridian shift {name} 20%"
        )
    }

    /// Lays leases and weights over the configuration anew and publishes what comes of it, and of the addresses that
    /// names have now. To be called by whoever holds [`Control::one_at_a_time`], from a thread that may wait.
    pub(super) fn rebuild(&self) {
        let names = self.known_names();
        let (config, is_other, edition) = {
            let current = self.current();
            let config = overlay::effective(
                &current.base,
                &current.demands.book,
                &current.demands.leases,
                &names,
            );
            let is_other = !config.has_services_of(&current.config);
            (
                if is_other {
                    config
                } else {
                    current.config.clone()
                },
                is_other,
                current.demands.edition,
            )
        };
        let plan = Arc::new(ProbePlan::of(&config, &names));
        let snapshot = is_other.then(|| with_services(&self.snapshot(), &config));
        self.meet(&plan, ProbeAccount::Change);
        let mut current = self.current();
        match is_other {
            true => self.adopt(&mut current, config, plan.clone()),
            false => {
                current.demands.effect = Arc::new(EffectiveOverrides::of(
                    &current.demands.book,
                    &current.config,
                    BootTime::now(),
                ));
                current.plan = plan.clone();
            }
        }
        self.refresh(&mut current, snapshot);
        drop(current);
        self.settle(&plan, ProbeAccount::Change);
        self.is_compiled(edition);
    }

    /// Lets go who waits for this edition of the demands.
    pub(super) fn is_compiled(&self, edition: u64) {
        self.compiled.send_if_modified(|compiled| {
            let newer = *compiled < edition;
            *compiled = edition.max(*compiled);
            newer
        });
    }

    /// Makes a configuration the present one; what is remembered of its parts stays.
    pub(super) fn adopt(
        &self,
        current: &mut ControlState,
        config: Arc<Config>,
        plan: Arc<ProbePlan>,
    ) {
        current.memory = current.memory.carried_over(&current.config, &config);
        current.demands.effect = Arc::new(EffectiveOverrides::of(
            &current.demands.book,
            &config,
            BootTime::now(),
        ));
        current.config = config;
        current.plan = plan;
    }

    /// One change of services at a time. A reload holds this for its swap alone, never while it reads or probes.
    pub(super) fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same zones with the services of another configuration, everything up for the moment.
pub(super) fn with_services(before: &Snapshot, config: &Config) -> Snapshot {
    let catalog = before.catalog.with_services(config);
    let live = LiveState::compile(&catalog, &Availability::all_up(config), Some(&before.live));
    Snapshot {
        catalog: Arc::new(catalog),
        ..before.with(live)
    }
}

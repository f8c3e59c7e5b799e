//! What operators do: orders and leases are put in force at once, then kept, and end by themselves.
//!
//! Drains and forces change what is available only, so they wait for nothing. Weights and leases change what services
//! are made of: they wait for a reload that is under way, and services are compiled anew from the same zones.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::effect::Effect;
use super::events::Topic;
use super::keep::{self, LEASES, ORDERS};
use super::leases::{Key, Lease, Leases, Misfit};
use super::orders::{Book, Kind, Order, Subject};
use super::overlay;
use super::reload::{Control, Current};
use super::targets::Plan;
use crate::answer::Snapshot;
use crate::answer::world::{Availability, Present};
use crate::config::Config;
use crate::config::values::duration_text;

/// How often what has ended is looked for.
const TICK: Duration = Duration::from_secs(1);

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What is true now.
    pub sentence: String,
    /// Whether it outlives a restart: there is a state directory.
    pub kept: bool,
}

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is about something that is not there.
    Unknown(String),
    /// It does not fit what is there.
    Unfit(String),
    /// It is in force, but does not outlive a restart.
    NotKept(String),
}

impl From<Misfit> for Refusal {
    fn from(misfit: Misfit) -> Refusal {
        match misfit {
            Misfit::Unknown(sentence) => Refusal::Unknown(sentence),
            Misfit::NoRoom(sentence) => Refusal::Unfit(sentence),
        }
    }
}

/// What operators have demanded, and what it comes to.
#[derive(Debug, Default)]
pub(super) struct Demands {
    pub(super) book: Book,
    pub(super) leases: Leases,
    /// A lease was renewed, which is written in a while only: it happens often.
    renewed: bool,
    pub(super) effect: Arc<Effect>,
}

impl Demands {
    /// What was kept before the restart; what cannot be used is told.
    pub(super) fn load(config: &Config) -> Demands {
        let Some(directory) = &config.state_directory else { return Demands::default() };
        let (orders, orders_warning) = keep::load(directory, ORDERS);
        let (leases, leases_warning) = keep::load(directory, LEASES);
        orders_warning.iter().chain(&leases_warning).for_each(|warning| tracing::error!("{warning}"));
        let mut book = Book::of(orders);
        book.expire(now());
        Demands { book, leases: Leases::of(leases, now()), ..Demands::default() }
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Control {
    /// Puts an order in force and keeps it.
    ///
    /// # Errors
    /// It is about nothing that is configured, there are too many, or it is in force and not kept yet.
    pub fn order(&self, order: Order) -> Result<Changed, Refusal> {
        let (order, moved) = self.put_in_force(order)?;
        let lasting = order.until.map_or(String::new(), |until| {
            format!(" for {}", duration_text(Duration::from_secs(until.saturating_sub(now()).max(1))))
        });
        let sentence = format!("{} {}{lasting}", order.subject, order.demand.words());
        let told = format!("{} {}", order.subject, order.sentence());
        self.events.tell_moved(Topic::Order, told, Some(order.reason), moved);
        self.kept(sentence, Self::keep_orders)
    }

    /// The order as it is understood, and how many answers per second go elsewhere by it.
    fn put_in_force(&self, order: Order) -> Result<(Order, f64), Refusal> {
        let weighs = order.demand.kind() == Kind::Weight;
        let _one_at_a_time = weighs.then(|| self.one_at_a_time());
        let (order, moved) = {
            let mut current = self.current();
            let subject = order.subject.resolve(&current.config).map_err(Refusal::Unknown)?;
            let order = Order { subject, ..order };
            current.demands.book.give(order.clone()).map_err(Refusal::Unfit)?;
            (order, if weighs { 0.0 } else { self.reckon(&mut current) })
        };
        if weighs {
            self.rebuild();
        }
        Ok((order, moved))
    }

    /// Takes an order back; it is no error if there is none.
    ///
    /// # Errors
    /// It is about nothing that is configured or ordered, or what is true now is not kept yet.
    pub fn lift(&self, subject: &Subject, kind: Kind, by: &str) -> Result<Changed, Refusal> {
        let (subject, lifted) = self.take_back(subject, kind)?;
        let Some(lifted) = lifted else {
            return self.kept(format!("{subject}: no order says that it {}", kind.words()), Self::keep_orders);
        };
        let sentence = format!("{subject}: the order that it {} is lifted", lifted.demand.words());
        self.events.tell(Topic::Order, format!("{sentence} by {by}"), None);
        self.kept(sentence, Self::keep_orders)
    }

    fn take_back(&self, subject: &Subject, kind: Kind) -> Result<(Subject, Option<Order>), Refusal> {
        let _one_at_a_time = (kind == Kind::Weight).then(|| self.one_at_a_time());
        let (subject, lifted) = {
            let mut current = self.current();
            let known = current.demands.book.get(subject, kind).is_some();
            // What is not configured any more can still be lifted.
            let subject = match subject.resolve(&current.config) {
                Err(_) if known => subject.clone(),
                resolved => resolved.map_err(Refusal::Unknown)?,
            };
            let lifted = current.demands.book.lift(&subject, kind);
            if kind != Kind::Weight && lifted.is_some() {
                self.reckon(&mut current);
            }
            (subject, lifted)
        };
        if kind == Kind::Weight && lifted.is_some() {
            self.rebuild();
        }
        Ok((subject, lifted))
    }

    /// Begins or renews a lease. A new endpoint is probed before this returns.
    ///
    /// # Errors
    /// It does not fit what is configured, there are too many, or it runs and cannot be kept.
    pub fn lease(&self, lease: Lease) -> Result<Changed, Refusal> {
        let (lease, changed) = {
            let mut current = self.current();
            let lease = lease.resolve(&current.base)?;
            let changed = current.demands.leases.put(lease.clone()).map_err(Refusal::Unfit)?;
            current.demands.renewed |= !changed;
            (lease, changed)
        };
        let Lease { service, region, address, weight, ttl, .. } = &lease;
        let lasting = duration_text(Duration::from_secs(*ttl));
        let sentence = format!("{address} is an endpoint of {service} in {region} for {lasting}, weight {weight}");
        if !changed {
            return Ok(Changed { sentence, kept: self.current().config.state_directory.is_some() });
        }
        let one_at_a_time = self.one_at_a_time();
        self.rebuild();
        drop(one_at_a_time);
        tracing::info!("{sentence}");
        self.events.tell(Topic::Lease, sentence.clone(), Some(format!("leased by {}", lease.by)));
        self.kept(sentence, Self::keep_leases)
    }

    /// Ends a lease; it is no error if there is none.
    ///
    /// # Errors
    /// What is true now cannot be kept.
    pub fn end_lease(&self, key: &Key, by: &str) -> Result<Changed, Refusal> {
        let ended = self.current().demands.leases.end(key);
        let (service, region, address) = key;
        let Some(lease) = ended else {
            let sentence = format!("{address} has no lease in {region} of {service}");
            return self.kept(sentence, Self::keep_leases);
        };
        let one_at_a_time = self.one_at_a_time();
        self.rebuild();
        drop(one_at_a_time);
        let sentence = format!("{} left {} in {}", lease.address, lease.service, lease.region);
        tracing::info!("{sentence}");
        self.events.tell(Topic::Lease, sentence.clone(), Some(format!("withdrawn by {by}")));
        self.kept(sentence, Self::keep_leases)
    }

    /// Ends what has ended. Runs until it is dropped.
    pub async fn keep_demands(self: Arc<Control>) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            let control = self.clone();
            // Compiling would hold up the runtime.
            let _ = tokio::task::spawn_blocking(move || control.end_what_has_ended(now())).await;
        }
    }

    /// Takes out orders and leases that ended before `now`, in seconds since 1970.
    pub(super) fn end_what_has_ended(&self, now: u64) {
        let (orders, leases) = {
            let mut current = self.current();
            let orders = current.demands.book.expire(now);
            let leases = current.demands.leases.expire(now);
            if orders.iter().any(|order| order.demand.kind() != Kind::Weight) {
                self.reckon(&mut current);
            }
            (orders, leases)
        };
        if !leases.is_empty() || orders.iter().any(|order| order.demand.kind() == Kind::Weight) {
            let _one_at_a_time = self.one_at_a_time();
            self.rebuild();
        }
        for order in &orders {
            let sentence = format!("{}: the order that it {} has ended", order.subject, order.sentence());
            tracing::info!("{sentence}");
            self.events.tell(Topic::Order, sentence, Some("its time is over".to_owned()));
        }
        for Lease { service, region, address, .. } in &leases {
            let sentence = format!("{address} left {service} in {region}");
            tracing::info!("{sentence}: its lease was not renewed");
            self.events.tell(Topic::Lease, sentence, Some("its lease was not renewed".to_owned()));
        }
        let mut current = self.current();
        if !orders.is_empty() {
            self.keep_orders(&current);
        }
        if std::mem::take(&mut current.demands.renewed) || !leases.is_empty() {
            self.keep_leases(&current);
        }
    }

    /// Works out what the orders come to now, and publishes it; returns how many answers per second go elsewhere.
    fn reckon(&self, current: &mut Current) -> f64 {
        current.demands.effect = Arc::new(Effect::of(&current.demands.book, &current.config));
        self.refresh(current, None).iter().flatten().sum()
    }

    /// Lays leases and weights over the configuration anew and publishes what comes of it, and of the addresses that
    /// names have now. To be called by whoever holds [`Control::one_at_a_time`], from a thread that may wait.
    pub(super) fn rebuild(&self) {
        let names = self.known_names();
        let (config, is_other) = {
            let current = self.current();
            let config = overlay::effective(&current.base, &current.demands.book, &current.demands.leases, &names);
            let is_other = !config.has_services_of(&current.config);
            (if is_other { config } else { current.config.clone() }, is_other)
        };
        let plan = Arc::new(Plan::of(&config, &names));
        let snapshot = is_other.then(|| with_services(&self.snapshot(), &config));
        self.meet(&plan);
        let mut current = self.current();
        match is_other {
            true => self.adopt(&mut current, config, plan.clone()),
            false => {
                current.demands.effect = Arc::new(Effect::of(&current.demands.book, &current.config));
                current.plan = plan.clone();
            }
        }
        self.refresh(&mut current, snapshot);
        drop(current);
        self.settle(&plan);
    }

    /// Makes a configuration the present one; what is remembered of its parts stays.
    pub(super) fn adopt(&self, current: &mut Current, config: Arc<Config>, plan: Arc<Plan>) {
        current.memory = current.memory.carried_over(&current.config, &config);
        current.demands.effect = Arc::new(Effect::of(&current.demands.book, &config));
        current.config = config;
        current.plan = plan;
    }

    /// One reload or change of services at a time.
    pub(super) fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.reloading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same zones with the services of another configuration, everything up for the moment.
pub(super) fn with_services(before: &Snapshot, config: &Config) -> Snapshot {
    let world = before.world.with_services(config);
    let present = Present::compile(&world, &Availability::all_up(config), Some(&before.present));
    Snapshot { world: Arc::new(world), ..before.with(present) }
}

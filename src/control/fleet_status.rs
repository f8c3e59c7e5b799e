//! The task that reports what this server is and does, and hears the reports of the others.
//!
//! It publishes every two seconds, and at once when other orders or another configuration are in
//! force. It answers questions of other servers with the code of the admin API, on a thread of its
//! own. Nothing that decides about answers, health or orders reads what arrives here. A fleet without
//! NATS servers has the task as well, so its one server is shown like those of others.

pub(crate) mod asked;
mod log;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use self::asked::{AskedAnswer, AskedQuestion};
use self::log::StatusLog;
use super::any_draw;
use super::clock::ClockReading;
use super::fleet::orders::value::key_of;
use super::fleet::reports::{ReportsHandle, ReportsNow};
use super::fleet::{random_number, status_settings};
use super::load::ConfigOrigin;
use super::overrides::{OrderScope, Override};
use super::region_rates::region_rates;
use super::running::Control;
use super::worker::WorkerPool;
use crate::answer::Disposition;
use crate::explain::{explain, word};
use crate::fleet::member::MemberSettings;
use crate::fleet::report_board::ReportBoard;
use crate::fleet::server_report::{MOST_HERE_ONLY, ReportedOrders, ServerReport, ServerRole};
use crate::fleet::status_carrier::{StatusCarrier, StatusCommand, StatusCommander, StatusNews};
use crate::server::ServerStats;

/// A report is published at least this often.
const EVERY: Duration = Duration::from_secs(2);
/// How often the task looks whether something else is in force.
const LOOK: Duration = Duration::from_millis(250);
/// The least time between two turns, so that many reports are taken at once.
const PAUSE: Duration = Duration::from_millis(20);
/// The pause after the engine has forbidden a report.
const FORBIDDEN: Duration = Duration::from_secs(60);
/// Most questions of others that wait for their turn.
const MOST_QUESTIONS: usize = 8;

/// What a report is made of, beside the state of control.
pub struct ReportSource {
    /// The counters of the DNS server.
    pub stats: Arc<ServerStats>,
    /// When the server was started.
    pub started: Instant,
}

impl Control {
    /// Reports to the fleet, if there is one, with a task of the current tokio runtime.
    ///
    /// # Errors
    /// A sentence: this server has no name, TLS cannot be used, or there is no thread left.
    pub fn start_reports(self: &Arc<Control>, source: ReportSource) -> Result<(), String> {
        let state = self.state();
        let Some(fleet) = &state.derived.base.fleet else {
            return Ok(());
        };
        let (settings, nats) = status_settings(fleet)?;
        let carrier = nats.map_or(StatusCarrier::Local, StatusCarrier::nats);
        let explainer = Arc::new(WorkerPool::start("explain", 1, MOST_QUESTIONS)?);
        let start = Instant::now();
        let now = Arc::new(ArcSwap::from_pointee(ReportsNow::default()));
        let handle = ReportsHandle::new(now.clone(), carrier.commander(), start);
        let runner = StatusRunner {
            control: self.clone(),
            commander: carrier.commander(),
            carrier,
            explainer,
            board: ReportBoard::new(&settings.fleet, &settings.voter),
            log: StatusLog::new(&settings.fleet),
            made: OwnReport::new(settings, source),
            now,
            start,
            linked_since: None,
            due: Duration::ZERO,
            forbidden_until: Duration::ZERO,
        };
        self.shared.fleet_reports.get_or_init(|| handle);
        tokio::spawn(runner.run());
        Ok(())
    }

    /// The revision of an order of the fleet; `None`: the fleet does not have it.
    pub fn order_revision(&self, order: &Override) -> Option<u64> {
        let key = key_of(&order.subject, order.action.kind());
        let state = self.state();
        let held = state.seen.as_ref()?.keys.get(&key)?;
        held.in_force.then_some(held.revision)
    }
}

struct StatusRunner {
    control: Arc<Control>,
    carrier: StatusCarrier,
    commander: StatusCommander,
    /// The thread that explains answers to other servers.
    explainer: Arc<WorkerPool>,
    board: ReportBoard,
    log: StatusLog,
    made: OwnReport,
    now: Arc<ArcSwap<ReportsNow>>,
    start: Instant,
    linked_since: Option<Duration>,
    /// When the next report is due.
    due: Duration,
    forbidden_until: Duration,
}

impl StatusRunner {
    async fn run(mut self) {
        loop {
            self.turn();
            tokio::select! {
                news = self.carrier.next() => self.take(news),
                () = tokio::time::sleep(LOOK) => {}
            }
            self.take_waiting();
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn take_waiting(&mut self) {
        while let Some(news) = self.carrier.try_next() {
            self.take(news);
        }
    }

    /// Reports, if it is time or something else is in force, and shows what is known.
    fn turn(&mut self) {
        let time = self.start.elapsed();
        if self.made.is_outdated(&self.control) {
            self.due = self.due.min(time);
        }
        if self.due <= time {
            self.report(time);
        }
        self.board.forget(time);
        self.show(time);
    }

    /// Makes a report and publishes it.
    fn report(&mut self, time: Duration) {
        self.due = time + EVERY;
        let clocks = self.board.next_clocks(time);
        self.made.renew(&self.control, clocks);
        // A server that is being replaced leaves its name to the other one.
        if self.forbidden_until <= time && !self.control.is_closed() {
            let octets = self.made.report.clone().write();
            self.commander.command(StatusCommand::Publish(octets));
        }
    }

    /// Shows what is known.
    fn show(&self, time: Duration) {
        self.now.store(Arc::new(ReportsNow {
            own: self.made.report.clone(),
            board: self.board.clone(),
            time,
            linked_since: self.linked_since,
            refused: self.log.refused(),
            refusal: self.log.refusal(),
        }));
    }

    fn take(&mut self, news: StatusNews) {
        let time = self.start.elapsed();
        match news {
            StatusNews::Linked => {
                self.linked_since = Some(time);
                self.log.linked();
                (self.due, self.forbidden_until) = (time, time);
            }
            StatusNews::Unlinked => self.linked_since = None,
            StatusNews::Refused(sentence) => {
                if sentence.contains("Permissions Violation for Publish") {
                    self.forbidden_until = time + FORBIDDEN;
                }
                self.log.refused_by_engine(&sentence);
            }
            StatusNews::Report { server, octets } => {
                let wall = microseconds(&ClockReading::now());
                if let Err(error) = self.board.hear(time, wall, &server, &octets) {
                    self.log.not_counted(time, &server, &error);
                }
            }
            StatusNews::Question { octets, reply_to } => self.explain(octets, reply_to),
        }
    }

    /// Explains an answer to another server, in the background.
    fn explain(&self, octets: Vec<u8>, reply_to: String) {
        let (control, commander) = (self.control.clone(), self.commander.clone());
        let explainer = self.explainer.clone();
        tokio::spawn(async move {
            let explained = explainer.run(move || answer(&control, &octets)).await;
            let answer = explained.unwrap_or_else(|fault| AskedAnswer::Refused(fault.to_string()));
            let octets = answer.write();
            commander.command(StatusCommand::Answer { reply_to, octets });
        });
    }
}

/// The answer to another server's question.
fn answer(control: &Control, octets: &[u8]) -> AskedAnswer {
    let snapshot = control.snapshot();
    let question = AskedQuestion::read(octets);
    match question.and_then(|question| explain(&snapshot, &question, any_draw())) {
        Ok(explanation) => AskedAnswer::Explained(Box::new(explanation)),
        Err(sentence) => AskedAnswer::Refused(sentence),
    }
}

/// This server's own report, and what the next one is made of.
struct OwnReport {
    report: ServerReport,
    source: ReportSource,
    /// The counters of queries when the report was made, and when that was.
    counted: ([u64; Disposition::COUNT], Instant),
}

impl OwnReport {
    fn new(settings: MemberSettings, source: ReportSource) -> OwnReport {
        OwnReport {
            report: ServerReport {
                fleet: settings.fleet,
                server: settings.voter,
                group: settings.group,
                epoch: random_number(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..ServerReport::default()
            },
            counted: (source.stats.sums(), Instant::now()),
            source,
        }
    }

    /// Whether other orders or another configuration are in force than the report says.
    fn is_outdated(&self, control: &Control) -> bool {
        self.report.orders != orders_of(control)
            || self.report.revision != control.shared_fingerprint()
    }

    fn renew(&mut self, control: &Control, clocks: BTreeMap<String, i64>) {
        let clock = ClockReading::now();
        let revision = control.shared_fingerprint();
        let report = &mut self.report;
        if report.revision != revision {
            report.revision = revision;
            report.served_since = clock.wall.as_secs();
        }
        report.role = match control.origin() {
            ConfigOrigin::Checks(_) => ServerRole::Probe,
            _ => ServerRole::Nameserver,
        };
        report.sequence += 1;
        report.uptime = self.source.started.elapsed().as_secs();
        report.orders = orders_of(control);
        report.here_only = here_only(control);
        report.regions = regions_of(control);
        report.clocks = clocks;
        self.renew_rates();
        self.report.clock = microseconds(&ClockReading::now());
    }

    /// Two reports in quick succession have the same rates, because few queries come between them.
    fn renew_rates(&mut self) {
        let elapsed = self.counted.1.elapsed();
        if elapsed >= EVERY / 2 {
            let now = self.source.stats.sums();
            self.report.queries = rates(&self.counted.0, &now, elapsed);
            self.counted = (now, Instant::now());
        }
    }
}

/// How far the orders of the fleet are in force here; `None`: its orders are this server's own.
fn orders_of(control: &Control) -> Option<ReportedOrders> {
    let known = control.fleet_orders()?.report();
    let state = control.state();
    let seen = state.seen.as_ref();
    Some(ReportedOrders {
        epoch: seen.map_or(0, |seen| seen.mark.epoch),
        revision: seen.map_or(0, |seen| seen.revision),
        current: known.linked && known.current,
    })
}

/// The orders that are in force on this server only.
fn here_only(control: &Control) -> Vec<String> {
    let mut sentences = Vec::new();
    for order in control.state().book.all() {
        if order.scope == OrderScope::HereOnly && sentences.len() < MOST_HERE_ONLY {
            sentences.push(format!("{} {}", order.subject, order.sentence()));
        }
    }
    sentences
}

/// The answers per second, by region.
fn regions_of(control: &Control) -> BTreeMap<String, f64> {
    let state = control.state();
    let mut regions = BTreeMap::new();
    let config = &state.derived.config;
    for (index, rate) in region_rates(config, &state.snapshot.catalog, &state.traffic) {
        if let Some(region) = config.regions.get(index) {
            regions.insert(region.name.clone(), rounded(rate));
        }
    }
    regions
}

/// The queries per second of each result that there were.
fn rates(
    before: &[u64; Disposition::COUNT],
    now: &[u64; Disposition::COUNT],
    elapsed: Duration,
) -> BTreeMap<String, f64> {
    let mut rates = BTreeMap::new();
    for ((disposition, before), now) in Disposition::ALL.iter().zip(before).zip(now) {
        let rate = now.saturating_sub(*before) as f64 / elapsed.as_secs_f64();
        if rate > 0.0 {
            rates.insert(word(*disposition).to_owned(), rounded(rate));
        }
    }
    rates
}

/// A rate with one decimal place.
fn rounded(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

fn microseconds(clock: &ClockReading) -> u64 {
    u64::try_from(clock.wall.as_micros()).unwrap_or(u64::MAX)
}

//! The task that joins the fleet's leases with the controller.
//!
//! What an endpoint begins, renews or ends on this server is told to all others, many leases in one
//! message. What others tell is handed to the controller, one message at a time. A server that gets a
//! link asks all others for the leases that they hold, so it has them all within a second.

mod log;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use self::log::LeasesLog;
use super::change::Change;
use super::clock::BootTime;
use super::fleet::leases::{LeasesEnds, LeasesHandle, LeasesReport};
use super::fleet::{nats_settings, voter_of};
use super::leases::FleetLease;
use super::outcome::LeasesTaken;
use super::running::Control;
use crate::fleet::bounds::MOST_LEASES_AT_ONCE;
use crate::fleet::lease_carrier::LeaseCarrier;
use crate::fleet::lease_news::{LeaseMessage, LeaseNews};
use crate::fleet::votes::VoteNews;

/// How long a question waits for more of them, so that one answer is for all.
const ANSWER_AFTER: Duration = Duration::from_millis(50);
/// The least time between two answers.
const ANSWER_PAUSE: Duration = Duration::from_secs(1);

impl Control {
    /// Shares leases with the other servers of the fleet, if one is configured, with a task of the
    /// current tokio runtime.
    ///
    /// # Errors
    /// A sentence: this server has no name, or TLS cannot be used.
    pub fn start_leases(self: &Arc<Control>) -> Result<(), String> {
        let state = self.state();
        let fleet = state.derived.base.fleet.as_ref();
        let Some(fleet) = fleet.filter(|fleet| !fleet.servers.is_empty()) else {
            return Ok(());
        };
        let settings = nats_settings(fleet, &voter_of(fleet)?)?;
        let (handle, LeasesEnds { news, report }) = LeasesHandle::new();
        if self.shared.fleet_leases.set(handle).is_err() {
            return Ok(());
        }
        let runner = LeasesRunner {
            control: self.clone(),
            log: LeasesLog::new(&fleet.name),
            fleet: fleet.name.clone(),
            carrier: LeaseCarrier::nats(settings),
            news,
            counts: LeasesReport::default(),
            report,
            answer_at: None,
            answered_at: None,
        };
        tokio::spawn(runner.run());
        Ok(())
    }

    /// Waits until what other servers have told is in force, and reports it.
    async fn report_taken(self: Arc<Control>, taken: LeasesTaken) {
        if let Some(edition) = taken.edition {
            self.compiled(edition).await;
        }
        for news in taken.news {
            tracing::info!("{}", news.sentence);
            self.events().tell(news);
        }
    }
}

/// The task of leases.
struct LeasesRunner {
    control: Arc<Control>,
    fleet: String,
    carrier: LeaseCarrier,
    news: mpsc::Receiver<LeaseNews>,
    log: LeasesLog,
    counts: LeasesReport,
    report: Arc<ArcSwap<LeasesReport>>,
    /// When another server's question is answered.
    answer_at: Option<Instant>,
    /// When one was answered last.
    answered_at: Option<Instant>,
}

impl LeasesRunner {
    async fn run(mut self) {
        loop {
            self.report.store(Arc::new(self.counts.clone()));
            let mut own = Vec::new();
            tokio::select! {
                news = self.carrier.next() => self.take(news).await,
                count = self.news.recv_many(&mut own, MOST_LEASES_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    self.tell(own);
                }
                () = until(self.answer_at) => self.answer(),
            }
        }
    }

    async fn take(&mut self, news: VoteNews) {
        match news {
            VoteNews::Linked => {
                self.log.linked();
                self.link(true).await;
                self.publish(&LeaseMessage::question(&self.fleet));
                // What was renewed here meanwhile is news to all others.
                self.answer_at = Some(Instant::now() + ANSWER_AFTER);
            }
            VoteNews::Unlinked => self.link(false).await,
            VoteNews::Refused(sentence) => self.log.refused_by_engine(&sentence),
            VoteNews::View { voter, octets } => {
                self.counts.messages += 1;
                match LeaseMessage::read(&octets, &self.fleet) {
                    Ok(message) => self.hear(&voter, message).await,
                    Err(error) => {
                        self.refuse(error.word(), 1);
                        self.log.refuse(&voter, error.word(), &error.to_string());
                    }
                }
            }
        }
    }

    async fn link(&mut self, is_linked: bool) {
        self.counts.linked = is_linked;
        let change = |reply| Change::LeaseLink { is_linked, reply };
        // Without an answer the leases of others stay or end a little too early, and are heard of again.
        let _ = self.control.controller.ask(change).await;
    }

    /// Hands the leases of another server to the controller.
    async fn hear(&mut self, server: &str, message: LeaseMessage) {
        if message.asks && self.answer_at.is_none() {
            let now = Instant::now();
            let earliest = self.answered_at.map_or(now, |at| at + ANSWER_PAUSE);
            self.answer_at = Some(earliest.max(now + ANSWER_AFTER));
        }
        if message.leases.is_empty() {
            return;
        }
        let now = BootTime::now();
        let mut leases = Vec::with_capacity(message.leases.len());
        for news in message.leases {
            leases.push(FleetLease::told(news, server, now));
        }
        let change = |reply| Change::FleetLeases { leases, reply };
        let Ok(taken) = self.control.controller.ask(change).await else {
            return;
        };
        if let Some(reason) = &taken.reason {
            self.refuse("misfit", taken.refused);
            self.log.refuse(server, "misfit", reason);
        }
        if !taken.news.is_empty() {
            tokio::spawn(self.control.clone().report_taken(taken));
        }
    }

    fn refuse(&mut self, word: &str, count: u64) {
        *self.counts.refused.entry(word.to_owned()).or_default() += count;
    }

    /// Tells all others the leases that are held here.
    fn answer(&mut self) {
        self.answer_at = None;
        self.answered_at = Some(Instant::now());
        let held = self.control.state().leases.held_here(BootTime::now());
        for part in held.chunks(MOST_LEASES_AT_ONCE) {
            self.tell(part.to_vec());
        }
    }

    fn tell(&self, leases: Vec<LeaseNews>) {
        self.publish(&LeaseMessage::of(&self.fleet, leases));
    }

    fn publish(&self, message: &LeaseMessage) {
        // A server that takes over speaks for both.
        if !self.control.is_closed() {
            self.carrier.publish(message.octets());
        }
    }
}

/// Waits until a moment; for ever without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

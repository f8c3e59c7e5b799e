//! The reports of all servers of the fleet, for the rest of control: a handle to the task that
//! publishes this server's own and hears the others.
//!
//! Readers take what is known as a [`ReportsNow`], without a lock. A question for another server goes
//! through the handle to the engine, and its answer is as untrusted as a report: bounded, and checked
//! before anybody sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::control::fleet_status::asked::{AskedAnswer, AskedQuestion};
use crate::explain::{ExplainQuestion, Explanation};
use crate::fleet::report_board::{BoardServer, ReportBoard};
use crate::fleet::server_report::ServerReport;
use crate::fleet::status_carrier::{ASK_TIME, AskFault, StatusCommander};

/// What all servers have reported.
#[derive(Debug, Default)]
pub struct ReportsNow {
    /// This server's own report.
    pub own: ServerReport,
    /// Those of the others.
    pub board: ReportBoard,
    /// The time of the board, when this was made.
    pub time: Duration,
    /// Since when the engine can be reached, by the same clock; `None`: it cannot.
    pub linked_since: Option<Duration>,
    /// Reports that were not counted, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// What the engine has refused last, if it does so still.
    pub refusal: Option<String>,
}

/// What the rest of control knows of the reports.
pub struct ReportsHandle {
    now: Arc<ArcSwap<ReportsNow>>,
    commander: StatusCommander,
    start: Instant,
}

/// Why another server has not explained an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskRefusal {
    /// There is no such server; a sentence.
    Unknown(String),
    /// It has not answered; a sentence.
    Unanswered(String),
    /// It cannot explain that; its own sentence.
    Refused(String),
}

impl ReportsHandle {
    /// A handle to a task that publishes here; its clock begins at `start`.
    pub(in crate::control) fn new(
        now: Arc<ArcSwap<ReportsNow>>,
        commander: StatusCommander,
        start: Instant,
    ) -> ReportsHandle {
        ReportsHandle {
            now,
            commander,
            start,
        }
    }

    /// What is known now.
    pub fn now(&self) -> Arc<ReportsNow> {
        self.now.load_full()
    }

    /// The time of the board now.
    pub fn time(&self) -> Duration {
        self.start.elapsed()
    }

    /// Has another server explain an answer.
    ///
    /// # Errors
    /// There is no such server, it has not answered in time, or it cannot explain that.
    pub async fn explain_at(
        &self,
        server: &str,
        question: &ExplainQuestion,
    ) -> Result<Explanation, AskRefusal> {
        let question = AskedQuestion::of(question).write();
        match self.commander.ask(server, question).await {
            Ok(octets) => match AskedAnswer::read(&octets) {
                Ok(AskedAnswer::Explained(explanation)) => Ok(*explanation),
                Ok(AskedAnswer::Refused(sentence)) => Err(AskRefusal::Refused(sentence)),
                Err(clause) => Err(AskRefusal::Unanswered(format!(
                    "what {server} answers cannot be read: {clause}"
                ))),
            },
            Err(fault) => Err(self.refusal(server, fault)),
        }
    }

    fn refusal(&self, server: &str, fault: AskFault) -> AskRefusal {
        let now = self.now();
        let known = now.board.servers().get(server);
        let seen = known.map_or_else(never, |known| self.age(known));
        match fault {
            AskFault::Unlinked(clause) => {
                AskRefusal::Unanswered(format!("{server} cannot be asked: {clause}"))
            }
            AskFault::Silent => AskRefusal::Unanswered(format!(
                "{server} does not answer within {} s; {seen}",
                ASK_TIME.as_secs()
            )),
            AskFault::Nobody if known.is_some() => {
                AskRefusal::Unanswered(format!("{server} does not listen to questions now; {seen}"))
            }
            AskFault::Nobody => AskRefusal::Unknown(no_server(&now, server)),
        }
    }
    fn age(&self, known: &BoardServer) -> String {
        let age = self.time().saturating_sub(known.heard_at).as_secs();
        format!("it was heard {age} s ago")
    }
}

fn never() -> String {
    "it was not heard within a day".to_owned()
}

fn no_server(now: &ReportsNow, server: &str) -> String {
    let mut names: Vec<&str> = vec![&now.own.server];
    names.extend(now.board.servers().keys().map(String::as_str));
    let (fleet, names) = (&now.own.fleet, names.join(", "));
    format!("the fleet {fleet} has no server {server:?}; it has {names}")
}

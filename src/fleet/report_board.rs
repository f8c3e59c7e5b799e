//! The board of reports: what every other server said about itself last, and when.
//!
//! A report is the newest while it is [`FRESH_REPORT`] old at most, by the receiver's monotonic clock.
//! A server that has fallen silent stays on the board for a day, so that people see that it is missing.
//!
//! The difference between two clocks is bounded without knowing how long messages travel. A report
//! says what its sender's clock showed; when it arrives, that clock is ahead of the receiver's by at
//! least the difference, because the journey took some time. Each report also says by how much the
//! clocks of others are ahead of the sender's at least, which is the bound from the other side. What
//! lies between the two is the journey there and back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::bounds::MOST_VOTERS;
use super::server_report::{MOST_CLOCKS, ReportError, ServerReport};

/// How long a server may be silent until it counts as silent: three reports and a little.
pub const FRESH_REPORT: Duration = Duration::from_secs(7);
/// How long a silent server is still listed.
const LISTED: Duration = Duration::from_secs(86_400);
/// So many of the last arrivals bound the difference of a clock; the quickest of them counts.
const ARRIVALS: usize = 8;
/// How long a bound that another server has stated counts.
const STATED: Duration = Duration::from_secs(120);

/// The reports of all other servers.
#[derive(Debug, Clone, Default)]
pub struct ReportBoard {
    fleet: String,
    server: String,
    servers: BTreeMap<String, BoardServer>,
    /// The last server whose clock was stated.
    stated: Option<String>,
}

/// What is known of one other server.
#[derive(Debug, Clone)]
pub struct BoardServer {
    /// Its last report that was not late.
    pub report: Arc<ServerReport>,
    /// When that arrived.
    pub heard_at: Duration,
    /// By how many microseconds its clock was ahead at least, by its last reports.
    ahead: VecDeque<i64>,
    /// By how many it is ahead at most, as it says itself, and when that was heard.
    at_most: Option<(i64, Duration)>,
}

/// Between which bounds the clock of another server is ahead of this one's, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockBounds {
    /// At least this much.
    pub at_least: i64,
    /// At most this much; `None`: the other one has not said it yet.
    pub at_most: Option<i64>,
}

impl BoardServer {
    /// Whether its report is the newest that there should be.
    pub fn is_fresh(&self, now: Duration) -> bool {
        now.saturating_sub(self.heard_at) <= FRESH_REPORT
    }

    fn new(report: Arc<ServerReport>, heard_at: Duration) -> BoardServer {
        BoardServer {
            report,
            heard_at,
            ahead: VecDeque::new(),
            at_most: None,
        }
    }

    /// Whether its last report is not older than this one of the same process.
    fn is_after(&self, report: &ServerReport) -> bool {
        self.report.epoch == report.epoch && report.sequence <= self.report.sequence
    }

    fn note_clock(&mut self, ahead: i64) {
        self.ahead.push_back(ahead);
        if self.ahead.len() > ARRIVALS {
            self.ahead.pop_front();
        }
    }

    /// How far its clock is ahead.
    pub fn clock(&self, now: Duration) -> ClockBounds {
        let at_least = self.ahead.iter().copied().max().unwrap_or_default();
        let stated = self
            .at_most
            .filter(|(_, at)| now.saturating_sub(*at) <= STATED);
        let at_most = stated.map(|(bound, _)| bound);
        ClockBounds {
            at_least,
            // A clock that was set meanwhile contradicts itself until new bounds are known.
            at_most: at_most.filter(|bound| *bound >= at_least),
        }
    }
}

impl ReportBoard {
    /// The board of a server of a fleet.
    pub fn new(fleet: &str, server: &str) -> ReportBoard {
        ReportBoard {
            fleet: fleet.to_owned(),
            server: server.to_owned(),
            ..ReportBoard::default()
        }
    }

    /// Takes a message that arrived at `now` on the subject of a server, when the own wall clock showed
    /// `wall` microseconds since 1970.
    ///
    /// # Errors
    /// It is no report that counts; nothing has changed.
    pub fn hear(
        &mut self,
        now: Duration,
        wall: u64,
        subject: &str,
        octets: &[u8],
    ) -> Result<(), ReportError> {
        let report = ServerReport::read(octets, &self.fleet)?;
        if report.server != subject {
            return Err(ReportError::OtherServer {
                subject: subject.to_owned(),
                server: report.server,
            });
        }
        if report.server == self.server {
            return Err(ReportError::OwnName);
        }
        let known = self.servers.get(subject);
        let is_late = known.is_some_and(|known| known.is_after(&report));
        if is_late {
            return Err(ReportError::Late);
        }
        if known.is_none() {
            self.make_room(now)?;
        }
        let stated = report.clocks.get(&self.server).copied();
        let ahead = difference(report.clock, wall);
        let report = Arc::new(report);
        let server = self.servers.entry(subject.to_owned());
        let server = server.or_insert_with(|| BoardServer::new(report.clone(), now));
        server.report = report;
        server.heard_at = now;
        server.note_clock(ahead);
        if let Some(own_is_ahead) = stated {
            server.at_most = Some((own_is_ahead.saturating_neg(), now));
        }
        Ok(())
    }

    /// The servers, by name.
    pub fn servers(&self) -> &BTreeMap<String, BoardServer> {
        &self.servers
    }

    /// The clocks to state in the next report: those of the next servers in the order of their names.
    pub fn next_clocks(&mut self, now: Duration) -> BTreeMap<String, i64> {
        let mut order: Vec<&String> = Vec::new();
        let is_after = |name: &&String| self.stated.as_ref().is_none_or(|last| *name > last);
        order.extend(self.servers.keys().filter(is_after));
        let first_round = order.len();
        order.extend(self.servers.keys().take(self.servers.len() - first_round));
        let mut clocks = BTreeMap::new();
        let mut last = None;
        for name in order.into_iter().take(MOST_CLOCKS) {
            if let Some(server) = self.servers.get(name)
                && server.is_fresh(now)
            {
                clocks.insert(name.clone(), server.clock(now).at_least);
            }
            last = Some(name.clone());
        }
        self.stated = last;
        clocks
    }

    /// Forgets servers that were silent for a day.
    pub fn forget(&mut self, now: Duration) {
        self.servers
            .retain(|_, server| now.saturating_sub(server.heard_at) <= LISTED);
    }

    /// Makes room for another server, in the place of the one that was silent longest.
    fn make_room(&mut self, now: Duration) -> Result<(), ReportError> {
        if self.servers.len() < MOST_VOTERS {
            return Ok(());
        }
        let oldest = self
            .servers
            .iter()
            .min_by_key(|(_, server)| server.heard_at);
        match oldest {
            Some((name, server)) if !server.is_fresh(now) => {
                let name = name.clone();
                self.servers.remove(&name);
                Ok(())
            }
            _ => Err(ReportError::TooMany),
        }
    }
}

/// How far the first time is after the second one.
fn difference(theirs: u64, own: u64) -> i64 {
    let ahead = i128::from(theirs) - i128::from(own);
    i64::try_from(ahead).unwrap_or(if ahead > 0 { i64::MAX } else { i64::MIN })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::server_report::tests::sample;
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn reports_count_in_order_and_under_their_own_names() {
        let mut board = ReportBoard::new("world", "ams");
        let hear = |board: &mut ReportBoard, seconds, subject: &str, report: ServerReport| {
            board.hear(at(seconds), 0, subject, &report.write())
        };
        assert_eq!(hear(&mut board, 1, "iad", sample("iad", 5)), Ok(()));
        let late = hear(&mut board, 2, "iad", sample("iad", 5));
        assert_eq!(late, Err(ReportError::Late));
        let restarted = ServerReport {
            epoch: 9,
            ..sample("iad", 1)
        };
        assert_eq!(hear(&mut board, 3, "iad", restarted), Ok(()));
        let stolen = hear(&mut board, 4, "sin", sample("iad", 9));
        assert_eq!(stolen.unwrap_err().word(), "other_server");
        let twin = hear(&mut board, 4, "ams", sample("ams", 9));
        assert_eq!(twin, Err(ReportError::OwnName));
        assert_eq!(board.servers().len(), 1);
        assert!(board.servers()["iad"].is_fresh(at(10)));
        assert!(!board.servers()["iad"].is_fresh(at(11)));
        board.forget(at(86_403));
        assert_eq!(board.servers().len(), 1, "it is listed for a day");
        board.forget(at(86_404));
        assert!(board.servers().is_empty());
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut board = ReportBoard::new("world", "ams");
        for number in 0..MOST_VOTERS {
            let name = format!("s{number}");
            let heard = board.hear(at(1), 0, &name, &sample(&name, 1).write());
            assert_eq!(heard, Ok(()));
        }
        let more = sample("more", 1).write();
        assert_eq!(
            board.hear(at(2), 0, "more", &more),
            Err(ReportError::TooMany)
        );
        assert_eq!(
            board.hear(at(9), 0, "more", &more),
            Ok(()),
            "for a silent one"
        );
        assert_eq!(board.servers().len(), MOST_VOTERS);
    }

    #[test]
    fn every_clock_is_stated_in_turn() {
        let mut board = ReportBoard::new("world", "ams");
        for number in 0..40 {
            let name = format!("s{number}");
            board
                .hear(at(1), 0, &name, &sample(&name, 1).write())
                .unwrap();
        }
        let mut stated = BTreeMap::new();
        for _ in 0..3 {
            let clocks = board.next_clocks(at(2));
            assert_eq!(clocks.len(), MOST_CLOCKS);
            stated.extend(clocks);
        }
        assert_eq!(stated.len(), 40);
        assert!(board.next_clocks(at(99)).is_empty(), "silent ones are not");
    }

    proptest! {
        /// Whatever the clocks show and however long messages take, the truth lies between the bounds.
        #[test]
        fn the_true_difference_lies_between_the_bounds(
            true_ahead in -1_000_000_000i64..1_000_000_000,
            journeys in proptest::collection::vec((0u64..500_000, 0u64..500_000), 1..20),
        ) {
            let boards = ["ams", "iad"].map(|name| ReportBoard::new("world", name));
            let [mut ams, mut iad] = boards;
            let start = 1_000_000_000_000_u64;
            let of_iad = |time: u64| time.checked_add_signed(true_ahead).unwrap();
            for (number, (there, back)) in journeys.iter().enumerate() {
                let (now, sent) = (at(number as u64 * 2), start + number as u64 * 2_000_000);
                let mut report = ServerReport { clock: sent, ..sample("ams", number as u64 + 1) };
                report.clocks = ams.next_clocks(now);
                iad.hear(now, of_iad(sent + there), "ams", &report.write()).unwrap();
                let mut report = ServerReport { clock: of_iad(sent), ..sample("iad", number as u64 + 1) };
                report.clocks = iad.next_clocks(now);
                ams.hear(now, sent + back, "iad", &report.write()).unwrap();
                let bounds = ams.servers()["iad"].clock(now);
                prop_assert!(bounds.at_least <= true_ahead);
                prop_assert!(bounds.at_most.is_none_or(|bound| bound >= true_ahead), "{bounds:?}");
                prop_assert!(number == 0 || bounds.at_most.is_some());
            }
        }
    }
}

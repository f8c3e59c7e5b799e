//! What the task of releases says: to the fleet, to readers of its report, and as events.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::handle::{ReleaseHalt, ReleasesReport, ServerRelease};
use super::{PAUSE, REPORT, ReleaseRunner};
use crate::control::events::{EventDraft, EventTopic};
use crate::fleet::order_carrier::{KeyWrite, OrderCommand, WriteFault};
use crate::fleet::release::ReleaseFault;
use crate::fleet::rings::ReleaseState;

impl ReleaseRunner {
    /// The servers whose votes arrive, and this one.
    pub(super) fn in_touch(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::from([self.settings.server.clone()]);
        if let Some(fleet) = self.control.fleet() {
            for voter in &fleet.now().report.voters {
                if voter.is_fresh() {
                    names.insert(voter.name.clone());
                }
            }
        }
        names
    }

    pub(super) fn tell_event(&self, sentence: String) {
        let draft = EventDraft::new(EventTopic::Reload, sentence);
        self.control.events().tell(draft);
    }

    /// Writes the report of this server to the engine, if it says something new.
    pub(super) async fn tell(&mut self) {
        let report = self.member.report();
        let is_soon = self.told_at.is_some_and(|at| at.elapsed() < PAUSE);
        let is_known = self.told.as_ref() == Some(&report);
        if !self.is_linked || !self.is_current || is_known || is_soon {
            return;
        }
        let key = format!("{REPORT}{}", self.settings.server);
        let write = KeyWrite {
            value: serde_json::to_string(&report).unwrap_or_default(),
            expected: self.revisions.get(&key).copied().unwrap_or(0),
            key: key.clone(),
        };
        match self.commander.write(write).await {
            Ok(revision) => {
                self.revisions.insert(key, revision);
                self.told = Some(report);
                self.told_at = None;
            }
            Err(fault) => {
                self.told_at = Some(Instant::now());
                if let WriteFault::Conflict(_) = fault {
                    self.commander.command(OrderCommand::Reread);
                }
            }
        }
    }

    /// Publishes what is known, if it has changed.
    pub(super) fn publish(&self) {
        let report = self.view();
        if **self.ends.report.load() != report {
            self.ends.report.store(Arc::new(report));
        }
    }

    fn view(&self) -> ReleasesReport {
        let own = self.member.report();
        let in_touch = self.in_touch();
        let mut reports = self.member.reports().clone();
        reports.insert(self.settings.server.clone(), own.clone());
        let mut servers = Vec::new();
        for (name, report) in reports {
            servers.push(ServerRelease {
                in_touch: in_touch.contains(&name),
                name,
                ring: report.ring,
                serving: report.serving,
                release: report.release,
                state: report.state,
                why: report.why,
            });
        }
        servers.sort_by(|one, other| (one.ring, &one.name).cmp(&(other.ring, &other.name)));
        let halt = self.member.halt();
        let halted = halt.map(|(by, why)| ReleaseHalt { by, why });
        let number = self.manifest.as_ref().map(|manifest| manifest.number);
        let is_done = |server: &ServerRelease| {
            Some(server.release) == number && server.state == ReleaseState::Proven
        };
        let state = match (number, &halted) {
            (None, _) => "none",
            (_, Some(_)) => "halted",
            _ if servers.iter().all(is_done) => "done",
            _ => "rolling",
        };
        let mut refused = std::collections::BTreeMap::new();
        for word in ReleaseFault::WORDS {
            let count = self.refused.get(word).copied().unwrap_or_default();
            refused.insert(word.to_owned(), count);
        }
        ReleasesReport {
            fleet: self.fleet.clone(),
            server: self.settings.server.clone(),
            ring: self.settings.ring,
            ready: self.is_linked && self.is_current,
            serving: own.serving,
            next: self.member.memory().seen + 1,
            release: self.manifest.clone(),
            state: state.to_owned(),
            halted,
            fault: self.fault.as_ref().map(ToString::to_string),
            servers,
            refused,
        }
    }
}

//! What the task of releases says: to the fleet, to readers of its report, and as events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::handle::{ReleaseHalt, ReleasesReport, ServerRelease};
use super::{PAUSE, REPORT, ReleaseRunner};
use crate::fleet::order_carrier::{KeyWrite, OrderCommand, WriteFault};
use crate::fleet::release::{ReleaseFault, ReleaseManifest};
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
        let manifest = self.manifest.clone();
        let servers = self.servers();
        let halt = self.member.halt();
        let halted = halt.map(|(by, why)| ReleaseHalt { by, why });
        ReleasesReport {
            fleet: self.fleet.clone(),
            server: self.settings.server.clone(),
            ring: self.settings.ring,
            ready: self.is_linked && self.is_current,
            serving: self.member.report().serving,
            next: self.member.memory().seen + 1,
            state: state_of(manifest.as_ref(), halted.as_ref(), &servers).to_owned(),
            release: manifest,
            halted,
            fault: self.fault.as_ref().map(ToString::to_string),
            servers,
            refused: self.refused(),
        }
    }

    /// What every server says, by ring.
    fn servers(&self) -> Vec<ServerRelease> {
        let in_touch = self.in_touch();
        let mut reports = self.member.reports().clone();
        reports.insert(self.settings.server.clone(), self.member.report());
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
        servers
    }

    /// How many were not taken, by every reason.
    fn refused(&self) -> BTreeMap<String, u64> {
        let mut refused = BTreeMap::new();
        for word in ReleaseFault::WORDS {
            let count = self.refused.get(word).copied().unwrap_or_default();
            refused.insert(word.to_owned(), count);
        }
        refused
    }
}

/// How far the newest release is, in a word.
fn state_of(
    manifest: Option<&ReleaseManifest>,
    halted: Option<&ReleaseHalt>,
    servers: &[ServerRelease],
) -> &'static str {
    let Some(manifest) = manifest else {
        return "none";
    };
    if halted.is_some() {
        return "halted";
    }
    for server in servers {
        if !server.has_proven(manifest.number) {
            return "rolling";
        }
    }
    "done"
}

impl ServerRelease {
    fn has_proven(&self, number: u64) -> bool {
        self.release == number && self.state == ReleaseState::Proven
    }
}

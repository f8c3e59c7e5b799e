//! Who is probed, and on whose account: what is served, what a change of services adds, what a reload adds.
//!
//! A change and a reload may both wait for first probes at one time. Each states its own targets here, and the monitor
//! always probes the union, so neither takes the other's away.

use std::sync::{Mutex, PoisonError};

use crate::health::check::ProbeTarget;
use crate::health::monitor::Monitor;

/// On whose account something is probed besides what is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeAccount {
    /// Leases, weights, and what names come to.
    Change,
    /// A reload that has read its configuration.
    Reload,
}

/// The targets of each account.
#[derive(Debug, Default)]
pub(super) struct ProbedTargets(Mutex<Accounts>);

#[derive(Debug, Default)]
struct Accounts {
    served: Vec<ProbeTarget>,
    change: Vec<ProbeTarget>,
    reload: Vec<ProbeTarget>,
}

impl ProbedTargets {
    /// What is served from the start.
    pub(super) fn of(served: Vec<ProbeTarget>) -> ProbedTargets {
        ProbedTargets(Mutex::new(Accounts {
            served,
            ..Accounts::default()
        }))
    }

    /// Probes these too. Must be called inside the monitor's runtime.
    pub(super) fn add(&self, monitor: &Monitor, account: ProbeAccount, targets: &[ProbeTarget]) {
        self.update(monitor, |accounts| *accounts.of(account) = targets.to_vec());
    }

    /// These are served now, and nothing besides is wanted on this account any more. Must be called inside the monitor's
    /// runtime.
    pub(super) fn serve(&self, monitor: &Monitor, account: ProbeAccount, targets: &[ProbeTarget]) {
        self.update(monitor, |accounts| {
            accounts.served = targets.to_vec();
            accounts.of(account).clear();
        });
    }

    /// The monitor is told under the lock, so that what it was told last is the newest.
    fn update(&self, monitor: &Monitor, update: impl FnOnce(&mut Accounts)) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        update(&mut accounts);
        let Accounts {
            served,
            change,
            reload,
        } = &*accounts;
        // Of two with one key the last counts.
        monitor.replace(
            [served, change, reload]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        );
    }
}

impl Accounts {
    fn of(&mut self, account: ProbeAccount) -> &mut Vec<ProbeTarget> {
        match account {
            ProbeAccount::Change => &mut self.change,
            ProbeAccount::Reload => &mut self.reload,
        }
    }
}

//! Who is probed, and on whose account: what is served, what a change of services adds, what a reload adds.
//!
//! A change and a reload may both wait for first probes at one time. Each states its own targets here, and the monitor
//! always probes the union, so neither takes the other's away.

use std::sync::{Mutex, PoisonError};

use crate::health::check::Target;
use crate::health::monitor::Monitor;

/// On whose account something is probed besides what is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// Leases, weights, and what names come to.
    Change,
    /// A reload that has read its configuration.
    Reload,
}

/// The targets of each account.
#[derive(Debug, Default)]
pub(super) struct Probed(Mutex<Accounts>);

#[derive(Debug, Default)]
struct Accounts {
    served: Vec<Target>,
    change: Vec<Target>,
    reload: Vec<Target>,
}

impl Probed {
    /// What is served from the start.
    pub(super) fn of(served: Vec<Target>) -> Probed {
        Probed(Mutex::new(Accounts { served, ..Accounts::default() }))
    }

    /// Probes these too. Must be called inside the monitor's runtime.
    pub(super) fn add(&self, monitor: &Monitor, account: Account, targets: &[Target]) {
        self.update(monitor, |accounts| *accounts.of(account) = targets.to_vec());
    }

    /// These are served now, and nothing besides is wanted on this account any more. Must be called inside the monitor's
    /// runtime.
    pub(super) fn serve(&self, monitor: &Monitor, account: Account, targets: &[Target]) {
        self.update(monitor, |accounts| {
            accounts.served = targets.to_vec();
            accounts.of(account).clear();
        });
    }

    /// The monitor is told under the lock, so that what it was told last is the newest.
    fn update(&self, monitor: &Monitor, update: impl FnOnce(&mut Accounts)) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        update(&mut accounts);
        let Accounts { served, change, reload } = &*accounts;
        // Of two with one key the last counts.
        monitor.replace([served, change, reload].into_iter().flatten().cloned().collect());
    }
}

impl Accounts {
    fn of(&mut self, account: Account) -> &mut Vec<Target> {
        match account {
            Account::Change => &mut self.change,
            Account::Reload => &mut self.reload,
        }
    }
}

//! The endpoints to probe, by the reason for probing them.
//!
//! A change of services and a reload may both wait for first probes at the same time. Each has its
//! own list here, beside the list of the services in use. The monitor probes the union, so neither
//! removes the targets of the other. The controller owns the lists.

use crate::health::check::ProbeTarget;

/// Why targets are probed in addition to those in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeAccount {
    /// A change of leases, weights or resolved names.
    Change,
    /// A reload that has read its configuration.
    Reload,
}

/// The targets of each account.
#[derive(Debug, Default)]
pub struct ProbedTargets {
    served: Vec<ProbeTarget>,
    change: Vec<ProbeTarget>,
    reload: Vec<ProbeTarget>,
}

impl ProbedTargets {
    /// Adds targets for an account, in place of those that it had.
    pub fn add(&mut self, account: ProbeAccount, targets: &[ProbeTarget]) {
        *self.account(account) = targets.to_vec();
    }

    /// Makes these the targets in use, and closes the account.
    pub fn serve(&mut self, account: ProbeAccount, targets: &[ProbeTarget]) {
        self.served = targets.to_vec();
        self.account(account).clear();
    }

    /// Every target. The monitor uses the last of two with the same key.
    pub fn union(&self) -> Vec<ProbeTarget> {
        let mut all = self.served.clone();
        all.extend_from_slice(&self.change);
        all.extend_from_slice(&self.reload);
        all
    }

    fn account(&mut self, account: ProbeAccount) -> &mut Vec<ProbeTarget> {
        match account {
            ProbeAccount::Change => &mut self.change,
            ProbeAccount::Reload => &mut self.reload,
        }
    }
}

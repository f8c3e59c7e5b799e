//! The endpoints that are probed, by the reason for it.
//!
//! A change of services and a reload may both wait for first probes at the same time. Each has an account here beside the
//! one of what is served. The monitor always probes the union, so neither takes the targets of the other away. The
//! controller owns the accounts.

use crate::health::check::ProbeTarget;

/// Why something is probed besides what is served.
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

    /// Serves these targets from now on, and closes the account.
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

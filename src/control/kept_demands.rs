//! The overrides and leases from before a restart, and what was seen of the fleet's orders.
//!
//! A file that cannot be used is a warning. Orders of a fleet stay in force until the fleet says
//! otherwise. If the server has left its fleet or joined another, they become its own: what an
//! operator has drained is not undrained by a changed configuration.

use super::book::OverrideBook;
use super::clock::ClockReading;
use super::keep::{self, LEASES, ORDERS};
use super::leases::{LeaseRecord, LeaseTable};
use super::overrides::{OrderRecord, OrderScope};
use super::state_directory::StateDirectory;
use crate::fleet::desired::DesiredMemory;

/// What was saved.
#[derive(Debug, Default)]
pub struct KeptDemands {
    /// Overrides that have not ended.
    pub book: OverrideBook,
    /// Leases that have not ended.
    pub leases: LeaseTable,
    /// The last that was seen of the orders of the fleet that is configured.
    pub seen: Option<DesiredMemory>,
}

impl KeptDemands {
    /// Reads the files. `fleet`: the fleet that keeps orders now, if there is one, and `server`: the
    /// name of this server there.
    pub fn load(
        directory: Option<&StateDirectory>,
        fleet: Option<&str>,
        server: &str,
        now: &ClockReading,
    ) -> KeptDemands {
        let Some(directory) = directory.map(StateDirectory::path) else {
            return KeptDemands::default();
        };
        let (orders, orders_warning) = keep::load::<OrderRecord>(directory, ORDERS);
        let (leases, leases_warning) = keep::load::<LeaseRecord>(directory, LEASES);
        for warning in orders_warning.iter().chain(&leases_warning) {
            tracing::error!("{warning}");
        }
        let gap = orders.gap(now);
        let seen = orders
            .seen
            .filter(|seen| Some(seen.fleet.as_str()) == fleet);
        let mut overrides = Vec::new();
        for record in orders.items {
            let mut override_ = record.revived(gap, now);
            override_.scope = scope_now(override_.scope, fleet.is_some(), seen.is_some());
            overrides.push(override_);
        }
        let mut book = OverrideBook::of(overrides);
        book.expire(now.boot);
        KeptDemands {
            book,
            leases: LeaseTable::of(leases.items, server, now.boot),
            seen,
        }
    }
}

/// The scope of a saved order: the fleet's only if the same fleet keeps it still.
fn scope_now(saved: OrderScope, has_fleet: bool, is_same: bool) -> OrderScope {
    match saved {
        OrderScope::Fleet if is_same => OrderScope::Fleet,
        _ if has_fleet => OrderScope::HereOnly,
        _ => OrderScope::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_of_a_fleet_become_the_servers_own_when_it_leaves() {
        use OrderScope::{Fleet, HereOnly, Plain};
        for (saved, has_fleet, is_same, now) in [
            (Fleet, true, true, Fleet),
            (Fleet, true, false, HereOnly),
            (Fleet, false, false, Plain),
            (HereOnly, true, true, HereOnly),
            (HereOnly, false, false, Plain),
            (Plain, true, false, HereOnly),
            (Plain, false, false, Plain),
        ] {
            assert_eq!(scope_now(saved, has_fleet, is_same), now, "{saved:?}");
        }
    }
}

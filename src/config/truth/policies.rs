//! `[policies]`: settings that services share.
//!
//! A policy has the keys of a service that say how it is steered. A service names one and takes
//! from it each key that it does not state itself. The names of a policy's check and fence lists
//! are looked up here, once. What depends on the regions of a service, such as `min_endpoints`, is
//! checked with the service and reported where it names the policy.

use std::sync::Arc;

use super::fences::FenceLists;
use super::model::CheckId;
use super::names::DeclaredNames;
use super::ttl::{ServiceTtl, resolve_ttl};
use crate::config::document::{ConfigReport, NamedEntry, TableField, WithOffset};
use crate::config::tables;
use crate::steering::RegionOrder;

/// The policies of a configuration.
pub struct Policies {
    names: DeclaredNames,
    /// By the id of the name.
    policies: Vec<Arc<Policy>>,
    /// The policy of services that name none.
    none: Arc<Policy>,
}

/// A policy with its names resolved.
#[derive(Default)]
pub struct Policy {
    /// Its name; `None`: the service names no policy.
    pub name: Option<Arc<str>>,
    /// The keys without names.
    pub keys: tables::Policy,
    /// The TTL; `None`: the policy states none.
    pub ttl: Option<ServiceTtl>,
    /// The check; `None`: the policy states none.
    pub check: Option<CheckId>,
    /// The ids of the lists of fences; `None`: the policy states none.
    pub fences: Option<Vec<u16>>,
}

/// The policy that applies to a service.
pub struct AppliedPolicy {
    /// Where the service names the policy; `None`: it names none.
    pub at: Option<usize>,
    /// The policy.
    pub policy: Arc<Policy>,
}

impl Policies {
    /// Resolves every policy.
    pub fn declare(
        raw: Vec<NamedEntry<tables::Policy>>,
        checks: &mut DeclaredNames,
        fences: &mut FenceLists,
        report: &mut ConfigReport,
    ) -> Policies {
        let names = DeclaredNames::declare("policy", &raw, report);
        let mut policies = Vec::with_capacity(raw.len());
        for NamedEntry { name, value } in raw {
            let policy = resolve(
                name.value.into(),
                value.or_default(),
                checks,
                fences,
                report,
            );
            policies.push(Arc::new(policy));
        }
        Policies {
            names,
            policies,
            none: Arc::default(),
        }
    }

    /// The policy that a service names. An unknown name is reported.
    pub fn applied(
        &mut self,
        named: TableField<String>,
        report: &mut ConfigReport,
    ) -> AppliedPolicy {
        let named = named.given();
        let at = named.as_ref().map(|name| name.at);
        let id = named.and_then(|name| self.names.find(&name, report));
        let policy = id.and_then(|id| self.policies.get(usize::from(id)));
        AppliedPolicy {
            at,
            policy: policy.unwrap_or(&self.none).clone(),
        }
    }

    /// Warns of every policy that no service uses.
    pub fn warn_unused(&self, report: &mut ConfigReport) {
        self.names.warn_unused(report);
    }
}

impl AppliedPolicy {
    /// The lists of fences of the policy, each with the place where the service names the policy.
    pub fn fences(&self) -> Vec<WithOffset<u16>> {
        let at = self.at.unwrap_or(0);
        let ids = self.policy.fences.iter().flatten();
        ids.map(|&value| WithOffset { at, value }).collect()
    }
}

fn resolve(
    name: Arc<str>,
    mut keys: tables::Policy,
    checks: &mut DeclaredNames,
    fences: &mut FenceLists,
    report: &mut ConfigReport,
) -> Policy {
    if let (Some(at), Some(order)) = (keys.band.at(), keys.order.get())
        && order.0 != RegionOrder::Nearest
    {
        report.warning(at, super::services::BAND_WITHOUT_DISTANCE.to_owned());
    }
    let ttl = std::mem::take(&mut keys.ttl).given();
    let check = std::mem::take(&mut keys.check).given();
    let lists = std::mem::take(&mut keys.fences).value();
    let fences = lists.map(|lists| {
        let found = fences.find_lists(lists.0, report);
        found.into_iter().map(|list| list.value).collect()
    });
    Policy {
        name: Some(name),
        ttl: ttl.map(|ttl| resolve_ttl(ttl.value, ttl.at, report)),
        check: check
            .and_then(|check| checks.find(&check, report))
            .map(CheckId),
        fences,
        keys,
    }
}

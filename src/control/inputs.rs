//! The inputs of control, and the values that are derived from them.
//!
//! [`ControlInputs`] holds what came from outside: the configuration as it was read, operator
//! overrides, leases, resolved names and the results of probes. [`derive`] turns these into a
//! [`Derived`] value: the configuration in force, the probe plan and the effect of every override.
//! It is a pure function, so tests can call it without threads or files. A derived value takes
//! effect once its services are compiled and its new endpoints have had their first probe.

use std::collections::HashMap;
use std::sync::Arc;

use super::book::OverrideBook;
use super::clock::BootTime;
use super::effect::EffectiveOverrides;
use super::leases::LeaseTable;
use super::overlay;
use super::targets::ProbePlan;
use crate::config::Config;
use crate::health::check::TargetKey;
use crate::health::monitor::TargetHealth;
use crate::resolve::KnownNames;

/// Everything that comes from outside.
#[derive(Debug, Clone)]
pub struct ControlInputs {
    /// The configuration as the file has it.
    pub base: Arc<Config>,
    /// The overrides of operators.
    pub book: Arc<OverrideBook>,
    /// Endpoints that registered themselves.
    pub leases: Arc<LeaseTable>,
    /// The addresses of endpoint names.
    pub names: Arc<KnownNames>,
    /// The results of probes.
    pub targets: HashMap<TargetKey, TargetHealth>,
    /// Counts the changes that need services to be compiled again.
    pub edition: u64,
}

impl ControlInputs {
    /// The inputs of a server that has resolved and probed nothing yet.
    pub fn new(
        base: Arc<Config>,
        book: Arc<OverrideBook>,
        leases: Arc<LeaseTable>,
    ) -> ControlInputs {
        ControlInputs {
            base,
            book,
            leases,
            names: Arc::default(),
            targets: HashMap::new(),
            edition: 0,
        }
    }

    /// Counts one more change that services must be compiled for.
    pub fn next_edition(&mut self) -> u64 {
        self.edition += 1;
        self.edition
    }
}

/// The values that follow from the inputs.
#[derive(Debug, Clone)]
pub struct Derived {
    /// The configuration that it was derived from.
    pub base: Arc<Config>,
    /// The configuration in force: with leases, the addresses of aliases and the weights of
    /// overrides.
    pub config: Arc<Config>,
    /// Which probes decide about which endpoint.
    pub plan: Arc<ProbePlan>,
    /// The effect of overrides on each region.
    pub effect: Arc<EffectiveOverrides>,
    /// The edition of the inputs.
    pub edition: u64,
}

impl Derived {
    /// Derives everything at the start.
    pub fn first(inputs: &ControlInputs, now: BootTime) -> Derived {
        let config = overlay::effective(&inputs.base, &inputs.book, &inputs.leases, &inputs.names);
        Derived::of_config(inputs, config, now)
    }

    fn of_config(inputs: &ControlInputs, config: Arc<Config>, now: BootTime) -> Derived {
        Derived {
            base: inputs.base.clone(),
            plan: Arc::new(ProbePlan::of(&config, &inputs.names)),
            effect: Arc::new(EffectiveOverrides::of(&inputs.book, &config, now)),
            config,
            edition: inputs.edition,
        }
    }

    /// Whether both have the same services, so that nothing needs to be compiled between them.
    pub fn has_services_of(&self, other: &Derived) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

/// Derives the configuration in force, the probe plan and the effect of overrides. The
/// configuration of `previous` is kept where services are the same.
pub fn derive(inputs: &ControlInputs, previous: &Derived, now: BootTime) -> Derived {
    let mut config = overlay::effective(&inputs.base, &inputs.book, &inputs.leases, &inputs.names);
    if Arc::ptr_eq(&inputs.base, &previous.base) && config.has_services_of(&previous.config) {
        config = previous.config.clone();
    }
    Derived::of_config(inputs, config, now)
}

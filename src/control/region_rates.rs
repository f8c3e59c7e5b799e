//! The answers per second of each region, added up over the services that have it.
//!
//! Views and reports tell the fleet these numbers. They come from the counters that the workers keep
//! anyway, over the last seconds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock::BootTime;
use crate::balance::traffic_rates::TrafficRates;
use crate::catalog::Catalog;
use crate::config::Config;

/// The answers per second, by the index of the region in the configuration.
pub(super) fn region_rates(
    config: &Config,
    catalog: &Arc<Catalog>,
    traffic: &TrafficRates,
) -> BTreeMap<usize, f64> {
    let rates = traffic.rates(catalog, BootTime::now().elapsed());
    let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
    for (key, rate) in rates.iter() {
        let service = config.services.get(key.service);
        if let Some(region) = service.and_then(|service| service.regions.get(key.region)) {
            *sums.entry(usize::from(region.region.0)).or_default() += *rate;
        }
    }
    sums
}

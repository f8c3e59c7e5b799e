//! Traffic: how many answers each region of each service gives per second, seen over the last seconds, and how many of
//! them a change moves elsewhere.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::catalog::present::{RegionAvailability, ServiceAvailability};
use crate::catalog::services::SteeredService;
use crate::catalog::{Availability, Catalog, ServiceId};
use crate::steering::Share;

/// How far back is looked.
const WINDOW: Duration = Duration::from_secs(5);
/// The least time between two samples.
const STEP: Duration = Duration::from_millis(900);

/// By service, and in it by region as listed.
pub type PerRegion<T> = Vec<Vec<T>>;

/// Counts of the last seconds.
#[derive(Debug, Clone, Default)]
pub struct TrafficRates {
    /// What the counts are of: another World counts from nothing.
    catalog: Weak<Catalog>,
    /// The oldest first.
    samples: VecDeque<(Duration, PerRegion<u64>)>,
}

impl TrafficRates {
    /// Takes in what has been answered by now.
    pub fn sample(&mut self, catalog: &Arc<Catalog>, now: Duration) {
        if !self.is_of(catalog) {
            *self = TrafficRates {
                catalog: Arc::downgrade(catalog),
                samples: VecDeque::new(),
            };
        }
        if self
            .samples
            .back()
            .is_some_and(|(last, _)| now.saturating_sub(*last) < STEP)
        {
            return;
        }
        self.samples.push_back((now, answers(catalog)));
        while self
            .samples
            .get(1)
            .is_some_and(|(second, _)| now.saturating_sub(*second) >= WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// Answers per second of each region; 0.0 while nothing can be said yet.
    pub fn rates(&self, catalog: &Arc<Catalog>, now: Duration) -> PerRegion<f64> {
        let counts = answers(catalog);
        let oldest = self
            .samples
            .front()
            .filter(|(then, _)| self.is_of(catalog) && now.saturating_sub(*then) >= STEP);
        let Some((then, before)) = oldest else {
            return counts
                .into_iter()
                .map(|service| vec![0.0; service.len()])
                .collect();
        };
        let elapsed = now.saturating_sub(*then).as_secs_f64();
        let rate = |(now, before): (u64, &u64)| now.saturating_sub(*before) as f64 / elapsed;
        let rates =
            |(now, before): (Vec<u64>, &Vec<u64>)| now.into_iter().zip(before).map(rate).collect();
        counts.into_iter().zip(before).map(rates).collect()
    }

    fn is_of(&self, catalog: &Arc<Catalog>) -> bool {
        std::ptr::eq(self.catalog.as_ptr(), Arc::as_ptr(catalog))
    }
}

/// What has been answered since the World was compiled.
pub fn answers(catalog: &Catalog) -> PerRegion<u64> {
    catalog
        .services
        .iter()
        .map(SteeredService::answers)
        .collect()
}

/// Answers per second that go elsewhere, by the region that gave them: what `after` takes away from regions.
pub fn moved(
    rates: &PerRegion<f64>,
    before: &Availability,
    after: &Availability,
) -> PerRegion<f64> {
    let services = rates
        .iter()
        .zip(before.services.iter().zip(&after.services));
    let of_service =
        |(rates, (before, after)): (&Vec<f64>, (&ServiceAvailability, &ServiceAvailability))| {
            let regions = rates.iter().zip(before.regions.iter().zip(&after.regions));
            let of_region =
                |(rate, (before, after)): (&f64, (&RegionAvailability, &RegionAvailability))| {
                    let (before, after) = (before.share.fraction(), after.share.fraction());
                    if after < before {
                        rate * (1.0 - after / before)
                    } else {
                        0.0
                    }
                };
            regions.map(of_region).collect()
        };
    services.map(of_service).collect()
}

/// What was noted of who asks for services that stay.
pub(super) fn go_on_noting(old: &Catalog, new: &Catalog) {
    let successor = |service: ServiceId| {
        let service = old.services.get(service.0 as usize)?;
        new.service_named(&service.name).map(|(id, _)| id)
    };
    new.sample.go_on_from(&old.sample, successor);
}

/// Answers per second that regions gave when they lost clients, as long as they have less than all of them.
#[derive(Debug, Clone, Default)]
pub struct MovedRates(HashMap<(usize, usize), f64>);

impl MovedRates {
    /// Takes in what a change has moved; regions that have all their clients now have lost nothing.
    pub fn note(&mut self, moved: &PerRegion<f64>, availability: &Availability) {
        for (service, regions) in availability.services.iter().enumerate() {
            for (at, region) in regions.regions.iter().enumerate() {
                let lost = moved
                    .get(service)
                    .and_then(|regions| regions.get(at))
                    .copied()
                    .unwrap_or(0.0);
                if region.share == Share::ALL {
                    self.0.remove(&(service, at));
                } else if lost > 0.0 {
                    self.0.insert((service, at), lost);
                }
            }
        }
    }

    /// What a region lost.
    pub fn of(&self, service: usize, region: usize) -> f64 {
        self.0.get(&(service, region)).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const TEXT: &str = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n[[services]]\n\
        name = \"www.example.com\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n";

    fn availability(shares: [f64; 2]) -> Availability {
        let config = config::parse(TEXT, std::path::Path::new("meridian.toml"))
            .unwrap()
            .config;
        let mut availability = Availability::all_up(&config);
        let regions = availability.services[0].regions.iter_mut();
        regions
            .zip(shares)
            .for_each(|(region, share)| region.share = Share::from_fraction(share));
        availability
    }

    #[test]
    fn what_a_region_loses_is_moved_and_what_it_wins_is_not() {
        let rates = vec![vec![100.0, 40.0]];
        let all = availability([1.0, 1.0]);
        assert_eq!(
            moved(&rates, &all, &availability([0.0, 1.0])),
            [[100.0, 0.0]]
        );
        assert_eq!(
            moved(&rates, &all, &availability([1.0, 0.5])),
            [[0.0, 20.0]]
        );
        assert_eq!(moved(&rates, &availability([0.0, 1.0]), &all), [[0.0, 0.0]]);
    }
}

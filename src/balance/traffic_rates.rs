//! Counts how many answers each region of each service gives per second, and how many a change
//! moves elsewhere.
//!
//! The counters belong to the compiled catalog. A window of samples over the last seconds turns
//! them into rates.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::catalog::keys::{ByRegion, RegionKey};
use crate::catalog::{Availability, Catalog};
use crate::steering::Share;

/// The length of the window.
const WINDOW: Duration = Duration::from_secs(5);
/// The least time between two samples.
const STEP: Duration = Duration::from_millis(900);

/// The counts of the last seconds.
#[derive(Debug, Clone, Default)]
pub struct TrafficRates {
    /// The catalog that the counts belong to; a new catalog counts from zero.
    catalog: Weak<Catalog>,
    /// The oldest first.
    samples: VecDeque<TrafficSample>,
}

#[derive(Debug, Clone)]
struct TrafficSample {
    taken: Duration,
    answers: ByRegion<u64>,
}

impl TrafficRates {
    /// Adds a sample, unless the last one is too recent.
    pub fn sample(&mut self, catalog: &Arc<Catalog>, now: Duration) {
        if !self.is_of(catalog) {
            *self = TrafficRates {
                catalog: Arc::downgrade(catalog),
                samples: VecDeque::new(),
            };
        }
        if let Some(last) = self.samples.back()
            && now.saturating_sub(last.taken) < STEP
        {
            return;
        }
        self.samples.push_back(TrafficSample {
            taken: now,
            answers: answers(catalog),
        });
        while let Some(second) = self.samples.get(1)
            && now.saturating_sub(second.taken) >= WINDOW
        {
            self.samples.pop_front();
        }
    }

    /// Answers per second of each region; 0.0 until there are enough samples.
    pub fn rates(&self, catalog: &Arc<Catalog>, now: Duration) -> ByRegion<f64> {
        let oldest = self.oldest(catalog, now);
        let mut rates = ByRegion::new();
        for (service, steered) in catalog.services.iter().enumerate() {
            let mut regions = Vec::new();
            for (region, count) in steered.answers().into_iter().enumerate() {
                let before =
                    oldest.and_then(|sample| sample.answers.get(RegionKey { service, region }));
                regions.push(match (oldest, before) {
                    (Some(sample), Some(before)) => {
                        let elapsed = now.saturating_sub(sample.taken).as_secs_f64();
                        count.saturating_sub(*before) as f64 / elapsed
                    }
                    _ => 0.0,
                });
            }
            rates.push_service(regions);
        }
        rates
    }

    /// The oldest sample, if it is of this catalog and old enough to compute rates from.
    fn oldest(&self, catalog: &Arc<Catalog>, now: Duration) -> Option<&TrafficSample> {
        let oldest = self.samples.front()?;
        let is_old = now.saturating_sub(oldest.taken) >= STEP;
        (is_old && self.is_of(catalog)).then_some(oldest)
    }

    fn is_of(&self, catalog: &Arc<Catalog>) -> bool {
        std::ptr::eq(self.catalog.as_ptr(), Arc::as_ptr(catalog))
    }
}

/// The answers of each region since the catalog was compiled.
pub fn answers(catalog: &Catalog) -> ByRegion<u64> {
    let mut answers = ByRegion::new();
    for service in &catalog.services {
        answers.push_service(service.answers());
    }
    answers
}

/// Answers per second that a change moves away from each region.
pub fn moved(rates: &ByRegion<f64>, before: &Availability, after: &Availability) -> ByRegion<f64> {
    let mut moved = ByRegion::new();
    for (service, (old, new)) in before.services.iter().zip(&after.services).enumerate() {
        if service >= rates.services() {
            break;
        }
        let mut regions = Vec::new();
        for (region, rate) in rates.service(service).iter().enumerate() {
            let (Some(old), Some(new)) = (old.regions.get(region), new.regions.get(region)) else {
                break;
            };
            let (old, new) = (old.share.fraction(), new.share.fraction());
            regions.push(if new < old {
                rate * (1.0 - new / old)
            } else {
                0.0
            });
        }
        moved.push_service(regions);
    }
    moved
}

/// Answers per second that regions gave when they lost clients, until they have all of them back.
#[derive(Debug, Clone, Default)]
pub struct MovedRates(HashMap<RegionKey, f64>);

impl MovedRates {
    /// Takes in what a change has moved, and forgets the regions that have all their clients now.
    pub fn note(&mut self, moved: &ByRegion<f64>, availability: &Availability) {
        for (service, regions) in availability.services.iter().enumerate() {
            for (region, now) in regions.regions.iter().enumerate() {
                let key = RegionKey { service, region };
                let lost = moved.get(key).copied().unwrap_or(0.0);
                if now.share == Share::ALL {
                    self.0.remove(&key);
                } else if lost > 0.0 {
                    self.0.insert(key, lost);
                }
            }
        }
    }

    /// The rate that a region lost.
    pub fn of(&self, region: RegionKey) -> f64 {
        self.0.get(&region).copied().unwrap_or(0.0)
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
        let service = availability.services_mut().next().unwrap();
        let regions = service.regions.iter_mut();
        regions
            .zip(shares)
            .for_each(|(region, share)| region.share = Share::from_fraction(share));
        availability
    }

    #[test]
    fn what_a_region_loses_is_moved_and_what_it_wins_is_not() {
        let mut rates = ByRegion::new();
        rates.push_service(vec![100.0, 40.0]);
        let all = availability([1.0, 1.0]);
        let lost = |before: &Availability, after: &Availability| {
            moved(&rates, before, after).service(0).to_vec()
        };
        assert_eq!(lost(&all, &availability([0.0, 1.0])), [100.0, 0.0]);
        assert_eq!(lost(&all, &availability([1.0, 0.5])), [0.0, 20.0]);
        assert_eq!(lost(&availability([0.0, 1.0]), &all), [0.0, 0.0]);
    }
}

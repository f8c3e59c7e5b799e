//! Least load: what endpoints say of how busy they are, as weights for `pick = "least-load"`.
//!
//! An endpoint's weight is multiplied with its headroom, the part of it that is idle, but never with less than a tenth:
//! who is full must go on to get some clients, or nobody would see it recover. Reports are smoothed, since a report
//! follows the clients and the clients follow the report.

use std::collections::HashMap;
use std::time::Duration;

use super::targets::ProbeRef;
use crate::catalog::present::RegionWeights;
use crate::config::ServiceRegion;
use crate::health::check::TargetKey;
use crate::health::monitor::TargetHealth;

/// How fast new reports take the place of old ones.
const MEMORY: Duration = Duration::from_secs(30);
/// The least headroom that counts.
const LEAST: f64 = 0.1;
/// Headroom is rounded to these parts, so that not every report changes the answers; weights are multiplied by it.
const STEPS: f64 = 32.0;

/// Smoothed reports, by probe: the load (1.0 is full) and when it was taken in.
#[derive(Debug, Default)]
pub struct LoadReports(HashMap<TargetKey, (f64, Duration)>);

impl LoadReports {
    /// Forgets whom nobody asks any more.
    pub fn keep(&mut self, known: &HashMap<TargetKey, TargetHealth>) {
        self.0.retain(|key, _| known.contains_key(key));
    }

    /// Takes in what an endpoint says now, and tells its headroom, 0.1..=1.0; `None`: it says nothing.
    pub fn headroom(
        &mut self,
        asked: &ProbeRef,
        known: &HashMap<TargetKey, TargetHealth>,
        now: Duration,
    ) -> Option<f64> {
        let mut busiest: Option<f64> = None;
        asked.for_each(&mut |key| {
            let report = known
                .get(key)
                .and_then(|target| target.last.as_ref())
                .and_then(|last| last.load);
            let Some(report) = report else {
                self.0.remove(key);
                return;
            };
            let (load, at) = self.0.entry(key.clone()).or_insert((report, now));
            let weight =
                1.0 - (-now.saturating_sub(*at).as_secs_f64() / MEMORY.as_secs_f64()).exp();
            (*load, *at) = (*load + weight * (report - *load), now);
            busiest = Some(busiest.map_or(*load, |busiest| busiest.max(*load)));
        });
        busiest.map(|load| (1.0 - load).clamp(LEAST, 1.0))
    }
}

/// The weights of a service's regions and endpoints under their headrooms, by region as listed: those who say nothing are
/// taken for average. `None`: nobody says anything.
pub fn weights(
    regions: &[ServiceRegion],
    region_weight: impl Fn(&ServiceRegion) -> u32,
    headrooms: &[Vec<Option<f64>>],
) -> Option<Vec<RegionWeights>> {
    let told: Vec<f64> = headrooms.iter().flatten().flatten().copied().collect();
    if told.is_empty() {
        return None;
    }
    let average = told.iter().sum::<f64>() / told.len() as f64;
    let scaled = |weight: u32, headroom: f64| {
        let parts = (headroom * STEPS).round().max(1.0) as u32;
        weight.saturating_mul(parts)
    };
    let weights = regions.iter().zip(headrooms).map(|(region, headrooms)| {
        let headroom = |at: usize| headrooms.get(at).copied().flatten().unwrap_or(average);
        let endpoints = || region.endpoints.iter().enumerate();
        let all: f64 = endpoints()
            .map(|(_, endpoint)| f64::from(endpoint.weight))
            .sum();
        let idle: f64 = endpoints()
            .map(|(at, endpoint)| f64::from(endpoint.weight) * headroom(at))
            .sum();
        RegionWeights {
            region: scaled(
                region_weight(region),
                if all > 0.0 { idle / all } else { average },
            ),
            endpoints: endpoints()
                .map(|(at, endpoint)| scaled(endpoint.weight, headroom(at)))
                .collect(),
        }
    });
    Some(weights.collect())
}

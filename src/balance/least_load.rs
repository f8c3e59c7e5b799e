//! Turns the loads that endpoints report into weights, for `pick = "least-load"`.
//!
//! An endpoint's weight is multiplied by its headroom, the idle part of it, but never by less than
//! a tenth: a full endpoint must keep a few clients, or nothing would show that it recovers.
//! Reports are smoothed, because load follows the clients and the clients follow the reports.

use std::collections::HashMap;
use std::time::Duration;

use crate::catalog::availability::RegionWeights;
use crate::config::ServiceRegion;
use crate::health::check::TargetKey;
use crate::health::monitor::TargetHealth;

/// The time in which a new report replaces most of the old ones.
const MEMORY: Duration = Duration::from_secs(30);
/// The least headroom that counts.
const LEAST: f64 = 0.1;
/// Headroom is rounded to these parts, so that small changes do not change the answers. Weights are
/// multiplied by it.
const STEPS: f64 = 32.0;

/// Smoothed reports by probe.
#[derive(Debug, Default)]
pub struct LoadReports(HashMap<TargetKey, SmoothedLoad>);

/// A smoothed load and when it was last updated.
#[derive(Debug, Clone, Copy)]
struct SmoothedLoad {
    /// 1.0 is full.
    load: f64,
    updated: Duration,
}

impl LoadReports {
    /// Forgets the targets that are not probed any more.
    pub fn keep(&mut self, known: &HashMap<TargetKey, TargetHealth>) {
        self.0.retain(|key, _| known.contains_key(key));
    }

    /// The headroom of an endpoint with these probes, 0.1..=1.0, including its latest reports;
    /// `None` if it reports no load.
    pub fn headroom(
        &mut self,
        probes: &[&TargetKey],
        known: &HashMap<TargetKey, TargetHealth>,
        now: Duration,
    ) -> Option<f64> {
        let mut busiest: Option<f64> = None;
        for key in probes {
            match reported_load(known.get(*key)) {
                Some(report) => {
                    let load = self.smooth(key, report, now);
                    busiest = Some(busiest.map_or(load, |busiest| busiest.max(load)));
                }
                None => {
                    self.0.remove(*key);
                }
            }
        }
        Some((1.0 - busiest?).clamp(LEAST, 1.0))
    }

    fn smooth(&mut self, key: &TargetKey, report: f64, now: Duration) -> f64 {
        let first = SmoothedLoad {
            load: report,
            updated: now,
        };
        let smoothed = self.0.entry(key.clone()).or_insert(first);
        let elapsed = now.saturating_sub(smoothed.updated).as_secs_f64();
        let weight = 1.0 - (-elapsed / MEMORY.as_secs_f64()).exp();
        smoothed.load += weight * (report - smoothed.load);
        smoothed.updated = now;
        smoothed.load
    }
}

fn reported_load(target: Option<&TargetHealth>) -> Option<f64> {
    target?.last.as_ref()?.load
}

/// A region of a service with the loads of its endpoints.
pub struct RegionHeadroom<'c> {
    /// The region as configured.
    pub region: &'c ServiceRegion,
    /// Its configured weight.
    pub weight: u32,
    /// The load of each endpoint; `None` if it reports none.
    pub endpoints: Vec<Option<f64>>,
}

/// The weights of a service's regions and endpoints under their headroom, in the given order.
/// Endpoints that report nothing count as average; `None` if no endpoint reports anything.
pub fn weights(regions: &[RegionHeadroom<'_>]) -> Option<Vec<RegionWeights>> {
    let average = average(regions)?;
    Some(
        regions
            .iter()
            .map(|region| region.weights(average))
            .collect(),
    )
}

fn average(regions: &[RegionHeadroom<'_>]) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for region in regions {
        for headroom in region.endpoints.iter().flatten() {
            sum += headroom;
            count += 1.0;
        }
    }
    if count > 0.0 { Some(sum / count) } else { None }
}

impl RegionHeadroom<'_> {
    fn weights(&self, average: f64) -> RegionWeights {
        let (mut all, mut idle) = (0.0, 0.0);
        let mut endpoints = Vec::with_capacity(self.region.endpoints.len());
        for (at, endpoint) in self.region.endpoints.iter().enumerate() {
            let headroom = self.endpoints.get(at).copied().flatten().unwrap_or(average);
            all += f64::from(endpoint.weight);
            idle += f64::from(endpoint.weight) * headroom;
            endpoints.push(scaled(endpoint.weight, headroom));
        }
        let headroom = if all > 0.0 { idle / all } else { average };
        RegionWeights {
            region: scaled(self.weight, headroom),
            endpoints,
        }
    }
}

fn scaled(weight: u32, headroom: f64) -> u32 {
    let parts = (headroom * STEPS).round().max(1.0) as u32;
    weight.saturating_mul(parts)
}

//! The body of `GET /v1/status`: the state of the server, its services and their health.
//!
//! [`ServerStatus::selected`] builds the whole status and then leaves in it what the query selects.
//! The structures serialise to JSON; clients such as `meridian status` read them back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::context::AdminContext;
use super::error::ApiError;
use super::headline::headline;
use super::health::{self, ServiceStatus};
use super::rules::rules_of;
use super::selection::StatusSelection;
use crate::answer::Disposition;
use crate::catalog::CatalogZone;
use crate::control::clock::ClockReading;
use crate::control::leases::LeaseRecord;
use crate::control::orders::OrderRecord;
use crate::control::{HealthView, ReloadHistory, ReloadResult};
use crate::explain::{SourceFacts, word};
use crate::geo::builtin;

/// What is going on. Keys are added, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerStatus {
    /// The worst thing that is true now, and how many others are.
    pub summary: String,
    /// Everything fails at once: the monitor doubts itself and holds what was agreed.
    pub suspect: bool,
    /// The part of the server that is stuck, and what that means; absent if none is.
    #[serde(default)]
    pub stuck: Option<String>,
    /// Version of the program.
    pub version: String,
    /// Seconds since the server was started.
    pub uptime_seconds: u64,
    /// The configuration file, or `built-in`.
    pub configuration: String,
    /// Fingerprint of the configuration and the zones; equal on servers that serve the same.
    #[serde(default)]
    pub fingerprint: String,
    /// Addresses that answer DNS over UDP and TCP.
    pub dns: Vec<String>,
    /// Addresses that answer DNS over TLS.
    #[serde(default)]
    pub tls: Vec<String>,
    /// Addresses that answer DNS over HTTPS.
    #[serde(default)]
    pub https: Vec<String>,
    /// Addresses that answer DNS over QUIC.
    #[serde(default)]
    pub quic: Vec<String>,
    /// The zones that are served.
    pub zones: Vec<ZoneStatus>,
    /// The names that are steered; those that were asked for.
    pub services: Vec<ServiceStatus>,
    /// How many services fit what was asked for, on all pages.
    #[serde(default)]
    pub services_matching: usize,
    /// The service to go on after, where there are more than `limit`; absent on the last page.
    #[serde(default)]
    pub next: Option<String>,
    /// The regions, in the order of the configuration.
    pub regions: Vec<String>,
    /// What operators have ordered.
    #[serde(default)]
    pub orders: Vec<OrderRecord>,
    /// Endpoints that came by themselves.
    #[serde(default)]
    pub leases: Vec<LeaseRecord>,
    /// Where knowledge of places comes from, the first one first.
    pub geodata: Vec<SourceFacts>,
    /// What the licence of the built-in geodata wants to be shown.
    pub geodata_credit: String,
    /// Queries so far, by what became of them.
    pub queries: BTreeMap<String, u64>,
    /// Reloads so far.
    pub reloads: ReloadStatus,
}

/// One zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ZoneStatus {
    /// Its apex.
    pub name: String,
    /// SERIAL of its SOA.
    pub serial: u32,
}

/// Reloads so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReloadStatus {
    /// How many were done.
    pub ok: u64,
    /// How many were refused; what was served before was served on.
    pub refused: u64,
    /// The last one.
    pub last: Option<LastReload>,
}

/// What can stand in the body of `POST /v1/reload`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReloadBody {
    /// Take the change even if it moves more than `[guard] max_move` allows.
    pub yes_move: bool,
    /// Take the change whatever `[guard]` refuses: clients moved, or left without a live region.
    pub yes: bool,
}

/// One reload: also what `POST /v1/reload` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastReload {
    /// Seconds since 1970.
    pub at: u64,
    /// Whether it was done.
    pub ok: bool,
    /// How long it took.
    pub milliseconds: u64,
    /// Warnings if it was done, mistakes if it was refused; each names its place.
    pub messages: Vec<String>,
}

impl ServerStatus {
    /// The selected part of the current status.
    ///
    /// # Errors
    /// 404 if a selected service or region does not exist.
    pub fn selected(
        context: &AdminContext,
        selection: &StatusSelection,
    ) -> Result<ServerStatus, ApiError> {
        let view = context.control.view();
        let mut status = ServerStatus::of(context, &view);
        selection.apply(&mut status, &view.config)?;
        if selection.has_rules() {
            let catalog = &context.control.snapshot().catalog;
            for service in &mut status.services {
                service.rules = rules_of(&view.config, catalog, &service.name);
            }
        }
        Ok(status)
    }

    /// The whole status.
    fn of(context: &AdminContext, view: &HealthView) -> ServerStatus {
        let snapshot = context.control.snapshot();
        let services = health::services(view);
        let catalog = &snapshot.catalog;
        let (now, clocks) = (SystemTime::now(), ClockReading::now());
        let stuck = context.control.watchdog().sentence();
        ServerStatus {
            summary: stuck
                .clone()
                .unwrap_or_else(|| headline(&services, view.holds())),
            stuck,
            suspect: view.suspect,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: context.started.elapsed().as_secs(),
            configuration: context.control.origin().to_string(),
            fingerprint: context.control.fingerprint(),
            dns: texts(&context.addresses.dns),
            tls: texts(&context.addresses.tls),
            https: texts(&context.addresses.https),
            quic: texts(&context.addresses.quic),
            zones: catalog.zones.iter().map(ZoneStatus::of).collect(),
            services_matching: services.len(),
            services,
            next: None,
            regions: catalog.regions.clone(),
            orders: view
                .orders
                .iter()
                .map(|order| order.record(&clocks))
                .collect(),
            leases: view
                .leases
                .iter()
                .map(|lease| lease.record(&clocks))
                .collect(),
            geodata: catalog
                .atlas
                .sources()
                .iter()
                .map(|source| SourceFacts::of(source, now))
                .collect(),
            geodata_credit: builtin::CREDIT.to_owned(),
            queries: queries(&context.stats.sums()),
            reloads: ReloadStatus::of(&context.control.reloads()),
        }
    }
}

fn texts(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

/// The query counters, by the name of their disposition.
pub fn queries(sums: &[u64; Disposition::COUNT]) -> BTreeMap<String, u64> {
    let mut queries = BTreeMap::new();
    for (disposition, count) in Disposition::ALL.iter().zip(sums) {
        queries.insert(word(*disposition).to_owned(), *count);
    }
    queries
}

impl ZoneStatus {
    fn of(zone: &CatalogZone) -> ZoneStatus {
        ZoneStatus {
            name: zone.origin.to_string(),
            serial: zone.serial,
        }
    }
}

impl ReloadStatus {
    fn of(reloads: &ReloadHistory) -> ReloadStatus {
        ReloadStatus {
            ok: reloads.ok,
            refused: reloads.refused,
            last: reloads.last.as_ref().map(LastReload::of),
        }
    }
}

impl LastReload {
    /// Describes a reload in the form of the API.
    pub fn of(done: &ReloadResult) -> LastReload {
        LastReload {
            at: done
                .at
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
            ok: done.ok,
            milliseconds: done.took.as_millis() as u64,
            messages: done.messages.clone(),
        }
    }
}

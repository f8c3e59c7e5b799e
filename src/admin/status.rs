//! The body of `GET /v1/status`: the state of the server, its services and their health.
//!
//! [`ServerStatus::selected`] builds the whole status and then leaves in it what the query selects.
//! The structures serialise to JSON; clients such as `meridian status` read them back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
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
use crate::catalog::signed::SignedZone;
use crate::catalog::{Catalog, CatalogZone, ZoneId};
use crate::config::Config;
use crate::control::announcement::AnnouncementReport;
use crate::control::clock::ClockReading;
use crate::control::fleet::report::FleetReport;
use crate::control::leases::LeaseRecord;
use crate::control::overrides::OrderRecord;
use crate::control::{HealthView, ReloadHistory, ReloadResult, process};
use crate::dns::Name;
use crate::explain::{SourceFacts, word};
use crate::geo::builtin;

/// The state of the server. Keys are added, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerStatus {
    /// The most serious problem, and how many others there are.
    pub summary: String,
    /// Whether all probes fail at once, so that the monitor holds the last agreed health.
    pub suspect: bool,
    /// The servers that vote about health with this one; absent: it decides alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetReport>,
    /// What the announcer of this server does; absent: none was heard since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcement: Option<AnnouncementReport>,
    /// The part of the server that is stuck, with the consequence; absent if none is.
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
    /// The selected services.
    pub services: Vec<ServiceStatus>,
    /// How many services are selected, on all pages.
    #[serde(default)]
    pub services_matching: usize,
    /// How many of all services have a problem, selected or not.
    #[serde(default)]
    pub services_troubled: usize,
    /// How many of all services have clients without a live region, selected or not.
    #[serde(default)]
    pub services_uncovered: usize,
    /// The last service of this page, for `after`; absent on the last page.
    #[serde(default)]
    pub next: Option<String>,
    /// The regions, in the order of the configuration.
    pub regions: Vec<String>,
    /// The overrides in force.
    #[serde(default)]
    pub orders: Vec<OrderRecord>,
    /// The leases of endpoints.
    #[serde(default)]
    pub leases: Vec<LeaseRecord>,
    /// The sources of geodata, in order of precedence.
    pub geodata: Vec<SourceFacts>,
    /// The attribution that the licence of the built-in geodata requires.
    pub geodata_credit: String,
    /// Queries since the start, by result.
    pub queries: BTreeMap<String, u64>,
    /// Reloads since the start.
    pub reloads: ReloadStatus,
}

/// One zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ZoneStatus {
    /// Its apex.
    pub name: String,
    /// SERIAL of its SOA.
    pub serial: u32,
    /// Its signatures (DNSSEC); absent: it is not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<SignedStatus>,
}

/// The signatures of one zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedStatus {
    /// Whether the zone's file has the signatures; otherwise they are made, or come in a bundle.
    pub in_file: bool,
    /// Whole days until the first of them expires; negative if it has expired.
    pub days_left: i64,
    /// The roll of its keys that is under way, and what it waits for; absent: there is none, or
    /// another server carries it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll: Option<String>,
}

/// The reloads since the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReloadStatus {
    /// How many succeeded.
    pub ok: u64,
    /// How many were refused; the previous configuration stayed in force.
    pub refused: u64,
    /// The last one.
    pub last: Option<LastReload>,
}

/// The body of `POST /v1/reload`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReloadBody {
    /// Reload even if more clients move than `[guard] max_move` allows.
    pub yes_move: bool,
    /// Reload even if `[guard]` refuses it, because clients move or lose their live region.
    pub yes: bool,
}

/// One reload. `POST /v1/reload` answers with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastReload {
    /// Seconds since 1970.
    pub at: u64,
    /// Whether it succeeded.
    pub ok: bool,
    /// How long it took.
    pub milliseconds: u64,
    /// Warnings if it succeeded, mistakes if it was refused; each names its place.
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
            let snapshot = context.control.snapshot();
            status.add_rules(&view.config, &snapshot.catalog);
        }
        Ok(status)
    }

    fn add_rules(&mut self, config: &Config, catalog: &Catalog) {
        for service in &mut self.services {
            service.rules = rules_of(config, catalog, &service.name);
        }
    }

    /// The whole status.
    fn of(context: &AdminContext, view: &HealthView) -> ServerStatus {
        let snapshot = context.control.snapshot();
        let services = health::services(view);
        let catalog = &snapshot.catalog;
        let (now, clocks) = (SystemTime::now(), ClockReading::now());
        let stuck = context.control.watchdog().sentence();
        ServerStatus {
            summary: summary(stuck.as_ref(), &services, view),
            stuck,
            suspect: view.suspect,
            fleet: view.fleet.clone(),
            announcement: context.control.announcement().report(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: context.started.elapsed().as_secs(),
            configuration: context.control.origin().to_string(),
            fingerprint: context.control.fingerprint(),
            dns: texts(&context.addresses.dns),
            tls: texts(&context.addresses.tls),
            https: texts(&context.addresses.https),
            quic: texts(&context.addresses.quic),
            zones: zones(catalog, &context.control.roll_sentences()),
            services_matching: services.len(),
            services_troubled: services.iter().filter(|it| !it.well).count(),
            services_uncovered: services.iter().filter(|it| !it.is_covered()).count(),
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

/// The most serious problem. An alarm of the fleet's orders comes before those of services, because
/// nothing can be ordered then.
fn summary(stuck: Option<&String>, services: &[ServiceStatus], view: &HealthView) -> String {
    if let Some(stuck) = stuck {
        return stuck.clone();
    }
    let headline = headline(services, view.holds());
    let orders = view.fleet.as_ref().and_then(|fleet| fleet.orders.as_ref());
    match orders.and_then(|orders| orders.alarm.as_ref()) {
        Some(alarm) => format!("{alarm}; {headline}"),
        None => headline,
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

/// All zones, with what their signatures and the rolls of their keys do.
fn zones(catalog: &Catalog, rolls: &[(Name, String)]) -> Vec<ZoneStatus> {
    let now = process::clock().load(Ordering::Relaxed);
    let mut zones = Vec::with_capacity(catalog.zones.len());
    for (id, zone) in (0..).zip(&catalog.zones) {
        let signed = catalog.signed.as_ref().and_then(|it| it.zone(ZoneId(id)));
        zones.push(ZoneStatus {
            name: zone.origin.to_string(),
            serial: zone.serial,
            signed: signed.map(|signed| SignedStatus::of(zone, signed, rolls, now)),
        });
    }
    zones
}

impl SignedStatus {
    /// `now` is in seconds since 1970, modulo 2^32.
    fn of(
        zone: &CatalogZone,
        signed: &SignedZone,
        rolls: &[(Name, String)],
        now: u32,
    ) -> SignedStatus {
        let left = i64::from(signed.expires.wrapping_sub(now).cast_signed());
        let roll = rolls.iter().find(|(name, _)| *name == zone.origin);
        SignedStatus {
            in_file: signed.is_presigned,
            days_left: left.div_euclid(86_400),
            roll: roll.map(|(_, sentence)| sentence.clone()),
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

//! Leases: endpoints that register themselves and stay as long as they renew.
//!
//! A lease adds one address to a region of a service for a limited time. The overlay adds leased
//! endpoints to the configuration. A lease that was begun on one server of a fleet is in force on
//! all. This module does no I/O and reads no clock: the time is an argument. After a restart every
//! lease starts again with its whole time.

mod table;

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clock::{BootTime, ClockReading, Deadline, EndTime};
use super::events::{EventDraft, EventTopic};
use super::overrides::{find_region, find_service};
use crate::config::{Config, EndpointTarget, ServiceConfig};
use crate::fleet::lease_news::{LeaseNews, LeaseStamp};
use crate::steering;

pub use self::table::{LeaseHeard, LeaseTable};

/// The most leases at a time.
pub const MOST: usize = 10_000;
/// The most regions of a service, including leased ones.
const MOST_REGIONS: usize = 254;

/// An endpoint that registered itself for a limited time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "LeaseTerms")]
pub struct Lease {
    /// The service that it belongs to.
    pub service: String,
    /// The region that it joins.
    pub region: String,
    /// The address of the endpoint.
    #[schemars(with = "String")]
    pub address: IpAddr,
    /// 0..=1,000,000; 0 is a standby.
    pub weight: u32,
    /// The port that is probed, instead of the check's own port.
    pub port: Option<u16>,
    /// How long it stays without being renewed, in seconds.
    pub ttl: u64,
    /// Who began the lease: a name, an address, or the local socket.
    pub by: String,
    /// The server of the fleet that it was renewed on last; absent without a fleet.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// When it was renewed last, in milliseconds since 1970 by the clock of that server. Of two
    /// servers of a fleet that were asked, the later counts.
    #[serde(default)]
    pub renewed_at: u64,
    /// When it leaves unless it is renewed.
    #[serde(skip)]
    pub ends: Deadline,
}

/// A lease as the API and the state directory show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Lease")]
pub struct LeaseRecord {
    /// The lease without its end.
    #[serde(flatten)]
    pub lease: Lease,
    /// When it leaves unless it is renewed.
    #[serde(flatten)]
    pub ending: EndTime,
}

impl LeaseMistake {
    /// The sentence.
    pub fn into_sentence(self) -> String {
        match self {
            LeaseMistake::Unknown(sentence) | LeaseMistake::NoRoom(sentence) => sentence,
        }
    }
}

/// The state of a lease that another server of the fleet has told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetLease {
    /// The lease.
    pub lease: Lease,
    /// It was ended.
    pub is_ended: bool,
}

/// The key of a lease: service, region, address.
pub type LeaseKey = (String, String, IpAddr);

/// Why a lease is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseMistake {
    /// The service or region is not configured; a sentence.
    Unknown(String),
    /// The endpoint cannot join the region; a sentence.
    NoRoom(String),
}

impl Lease {
    /// The key of the lease.
    pub fn key(&self) -> LeaseKey {
        (self.service.clone(), self.region.clone(), self.address)
    }

    /// The lease as the API and the state directory show it now.
    pub fn record(&self, now: &ClockReading) -> LeaseRecord {
        LeaseRecord {
            lease: self.clone(),
            ending: EndTime::of(Some(self.ends), now),
        }
    }

    /// Its stamp among the states of this lease in the fleet.
    fn own_stamp(&self) -> LeaseStamp {
        LeaseStamp {
            time: self.renewed_at,
            server: self.server.clone(),
        }
    }

    fn stamp(&mut self, stamp: LeaseStamp) {
        self.renewed_at = stamp.time;
        self.server = stamp.server;
    }

    /// The state of the lease for the other servers of a fleet; `left`: the time that it has, `None`
    /// if it was ended.
    pub fn news_for_fleet(&self, left: Option<Duration>) -> LeaseNews {
        LeaseNews {
            service: self.service.clone(),
            region: self.region.clone(),
            address: self.address,
            weight: self.weight,
            port: self.port,
            ttl: self.ttl,
            left: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            by: self.by.clone(),
            time: self.renewed_at,
        }
    }
}

impl FleetLease {
    /// What the server `server` of the fleet has told.
    pub fn told(news: LeaseNews, server: &str, now: BootTime) -> FleetLease {
        let whole = Duration::from_secs(news.ttl);
        let is_ended = news.left.is_none();
        let left = news.left.map_or(whole, Duration::from_millis);
        let lease = Lease {
            service: news.service,
            region: news.region,
            address: news.address,
            weight: news.weight,
            port: news.port,
            ttl: news.ttl,
            by: news.by,
            server: server.to_owned(),
            renewed_at: news.time,
            ends: Deadline::after(now, left.min(whole)),
        };
        FleetLease { lease, is_ended }
    }
}

impl Lease {
    /// The event that reports a change of the lease.
    pub(super) fn news(&self, sentence: String) -> EventDraft {
        EventDraft {
            services: vec![self.service.clone()],
            regions: vec![self.region.clone()],
            endpoint: Some(self.address.to_string()),
            ..EventDraft::new(EventTopic::Lease, sentence)
        }
    }

    /// The same lease, renewed for its whole time from now on.
    pub fn renewed(self, now: BootTime) -> Lease {
        Lease {
            ends: Deadline::after(now, Duration::from_secs(self.ttl)),
            ..self
        }
    }

    /// The same lease, with its service and region as the configuration spells them.
    ///
    /// # Errors
    /// The service or region is not configured, or the endpoint cannot join it.
    pub fn resolve(&self, base: &Config) -> Result<Lease, LeaseMistake> {
        let service = find_service(base, &self.service).map_err(LeaseMistake::Unknown)?;
        let at = find_region(base, &self.region).map_err(LeaseMistake::Unknown)?;
        self.check_room(base, service, at)
            .map_err(LeaseMistake::NoRoom)?;
        let (service, region) = (service.name.to_string(), base.regions[at].name.clone());
        Ok(Lease {
            service,
            region,
            address: self.address.to_canonical(),
            ..self.clone()
        })
    }

    fn check_room(&self, base: &Config, service: &ServiceConfig, at: usize) -> Result<(), String> {
        let (name, address) = (&service.name, self.address.to_canonical());
        if address.is_unspecified() || address.is_multicast() {
            return Err(format!("{address} is not a valid address of an endpoint"));
        }
        for region in &service.regions {
            for endpoint in &region.endpoints {
                if matches!(endpoint.target, EndpointTarget::Name(_)) {
                    return Err(format!(
                        "{name} is answered with names, so no address can join it"
                    ));
                }
                if endpoint.target == EndpointTarget::Address(address) {
                    return Err(format!(
                        "{address} is an endpoint of {name} by the configuration, so it needs no \
                         lease"
                    ));
                }
            }
        }
        let region = &base.regions[at];
        let is_listed = service
            .regions
            .iter()
            .any(|listed| usize::from(listed.region.0) == at);
        if !is_listed
            && service.order == steering::RegionOrder::Nearest
            && region.location.is_none()
        {
            return Err(format!(
                "{} has no location, which {name} needs",
                region.name
            ));
        }
        if !is_listed && service.regions.len() >= MOST_REGIONS {
            return Err(format!("{name} has {MOST_REGIONS} regions already"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn at(seconds: u64) -> BootTime {
        BootTime::default().after(Duration::from_secs(seconds))
    }

    /// One that ends so many seconds after the boot.
    fn lease(region: &str, address: &str, until: u64) -> Lease {
        let (service, region) = ("www.example.com".to_owned(), region.to_owned());
        let (address, ends) = (
            address.parse().unwrap(),
            Deadline::after(at(0), Duration::from_secs(until)),
        );
        Lease {
            service,
            region,
            address,
            weight: 100,
            port: None,
            ttl: 30,
            ends,
            by: "me".to_owned(),
            server: String::new(),
            renewed_at: 0,
        }
    }

    #[test]
    fn a_lease_that_does_not_fit_the_configuration_says_why() {
        let text = "[regions.fra]\nlocation = \"FRA\"\n[regions.iad]\nlocation = \"IAD\"\n[regions.spare]\n\
            [[services]]\nname = \"www.example.com\"\n[services.endpoints]\nfra = \"192.0.2.1\"\n\
            [[services]]\nname = \"names.example.com\"\n[services.endpoints]\nfra = { cname = \"lb.example.net\" }\n";
        let config = config::parse(text, Path::new("meridian.toml"))
            .unwrap()
            .config;
        let resolve = |lease: Lease| lease.resolve(&config);
        assert_eq!(
            resolve(lease("iad", "::ffff:192.0.2.9", 0))
                .unwrap()
                .address
                .to_string(),
            "192.0.2.9"
        );
        for (lease, part) in [
            (lease("fra", "192.0.2.1", 0), "by the configuration"),
            (lease("fra", "0.0.0.0", 0), "not a valid address"),
            (lease("spare", "192.0.2.9", 0), "has no location"),
            (lease("lhr", "192.0.2.9", 0), "there is no region"),
            (
                Lease {
                    service: "names.example.com".into(),
                    ..lease("fra", "192.0.2.9", 0)
                },
                "answered with names",
            ),
            (
                Lease {
                    service: "x".into(),
                    ..lease("fra", "192.0.2.9", 0)
                },
                "there is no service",
            ),
        ] {
            let (LeaseMistake::Unknown(told) | LeaseMistake::NoRoom(told)) =
                resolve(lease).unwrap_err();
            assert!(told.contains(part), "{told}");
        }
    }
}

//! Leases: endpoints that register themselves and stay as long as they renew.
//!
//! A lease adds one address to a region of a service for a limited time. The overlay adds leased
//! endpoints to the configuration. This module does no I/O and reads no clock: the time is an
//! argument. After a restart every lease starts again with its whole time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clock::{BootTime, ClockReading, Deadline, EndTime};
use super::events::{EventDraft, EventTopic};
use super::overrides::{find_region, find_service};
use crate::config::{Config, EndpointTarget, ServiceConfig};
use crate::steering;

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

/// Every lease in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeaseTable(BTreeMap<LeaseKey, Lease>);

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

impl LeaseTable {
    /// The leases of a saved list. Endpoints could not renew while the server was down, so each
    /// lease gets its whole time again, whatever the wall clock did meanwhile.
    pub fn of(leases: Vec<LeaseRecord>, now: BootTime) -> LeaseTable {
        let mut table = BTreeMap::new();
        for record in leases.into_iter().take(MOST) {
            let lease = record.lease.renewed(now);
            table.insert(lease.key(), lease);
        }
        LeaseTable(table)
    }

    /// Begins or renews a lease. Returns whether an endpoint changed, and not only its time.
    ///
    /// # Errors
    /// A sentence: there are too many, or another region of the service has leased the address.
    pub fn put(&mut self, lease: Lease) -> Result<bool, String> {
        let key = lease.key();
        let known = self.0.get(&key);
        if known.is_none() {
            if self.0.len() >= MOST {
                return Err(format!("{MOST} leases run already"));
            }
            let twin = self
                .0
                .values()
                .find(|it| it.service == lease.service && it.address == lease.address);
            if let Some(twin) = twin {
                return Err(format!(
                    "{} is leased to {} of {} already",
                    lease.address, twin.region, twin.service
                ));
            }
        }
        let changed =
            known.is_none_or(|known| (known.weight, known.port) != (lease.weight, lease.port));
        self.0.insert(key, lease);
        Ok(changed)
    }

    /// Ends a lease.
    pub fn end(&mut self, key: &LeaseKey) -> Option<Lease> {
        self.0.remove(key)
    }

    /// Removes the leases that were not renewed in time, and returns them.
    pub fn expire(&mut self, now: BootTime) -> Vec<Lease> {
        let mut ended = Vec::new();
        self.0.retain(|_, lease| {
            let is_over = lease.ends.is_over(now);
            if is_over {
                ended.push(lease.clone());
            }
            !is_over
        });
        ended
    }

    /// Every lease, by service and region.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.0.values()
    }

    /// Whether a lease adds this endpoint.
    pub fn contains(&self, service: &str, region: &str, target: &EndpointTarget) -> bool {
        let EndpointTarget::Address(address) = target else {
            return false;
        };
        !self.0.is_empty()
            && self
                .0
                .contains_key(&(service.to_owned(), region.to_owned(), *address))
    }

    /// Whether no lease is in force.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        }
    }

    #[test]
    fn what_is_not_renewed_leaves() {
        let mut leases = LeaseTable::default();
        assert_eq!(leases.put(lease("fra", "192.0.2.9", 10)), Ok(true));
        assert_eq!(
            leases.put(lease("fra", "192.0.2.9", 20)),
            Ok(false),
            "only renewed"
        );
        assert_eq!(
            leases.put(Lease {
                weight: 5,
                ..lease("fra", "192.0.2.9", 30)
            }),
            Ok(true)
        );
        assert!(
            leases.put(lease("iad", "192.0.2.9", 30)).is_err(),
            "one address is in one region"
        );
        assert_eq!(leases.expire(at(29)), []);
        assert_eq!(leases.expire(at(30)).len(), 1);
        assert!(leases.is_empty());
    }

    #[test]
    fn after_a_restart_every_lease_has_its_full_time() {
        for wall in [0, 1_000_000] {
            let before = ClockReading {
                boot: at(5),
                wall: Duration::from_secs(wall),
            };
            let record = lease("fra", "192.0.2.9", 10_000).record(&before);
            let mut leases = LeaseTable::of(vec![record], at(1000));
            assert_eq!(leases.expire(at(1029)), []);
            assert_eq!(leases.expire(at(1030)).len(), 1);
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

//! The leases in force on this server.
//!
//! Without a fleet, what is put here is all there is. In a fleet, the table also has the leases that
//! others hold, and every lease has a stamp: of two states of a lease the later one counts, in
//! whatever order they arrive, so all servers come to the same table. An end is remembered until the
//! lease would have run out, because an older renewal may arrive after it.
//!
//! While the engine cannot be reached nobody knows what others have renewed, so what they held stays.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Lease, LeaseKey, LeaseRecord, MOST};
use crate::config::EndpointTarget;
use crate::control::clock::{BootTime, ClockReading, Deadline};
use crate::fleet::lease_news::{LeaseNews, LeaseStamp};

/// Every lease in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeaseTable {
    leases: BTreeMap<LeaseKey, Lease>,
    ended: BTreeMap<LeaseKey, EndedLease>,
    /// The name of this server in its fleet; empty without one.
    server: String,
    /// The engine cannot be reached, so the leases of others stay.
    keeps_others: bool,
}

/// A lease that was ended, and not only not renewed.
#[derive(Debug, Clone, PartialEq)]
struct EndedLease {
    stamp: LeaseStamp,
    /// No older renewal can arrive any more.
    forget: Deadline,
}

/// What the state of a lease of another server has changed.
#[derive(Debug, Clone, PartialEq)]
pub enum LeaseHeard {
    /// Nothing: it is known, or a later one is.
    Nothing,
    /// The lease goes on.
    Renewed,
    /// An endpoint joined, or has another weight or port. The lease that had its address in another
    /// region is gone.
    Joined(Lease, Option<Lease>),
    /// The endpoint left, by somebody's word.
    Left(Lease, String),
}

impl LeaseTable {
    /// The leases of a saved list, on the server of this name in its fleet. Endpoints could not renew
    /// while the server was down, so each lease gets its whole time again, whatever the wall clock did
    /// meanwhile.
    pub fn of(leases: Vec<LeaseRecord>, server: &str, now: BootTime) -> LeaseTable {
        let mut table = LeaseTable {
            server: server.to_owned(),
            ..LeaseTable::default()
        };
        for record in leases.into_iter().take(MOST) {
            let lease = record.lease.renewed(now);
            table.leases.insert(lease.key(), lease);
        }
        table
    }

    /// Begins or renews a lease on this server. Returns whether an endpoint changed, and not only its
    /// time.
    ///
    /// # Errors
    /// A sentence: there are too many, or another region of the service has leased the address.
    pub fn put(&mut self, mut lease: Lease, wall: Duration) -> Result<bool, String> {
        let key = lease.key();
        if !self.leases.contains_key(&key) {
            self.check_room()?;
            if let Some(twin) = self.twin(&lease) {
                return Err(format!(
                    "{} is leased to {} of {} already",
                    lease.address, twin.region, twin.service
                ));
            }
        }
        lease.stamp(self.next_stamp(&key, wall));
        Ok(self.insert(lease))
    }

    /// Ends a lease on this server.
    pub fn end(&mut self, key: &LeaseKey, now: &ClockReading) -> Option<Lease> {
        let stamp = self.next_stamp(key, now.wall);
        let mut lease = self.leases.remove(key)?;
        lease.stamp(stamp);
        if !self.server.is_empty() {
            self.remember_end(&lease, now.boot);
        }
        Some(lease)
    }

    /// Takes in the state of a lease that another server of the fleet holds or, `is_ended`, has ended.
    ///
    /// # Errors
    /// A sentence: there are too many.
    pub fn hear(
        &mut self,
        lease: Lease,
        is_ended: bool,
        now: BootTime,
    ) -> Result<LeaseHeard, String> {
        let key = lease.key();
        let stamp = lease.own_stamp();
        if self.stamp_of(&key).is_some_and(|known| known >= stamp) {
            return Ok(LeaseHeard::Nothing);
        }
        if is_ended {
            self.remember_end(&lease, now);
            return Ok(match self.leases.remove(&key) {
                Some(left) => LeaseHeard::Left(left, lease.by),
                None => LeaseHeard::Nothing,
            });
        }
        let mut replaced = None;
        if !self.leases.contains_key(&key) {
            let twin = self.twin(&lease);
            match twin.map(|twin| (twin.key(), twin.own_stamp())) {
                // Two servers were asked at once, and all keep the later.
                Some((_, later)) if later > stamp => return Ok(LeaseHeard::Nothing),
                Some((twin, _)) => replaced = self.leases.remove(&twin),
                None => self.check_room()?,
            }
        }
        if self.insert(lease.clone()) {
            Ok(LeaseHeard::Joined(lease, replaced))
        } else {
            Ok(LeaseHeard::Renewed)
        }
    }

    /// Notes whether the engine can be reached. When it can be again, the leases that others hold have
    /// their whole time from then on.
    pub fn set_linked(&mut self, is_linked: bool, now: BootTime) {
        if self.keeps_others && is_linked {
            for lease in self.leases.values_mut() {
                if is_of_another(lease, &self.server) {
                    lease.ends = Deadline::after(now, Duration::from_secs(lease.ttl));
                }
            }
        }
        self.keeps_others = !is_linked;
    }

    /// Removes the leases that were not renewed in time, and returns them.
    pub fn expire(&mut self, now: BootTime) -> Vec<Lease> {
        let mut ended = Vec::new();
        let LeaseTable {
            leases,
            server,
            keeps_others,
            ..
        } = self;
        leases.retain(|_, lease| {
            let stays = *keeps_others && is_of_another(lease, server);
            let is_over = !stays && lease.ends.is_over(now);
            if is_over {
                ended.push(lease.clone());
            }
            !is_over
        });
        self.ended.retain(|_, ended| !ended.forget.is_over(now));
        ended
    }

    /// Every lease, by service and region.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    /// The state of one lease for the other servers.
    pub fn news_of(&self, key: &LeaseKey, now: BootTime) -> Option<LeaseNews> {
        let lease = self.leases.get(key)?;
        Some(lease.news_for_fleet(Some(lease.ends.left(now))))
    }

    /// The state of every lease that was renewed on this server last, for the other servers.
    pub fn held_here(&self, now: BootTime) -> Vec<LeaseNews> {
        let mut held = Vec::new();
        for lease in self.leases.values() {
            if lease.server == self.server {
                held.push(lease.news_for_fleet(Some(lease.ends.left(now))));
            }
        }
        held
    }

    /// Whether a lease adds this endpoint.
    pub fn contains(&self, service: &str, region: &str, target: &EndpointTarget) -> bool {
        let EndpointTarget::Address(address) = target else {
            return false;
        };
        !self.leases.is_empty()
            && self
                .leases
                .contains_key(&(service.to_owned(), region.to_owned(), *address))
    }

    /// Whether other servers have to be told.
    pub fn is_shared(&self) -> bool {
        !self.server.is_empty()
    }

    /// Whether no lease is in force.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    fn check_room(&self) -> Result<(), String> {
        if self.leases.len() >= MOST {
            return Err(format!("{MOST} leases run already"));
        }
        Ok(())
    }

    /// The lease of the same address in another region of the service.
    fn twin(&self, lease: &Lease) -> Option<&Lease> {
        let mut leases = self.leases.values();
        leases.find(|it| {
            it.address == lease.address && it.service == lease.service && it.region != lease.region
        })
    }

    /// Puts a lease in force, and returns whether an endpoint changed.
    fn insert(&mut self, lease: Lease) -> bool {
        let key = lease.key();
        self.ended.remove(&key);
        let (weight, port) = (lease.weight, lease.port);
        let before = self.leases.insert(key, lease);
        before.is_none_or(|before| (before.weight, before.port) != (weight, port))
    }

    /// The latest stamp of a lease that is in force or was ended.
    fn stamp_of(&self, key: &LeaseKey) -> Option<LeaseStamp> {
        if let Some(lease) = self.leases.get(key) {
            return Some(lease.own_stamp());
        }
        Some(self.ended.get(key)?.stamp.clone())
    }

    fn next_stamp(&self, key: &LeaseKey, wall: Duration) -> LeaseStamp {
        let wall = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        let last = self.stamp_of(key).unwrap_or_default().time;
        LeaseStamp {
            time: wall.max(last.saturating_add(1)),
            server: self.server.clone(),
        }
    }

    fn remember_end(&mut self, lease: &Lease, now: BootTime) {
        if self.ended.len() < MOST {
            let ended = EndedLease {
                stamp: lease.own_stamp(),
                forget: Deadline::after(now, Duration::from_secs(lease.ttl)),
            };
            self.ended.insert(lease.key(), ended);
        }
    }
}

/// Whether a lease was renewed last on another server than this.
fn is_of_another(lease: &Lease, server: &str) -> bool {
    !lease.server.is_empty() && lease.server != server
}

#[cfg(test)]
mod tests;

//! The controller steps for leases: begin, renew, end, and what other servers of the fleet tell.
//!
//! A lease changes the services themselves, unless it is only renewed. Its step increments the edition
//! of the inputs, and callers wait until services of that edition are served.

use std::sync::Arc;
use std::time::Duration;

use super::change::{Action, Effects};
use super::clock::ClockReading;
use super::events::EventDraft;
use super::leases::{FleetLease, Lease, LeaseHeard, LeaseKey, LeaseMistake};
use super::outcome::{ChangeRefusal, LeasesTaken, PendingChange};
use super::state::ControlState;
use crate::config::values::duration_text;
use crate::fleet::lease_news::LeaseNews;

/// How far the stamp of a lease may be ahead of the clock of this server.
const FUTURE: Duration = Duration::from_secs(86_400);

impl ControlState {
    /// Begins or renews a lease.
    pub(super) fn put_lease(
        &mut self,
        lease: Lease,
        now: ClockReading,
        effects: &mut Effects,
    ) -> Result<PendingChange, ChangeRefusal> {
        let lease = self.fitted(lease)?;
        let changed = Arc::make_mut(&mut self.inputs.leases)
            .put(lease.clone(), now.wall)
            .map_err(ChangeRefusal::Unfit)?;
        if let Some(news) = self.inputs.leases.news_of(&lease.key(), now.boot) {
            self.share(news, effects);
        }
        let sentence = joined_sentence(&lease);
        if !changed {
            self.renewed = true;
            let kept = self.directory.is_some();
            return Ok(PendingChange {
                sentence,
                kept,
                ..PendingChange::default()
            });
        }
        let edition = Some(self.inputs.next_edition());
        Ok(PendingChange {
            sentence,
            news: Some(joined(&lease)),
            edition,
            file: self.keep_leases(now, effects),
            ..PendingChange::default()
        })
    }

    /// Ends a lease; it is no error if there is none.
    pub(super) fn end_lease(
        &mut self,
        key: &LeaseKey,
        by: &str,
        now: ClockReading,
        effects: &mut Effects,
    ) -> PendingChange {
        let (service, region, address) = key;
        let Some(lease) = Arc::make_mut(&mut self.inputs.leases).end(key, &now) else {
            let sentence = format!("{address} has no lease in {region} of {service}");
            return PendingChange {
                sentence,
                file: self.keep_leases(now, effects),
                ..PendingChange::default()
            };
        };
        self.share(lease.news_for_fleet(None), effects);
        let edition = Some(self.inputs.next_edition());
        let news = left(&lease, by);
        PendingChange {
            sentence: news.sentence.clone(),
            news: Some(news),
            edition,
            file: self.keep_leases(now, effects),
            ..PendingChange::default()
        }
    }

    /// Takes in leases that another server of the fleet holds, or has ended.
    pub(super) fn take_fleet_leases(
        &mut self,
        leases: Vec<FleetLease>,
        now: ClockReading,
        effects: &mut Effects,
    ) -> LeasesTaken {
        let mut taken = LeasesTaken::default();
        let mut is_renewed = false;
        for told in leases {
            match self.take_fleet_lease(told, now) {
                Ok(LeaseHeard::Nothing) => {}
                Ok(LeaseHeard::Renewed) => is_renewed = true,
                Ok(LeaseHeard::Joined(lease, replaced)) => {
                    if let Some(replaced) = replaced {
                        taken.news.push(left(&replaced, &lease.by));
                    }
                    taken.news.push(joined(&lease));
                }
                Ok(LeaseHeard::Left(lease, by)) => taken.news.push(left(&lease, &by)),
                Err(sentence) => {
                    taken.refused += 1;
                    taken.reason.get_or_insert(sentence);
                }
            }
        }
        self.renewed |= is_renewed;
        if !taken.news.is_empty() {
            taken.edition = Some(self.inputs.next_edition());
            self.keep_leases(now, effects);
        }
        taken
    }

    fn take_fleet_lease(
        &mut self,
        told: FleetLease,
        now: ClockReading,
    ) -> Result<LeaseHeard, String> {
        let FleetLease { lease, is_ended } = told;
        let stamp = Duration::from_millis(lease.renewed_at);
        if stamp > now.wall.saturating_add(FUTURE) {
            return Err(format!(
                "the clock of {} is more than a day ahead of the clock here",
                lease.server
            ));
        }
        let lease = if is_ended {
            // What left this configuration meanwhile still has to leave the table.
            lease.resolve(&self.inputs.base).unwrap_or(lease)
        } else {
            self.fitted(lease).map_err(LeaseMistake::into_sentence)?
        };
        Arc::make_mut(&mut self.inputs.leases).hear(lease, is_ended, now.boot)
    }

    /// The lease as the configuration spells it, if this server can answer with it.
    fn fitted(&self, lease: Lease) -> Result<Lease, LeaseMistake> {
        let dnssec = self.inputs.base.dnssec.as_ref();
        if dnssec.is_some_and(|dnssec| dnssec.bundle.is_some()) {
            return Err(LeaseMistake::NoRoom(
                "the keys are elsewhere, so a leased address cannot be signed here".to_owned(),
            ));
        }
        lease.resolve(&self.inputs.base)
    }

    /// Tells the other servers of the fleet, if there is one.
    fn share(&self, news: LeaseNews, effects: &mut Effects) {
        if self.inputs.leases.is_shared() {
            effects.actions.push(Action::Share(news));
        }
    }
}

fn joined_sentence(lease: &Lease) -> String {
    let Lease {
        service,
        region,
        address,
        weight,
        ttl,
        ..
    } = lease;
    let lasting = duration_text(Duration::from_secs(*ttl));
    format!("{address} is an endpoint of {service} in {region} for {lasting}, weight {weight}")
}

fn joined(lease: &Lease) -> EventDraft {
    EventDraft {
        to: Some("leased".to_owned()),
        cause: Some(format!("leased by {}{}", lease.by, through(lease))),
        by: Some(lease.by.clone()),
        ..lease.news(joined_sentence(lease))
    }
}

/// The event of a lease that was ended by somebody.
fn left(lease: &Lease, by: &str) -> EventDraft {
    let sentence = format!(
        "{} left {} in {}",
        lease.address, lease.service, lease.region
    );
    EventDraft {
        from: Some("leased".to_owned()),
        cause: Some(format!("withdrawn by {by}")),
        by: Some(by.to_owned()),
        ..lease.news(sentence)
    }
}

/// Where a lease of another server comes from.
fn through(lease: &Lease) -> String {
    if lease.server.is_empty() {
        return String::new();
    }
    format!(" on {}", lease.server)
}

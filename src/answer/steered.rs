//! The answer section of a steered name.

use super::Disposition;
use super::client::LocatedClient;
use super::solve::Solver;
use crate::catalog::ServiceId;
use crate::catalog::endpoint_data::EndpointData;
use crate::catalog::present::{LiveService, LiveView};
use crate::catalog::services::{ServiceFamily, SteeredService};
use crate::dns::ExtendedError;
use crate::dns::{ClientSubnet, Rcode, RecordType, ReplyFull};
use crate::net::ClientAddress;
use crate::steering::pick::{PickPolicy, PickedEndpoints, pick, stage_for};
use crate::steering::{ActiveTier, FailoverChain, LastResort, PickMethod};

/// What a service comes to for one client: what is answered, and what `explain` prints.
pub struct Decision<'m> {
    /// Where the client was found.
    pub located: LocatedClient,
    /// What its place comes to; `None` only for a table that does not fit its outcomes.
    pub outcome: Option<&'m FailoverChain>,
    /// The stage that takes the client; `None`: the all-down rule leaves nothing to give.
    pub stage: Option<&'m ActiveTier>,
    way: PickPolicy,
    view: &'m LiveView,
    /// SCOPE PREFIX-LENGTH, if a client subnet was used.
    pub scope: u8,
}

/// Decides for one client. `subnet` is the client subnet to be used, if there is one; `turn` is asked for only by
/// round robin.
#[inline(always)]
pub fn decide<'m>(
    service: &SteeredService,
    view: &'m LiveView,
    source: ClientAddress,
    subnet: Option<&ClientSubnet>,
    seed: u64,
    turn: impl FnOnce() -> u32,
) -> Decision<'m> {
    let located = LocatedClient::find(&view.table, source, subnet);
    let outcome = view.outcomes.get(located.value as usize);
    let stage = outcome.and_then(|outcome| stage_for(outcome, located.client));
    let turn = if service.pick == PickMethod::RoundRobin && stage.is_some() {
        turn()
    } else {
        0
    };
    let way = PickPolicy {
        pick: service.pick,
        answers: service.answers,
        seed,
        turn,
    };
    let sticks =
        service.pick == PickMethod::Sticky && stage.is_some_and(|stage| view.has_choice(stage));
    let by_prefix = sticks || outcome.is_some_and(|outcome| !outcome.whole);
    let scope = if subnet.is_some() {
        located.scope(by_prefix)
    } else {
        0
    };
    Decision {
        located,
        outcome,
        stage,
        scope,
        way,
        view,
    }
}

impl Decision<'_> {
    /// The endpoints, by region position and index into its pool.
    #[inline(always)]
    pub fn picks(&self) -> PickedEndpoints {
        match self.stage {
            Some(stage) => pick(stage, &self.view.pools, self.located.client, self.way),
            None => PickedEndpoints::default(),
        }
    }
}

/// The family of a service that answers for a type; `None`: the type comes from the zone file.
#[inline]
pub fn family_for(service: &SteeredService, asked: RecordType) -> Option<ServiceFamily> {
    match asked {
        RecordType::A if service.has_addresses => Some(ServiceFamily::V4),
        RecordType::AAAA if service.has_addresses => Some(ServiceFamily::V6),
        RecordType::MX if service.view(ServiceFamily::Mail).is_some() => Some(ServiceFamily::Mail),
        RecordType::SRV if service.view(ServiceFamily::Host).is_some() => Some(ServiceFamily::Host),
        // A name with a CNAME has nothing else (RFC 1034 section 3.6.2), so it is the answer to every type.
        _ if service.names_only || service.has_names && asked == RecordType::CNAME => {
            Some(ServiceFamily::V4)
        }
        _ => None,
    }
}

/// The family whose decision is shown for a type: of HTTPS and SVCB records that of the first hints.
pub fn family_shown(service: &SteeredService, asked: RecordType) -> Option<ServiceFamily> {
    let hinted = || {
        ServiceFamily::ALL
            .into_iter()
            .find(|family| service.view(*family).is_some())
    };
    family_for(service, asked).or_else(|| service.binding(asked).and_then(|_| hinted()))
}

impl Solver<'_, '_, '_, '_> {
    /// Answers from a service. `None`: the type is not the service's, so it comes from the zone file;
    /// `Some(NoData)`: the service has the name but nothing of this type for this client.
    #[inline(always)]
    pub(super) fn solve_steered(
        &mut self,
        id: ServiceId,
        owner: u16,
        asked: RecordType,
        hop: usize,
    ) -> Result<Option<Disposition>, ReplyFull> {
        let moment = self.moment;
        let Some(service) = moment.world().services.get(id.0 as usize) else {
            return Ok(None);
        };
        let Some(family) = family_for(service, asked) else {
            return self.solve_binding(id, service, owner, asked, hop);
        };
        let subnet = self.subnet_in_use(service.client_subnet);
        // One tailored link in a reply whose scope can only speak for one (RFC 7871 section 7.2.1).
        if hop > 0 && subnet.is_some() {
            return Ok(Some(Disposition::Static));
        }
        let Some(now) = moment.present.service(id) else {
            return Ok(Some(Disposition::NoData));
        };
        let Some(view) = now.view(family) else {
            return Ok(Some(Disposition::NoData));
        };
        if moment.is_noted() {
            self.note(id, view, subnet);
        }
        let turn = || moment.turns.take(id);
        let decision = decide(service, view, *self.source, subnet, moment.seed, turn);
        let Decision {
            outcome,
            stage,
            scope,
            ..
        } = decision;
        self.scope = scope;
        if outcome.is_some_and(|outcome| outcome.all_down) {
            self.reply.error = Some(&ExtendedError::ALL_DOWN);
        }
        if stage.is_none() {
            return Ok(Some(self.without_region(
                outcome.map_or(LastResort::NoData, |outcome| outcome.ending),
            )));
        }
        let picks = decision.picks();
        let verdict = self.put_picks(&picks, now, view, owner, asked)?;
        // Only what a client is sent counts: where the records did not fit, nothing of them is.
        if let (Some(lane), Some((region, _)), Some(view)) =
            (moment.lane, picks.iter().next(), service.view(family))
        {
            view.given.count(lane, region);
        }
        Ok(Some(verdict))
    }

    /// Adds the client to the sample of who asks.
    #[cold]
    #[inline(never)]
    fn note(&self, id: ServiceId, view: &LiveView, subnet: Option<&ClientSubnet>) {
        let located = LocatedClient::find(&view.table, *self.source, subnet);
        self.moment.world().sample.note(id, located.seen.address());
    }

    /// Nobody serves the client. As long as an alias was never resolved, nobody can know that there is nothing, and no
    /// resolver is to keep it.
    #[cold]
    pub(super) fn without_region(&mut self, ending: LastResort) -> Disposition {
        match ending {
            LastResort::Never | LastResort::NoData => Disposition::NoData,
            LastResort::ServFail => self.fail(),
            LastResort::NotReady => {
                self.reply.error = Some(&ExtendedError::NOT_READY);
                self.fail()
            }
        }
    }

    #[cold]
    pub(super) fn fail(&mut self) -> Disposition {
        self.reply.rcode = Rcode::ServFail;
        self.reply.authoritative = false;
        Disposition::Failed
    }

    /// The client subnet, if there is one and the service uses it.
    #[inline]
    pub(super) fn subnet_in_use(&self, enabled: bool) -> Option<&'_ ClientSubnet> {
        let subnet = self.query.edns.and_then(|edns| edns.client_subnet.as_ref());
        subnet.filter(|subnet| enabled && subnet.source > 0)
    }

    /// Writes what was picked: records of the type asked for, or one CNAME.
    #[inline(always)]
    fn put_picks(
        &mut self,
        picks: &PickedEndpoints,
        now: &LiveService,
        view: &LiveView,
        owner: u16,
        asked: RecordType,
    ) -> Result<Disposition, ReplyFull> {
        let mut written = false;
        for (region, endpoint) in picks.iter() {
            match view.endpoint(region, endpoint) {
                Some(EndpointData::V4(address)) if asked == RecordType::A => {
                    self.reply.append_address(owner, asked, now.ttl, address)?;
                }
                Some(EndpointData::V6(address)) if asked == RecordType::AAAA => {
                    self.reply.append_address(owner, asked, now.ttl, address)?;
                }
                Some(EndpointData::Host(host)) => {
                    self.put_compressed(owner, asked, now.ttl, &host.data)?
                }
                Some(EndpointData::Name(target)) if !written => {
                    self.put_compressed(owner, RecordType::CNAME, now.ttl, &target.data)?;
                    return Ok(Disposition::Steered);
                }
                _ => continue,
            }
            written = true;
        }
        Ok(if written {
            Disposition::Steered
        } else {
            Disposition::NoData
        })
    }
}

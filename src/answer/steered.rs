//! The answer section of a name with a service.
//!
//! [`decide`] looks the client up in the service's table, takes the failover chain of its place,
//! and finds the tier that serves it. [`Decision::picks`] draws the endpoints. `explain` and the
//! foresight call the same functions, so what they show is what a client gets.

use super::Disposition;
use super::client::LocatedClient;
use super::signed::SteeredHand;
use super::solve::Solver;
use crate::catalog::ServiceId;
use crate::catalog::endpoint_data::EndpointData;
use crate::catalog::live_state::{LiveService, LiveView};
use crate::catalog::services::{ServiceFamily, SteeredService};
use crate::dns::ExtendedError;
use crate::dns::{ClientSubnet, Rcode, RecordType, ReplyFull};
use crate::net::ClientAddress;
use crate::steering::pick::{PickPolicy, pick};
use crate::steering::{ActiveTier, FailoverChain, LastResort, PickMethod, PickedEndpoints};

/// How a service serves one client: what is answered, and what `explain` prints.
pub struct Decision<'m> {
    /// Where the client was found.
    pub located: LocatedClient,
    /// The failover chain of its place; `None` only for a table that does not fit its chains.
    pub chain: Option<&'m FailoverChain>,
    /// The tier that serves the client; `None`: no region serves it, and the all-down rule gives
    /// none.
    pub tier: Option<&'m ActiveTier>,
    policy: PickPolicy,
    view: &'m LiveView,
    /// SCOPE PREFIX-LENGTH, if a client subnet was used.
    pub scope: u8,
}

/// Decides for one client. `subnet` is the client subnet to use, if there is one; only round robin
/// calls `turn`.
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
    let chain = view.outcomes.get(located.value as usize);
    let tier = chain.and_then(|chain| chain.tier_for(located.client));
    let turn = if service.pick == PickMethod::RoundRobin && tier.is_some() {
        turn()
    } else {
        0
    };
    let policy = PickPolicy {
        pick: service.pick,
        answers: service.answers,
        seed,
        turn,
    };
    let is_sticky =
        service.pick == PickMethod::Sticky && tier.is_some_and(|tier| view.has_choice(tier));
    let depends_on_prefix = is_sticky || chain.is_some_and(|chain| !chain.whole);
    let scope = if subnet.is_some() {
        located.scope(depends_on_prefix)
    } else {
        0
    };
    Decision {
        located,
        chain,
        tier,
        scope,
        policy,
        view,
    }
}

impl Decision<'_> {
    /// The endpoints, by region position and index into its pool.
    #[inline(always)]
    pub fn picks(&self) -> PickedEndpoints {
        match self.tier {
            Some(tier) => pick(tier, self.view.source(), self.located.client, self.policy),
            None => PickedEndpoints::default(),
        }
    }
}

/// The family of a service that answers a type; `None`: the type comes from the zone file.
#[inline]
pub fn family_for(service: &SteeredService, qtype: RecordType) -> Option<ServiceFamily> {
    // Most queries are for addresses, and this is shorter than the jump table of the match.
    if qtype == RecordType::A && service.has_addresses {
        return Some(ServiceFamily::V4);
    }
    match qtype {
        RecordType::AAAA if service.has_addresses => Some(ServiceFamily::V6),
        RecordType::MX if service.view(ServiceFamily::Mail).is_some() => Some(ServiceFamily::Mail),
        RecordType::SRV if service.view(ServiceFamily::Host).is_some() => Some(ServiceFamily::Host),
        // A name with a CNAME has nothing else (RFC 1034 section 3.6.2), so it is the answer to
        // every type.
        _ if service.names_only || service.has_names && qtype == RecordType::CNAME => {
            Some(ServiceFamily::V4)
        }
        _ => None,
    }
}

/// The family whose decision is shown for a type: of HTTPS and SVCB records that of the first
/// hints.
pub fn family_shown(service: &SteeredService, qtype: RecordType) -> Option<ServiceFamily> {
    if let Some(family) = family_for(service, qtype) {
        return Some(family);
    }
    service.binding(qtype)?;
    ServiceFamily::ALL
        .into_iter()
        .find(|family| service.view(*family).is_some())
}

impl Solver<'_, '_, '_, '_> {
    /// Answers from a service. `None`: the service does not answer this type, so it comes from the
    /// zone file. `Some(NoData)`: the service has no record of the type for this client.
    #[inline(always)]
    pub(super) fn solve_steered(
        &mut self,
        id: ServiceId,
        owner: u16,
        qtype: RecordType,
        hop: usize,
    ) -> Result<Option<Disposition>, ReplyFull> {
        let context = self.context;
        let Some(service) = context.catalog().services.get(id.0 as usize) else {
            return Ok(None);
        };
        let Some(family) = family_for(service, qtype) else {
            return self.solve_binding(id, service, owner, qtype, hop);
        };
        let subnet = self.subnet_in_use(service.client_subnet);
        // The reply has one scope, so only one link of a chain can depend on the client (RFC 7871
        // section 7.2.1).
        if hop > 0 && subnet.is_some() {
            return Ok(Some(Disposition::Static));
        }
        let Some(now) = context.live.service(id) else {
            return Ok(Some(Disposition::NoData));
        };
        let Some(view) = now.view(family) else {
            return Ok(Some(Disposition::NoData));
        };
        if context.is_sampled() {
            self.sample_client(id, view, subnet);
        }
        let decision = decide(service, view, *self.source, subnet, context.seed, || {
            context.turns.take(id)
        });
        self.scope = decision.scope;
        if decision.chain.is_some_and(|chain| chain.all_down) {
            self.reply.error = Some(&ExtendedError::ALL_DOWN);
        }
        if decision.tier.is_none() {
            let ending = decision
                .chain
                .map_or(LastResort::NoData, |chain| chain.ending);
            return Ok(Some(self.without_region(ending)));
        }
        let picks = decision.picks();
        let answer_at = self.reply.position();
        let disposition = self.put_picks(&picks, now, view, owner, qtype)?;
        if self.signed.is_some()
            && let Some(signatures) = &view.signed
        {
            let hand = SteeredHand {
                picks,
                at: answer_at,
                owner,
                ttl: now.ttl,
            };
            self.put_hand_signatures(&hand, view, signatures)?;
        }
        // Records that did not fit into the reply are not counted.
        if let (Some(lane), Some((region, _)), Some(view)) =
            (context.lane, picks.iter().next(), service.view(family))
        {
            view.given.count(lane, region);
        }
        Ok(Some(disposition))
    }

    /// Adds the client to the traffic sample.
    #[cold]
    #[inline(never)]
    fn sample_client(&self, id: ServiceId, view: &LiveView, subnet: Option<&ClientSubnet>) {
        let located = LocatedClient::find(&view.table, *self.source, subnet);
        self.context
            .catalog()
            .sample
            .note(id, located.address(*self.source, subnet));
    }

    /// Answers a client that no region serves. Until an alias is resolved, "no data" may be wrong,
    /// so the answer is SERVFAIL, which resolvers do not cache.
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

    /// The query's client subnet, if the service uses it.
    #[inline]
    pub(super) fn subnet_in_use(&self, enabled: bool) -> Option<&'_ ClientSubnet> {
        let subnet = self.query.edns.and_then(|edns| edns.client_subnet.as_ref());
        subnet.filter(|subnet| enabled && subnet.source > 0)
    }

    /// Writes the picked endpoints: records of the type asked for, or one CNAME.
    #[inline(always)]
    fn put_picks(
        &mut self,
        picks: &PickedEndpoints,
        now: &LiveService,
        view: &LiveView,
        owner: u16,
        qtype: RecordType,
    ) -> Result<Disposition, ReplyFull> {
        let mut written = false;
        for (region, endpoint) in picks.iter() {
            let endpoint = view.endpoint(region, endpoint);
            if let Some(EndpointData::V4(address)) = endpoint
                && qtype == RecordType::A
            {
                self.reply.append_address(owner, qtype, now.ttl, address)?;
                written = true;
                continue;
            }
            match endpoint {
                Some(EndpointData::V6(address)) if qtype == RecordType::AAAA => {
                    self.reply.append_address(owner, qtype, now.ttl, address)?;
                }
                Some(EndpointData::Host(host)) => {
                    self.put_compressed(owner, qtype, now.ttl, &host.data)?
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

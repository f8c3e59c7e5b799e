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
use crate::steering::pick::{PickPolicy, pick, pick_by_weight, pick_several};
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

    /// The endpoint, if nothing but weights decides ([`pick_by_weight`]).
    #[inline(always)]
    fn one_pick(&self) -> Option<(u8, u16)> {
        pick_by_weight(self.tier?, &self.view.pools, self.policy)
    }

    /// The endpoints where [`Decision::one_pick`] has none.
    #[inline(always)]
    fn several_picks(&self) -> PickedEndpoints {
        match self.tier {
            Some(tier) => pick_several(tier, self.view.source(), self.located.client, self.policy),
            None => PickedEndpoints::default(),
        }
    }
}

/// A steered answer that is being written.
#[derive(Clone, Copy)]
struct SteeredAnswer<'m> {
    now: &'m LiveService,
    view: &'m LiveView,
    owner: u16,
    qtype: RecordType,
}

/// What was written for a pick.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PutPick {
    /// The endpoint has no record of the type.
    Nothing,
    /// A record of the type.
    Record,
    /// A CNAME, beside which there is nothing.
    Alias,
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

impl<const SIGNED: bool> Solver<'_, '_, '_, '_, SIGNED> {
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
        let answer = SteeredAnswer {
            now,
            view,
            owner,
            qtype,
        };
        let (region, written) = match decision.one_pick() {
            Some((region, endpoint)) => (region, self.put_one(answer, region, endpoint)?),
            None => match self.put_several(answer, decision.several_picks())? {
                Some(put) => put,
                None => return Ok(Some(Disposition::NoData)),
            },
        };
        // Records that did not fit into the reply are not counted.
        if let (Some(lane), Some(view)) = (context.lane, service.view(family)) {
            view.given.count(lane, region);
        }
        Ok(Some(match written {
            PutPick::Nothing => Disposition::NoData,
            PutPick::Record | PutPick::Alias => Disposition::Steered,
        }))
    }

    /// Writes one endpoint, and its signatures. An address and its signatures are one copy.
    #[inline(always)]
    fn put_one(
        &mut self,
        answer: SteeredAnswer<'_>,
        region: u8,
        endpoint: u16,
    ) -> Result<PutPick, ReplyFull> {
        if SIGNED
            && let Some(signatures) = &answer.view.signed
            && let Some(signed) = signatures.alone.address_of(region, endpoint)
            // An address is no answer to who asks for the name.
            && answer.qtype != RecordType::CNAME
        {
            self.put_signed_hand(signed, answer.owner, answer.now.ttl)?;
            return Ok(PutPick::Record);
        }
        let written = self.put_pick(answer, region, endpoint)?;
        if SIGNED && written != PutPick::Nothing {
            self.sign_one(answer, region, endpoint)?;
        }
        Ok(written)
    }

    /// Writes the signatures of one endpoint, if the zone is signed.
    #[inline(always)]
    fn sign_one(
        &mut self,
        answer: SteeredAnswer<'_>,
        region: u8,
        endpoint: u16,
    ) -> Result<(), ReplyFull> {
        let Some(signatures) = &answer.view.signed else {
            return Ok(());
        };
        // Without its signature, it would be taken for forged.
        let signed = signatures.of_endpoint(region, endpoint).ok_or(ReplyFull)?;
        self.put_signed_hand(signed.signatures(), answer.owner, answer.now.ttl)
    }

    /// Writes the picks of a reply that may have several, and their signatures. Returns the region of
    /// the first one; `None`: there is none.
    #[inline(never)]
    fn put_several(
        &mut self,
        answer: SteeredAnswer<'_>,
        picks: PickedEndpoints,
    ) -> Result<Option<(u8, PutPick)>, ReplyFull> {
        let Some((first, _)) = picks.iter().next() else {
            return Ok(None);
        };
        let at = self.reply.position();
        let mut written = PutPick::Nothing;
        for (region, endpoint) in picks.iter() {
            let is_alias = matches!(
                answer.view.endpoint(region, endpoint),
                Some(EndpointData::Name(_))
            );
            // A reply has addresses, or one CNAME.
            if is_alias && written != PutPick::Nothing {
                continue;
            }
            match self.put_pick(answer, region, endpoint)? {
                PutPick::Nothing => {}
                PutPick::Record => written = PutPick::Record,
                PutPick::Alias => {
                    if SIGNED {
                        self.sign_one(answer, region, endpoint)?;
                    }
                    return Ok(Some((first, PutPick::Alias)));
                }
            }
        }
        if SIGNED && written == PutPick::Record {
            self.sign_picks(answer, picks, at)?;
        }
        Ok(Some((first, written)))
    }

    /// Writes the signatures of picks that were written at `at`, if the zone is signed.
    fn sign_picks(
        &mut self,
        answer: SteeredAnswer<'_>,
        picks: PickedEndpoints,
        at: usize,
    ) -> Result<(), ReplyFull> {
        let Some(signatures) = &answer.view.signed else {
            return Ok(());
        };
        let hand = SteeredHand {
            picks,
            at,
            owner: answer.owner,
            ttl: answer.now.ttl,
        };
        self.put_hand_signatures(&hand, signatures)
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

    /// Writes one endpoint: a record of the type asked for, or a CNAME.
    #[inline(always)]
    fn put_pick(
        &mut self,
        answer: SteeredAnswer<'_>,
        region: u8,
        endpoint: u16,
    ) -> Result<PutPick, ReplyFull> {
        let SteeredAnswer { owner, qtype, .. } = answer;
        let ttl = answer.now.ttl;
        let endpoint = answer.view.endpoint(region, endpoint);
        if let Some(EndpointData::V4(address)) = endpoint
            && qtype == RecordType::A
        {
            self.reply.append_address(owner, qtype, ttl, address)?;
            return Ok(PutPick::Record);
        }
        match endpoint {
            Some(EndpointData::V6(address)) if qtype == RecordType::AAAA => {
                self.reply.append_address(owner, qtype, ttl, address)?;
            }
            Some(EndpointData::Host(host)) => {
                self.put_compressed(owner, qtype, ttl, &host.data)?;
            }
            Some(EndpointData::Name(target)) => {
                self.put_compressed(owner, RecordType::CNAME, ttl, &target.data)?;
                return Ok(PutPick::Alias);
            }
            _ => return Ok(PutPick::Nothing),
        }
        Ok(PutPick::Record)
    }
}

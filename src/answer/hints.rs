//! Steered HTTPS and SVCB records (RFC 9460): their address hints are what the same client would
//! get for A and AAAA.
//!
//! A service with such a binding has the fixed parts of the record compiled. A query makes one
//! decision for each address family and writes the picked addresses as `ipv4hint` and `ipv6hint`
//! between those parts.

use super::Disposition;
use super::solve::Solver;
use super::steered::decide;
use crate::catalog::ServiceId;
use crate::catalog::endpoint_data::EndpointData;
use crate::catalog::live_state::SignedBinding;
use crate::catalog::services::{ServiceFamily, SteeredService};
use crate::dns::ExtendedError;
use crate::dns::reply::Section;
use crate::dns::{RecordType, ReplyFull};
use crate::steering::picked::MAX_ANSWERS;
use crate::steering::{HandId, LastResort, PickMethod};

const IPV4_HINT: u8 = 4;
const IPV6_HINT: u8 = 6;
/// Key and length of a parameter.
const HEADER: usize = 4;

/// The addresses of one hint as a parameter (RFC 9460 section 7.3), empty if there are none.
struct AddressHint {
    octets: [u8; HEADER + 16 * MAX_ANSWERS],
    length: usize,
}

impl AddressHint {
    fn new(key: u8) -> AddressHint {
        let mut octets = [0; HEADER + 16 * MAX_ANSWERS];
        octets[1] = key;
        AddressHint {
            octets,
            length: HEADER,
        }
    }

    #[expect(clippy::arithmetic_side_effects, reason = "eight addresses at most")]
    fn push(&mut self, address: &[u8]) {
        let end = self.length + address.len();
        if let Some(place) = self.octets.get_mut(self.length..end) {
            place.copy_from_slice(address);
            self.length = end;
        }
        // At most 128 octets.
        self.octets[3] = (self.length - HEADER) as u8;
    }

    fn is_empty(&self) -> bool {
        self.length == HEADER
    }

    fn parameter(&self) -> &[u8] {
        if self.is_empty() {
            &[]
        } else {
            self.octets.get(..self.length).unwrap_or_default()
        }
    }
}

impl<const SIGNED: bool> Solver<'_, '_, '_, '_, SIGNED> {
    /// Answers a type that the service has a binding of. `None`: it has none, so the type comes
    /// from the zone file.
    #[cold]
    pub(super) fn solve_binding(
        &mut self,
        id: ServiceId,
        service: &SteeredService,
        owner: u16,
        qtype: RecordType,
        hop: usize,
    ) -> Result<Option<Disposition>, ReplyFull> {
        let context = self.context;
        let (Some(binding), Some(now)) = (service.binding(qtype), context.live.service(id)) else {
            return Ok(None);
        };
        let signed = now.signed_binding(qtype);
        if binding.is_alias || signed.is_some_and(|signed| !signed.has_hints) {
            let data: [&[u8]; 3] = [&binding.head, &binding.middle, &binding.tail];
            self.reply
                .append_record(Section::Answer, owner, qtype, now.ttl, &data)?;
            self.sign_binding(signed, [None, None], owner, now.ttl)?;
            return Ok(Some(Disposition::Steered));
        }
        let subnet = self.subnet_in_use(service.client_subnet).copied();
        // The reply has one scope, so only one link of a chain can depend on the client (RFC 7871
        // section 7.2.1).
        if hop > 0 && subnet.is_some() {
            return Ok(Some(Disposition::Static));
        }
        let turn = if service.pick == PickMethod::RoundRobin {
            context.turns.take(id)
        } else {
            0
        };
        let mut v4 = AddressHint::new(IPV4_HINT);
        let mut v6 = AddressHint::new(IPV6_HINT);
        let mut ending = LastResort::NoData;
        let mut hands = [None; 2];
        let families = [(ServiceFamily::V4, &mut v4), (ServiceFamily::V6, &mut v6)];
        for ((family, hint), hand) in families.into_iter().zip(&mut hands) {
            let Some(view) = now.view(family) else {
                continue;
            };
            let decision = decide(
                service,
                view,
                *self.source,
                subnet.as_ref(),
                context.seed,
                || turn,
            );
            // The answer is valid only for clients for which both hints are.
            self.scope = self.scope.max(decision.scope);
            if let Some(chain) = decision.chain {
                if chain.all_down {
                    self.reply.error = Some(&ExtendedError::ALL_DOWN);
                }
                if decision.tier.is_none() && chain.ending != LastResort::NoData {
                    ending = chain.ending;
                }
            }
            let picks = decision.picks();
            *hand = view.hand_of(&picks);
            // The order of hints is part of what is signed.
            let picks = if signed.is_some() {
                picks.sorted()
            } else {
                picks
            };
            for (region, endpoint) in picks.iter() {
                match view.endpoint(region, endpoint) {
                    Some(EndpointData::V4(address)) => hint.push(address),
                    Some(EndpointData::V6(address)) => hint.push(address),
                    _ => {}
                }
            }
        }
        if v4.is_empty() && v6.is_empty() {
            return Ok(Some(self.without_region(ending)));
        }
        if SIGNED
            && let Some(signed) = signed
            && !signed.is_signed(hands, [!v4.is_empty(), !v6.is_empty()])
        {
            // Until the pair is signed, the record has no hints, which is signed always.
            v4 = AddressHint::new(IPV4_HINT);
            v6 = AddressHint::new(IPV6_HINT);
            hands = [None; 2];
        }
        let data: [&[u8]; 5] = [
            &binding.head,
            v4.parameter(),
            &binding.middle,
            v6.parameter(),
            &binding.tail,
        ];
        self.reply
            .append_record(Section::Answer, owner, qtype, now.ttl, &data)?;
        self.sign_binding(signed, hands, owner, now.ttl)?;
        Ok(Some(Disposition::Steered))
    }

    /// Writes the signatures of a binding with the hints of these hands, if its zone is signed.
    fn sign_binding(
        &mut self,
        signed: Option<&SignedBinding>,
        [v4, v6]: [Option<HandId>; 2],
        owner: u16,
        ttl: u32,
    ) -> Result<(), ReplyFull> {
        let (Some(_), Some(binding)) = (self.signatures(), signed) else {
            return Ok(());
        };
        match binding.signatures.of(binding.pair(v4, v6)) {
            Some(records) => self.put_signed_hand(records, owner, ttl),
            None => Err(ReplyFull),
        }
    }
}

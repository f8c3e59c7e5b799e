//! Steered HTTPS and SVCB records (RFC 9460): their hints are what the same client gets for A and AAAA at this moment.

use super::Disposition;
use super::solve::Solver;
use super::steered::{Decision, decide};
use crate::catalog::ServiceId;
use crate::catalog::endpoint_data::EndpointData;
use crate::catalog::services::{ServiceFamily, SteeredService};
use crate::dns::ExtendedError;
use crate::dns::reply::Section;
use crate::dns::{RecordType, ReplyFull};
use crate::steering::{LastResort, PickMethod};

const IPV4_HINT: u8 = 4;
const IPV6_HINT: u8 = 6;
/// Most addresses in one hint: a reply has no more endpoints than that.
const MOST: usize = 8;
/// Key and length of a parameter.
const HEADER: usize = 4;

/// The addresses of one hint as a parameter (RFC 9460 section 7.3), empty if there are none.
struct Hint {
    octets: [u8; HEADER + 16 * MOST],
    length: usize,
}

impl Hint {
    fn new(key: u8) -> Hint {
        let mut octets = [0; HEADER + 16 * MOST];
        octets[1] = key;
        Hint {
            octets,
            length: HEADER,
        }
    }

    #[expect(clippy::arithmetic_side_effects, reason = "eight addresses at most")]
    fn push(&mut self, address: &[u8]) {
        if let Some(place) = self
            .octets
            .get_mut(self.length..self.length + address.len())
        {
            place.copy_from_slice(address);
            self.length += address.len();
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

impl Solver<'_, '_, '_, '_> {
    /// Answers a type that the service has a binding of. `None`: it has none, so the type comes from the zone file.
    #[cold]
    pub(super) fn solve_binding(
        &mut self,
        id: ServiceId,
        service: &SteeredService,
        owner: u16,
        asked: RecordType,
        hop: usize,
    ) -> Result<Option<Disposition>, ReplyFull> {
        let moment = self.moment;
        let Some((binding, now)) = service.binding(asked).zip(moment.present.service(id)) else {
            return Ok(None);
        };
        if binding.is_alias {
            self.reply
                .append_record(Section::Answer, owner, asked, now.ttl, &[&binding.head])?;
            return Ok(Some(Disposition::Steered));
        }
        let subnet = self.subnet_in_use(service.client_subnet).copied();
        // One tailored link in a reply whose scope can only speak for one (RFC 7871 section 7.2.1).
        if hop > 0 && subnet.is_some() {
            return Ok(Some(Disposition::Static));
        }
        let turn = if service.pick == PickMethod::RoundRobin {
            moment.turns.take(id)
        } else {
            0
        };
        let mut hints = [Hint::new(IPV4_HINT), Hint::new(IPV6_HINT)];
        let mut ending = LastResort::NoData;
        for (family, hint) in [ServiceFamily::V4, ServiceFamily::V6]
            .into_iter()
            .zip(&mut hints)
        {
            let Some(view) = now.view(family) else {
                continue;
            };
            let decision = decide(
                service,
                view,
                *self.source,
                subnet.as_ref(),
                moment.seed,
                || turn,
            );
            let Decision {
                outcome,
                stage,
                scope,
                ..
            } = decision;
            // The answer holds for the clients that both hints hold for.
            self.scope = self.scope.max(scope);
            if outcome.is_some_and(|outcome| outcome.all_down) {
                self.reply.error = Some(&ExtendedError::ALL_DOWN);
            }
            if let Some(outcome) =
                outcome.filter(|outcome| stage.is_none() && outcome.ending != LastResort::NoData)
            {
                ending = outcome.ending;
            }
            for (region, endpoint) in decision.picks().iter() {
                match view.endpoint(region, endpoint) {
                    Some(EndpointData::V4(address)) => hint.push(address),
                    Some(EndpointData::V6(address)) => hint.push(address),
                    _ => {}
                }
            }
        }
        let [v4, v6] = &hints;
        if v4.is_empty() && v6.is_empty() {
            return Ok(Some(self.without_region(ending)));
        }
        let data: [&[u8]; 5] = [
            &binding.head,
            v4.parameter(),
            &binding.middle,
            v6.parameter(),
            &binding.tail,
        ];
        self.reply
            .append_record(Section::Answer, owner, asked, now.ttl, &data)?;
        Ok(Some(Disposition::Steered))
    }
}

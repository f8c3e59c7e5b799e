//! Negative answers: a name that does not exist, or that has no data of the type asked for (RFC 2308).
//!
//! They carry the SOA of the zone, whose TTL says how long resolvers keep them, and the proofs of a
//! signed zone for a query that sets DO.

use super::disposition::Disposition;
use super::solve::{ChainName, Solver, Step};
use crate::catalog::{NameNode, ServiceId, ZoneId};
use crate::dns::reply::Section;
use crate::dns::{Rcode, ReplyFull};

impl<'m, const SIGNED: bool> Solver<'m, '_, '_, '_, SIGNED> {
    /// Writes the answer for a name that does not exist.
    #[inline(always)]
    pub(super) fn solve_missing(
        &mut self,
        current: &ChainName<'_>,
        encloser: &'m NameNode,
    ) -> Result<Step, ReplyFull> {
        self.reply.authoritative = true;
        self.reply.rcode = Rcode::NxDomain;
        self.solve_negative(current, encloser.zone)?;
        if SIGNED {
            self.deny_name(current, encloser)?;
        }
        Ok(Step::Done(Disposition::NxDomain))
    }

    pub(super) fn no_data(
        &mut self,
        current: &ChainName<'_>,
        zone: ZoneId,
    ) -> Result<Step, ReplyFull> {
        self.solve_negative(current, zone)?;
        if SIGNED {
            self.deny_data(current, zone)?;
        }
        Ok(Step::Done(Disposition::NoData))
    }

    /// Writes NODATA for a steered name. Its TTL is at most the service's, so that a denial does
    /// not outlive the outage or the failed look-up behind it.
    #[cold]
    pub(super) fn deny_steered(
        &mut self,
        current: &ChainName<'_>,
        node: &'m NameNode,
        service: ServiceId,
    ) -> Result<Step, ReplyFull> {
        let start = self.reply.position();
        self.solve_negative(current, node.zone)?;
        if SIGNED {
            self.deny_steered_data(current, node, service)?;
        }
        if let Some(now) = self.context.live.service(service) {
            self.reply.cap_ttls(start, now.ttl);
        }
        Ok(Step::Done(Disposition::NoData))
    }

    /// Writes the SOA record of a negative answer (RFC 2308 section 2).
    pub(super) fn solve_negative(
        &mut self,
        current: &ChainName<'_>,
        id: ZoneId,
    ) -> Result<(), ReplyFull> {
        let Some(zone) = self.zone(id) else {
            return Ok(());
        };
        let Some(soa) = self.context.catalog().records.get(zone.negative_soa) else {
            return Ok(());
        };
        let owner = self.last_labels(current, usize::from(zone.labels));
        let soa = self.put_unsigned(Section::Authority, soa, current, owner)?;
        if let Some(signed) = self.signatures() {
            self.put_soa_signatures(signed, id, owner.at, soa.at)?;
        }
        Ok(())
    }
}

//! Compact denial (RFC 9824): the records about names that do not exist, which are signed when
//! somebody asks.
//!
//! A missing name has an NSEC record of its own, with the type NXNAME and the name right behind it as the
//! next one. A name that a wildcard stands for is shown as what it is: the record of the wildcard is
//! signed ahead, and another one covers the next closer name and nothing else (RFC 4470). So answers of
//! wildcards need no signatures of their own for each name.

use super::on_demand::{DenialSignatures, DenialToSign};
use super::solve::{ChainName, RrsetOwner, Solver};
use crate::catalog::NameNode;
use crate::catalog::signed::SignedZone;
use crate::dns::edns::Edns;
use crate::dns::name::MAX_NAME;
use crate::dns::reply::{POINTER_REACH, Section};
use crate::dns::reply_opt::ExtendedError;
use crate::dns::{Rcode, RecordType, ReplyFull, SearchName};
use crate::dnssec::denial::{
    TYPES_OF_CHAIN, TYPES_OF_MISSING, name_before, name_below, name_beside,
};

/// Octets of a next name and a bitmap of at most one block.
const DATA: usize = MAX_NAME + 34;

/// A record to sign: its owner, the name it leads to, and its types.
struct MadeRecord<'r> {
    owner: &'r [u8],
    next: &'r [u8],
    types: &'r [u8],
}

impl<'m, const SIGNED: bool> Solver<'m, '_, '_, '_, SIGNED> {
    /// Says that the current name exists without data, and that it does not exist. Only who sets CO
    /// gets NXDOMAIN with it (RFC 9824 section 5.1).
    #[cold]
    pub(super) fn deny_compact(
        &mut self,
        zone: &SignedZone,
        current: &ChainName<'_>,
    ) -> Result<(), ReplyFull> {
        if !self.query.edns.is_some_and(Edns::compact_ok) {
            self.reply.rcode = Rcode::NoError;
        }
        let owner = current.name.as_wire();
        let next = name_below(owner).ok_or_else(|| self.give_up())?;
        let record = MadeRecord {
            owner,
            next: next.as_wire(),
            types: &TYPES_OF_MISSING,
        };
        self.put_made(zone, current, &record)
    }

    /// Proves that the current name does not exist, nor anything between it and the closest encloser,
    /// so that this wildcard stands for it; nothing if denial is not compact.
    pub(super) fn cover_compact(
        &mut self,
        zone: &SignedZone,
        current: &ChainName<'_>,
        wildcard: &NameNode,
    ) -> Result<(), ReplyFull> {
        if !zone.chain.is_compact() {
            return Ok(());
        }
        let closer = next_closer(current.name, wildcard);
        let (Some(before), Some(beside)) = (name_before(closer), name_beside(closer)) else {
            return Err(self.give_up());
        };
        let record = MadeRecord {
            owner: before.as_wire(),
            next: beside.as_wire(),
            types: &TYPES_OF_CHAIN,
        };
        self.put_made(zone, current, &record)
    }

    /// Ends a reply that cannot be completed, because a record cannot be signed now.
    fn give_up(&mut self) -> ReplyFull {
        self.reply.error = Some(&ExtendedError::TOO_MANY_DENIALS);
        ReplyFull
    }

    /// Signs a record, if who answers may sign, and writes it.
    fn put_made(
        &mut self,
        zone: &SignedZone,
        current: &ChainName<'_>,
        record: &MadeRecord<'_>,
    ) -> Result<(), ReplyFull> {
        let mut room = [0; DATA];
        let rdata = joined(record, &mut room).ok_or(ReplyFull)?;
        let to_sign = DenialToSign {
            zone: zone.id,
            owner: record.owner,
            rdata,
            ttl: zone.chain.ttl,
        };
        let signatures = self.sign_made(&to_sign)?;
        let owner = self.put_made_record(zone, current, &to_sign)?;
        for signature in &*signatures {
            self.put_made_signature(owner, to_sign.ttl, signature)?;
        }
        Ok(())
    }

    /// Signs a record. If who answers has no keys, somebody else must answer.
    fn sign_made(&mut self, record: &DenialToSign<'_>) -> Result<DenialSignatures, ReplyFull> {
        let Some(signer) = self.context.signer() else {
            self.reply.error = Some(&ExtendedError::UNSIGNED_DENIAL);
            return Err(ReplyFull);
        };
        signer.sign(record).ok_or_else(|| self.give_up())
    }

    fn put_made_signature(&mut self, owner: u16, ttl: u32, rdata: &[u8]) -> Result<(), ReplyFull> {
        let (section, rtype) = (Section::Authority, RecordType::RRSIG);
        self.reply
            .append_record(section, owner, rtype, ttl, &[rdata])
    }

    /// Writes the record itself, and returns the position of its owner.
    fn put_made_record(
        &mut self,
        zone: &SignedZone,
        current: &ChainName<'_>,
        record: &DenialToSign<'_>,
    ) -> Result<u16, ReplyFull> {
        let &DenialToSign {
            owner, rdata, ttl, ..
        } = record;
        let rtype = RecordType::NSEC;
        if owner == current.name.as_wire() {
            self.reply
                .append_record(Section::Authority, current.at, rtype, ttl, &[rdata])?;
            return Ok(current.at);
        }
        let RrsetOwner { at: apex, .. } = self.last_labels(current, zone.chain.apex_labels());
        let labels = zone.chain.labels_above_apex(owner).unwrap_or_default();
        let at = self.reply.position();
        if at > POINTER_REACH {
            return Err(ReplyFull);
        }
        self.reply
            .append_named(Section::Authority, (labels, apex), rtype, ttl, &[rdata])?;
        Ok(at as u16)
    }
}

/// The next closer name (RFC 5155 section 1.3) of a name that a wildcard stands for: it has as many
/// labels as the wildcard.
fn next_closer<'n>(name: &'n SearchName, wildcard: &NameNode) -> &'n [u8] {
    let labels = usize::from(wildcard.labels);
    name.suffix(name.label_count().saturating_sub(labels))
}

/// The data of a record: the next name, then the types (RFC 4034 section 4.1).
fn joined<'r>(record: &MadeRecord<'_>, room: &'r mut [u8; DATA]) -> Option<&'r [u8]> {
    let length = record.next.len().checked_add(record.types.len())?;
    let place = room.get_mut(..length)?;
    let (next, types) = place.split_at_mut_checked(record.next.len())?;
    next.copy_from_slice(record.next);
    types.copy_from_slice(record.types);
    Some(place)
}

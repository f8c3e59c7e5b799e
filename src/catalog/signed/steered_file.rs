//! Records about steered names in zones that are signed in their files.
//!
//! The file has the NSEC or NSEC3 record of each steered name, with the types of the records that stand
//! there for the steered ones. That record is true as long as the service has data of all these types.
//! For the time when it has none of one, there is another record without it, signed with the key that
//! signs the steered answers.

use super::build::{SigningFault, SigningInput};
use super::chain::{DenialChain, LinkVariant};
use super::file_chain::FileChain;
use super::links::{drop_lone_signature, steered_types};
use crate::catalog::names::ZoneId;
use crate::config::ServiceConfig;
use crate::dns::RecordType;
use crate::dnssec::TypeSet;

impl SigningInput<'_> {
    /// Adds the records of steered names without each of their types, if the zone has a signer for
    /// them.
    pub(super) fn add_steered(
        &self,
        zone: usize,
        made: &mut FileChain,
    ) -> Result<(), SigningFault> {
        let Some(signer) = self.signers.of(zone) else {
            return Ok(());
        };
        for service in self.services {
            if let Some(link) = self.link_of(zone, &made.chain, service) {
                add_variants(made, link, service);
            }
        }
        let variants = &mut made.chain.variants;
        variants.sort_unstable_by_key(|variant| (variant.link, variant.without));
        let start = made.chain.links.len();
        for (number, variant) in (start as u32..).zip(variants) {
            variant.number = number;
        }
        let numbers = start..start + made.chain.variants.len();
        made.chain.bitmaps.clone_from(&made.bitmaps.bitmaps);
        let apex = self.zones[zone].origin.to_lower();
        let part = self
            .sign_links(&made.chain, apex.as_wire(), signer, numbers)
            .map_err(|error| self.fault(zone, error))?;
        made.table.append(part.table);
        Ok(())
    }

    /// The place of a service's name in the chain of its zone; `None`: it is of another zone, or the
    /// file has no record of it.
    fn link_of(&self, zone: usize, chain: &DenialChain, service: &ServiceConfig) -> Option<usize> {
        let name = service.name.to_lower();
        let id = self.names.id(name.as_wire())?;
        if self.names.node(id)?.zone != ZoneId(zone as u32) {
            return None;
        }
        if chain.is_hashed() {
            return chain.find_own(name.as_wire());
        }
        let index = chain.find(self.names, name.as_wire())?;
        (chain.node(index) == Some(id)).then_some(index)
    }
}

/// Adds the record of a name without each type of its service.
fn add_variants(made: &mut FileChain, link: usize, service: &ServiceConfig) {
    let Some(index) = made.chain.links.get(link).map(|it| it.types) else {
        return;
    };
    let bitmap = &made.bitmaps.bitmaps[index as usize];
    let Some(stated) = TypeSet::parse(bitmap) else {
        return;
    };
    for without in steered_types(service) {
        let mut types: Vec<RecordType> = stated.iter().collect();
        types.retain(|rtype| *rtype != without);
        drop_lone_signature(&made.chain, &mut types);
        made.chain.variants.push(LinkVariant {
            link: link as u32,
            without,
            types: made.bitmaps.index(&types),
            number: 0,
        });
    }
}

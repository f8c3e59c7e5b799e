//! Hands the RRsets of a draft to the signers of their zones.
//!
//! This runs when every RRset has its number, because a signature is found by the number of what it
//! signs. The NSEC records of a zone live as long as the SOA of its negative answers (RFC 9077), which
//! is therefore an input.

use super::{CatalogError, Draft};
use crate::catalog::CatalogZone;
use crate::catalog::signed::{RrsetToSign, SignedZones, SigningInput, ZoneSigners};
use crate::config::Config;
use crate::zone::Zone;

impl Draft<'_> {
    /// Signs the zones that have a signer, and takes the signatures of those that are signed in their
    /// files; `None`: there are neither.
    pub(super) fn sign(
        &self,
        config: &Config,
        zones: &[CatalogZone],
        signers: &ZoneSigners,
    ) -> Result<Option<SignedZones>, CatalogError> {
        let presigned: Vec<bool> = self.zones.iter().map(Zone::is_presigned).collect();
        if signers.is_empty() && !presigned.contains(&true) {
            return Ok(None);
        }
        let mut rrsets = Vec::with_capacity(self.placed.len());
        for placed in &self.placed {
            if let Some(rrset) = self.rrset(placed) {
                rrsets.push(RrsetToSign {
                    number: placed.compiled,
                    node: placed.node,
                    zone: placed.zone as usize,
                    rrset,
                });
            }
        }
        let negative_soas: Vec<u32> = zones.iter().map(|zone| zone.negative_soa).collect();
        let input = SigningInput {
            names: &self.names,
            records: &self.records,
            zones: self.zones,
            presigned: &presigned,
            negative_soas: &negative_soas,
            rrsets: &rrsets,
            services: &config.services,
            signers,
        };
        let signed = SignedZones::build(&input).map_err(CatalogError::Signing)?;
        Ok(Some(signed))
    }
}

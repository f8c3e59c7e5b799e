//! Stands for the line to a token where this program is built without the feature `pkcs11`.
//!
//! It has the functions of the real one, and no value: none of them can ever be called. So the rest
//! of the program is the same with and without the feature.

use std::convert::Infallible;

use crate::dnssec::SigningAlgorithm;
use crate::dnssec::token_uri::{TokenAddress, TokenObject};

/// A line that cannot exist.
pub(super) struct NoTokenLine(Infallible);

impl NoTokenLine {
    /// Refuses. The caller says why.
    pub(super) fn to(_: TokenAddress) -> Result<NoTokenLine, String> {
        Err(String::new())
    }

    pub(super) fn sign(
        &self,
        _: TokenObject,
        _: SigningAlgorithm,
        _: &[u8],
    ) -> Result<Vec<u8>, String> {
        match self.0 {}
    }

    pub(super) fn generate(&self, _: SigningAlgorithm, _: TokenObject) -> Result<Vec<u8>, String> {
        match self.0 {}
    }

    pub(super) fn public_half(
        &self,
        _: TokenObject,
    ) -> Result<(SigningAlgorithm, Vec<u8>), String> {
        match self.0 {}
    }
}

//! Stands for the line to a token where this program is built without the feature `pkcs11`.
//!
//! It has the functions of the real one, and no value: none of them can ever be called. So the rest
//! of the program is the same with and without the feature.

use std::convert::Infallible;

use super::{BUILT_WITHOUT, TokenAddress};
use crate::dnssec::SigningAlgorithm;
use crate::dnssec::token_uri::TokenObject;

/// A line that cannot exist.
pub(super) struct TokenLine(Infallible);

impl TokenLine {
    /// Refuses.
    pub(super) fn to(_: TokenAddress) -> Result<TokenLine, String> {
        Err(BUILT_WITHOUT.to_owned())
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

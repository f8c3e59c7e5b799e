//! Private keys that never leave a PKCS#11 token: a hardware module, or SoftHSM2.
//!
//! A [`TokenKey`] signs like any other key, through the thread of its token. That thread has the
//! session, because a token may take long, or hang: whoever asks waits for ten seconds and no longer.
//! Every signature is verified with the public key before it is used, so a token that
//! is damaged, or an object that is another key, makes nothing that is served.
//!
//! Without the feature `pkcs11` there is no line to any token, and each key in one is a mistake that
//! says so.

#[cfg(feature = "pkcs11")]
mod line;
#[cfg(not(feature = "pkcs11"))]
mod no_line;
#[cfg(feature = "pkcs11")]
mod objects;
#[cfg(feature = "pkcs11")]
mod session;

use std::path::PathBuf;

use ring::rand::{SecureRandom, SystemRandom};

#[cfg(feature = "pkcs11")]
use self::line::TokenLine;
#[cfg(not(feature = "pkcs11"))]
use self::no_line::NoTokenLine as TokenLine;
use super::token_uri::{TokenAddress, TokenObject, TokenUri};
use super::{SigningAlgorithm, ZoneKey};
use crate::dns::Name;

/// Why no token is reached, where this program was built without PKCS#11.
const BUILT_WITHOUT: &str = "this meridian was built without PKCS#11; build it with \
                             `cargo build --release --features pkcs11`, or take keys in files";

/// A sentence, if this program was built without PKCS#11.
pub fn missing_feature() -> Option<&'static str> {
    (!cfg!(feature = "pkcs11")).then_some(BUILT_WITHOUT)
}

/// How tokens are reached, and whether new keys are made in one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenSetup {
    /// The token in which new keys are made; `None`: they are made in files.
    pub new_keys: Option<TokenUri>,
    /// The module of tokens whose URI names none.
    pub module: Option<PathBuf>,
    /// The file with the PIN of tokens whose URI names none.
    pub pin_file: Option<PathBuf>,
}

impl TokenSetup {
    /// The address of a token.
    ///
    /// # Errors
    /// A sentence: no module is named.
    fn address_of(&self, uri: &TokenUri) -> Result<TokenAddress, String> {
        let module = uri.module.as_ref().or(self.module.as_ref());
        let pin_file = uri.pin_file.as_ref().or(self.pin_file.as_ref());
        let module = module.ok_or(
            "no PKCS#11 module is named; state token_module in [zones.dnssec], or module-path in \
             the URI",
        )?;
        Ok(TokenAddress {
            module: module.clone(),
            pin_file: pin_file.cloned(),
            selector: uri.selector.clone(),
        })
    }

    /// The line to a token.
    fn line_to(&self, uri: &TokenUri) -> Result<TokenLine, String> {
        if let Some(sentence) = missing_feature() {
            return Err(format!("{uri}: {sentence}"));
        }
        self.address_of(uri)
            .and_then(TokenLine::to)
            .map_err(|reason| format!("{uri}: {reason}"))
    }

    /// Makes a key pair in a token. Returns the Public Key field of its DNSKEY record, and where it is.
    ///
    /// # Errors
    /// A sentence: the token cannot be reached, or makes no such keys.
    pub fn generate(
        &self,
        uri: &TokenUri,
        zone: &Name,
        algorithm: SigningAlgorithm,
    ) -> Result<(Vec<u8>, TokenUri), String> {
        let mut octets = [0; 4];
        SystemRandom::new()
            .fill(&mut octets)
            .map_err(|_| "the system has no random octets")?;
        let label = format!("{zone}-{:08x}", u32::from_be_bytes(octets));
        let object = TokenObject {
            label: Some(label),
            id: None,
        };
        let place = uri.with_object(object.clone());
        let public = self.line_to(uri)?.generate(algorithm, object);
        match public {
            Ok(public) => Ok((public, place)),
            Err(reason) => Err(format!("{uri}: {reason}")),
        }
    }

    /// The public half of a key that is in a token already: its algorithm, and the Public Key field of
    /// its DNSKEY record.
    ///
    /// # Errors
    /// A sentence: the token cannot be reached, or has no such key.
    pub fn public_half(&self, uri: &TokenUri) -> Result<(SigningAlgorithm, Vec<u8>), String> {
        let found = self.line_to(uri)?.public_half(uri.object.clone());
        found.map_err(|reason| format!("{uri}: {reason}"))
    }
}

/// A key in a token, ready to sign.
pub struct TokenKey {
    public: ZoneKey,
    uri: TokenUri,
    line: TokenLine,
}

impl TokenKey {
    /// Prepares a key. The token is asked when something is to be signed, and not before.
    ///
    /// # Errors
    /// A sentence: no module is named, or this program was built without PKCS#11.
    pub fn new(public: &ZoneKey, uri: &TokenUri, setup: &TokenSetup) -> Result<TokenKey, String> {
        let line = setup
            .line_to(uri)
            .map_err(|reason| format!("the key {public} in {reason}"))?;
        Ok(TokenKey {
            public: public.clone(),
            uri: uri.clone(),
            line,
        })
    }

    /// Signs octets. It may take ten seconds.
    ///
    /// # Errors
    /// A sentence that names the key and the token: the token is gone, refuses, or takes too long.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let (object, algorithm) = (self.uri.object.clone(), self.public.algorithm());
        let signature = self
            .line
            .sign(object, algorithm, message)
            .map_err(|reason| format!("the key {} in {}: {reason}", self.public, self.uri))?;
        if !self.public.verifies(message, &signature) {
            return Err(format!(
                "the key {} in {}: the token makes signatures that its DNSKEY record does not \
                 verify, so the object is another key; correct Label in its .private file",
                self.public, self.uri
            ));
        }
        Ok(signature)
    }
}

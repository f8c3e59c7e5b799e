//! Verifiers: which certificates of endpoints are taken.
//!
//! [`ByRoots`] verifies as the web does, and takes a certificate that is itself among the roots, as curl does with its
//! `--cacert`. [`TakesAny`] is `verify = false`: it looks at nothing, not even at the signature of the handshake, since a
//! key that this server cannot use says nothing about the endpoint's health. Whatever is refused is refused in a sentence.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use x509_cert::der::Decode;

use super::reasons::told_of;

/// Verifies by roots; without any, nothing is taken.
#[derive(Debug)]
pub struct ByRoots {
    /// `None`: there are no roots.
    inner: Option<Arc<WebPkiServerVerifier>>,
    roots: Vec<CertificateDer<'static>>,
    schemes: Vec<SignatureScheme>,
}

impl ByRoots {
    /// These roots; those that cannot be read are passed over.
    ///
    /// # Errors
    /// A sentence: they cannot be used.
    pub fn new(
        roots: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<ByRoots, String> {
        let schemes = provider
            .signature_verification_algorithms
            .supported_schemes();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        if store.is_empty() {
            return Ok(ByRoots {
                inner: None,
                roots,
                schemes,
            });
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
        let inner =
            inner.map_err(|error| format!("the root certificates cannot be used: {error}"))?;
        Ok(ByRoots {
            inner: Some(inner),
            roots,
            schemes,
        })
    }

    /// Whether at least one of these can be a root.
    pub fn can_use(roots: &[CertificateDer<'static>]) -> bool {
        RootCertStore::empty()
            .add_parsable_certificates(roots.iter().cloned())
            .0
            > 0
    }

    fn inner(&self) -> Result<&WebPkiServerVerifier, Error> {
        let none = || {
            Error::General("there are no root certificates to verify the certificate by".to_owned())
        };
        self.inner.as_deref().ok_or_else(none)
    }

    /// A root that is shown as the server's own certificate needs no issuer: it is trusted as it is. `None`: it is none.
    fn verify_root_itself(
        &self,
        leaf: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Option<Result<ServerCertVerified, Error>> {
        if !self.roots.iter().any(|root| root.as_ref() == leaf.as_ref()) {
            return None;
        }
        let parsed = ParsedCertificate::try_from(leaf).ok()?;
        let validity = x509_cert::Certificate::from_der(leaf)
            .ok()?
            .tbs_certificate
            .validity;
        let [start, end] = [validity.not_before, validity.not_after].map(|time| {
            UnixTime::since_unix_epoch(Duration::from_secs(time.to_unix_duration().as_secs()))
        });
        if now < start {
            return Some(Err(CertificateError::NotValidYetContext {
                time: now,
                not_before: start,
            }
            .into()));
        }
        if now > end {
            return Some(Err(CertificateError::ExpiredContext {
                time: now,
                not_after: end,
            }
            .into()));
        }
        Some(verify_server_name(&parsed, name).map(|()| ServerCertVerified::assertion()))
    }
}

impl ServerCertVerifier for ByRoots {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let refused = match self
            .inner()?
            .verify_server_cert(leaf, others, name, ocsp, now)
        {
            Ok(verified) => return Ok(verified),
            Err(refused) => refused,
        };
        let verified = match is_authority(&refused) {
            true => self
                .verify_root_itself(leaf, name, now)
                .unwrap_or(Err(refused)),
            false => Err(refused),
        };
        verified.map_err(|error| told_of(error, leaf))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner()?
            .verify_tls12_signature(message, leaf, signed)
            .map_err(|error| told_of(error, leaf))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner()?
            .verify_tls13_signature(message, leaf, signed)
            .map_err(|error| told_of(error, leaf))
    }

    /// Only what can be verified: a server that has several keys then shows one that will do.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// Whether a certificate was refused for being an authority's.
fn is_authority(refused: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) = refused else {
        return false;
    };
    matches!(
        inner.downcast_ref::<webpki::Error>(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

/// Takes every certificate, whatever it is and whoever holds its key.
#[derive(Debug)]
pub struct TakesAny;

impl ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        every_scheme()
    }
}

/// The signature schemes of RFC 8446 section 4.2.3, those that this server would rather see first. The last three are for
/// keys that are meant for RSASSA-PSS alone.
fn every_scheme() -> Vec<SignatureScheme> {
    vec![
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::ECDSA_NISTP384_SHA384,
        SignatureScheme::ED25519,
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::RSA_PSS_SHA384,
        SignatureScheme::RSA_PSS_SHA512,
        SignatureScheme::RSA_PKCS1_SHA256,
        SignatureScheme::RSA_PKCS1_SHA384,
        SignatureScheme::RSA_PKCS1_SHA512,
        SignatureScheme::ECDSA_NISTP521_SHA512,
        SignatureScheme::ED448,
        SignatureScheme::RSA_PKCS1_SHA1,
        SignatureScheme::ECDSA_SHA1_Legacy,
        SignatureScheme::Unknown(0x0809),
        SignatureScheme::Unknown(0x080a),
        SignatureScheme::Unknown(0x080b),
    ]
}

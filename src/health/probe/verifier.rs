//! Certificate verifiers: which certificates of endpoints are accepted.
//!
//! [`RootVerifier`] verifies like a web client. It also accepts a leaf certificate that is itself
//! among the roots, as curl does with `--cacert`. [`AcceptAny`] implements `verify = false`: it
//! does not even check the signature of the handshake, because a key that this server cannot verify
//! says nothing about the endpoint's health.
//!
//! Every refusal carries a sentence that says what to do ([`super::reasons`]).

use std::sync::Arc;

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

use super::reasons::with_reason;

/// Verifies certificates against root certificates. Without roots it accepts nothing.
#[derive(Debug)]
pub struct RootVerifier {
    /// `None` if there are no usable roots.
    inner: Option<Arc<WebPkiServerVerifier>>,
    roots: Vec<CertificateDer<'static>>,
    schemes: Vec<SignatureScheme>,
}

impl RootVerifier {
    /// Uses these roots and ignores those that cannot be parsed.
    ///
    /// # Errors
    /// A sentence: the roots cannot be used.
    pub fn new(
        roots: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<RootVerifier, String> {
        let schemes = provider
            .signature_verification_algorithms
            .supported_schemes();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        if store.is_empty() {
            return Ok(RootVerifier {
                inner: None,
                roots,
                schemes,
            });
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
            .build()
            .map_err(|error| format!("the root certificates cannot be used: {error}"))?;
        Ok(RootVerifier {
            inner: Some(inner),
            roots,
            schemes,
        })
    }

    /// Whether at least one of these can serve as a root.
    pub fn can_use(roots: &[CertificateDer<'static>]) -> bool {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        !store.is_empty()
    }

    fn inner(&self) -> Result<&WebPkiServerVerifier, Error> {
        match &self.inner {
            Some(inner) => Ok(inner),
            None => Err(Error::General(
                "there are no root certificates to verify the certificate by".to_owned(),
            )),
        }
    }

    /// Verifies a root that the server presents as its own certificate: it needs no issuer. Returns
    /// `None` if the certificate is not a root.
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
        let certificate = x509_cert::Certificate::from_der(leaf).ok()?;
        let validity = certificate.tbs_certificate.validity;
        let not_before = UnixTime::since_unix_epoch(validity.not_before.to_unix_duration());
        let not_after = UnixTime::since_unix_epoch(validity.not_after.to_unix_duration());
        if now < not_before {
            let error = CertificateError::NotValidYetContext {
                time: now,
                not_before,
            };
            return Some(Err(error.into()));
        }
        if now > not_after {
            let error = CertificateError::ExpiredContext {
                time: now,
                not_after,
            };
            return Some(Err(error.into()));
        }
        Some(verify_server_name(&parsed, name).map(|()| ServerCertVerified::assertion()))
    }
}

impl ServerCertVerifier for RootVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let inner = self.inner()?;
        let mut result = inner.verify_server_cert(leaf, others, name, ocsp, now);
        if let Err(error) = &result
            && is_authority(error)
            && let Some(verified) = self.verify_root_itself(leaf, name, now)
        {
            result = verified;
        }
        result.map_err(|error| with_reason(error, leaf))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner()?
            .verify_tls12_signature(message, leaf, signed)
            .map_err(|error| with_reason(error, leaf))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner()?
            .verify_tls13_signature(message, leaf, signed)
            .map_err(|error| with_reason(error, leaf))
    }

    /// Only schemes that can be verified, so that a server with several keys picks a usable one.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// Whether a certificate was refused because it belongs to an authority.
fn is_authority(refused: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) = refused else {
        return false;
    };
    matches!(
        inner.downcast_ref::<webpki::Error>(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

/// Accepts every certificate and does not check that the endpoint holds its key.
#[derive(Debug)]
pub struct AcceptAny;

impl ServerCertVerifier for AcceptAny {
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

/// The signature schemes of RFC 8446 section 4.2.3, preferred ones first. The last three are for
/// keys restricted to RSASSA-PSS.
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

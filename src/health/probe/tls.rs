//! TLS: whom probes trust, as ready settings that every probe shares.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ClientConfig, Error, InconsistentKeys};
use x509_cert::der::Decode;

use super::verifier::{ByRoots, TakesAny};
use crate::health::check::{CertificateRule, CheckTls};

/// Whose certificates are trusted, as ready settings.
#[derive(Debug, Clone)]
pub struct TrustStore {
    /// By [`AlpnProtocol`].
    verified: [Arc<ClientConfig>; 3],
    unverified: [Arc<ClientConfig>; 3],
}

/// What is spoken above TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlpnProtocol {
    /// Nothing is asked for.
    Any = 0,
    /// HTTP/1.1
    Http1 = 1,
    /// HTTP/2
    Http2 = 2,
}

/// The authorities of one check: certificates from a file, and the trust in them. Equal when the certificates are.
#[derive(Debug, Clone)]
pub struct CheckAuthorities(Arc<(Vec<CertificateDer<'static>>, TrustStore)>);

impl CheckAuthorities {
    /// Reads certificates in PEM (RFC 7468).
    ///
    /// # Errors
    /// A sentence: there is none, or one cannot be used.
    pub fn from_pem(text: &[u8]) -> Result<CheckAuthorities, String> {
        let certificates = read_chain(text)?;
        if !ByRoots::can_use(&certificates) {
            return Err(
                "it holds no certificate that can be read as X.509: write it anew".to_owned(),
            );
        }
        let trust = TrustStore::of(certificates.clone())?;
        Ok(CheckAuthorities(Arc::new((certificates, trust))))
    }

    /// Trust in them and in nobody else.
    pub fn trust(&self) -> &TrustStore {
        &self.0.1
    }
}

impl PartialEq for CheckAuthorities {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.0 == other.0.0
    }
}

impl Eq for CheckAuthorities {}

impl std::hash::Hash for CheckAuthorities {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0
            .0
            .first()
            .map(|certificate| certificate.as_ref())
            .hash(state);
    }
}

/// The certificate that a check shows to endpoints that ask for one, with its key. Equal when the certificates are.
#[derive(Clone)]
pub struct ClientIdentity {
    chain: Vec<CertificateDer<'static>>,
    resolver: Arc<dyn ResolvesClientCert>,
}

/// What is wrong with the files of a [`ClientIdentity`], each a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityError {
    /// About the certificate.
    Certificate(String),
    /// About the key.
    Key(String),
}

impl ClientIdentity {
    /// Reads a certificate with its chain, and its private key, both in PEM (RFC 7468).
    ///
    /// # Errors
    /// One of them is none, or the key is another certificate's.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<ClientIdentity, IdentityError> {
        let chain = read_chain(certificate).map_err(IdentityError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            IdentityError::Key(
                "it holds no private key in PEM (an encrypted one cannot be read)".to_owned(),
            )
        })?;
        let key = ring::sign::any_supported_type(&key).map_err(|_| {
            IdentityError::Key(
                "it is a key that cannot be used: take RSA, P-256, P-384 or Ed25519".to_owned(),
            )
        })?;
        if chain
            .iter()
            .any(|certificate| x509_cert::Certificate::from_der(certificate).is_err())
        {
            return Err(IdentityError::Certificate(
                "it holds what is no X.509 certificate".to_owned(),
            ));
        }
        let pair = CertifiedKey::new(chain.clone(), key);
        // Of a certificate of X.509 version 1 the key cannot be compared; endpoints may want it all the same.
        if let Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) = pair.keys_match() {
            let sentence = "the private key is not that of the client certificate".to_owned();
            return Err(IdentityError::Key(sentence));
        }
        Ok(ClientIdentity {
            chain,
            resolver: Arc::new(SingleCertAndKey::from(pair)),
        })
    }
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientIdentity")
    }
}

impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

impl Eq for ClientIdentity {}

impl std::hash::Hash for ClientIdentity {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.chain
            .first()
            .map(|certificate| certificate.as_ref())
            .hash(state);
    }
}

/// The certificates of a file in PEM, at least one.
fn read_chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(text).collect();
    let certificates = read.map_err(|error| format!("it is no PEM: {error}"))?;
    if certificates.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(certificates)
}

impl TrustStore {
    /// The system's roots, so that an operator's own authority counts where the system knows it.
    ///
    /// The second part is a warning where some could not be read or there are none.
    pub fn of_the_system() -> Result<(TrustStore, Option<String>), String> {
        let loaded = rustls_native_certs::load_native_certs();
        let warning = loaded
            .errors
            .first()
            .map(|error| format!("some root certificates cannot be read: {error}"));
        let none =
            "the system has no root certificates, so no certificate of an endpoint can be verified";
        let warning = if loaded.certs.is_empty() {
            Some(none.to_owned())
        } else {
            warning
        };
        Ok((TrustStore::of(loaded.certs)?, warning))
    }

    /// Only these roots, as DER.
    ///
    /// # Errors
    /// A sentence: they cannot be used.
    pub fn of(roots: Vec<CertificateDer<'static>>) -> Result<TrustStore, String> {
        let provider = Arc::new(ring::default_provider());
        let verified = Arc::new(ByRoots::new(roots, provider.clone())?);
        Ok(TrustStore {
            verified: by_protocol(&settings(provider.clone(), verified)?),
            unverified: by_protocol(&settings(provider, Arc::new(TakesAny))?),
        })
    }

    /// The settings for somebody who speaks this protocol and shows no certificate.
    pub fn settings(&self, verify: bool, protocol: AlpnProtocol) -> Arc<ClientConfig> {
        let settings = if verify {
            &self.verified
        } else {
            &self.unverified
        };
        settings[protocol as usize].clone()
    }

    /// The settings for a check that wants this of certificates.
    pub fn settings_for(
        &self,
        wanted: &CertificateRule,
        protocol: AlpnProtocol,
    ) -> Arc<ClientConfig> {
        let trust = wanted
            .authorities
            .as_ref()
            .map_or(self, |authorities| authorities.trust());
        let settings = trust.settings(wanted.verify, protocol);
        let Some(identity) = &wanted.identity else {
            return settings;
        };
        let mut settings = (*settings).clone();
        settings.client_auth_cert_resolver = identity.resolver.clone();
        Arc::new(settings)
    }
}

fn by_protocol(settings: &ClientConfig) -> [Arc<ClientConfig>; 3] {
    [&[][..], b"http/1.1", b"h2"].map(|protocol| {
        let mut settings = settings.clone();
        settings.alpn_protocols = Some(protocol.to_vec())
            .filter(|protocol| !protocol.is_empty())
            .into_iter()
            .collect();
        Arc::new(settings)
    })
}

/// The name that the certificate must be for.
pub fn server_name(tls: &CheckTls, address: SocketAddr) -> Result<ServerName<'static>, String> {
    let Some(name) = &tls.name else {
        return Ok(ServerName::IpAddress(address.ip().into()));
    };
    ServerName::try_from(name.clone())
        .map_err(|_| format!("\"{name}\" is no name for a certificate"))
}

fn settings(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, String> {
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("no TLS: {error}"))?;
    let mut settings = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Every probe is to see a whole handshake.
    settings.resumption = tokio_rustls::rustls::client::Resumption::disabled();
    Ok(settings)
}

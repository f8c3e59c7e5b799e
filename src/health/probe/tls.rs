//! TLS settings of probes: trusted authorities and client certificates.
//!
//! Building a client configuration is expensive, so a [`TrustStore`] holds ready ones that every
//! probe shares, with and without verification and for each ALPN protocol. A check can bring its
//! own authorities ([`CheckAuthorities`]) and its own client certificate ([`ClientIdentity`]). The
//! admin client and webhooks use the same settings.

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::client::{ResolvesClientCert, Resumption};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ClientConfig, Error, InconsistentKeys};
use x509_cert::der::Decode;

use super::verifier::{AcceptAny, RootVerifier};
use crate::health::check::{CertificateRule, CheckTls};

/// Trusted root certificates, as ready client configurations.
#[derive(Debug, Clone)]
pub struct TrustStore {
    verified: ConfigByProtocol,
    unverified: ConfigByProtocol,
}

/// Indexed by [`AlpnProtocol`].
type ConfigByProtocol = [Arc<ClientConfig>; 3];

/// The protocol above TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlpnProtocol {
    /// No protocol is offered.
    Any = 0,
    /// HTTP/1.1
    Http1 = 1,
    /// HTTP/2
    Http2 = 2,
}

impl AlpnProtocol {
    const ALL: [AlpnProtocol; 3] = [AlpnProtocol::Any, AlpnProtocol::Http1, AlpnProtocol::Http2];

    /// The protocols to offer, by their IANA names.
    fn offer(self) -> Vec<Vec<u8>> {
        match self {
            AlpnProtocol::Any => Vec::new(),
            AlpnProtocol::Http1 => vec![b"http/1.1".to_vec()],
            AlpnProtocol::Http2 => vec![b"h2".to_vec()],
        }
    }
}

/// The authorities of one check. Two are equal if their certificates are.
#[derive(Debug, Clone)]
pub struct CheckAuthorities(Arc<AuthorityFile>);

#[derive(Debug)]
struct AuthorityFile {
    certificates: Vec<CertificateDer<'static>>,
    trust: TrustStore,
}

impl CheckAuthorities {
    /// Reads certificates in PEM (RFC 7468).
    ///
    /// # Errors
    /// A sentence: there is no certificate, or none is usable.
    pub fn from_pem(text: &[u8]) -> Result<CheckAuthorities, String> {
        let certificates = read_chain(text)?;
        if !RootVerifier::can_use(&certificates) {
            return Err("it holds no certificate that can be read as X.509: replace it".to_owned());
        }
        let trust = TrustStore::from_roots(certificates.clone())?;
        Ok(CheckAuthorities(Arc::new(AuthorityFile {
            certificates,
            trust,
        })))
    }

    /// A trust store with only these authorities.
    pub fn trust(&self) -> &TrustStore {
        &self.0.trust
    }
}

impl PartialEq for CheckAuthorities {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.certificates == other.0.certificates
    }
}

impl Eq for CheckAuthorities {}

impl Hash for CheckAuthorities {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_first(&self.0.certificates, state);
    }
}

/// The client certificate of a check, with its key. Two are equal if their certificates are.
#[derive(Clone)]
pub struct ClientIdentity {
    chain: Vec<CertificateDer<'static>>,
    resolver: Arc<dyn ResolvesClientCert>,
}

/// What is wrong with the files of a [`ClientIdentity`], as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityError {
    /// About the certificate file.
    Certificate(String),
    /// The problem is in the key file.
    Key(String),
}

impl IdentityError {
    fn certificate(reason: &str) -> IdentityError {
        IdentityError::Certificate(reason.to_owned())
    }

    fn key(reason: &str) -> IdentityError {
        IdentityError::Key(reason.to_owned())
    }
}

impl ClientIdentity {
    /// Reads a certificate with its chain, and its private key, both in PEM (RFC 7468).
    ///
    /// # Errors
    /// A file is malformed or unusable, or the key belongs to another certificate.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<ClientIdentity, IdentityError> {
        let chain = read_chain(certificate).map_err(IdentityError::Certificate)?;
        let Ok(key) = PrivateKeyDer::from_pem_slice(key) else {
            return Err(IdentityError::key(
                "it holds no private key in PEM (an encrypted one cannot be read)",
            ));
        };
        let Ok(key) = ring::sign::any_supported_type(&key) else {
            return Err(IdentityError::key(
                "it is a key that cannot be used: use RSA, P-256, P-384 or Ed25519",
            ));
        };
        for certificate in &chain {
            if x509_cert::Certificate::from_der(certificate).is_err() {
                return Err(IdentityError::certificate(
                    "it holds something that is not an X.509 certificate",
                ));
            }
        }
        let pair = CertifiedKey::new(chain.clone(), key);
        // The key of an X.509 version 1 certificate cannot be compared, but endpoints may accept
        // it.
        if let Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) = pair.keys_match() {
            return Err(IdentityError::key(
                "the private key is not that of the client certificate",
            ));
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

impl Hash for ClientIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_first(&self.chain, state);
    }
}

fn hash_first<H: Hasher>(certificates: &[CertificateDer<'static>], state: &mut H) {
    certificates.first().map(AsRef::<[u8]>::as_ref).hash(state);
}

/// The certificates of a PEM file, at least one.
fn read_chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text) {
        certificates.push(certificate.map_err(|error| format!("it is no PEM: {error}"))?);
    }
    if certificates.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok(certificates)
}

impl TrustStore {
    /// Trusts the system's root certificates, including authorities that an operator added.
    ///
    /// The second value is a warning if there are none or some could not be read.
    ///
    /// # Errors
    /// A sentence: the roots cannot be used.
    pub fn from_system() -> Result<(TrustStore, Option<String>), String> {
        let loaded = rustls_native_certs::load_native_certs();
        let warning = if loaded.certs.is_empty() {
            let reason = "the system has no root certificates, so no certificate of an endpoint \
                          can be verified";
            Some(reason.to_owned())
        } else if let [error, ..] = &loaded.errors[..] {
            Some(format!("some root certificates cannot be read: {error}"))
        } else {
            None
        };
        Ok((TrustStore::from_roots(loaded.certs)?, warning))
    }

    /// Trusts only these root certificates, in DER.
    ///
    /// # Errors
    /// A sentence: the roots cannot be used.
    pub fn from_roots(roots: Vec<CertificateDer<'static>>) -> Result<TrustStore, String> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(RootVerifier::new(roots, provider.clone())?);
        Ok(TrustStore {
            verified: by_protocol(&client_config(provider.clone(), verifier)?),
            unverified: by_protocol(&client_config(provider, Arc::new(AcceptAny))?),
        })
    }

    /// The configuration for a client without a certificate.
    pub fn settings(&self, verify: bool, protocol: AlpnProtocol) -> Arc<ClientConfig> {
        let configs = if verify {
            &self.verified
        } else {
            &self.unverified
        };
        configs[protocol as usize].clone()
    }

    /// The configuration for a check with this rule.
    pub fn settings_for(
        &self,
        rule: &CertificateRule,
        protocol: AlpnProtocol,
    ) -> Arc<ClientConfig> {
        let trust = match &rule.authorities {
            Some(authorities) => authorities.trust(),
            None => self,
        };
        let mut config = trust.settings(rule.verify, protocol);
        show(rule.identity.as_ref(), &mut config);
        config
    }

    /// The configuration for a client that verifies, and shows this certificate.
    pub fn settings_with(
        &self,
        identity: Option<&ClientIdentity>,
        protocol: AlpnProtocol,
    ) -> Arc<ClientConfig> {
        let mut config = self.settings(true, protocol);
        show(identity, &mut config);
        config
    }
}

/// Shows a certificate to servers that ask for one.
fn show(identity: Option<&ClientIdentity>, config: &mut Arc<ClientConfig>) {
    if let Some(identity) = identity {
        Arc::make_mut(config).client_auth_cert_resolver = identity.resolver.clone();
    }
}

fn by_protocol(config: &ClientConfig) -> ConfigByProtocol {
    AlpnProtocol::ALL.map(|protocol| {
        let mut config = config.clone();
        config.alpn_protocols = protocol.offer();
        Arc::new(config)
    })
}

/// The name that the endpoint's certificate must be valid for.
pub fn server_name(tls: &CheckTls, address: SocketAddr) -> Result<ServerName<'static>, String> {
    let Some(name) = &tls.name else {
        return Ok(ServerName::IpAddress(address.ip().into()));
    };
    ServerName::try_from(name.clone())
        .map_err(|_| format!("\"{name}\" is not a valid name for a certificate"))
}

fn client_config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS: {error}"))?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Every probe must see a full handshake.
    config.resumption = Resumption::disabled();
    Ok(config)
}

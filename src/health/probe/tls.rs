//! TLS: whom probes trust, as ready settings that every probe shares.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, crypto::verify_tls12_signature,
    crypto::verify_tls13_signature,
};

use crate::health::check::Tls;

/// Whose certificates are trusted, as ready settings.
#[derive(Debug, Clone)]
pub struct Trust {
    /// By [`Protocol`].
    verified: [Arc<ClientConfig>; 3],
    unverified: [Arc<ClientConfig>; 3],
}

/// What is spoken above TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Nothing is asked for.
    Any = 0,
    /// HTTP/1.1
    Http1 = 1,
    /// HTTP/2
    Http2 = 2,
}

/// The authorities of one check: certificates from a file, and the trust in them. Equal when the certificates are.
#[derive(Debug, Clone)]
pub struct Authorities(Arc<(Vec<CertificateDer<'static>>, Trust)>);

impl Authorities {
    /// Reads certificates in PEM (RFC 7468).
    ///
    /// # Errors
    /// A sentence: there is none, or one cannot be used.
    pub fn from_pem(text: &[u8]) -> Result<Authorities, String> {
        let read: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(text).collect();
        let certificates = read.map_err(|error| format!("it is no PEM: {error}"))?;
        if certificates.is_empty() {
            return Err("it holds no certificate".to_owned());
        }
        let trust = Trust::of(certificates.clone())?;
        Ok(Authorities(Arc::new((certificates, trust))))
    }

    /// Trust in them and in nobody else.
    pub fn trust(&self) -> &Trust {
        &self.0.1
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.0 == other.0.0
    }
}

impl Eq for Authorities {}

impl std::hash::Hash for Authorities {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.0.first().map(|certificate| certificate.as_ref()).hash(state);
    }
}

impl Trust {
    /// The system's roots, so that an operator's own authority counts where the system knows it.
    ///
    /// The second part is a warning where some could not be read or there are none.
    pub fn of_the_system() -> Result<(Trust, Option<String>), String> {
        let loaded = rustls_native_certs::load_native_certs();
        let warning = loaded.errors.first().map(|error| format!("some root certificates cannot be read: {error}"));
        let none = "the system has no root certificates, so no certificate of an endpoint can be verified";
        let warning = if loaded.certs.is_empty() { Some(none.to_owned()) } else { warning };
        Ok((Trust::of(loaded.certs)?, warning))
    }

    /// Only these roots, as DER.
    pub fn of(roots: Vec<CertificateDer<'static>>) -> Result<Trust, String> {
        let provider = Arc::new(ring::default_provider());
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots);
        let algorithms = provider.signature_verification_algorithms;
        let accept = Arc::new(WithoutRoots { algorithms, accepts: true });
        let verified = if store.is_empty() { None } else { Some(Arc::new(store)) };
        let verifier: Arc<dyn ServerCertVerifier> = match verified {
            None => Arc::new(WithoutRoots { algorithms, accepts: false }),
            Some(store) => WebPkiServerVerifier::builder_with_provider(store, provider.clone())
                .build()
                .map_err(|error| format!("the root certificates cannot be used: {error}"))?,
        };
        Ok(Trust {
            verified: by_protocol(&settings(provider.clone(), verifier)?),
            unverified: by_protocol(&settings(provider, accept)?),
        })
    }

    /// The settings for a check that speaks this protocol.
    pub fn settings(&self, verify: bool, protocol: Protocol) -> Arc<ClientConfig> {
        let settings = if verify { &self.verified } else { &self.unverified };
        settings[protocol as usize].clone()
    }
}

fn by_protocol(settings: &ClientConfig) -> [Arc<ClientConfig>; 3] {
    [&[][..], b"http/1.1", b"h2"].map(|protocol| {
        let mut settings = settings.clone();
        settings.alpn_protocols = Some(protocol.to_vec()).filter(|protocol| !protocol.is_empty()).into_iter().collect();
        Arc::new(settings)
    })
}

/// The name that the certificate must be for.
pub fn server_name(tls: &Tls, address: SocketAddr) -> Result<ServerName<'static>, String> {
    let Some(name) = &tls.name else { return Ok(ServerName::IpAddress(address.ip().into())) };
    ServerName::try_from(name.clone()).map_err(|_| format!("\"{name}\" is no name for a certificate"))
}

fn settings(provider: Arc<CryptoProvider>, verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("no TLS: {error}"))?;
    let mut settings = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    // Every probe is to see a whole handshake.
    settings.resumption = tokio_rustls::rustls::client::Resumption::disabled();
    Ok(settings)
}

/// Certificates without roots to hold them against; signatures are still checked.
#[derive(Debug)]
struct WithoutRoots {
    algorithms: WebPkiSupportedAlgorithms,
    /// Any certificate will do (`verify = false`); otherwise none does, for want of roots.
    accepts: bool,
}

impl ServerCertVerifier for WithoutRoots {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.accepts {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::General("there are no root certificates to verify it by".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

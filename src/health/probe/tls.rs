//! TLS: the roots of trust, the client's settings, and the check that only shakes hands.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, crypto::verify_tls12_signature,
    crypto::verify_tls13_signature,
};

use super::{Observation, Stopwatch, certificate};
use crate::health::check::Tls;

/// Whose certificates are trusted, as ready settings.
#[derive(Debug, Clone)]
pub struct Trust {
    verified: ClientConfig,
    unverified: ClientConfig,
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
        Ok(Trust { verified: settings(provider.clone(), verifier)?, unverified: settings(provider, accept)? })
    }

    /// The settings for a check that speaks this protocol.
    pub fn settings(&self, verify: bool, protocol: Option<&[u8]>) -> ClientConfig {
        let mut settings = if verify { self.verified.clone() } else { self.unverified.clone() };
        settings.alpn_protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
        settings
    }
}

/// The name that the certificate must be for.
pub fn server_name(tls: &Tls, address: SocketAddr) -> Result<ServerName<'static>, String> {
    let Some(name) = &tls.name else { return Ok(ServerName::IpAddress(address.ip().into())) };
    ServerName::try_from(name.clone()).map_err(|_| format!("\"{name}\" is no name for a certificate"))
}

/// Connects and shakes hands.
pub async fn probe(trust: &Trust, address: SocketAddr, check: &Tls, stopwatch: &Stopwatch) -> Observation {
    handshake(trust, address, check, stopwatch).await.unwrap_or_else(Observation::fail)
}

async fn handshake(
    trust: &Trust,
    address: SocketAddr,
    check: &Tls,
    stopwatch: &Stopwatch,
) -> Result<Observation, String> {
    let name = server_name(check, address)?;
    let stream = super::connect(address, stopwatch).await?;
    let connector = TlsConnector::from(Arc::new(trust.settings(check.verify, None)));
    let stream = connector.connect(name, stream).await.map_err(|error| format!("no TLS with {address}: {error}"))?;
    stopwatch.shaken_hands();
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let days = leaf.and_then(|leaf| certificate::expires_in_days(leaf, SystemTime::now()));
    Ok(Observation { certificate_expires_in: days, ..Observation::pass() })
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

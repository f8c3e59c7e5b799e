//! The certificate and key of the server, which a reload replaces for new connections.
//!
//! [`TlsIdentity`] resolves the certificate in each handshake, so listeners need no restart. It
//! also reads the PEM files and builds the TLS settings of a listener.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys, ServerConfig};

/// The current certificate and its key, replaced together.
#[derive(Debug, Default)]
pub struct TlsIdentity(ArcSwapOption<CertifiedKey>);

/// A problem with a certificate or its key, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PemError {
    /// The certificate file.
    Certificate(String),
    /// The key file.
    Key(String),
}

impl TlsIdentity {
    /// Presents this certificate from now on; without one, handshakes fail.
    pub fn show(&self, key: Option<Arc<CertifiedKey>>) {
        self.0.store(key);
    }

    /// Reads a certificate with its chain, and its private key, both in PEM (RFC 7468).
    ///
    /// # Errors
    /// One of them cannot be read or used, or the key does not belong to the certificate.
    pub fn read(certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, PemError> {
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(certificate).collect();
        let chain =
            chain.map_err(|error| PemError::Certificate(format!("it is no PEM: {error}")))?;
        if chain.is_empty() {
            return Err(PemError::Certificate("it holds no certificate".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| PemError::Key(format!("it holds no private key: {error}")))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                PemError::Key("the private key is not that of the certificate".to_owned())
            }
            Error::InvalidCertificate(error) => {
                PemError::Certificate(format!("it cannot be used: {error}"))
            }
            error => PemError::Key(format!("it cannot be used: {error}")),
        })
    }

    /// The settings of a listener that presents this identity and offers these protocols (ALPN, RFC
    /// 7301). Clients without ALPN are accepted.
    ///
    /// # Panics
    /// Never: ring has the cipher suites of both versions.
    pub fn settings(self: Arc<TlsIdentity>, protocols: &[&[u8]]) -> ServerConfig {
        let mut settings = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(self);
        settings.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        // Tickets let clients resume a session, without state on the server.
        if let Ok(ticketer) = ring::Ticketer::new() {
            settings.ticketer = ticketer;
        }
        settings
    }
}

impl ResolvesServerCert for TlsIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["ns.example.test".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn mistake(certificate: &str, key: &str) -> PemError {
        TlsIdentity::read(certificate.as_bytes(), key.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_pair_is_read_and_what_is_wrong_is_told_of_the_right_file() {
        let (certificate, key) = pair();
        assert!(TlsIdentity::read(certificate.as_bytes(), key.as_bytes()).is_ok());
        assert!(
            TlsIdentity::read(
                (certificate.clone() + &certificate).as_bytes(),
                key.as_bytes()
            )
            .is_ok(),
            "a chain"
        );
        let none = PemError::Certificate("it holds no certificate".to_owned());
        assert_eq!(mistake("", &key), none);
        assert_eq!(mistake(&key, &key), none);
        assert!(matches!(
            mistake(&certificate, &certificate),
            PemError::Key(_)
        ));
        let other = PemError::Key("the private key is not that of the certificate".to_owned());
        assert_eq!(mistake(&certificate, &pair().1), other);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(
            matches!(mistake(broken, &key), PemError::Certificate(_)),
            "{:?}",
            mistake(broken, &key)
        );
        assert!(matches!(
            mistake("-----BEGIN CERTIFICATE-----\nAAAA", &key),
            PemError::Certificate(_)
        ));
    }
}

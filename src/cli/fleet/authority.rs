//! The authority of a fleet: it signs the certificates of the NATS servers, and nothing else.
//!
//! All keys are of ECDSA with P-256. The certificates have no end, because a fleet whose certificates
//! have expired in one night is worth less than what their end would protect from: whoever has a key
//! has the machine.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

/// An authority with its key.
pub struct FleetAuthority(CertifiedIssuer<'static, KeyPair>);

impl FleetAuthority {
    /// Makes an authority for a fleet.
    ///
    /// # Errors
    /// A sentence: the system has no random octets.
    pub fn make(fleet: &str) -> Result<FleetAuthority, String> {
        let key = KeyPair::generate().map_err(refusal)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(refusal)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = named(&format!("NATS of the fleet {fleet}"));
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(refusal)?;
        Ok(FleetAuthority(issuer))
    }

    /// Its certificate, as PEM.
    pub fn certificate(&self) -> String {
        self.0.pem()
    }

    /// Its key, as PEM.
    pub fn key(&self) -> String {
        self.0.key().serialize_pem()
    }

    /// Certificate and key, as PEM, of a server with this host name or address. Servers show them to
    /// each other, too, so they are good for both ends of a connection.
    ///
    /// # Errors
    /// A sentence: the host cannot be named in a certificate.
    pub fn certify(&self, host: &str) -> Result<(String, String), String> {
        let key = KeyPair::generate().map_err(refusal)?;
        let mut params = CertificateParams::new(vec![host.to_owned()]).map_err(refusal)?;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.distinguished_name = named(host);
        let signed = params.signed_by(&key, &self.0).map_err(refusal)?;
        Ok((signed.pem(), key.serialize_pem()))
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

fn refusal(error: rcgen::Error) -> String {
    format!("a certificate cannot be made: {error}")
}

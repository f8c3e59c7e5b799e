//! TLS errors as sentences for operators.
//!
//! The errors of the TLS library name protocol details. This module explains what is wrong with an
//! endpoint's certificate or handshake, and what to do about it.
//!
//! The verifier sees the certificate, so it calls [`with_reason`], which puts the sentence into the
//! error. [`reason_of`] takes the sentence out of the I/O error that the connection ends with, and
//! makes one for other TLS errors.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, Error, OtherError, PeerIncompatible,
};
use x509_cert::certificate::Version;
use x509_cert::der::{Decode, Reader, SliceReader, asn1::UintRef};
use x509_cert::spki::{ObjectIdentifier, SubjectPublicKeyInfoOwned};

/// How many names of a certificate a reason lists.
const MOST_NAMES: usize = 4;
/// How many characters of a name a reason shows.
const LONGEST_NAME: usize = 255;

const OR_UNVERIFIED: &str = "or put verify = false";
const USABLE: &str =
    "use RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519, signed with SHA-256 or longer";

/// Why a certificate was refused, inside an error of the TLS library.
#[derive(Debug)]
struct RefusalReason(String);

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RefusalReason {}

/// Puts a reason into an error about this certificate. Other errors are unchanged.
pub fn with_reason(error: Error, leaf: &CertificateDer<'_>) -> Error {
    let Error::InvalidCertificate(error) = error else {
        return error;
    };
    let reason = RefusalReason(RefusedCertificate::parse(leaf).reason(&error));
    CertificateError::Other(OtherError(Arc::new(reason))).into()
}

/// The reason for an error of a connection. `None` if the error is not about TLS.
pub fn reason_of(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref()?;
    Some(tls_reason(error))
}

/// A description of the root cause of an error. The outer errors only say that an exchange failed.
pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let cause = root_cause(error);
    if let Some(error) = cause.downcast_ref::<Error>() {
        return tls_reason(error);
    }
    if let Some(error) = cause.downcast_ref::<io::Error>()
        && let Some(reason) = reason_of(error)
    {
        return reason;
    }
    cause.to_string()
}

/// The error at the end of the chain of sources.
pub fn root_cause<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> &'e (dyn std::error::Error + 'static) {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

fn tls_reason(error: &Error) -> String {
    let reason = match error {
        Error::InvalidCertificate(error) => {
            if let CertificateError::Other(OtherError(inner)) = error
                && inner.is::<RefusalReason>()
            {
                return inner.to_string();
            }
            return RefusedCertificate::UNKNOWN.reason(error);
        }
        Error::AlertReceived(alert) => return alert_reason(*alert),
        Error::PeerIncompatible(error) => incompatibility_reason(error),
        Error::NoCertificatesPresented => "it presents no certificate",
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord => {
            "it does not speak TLS, or sends broken data: is this the port of a TLS server?"
        }
        Error::NoApplicationProtocol => "it supports none of the offered protocols (ALPN)",
        Error::DecryptError => {
            "its data cannot be decrypted: something on the path modifies the traffic"
        }
        Error::PeerMisbehaved(_) => "it violates the TLS protocol",
        Error::General(reason) => reason,
        _ => "TLS failed on this side",
    };
    reason.to_owned()
}

fn incompatibility_reason(error: &PeerIncompatible) -> &'static str {
    match error {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => {
            "it supports only TLS versions before 1.2: enable 1.2 or 1.3 there"
        }
        _ => {
            "it shares no TLS cipher suite with this server: \
             enable ECDHE with AES-GCM or ChaCha20 there"
        }
    }
}

fn alert_reason(alert: AlertDescription) -> String {
    let number = u8::from(alert);
    let reason = match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "it requires a client certificate: set client_cert and client_key"
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => "it does not accept our client certificate",
        AlertDescription::UnrecognisedName => "it does not serve this name: set host",
        AlertDescription::ProtocolVersion => "it supports neither TLS 1.2 nor 1.3",
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            return format!(
                "it refuses the handshake (alert {number}): it wants a client certificate \
                 (client_cert, client_key), or has no key or cipher that can be verified here: \
                 {USABLE}, {OR_UNVERIFIED}"
            );
        }
        AlertDescription::NoApplicationProtocol => {
            "it does not support the offered protocol (ALPN)"
        }
        _ => "it aborted the handshake",
    };
    format!("{reason} (alert {number})")
}

/// A certificate that the verifier refused.
struct RefusedCertificate {
    /// `None` if it is not known or cannot be parsed.
    parsed: Option<x509_cert::Certificate>,
}

impl RefusedCertificate {
    const UNKNOWN: RefusedCertificate = RefusedCertificate { parsed: None };

    fn parse(leaf: &CertificateDer<'_>) -> RefusedCertificate {
        RefusedCertificate {
            parsed: x509_cert::Certificate::from_der(leaf).ok(),
        }
    }

    /// Why it was refused, as a sentence.
    fn reason(&self, error: &CertificateError) -> String {
        let what = match error {
            CertificateError::Expired => "the certificate has expired: renew it",
            CertificateError::ExpiredContext { time, not_after } => {
                let ago = time_between(*not_after, *time);
                return format!(
                    "the certificate or one of its issuers expired {ago} ago: renew it, \
                     {OR_UNVERIFIED}"
                );
            }
            CertificateError::NotValidYet => {
                return "the certificate is not valid yet: compare the clocks".to_owned();
            }
            CertificateError::NotValidYetContext { time, not_before } => {
                let wait = time_between(*time, *not_before);
                return format!(
                    "the certificate or one of its issuers becomes valid in {wait}: \
                     compare the clocks"
                );
            }
            CertificateError::UnknownIssuer => self.unknown_issuer(),
            CertificateError::NotValidForName => {
                return "the certificate is for another name: set host".to_owned();
            }
            CertificateError::NotValidForNameContext {
                expected,
                presented,
            } => return self.wrong_name(&expected.to_str(), presented),
            CertificateError::BadEncoding => "the certificate cannot be parsed: reissue it",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "the certificate is not meant for servers: \
                 issue it with the extended key usage serverAuth"
            }
            CertificateError::UnhandledCriticalExtension => {
                "the certificate has an unsupported critical extension: leave it out"
            }
            CertificateError::Revoked => {
                return "the certificate was revoked: replace it".to_owned();
            }
            CertificateError::Other(OtherError(inner)) => match inner.downcast_ref() {
                Some(error) => self.webpki_reason(error),
                None => return format!("the certificate cannot be verified: {inner}"),
            },
            // Bad signatures and unsupported algorithms, some of them in deprecated variants.
            _ => return self.unverifiable(error),
        };
        format!("{what}, {OR_UNVERIFIED}")
    }

    fn webpki_reason(&self, error: &webpki::Error) -> &'static str {
        match error {
            webpki::Error::CaUsedAsEndEntity => {
                "the certificate belongs to an authority: \
                 put it into ca_file, or let it issue one for the server"
            }
            webpki::Error::UnsupportedCertVersion => OLD_VERSION,
            webpki::Error::EndEntityUsedAsCa => {
                "an issuer in the chain is not an authority (CA:TRUE is missing): reissue it"
            }
            webpki::Error::NameConstraintViolation => {
                "its authority may not issue certificates for this name"
            }
            webpki::Error::PathLenConstraintViolated => {
                "its chain is longer than its authority allows"
            }
            webpki::Error::UnsupportedCriticalExtension => {
                "the certificate or one of its issuers has an unsupported critical extension: \
                 leave it out"
            }
            webpki::Error::MaximumPathBuildCallsExceeded
            | webpki::Error::MaximumPathDepthExceeded
            | webpki::Error::MaximumSignatureChecksExceeded
            | webpki::Error::MaximumNameConstraintComparisonsExceeded => {
                "its chain is too long or too complex to verify: send only the chain"
            }
            webpki::Error::InvalidSerialNumber => {
                "the serial number of the certificate is negative or too long"
            }
            webpki::Error::SignatureAlgorithmMismatch => {
                "the certificate names two different signature algorithms"
            }
            _ if self.is_old_version() => OLD_VERSION,
            _ => "the certificate is malformed: reissue it",
        }
    }

    fn unknown_issuer(&self) -> &'static str {
        if let Some(parsed) = &self.parsed
            && parsed.tbs_certificate.issuer == parsed.tbs_certificate.subject
        {
            return "the certificate is self-signed and not trusted: put it into ca_file";
        }
        "the issuer of the certificate is not trusted: put its authority into ca_file, \
         or configure the server to send the intermediate certificates"
    }

    fn wrong_name(&self, expected: &str, presented: &[String]) -> String {
        if presented.is_empty() {
            if self.is_old_version() {
                return format!("{OLD_VERSION}, {OR_UNVERIFIED}");
            }
            return format!(
                "the certificate names no host in a subjectAltName (its common name does not \
                 count): issue it with {expected} there, {OR_UNVERIFIED}"
            );
        }
        let mut names = Vec::new();
        for name in presented.iter().take(MOST_NAMES) {
            names.push(plain_name(name));
        }
        if presented.len() > MOST_NAMES {
            names.push(format!("{} more", presented.len() - MOST_NAMES));
        }
        format!(
            "the certificate is for {}, not for {expected}: set the right host, or issue a \
             certificate for this one",
            names.join(", ")
        )
    }

    /// A signature that is wrong, or made with an unsupported key or algorithm.
    fn unverifiable(&self, error: &CertificateError) -> String {
        if let Some(parsed) = &self.parsed {
            let key = KeyDescription::of(&parsed.tbs_certificate.subject_public_key_info);
            if !key.is_supported {
                return format!(
                    "the certificate has {}, which cannot be verified here: {USABLE}, \
                     {OR_UNVERIFIED}",
                    key.name
                );
            }
        }
        if matches!(error, CertificateError::BadSignature) {
            return format!(
                "a signature in the certificate's chain is wrong, or its key has less than 2048 \
                 bits; {OR_UNVERIFIED}"
            );
        }
        format!(
            "the certificate or one of its issuers has a signature that cannot be verified here: \
             {USABLE}, {OR_UNVERIFIED}"
        )
    }

    /// Whether it is an X.509 certificate of version 1 or 2.
    fn is_old_version(&self) -> bool {
        matches!(&self.parsed, Some(parsed) if parsed.tbs_certificate.version != Version::V3)
    }
}

const OLD_VERSION: &str = "a certificate of X.509 version 1 or 2 cannot be verified: \
                           issue it as version 3 with a subjectAltName";

/// Extracts the name from the library's form, `DnsName("www.example.com")`.
fn plain_name(name: &str) -> String {
    let inner = match name.split_once('(') {
        Some((_, rest)) => rest.strip_suffix(')').unwrap_or(name),
        None => name,
    };
    let letters = inner.trim_matches('"').chars();
    letters
        .filter(|letter| !letter.is_control())
        .take(LONGEST_NAME)
        .collect()
}

/// A public key in words.
struct KeyDescription {
    name: String,
    /// Whether its signatures can be verified here.
    is_supported: bool,
}

impl KeyDescription {
    fn of(key: &SubjectPublicKeyInfoOwned) -> KeyDescription {
        let (name, is_supported) = match key.algorithm.oid.to_string().as_str() {
            "1.2.840.113549.1.1.1" => match rsa_bits(key.subject_public_key.raw_bytes()) {
                Some(bits) => {
                    return KeyDescription {
                        name: format!("an RSA key of {bits} bits"),
                        is_supported: (2048..=8192).contains(&bits),
                    };
                }
                None => ("an RSA key that cannot be read", false),
            },
            "1.2.840.113549.1.1.10" => ("a key for RSASSA-PSS alone", false),
            "1.2.840.10045.2.1" => match curve(key).as_deref() {
                Some("1.2.840.10045.3.1.7") => ("a P-256 key", true),
                Some("1.3.132.0.34") => ("a P-384 key", true),
                Some("1.3.132.0.35") => ("a P-521 key", false),
                _ => ("a key on a rare elliptic curve", false),
            },
            "1.3.101.112" => ("an Ed25519 key", true),
            "1.3.101.113" => ("an Ed448 key", false),
            "1.2.840.10040.4.1" => ("a DSA key", false),
            _ => ("a key of a rare kind", false),
        };
        KeyDescription {
            name: name.to_owned(),
            is_supported,
        }
    }
}

/// The OID of an elliptic curve key's named curve.
fn curve(key: &SubjectPublicKeyInfoOwned) -> Option<String> {
    let parameters = key.algorithm.parameters.as_ref()?;
    let curve: ObjectIdentifier = parameters.decode_as().ok()?;
    Some(curve.to_string())
}

/// The size of an RSA public key (RFC 8017 appendix A.1.1).
fn rsa_bits(key: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(key).ok()?;
    let octets = reader.sequence(|reader| {
        let modulus = UintRef::decode(reader)?.as_bytes().len();
        UintRef::decode(reader)?;
        Ok(modulus)
    });
    octets.ok().map(|octets: usize| octets * 8)
}

/// `3 days`, or hours for less than two days.
fn time_between(earlier: UnixTime, later: UnixTime) -> String {
    let hours = later.as_secs().saturating_sub(earlier.as_secs()) / 3600;
    match hours {
        0 => "less than an hour".to_owned(),
        1..48 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ContentType, ExtendedKeyPurpose, InvalidMessage, PeerMisbehaved};

    use super::*;

    fn other(error: webpki::Error) -> CertificateError {
        CertificateError::Other(OtherError(Arc::new(error)))
    }

    fn about_certificates() -> Vec<CertificateError> {
        let (time, earlier) = (
            UnixTime::since_unix_epoch(Duration::from_secs(10_000_000)),
            UnixTime::since_unix_epoch(Duration::ZERO),
        );
        let expected = ServerName::try_from("www.example.test").unwrap();
        let presented = vec![
            "DnsName(\"a.example.test\")".to_owned(),
            "IpAddress(192.0.2.1)".to_owned(),
        ];
        vec![
            CertificateError::BadEncoding,
            CertificateError::Expired,
            CertificateError::ExpiredContext {
                time,
                not_after: earlier,
            },
            CertificateError::NotValidYet,
            CertificateError::NotValidYetContext {
                time: earlier,
                not_before: time,
            },
            CertificateError::Revoked,
            CertificateError::UnhandledCriticalExtension,
            CertificateError::UnknownIssuer,
            CertificateError::UnknownRevocationStatus,
            CertificateError::ExpiredRevocationList,
            CertificateError::BadSignature,
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: vec![1, 2, 3],
                supported_algorithms: Vec::new(),
            },
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: vec![1, 2, 3],
                public_key_algorithm_id: vec![4, 5],
            },
            CertificateError::NotValidForName,
            CertificateError::NotValidForNameContext {
                expected: expected.clone(),
                presented,
            },
            CertificateError::NotValidForNameContext {
                expected,
                presented: Vec::new(),
            },
            CertificateError::InvalidPurpose,
            CertificateError::InvalidPurposeContext {
                required: ExtendedKeyPurpose::ServerAuth,
                presented: vec![ExtendedKeyPurpose::Other(vec![1, 3, 6])],
            },
            CertificateError::InvalidOcspResponse,
            CertificateError::ApplicationVerificationFailure,
            other(webpki::Error::BadDer),
            other(webpki::Error::CaUsedAsEndEntity),
            other(webpki::Error::EndEntityUsedAsCa),
            other(webpki::Error::ExtensionValueInvalid),
            other(webpki::Error::InvalidSerialNumber),
            other(webpki::Error::MalformedExtensions),
            other(webpki::Error::MaximumPathDepthExceeded),
            other(webpki::Error::NameConstraintViolation),
            other(webpki::Error::PathLenConstraintViolated),
            other(webpki::Error::SignatureAlgorithmMismatch),
            other(webpki::Error::UnsupportedCertVersion),
            other(webpki::Error::UnsupportedCriticalExtension),
        ]
    }

    #[test]
    fn every_reason_is_a_sentence_without_the_words_of_the_library() {
        let leaf = CertificateDer::from(&[][..]);
        let handshakes = [
            Error::NoCertificatesPresented,
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            Error::InappropriateMessage {
                expect_types: vec![ContentType::Handshake],
                got_type: ContentType::Alert,
            },
            Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
            Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
            Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedCipherSuite),
            Error::AlertReceived(AlertDescription::CertificateRequired),
            Error::AlertReceived(AlertDescription::UnknownCA),
            Error::AlertReceived(AlertDescription::HandshakeFailure),
            Error::AlertReceived(AlertDescription::InternalError),
            Error::DecryptError,
            Error::NoApplicationProtocol,
            Error::FailedToGetCurrentTime,
        ];
        let message = about_certificates()
            .into_iter()
            .map(|about| with_reason(about.into(), &leaf));
        for error in message.chain(handshakes) {
            let sentence =
                reason_of(&io::Error::new(io::ErrorKind::InvalidData, error.clone())).unwrap();
            assert!(
                sentence.contains(' ') && sentence.len() < 300,
                "{error:?}: {sentence}"
            );
            for word in ["Other", "Context", "[", "{", "::", "Error", "(\""] {
                assert!(!sentence.contains(word), "{error:?}: {sentence}");
            }
        }
        assert_eq!(reason_of(&io::Error::other("something else")), None);
    }

    #[test]
    fn names_of_a_certificate_are_listed_plainly_and_only_the_first_few() {
        let many: Vec<String> = (0..50)
            .map(|number| format!("DnsName(\"{number}.example.test\")"))
            .collect();
        let message = RefusedCertificate::UNKNOWN.wrong_name("www.example.test", &many);
        assert!(
            message.contains("0.example.test, 1.example.test") && message.contains("46 more"),
            "{message}"
        );
        assert_eq!(plain_name("IpAddress(192.0.2.1)"), "192.0.2.1");
        assert_eq!(plain_name("odd\u{7}"), "odd");
    }
}

//! Reasons: what went wrong with TLS, in sentences that say what to do.
//!
//! A verifier sees the certificate and says what is wrong with it ([`told_of`]); the sentence travels inside the error,
//! and [`sentence_of`] gets it out again, or says in plain words what else went wrong with the handshake.

use std::io;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, Error, OtherError, PeerIncompatible,
};
use x509_cert::certificate::Version;
use x509_cert::der::{Decode, Reader, SliceReader, asn1::UintRef};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

/// Names of a certificate that are told at most.
const MOST_NAMES: usize = 4;

const OR_UNVERIFIED: &str = "or put verify = false";
const USABLE: &str =
    "use RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519, signed with SHA-256 or longer";

/// Why a certificate was refused, as part of an error of the TLS library.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// An error about this certificate, with a sentence inside.
pub fn told_of(error: Error, leaf: &CertificateDer<'_>) -> Error {
    match error {
        Error::InvalidCertificate(about) => {
            let sentence = certificate_sentence(&about, leaf);
            CertificateError::Other(OtherError(std::sync::Arc::new(Refused(sentence)))).into()
        }
        error => error,
    }
}

/// The sentence about what went wrong on a connection; `None`: it has nothing to do with TLS.
pub fn sentence_of(error: &io::Error) -> Option<String> {
    error.get_ref()?.downcast_ref::<Error>().map(tls_sentence)
}

/// What is at the bottom of an error, in plain words: the outer ones only say that an exchange failed.
pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let io = cause.downcast_ref::<io::Error>();
    let tls = cause.downcast_ref::<Error>().map(tls_sentence);
    tls.or_else(|| io.and_then(sentence_of))
        .unwrap_or_else(|| cause.to_string())
}

/// An error of the TLS library in plain words.
pub fn tls_sentence(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(about) => match about {
            CertificateError::Other(OtherError(inner)) if inner.is::<Refused>() => {
                inner.to_string()
            }
            about => certificate_sentence(about, &CertificateDer::from(&[][..])),
        },
        Error::NoCertificatesPresented => "it shows no certificate".to_owned(),
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerSentOversizedRecord => {
            "what it sends is no TLS, or broken: is this the port of a TLS server?".to_owned()
        }
        Error::PeerIncompatible(about) => incompatible(about),
        Error::AlertReceived(alert) => alert_sentence(*alert),
        Error::NoApplicationProtocol => {
            "it speaks none of the protocols that were offered (ALPN)".to_owned()
        }
        Error::DecryptError => {
            "what it sends cannot be decrypted: something on the way changes it".to_owned()
        }
        Error::PeerMisbehaved(_) => "it does not keep to the rules of TLS".to_owned(),
        Error::General(sentence) => sentence.clone(),
        _ => "TLS failed on this side".to_owned(),
    }
}

fn incompatible(about: &PeerIncompatible) -> String {
    match about {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => {
            "it speaks only versions of TLS before 1.2: enable 1.2 or 1.3 there".to_owned()
        }
        _ => "it and this server have no way of TLS in common: enable ECDHE with AES-GCM or ChaCha20 there".to_owned(),
    }
}

fn alert_sentence(alert: AlertDescription) -> String {
    let what = match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "it wants a certificate from its clients: state client_cert and client_key"
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => "it does not accept our client certificate",
        AlertDescription::UnrecognisedName => "it does not serve this name: state its host",
        AlertDescription::ProtocolVersion => "it speaks neither TLS 1.2 nor 1.3",
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            return format!(
                "it refuses the handshake (alert {}): it wants a client certificate (client_cert, client_key), or has no key or cipher that can be \
                 verified here: {USABLE}, {OR_UNVERIFIED}",
                u8::from(alert)
            );
        }
        AlertDescription::NoApplicationProtocol => {
            "it does not speak the protocol that was offered (ALPN)"
        }
        _ => "it broke off the handshake",
    };
    format!("{what} (alert {})", u8::from(alert))
}

fn certificate_sentence(about: &CertificateError, leaf: &CertificateDer<'_>) -> String {
    match about {
        CertificateError::Expired => {
            format!("the certificate has expired: renew it, {OR_UNVERIFIED}")
        }
        CertificateError::ExpiredContext { time, not_after } => {
            let ago = between(*not_after, *time);
            format!(
                "the certificate, or one that it rests on, expired {ago} ago: renew it, {OR_UNVERIFIED}"
            )
        }
        CertificateError::NotValidYet => {
            "the certificate is not valid yet: compare the clocks".to_owned()
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            let wait = between(*time, *not_before);
            format!(
                "the certificate, or one that it rests on, is valid only in {wait}: compare the clocks"
            )
        }
        CertificateError::UnknownIssuer => unknown_issuer(leaf),
        CertificateError::NotValidForName => {
            "the certificate is for another name: state its host".to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => other_name(&expected.to_str(), presented, leaf),
        CertificateError::BadEncoding => {
            format!("the certificate cannot be read: issue it anew, {OR_UNVERIFIED}")
        }
        CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            unverifiable(leaf, about)
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!(
                "the certificate is not meant for servers: issue it with the extended key usage serverAuth, {OR_UNVERIFIED}"
            )
        }
        CertificateError::UnhandledCriticalExtension => {
            format!(
                "the certificate has a critical extension that is not known here: leave it out, {OR_UNVERIFIED}"
            )
        }
        CertificateError::Revoked => "the certificate was revoked: get another".to_owned(),
        CertificateError::Other(OtherError(inner)) => match inner.downcast_ref::<webpki::Error>() {
            Some(error) => webpki_sentence(error, leaf),
            None => format!("the certificate cannot be verified: {inner}"),
        },
        // The deprecated variant of the unsupported algorithms is among the others.
        _ => unverifiable(leaf, about),
    }
}

fn webpki_sentence(error: &webpki::Error, leaf: &CertificateDer<'_>) -> String {
    let what = match error {
        webpki::Error::CaUsedAsEndEntity => {
            "the certificate is an authority's: put it into ca_file, or issue one for the server by it"
        }
        webpki::Error::UnsupportedCertVersion => return old_version(),
        webpki::Error::EndEntityUsedAsCa => {
            "a certificate of the chain is issued by one that is no authority (CA:TRUE is missing): issue it anew"
        }
        webpki::Error::NameConstraintViolation => {
            "its authority may not issue certificates for this name"
        }
        webpki::Error::PathLenConstraintViolated => "its chain is longer than its authority allows",
        webpki::Error::UnsupportedCriticalExtension => {
            "the certificate, or one that it rests on, has a critical extension that is not known here: leave it out"
        }
        webpki::Error::MaximumPathBuildCallsExceeded
        | webpki::Error::MaximumPathDepthExceeded
        | webpki::Error::MaximumSignatureChecksExceeded
        | webpki::Error::MaximumNameConstraintComparisonsExceeded => {
            "its chain is too long or too tangled to be verified: send the chain alone"
        }
        webpki::Error::InvalidSerialNumber => {
            "the serial number of the certificate is negative or too long"
        }
        webpki::Error::SignatureAlgorithmMismatch => {
            "the certificate names two different signature algorithms"
        }
        _ if is_version_1(leaf) => return old_version(),
        _ => "the certificate is malformed: issue it anew",
    };
    format!("{what}, {OR_UNVERIFIED}")
}

fn old_version() -> String {
    format!(
        "a certificate of X.509 version 1 or 2 cannot be verified: issue it as version 3 with a subjectAltName, {OR_UNVERIFIED}"
    )
}

fn unknown_issuer(leaf: &CertificateDer<'_>) -> String {
    let parsed = x509_cert::Certificate::from_der(leaf).ok();
    if parsed.is_some_and(|parsed| parsed.tbs_certificate.issuer == parsed.tbs_certificate.subject)
    {
        return format!(
            "the certificate is self-signed and not trusted: put it into ca_file, {OR_UNVERIFIED}"
        );
    }
    format!(
        "the certificate is issued by nobody who is trusted: put its authority into ca_file, have the server send the \
         certificates between, {OR_UNVERIFIED}"
    )
}

fn other_name(expected: &str, presented: &[String], leaf: &CertificateDer<'_>) -> String {
    if presented.is_empty() {
        if is_version_1(leaf) {
            return old_version();
        }
        return format!(
            "the certificate names no host in a subjectAltName (its common name does not count): issue it with {expected} \
             there, {OR_UNVERIFIED}"
        );
    }
    let told = presented
        .iter()
        .take(MOST_NAMES)
        .map(|name| plain_name(name));
    let mut told: Vec<String> = told.collect();
    if presented.len() > MOST_NAMES {
        told.push(format!("{} more", presented.len() - MOST_NAMES));
    }
    let told = told.join(", ");
    format!(
        "the certificate is for {told}, not for {expected}: state the right host, or issue it for this one"
    )
}

/// `DnsName("www.example.com")` as the library tells it, without what is around it.
fn plain_name(name: &str) -> String {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(name);
    inner
        .trim_matches('"')
        .chars()
        .filter(|letter| !letter.is_control())
        .take(255)
        .collect()
}

fn unverifiable(leaf: &CertificateDer<'_>, about: &CertificateError) -> String {
    let parsed = x509_cert::Certificate::from_der(leaf).ok();
    let key = parsed.map(|parsed| key_of(&parsed.tbs_certificate.subject_public_key_info));
    match key {
        Some((key, false)) => {
            format!(
                "the certificate has {key}, which cannot be verified here: {USABLE}, {OR_UNVERIFIED}"
            )
        }
        _ if matches!(about, CertificateError::BadSignature) => {
            format!(
                "a signature of the certificate's chain is wrong, or its key has less than 2048 bits; {OR_UNVERIFIED}"
            )
        }
        _ => {
            format!(
                "the certificate, or one that it rests on, is signed in a way that cannot be verified here: {USABLE}, {OR_UNVERIFIED}"
            )
        }
    }
}

/// A key in words, and whether its signatures can be verified.
fn key_of(key: &SubjectPublicKeyInfoOwned) -> (String, bool) {
    let curve = || {
        key.algorithm
            .parameters
            .as_ref()
            .and_then(|it| it.decode_as::<x509_cert::spki::ObjectIdentifier>().ok())
    };
    match key.algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.1.1" => match rsa_bits(key.subject_public_key.raw_bytes()) {
            Some(bits) => (
                format!("an RSA key of {bits} bits"),
                (2048..=8192).contains(&bits),
            ),
            None => ("an RSA key that cannot be read".to_owned(), false),
        },
        "1.2.840.113549.1.1.10" => ("a key for RSASSA-PSS alone".to_owned(), false),
        "1.2.840.10045.2.1" => match curve().map(|curve| curve.to_string()).as_deref() {
            Some("1.2.840.10045.3.1.7") => ("a P-256 key".to_owned(), true),
            Some("1.3.132.0.34") => ("a P-384 key".to_owned(), true),
            Some("1.3.132.0.35") => ("a P-521 key".to_owned(), false),
            _ => ("a key on a rare elliptic curve".to_owned(), false),
        },
        "1.3.101.112" => ("an Ed25519 key".to_owned(), true),
        "1.3.101.113" => ("an Ed448 key".to_owned(), false),
        "1.2.840.10040.4.1" => ("a DSA key".to_owned(), false),
        _ => ("a key of a rare kind".to_owned(), false),
    }
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

fn is_version_1(leaf: &CertificateDer<'_>) -> bool {
    x509_cert::Certificate::from_der(leaf)
        .is_ok_and(|parsed| parsed.tbs_certificate.version != Version::V3)
}

/// `3 days`, or less in hours.
fn between(earlier: UnixTime, later: UnixTime) -> String {
    let hours =
        Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs())).as_secs() / 3600;
    match hours {
        0 => "less than an hour".to_owned(),
        1..48 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        let told = about_certificates()
            .into_iter()
            .map(|about| told_of(about.into(), &leaf));
        for error in told.chain(handshakes) {
            let sentence =
                sentence_of(&io::Error::new(io::ErrorKind::InvalidData, error.clone())).unwrap();
            assert!(
                sentence.contains(' ') && sentence.len() < 300,
                "{error:?}: {sentence}"
            );
            for word in ["Other", "Context", "[", "{", "::", "Error", "(\""] {
                assert!(!sentence.contains(word), "{error:?}: {sentence}");
            }
        }
        assert_eq!(sentence_of(&io::Error::other("something else")), None);
    }

    #[test]
    fn names_of_a_certificate_are_told_in_plain_form_and_not_all_of_many() {
        let many: Vec<String> = (0..50)
            .map(|number| format!("DnsName(\"{number}.example.test\")"))
            .collect();
        let told = other_name("www.example.test", &many, &CertificateDer::from(&[][..]));
        assert!(
            told.contains("0.example.test, 1.example.test") && told.contains("46 more"),
            "{told}"
        );
        assert_eq!(plain_name("IpAddress(192.0.2.1)"), "192.0.2.1");
        assert_eq!(plain_name("odd\u{7}"), "odd");
    }
}

//! What a check over TLS wants of certificates, and the one that it shows.

use std::path::{Path, PathBuf};

use super::error::ConfigReport;
use super::read::TableField;
use super::values::BoundedDuration;
use crate::files::FileKind;
use crate::health::check::CertificateRule;
use crate::health::probe::{CheckAuthorities, ClientIdentity, IdentityError};

/// What is wanted of the endpoint's certificate.
pub fn resolve(
    verify: TableField<bool>,
    file: TableField<PathBuf>,
    expiry_warning: TableField<BoundedDuration<0, 31_536_000_000>>,
    folder: &Path,
    report: &mut ConfigReport<'_>,
) -> CertificateRule {
    let usual = CertificateRule::default();
    let verify = verify.or(usual.verify);
    if let Some(at) = file.at().filter(|_| !verify) {
        report.warning(
            at,
            "the ca_file means nothing where verify = false".to_owned(),
        );
    }
    let authorities = file.given().and_then(|file| {
        let path = folder.join(&file.value);
        let read = report
            .read_file(&path, FileKind::Certificates)
            .and_then(|text| CheckAuthorities::from_pem(&text));
        read.map_err(|sentence| report.error(file.at, format!("{}: {sentence}", path.display())))
            .ok()
    });
    let expiry_warning = expiry_warning
        .value()
        .map_or(usual.expiry_warning, |warning| warning.0);
    CertificateRule {
        verify,
        authorities,
        expiry_warning,
        ..usual
    }
}

/// The certificate that is shown to endpoints that ask for one; both files, or neither.
pub fn resolve_identity(
    certificate: TableField<PathBuf>,
    key: TableField<PathBuf>,
    folder: &Path,
    report: &mut ConfigReport<'_>,
) -> Option<ClientIdentity> {
    if certificate.is_absent() != key.is_absent()
        && let Some(at) = certificate.at().or(key.at())
    {
        report.error(
            at,
            "client_cert and client_key go together: state both, or neither".to_owned(),
        );
    }
    let (Some(certificate), Some(key)) = (certificate.given(), key.given()) else {
        return None;
    };
    let (public, private) = (folder.join(&certificate.value), folder.join(&key.value));
    let told = |path: &Path, sentence: String| format!("{}: {sentence}", path.display());
    let read = report
        .read_file(&public, FileKind::Certificates)
        .map_err(|sentence| (certificate.at, told(&public, sentence)));
    let read = read.and_then(|public| {
        let private = report.read_secret(&private, FileKind::Key);
        Ok((
            public,
            private.map_err(|sentence| (key.at, told(&folder.join(&key.value), sentence)))?,
        ))
    });
    let identity = read.and_then(|(certificate_text, key_text)| {
        ClientIdentity::from_pem(&certificate_text, &key_text).map_err(|error| match error {
            IdentityError::Certificate(sentence) => (certificate.at, told(&public, sentence)),
            IdentityError::Key(sentence) => (key.at, told(&private, sentence)),
        })
    });
    identity
        .map_err(|(at, sentence)| report.error(at, sentence))
        .ok()
}

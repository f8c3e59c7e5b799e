//! The certificates of a check over TLS: the authorities it trusts and the certificate it presents.
//!
//! The files are read while the configuration is checked. A file that is missing or broken is
//! therefore a mistake of the configuration, reported at the key that names it.

use std::path::{Path, PathBuf};

use crate::config::document::{ConfigReport, Setting, TableField, WithOffset};
use crate::config::values::plain::BoundedDuration;
use crate::files::FileKind;
use crate::health::check::CertificateRule;
use crate::health::probe::{CheckAuthorities, ClientIdentity, IdentityError};

/// What is demanded of the endpoint's certificate.
pub fn resolve(
    verify: &Setting<bool>,
    file: TableField<PathBuf>,
    expiry_warning: &Setting<BoundedDuration<0, 31_536_000_000>>,
    folder: &Path,
    report: &mut ConfigReport,
) -> CertificateRule {
    let verify = verify.value;
    if let Some(at) = file.at()
        && !verify
    {
        report.warning(
            at,
            "the ca_file means nothing where verify = false".to_owned(),
        );
    }
    let authorities = file
        .given()
        .and_then(|file| read_authorities(&file, folder, report));
    CertificateRule {
        verify,
        authorities,
        identity: None,
        expiry_warning: expiry_warning.value.0,
    }
}

/// The authorities in a file.
pub(super) fn read_authorities(
    file: &WithOffset<PathBuf>,
    folder: &Path,
    report: &mut ConfigReport,
) -> Option<CheckAuthorities> {
    let path = folder.join(&file.value);
    let read = report
        .read_file(&path, FileKind::Certificates)
        .and_then(|text| CheckAuthorities::from_pem(&text));
    match read {
        Ok(authorities) => Some(authorities),
        Err(sentence) => {
            report.error(file.at, format!("{}: {sentence}", path.display()));
            None
        }
    }
}

/// The certificate that is shown to endpoints that ask for one; both files, or neither.
pub fn resolve_identity(
    certificate: TableField<PathBuf>,
    key: TableField<PathBuf>,
    folder: &Path,
    report: &mut ConfigReport,
) -> Option<ClientIdentity> {
    if certificate.is_absent() != key.is_absent()
        && let Some(at) = certificate.at().or(key.at())
    {
        report.error(
            at,
            "client_cert and client_key go together: state both, or neither".to_owned(),
        );
    }
    let (certificate, key) = (certificate.given()?, key.given()?);
    match read_identity(&certificate, &key, folder, report) {
        Ok(identity) => Some(identity),
        Err(FileMistake { at, path, sentence }) => {
            report.error(at, format!("{}: {sentence}", path.display()));
            None
        }
    }
}

/// What is wrong with a file, and where the file is named.
struct FileMistake {
    at: usize,
    path: PathBuf,
    sentence: String,
}

impl FileMistake {
    fn of(at: usize, path: &Path) -> FileMistake {
        FileMistake {
            at,
            path: path.to_owned(),
            sentence: String::new(),
        }
    }

    fn saying(self, sentence: String) -> FileMistake {
        FileMistake { sentence, ..self }
    }
}

fn read_identity(
    certificate: &WithOffset<PathBuf>,
    key: &WithOffset<PathBuf>,
    folder: &Path,
    report: &mut ConfigReport,
) -> Result<ClientIdentity, FileMistake> {
    let certificate_path = folder.join(&certificate.value);
    let key_path = folder.join(&key.value);
    let in_certificate = FileMistake::of(certificate.at, &certificate_path);
    let in_key = FileMistake::of(key.at, &key_path);
    let certificate_text = match report.read_file(&certificate_path, FileKind::Certificates) {
        Ok(text) => text,
        Err(sentence) => return Err(in_certificate.saying(sentence)),
    };
    let key_text = match report.read_secret(&key_path, FileKind::Key) {
        Ok(text) => text,
        Err(sentence) => return Err(in_key.saying(sentence)),
    };
    ClientIdentity::from_pem(&certificate_text, &key_text).map_err(|error| match error {
        IdentityError::Certificate(sentence) => in_certificate.saying(sentence),
        IdentityError::Key(sentence) => in_key.saying(sentence),
    })
}

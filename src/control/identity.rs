//! The TLS certificates: one for DNS over TLS, HTTPS and QUIC, and one for the admin server.
//!
//! A certificate and its key are read from files at the start, and again when the files change. The
//! key file must be readable by the server's user only. An expired certificate is still
//! used, with a warning.

use std::sync::Arc;
use std::time::SystemTime;

use tokio_rustls::rustls::sign::CertifiedKey;

use super::private_file::{self, FileMessages};
use crate::config::{Config, IdentityFiles};
use crate::files::{self, FileKind, FilePrint};
use crate::health::probe::certificate::expires_in_days;
use crate::server::encrypted::{PemError, TlsIdentity};

/// A value for each of the two certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfEach<T> {
    /// For the encrypted transports of DNS.
    pub dns: T,
    /// For the admin server.
    pub admin: T,
}

/// The prints of a certificate file and its key file, which show when they change. `None`: there
/// are none, or one cannot be read.
pub type IdentityPrints = Option<[FilePrint; 2]>;

/// The certificate files of a configuration; `None`: no listener needs a certificate.
pub(super) fn files_of(config: &Config) -> OfEach<Option<&IdentityFiles>> {
    OfEach {
        dns: config.server.encrypted.identity.as_ref(),
        admin: config.admin.tls.as_ref(),
    }
}

/// The paths of all certificates and keys.
pub fn paths(config: &Config) -> impl Iterator<Item = &std::path::PathBuf> {
    let OfEach { dns, admin } = files_of(config);
    [dns, admin]
        .into_iter()
        .flatten()
        .flat_map(|files| [&files.certificate, &files.key])
}

/// The prints of the files as they are now.
pub(super) fn prints(files: Option<&IdentityFiles>) -> IdentityPrints {
    let IdentityFiles { certificate, key } = files?;
    Some([FilePrint::of(certificate)?, FilePrint::of(key)?])
}

/// A certificate with its key and the prints of their files. Empty if no listener needs one.
#[derive(Default)]
pub struct FoundIdentity {
    /// Taken before reading, so that a file that changes in between is read again.
    pub prints: IdentityPrints,
    /// The certificate with its key.
    pub key: Option<Arc<CertifiedKey>>,
    /// A warning that the certificate has expired.
    pub warning: Option<String>,
}

/// Reads the certificates of a configuration.
///
/// # Errors
/// A sentence for each certificate that cannot be used, with its file.
pub fn read(config: &Config) -> Result<OfEach<FoundIdentity>, Vec<String>> {
    let OfEach { dns, admin } = files_of(config);
    match (read_one(dns), read_one(admin)) {
        (Ok(dns), Ok(admin)) => Ok(OfEach { dns, admin }),
        (dns, admin) => Err([dns.err(), admin.err()].into_iter().flatten().collect()),
    }
}

pub(super) fn read_one(files: Option<&IdentityFiles>) -> Result<FoundIdentity, String> {
    let Some(IdentityFiles { certificate, key }) = files else {
        return Ok(FoundIdentity::default());
    };
    let prints = prints(files);
    let words = FileMessages {
        content: "the private key",
        file: "the file of the private key",
        kept: "keeps it a secret",
    };
    let private = private_file::read(key, FileKind::Key, words)?;
    let public = files::read(certificate, FileKind::Certificates)
        .map_err(|error| format!("{}: the certificate {error}", certificate.display()))?;
    let identity =
        TlsIdentity::read(&public.octets, private.as_bytes()).map_err(|error| match error {
            PemError::Certificate(sentence) => format!("{}: {sentence}", certificate.display()),
            PemError::Key(sentence) => format!("{}: {sentence}", key.display()),
        })?;
    let mut warning = None;
    if let Some(first) = identity.cert.first()
        && expires_in_days(first, SystemTime::now()).is_some_and(|days| days < 0)
    {
        warning = Some(format!(
            "{}: the certificate has expired; clients that verify it will not ask",
            certificate.display()
        ));
    }
    Ok(FoundIdentity {
        prints,
        key: Some(Arc::new(identity)),
        warning,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::config;

    fn config(folder: &Path) -> Config {
        let text = "[server]\nlisten_tls = [\"127.0.0.1\"]\n[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"";
        config::parse(text, &folder.join("meridian.toml"))
            .unwrap()
            .config
    }

    fn write(folder: &Path, certificate: &str, key: &str, mode: u32) {
        fs::write(folder.join("c.pem"), certificate).unwrap();
        fs::write(folder.join("k.pem"), key).unwrap();
        fs::set_permissions(folder.join("k.pem"), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn mistakes_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["ns.example.test".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let mistake = || {
            let sentences = read(&config(folder.path())).err().unwrap();
            sentences
                .join("\n")
                .replace(&format!("{}/", folder.path().display()), "")
        };
        assert_eq!(
            mistake(),
            "k.pem: cannot read the private key: No such file or directory (os error 2)"
        );
        write(folder.path(), &certificate, &key, 0o644);
        assert!(
            mistake().starts_with("k.pem: others may read the private key (mode 644)"),
            "{}",
            mistake()
        );
        write(folder.path(), "", &key, 0o600);
        assert_eq!(mistake(), "c.pem: it holds no certificate");
        write(folder.path(), &certificate, "x", 0o600);
        assert!(
            mistake().starts_with("k.pem: it holds no private key"),
            "{}",
            mistake()
        );
        write(folder.path(), &certificate, &key, 0o600);
        assert!(
            read(&config(folder.path()))
                .is_ok_and(|found| found.dns.key.is_some() && found.dns.prints.is_some())
        );
        fs::remove_file(folder.path().join("c.pem")).unwrap();
        assert_eq!(
            mistake(),
            "c.pem: the certificate cannot be read: No such file or directory (os error 2)"
        );
    }
}

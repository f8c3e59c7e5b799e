//! The certificate of the encrypted transports: read from its two files, and read again when they change.

use std::sync::Arc;
use std::time::SystemTime;

use tokio_rustls::rustls::sign::CertifiedKey;

use super::private_file::{self, Words};
use super::reload::Control;
use crate::config::{Config, IdentityFiles};
use crate::files::{self, FileKind, FilePrint};
use crate::health::probe::certificate::expires_in_days;
use crate::server::encrypted::{Identity, PemError};

/// What tells the certificate and key of a configuration from the next ones; `None`: there are none, or one cannot be
/// looked at.
pub type Prints = Option<[FilePrint; 2]>;

/// The files as they are now.
pub fn prints(config: &Config) -> Prints {
    let IdentityFiles { certificate, key } = config.server.encrypted.identity.as_ref()?;
    Some([FilePrint::of(certificate)?, FilePrint::of(key)?])
}

/// A certificate with its key, and what tells its files from the next ones; nothing, where nothing listens that needs one.
#[derive(Default)]
pub struct Found {
    /// Taken before reading: a file that changes meanwhile is read again.
    pub prints: Prints,
    /// Ready to be shown.
    pub key: Option<Arc<CertifiedKey>>,
}

/// Reads the certificate of a configuration.
///
/// # Errors
/// A sentence with the file.
pub fn read(config: &Config) -> Result<Found, String> {
    let Some(IdentityFiles { certificate, key }) = &config.server.encrypted.identity else {
        return Ok(Found::default());
    };
    let prints = prints(config);
    let words = Words { content: "the private key", file: "the file of the private key", kept: "keeps it a secret" };
    let private = private_file::read(key, FileKind::Key, words)?;
    let public = files::read(certificate, FileKind::Certificates)
        .map_err(|error| format!("{}: the certificate {error}", certificate.display()))?;
    let identity = Identity::read(&public.octets, private.as_bytes()).map_err(|error| match error {
        PemError::Certificate(sentence) => format!("{}: {sentence}", certificate.display()),
        PemError::Key(sentence) => format!("{}: {sentence}", key.display()),
    })?;
    Ok(Found { prints, key: Some(Arc::new(identity)) })
}

/// A warning about a certificate that has expired.
pub fn warning(config: &Config, found: &Found) -> Option<String> {
    let file = config.server.encrypted.identity.as_ref()?.certificate.display();
    let days = expires_in_days(found.key.as_ref()?.cert.first()?, SystemTime::now())?;
    (days < 0).then(|| format!("{file}: the certificate has expired; clients that verify it will not ask"))
}

impl Control {
    /// Looks whether the certificate or its key is another than the one that was read, and shows the new one to new
    /// connections; what cannot be used is told, and the one before is shown still.
    pub fn renew_identity(&self) {
        let config = self.current().config.clone();
        // Looked at without the lock: the file may be on a mount that hangs.
        let now = prints(&config);
        {
            let mut current = self.current();
            if now.is_none() || now == current.identity {
                return;
            }
            // What is refused is not read again until it changes again.
            current.identity = now;
        }
        match read(&config) {
            Ok(found) => {
                warning(&config, &found).inspect(|warning| tracing::warn!("{warning}"));
                self.identity().show(found.key);
                tracing::info!("the certificate was renewed");
            }
            Err(sentence) => {
                tracing::error!("the new certificate was refused, the one before is shown still:\n  {sentence}");
            }
        }
    }
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
        config::parse(text, &folder.join("meridian.toml")).unwrap().config
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
            let sentence = read(&config(folder.path())).err().unwrap();
            sentence.replace(&format!("{}/", folder.path().display()), "")
        };
        assert_eq!(mistake(), "k.pem: cannot read the private key: No such file or directory (os error 2)");
        write(folder.path(), &certificate, &key, 0o644);
        assert!(mistake().starts_with("k.pem: others may read the private key (mode 644)"), "{}", mistake());
        write(folder.path(), "", &key, 0o600);
        assert_eq!(mistake(), "c.pem: it holds no certificate");
        write(folder.path(), &certificate, "x", 0o600);
        assert!(mistake().starts_with("k.pem: it holds no private key"), "{}", mistake());
        write(folder.path(), &certificate, &key, 0o600);
        assert!(read(&config(folder.path())).is_ok_and(|found| found.key.is_some() && found.prints.is_some()));
        fs::remove_file(folder.path().join("c.pem")).unwrap();
        assert_eq!(mistake(), "c.pem: the certificate cannot be read: No such file or directory (os error 2)");
    }
}

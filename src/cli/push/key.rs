//! The key that releases are signed with: Ed25519 in PKCS#8 and PEM (RFC 8410, RFC 7468).

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::pkcs8::Document;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use zeroize::Zeroizing;

use crate::files::{self, FileKind};
use crate::fleet::release::ReleaseSigner;
use crate::new_files::{NewFile, write_new};

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// Characters of base64 on a line (RFC 7468 section 2).
const LINE: usize = 64;

/// Makes a key and writes it to a file that only its owner may read. Returns its public half.
///
/// # Errors
/// A sentence: the file exists already, or cannot be written.
pub fn make(path: &Path) -> Result<String, String> {
    let der = new_der()?;
    let signer = ReleaseSigner::from_pkcs8(der.as_ref())?;
    write_new(&[NewFile::secret(path.to_owned(), pem(der.as_ref()))])?;
    Ok(signer.public())
}

fn new_der() -> Result<Document, String> {
    Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| "the system has no random octets for a key".to_owned())
}

fn pem(der: &[u8]) -> String {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    let mut text = format!("{BEGIN}\n");
    for line in base64.as_bytes().chunks(LINE) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + END + "\n"
}

/// Reads a key.
///
/// # Errors
/// A sentence: the file cannot be read, others may read it, or it holds no such key.
pub fn read(path: &Path) -> Result<ReleaseSigner, String> {
    let name = path.display();
    let (octets, _) = files::read_secret(path, FileKind::Key)
        .map_err(|error| format!("{name}: the file {error}"))?;
    let signer = der_of(&octets).and_then(|der| ReleaseSigner::from_pkcs8(&der));
    signer.map_err(|sentence| format!("{name}: {sentence}"))
}

/// The key in a text.
fn der_of(octets: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = str::from_utf8(octets).unwrap_or_default();
    let Some(body) = body_of(text) else {
        let sentence = "there is no PRIVATE KEY block; `meridian push --new-key FILE` makes a key";
        return Err(sentence.to_owned());
    };
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    base64.extend(body.bytes().filter(|octet| !octet.is_ascii_whitespace()));
    match STANDARD.decode(&base64[..]) {
        Ok(der) => Ok(Zeroizing::new(der)),
        Err(_) => Err("the PRIVATE KEY block is not base64".to_owned()),
    }
}

fn body_of(text: &str) -> Option<&str> {
    let (_, after) = text.split_once(BEGIN)?;
    let (body, _) = after.split_once(END)?;
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.key");
        let public = make(&path).unwrap();
        assert_eq!(read(&path).unwrap().public(), public);
        assert!(make(&path).unwrap_err().contains("is there already"));
        std::fs::write(&path, "no key").unwrap();
        assert!(read(&path).unwrap_err().contains("no PRIVATE KEY block"));
    }
}

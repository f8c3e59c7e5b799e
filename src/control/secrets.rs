//! The file of DNS cookie secrets.
//!
//! The servers of an anycast set share this file, so that each accepts the cookies of the others.

use std::path::Path;

use super::private_file::{self, FileMessages};
use crate::dns::cookie::{CookieSecret, CookieSecrets};
use crate::files::FileKind;

/// Reads a file of one or two secrets, each a line of 32 hexadecimal digits. The first makes new
/// cookies, and both verify cookies. Empty lines and lines that start with `#` are ignored.
///
/// # Errors
/// A sentence with the file: it cannot be read, others may read it, or a line is not a secret.
pub fn read(path: &Path) -> Result<CookieSecrets, String> {
    let words = FileMessages {
        content: "the cookie secrets",
        file: "the file of cookie secrets",
        kept: "keeps them secret",
    };
    let text = private_file::read(path, FileKind::Secret, words)?;
    let name = path.display();
    parse(&text).map_err(|(line, sentence)| format!("{name}:{line}:1: {sentence}"))
}

/// Reads the text; the error has the line.
fn parse(text: &str) -> Result<CookieSecrets, (usize, String)> {
    let mut secrets = Vec::new();
    for (line, words) in (1..).zip(text.lines().map(str::trim)) {
        if words.is_empty() || words.starts_with('#') {
            continue;
        }
        let sentence = "a cookie secret is 32 hexadecimal digits; `openssl rand -hex 16` makes one";
        let secret = secret(words).ok_or_else(|| (line, sentence.to_owned()))?;
        if secrets.len() == 2 {
            return Err((
                line,
                "at most two cookie secrets are known at a time; take the oldest out".to_owned(),
            ));
        }
        secrets.push(secret);
    }
    let mut secrets = secrets.into_iter();
    let making = secrets
        .next()
        .ok_or((1, "the file holds no cookie secret".to_owned()))?;
    Ok(CookieSecrets::new(making, secrets.next()))
}

fn secret(digits: &str) -> Option<CookieSecret> {
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let number = u128::from_str_radix(digits, 16).ok()?;
    Some(CookieSecret::new(number.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const FIRST: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const SECOND: &str = "445536bcd2513298075a5d379663c962";

    fn read_text(text: &str, mode: u32) -> Result<CookieSecrets, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read(&path).map_err(|sentence| sentence.replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn the_first_makes_and_both_are_known() {
        let octets =
            |hex: &str| CookieSecret::new(u128::from_str_radix(hex, 16).unwrap().to_be_bytes());
        let both = CookieSecrets::new(octets(FIRST), Some(octets(SECOND)));
        assert_eq!(
            read_text(&format!("# ours\n{FIRST}\n\n  {SECOND}\n"), 0o600),
            Ok(both)
        );
        assert_eq!(
            read_text(FIRST, 0o400),
            Ok(CookieSecrets::new(octets(FIRST), None))
        );
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, mode, mistake) in [
            ("", 0o600, "FILE:1:1: the file holds no cookie secret"),
            (
                "# one\nabc",
                0o600,
                "FILE:2:1: a cookie secret is 32 hexadecimal digits; `openssl rand -hex 16` makes one",
            ),
            (
                "+5e973e5a6b2a43f48e7dc849e37bfcf",
                0o600,
                "FILE:1:1: a cookie secret is 32 hexadecimal digits; `openssl rand -hex 16` makes one",
            ),
            (
                FIRST,
                0o644,
                "FILE: others may read the cookie secrets (mode 644); `chmod 600 FILE` keeps them secret",
            ),
        ] {
            assert_eq!(read_text(text, mode), Err(mistake.to_owned()));
        }
        let three = [FIRST, SECOND, FIRST].join("\n");
        let mistake =
            "FILE:3:1: at most two cookie secrets are known at a time; take the oldest out";
        assert_eq!(read_text(&three, 0o600), Err(mistake.to_owned()));
    }
}

//! The place of a key in a PKCS#11 token, as a URI (RFC 7512): `pkcs11:token=zones;object=example.com`.
//!
//! A URI says which token is meant, and which object in it. Behind a question mark it may say which
//! module talks to the token and where its PIN lies, as other programs write it. A PIN itself is
//! refused: the files that hold such URIs are no place for secrets. Attributes that describe a module
//! or a slot in words are read and left out.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Which token is meant; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TokenSelector {
    /// Its label.
    pub token: Option<String>,
    /// Who made it.
    pub manufacturer: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// The number of the slot that it is in.
    pub slot: Option<u64>,
}

/// Which object of a token is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TokenObject {
    /// Its label.
    pub label: Option<String>,
    /// Its id (CKA_ID).
    pub id: Option<Vec<u8>>,
}

/// A PKCS#11 URI.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenUri {
    /// The token.
    pub selector: TokenSelector,
    /// The object.
    pub object: TokenObject,
    /// `module-path`: the library that talks to the token.
    pub module: Option<PathBuf>,
    /// `pin-source`: the file with the PIN.
    pub pin_file: Option<PathBuf>,
}

/// A token, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenAddress {
    /// The library that talks to it.
    pub module: PathBuf,
    /// The file with its PIN; `None`: it wants none.
    pub pin_file: Option<PathBuf>,
    /// Which of the tokens of the module it is.
    pub selector: TokenSelector,
}

impl TokenUri {
    /// The same token and another object.
    pub fn with_object(&self, object: TokenObject) -> TokenUri {
        TokenUri {
            object,
            ..self.clone()
        }
    }

    /// Whether it names an object.
    pub fn has_object(&self) -> bool {
        self.object != TokenObject::default()
    }

    fn read_path(&mut self, name: &str, value: &str) -> Result<(), String> {
        let selector = &mut self.selector;
        let place = match name {
            "token" => &mut selector.token,
            "manufacturer" => &mut selector.manufacturer,
            "model" => &mut selector.model,
            "serial" => &mut selector.serial,
            "object" => &mut self.object.label,
            "id" => return set(&mut self.object.id, name, octets(value)?),
            "slot-id" => {
                let number = value.parse();
                let number = number.map_err(|_| format!("slot-id is \"{value}\", no number"))?;
                return set(&mut selector.slot, name, number);
            }
            "type" if value == "private" => return Ok(()),
            "type" => return Err(format!("type is \"{value}\"; a key that signs is private")),
            "library-description"
            | "library-manufacturer"
            | "library-version"
            | "slot-description"
            | "slot-manufacturer" => return Ok(()),
            _ => return Err(format!("\"{name}\" is no attribute of a PKCS#11 URI")),
        };
        set(place, name, text(value)?)
    }

    fn read_query(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "module-path" => set(&mut self.module, name, text(value)?.into()),
            "pin-source" => {
                let source = text(value)?;
                let path = match source.strip_prefix("file:") {
                    // `file:///path` has an empty host.
                    Some(path) => path.strip_prefix("//").unwrap_or(path),
                    None => &source,
                };
                if path.starts_with('|') {
                    return Err("pin-source is a program; name a file with the PIN".to_owned());
                }
                set(&mut self.pin_file, name, path.into())
            }
            "pin-value" => Err(
                "a PIN in a URI is read by everybody who sees the URI; write it to a file of mode \
                 600, and name that with pin-source"
                    .to_owned(),
            ),
            "module-name" => {
                Err("name the module by its path: module-path=/usr/lib/...".to_owned())
            }
            _ => Err(format!("\"{name}\" is no attribute of a PKCS#11 URI")),
        }
    }
}

impl FromStr for TokenUri {
    type Err = String;

    /// Reads a URI.
    ///
    /// # Errors
    /// A sentence: what is wrong with it.
    fn from_str(text: &str) -> Result<TokenUri, String> {
        let rest = text
            .strip_prefix("pkcs11:")
            .ok_or("a key in a token is written as pkcs11:token=NAME;object=NAME (RFC 7512)")?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = TokenUri::default();
        for attribute in path.split(';').filter(|it| !it.is_empty()) {
            let (name, value) = halves(attribute)?;
            uri.read_path(name, value)?;
        }
        for attribute in query.split('&').filter(|it| !it.is_empty()) {
            let (name, value) = halves(attribute)?;
            uri.read_query(name, value)?;
        }
        Ok(uri)
    }
}

fn halves(attribute: &str) -> Result<(&str, &str), String> {
    attribute
        .split_once('=')
        .ok_or_else(|| "an attribute of a PKCS#11 URI is written as name=value".to_owned())
}

fn set<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} stands twice in the PKCS#11 URI")),
    }
}

/// The octets of a value, in which `%41` stands for an octet.
fn octets(value: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut parts = value.split('%');
    octets.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let octet = part
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let rest = part.get(2..).unwrap_or_default();
        octets.push(octet.ok_or_else(|| format!("\"%{part}\" is no octet of a URI"))?);
        octets.extend_from_slice(rest.as_bytes());
    }
    Ok(octets)
}

fn text(value: &str) -> Result<String, String> {
    let text = String::from_utf8(octets(value)?).ok();
    text.filter(|text| !text.contains(char::is_control))
        .ok_or_else(|| format!("\"{value}\" is no text"))
}

impl fmt::Display for TokenUri {
    /// The URI, as it is written to files.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let selector = &self.selector;
        let mut path = Vec::new();
        for (name, value) in [
            ("token", &selector.token),
            ("manufacturer", &selector.manufacturer),
            ("model", &selector.model),
            ("serial", &selector.serial),
            ("object", &self.object.label),
        ] {
            if let Some(value) = value {
                path.push(format!("{name}={}", escaped(value.as_bytes())));
            }
        }
        if let Some(slot) = selector.slot {
            path.push(format!("slot-id={slot}"));
        }
        if let Some(id) = &self.object.id {
            path.push(format!("id={}", all_escaped(id)));
        }
        let mut query = Vec::new();
        if let Some(module) = &self.module {
            query.push(format!("module-path={}", escaped_path(module)));
        }
        if let Some(file) = &self.pin_file {
            let host = if file.is_absolute() { "//" } else { "" };
            query.push(format!("pin-source=file:{host}{}", escaped_path(file)));
        }
        let mark = if query.is_empty() { "" } else { "?" };
        write!(f, "pkcs11:{}{mark}{}", path.join(";"), query.join("&"))
    }
}

fn escaped_path(path: &Path) -> String {
    escaped(path.as_os_str().as_encoded_bytes())
}

/// A value in which everything but letters, digits and a few signs is escaped.
fn escaped(octets: &[u8]) -> String {
    let mut text = String::new();
    for octet in octets {
        match octet {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'/'
            | b':'
            | b'+' => text.push(char::from(*octet)),
            _ => text.push_str(&format!("%{octet:02X}")),
        }
    }
    text
}

/// An id, all octets escaped as RFC 7512 section 2.3 recommends.
fn all_escaped(octets: &[u8]) -> String {
    let mut text = String::new();
    for octet in octets {
        text.push_str(&format!("%{octet:02X}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> TokenUri {
        text.parse().unwrap()
    }

    #[test]
    fn rfc7512_section_3_examples_are_read() {
        let uri = read(
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;\
             model=1.0;object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial=\
             ?pin-source=file:/etc/token_pin",
        );
        let token = uri.selector.token.as_deref();
        assert_eq!(token, Some("The Software PKCS#11 Softtoken"));
        let id = uri.object.id.as_deref();
        assert_eq!(id, Some(&b"\x69\x95\x3e\x5c\xf4\xbd\xec\x91"[..]));
        assert_eq!(uri.pin_file.as_deref(), Some(Path::new("/etc/token_pin")));
        let uri = read("pkcs11:slot-id=327?module-path=/usr/lib/softhsm/libsofthsm2.so");
        assert_eq!(uri.selector.slot, Some(327));
        assert!(!uri.has_object() && uri.module.is_some());
        assert_eq!(read("pkcs11:"), TokenUri::default());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_pin() {
        for (text, told) in [
            ("softhsm", "pkcs11:token=NAME"),
            ("pkcs11:token", "name=value"),
            ("pkcs11:token=a;token=b", "token stands twice"),
            ("pkcs11:lable=a", "no attribute"),
            ("pkcs11:type=cert", "a key that signs is private"),
            ("pkcs11:token=%4", "no octet"),
            ("pkcs11:token=%00", "no text"),
            ("pkcs11:token=%FF", "no text"),
            ("pkcs11:slot-id=x", "no number"),
            ("pkcs11:token=a?pin-value=97531", "pin-source"),
            ("pkcs11:token=a?pin-source=|/bin/sh", "is a program"),
        ] {
            let error = text.parse::<TokenUri>().unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
            assert!(!error.contains("97531"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            token in proptest::option::of("[ -~\u{e4}]{0,12}"),
            label in proptest::option::of("[ -~\u{e4}]{0,12}"),
            id in proptest::option::of(prop::collection::vec(any::<u8>(), 0..6)),
            slot in proptest::option::of(any::<u64>()),
            module in proptest::option::of("/[ -~]{0,12}"),
        ) {
            let uri = TokenUri {
                selector: TokenSelector { token, slot, ..TokenSelector::default() },
                object: TokenObject { label, id },
                module: module.map(Into::into),
                pin_file: None,
            };
            prop_assert_eq!(uri.to_string().parse::<TokenUri>(), Ok(uri));
        }

        #[test]
        fn nothing_that_is_read_panics(text in "pkcs11:.{0,60}") {
            if let Ok(uri) = text.parse::<TokenUri>() {
                prop_assert_eq!(uri.to_string().parse::<TokenUri>(), Ok(uri));
            }
        }
    }
}

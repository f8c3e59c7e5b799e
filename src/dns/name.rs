//! Domain names in wire form (RFC 1035 section 3.1), as zones and the configuration hold them. The
//! query path uses [`SearchName`](super::SearchName) for look-ups.
//!
//! A [`Name`] is always absolute, uncompressed, at most 255 octets, and ends with the root label.
//! Comparison is case-insensitive for ASCII (RFC 4343).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Longest name on the wire, root label included (RFC 1035 section 2.3.4).
pub const MAX_NAME: usize = 255;
/// Longest label (RFC 1035 section 2.3.4).
pub const MAX_LABEL: usize = 63;

/// An absolute domain name in uncompressed wire form, in its original case.
#[derive(Clone)]
pub struct Name(Box<[u8]>);

/// Why a text or octets are not a domain name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameError {
    /// Two dots in a row, or a leading dot.
    EmptyLabel,
    /// A label of more than 63 octets.
    LabelTooLong,
    /// More than 255 octets in all.
    NameTooLong,
    /// Letters beyond ASCII; with the ASCII form if the name is an internationalized one (RFC
    /// 5891).
    NotAscii(Option<Box<str>>),
    /// A backslash that is not followed by a character or by three digits up to 255.
    BadEscape,
    /// Wire form that ends before its root label, or holds a compression pointer.
    BadWire,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::EmptyLabel => "the name has an empty label",
            NameError::LabelTooLong => "the name has a label of more than 63 octets",
            NameError::NameTooLong => "the name is longer than 255 octets",
            NameError::NotAscii(_) => {
                "the name has characters outside ASCII; write it in its xn-- form"
            }
            NameError::BadEscape => {
                "the name has a backslash that is not followed by a character or three digits"
            }
            NameError::BadWire => "the name is cut off or compressed",
        })?;
        match self {
            NameError::NotAscii(Some(form)) => write!(f, ", {form}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for NameError {}

impl Name {
    /// The root name, `.`.
    pub fn root() -> Self {
        Name(Box::new([0]))
    }

    /// A name from its uncompressed wire form, which must be all of `wire`.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        let mut at = 0;
        loop {
            let length = *wire.get(at).ok_or(NameError::BadWire)? as usize;
            if length > MAX_LABEL {
                return Err(NameError::BadWire);
            }
            at += 1 + length;
            if at > MAX_NAME {
                return Err(NameError::NameTooLong);
            }
            if length == 0 {
                break;
            }
        }
        if at == wire.len() {
            Ok(Name(wire.into()))
        } else {
            Err(NameError::BadWire)
        }
    }

    /// Parses presentation form; a text without a trailing dot is completed with `origin`.
    ///
    /// `@` alone is the origin itself (RFC 1035 section 5.1). `\.` and `\046` are escapes. Letters
    /// beyond ASCII are refused, because resolvers ask for the name's ASCII form.
    pub fn parse(text: &str, origin: &Name) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(text.len() + 2 + origin.0.len());
        Name::append(text, origin, &mut wire)?;
        Ok(Name(wire.into()))
    }

    /// Appends the wire form of the name that [`Name::parse`] reads.
    ///
    /// # Errors
    /// The text is no name; `wire` is as it was before.
    pub fn append(text: &str, origin: &Name, wire: &mut Vec<u8>) -> Result<(), NameError> {
        let start = wire.len();
        let appended = Name::append_labels(text, origin, wire).and_then(|()| {
            if wire.len() - start > MAX_NAME {
                Err(NameError::NameTooLong)
            } else {
                Ok(())
            }
        });
        if appended.is_err() {
            wire.truncate(start);
        }
        appended
    }

    fn append_labels(text: &str, origin: &Name, wire: &mut Vec<u8>) -> Result<(), NameError> {
        if text == "@" {
            wire.extend_from_slice(&origin.0);
            return Ok(());
        }
        if !text.is_ascii() {
            return Err(NameError::NotAscii(ascii_form(text)));
        }
        if labels_from_text(text.as_bytes(), wire)? {
            wire.push(0);
        } else {
            wire.extend_from_slice(&origin.0);
        }
        Ok(())
    }

    /// Wire form, root label included.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// The same name in lower case.
    pub fn to_lower(&self) -> Name {
        Name(self.0.to_ascii_lowercase().into())
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Labels from left to right, the root label left out.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let length = rest[0] as usize;
            if length == 0 {
                return None;
            }
            let (label, after) = rest[1..].split_at(length);
            rest = after;
            Some(label)
        })
    }

    /// Number of labels, the root label left out.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// The labels in lower case from right to left, in which order names are compared.
    fn canonical_labels(&self) -> Vec<Vec<u8>> {
        let mut labels: Vec<Vec<u8>> = self.labels().map(<[u8]>::to_ascii_lowercase).collect();
        labels.reverse();
        labels
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        if self.is_root() {
            None
        } else {
            Some(Name(self.0[1 + self.0[0] as usize..].into()))
        }
    }

    /// Whether this name is `ancestor` or a name below it.
    pub fn is_within(&self, ancestor: &Name) -> bool {
        let Some(skip) = self.label_count().checked_sub(ancestor.label_count()) else {
            return false;
        };
        let mut at = 0;
        for _ in 0..skip {
            at += 1 + self.0[at] as usize;
        }
        self.0[at..].eq_ignore_ascii_case(&ancestor.0)
    }

    /// Whether the first label is `*` (RFC 4592 section 2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.0.len() > 1 && self.0[..2] == [1, b'*']
    }

    /// The name with one more label in front.
    pub fn child(&self, label: &[u8]) -> Result<Name, NameError> {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if label.len() > MAX_LABEL {
            return Err(NameError::LabelTooLong);
        }
        if 1 + label.len() + self.0.len() > MAX_NAME {
            return Err(NameError::NameTooLong);
        }
        let mut wire = Vec::with_capacity(1 + label.len() + self.0.len());
        wire.push(label.len() as u8);
        wire.extend_from_slice(label);
        wire.extend_from_slice(&self.0);
        Ok(Name(wire.into()))
    }
}

/// The ASCII form of an internationalized host name; `None` if it is not one.
fn ascii_form(text: &str) -> Option<Box<str>> {
    let form = idna::domain_to_ascii(text).ok()?;
    let is_host_name = form
        .bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || b"-._*".contains(&octet));
    is_host_name.then(|| form.into())
}

/// Appends the labels of presentation form without the root. Returns true if the text ends with a
/// dot.
fn labels_from_text(text: &[u8], wire: &mut Vec<u8>) -> Result<bool, NameError> {
    if text == b"." {
        return Ok(true);
    }
    let most = wire.len() + MAX_NAME;
    let mut length_at = wire.len();
    wire.push(0);
    let mut at = 0;
    let mut absolute = false;
    while at < text.len() {
        let octet = match text[at] {
            b'.' => {
                close_label(wire, length_at)?;
                at += 1;
                if at == text.len() {
                    absolute = true;
                    break;
                }
                length_at = wire.len();
                wire.push(0);
                continue;
            }
            b'\\' => {
                let (octet, used) = unescape(&text[at + 1..])?;
                at += used;
                octet
            }
            octet => octet,
        };
        wire.push(octet);
        at += 1;
        if wire.len() > most {
            return Err(NameError::NameTooLong);
        }
    }
    if !absolute {
        close_label(wire, length_at)?;
    }
    Ok(absolute)
}

/// Writes the length octet of the label that ends here.
fn close_label(wire: &mut [u8], length_at: usize) -> Result<(), NameError> {
    match wire.len() - length_at - 1 {
        0 => Err(NameError::EmptyLabel),
        length if length > MAX_LABEL => Err(NameError::LabelTooLong),
        length => {
            wire[length_at] = length as u8;
            Ok(())
        }
    }
}

/// Reads what follows a backslash: the octet, and how many characters it takes.
fn unescape(after: &[u8]) -> Result<(u8, usize), NameError> {
    let first = *after.first().ok_or(NameError::BadEscape)?;
    if !first.is_ascii_digit() {
        return Ok((first, 1));
    }
    let digits = after.get(..3).ok_or(NameError::BadEscape)?;
    let mut value = 0_u8;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(NameError::BadEscape);
        }
        let tens = value.checked_mul(10).ok_or(NameError::BadEscape)?;
        value = tens.checked_add(digit - b'0').ok_or(NameError::BadEscape)?;
    }
    Ok((value, 3))
}

impl FromStr for Name {
    type Err = NameError;

    /// Parses presentation form; the trailing dot may be left out.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            Err(NameError::EmptyLabel)
        } else {
            Name::parse(text, &Name::root())
        }
    }
}

impl fmt::Display for Name {
    /// Without the trailing dot (the root is `.`), special octets escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for (index, label) in self.labels().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                        write!(f, "\\{}", octet as char)?
                    }
                    0x21..=0x7e => write!(f, "{}", octet as char)?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for octet in &self.0 {
            state.write_u8(octet.to_ascii_lowercase());
        }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    /// Canonical order (RFC 4034 section 6.1): by labels from the right, lower-cased.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.canonical_labels().cmp(&other.canonical_labels())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a good name")
    }

    #[test]
    fn text_and_wire_agree() {
        assert_eq!(
            name("www.Example.com").as_wire(),
            b"\x03www\x07Example\x03com\0"
        );
        assert_eq!(name("www.example.com."), name("WWW.EXAMPLE.COM"));
        assert_eq!(name(".").as_wire(), [0]);
        assert_eq!(name(r"a\.b\046\032.c").as_wire(), b"\x05a.b. \x01c\0");
        assert_eq!(name(r"a\.b.c").to_string(), r"a\.b.c");
    }

    #[test]
    fn bad_text_is_refused_with_its_reason() {
        let cases: [(&str, NameError); 6] = [
            ("", NameError::EmptyLabel),
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            (r"a\25", NameError::BadEscape),
            (r"a\256", NameError::BadEscape),
            (r"a\", NameError::BadEscape),
        ];
        for (text, reason) in cases {
            assert_eq!(text.parse::<Name>(), Err(reason), "{text:?}");
        }
        assert_eq!("a".repeat(64).parse::<Name>(), Err(NameError::LabelTooLong));
        assert_eq!(
            [&*"a".repeat(63); 4].join(".").parse::<Name>(),
            Err(NameError::NameTooLong)
        );
    }

    #[test]
    fn letters_beyond_ascii_are_refused_with_the_form_in_ascii() {
        let message = |text: &str| text.parse::<Name>().expect_err("refused").to_string();
        let sentence = "the name has characters outside ASCII; write it in its xn-- form";
        assert_eq!(
            message("www.b\u{fc}cher.example."),
            format!("{sentence}, www.xn--bcher-kva.example.")
        );
        assert_eq!(
            message("*.B\u{dc}CHER.example"),
            format!("{sentence}, *.xn--bcher-kva.example")
        );
        assert_eq!(
            message("\u{200b}\u{202e}.example"),
            sentence,
            "it is no host name"
        );
        assert_eq!(
            name(r"b\195\188cher.example").to_string(),
            r"b\195\188cher.example",
            "octets that are meant"
        );
    }

    #[test]
    fn relative_names_take_the_origin() {
        let origin = name("example.com");
        assert_eq!(Name::parse("www", &origin), Ok(name("www.example.com")));
        assert_eq!(Name::parse("@", &origin), Ok(origin.clone()));
        assert_eq!(Name::parse("www.", &origin), Ok(name("www")));
    }

    #[test]
    fn ancestry_follows_labels_not_octets() {
        assert!(name("a.example.com").is_within(&name("EXAMPLE.com")));
        assert!(name("example.com").is_within(&name("example.com")));
        assert!(!name("badexample.com").is_within(&name("example.com")));
        assert!(!name("com").is_within(&name("example.com")));
        assert!(name("x").is_within(&Name::root()));
    }

    #[test]
    fn canonical_order_is_by_labels_from_the_right() {
        let mut names = [
            "z.example",
            "a.example",
            "example",
            "yljkjljk.a.example",
            "Z.a.example",
        ]
        .map(name);
        names.sort();
        assert_eq!(
            names,
            [
                "example",
                "a.example",
                "yljkjljk.a.example",
                "Z.a.example",
                "z.example"
            ]
            .map(name)
        );
    }
}

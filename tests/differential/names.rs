//! Absolute names as labels: written out, compared without case, put on the wire.

/// A name; the first label is the leftmost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub Vec<Vec<u8>>);

impl Name {
    /// From presentation form without escapes.
    pub fn of(text: &str) -> Name {
        let labels = text.split('.').filter(|label| !label.is_empty());
        Name(labels.map(|label| label.as_bytes().to_vec()).collect())
    }

    /// One label more on the left.
    pub fn child(&self, label: &[u8]) -> Name {
        Name([&[label.to_vec()], &self.0[..]].concat())
    }

    /// One label less on the left.
    pub fn parent(&self) -> Name {
        Name(self.0.get(1..).unwrap_or_default().to_vec())
    }

    pub fn lower(&self) -> Name {
        Name(
            self.0
                .iter()
                .map(|label| label.to_ascii_lowercase())
                .collect(),
        )
    }

    /// At or below the other, both in lower case.
    pub fn is_within(&self, other: &Name) -> bool {
        self.0.ends_with(&other.0)
    }

    /// Below the other, both in lower case.
    pub fn is_below(&self, other: &Name) -> bool {
        self.is_within(other) && self.0.len() > other.0.len()
    }

    pub fn is_wildcard(&self) -> bool {
        self.0.first().is_some_and(|label| label == b"*")
    }

    pub fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in &self.0 {
            wire.push(label.len() as u8);
            wire.extend(label);
        }
        wire.push(0);
        wire
    }
}

/// Presentation form, with the final dot; what is no letter, digit, `-`, `_` or `*` is escaped.
impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for label in &self.0 {
            for &octet in label {
                match octet {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'*' => {
                        write!(f, "{}", octet as char)?
                    }
                    b'.' | b'\\' => write!(f, "\\{}", octet as char)?,
                    other => write!(f, "\\{other:03}")?,
                }
            }
            f.write_str(".")?;
        }
        if self.0.is_empty() {
            f.write_str(".")
        } else {
            Ok(())
        }
    }
}

//! Values of `[announce]`: names of BIRD's protocols.
//!
//! Such a name becomes part of a command on BIRD's control socket, so it is a plain symbol of BIRD's
//! language, which needs no quotes and cannot hold another command.

use schemars::{Schema, json_schema};

use crate::config::document::{TextValue, ValueError};

/// The name of a protocol in BIRD's configuration.
#[derive(Debug, Clone)]
pub struct BirdProtocol(pub String);

impl TextValue for BirdProtocol {
    fn expected() -> String {
        "the name of a protocol of BIRD: 1 to 63 letters, digits and _, not a digit first"
            .to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        if is_symbol(text) {
            Ok(BirdProtocol(text.to_owned()))
        } else {
            Err(ValueError::default())
        }
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,62}$" })
    }
}

/// Whether BIRD reads a text as one symbol of at most 63 octets.
fn is_symbol(text: &str) -> bool {
    let is_named = !text.is_empty() && !text.starts_with(|first: char| first.is_ascii_digit());
    is_named && text.len() <= 63 && text.bytes().all(is_symbol_octet)
}

fn is_symbol_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_symbol_and_never_a_second_command() {
        for good in ["meridian", "_a", "Anycast_4"] {
            assert_eq!(BirdProtocol::from_text(good).unwrap().0, good);
        }
        let long = "a".repeat(64);
        for bad in ["", "4a", "a b", "a-b", "a\ndown", "\"a\"", "a*", "é", &long] {
            assert!(BirdProtocol::from_text(bad).is_err(), "{bad:?}");
        }
    }
}

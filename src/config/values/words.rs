//! Values that are one of a few keywords, such as `order = "nearest"`.
//!
//! An unknown keyword is refused with a list of the known ones and the most similar of them.

use schemars::{Schema, json_schema};

use crate::config::document::{TextValue, ValueError, nearest};
use crate::dns::Name;
use crate::dnssec::{SerialRule, SigningAlgorithm, TokenUri, ZoneDenial};
use crate::geo::CoarsePoints;
use crate::health::check::HttpMethod;
use crate::steering::{AllDown, PickMethod, RegionOrder};

/// How a fence treats clients with an unknown location.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownPlace {
    /// The fence does not apply to them.
    #[default]
    Allow,
    /// They are treated as its clients.
    Deny,
}

/// A value that is one of a few words.
pub trait KeywordSet: Sized + Copy + 'static {
    /// The words, as they are listed in messages.
    const WORDS: &'static [(&'static str, Self)];
}

impl KeywordSet for RegionOrder {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("nearest", RegionOrder::Nearest),
        ("priority", RegionOrder::Priority),
        ("none", RegionOrder::None),
    ];
}

impl KeywordSet for PickMethod {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("weighted", PickMethod::Weighted),
        ("round-robin", PickMethod::RoundRobin),
        ("sticky", PickMethod::Sticky),
        ("least-load", PickMethod::LeastLoad),
    ];
}

impl KeywordSet for AllDown {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("answer-all", AllDown::AnswerAll),
        ("last-good", AllDown::LastGood),
        ("nodata", AllDown::NoData),
        ("servfail", AllDown::ServFail),
    ];
}

impl KeywordSet for CoarsePoints {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("population", CoarsePoints::Population),
        ("database", CoarsePoints::Database),
    ];
}

impl KeywordSet for UnknownPlace {
    const WORDS: &'static [(&'static str, Self)] =
        &[("allow", UnknownPlace::Allow), ("deny", UnknownPlace::Deny)];
}

impl KeywordSet for SigningAlgorithm {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("ecdsap256sha256", SigningAlgorithm::EcdsaP256Sha256),
        ("ed25519", SigningAlgorithm::Ed25519),
        ("ecdsap384sha384", SigningAlgorithm::EcdsaP384Sha384),
    ];
}

impl KeywordSet for SerialRule {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("keep", SerialRule::Keep),
        ("unixtime", SerialRule::UnixTime),
        ("increment", SerialRule::Increment),
    ];
}

impl KeywordSet for ZoneDenial {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("nsec", ZoneDenial::Nsec),
        ("nsec3", ZoneDenial::Nsec3),
        ("compact", ZoneDenial::Compact),
    ];
}

/// A zone, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneSelector {
    /// `"*"`
    All,
    /// The zone with this apex.
    Zone(Name),
}

impl TextValue for ZoneSelector {
    fn expected() -> String {
        "the apex of a zone, or \"*\" for every zone".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        if text == "*" {
            return Ok(ZoneSelector::All);
        }
        <Name as TextValue>::from_text(text).map(ZoneSelector::Zone)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl TextValue for TokenUri {
    fn expected() -> String {
        "a PKCS#11 URI (RFC 7512), such as \"pkcs11:token=zones\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        let uri: TokenUri = text.parse().map_err(ValueError::from)?;
        if uri.has_object() {
            return Err(
                "it names a token and no object: new keys are given names of their own"
                    .to_owned()
                    .into(),
            );
        }
        Ok(uri)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": "^pkcs11:" })
    }
}

/// One of the words of `T`.
#[derive(Debug, Clone, Copy)]
pub struct Keyword<T>(pub T);

impl<T: KeywordSet> TextValue for Keyword<T> {
    fn expected() -> String {
        let words: Vec<_> = T::WORDS
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        format!("one of {}", words.join(", "))
    }

    fn from_text(text: &str) -> Result<Self, ValueError> {
        match T::WORDS.iter().find(|(word, _)| *word == text) {
            Some(&(_, value)) => Ok(Keyword(value)),
            None => Err(ValueError {
                sentence: None,
                hint: nearest(text, T::WORDS.iter().map(|(word, _)| *word)),
            }),
        }
    }

    fn schema() -> Schema {
        let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
        json_schema!({ "type": "string", "enum": words })
    }
}

impl KeywordSet for HttpMethod {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("GET", HttpMethod::Get),
        ("HEAD", HttpMethod::Head),
        ("OPTIONS", HttpMethod::Options),
        ("POST", HttpMethod::Post),
    ];
}

//! DNSSEC as values and pure functions: keys, signatures, canonical form, denial and validity.
//!
//! A [`ZoneKey`] is the public half of a key, a [`KeyPair`] is both halves, to be written to files,
//! and a [`SigningKey`] is what signs. [`sign_rrset`] makes one signature over an RRset,
//! and [`verify_rrset`] checks one. [`key_file`] and [`key_folder`] read and write the files of
//! other nameservers. [`SignatureStore`] keeps signatures over a restart, and a [`ZoneSigner`] signs
//! only what it lacks. A [`SignatureBundle`] takes signatures to servers without keys. A private key
//! may be in a PKCS#11 [`token`].
//!
//! Nothing in here knows the catalog, the configuration or queries. Nothing reads a clock: the time
//! is an argument, or a function that the caller gives, in seconds since 1970. Only a token is waited
//! for, and not for long.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

pub mod algorithm;
pub mod bundle;
pub mod canonical_data;
mod crc32c;
pub mod denial;
mod der;
pub mod key;
pub mod key_file;
pub mod key_folder;
pub mod nsec;
pub mod nsec3;
mod owner_labels;
pub mod pkcs8;
pub mod rollover;
pub mod rrsig;
pub mod serial;
pub mod signed_data;
pub mod signing_session;
pub mod store;
pub mod token;
pub mod token_uri;
pub mod validity;
pub mod zone_key;
pub mod zone_signer;

pub use algorithm::SigningAlgorithm;
pub use bundle::{BundleKey, BundleRole, SignatureBundle};
pub use denial::ZoneDenial;
pub use key::{KeyError, KeyPair, SignatureOctets, SigningKey};
pub use key_file::{KeyFile, KeyTimes};
pub use key_folder::KeyFolder;
pub use nsec::TypeSet;
pub use rollover::ZoneRoll;
pub use rrsig::{SignatureFault, SignatureFields, sign_rrset, verify_rrset};
pub use serial::SerialRule;
pub use signed_data::{RrsetHead, SignatureDigest, SignedData};
pub use signing_session::SigningSession;
pub use store::{SignatureStore, StoredSignature};
pub use token::TokenSetup;
pub use token_uri::TokenUri;
pub use validity::{ValidityPeriod, ValidityRules};
pub use zone_key::{DigestType, ZoneKey};
pub use zone_signer::{MadeSignature, SigningError, SigningRoom, ZoneSigner};

/// The Protocol field of DNSKEY records (RFC 4034 section 2.1.2).
const DNSKEY_PROTOCOL: u8 = 3;

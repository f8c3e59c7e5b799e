//! Arguments of `meridian keys`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::dns::Name;
use crate::dnssec::{SigningAlgorithm, TokenUri};

/// `meridian keys`
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key for a zone
    Generate(GenerateKey),
    /// List the keys of all zones
    List(ListKeys),
    /// Replace the keys of a zone step by step; a running server carries it out
    Roll(RollKeys),
    /// Print the DS records that the parent of a zone needs
    Ds(DsOfZone),
    /// Take in a private key in PKCS#8 form (PEM), or one that is in a PKCS#11 token
    Import(ImportKey),
    /// Print a private key in PKCS#8 form (PEM)
    Export(ExportKey),
}

/// Where the keys are.
#[derive(Debug, Args)]
pub struct KeyFolderArgs {
    /// Use the folder that this configuration file names
    #[arg(long, value_name = "FILE", default_value = "meridian.toml")]
    pub config: PathBuf,
    /// Use this folder instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    pub folder: Option<PathBuf>,
}

/// `meridian sign`
#[derive(Debug, Args)]
pub struct SignArgs {
    /// Sign the zones and services of this configuration file
    #[arg(long, value_name = "FILE", default_value = "meridian.toml")]
    pub config: PathBuf,
    /// Write the bundle of signatures to this file, which is replaced as a whole
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
}

/// `meridian keys generate`
#[derive(Debug, Args)]
pub struct GenerateKey {
    /// The zone
    #[arg(value_name = "ZONE")]
    pub zone: Name,
    /// The algorithm
    #[arg(long, value_enum, default_value = "ecdsap256sha256")]
    pub algorithm: AlgorithmWord,
    /// What the key signs
    #[arg(long, value_enum, default_value = "csk")]
    pub role: KeyRoleWord,
    /// Make it in this PKCS#11 token: pkcs11:token=NAME, with ?module-path=FILE&pin-source=FILE where
    /// no configuration says them
    #[arg(long, value_name = "URI")]
    pub token: Option<TokenUri>,
    /// The folder
    #[command(flatten)]
    pub keys: KeyFolderArgs,
}

/// `meridian keys list`
#[derive(Debug, Args)]
pub struct ListKeys {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The folder
    #[command(flatten)]
    pub keys: KeyFolderArgs,
}

/// `meridian keys roll`
#[derive(Debug, Args)]
pub struct RollKeys {
    /// The zone
    #[arg(value_name = "ZONE")]
    pub zone: Name,
    /// Replace the key that signs the zone
    #[arg(long, conflicts_with_all = ["ksk", "algorithm"])]
    pub zsk: bool,
    /// Replace the key that signs the keys
    #[arg(long, conflicts_with = "algorithm")]
    pub ksk: bool,
    /// Replace all keys by keys of another algorithm
    #[arg(long, value_enum)]
    pub algorithm: Option<AlgorithmWord>,
    /// Take the roll back that is under way, if nobody depends on its new keys yet
    #[arg(long, conflicts_with_all = ["zsk", "ksk", "algorithm"])]
    pub cancel: bool,
    /// The folder
    #[command(flatten)]
    pub keys: KeyFolderArgs,
}

/// `meridian keys ds`
#[derive(Debug, Args)]
pub struct DsOfZone {
    /// The zone
    #[arg(value_name = "ZONE")]
    pub zone: Name,
    /// Ask the parent to remove all DS records, so that the zone may be unsigned
    #[arg(long)]
    pub delete: bool,
    /// Take that back
    #[arg(long, conflicts_with = "delete")]
    pub restore: bool,
    /// The folder
    #[command(flatten)]
    pub keys: KeyFolderArgs,
}

/// `meridian keys import`
#[derive(Debug, Args)]
pub struct ImportKey {
    /// The zone
    #[arg(value_name = "ZONE")]
    pub zone: Name,
    /// The file with the private key
    #[arg(value_name = "PEM", required_unless_present = "token")]
    pub file: Option<PathBuf>,
    /// Use the key that is in a PKCS#11 token: pkcs11:token=NAME;object=LABEL
    #[arg(long, value_name = "URI", conflicts_with = "file")]
    pub token: Option<TokenUri>,
    /// What the key signs
    #[arg(long, value_enum, default_value = "csk")]
    pub role: KeyRoleWord,
    /// The folder
    #[command(flatten)]
    pub keys: KeyFolderArgs,
}

/// `meridian keys export`
#[derive(Debug, Args)]
pub struct ExportKey {
    /// The zone
    #[arg(value_name = "ZONE")]
    pub zone: Name,
    /// The key tag, if the zone has several keys
    #[arg(long, value_name = "TAG")]
    pub tag: Option<u16>,
    /// The folder
    #[command(flatten)]
    pub keys: KeyFolderArgs,
}

/// The algorithms of keys that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AlgorithmWord {
    /// ECDSA on P-256, for every zone
    Ecdsap256sha256,
    /// Ed25519
    Ed25519,
    /// ECDSA on P-384, for zones without steered names
    Ecdsap384sha384,
    /// RSA of 2048 bits, made in a PKCS#11 token only
    Rsasha256,
}

impl AlgorithmWord {
    /// The algorithm.
    pub fn algorithm(self) -> SigningAlgorithm {
        match self {
            AlgorithmWord::Ecdsap256sha256 => SigningAlgorithm::EcdsaP256Sha256,
            AlgorithmWord::Ed25519 => SigningAlgorithm::Ed25519,
            AlgorithmWord::Ecdsap384sha384 => SigningAlgorithm::EcdsaP384Sha384,
            AlgorithmWord::Rsasha256 => SigningAlgorithm::RsaSha256,
        }
    }
}

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyRoleWord {
    /// Everything: one key for a zone
    Csk,
    /// The keys of the zone
    Ksk,
    /// The zone without its keys
    Zsk,
}

impl KeyRoleWord {
    /// The flags of its DNSKEY record (RFC 4034 section 2.1.1).
    pub fn flags(self) -> u16 {
        match self {
            KeyRoleWord::Csk | KeyRoleWord::Ksk => 257,
            KeyRoleWord::Zsk => 256,
        }
    }
}

//! Runs the programs of others, and says which package has one that is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use meridian::dnssec::{KeyFile, SigningAlgorithm};

/// Runs a program in a folder.
pub fn run(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"))
        .current_dir(folder)
        .output();
    output.unwrap_or_else(|error| {
        let package = match program {
            "keymgr" => "knot",
            "openssl" => "openssl",
            ldns if ldns.starts_with("ldns") => "ldnsutils",
            _ => "bind9-utils",
        };
        panic!("{program}: {error}; install it with: sudo apt-get install {package}")
    })
}

/// What a program prints, which must succeed.
#[track_caller]
pub fn printed(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = run(folder, program, arguments);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{out}{err}",
        output.status
    );
    out.trim().to_owned()
}

/// A key made by dnssec-keygen: the path of its `.key` file.
pub fn keygen(folder: &Path, zone: &str, algorithm: SigningAlgorithm, flags: u16) -> PathBuf {
    let mut arguments = vec!["-q", "-a", algorithm.mnemonic()];
    if algorithm == SigningAlgorithm::RsaSha256 {
        arguments.extend(["-b", "2048"]);
    }
    if flags == 257 {
        arguments.extend(["-f", "KSK"]);
    }
    arguments.push(zone);
    let stem = printed(folder, "dnssec-keygen", &arguments);
    folder.join(format!("{stem}.key"))
}

/// Reads a key that must be good.
#[track_caller]
pub fn key_at(path: &Path) -> KeyFile {
    KeyFile::read(path).expect("a good key").0
}

/// The last words of a record: the data behind its type.
pub fn data_behind<'t>(record: &'t str, rtype: &str) -> Vec<&'t str> {
    let words = record.split_whitespace();
    words.skip_while(|word| *word != rtype).skip(1).collect()
}

pub fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("it can be written");
}

pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

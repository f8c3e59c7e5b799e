//! What is compiled into Meridian is what deny.toml allows: licences, versions of one crate, and where crates come from.
//! `tools/deny` asks cargo-deny the same; this needs neither it nor a network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// deny.toml, as far as it is about this.
#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
struct Skip {
    /// `syn@2`
    #[serde(rename = "crate")]
    name: String,
}

/// A crate that is compiled.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    license: String,
}

fn rules() -> Rules {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    toml::from_str(&std::fs::read_to_string(file).expect("it is there")).expect("it has the lists")
}

/// Every crate that is compiled here, for the binary, its tests or on the way; but for Meridian itself.
fn packages() -> BTreeSet<Package> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let all = [
        "tree",
        "--locked",
        "--offline",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
    ];
    command
        .args(all)
        .args(["--format", "{p};{l};"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command
        .output()
        .expect("cargo runs this test, so it is there");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let packages: BTreeSet<Package> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(package)
        .collect();
    assert!(packages.len() > 100, "all dependencies are seen");
    packages
}

/// `syn v3.0.10;MIT OR Apache-2.0;`
fn package(line: &str) -> Option<Package> {
    let (package, rest) = line.split_once(';')?;
    let mut words = package.split(' ').map(str::to_owned);
    let (name, version) = (
        words.next()?,
        words.next()?.trim_start_matches('v').to_owned(),
    );
    let license = rest.split(';').next()?.to_owned();
    (name != "meridian-dns").then_some(Package {
        name,
        version,
        license,
    })
}

/// Whether the allowed licences are enough for an expression (SPDX, without nesting deeper than one pair of parentheses);
/// those that were of use are noted.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>, used: &mut BTreeSet<String>) -> bool {
    // As in manifests of old.
    let expression = expression.replace('/', " OR ");
    let mut needed = Vec::new();
    for part in expression
        .split(" AND ")
        .flat_map(|part| part.split(')'))
        .filter(|part| !part.trim().is_empty())
    {
        needed.push(part.trim_matches(['(', ' ']).to_owned());
    }
    needed.iter().all(|alternatives| {
        let found: Vec<&str> = alternatives
            .split(" OR ")
            .map(str::trim)
            .filter(|one| allowed.contains(*one))
            .collect();
        used.extend(found.iter().map(|one| (*one).to_owned()));
        !found.is_empty()
    })
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    let allowed: BTreeSet<String> = ["MIT", "ISC"].map(str::to_owned).into();
    let cases = [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND ISC", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("(MIT OR ISC) AND GPL-3.0", false),
        ("ISC AND (GPL-3.0 OR BSL-1.0)", false),
    ];
    for (expression, expected) in cases {
        assert_eq!(
            is_allowed(expression, &allowed, &mut BTreeSet::new()),
            expected,
            "{expression}"
        );
    }
}

#[test]
fn every_licence_is_one_that_is_allowed() {
    let (allowed, mut used) = (rules().licenses.allow, BTreeSet::new());
    for Package {
        name,
        version,
        license,
    } in packages()
    {
        assert!(
            is_allowed(&license, &allowed, &mut used),
            "{name} {version} is under {license:?}, see deny.toml"
        );
    }
    assert_eq!(used, allowed, "deny.toml allows what nobody needs");
}

#[test]
fn no_crate_is_there_twice_without_a_reason() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Package { name, version, .. } in packages() {
        versions.entry(name).or_default().push(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    for Skip { name: skip } in rules().bans.skip {
        let (name, version) = skip.split_once('@').expect("a crate and its version");
        let of_it = |one: &String| {
            one.strip_prefix(version)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        let twice = versions
            .get_mut(name)
            .unwrap_or_else(|| panic!("{name} is there once: deny.toml need not skip it"));
        assert!(
            twice.iter().any(of_it),
            "{skip} is not there: deny.toml need not skip it"
        );
        twice.retain(|one| !of_it(one));
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "there more than once: {versions:?}");
}

#[test]
fn everything_comes_from_the_registry() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock: toml::Table =
        toml::from_str(&std::fs::read_to_string(lock).expect("it is there")).expect("it is TOML");
    for package in lock["package"].as_array().expect("a list") {
        let word = |key| {
            package
                .get(key)
                .and_then(toml::Value::as_str)
                .unwrap_or_default()
        };
        let (name, source) = (word("name"), word("source"));
        let registry = source.starts_with("registry+") && !word("checksum").is_empty();
        assert!(
            registry || name == "meridian-dns",
            "{name} comes from {source:?}"
        );
    }
}

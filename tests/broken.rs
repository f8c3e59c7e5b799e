//! Broken files: `meridian check` names file, line and column of every mistake, and nothing else.
//!
//! Each file of tests/broken opens with what must be said of it, a comment for each mistake:
//! `LINE:COLUMN: words of the sentence`, or `file: ...` for what the whole file lacks. A configuration comes with a good zone and the other way round.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CONFIG: &str = "[regions.fra]\nlocation = \"FRA\"\n[[services]]\nname = \"steered.example.com\"\n\
                      [services.endpoints]\nfra = \"192.0.2.1\"\n";
const ZONE: &str = "$TTL 1h\n@ SOA ns1 hostmaster 1 4h 1h 2w 5m\n  NS ns1\nns1 A 192.0.2.53\n";

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("it is there")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

/// What the file says of itself: position and words of each mistake.
fn expected(octets: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(octets);
    let comments = text
        .lines()
        .map_while(|line| line.strip_prefix("# ").or(line.strip_prefix("; ")));
    let mistake = |line: &str| {
        let (position, words) = line
            .split_once(": ")
            .unwrap_or_else(|| panic!("no position in {line:?}"));
        (position.to_owned(), words.to_owned())
    };
    comments.map(mistake).collect()
}

/// The lines that `meridian check` prints; it must end with 1.
fn check(folder: &Path) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    let output = command
        .args(["check", "--config", "meridian.toml"])
        .current_dir(folder)
        .output();
    let output = output.expect("the binary runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(1),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    printed.lines().map(str::to_owned).collect()
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let files = files();
    assert!(files.len() > 20, "{files:?}");
    let mut wrong = Vec::new();
    for file in files {
        let octets = fs::read(&file).expect("it can be read");
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("zones")).expect("an empty folder");
        let is_zone = file
            .extension()
            .is_some_and(|extension| extension == "zone");
        let (config, zone) = if is_zone {
            (CONFIG.as_bytes(), &octets[..])
        } else {
            (&octets[..], ZONE.as_bytes())
        };
        fs::write(folder.path().join("meridian.toml"), config).expect("writable");
        fs::write(folder.path().join("zones/example.com.zone"), zone).expect("writable");
        let name = if is_zone {
            "zones/example.com.zone"
        } else {
            "meridian.toml"
        };
        let printed = check(folder.path());
        let expected = expected(&octets);
        let told = |((position, words), line): (&(String, String), &String)| {
            let place = if position == "file" {
                format!("{name}: ")
            } else {
                format!("{name}:{position}: ")
            };
            line.strip_prefix(&place)
                .is_some_and(|sentence| sentence.contains(words))
        };
        if expected.is_empty()
            || expected.len() != printed.len()
            || !expected.iter().zip(&printed).all(told)
        {
            wrong.push(format!(
                "{}:\n    {}",
                file.display(),
                printed.join("\n    ")
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "other mistakes are told:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn people_are_told_where_to_read_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = CONFIG.replace(
        "[services.endpoints]",
        "pick = \"wieghted\"\n[services.endpoints]",
    );
    fs::write(folder.path().join("meridian.toml"), config).expect("writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    let output = command
        .arg("check")
        .current_dir(folder.path())
        .output()
        .expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr);
    let expected = "more on [services]: docs/configuration.md#services-names-that-are-steered and docs/guide/policies.md\n";
    assert_eq!(told, expected);
}

//! A folder of keys, those of each zone together.
//!
//! Every file whose name starts with `K` and ends with `.key` or `.private` belongs to a key; others
//! are passed over. All mistakes are told at once, and then nothing is used: a zone must not be
//! signed with half of its keys.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::rollover::rolled_zone;
use super::{KeyFile, ZoneRoll};
use crate::files::FileRead;

/// The most keys in a folder.
const MOST_KEYS: usize = 100_000;

/// The keys of a folder.
#[derive(Debug, Default)]
pub struct KeyFolder {
    /// The keys by zone: its lower-cased name in wire form. Those of a zone are in the order of
    /// their files' names.
    pub zones: BTreeMap<Vec<u8>, Vec<KeyFile>>,
    /// The last roll of each zone that had one, in the same way.
    pub rolls: BTreeMap<Vec<u8>, ZoneRoll>,
    /// The versions of all files of keys that were read. Those of rolls change all the time.
    pub files: Vec<FileRead>,
}

impl KeyFolder {
    /// Reads all keys of a folder.
    ///
    /// # Errors
    /// All mistakes, each a sentence with its file and line.
    pub fn read(folder: &Path) -> Result<KeyFolder, Vec<String>> {
        let names = match names(folder) {
            Ok(names) => names,
            Err(sentence) => return Err(vec![sentence]),
        };
        let mut keys = KeyFolder::default();
        let mut mistakes = Vec::new();
        for (path, zone) in names.rolls {
            match ZoneRoll::read(&path) {
                Ok(Some(roll)) => {
                    keys.rolls.insert(zone, roll);
                }
                // It is gone since the folder was listed.
                Ok(None) => {}
                Err(mistake) => mistakes.push(mistake),
            }
        }
        for stem in names.stems {
            match KeyFile::read(&stem) {
                Ok((key, files)) => {
                    keys.files.extend(files);
                    let zone = key.public.zone().as_wire().to_vec();
                    keys.zones.entry(zone).or_default().push(key);
                }
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() {
            Ok(keys)
        } else {
            Err(mistakes)
        }
    }

    /// The keys of a zone, given by its lower-cased name in wire form.
    pub fn of_zone(&self, zone: &[u8]) -> &[KeyFile] {
        self.zones.get(zone).map_or(&[], |keys| keys)
    }

    /// The last roll of a zone, given in the same way.
    pub fn roll_of(&self, zone: &[u8]) -> Option<&ZoneRoll> {
        self.rolls.get(zone)
    }
}

/// The names of the files in a folder.
#[derive(Default)]
struct FolderNames {
    /// What the files of each key have in common, in order.
    stems: BTreeSet<PathBuf>,
    /// The files of rolls, each with its zone.
    rolls: Vec<(PathBuf, Vec<u8>)>,
}

/// Lists a folder.
fn names(folder: &Path) -> Result<FolderNames, String> {
    let told = |error| format!("{}: cannot be read: {error}", folder.display());
    let mut names = FolderNames::default();
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let entry = entry.map_err(told)?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with('K')) else {
            continue;
        };
        if let Some(zone) = rolled_zone(name) {
            names
                .rolls
                .push((folder.join(name), zone.as_wire().to_vec()));
        }
        let stem = name
            .strip_suffix(".key")
            .or_else(|| name.strip_suffix(".private"));
        if let Some(stem) = stem {
            // `KeyFile::read` takes the name of a file with its end.
            names.stems.insert(folder.join(format!("{stem}.key")));
        }
        if names.stems.len() > MOST_KEYS {
            return Err(format!(
                "{}: has more than {MOST_KEYS} keys",
                folder.display()
            ));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::dnssec::{KeyPair, KeyTimes, SigningAlgorithm};

    fn add(folder: &Path, zone: &str) -> PathBuf {
        let zone = zone.parse().unwrap();
        let pair = KeyPair::generate(&zone, 257, SigningAlgorithm::Ed25519).unwrap();
        KeyFile::new(pair, KeyTimes::default())
            .write(folder)
            .unwrap()
    }

    #[test]
    fn keys_are_found_by_their_zone() {
        let folder = tempfile::tempdir().unwrap();
        for zone in ["example.com", "Example.COM", "example.net"] {
            add(folder.path(), zone);
        }
        fs::write(folder.path().join("README.key"), "no key").unwrap();
        let keys = KeyFolder::read(folder.path()).unwrap();
        assert_eq!(keys.zones.len(), 2);
        assert_eq!(keys.files.len(), 6);
        assert_eq!(keys.of_zone(b"\x07example\x03com\0").len(), 2);
        assert_eq!(keys.of_zone(b"\x07example\x03org\0").len(), 0);
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (add(folder.path(), "a"), add(folder.path(), "b"));
        add(folder.path(), "c");
        fs::remove_file(&one).unwrap();
        fs::write(&other, "nonsense").unwrap();
        let mistakes = KeyFolder::read(folder.path()).unwrap_err();
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        assert!(mistakes[0].contains(".key: is missing; "), "{mistakes:?}");
        assert!(
            mistakes[1].contains("there is no DNSKEY record"),
            "{mistakes:?}"
        );
        assert!(KeyFolder::read(&folder.path().join("none")).is_err());
    }
}

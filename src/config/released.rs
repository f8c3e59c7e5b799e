//! A configuration of which a release brings the part that a fleet shares.
//!
//! The server's own file keeps what makes it this server: `server`, `tls`, `limits`, `admin`, `state`,
//! `events`, `fleet` and `announce`. The release brings everything else, and its paths start in its own
//! folder. `[zones.dnssec]` of the own file counts where it has one, because private keys are in no
//! release. Which release a server serves is a file in its state directory, so a restart and every
//! command find the same one.

use std::path::{Path, PathBuf};

use super::document::{ConfigReport, TableField};
use super::tables::RawConfig;
use super::truth::resolve::ConfigFolders;
use super::{SourceFile, parse_document, parse_included, read_text};
use crate::files::{self, FileKind};

/// The folder of releases in a state directory.
pub const FOLDER: &str = "releases";
/// The file in it with the digest of the release that is served.
pub const SERVED: &str = "served";
/// The configuration in a release.
pub const MAIN: &str = "meridian.toml";
/// Where keys are that are on no server.
const ELSEWHERE: &str = "elsewhere";

/// Which release counts beside the server's own file.
#[derive(Debug, Clone, Copy)]
pub enum ReleaseChoice<'p> {
    /// None.
    Own,
    /// The one that the server serves, if it follows releases.
    Served,
    /// The one in this folder.
    Folder(&'p Path),
}

/// Where the tables come from that a fleet shares.
pub enum SharedTables {
    /// From the server's own file.
    Own,
    /// From a release.
    Release {
        /// Its folder.
        folder: PathBuf,
        /// `[zones.dnssec]` is the server's own.
        keeps_dnssec: bool,
    },
}

impl SharedTables {
    /// Where relative paths start.
    pub(super) fn folders<'p>(&'p self, file: &'p Path) -> ConfigFolders<'p> {
        let own = file.parent().unwrap_or(Path::new(""));
        let shared = self.folder().unwrap_or(own);
        ConfigFolders {
            own,
            shared,
            dnssec: if self.keeps_dnssec() { own } else { shared },
        }
    }

    fn folder(&self) -> Option<&Path> {
        match self {
            SharedTables::Own => None,
            SharedTables::Release { folder, .. } => Some(folder),
        }
    }

    fn keeps_dnssec(&self) -> bool {
        match self {
            SharedTables::Own => true,
            SharedTables::Release { keeps_dnssec, .. } => *keeps_dnssec,
        }
    }
}

impl ReleaseChoice<'_> {
    /// The folder of the release. `None`: it cannot be known, which is reported.
    pub(super) fn folder(
        self,
        own: &RawConfig,
        file: &Path,
        report: &mut ConfigReport,
    ) -> Option<Option<PathBuf>> {
        match self {
            ReleaseChoice::Own => Some(None),
            ReleaseChoice::Folder(folder) => Some(Some(folder.to_owned())),
            ReleaseChoice::Served => served(own, file, report),
        }
    }
}

/// The folder of the release that a server serves.
fn served(own: &RawConfig, file: &Path, report: &mut ConfigReport) -> Option<Option<PathBuf>> {
    let Some((at, state)) = releases_of(own) else {
        return Some(None);
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    let folder = folder.join(state).join(FOLDER);
    match read_served(&folder.join(SERVED)) {
        Ok(digest) => Some(digest.map(|digest| folder.join(digest))),
        Err(sentence) => {
            let path = folder.join(SERVED);
            report.error(at, format!("{}: the file {sentence}", path.display()));
            None
        }
    }
}

/// Where `[fleet.releases]` stands, and the state directory; `None`: the server follows none.
fn releases_of(own: &RawConfig) -> Option<(usize, &Path)> {
    let at = own.fleet.get()?.releases.at()?;
    let state = own.state.get()?.directory.get()?;
    Some((at, state))
}

/// The digest in the file that names the served release; `None`: there is no such file.
fn read_served(path: &Path) -> Result<Option<String>, String> {
    let content = match files::read(path, FileKind::Secret) {
        Ok(content) => content,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let digest = String::from_utf8_lossy(&content.octets).trim().to_owned();
    if digest.is_empty() || !digest.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Err("holds no digest".to_owned());
    }
    Ok(Some(digest))
}

/// The own tables of a file, and the others of a release.
pub(super) fn join(
    own: RawConfig,
    folder: PathBuf,
    report: &mut ConfigReport,
) -> Option<(RawConfig, SharedTables)> {
    let main = read_main(&folder, report)?;
    let released = parse_document(main.clone(), report)?;
    let mut released = parse_included(released, &main, report)?;
    let own_zones = own.zones.or_default();
    let keeps_dnssec = !own_zones.dnssec.is_absent();
    if keeps_dnssec {
        let mut zones = released.zones.or_default();
        zones.dnssec = own_zones.dnssec;
        released.zones = TableField::given_at(0, zones);
    } else {
        refuse_keys(&released, report);
    }
    let joined = RawConfig {
        server: own.server,
        tls: own.tls,
        limits: own.limits,
        admin: own.admin,
        state: own.state,
        events: own.events,
        fleet: own.fleet,
        announce: own.announce,
        ..released
    };
    let shared = SharedTables::Release {
        folder,
        keeps_dnssec,
    };
    Some((joined, shared))
}

/// The configuration of a release.
fn read_main(folder: &Path, report: &mut ConfigReport) -> Option<SourceFile> {
    let file = folder.join(MAIN);
    match read_text(&file) {
        Ok((text, read)) => {
            report.files.push(read);
            Some(SourceFile {
                file: file.into(),
                text: text.into(),
            })
        }
        Err(sentence) => {
            report.error(0, format!("{}: {sentence}", file.display()));
            None
        }
    }
}

/// A release has no private keys, so those that it names must be elsewhere.
fn refuse_keys(released: &RawConfig, report: &mut ConfigReport) {
    let Some(dnssec) = released.zones.get().map(|zones| &zones.dnssec) else {
        return;
    };
    let (Some(at), Some(table)) = (dnssec.at(), dnssec.get()) else {
        return;
    };
    let keys = &table.keys.value;
    if !keys.is_absolute() && keys != Path::new(ELSEWHERE) {
        let sentence = "a release has no private keys; state [zones.dnssec] in the server's own file, \
                        or here keys = \"elsewhere\" with a bundle of signatures";
        report.error(at, sentence.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{LoadedConfig, load, load_with};

    const KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    /// A server that follows releases, with one region of its own.
    fn own_folder(more: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[server]\nworkers = 3\n[state]\ndirectory = \"state\"\n[fleet]\nname = \"world\"\n\
             servers = [\"nats://127.0.0.1\"]\n[fleet.releases]\ntrusted_keys = [\"{KEY}\"]\n\
             [regions.own]\n{more}"
        );
        fs::write(folder.path().join("meridian.toml"), text).unwrap();
        folder
    }

    fn release(own: &Path, text: &str) -> PathBuf {
        let folder = own.join("state/releases/abc");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("meridian.toml"), text).unwrap();
        folder
    }

    fn regions(loaded: &LoadedConfig) -> String {
        let names = loaded
            .config
            .regions
            .iter()
            .map(|region| region.name.as_str());
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_release_brings_what_is_shared_and_the_server_keeps_what_is_its_own() {
        let own = own_folder("");
        let file = own.path().join("meridian.toml");
        assert_eq!(regions(&load(&file).unwrap()), "own");
        let text = "include = \"more.toml\"\n[server]\nworkers = 7\n[regions.shared]\n";
        let folder = release(own.path(), text);
        fs::write(folder.join("more.toml"), "[regions.more]\n").unwrap();
        let loaded = load_with(&file, ReleaseChoice::Folder(&folder)).unwrap();
        assert_eq!(regions(&loaded), "shared more");
        assert_eq!(loaded.config.server.workers, 3);
        assert_eq!(loaded.config.zones_directory, folder.join("zones"));
        let state = loaded.config.state_directory.unwrap();
        assert_eq!(state, own.path().join("state"));
        // Until it is the one that is served, nothing else reads it.
        assert_eq!(regions(&load(&file).unwrap()), "own");
        fs::write(own.path().join("state/releases/served"), "abc\n").unwrap();
        assert_eq!(regions(&load(&file).unwrap()), "shared more");
        let loaded = load_with(&file, ReleaseChoice::Own).unwrap();
        assert_eq!(regions(&loaded), "own");
        fs::remove_dir_all(&folder).unwrap();
        let mistake = load(&file).unwrap_err()[0].to_string();
        assert!(
            mistake.contains("abc/meridian.toml: the file cannot be read"),
            "{mistake}"
        );
    }

    #[test]
    fn keys_of_zones_are_the_servers_own_or_elsewhere() {
        let text = "[zones.dnssec]\nsign = \"*\"\n";
        let own = own_folder("");
        let folder = release(own.path(), text);
        let file = own.path().join("meridian.toml");
        let mistake = load_with(&file, ReleaseChoice::Folder(&folder)).unwrap_err();
        assert!(
            mistake[0].to_string().contains("no private keys"),
            "{mistake:?}"
        );
        let own = own_folder("[zones.dnssec]\nsign = \"*\"\n");
        let folder = release(own.path(), text);
        let file = own.path().join("meridian.toml");
        let loaded = load_with(&file, ReleaseChoice::Folder(&folder)).unwrap();
        assert_eq!(loaded.config.dnssec.unwrap().keys, own.path().join("keys"));
    }
}

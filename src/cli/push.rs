//! `meridian push`: publishes the configuration of a fleet as a release, and takes it back.
//!
//! The folder is checked and packed here, and signed here with a key that no server has. Any server of
//! the fleet takes the archive and the release, and hands them to the engine. From there the release
//! passes from ring to ring by itself; `meridian releases` shows how far it is.

mod folder;
mod git;
mod key;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;

use super::arguments::{PushArgs, ReleasesArgs};
use super::client::AdminClient;
use super::orders;
use crate::admin::{PieceRequest, ReleaseDone, ReleaseRequest, ReleasesReport, ServerRelease};
use crate::disk;
use crate::files::FilePrint;
use crate::fleet::release::{ArchiveFacts, PIECE, ReleaseManifest, ReleaseSigner, piece_key};
use crate::terminal::{TextOutput, complain, say, say_json};
use crate::text::{counted, shown};
use folder::{PackedFolder, pack_folder};
use git::last_commit;

/// How often a folder that is watched is looked at.
const LOOK: Duration = Duration::from_secs(1);
const NO_RELEASES: &str =
    "this server follows no releases: its configuration has no [fleet.releases]";
/// The columns of `meridian releases`.
const HEADS: [&str; 6] = ["ring", "server", "serves", "newest", "state", "why"];
/// How many digits of a digest are shown.
const SHOWN_DIGITS: usize = 12;

/// Runs `meridian push`.
///
/// # Errors
/// A sentence: the folder has mistakes, or the release was refused.
pub fn run(arguments: &PushArgs) -> Result<ExitCode, String> {
    if let Some(path) = &arguments.new_key {
        say!("{}", key::make(path)?);
        return Ok(ExitCode::SUCCESS);
    }
    let Some(folder) = &arguments.directory else {
        say!("{}", shown(&Pusher::new(arguments)?.go_back()?));
        return Ok(ExitCode::SUCCESS);
    };
    if arguments.watch {
        return watch(arguments, folder);
    }
    let packed = pack_folder(folder)?;
    warn_of(&packed);
    if let Some(path) = &arguments.write_archive {
        disk::replace(path, &packed.archive, 0o644)
            .map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    }
    if arguments.dry_run || arguments.write_archive.is_some() {
        say!("{}: nothing was published", told(&packed));
        return Ok(ExitCode::SUCCESS);
    }
    say!("{}", shown(&Pusher::new(arguments)?.push(&packed)?));
    Ok(ExitCode::SUCCESS)
}

fn warn_of(packed: &PackedFolder) {
    for warning in &packed.warnings {
        complain(format_args!("warning: {warning}"));
    }
}

/// `3 files, 812 octets, digest 0f4c12…`
fn told(packed: &PackedFolder) -> String {
    let facts = ArchiveFacts::of(&packed.archive, None);
    let digest = facts.digest.get(..SHOWN_DIGITS).unwrap_or_default();
    let files = counted(packed.files, "file");
    format!("{files}, {} octets, digest {digest}", facts.octets)
}

/// Pushes a folder now, and whenever it has changed and is no longer being written.
fn watch(arguments: &PushArgs, folder: &Path) -> Result<ExitCode, String> {
    let pusher = Pusher::new(arguments)?;
    let (mut pushed, mut seen) = (Vec::new(), Vec::new());
    loop {
        let mut now = Vec::new();
        look(folder, &mut now);
        if now == seen && now != pushed && pusher.push_found(folder) {
            pushed.clone_from(&now);
        }
        seen = now;
        std::thread::sleep(LOOK);
    }
}

/// The files of a folder and of those below, without hidden ones.
fn look(folder: &Path, found: &mut Vec<(PathBuf, Option<FilePrint>)>) {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            look(&path, found);
        } else {
            let print = FilePrint::of(&path);
            found.push((path, print));
        }
    }
}

/// What a release is pushed with.
struct Pusher<'a> {
    arguments: &'a PushArgs,
    signer: ReleaseSigner,
    author: String,
    client: AdminClient,
}

/// Who makes a release, and why.
struct ReleaseWords {
    author: String,
    reason: String,
}

impl<'a> Pusher<'a> {
    fn new(arguments: &'a PushArgs) -> Result<Pusher<'a>, String> {
        let Some(path) = &arguments.key else {
            return Err("a release is signed; state the key with --key FILE".to_owned());
        };
        Ok(Pusher {
            arguments,
            signer: key::read(path)?,
            author: orders::by(arguments.author.as_deref())?.text().to_owned(),
            client: AdminClient::new(&arguments.remote)?,
        })
    }

    /// What the server knows of releases.
    fn releases(&self) -> Result<ReleasesReport, String> {
        let report: ReleasesReport = self.client.get("/v1/releases", &[])?;
        if report.fleet.is_empty() {
            return Err(NO_RELEASES.to_owned());
        }
        Ok(report)
    }

    fn push(&self, packed: &PackedFolder) -> Result<String, String> {
        let report = self.releases()?;
        let facts = ArchiveFacts::of(&packed.archive, self.arguments.url.clone());
        if let Some(release) = &report.release
            && release.archive.digest == facts.digest
            && report.halted.is_none()
        {
            return Ok(format!(
                "release {} has these files already",
                release.number
            ));
        }
        if facts.url.is_none() {
            self.hand_over(&packed.archive, &facts)?;
        }
        let manifest = ReleaseManifest {
            is_return: false,
            may_move: self.arguments.yes,
            ..self.manifest(&report, facts)?
        };
        self.publish(&manifest)
    }

    /// Pushes a folder that was found changed; false: the server is to be asked again.
    fn push_found(&self, folder: &Path) -> bool {
        let packed = match pack_folder(folder) {
            Ok(packed) => packed,
            Err(sentence) => {
                complain(format_args!("meridian: {sentence}"));
                return true;
            }
        };
        warn_of(&packed);
        match self.push(&packed) {
            Ok(sentence) => say!("{}", shown(&sentence)),
            Err(sentence) => {
                complain(format_args!("meridian: {sentence}"));
                return false;
            }
        }
        true
    }

    fn go_back(&self) -> Result<String, String> {
        let report = self.releases()?;
        let Some(before) = last_done(&report, false) else {
            return Err("there is no release before the one that is served".to_owned());
        };
        let manifest = ReleaseManifest {
            is_return: true,
            may_move: true,
            ..self.manifest(&report, before)?
        };
        let sentence = self.publish(&manifest)?;
        Ok(sentence.replace(
            "ring 0 serves it first",
            "it goes back, at once where that was served before",
        ))
    }

    /// What the options say, and else the last commit of a checkout that is watched.
    fn words(&self) -> ReleaseWords {
        let mut words = ReleaseWords {
            author: self.author.clone(),
            reason: self.arguments.reason.clone().unwrap_or_default(),
        };
        let folder = self.arguments.directory.as_deref();
        let Some(commit) = folder
            .filter(|_| self.arguments.watch)
            .and_then(last_commit)
        else {
            return words;
        };
        if self.arguments.author.is_none()
            && let Ok(author) = orders::by(Some(&commit.author))
        {
            words.author = author.text().to_owned();
        }
        if self.arguments.reason.is_none() {
            words.reason = commit.subject;
        }
        words
    }

    fn manifest(
        &self,
        report: &ReleasesReport,
        archive: ArchiveFacts,
    ) -> Result<ReleaseManifest, String> {
        let since = SystemTime::UNIX_EPOCH.elapsed();
        let at = since.map_err(|_| "the clock is set before 1970".to_owned())?;
        let ReleaseWords { author, reason } = self.words();
        Ok(ReleaseManifest {
            fleet: report.fleet.clone(),
            number: report.next,
            author,
            reason,
            at: at.as_secs(),
            archive,
            before: last_done(report, true),
            is_return: false,
            may_move: false,
        })
    }

    /// Sends an archive in pieces.
    fn hand_over(&self, archive: &[u8], facts: &ArchiveFacts) -> Result<(), String> {
        for (piece, octets) in archive.chunks(PIECE).enumerate() {
            let body = PieceRequest {
                key: piece_key(&facts.digest, piece),
                octets: STANDARD.encode(octets),
            };
            let parts = ["releases", "pieces"];
            let _: ReleaseDone = self.client.change(Method::PUT, &parts, &body)?;
        }
        Ok(())
    }

    fn publish(&self, manifest: &ReleaseManifest) -> Result<String, String> {
        let signed = self.signer.sign(manifest)?;
        let body = ReleaseRequest {
            release: signed.text(),
        };
        let done: ReleaseDone = self.client.post("/v1/releases", &body)?;
        Ok(done.sentence)
    }
}

/// The archive of the last release that every server has proven. `with_newest`: that may be the newest
/// one.
fn last_done(report: &ReleasesReport, with_newest: bool) -> Option<ArchiveFacts> {
    let newest = report.release.as_ref()?;
    if with_newest && report.state == "done" {
        return Some(newest.archive.clone());
    }
    newest.before.clone()
}

/// Runs `meridian releases`.
///
/// # Errors
/// A sentence: the server cannot be reached.
pub fn list(arguments: &ReleasesArgs) -> Result<ExitCode, String> {
    let client = AdminClient::new(&arguments.remote)?;
    let report: ReleasesReport = client.get("/v1/releases", &[])?;
    if arguments.json {
        say_json(serde_json::to_value(&report).map_err(|error| error.to_string())?);
    } else if report.fleet.is_empty() {
        say!("this server follows no releases");
    } else {
        print_releases(&report);
    }
    Ok(ExitCode::SUCCESS)
}

fn print_releases(report: &ReleasesReport) {
    say!("{}", shown(&headline(report)));
    if let Some(fault) = &report.fault {
        say!("what was published last does not count: {}", shown(fault));
    }
    TextOutput::stdout().table(&HEADS, &rows(report));
}

fn rows(report: &ReleasesReport) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for server in &report.servers {
        rows.push(row(server));
    }
    rows
}

/// `release 7 of world by ops (more names): halted by ns1: …`
fn headline(report: &ReleasesReport) -> String {
    let Some(release) = &report.release else {
        return format!("fleet {}: no release was seen", report.fleet);
    };
    let mut line = format!(
        "release {} of {} by {}",
        release.number, report.fleet, release.author
    );
    if !release.reason.is_empty() {
        line += &format!(" ({})", release.reason);
    }
    match &report.halted {
        Some(halt) => line + &format!(": halted by {}: {}", halt.by, halt.why),
        None => line + &format!(": {}", report.state),
    }
}

fn row(server: &ServerRelease) -> Vec<String> {
    vec![
        server.ring.to_string(),
        server.name.clone(),
        serving_text(server.serving),
        server.release.to_string(),
        state_text(server),
        server.why.clone(),
    ]
}

fn serving_text(number: u64) -> String {
    match number {
        0 => "own files".to_owned(),
        number => number.to_string(),
    }
}

fn state_text(server: &ServerRelease) -> String {
    let word = server.state.word();
    match server.in_touch {
        true => word.to_owned(),
        false => format!("{word}, away"),
    }
}

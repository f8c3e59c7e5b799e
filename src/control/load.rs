//! Loads a configuration and everything that it names.
//!
//! [`ConfigOrigin::load`] reads the configuration, its zones and its databases, and compiles them
//! into a [`LoadedState`] that is ready to be published. Nothing that is being served changes
//! meanwhile. Every mistake is reported, one line each, with its place. A reload keeps the atlas
//! if neither the databases nor the networks have changed.

mod checks_only;
mod edited;
mod origin;
mod signed_zones;
mod zone_warnings;

use std::path::Path;
use std::sync::Arc;

pub use origin::ConfigOrigin;

use edited::KnownZones;
use zone_warnings::{long_denials, unanswered_query};

use super::fingerprint::ContentPrints;
use super::identity::OfEach;
use super::memory::{self, MemoryExtent};
use super::rolls::ServedRoll;
use super::signing::{self, BundleDraft, KeptSignatures, LoadPurpose};
use super::{identity, process, secrets};
use crate::answer::policy::{ServerPolicy, ZoneAccess};
use crate::answer::{RoundRobinCounters, Snapshot};
use crate::catalog::signed::ZoneSigners;
use crate::catalog::{Availability, Catalog, CatalogError, LiveState};
use crate::config::released::{self, ReleaseChoice};
use crate::config::{self, Config, EncryptedListen, SourceFile};
use crate::dns::cookie::CookieSecrets;
use crate::files::{self, FilePrint, FileRead, QUIET, ReadError};
use crate::geo::{Atlas, AtlasSources, OperatorNetwork, both};
use crate::text::shown;
use crate::zone;

/// A configuration and everything that was loaded with it.
pub struct LoadedState {
    /// The configuration, checked.
    pub config: Config,
    /// The compiled snapshot, with every endpoint up.
    pub snapshot: Snapshot,
    /// Likely mistakes that do not prevent serving; each names its place.
    pub warnings: Vec<String>,
    /// The atlas, for the next load.
    pub atlas: AtlasCache,
    /// The certificates and keys of the encrypted transports.
    pub identity: OfEach<identity::FoundIdentity>,
    /// The configuration and the zone files, with every file that they include.
    pub files: Vec<FileRead>,
    /// When a load is due that signs anew, in seconds since 1970.
    pub signing_due: Option<u64>,
    /// What was signed, if it is to become a bundle.
    pub bundle: Option<BundleDraft>,
    /// The rolls of keys that are under way.
    pub rolls: Vec<ServedRoll>,
    /// Fingerprints of the configuration and the zones.
    pub prints: ContentPrints,
    /// The configuration file and those that it includes.
    pub sources: Arc<[SourceFile]>,
}

/// An atlas and the inputs that it was compiled from. A reload that changes neither databases nor
/// networks uses it again.
#[derive(Clone)]
pub struct AtlasCache {
    key: AtlasKey,
    atlas: Arc<Atlas>,
    /// The size of everything that was loaded with it.
    extent: MemoryExtent,
    /// The zones that were loaded with it; `None`: the next load reads them all.
    zones: Option<Arc<KnownZones>>,
}

impl AtlasCache {
    /// The compiled atlas.
    pub fn atlas(&self) -> Arc<Atlas> {
        self.atlas.clone()
    }
}

/// The inputs of an atlas.
#[derive(Clone, PartialEq)]
struct AtlasKey {
    sources: AtlasSources,
    prints: Vec<Option<FilePrint>>,
    networks: Vec<OperatorNetwork>,
}

impl AtlasKey {
    fn of(config: &Config) -> AtlasKey {
        let sources = AtlasSources {
            databases: config.geo.databases.clone(),
            coarse_points: config.geo.coarse_points,
        };
        let networks: Vec<OperatorNetwork> = config
            .geo
            .networks
            .iter()
            .map(OperatorNetwork::from)
            .collect();
        AtlasKey {
            sources,
            prints: prints(config),
            networks,
        }
    }
}

/// Whether a setting changed that only takes effect at a restart.
pub(super) fn needs_restart(new: &Config, old: &Config) -> bool {
    new.server.listen != old.server.listen
        || encrypted_listeners(new) != encrypted_listeners(old)
        || new.server.workers != old.server.workers
        || new.admin.listen != old.admin.listen
        || new.admin.token_file != old.admin.token_file
        || new.admin.hosts != old.admin.hosts
        || new.admin.tls.is_some() != old.admin.tls.is_some()
}

/// The encrypted listeners without their certificates, which a reload can replace.
fn encrypted_listeners(config: &Config) -> EncryptedListen {
    EncryptedListen {
        identity: None,
        ..config.server.encrypted.clone()
    }
}

/// Fingerprints of the files that others deliver, which are read again whenever they change: the
/// databases of a configuration, and its bundle of signatures.
pub(super) fn prints(config: &Config) -> Vec<Option<FilePrint>> {
    let bundle = config
        .dnssec
        .as_ref()
        .and_then(|dnssec| dnssec.bundle.as_ref());
    let files = config.geo.databases.iter().chain(bundle);
    files.map(|path| FilePrint::of(path)).collect()
}

/// How often a load starts again because a file changed while it was being read.
const ATTEMPTS: u32 = 3;

impl ConfigOrigin {
    /// Like [`ConfigOrigin::load`], but never reads a half-written file: it waits until no file has
    /// been written for [`QUIET`], and reads all files again if one was.
    ///
    /// # Errors
    /// The mistakes in the files, or the file that is still being written.
    pub fn load_settled(
        &self,
        before: &AtlasCache,
        purpose: LoadPurpose,
    ) -> Result<LoadedState, Vec<String>> {
        let mut changed = String::new();
        for _ in 0..ATTEMPTS {
            let loaded = self.load_for(purpose, Some(before))?;
            match files::changed_since(&loaded.files, QUIET) {
                None => return Ok(loaded),
                Some(path) => {
                    changed = format!("{}: the file {}", shown(path.display()), ReadError::Changed)
                }
            }
        }
        Err(vec![changed])
    }

    /// Reads the configuration and everything that it names, to look at it.
    ///
    /// # Errors
    /// Every mistake, one line each.
    pub fn load(&self, before: Option<&AtlasCache>) -> Result<LoadedState, Vec<String>> {
        self.load_for(LoadPurpose::Inspect, before)
    }

    /// Reads the configuration and everything that it names.
    ///
    /// # Errors
    /// Every mistake, one line each.
    pub fn load_for(
        &self,
        purpose: LoadPurpose,
        before: Option<&AtlasCache>,
    ) -> Result<LoadedState, Vec<String>> {
        match self {
            ConfigOrigin::File(file) => {
                let read = config::load(file).map_err(|it| lines(&it))?;
                if let Some(loaded) = before.and_then(|before| edited::load(&read, before)) {
                    return Ok(loaded);
                }
                load_config(read, before, purpose, zones_of)
            }
            ConfigOrigin::Released {
                file,
                release,
                only_checks,
            } => {
                let release = release.as_deref();
                let choice = release.map_or(ReleaseChoice::Own, ReleaseChoice::Folder);
                let read = config::load_with(file, choice).map_err(|it| lines(&it))?;
                if *only_checks {
                    checks_only::load(read, before, purpose)
                } else {
                    load_config(read, before, purpose, zones_of)
                }
            }
            ConfigOrigin::Pushed(folder) => {
                let file = folder.join(released::MAIN);
                let choice = ReleaseChoice::Folder(folder);
                let read = config::parse_with("", &file, choice).map_err(|it| lines(&it))?;
                load_config(read, before, purpose, zones_of)
            }
            ConfigOrigin::Checks(file) => {
                let read = config::load(file).map_err(|it| lines(&it))?;
                checks_only::load(read, before, purpose)
            }
            ConfigOrigin::BuiltIn {
                configuration,
                zone,
            } => {
                let read = config::parse(configuration, Path::new("built-in.toml"))
                    .map_err(|it| lines(&it))?;
                load_config(read, before, purpose, |_| {
                    zone::load_text(Path::new("built-in.zone"), zone.as_bytes(), None, None)
                })
            }
        }
    }
}

/// Loads the configuration in a file, as [`ConfigOrigin::load`] does.
///
/// # Errors
/// Every mistake, one line each.
pub fn load(file: &Path, before: Option<&AtlasCache>) -> Result<LoadedState, Vec<String>> {
    ConfigOrigin::File(file.to_owned()).load(before)
}

fn zones_of(config: &Config) -> Result<zone::LoadedZones, Vec<zone::ZoneError>> {
    zone::load_directory(&config.zones_directory)
}

/// Loads everything that a configuration names and compiles it.
fn load_config(
    read: config::LoadedConfig,
    before: Option<&AtlasCache>,
    purpose: LoadPurpose,
    zones: impl FnOnce(&Config) -> Result<zone::LoadedZones, Vec<zone::ZoneError>> + Send,
) -> Result<LoadedState, Vec<String>> {
    let config = read.config;
    let extent = MemoryExtent::of(&config);
    if let Some(before) = before {
        let with_databases = before.key != AtlasKey::of(&config);
        memory::check(&before.extent, &extent, with_databases, config.max_memory)
            .map_err(|refusal| vec![refusal])?;
    }
    // Databases and signatures take long, so zones are read in parallel.
    let ((atlas, kept), zones) = both(
        || {
            let atlas = cached_atlas(&config, before);
            (atlas, KeptSignatures::read(&config, purpose))
        },
        || zones(&config),
    );
    let parts = LoadedParts::join(
        atlas.map_err(|mistake| vec![mistake]),
        zones.map_err(|it| lines(&it)),
        cookie_secrets(&config).map_err(|mistake| vec![mistake]),
        identity::read(&config),
    )?;
    let LoadedParts {
        atlas,
        mut zones,
        cookies,
        identity,
    } = parts;
    let mut warnings = lines(&read.warnings);
    let mut files = read.files;
    files.append(&mut zones.files);
    let mut signing = signing::prepare(&config, &mut zones.zones, kept, purpose)?;
    files.append(&mut signing.files);
    warnings.append(&mut signing.warnings);
    let bundle = signing.draft.take();
    let (catalog, zone_warnings) = compile(&config, &zones, atlas.atlas.clone(), &signing.signers)
        .inspect_err(|_| signing.keep())?;
    let prints = ContentPrints::of(&read.sources, &catalog, &zones.zones);
    let known = zones.known.take().filter(|_| zone_warnings.is_empty());
    drop(zones);
    memory::check_loaded(&config, before.is_none()).map_err(|refusal| vec![refusal])?;
    warnings.extend(zone_warnings);
    warnings.extend(identity.dns.warning.clone());
    warnings.extend(identity.admin.warning.clone());
    let mut snapshot = snapshot(&config, catalog, cookies, signing.steered.take())?;
    snapshot.on_demand = signing.on_demand.take();
    let rolls = std::mem::take(&mut signing.rolls);
    let signing_due = signing.save();
    let sources: Arc<[SourceFile]> = read.sources.into();
    let zones = known.map(|folder| KnownZones {
        folder,
        sources: sources.clone(),
        catalog: snapshot.catalog.clone(),
        prints: prints.clone(),
    });
    Ok(LoadedState {
        snapshot,
        config,
        warnings,
        atlas: AtlasCache {
            extent,
            zones: zones.map(Arc::new),
            ..atlas
        },
        identity,
        files,
        signing_due,
        bundle,
        rolls,
        prints,
        sources,
    })
}

/// Everything that a configuration names, read without a mistake.
struct LoadedParts {
    atlas: AtlasCache,
    zones: zone::LoadedZones,
    cookies: Option<CookieSecrets>,
    identity: OfEach<identity::FoundIdentity>,
}

impl LoadedParts {
    /// Joins the parts, or the mistakes of all that have some.
    fn join(
        atlas: Result<AtlasCache, Vec<String>>,
        zones: Result<zone::LoadedZones, Vec<String>>,
        cookies: Result<Option<CookieSecrets>, Vec<String>>,
        identity: Result<OfEach<identity::FoundIdentity>, Vec<String>>,
    ) -> Result<LoadedParts, Vec<String>> {
        match (atlas, zones, cookies, identity) {
            (Ok(atlas), Ok(zones), Ok(cookies), Ok(identity)) => Ok(LoadedParts {
                atlas,
                zones,
                cookies,
                identity,
            }),
            (atlas, zones, cookies, identity) => {
                let mut mistakes = Vec::new();
                mistakes.extend(atlas.err().unwrap_or_default());
                mistakes.extend(zones.err().unwrap_or_default());
                mistakes.extend(cookies.err().unwrap_or_default());
                mistakes.extend(identity.err().unwrap_or_default());
                Err(mistakes)
            }
        }
    }
}

/// The secrets of server cookies; `None`: cookies are off.
fn cookie_secrets(config: &Config) -> Result<Option<CookieSecrets>, String> {
    match &config.server.cookie_secrets_file {
        _ if !config.server.cookies => Ok(None),
        None => Ok(Some(CookieSecrets::new(process::cookie_secret(), None))),
        Some(file) => secrets::read(file).map(Some),
    }
}

/// A snapshot in which every endpoint is up.
///
/// # Errors
/// The configuration restricts access to a zone that does not exist.
pub(crate) fn snapshot(
    config: &Config,
    catalog: Catalog,
    cookies: Option<CookieSecrets>,
    signers: Option<Arc<ZoneSigners>>,
) -> Result<Snapshot, Vec<String>> {
    let zones = zone_access(config, &catalog)?;
    let live = LiveState::first(&catalog, &Availability::all_up(config), signers);
    if let Some(fault) = live.signing_fault() {
        return Err(vec![format!("steered names cannot be signed: {fault}")]);
    }
    Ok(Snapshot {
        turns: Arc::new(RoundRobinCounters::new(catalog.services.len())),
        on_demand: None,
        catalog: Arc::new(catalog),
        live,
        policy: Arc::new(ServerPolicy::of(config, cookies, zones)),
        clock: process::clock(),
    })
}

/// Who may ask for which zone; `None`: everybody for all.
fn zone_access(config: &Config, catalog: &Catalog) -> Result<Option<ZoneAccess>, Vec<String>> {
    ZoneAccess::of(&config.zone_access, &catalog.zones).map_err(|unknown| {
        let mut mistakes = Vec::new();
        for stated in unknown {
            mistakes.push(format!(
                "{}:1: there is no zone {} whose access this could be; name the apex of a zone",
                stated.stated, stated.zone
            ));
        }
        mistakes
    })
}

/// Compiles the catalog from a configuration and its zones. Also returns warnings about the zones.
///
/// # Errors
/// Every contradiction between the configuration and the zones, with its place.
pub fn compile(
    config: &Config,
    zones: &zone::LoadedZones,
    atlas: Arc<Atlas>,
    signers: &ZoneSigners,
) -> Result<(Catalog, Vec<String>), Vec<String>> {
    let catalog = Catalog::compile_signed(config, &zones.zones, atlas, signers)
        .map_err(|error| sentences(&error))?;
    if let Some(mistake) = unanswered_query(config, &catalog) {
        return Err(vec![mistake]);
    }
    let mut warnings = lines(&zones.warnings);
    warnings.extend(signed_zones::warnings(
        &catalog,
        &zones.zones,
        signing::now(),
    ));
    warnings.extend(long_denials(config, zones.zones.iter(), &catalog));
    for (name, warning) in &zones.missing_addresses {
        // A service needs no address records: its endpoints are the addresses.
        if catalog.service_named(name).is_none() {
            warnings.push(warning.to_string());
        }
    }
    Ok((catalog, warnings))
}

fn sentences(error: &CatalogError) -> Vec<String> {
    let mut mistakes = Vec::new();
    match error {
        CatalogError::Signing(fault) => {
            let (zone, error) = (&fault.zone, &fault.error);
            mistakes.push(format!("the zone {zone} cannot be signed: {error}"));
        }
        CatalogError::Services(found) => {
            for mistake in found {
                mistakes.push(format!("{}:1: {}", mistake.stated, mistake.sentence));
            }
        }
    }
    mistakes
}

/// The atlas of a configuration. It is `before` if neither databases nor networks have changed.
///
/// # Errors
/// A sentence: a database cannot be used.
pub fn cached_atlas(config: &Config, before: Option<&AtlasCache>) -> Result<AtlasCache, String> {
    let key = AtlasKey::of(config);
    if let Some(before) = before.filter(|before| before.key == key) {
        return Ok(before.clone());
    }
    let atlas = Atlas::compile(&key.sources, &key.networks).map_err(|error| error.to_string())?;
    Ok(AtlasCache {
        key,
        atlas: Arc::new(atlas),
        extent: MemoryExtent::default(),
        zones: None,
    })
}

fn lines<T: ToString>(found: &[T]) -> Vec<String> {
    found.iter().map(T::to_string).collect()
}

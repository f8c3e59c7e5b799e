//! Loads a configuration and everything that it names.
//!
//! [`ConfigOrigin::load`] reads the configuration, its zones and its databases, and compiles them
//! into a [`LoadedState`] that is ready to be published. Nothing that is being served changes
//! meanwhile. Every mistake is reported, one line each, with its place. A reload keeps the atlas
//! if neither the databases nor the networks have changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fingerprint::ContentPrints;
use super::identity::OfEach;
use super::memory::{self, MemoryExtent};
use super::{identity, process, secrets};
use crate::answer::policy::{ServerPolicy, ZoneAccess};
use crate::answer::{RoundRobinCounters, Snapshot};
use crate::catalog::{Availability, Catalog, LiveState};
use crate::config::{self, Config, EncryptedListen};
use crate::dns::Name;
use crate::dns::cookie::CookieSecrets;
use crate::files::{self, FilePrint, FileRead, QUIET, ReadError};
use crate::geo::{Atlas, AtlasSources, OperatorNetwork, both};
use crate::text::shown;
use crate::zone;

/// A configuration and what it comes to.
pub struct LoadedState {
    /// The truth.
    pub config: Config,
    /// Ready to be published.
    pub snapshot: Snapshot,
    /// What is odd but served; each names its place.
    pub warnings: Vec<String>,
    /// For the next load.
    pub atlas: AtlasCache,
    /// What the encrypted transports show.
    pub identity: OfEach<identity::FoundIdentity>,
    /// The configuration and the zones, with all that they include.
    pub files: Vec<FileRead>,
    /// What tells it from others.
    pub prints: ContentPrints,
    /// The configuration as it stands in the file.
    pub text: Arc<str>,
}

/// An atlas and what it was made from, so that a reload that changes neither data nor networks need not make it again.
#[derive(Clone)]
pub struct AtlasCache {
    key: AtlasKey,
    atlas: Arc<Atlas>,
    /// How much was loaded with it.
    extent: MemoryExtent,
}

impl AtlasCache {
    /// The atlas.
    pub fn atlas(&self) -> Arc<Atlas> {
        self.atlas.clone()
    }
}

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
        let prints = sources
            .databases
            .iter()
            .map(|path: &PathBuf| FilePrint::of(path))
            .collect();
        AtlasKey {
            sources,
            prints,
            networks,
        }
    }
}

/// Whether something changed that is fixed when the server starts.
pub(super) fn needs_restart(new: &Config, old: &Config) -> bool {
    let listeners = |config: &Config| EncryptedListen {
        identity: None,
        ..config.server.encrypted.clone()
    };
    new.server.listen != old.server.listen
        || listeners(new) != listeners(old)
        || new.server.workers != old.server.workers
        || new.admin.listen != old.admin.listen
        || new.admin.token_file != old.admin.token_file
        || new.admin.hosts != old.admin.hosts
        || new.admin.tls.is_some() != old.admin.tls.is_some()
}

/// What tells the databases of a configuration from others.
pub(super) fn prints(config: &Config) -> Vec<Option<FilePrint>> {
    config
        .geo
        .databases
        .iter()
        .map(|path| FilePrint::of(path))
        .collect()
}

/// Where a configuration comes from.
#[derive(Debug, Clone)]
pub enum ConfigOrigin {
    /// A file; zones are where it says.
    File(PathBuf),
    /// Texts that are part of the program: a configuration, and one zone instead of a folder of them.
    BuiltIn {
        /// The configuration.
        configuration: String,
        /// The zone.
        zone: &'static str,
    },
}

impl std::fmt::Display for ConfigOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigOrigin::File(file) => file.display().fmt(f),
            ConfigOrigin::BuiltIn { .. } => f.write_str("built-in"),
        }
    }
}

/// How often everything is read that changes meanwhile.
const ATTEMPTS: u32 = 3;

impl ConfigOrigin {
    /// `Origin::load` of files that nobody is writing just now: it waits until the youngest was left alone for
    /// [`QUIET`], and reads all of them again if one was not. What is half written is neither served nor called wrong
    /// while there is something to be served on.
    ///
    /// # Errors
    /// The mistakes in the files, or which of them is being written.
    pub fn load_settled(&self, before: &AtlasCache) -> Result<LoadedState, Vec<String>> {
        let mut changed = String::new();
        for _ in 0..ATTEMPTS {
            let loaded = self.load(Some(before))?;
            match files::changed_since(&loaded.files, QUIET) {
                None => return Ok(loaded),
                Some(path) => {
                    changed = format!("{}: the file {}", shown(path.display()), ReadError::Changed)
                }
            }
        }
        Err(vec![changed])
    }

    /// Reads the configuration and everything that it names; every mistake is in the error, a line each.
    pub fn load(&self, before: Option<&AtlasCache>) -> Result<LoadedState, Vec<String>> {
        match self {
            ConfigOrigin::File(file) => {
                let read = config::load(file).map_err(lines)?;
                load_config(read, before, |config| {
                    zone::load_directory(&config.zones_directory)
                })
            }
            ConfigOrigin::BuiltIn {
                configuration,
                zone,
            } => {
                let read =
                    config::parse(configuration, Path::new("built-in.toml")).map_err(lines)?;
                load_config(read, before, |_| {
                    zone::load_text(Path::new("built-in.zone"), zone.as_bytes(), None, None)
                })
            }
        }
    }
}

/// `Origin::load` of a file.
pub fn load(file: &Path, before: Option<&AtlasCache>) -> Result<LoadedState, Vec<String>> {
    ConfigOrigin::File(file.to_owned()).load(before)
}

/// The rest, from a configuration that is read already.
fn load_config(
    read: config::LoadedConfig,
    before: Option<&AtlasCache>,
    zones: impl FnOnce(&Config) -> Result<zone::LoadedZones, Vec<zone::ZoneError>> + Send,
) -> Result<LoadedState, Vec<String>> {
    let config = read.config;
    let extent = MemoryExtent::of(&config);
    if let Some(before) = before {
        let with_databases = before.key != AtlasKey::of(&config);
        memory::check(&before.extent, &extent, with_databases).map_err(|refusal| vec![refusal])?;
    }
    // The database is by far the longest part; zones are read beside it.
    let (atlas, zones) = both(|| cached_atlas(&config, before), || zones(&config));
    let atlas = atlas.map(|atlas| AtlasCache { extent, ..atlas });
    let mut mistakes = Vec::new();
    let atlas = atlas.map_err(|mistake| mistakes.push(mistake)).ok();
    let zones = zones.map_err(|found| mistakes.extend(lines(found))).ok();
    let cookies = cookie_secrets(&config)
        .map_err(|mistake| mistakes.push(mistake))
        .ok();
    let identity = identity::read(&config)
        .map_err(|found| mistakes.extend(found))
        .ok();
    let Some((((atlas, zones), cookies), identity)) = atlas.zip(zones).zip(cookies).zip(identity)
    else {
        return Err(mistakes);
    };
    let mut warnings = lines(read.warnings);
    let prints = ContentPrints::of(read.text.as_bytes(), &zones.zones);
    let files = read
        .files
        .into_iter()
        .chain(zones.files.iter().cloned())
        .collect();
    let (catalog, zone_warnings) = compile(&config, zones, atlas.atlas.clone())?;
    warnings.extend(zone_warnings);
    warnings.extend(
        [&identity.dns, &identity.admin]
            .into_iter()
            .filter_map(|found| found.warning.clone()),
    );
    let snapshot = snapshot(&config, catalog, cookies)?;
    Ok(LoadedState {
        snapshot,
        config,
        warnings,
        atlas,
        identity,
        files,
        prints,
        text: read.text.into(),
    })
}

/// What server cookies are made with; `None`: cookies are off.
fn cookie_secrets(config: &Config) -> Result<Option<CookieSecrets>, String> {
    match &config.server.cookie_secrets_file {
        _ if !config.server.cookies => Ok(None),
        None => Ok(Some(CookieSecrets::new(process::cookie_secret(), None))),
        Some(file) => secrets::read(file).map(Some),
    }
}

/// A snapshot with everything up.
///
/// # Errors
/// Access is stated of a zone that is not there.
pub(crate) fn snapshot(
    config: &Config,
    catalog: Catalog,
    cookies: Option<CookieSecrets>,
) -> Result<Snapshot, Vec<String>> {
    let zones = ZoneAccess::of(&config.zone_access, &catalog.zones).map_err(|unknown| {
        let mistake = |stated: &config::ZoneAccessConfig| {
            let place = format!("{}:{}:1", config.file.display(), stated.line);
            format!(
                "{place}: there is no zone {} whose access this could be; name the apex of a zone",
                stated.zone
            )
        };
        unknown.into_iter().map(mistake).collect::<Vec<_>>()
    })?;
    let live = LiveState::compile(&catalog, &Availability::all_up(config), None);
    Ok(Snapshot {
        turns: Arc::new(RoundRobinCounters::new(catalog.services.len())),
        catalog: Arc::new(catalog),
        live,
        policy: Arc::new(ServerPolicy::of(config, cookies, zones)),
        clock: process::clock(),
    })
}

/// Zones and configuration joined; the warnings are the zones'.
pub fn compile(
    config: &Config,
    zones: zone::LoadedZones,
    atlas: Arc<Atlas>,
) -> Result<(Catalog, Vec<String>), Vec<String>> {
    let catalog = Catalog::compile(config, &zones.zones, atlas).map_err(|mistakes| {
        let place = |line: u32| format!("{}:{line}:1", config.file.display());
        mistakes
            .into_iter()
            .map(|mistake| format!("{}: {}", place(mistake.line), mistake.sentence))
            .collect::<Vec<_>>()
    })?;
    let mut warnings = lines(zones.warnings);
    warnings.extend(long_denials(config, &zones.zones, &catalog));
    let unsteered = zones
        .missing_addresses
        .into_iter()
        .filter(|(name, _)| catalog.service_named(name).is_none());
    warnings.extend(unsteered.map(|(_, warning)| warning.to_string()));
    Ok((catalog, warnings))
}

/// Zones whose denials outlive what the services in them give: who asked for a name or a type just before it was added is
/// told for so long that it is not there. (A denial of what a service has is never kept longer than its TTL.)
fn long_denials(config: &Config, zones: &[zone::Zone], catalog: &Catalog) -> Vec<String> {
    let mut shortest: HashMap<&Name, &config::ServiceConfig> = HashMap::new();
    for service in &config.services {
        let Some(zone) = catalog.zone_of(&service.name) else {
            continue;
        };
        let known = shortest.entry(&zone.origin).or_insert(service);
        if service.ttl < known.ttl {
            *known = service;
        }
    }
    let mut warnings = Vec::new();
    for zone in zones {
        let Some(service) = shortest.get(&zone.origin) else {
            continue;
        };
        let Some((line, kept)) = zone.denial_ttl().filter(|(_, kept)| *kept > service.ttl) else {
            continue;
        };
        let (file, name, ttl) = (zone.file.display(), &service.name, service.ttl);
        warnings.push(format!(
            "{file}:{line}:1: the SOA minimum lets resolvers keep for {kept} s that a name is missing, longer than the \
             {ttl} s of {name}; lower it to {ttl}"
        ));
    }
    warnings
}

/// The atlas of a configuration: the one before, if nothing that goes into it has changed.
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
    })
}

fn lines<T: ToString>(found: Vec<T>) -> Vec<String> {
    found.iter().map(T::to_string).collect()
}

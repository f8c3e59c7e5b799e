//! The keys of signed zones: reads them, makes those that are missing, and puts their public halves
//! into the zones.
//!
//! A zone is signed with every key in the folder that is active by its own times; keys that are
//! published only have their DNSKEY records in the zone. Where a configuration is only looked at
//! (`check`, `plan`), keys are read and their mistakes are reported, but nothing is made or signed.
//! Signatures are kept in the state directory, so a restart and a reload sign what is new.
//!
//! With `keys = "elsewhere"`, public keys and signatures come from a bundle, and nothing is signed.
//! `meridian sign` makes the bundle.

mod active;
mod bootstrap;
mod denial;
mod draft;
mod in_file;
mod key_records;
mod new_keys;
mod purpose;
mod selection;
mod serials;
mod source;
mod tokens;

use std::path::Path;
use std::sync::Arc;

use self::active::{ActiveKeys, active_keys, check_speed};
use self::denial::add_denial_records;
pub use self::draft::BundleDraft;
use self::key_records::add_key_records;
pub use self::new_keys::new_key;
use self::new_keys::new_keys;
use self::purpose::make_folder;
pub use self::purpose::{LoadPurpose, now};
pub(super) use self::selection::is_selected;
use self::selection::{not_foreseen, signed_on_demand, steered_zones, unknown_zones};
use self::serials::{SerialBook, SerialRequest};
use self::source::{KeySource, ZoneKeyRoles, warning_due};
pub use self::tokens::token_mistakes;
use super::on_demand::OnDemandSigner;
use super::rolls::{self, ServedRoll};
use crate::answer::on_demand::DenialSigner;
use crate::catalog::signed::ZoneSigners;
use crate::config::{Config, DnssecConfig};
use crate::dns::Name;
use crate::dnssec::{
    SerialRule, SignatureStore, SigningError, SigningSession, TokenSetup, ValidityRules,
    ZoneDenial, ZoneSigner,
};
use crate::files::FileRead;
use crate::zone::Zone;

/// The file in the state directory that keeps the signatures of zones.
const OF_ZONES: &str = "signatures";
/// The file that keeps those of steered names.
const OF_SERVICES: &str = "signatures-steered";
/// Seconds until a failed load that was due is tried again.
const RETRY: u64 = 600;

/// The signers of a load, and the key files that were read.
#[derive(Default)]
pub struct PreparedSigning {
    /// By zone; none if the load is not for serving.
    pub signers: ZoneSigners,
    /// The signers of steered names; `None`: nothing is signed. They stay in use after the load.
    pub steered: Option<Arc<ZoneSigners>>,
    /// Signs denials when somebody asks; `None`: no zone needs that, or the load is not for serving.
    pub on_demand: Option<Arc<dyn DenialSigner>>,
    /// The sessions of zones and of steered names.
    sessions: Option<[Arc<SigningSession>; 2]>,
    /// When the times of a key change something next, in seconds since 1970.
    next_change: Option<u64>,
    /// The rolls that are under way, with what is served of their zones.
    pub rolls: Vec<ServedRoll>,
    /// Every key file that was read.
    pub files: Vec<FileRead>,
    /// Sentences about signatures that expire soon.
    pub warnings: Vec<String>,
    /// The serials of zones that rise by themselves.
    serials: SerialBook,
    /// For [`LoadPurpose::Sign`].
    pub draft: Option<BundleDraft>,
}

impl PreparedSigning {
    /// Keeps the signatures of zones that were made before the load was refused. A token makes them
    /// slowly, and the next load should not begin anew.
    pub fn keep(&self) {
        if let Some([of_zones, _]) = &self.sessions
            && let Err(reason) = of_zones.flush()
        {
            tracing::warn!("signatures are not kept for the next load: {reason}");
        }
    }

    /// Saves the signatures that were made. Those of zones are not needed any more. Returns when a
    /// load is due that signs anew, in seconds since 1970; `None`: nothing is signed.
    pub fn save(mut self) -> Option<u64> {
        let mut due = self.next_change;
        if let Err(reason) = self.serials.save(&self.signers) {
            tracing::warn!("serials are not kept for a restart: {reason}");
        }
        for session in self.sessions.into_iter().flatten() {
            if let Some(fault) = session.take_fault() {
                tracing::error!(
                    "signatures that are due are served until they expire, because new ones cannot \
                     be made: {fault}"
                );
            }
            due = earliest(due, session.next_due());
            if let Err(reason) = session.flush() {
                tracing::warn!("signatures are not kept for a restart: {reason}");
            }
        }
        due
    }
}

fn earliest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Whether a load that signs anew is due.
pub fn is_due(due: Option<u64>) -> bool {
    due.is_some_and(|due| due <= now())
}

/// When to try again after a load that was due has failed.
pub fn next_try() -> u64 {
    now().saturating_add(RETRY)
}

/// Reads the keys, makes missing ones, and adds the records of keys to the zones that are signed.
///
/// # Errors
/// Every mistake, one line each: a zone without keys, a file that is no key, a zone that is not
/// there, or one that is signed already.
pub fn prepare(
    config: &Config,
    zones: &mut [Zone],
    stores: Option<KeptSignatures>,
    purpose: LoadPurpose,
) -> Result<PreparedSigning, Vec<String>> {
    let Some(dnssec) = &config.dnssec else {
        in_file::check_without_keys(config, zones)?;
        return Ok(PreparedSigning::default());
    };
    let mut keys = KeySource::read(dnssec, purpose)?;
    let now = keys.as_of;
    let SigningKeys { active, steered } = find_keys(config, dnssec, &mut keys, zones, purpose)?;
    if dnssec.bootstrap {
        bootstrap::add_signals(zones, &active).map_err(|mistake| vec![mistake])?;
    }
    let (serials, told) = settle_serials(config, dnssec, &keys, zones, &active, purpose);
    let active = in_file::joined(active, steered);
    let draft_keys = keys.bundle_keys();
    let KeySource {
        folder,
        bundle,
        expires,
        mut warnings,
        ..
    } = keys;
    warnings.extend(told);
    // A load warns of a bundle that expires soon, and is due for that.
    let mut next_change = expires.map(|expires| warning_due(expires, self::now()));
    if bundle.is_none() {
        for key in folder.zones.values().flatten() {
            next_change = earliest(next_change, key.times.next_change(now));
        }
    }
    let mut prepared = PreparedSigning {
        next_change,
        rolls: rolls::under_way(config, &folder, zones),
        files: folder.files,
        warnings,
        serials,
        ..PreparedSigning::default()
    };
    if let Some(KeptSignatures {
        of_zones,
        of_services,
    }) = stores
    {
        let of_zones = Arc::new(session(of_zones, bundle.as_ref(), purpose));
        let of_services = Arc::new(session(of_services, bundle.as_ref(), purpose));
        prepared.signers = signers(dnssec, zones, &active, &of_zones);
        prepared.steered = Some(Arc::new(signers(dnssec, zones, &active, &of_services)));
        if purpose == LoadPurpose::Serve {
            prepared.on_demand = on_demand(dnssec, zones, &active);
        }
        if purpose == LoadPurpose::Sign {
            prepared.draft = Some(BundleDraft {
                made_at: now,
                keys: draft_keys,
                serials: serials_of(dnssec, zones),
                sessions: [of_zones.clone(), of_services.clone()],
            });
        }
        prepared.sessions = Some([of_zones, of_services]);
    }
    Ok(prepared)
}

/// The keys that sign, by zone.
struct SigningKeys {
    /// Of zones that are signed here.
    active: Vec<ActiveKeys>,
    /// Of the steered names in zones that are signed in their files.
    steered: Vec<ActiveKeys>,
}

/// Finds the keys of all zones, and everything that is wrong with the zones to be signed.
fn find_keys(
    config: &Config,
    dnssec: &DnssecConfig,
    source: &mut KeySource,
    zones: &mut [Zone],
    purpose: LoadPurpose,
) -> Result<SigningKeys, Vec<String>> {
    let mut mistakes = unknown_zones(dnssec, zones);
    mistakes.extend(in_file::costly_hashes(zones));
    if purpose == LoadPurpose::Sign {
        mistakes.extend(signed_on_demand(dnssec, zones));
    }
    if source.bundle.is_some() || purpose == LoadPurpose::Sign {
        mistakes.extend(not_foreseen(config, dnssec, zones));
    }
    let active = active_of_zones(config, dnssec, source, zones, purpose);
    let steered = in_file::keys_of_steered(config, Some(source), zones);
    match (active, steered) {
        (Ok(active), Ok(steered)) if mistakes.is_empty() => Ok(SigningKeys { active, steered }),
        (active, steered) => {
            mistakes.extend(active.err().unwrap_or_default());
            mistakes.extend(steered.err().unwrap_or_default());
            Err(mistakes)
        }
    }
}

/// The keys of each zone; none where it is not signed. Adds the records of the keys to the zones.
fn active_of_zones(
    config: &Config,
    dnssec: &DnssecConfig,
    source: &mut KeySource,
    zones: &mut [Zone],
    purpose: LoadPurpose,
) -> Result<Vec<ActiveKeys>, Vec<String>> {
    let steered = steered_zones(config, zones);
    let (mut active, mut mistakes) = (Vec::with_capacity(zones.len()), Vec::new());
    for zone in zones.iter_mut() {
        let found = if is_selected(dnssec, zone) {
            let is_steered = steered.contains(&zone.origin);
            zone_keys(dnssec, source, zone, is_steered, purpose)
        } else {
            Ok(ActiveKeys::default())
        };
        match found {
            Ok(keys) => active.push(keys),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() {
        Ok(active)
    } else {
        Err(mistakes)
    }
}

/// Gives signed zones the serials that are served, which come with the signatures of a bundle. Also
/// returns sentences about them.
fn settle_serials(
    config: &Config,
    dnssec: &DnssecConfig,
    source: &KeySource,
    zones: &mut [Zone],
    active: &[ActiveKeys],
    purpose: LoadPurpose,
) -> (SerialBook, Vec<String>) {
    if source.bundle.is_some() {
        for zone in zones.iter_mut() {
            if let Some(serial) = source.serials.get(zone.origin.to_lower().as_wire()) {
                zone.set_serial(*serial);
            }
        }
        return (SerialBook::default(), Vec::new());
    }
    let mut book = SerialBook::read(config, zones, purpose.signs(), now());
    for (index, (zone, keys)) in zones.iter_mut().zip(active).enumerate() {
        if !keys.sign_zone.is_empty() {
            book.settle(SerialRequest {
                index,
                rule: dnssec.rules_of(&zone.origin).serial,
                zone,
                keys,
            });
        }
    }
    let told = std::mem::take(&mut book.warnings);
    (book, told)
}

/// The serials that rise by themselves, for a bundle.
fn serials_of(dnssec: &DnssecConfig, zones: &[Zone]) -> Vec<(Name, u32)> {
    let mut serials = Vec::new();
    for zone in zones.iter().filter(|zone| is_selected(dnssec, zone)) {
        if dnssec.rules_of(&zone.origin).serial != SerialRule::Keep {
            serials.extend(zone.serial().map(|serial| (zone.origin.to_lower(), serial)));
        }
    }
    serials
}

fn signers(
    dnssec: &DnssecConfig,
    zones: &[Zone],
    active: &[ActiveKeys],
    session: &Arc<SigningSession>,
) -> ZoneSigners {
    let mut signers = ZoneSigners::default();
    for (zone, keys) in zones.iter().zip(active) {
        if keys.sign_zone.is_empty() {
            signers.zones.push(None);
            continue;
        }
        let signer = ZoneSigner::of_roles(
            &zone.origin,
            keys.sign_keys.clone(),
            keys.sign_zone.clone(),
            session.clone(),
        );
        let denial = dnssec.rules_of(&zone.origin).denial;
        signers.zones.push(Some(signer.with_denial(denial)));
    }
    signers
}

/// Signs denials when somebody asks, if a zone needs that.
fn on_demand(
    dnssec: &DnssecConfig,
    zones: &[Zone],
    active: &[ActiveKeys],
) -> Option<Arc<dyn DenialSigner>> {
    let store = SignatureStore::in_memory();
    let session = SigningSession::new(self::now, ValidityRules::default(), store).forgetting();
    let signers = signers(dnssec, zones, active, &Arc::new(session));
    let mut signers_of = signers.zones.iter().flatten();
    if !signers_of.any(|signer| signer.denial() == ZoneDenial::Compact) {
        return None;
    }
    let signer = OnDemandSigner::new(signers, dnssec.compact_rate);
    Some(Arc::new(signer))
}

/// The signatures that a load begins with.
pub struct KeptSignatures {
    of_zones: SignatureStore,
    of_services: SignatureStore,
}

impl KeptSignatures {
    /// Reads them from the state directory, if there is one; `None`: the load signs nothing. A
    /// million signed names have 200 MB of them, so this is done while zones are read.
    pub fn read(config: &Config, purpose: LoadPurpose) -> Option<KeptSignatures> {
        if config.dnssec.is_none() || !purpose.signs() {
            return None;
        }
        let directory = config.state_directory.as_deref();
        Some(KeptSignatures {
            of_zones: open(directory, OF_ZONES),
            of_services: open(directory, OF_SERVICES),
        })
    }
}

/// The store in a file of the state directory; in memory without one, or if it cannot be kept.
fn open(directory: Option<&Path>, file: &str) -> SignatureStore {
    let Some(directory) = directory else {
        return SignatureStore::in_memory();
    };
    let opened = make_folder(directory).and_then(|()| SignatureStore::open(&directory.join(file)));
    let (store, damage) = opened.unwrap_or_else(|reason| {
        tracing::warn!("signatures are not kept for a restart: {reason}");
        (SignatureStore::in_memory(), None)
    });
    if let Some(sentence) = damage {
        tracing::warn!("{sentence}");
    }
    store
}

/// A session that begins with the signatures of a store.
fn session(
    store: SignatureStore,
    bundle: Option<&Arc<SignatureStore>>,
    purpose: LoadPurpose,
) -> SigningSession {
    let mut session = SigningSession::new(self::now, ValidityRules::default(), store);
    if let Some(bundle) = bundle {
        return session.with_bundle(bundle.clone());
    }
    if purpose == LoadPurpose::Sign {
        session = session.collecting();
    }
    if session.is_clock_wrong() {
        tracing::error!(
            "{}; until then signatures that are there are served, and none is made",
            SigningError::Clock(now())
        );
    }
    session
}

/// The keys that sign a zone. Adds the records of its keys to it.
///
/// # Errors
/// A sentence that begins with the file of the zone.
fn zone_keys(
    dnssec: &DnssecConfig,
    source: &mut KeySource,
    zone: &mut Zone,
    is_steered: bool,
    purpose: LoadPurpose,
) -> Result<ActiveKeys, String> {
    let (file, origin) = (zone.file.display().to_string(), zone.origin.to_lower());
    let is_on_demand = dnssec.rules_of(&origin).denial == ZoneDenial::Compact;
    if zone.is_presigned() {
        return Err(format!(
            "{file}: the zone has signatures of its own, so it is not signed again; take it out of \
             [zones.dnssec] sign, or remove its RRSIG and NSEC records"
        ));
    }
    let (now, folder) = (source.as_of, &mut source.folder);
    if folder.of_zone(origin.as_wire()).is_empty() && dnssec.generate {
        let rules = dnssec.rules_of(&origin);
        check_speed(zone, rules.algorithm, is_steered, is_on_demand)?;
        let home = if purpose.signs() {
            dnssec.tokens.clone()
        } else {
            // A key that is only looked at is made in no token.
            TokenSetup::default()
        };
        for key in new_keys(&origin, rules, now, &home)? {
            if purpose.signs() {
                let path = key.write(&dnssec.keys)?;
                tracing::info!(zone = %origin, key = %path.display(), "made a key");
            }
            folder
                .zones
                .entry(origin.as_wire().to_vec())
                .or_default()
                .push(key);
        }
    }
    let ZoneKeyRoles { roles, is_leaving } = source.roles_of(origin.as_wire());
    let keys = source.folder.of_zone(origin.as_wire());
    let is_elsewhere = source.bundle.is_some();
    let active = active_keys(keys, &roles, &dnssec.tokens, is_elsewhere)
        .map_err(|error| format!("{file}: {error}"))?;
    for key in &active.sign_zone {
        check_speed(zone, key.public().algorithm(), is_steered, is_on_demand)?;
        if key.is_in_token() && is_on_demand {
            return Err(format!(
                "{file}: this zone has denial = \"compact\", and a token signs too slowly for \
                 that; take denial = \"nsec3\" or \"nsec\", or keys in files"
            ));
        }
    }
    if active.sign_zone.is_empty() {
        return Err(without_key(dnssec, &file, &origin));
    }
    add_key_records(zone, keys, &roles, is_leaving)
        .and_then(|()| add_denial_records(zone, dnssec.rules_of(&origin).denial))
        .map_err(|_| format!("{file}: the zone is too large"))?;
    Ok(active)
}

fn without_key(dnssec: &DnssecConfig, file: &str, origin: &Name) -> String {
    if let Some(bundle) = &dnssec.bundle {
        let bundle = bundle.display();
        return format!(
            "{file}: {bundle} has no key that signs {origin}; sign the zone where the keys are, and \
             make the bundle anew with `meridian sign`"
        );
    }
    let folder = dnssec.keys.display();
    format!(
        "{file}: {folder} has no key that signs {origin}; `meridian keys generate {origin}` makes one, \
         and so does generate = true in [zones.dnssec]"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::config;
    use crate::dns::RecordType;
    use crate::dnssec::{KeyFolder, SigningAlgorithm};
    use crate::zone;

    const ZONE: &str = "@ 300 SOA ns1 host 1 2 3 4 60\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n";

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(zones: &[&str]) -> Folder {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("zones")).unwrap();
            for zone in zones {
                fs::write(folder.path().join(format!("zones/{zone}.zone")), ZONE).unwrap();
            }
            Folder(folder)
        }

        fn keys(&self) -> PathBuf {
            self.0.path().join("keys")
        }

        fn prepared(
            &self,
            dnssec: &str,
            purpose: LoadPurpose,
        ) -> Result<(PreparedSigning, Vec<Zone>), Vec<String>> {
            let text = format!(
                "[zones.dnssec]\n{dnssec}\n[regions.fra]\n[[services]]\nname = \"www.one.test\"\n\
                 order = \"none\"\nendpoints = {{ fra = \"192.0.2.1\" }}\n"
            );
            let file = self.0.path().join("meridian.toml");
            let config = config::parse(&text, &file).unwrap().config;
            let mut zones = zone::load_directory(&config.zones_directory).unwrap().zones;
            let kept = KeptSignatures::read(&config, purpose);
            prepare(&config, &mut zones, kept, purpose).map(|prepared| (prepared, zones))
        }

        #[track_caller]
        fn refusal(&self, dnssec: &str) -> String {
            match self.prepared(dnssec, LoadPurpose::Serve) {
                Ok(_) => panic!("it was taken"),
                Err(mistakes) => mistakes.join("\n"),
            }
        }
    }

    fn types(zone: &Zone) -> Vec<RecordType> {
        zone.rrsets().map(|rrset| rrset.rtype()).collect()
    }

    #[test]
    fn missing_keys_are_made_once_and_only_for_serving() {
        let folder = Folder::new(&["one.test", "two.test"]);
        let all = "sign = \"*\"\ngenerate = true";
        let looked_at = folder.prepared(all, LoadPurpose::Inspect).unwrap();
        assert!(looked_at.0.signers.is_empty() && !folder.keys().exists());
        let (prepared, zones) = folder.prepared(all, LoadPurpose::Serve).unwrap();
        assert!((0..2).all(|zone| prepared.signers.of(zone).is_some()));
        for zone in &zones {
            let types = types(zone);
            for rtype in [RecordType::DNSKEY, RecordType::CDS, RecordType::CDNSKEY] {
                assert_eq!(
                    types.iter().filter(|it| **it == rtype).count(),
                    1,
                    "{rtype}"
                );
            }
        }
        assert_eq!(fs::read_dir(folder.keys()).unwrap().count(), 4);
        folder.prepared(all, LoadPurpose::Serve).unwrap();
        assert_eq!(fs::read_dir(folder.keys()).unwrap().count(), 4);
    }

    #[test]
    fn a_policy_says_which_keys_are_made() {
        let folder = Folder::new(&["one.test", "two.test"]);
        let split = "sign = \"*\"\ngenerate = true\n\
                     policies.split = { zones = [\"two.test\"], algorithm = \"ed25519\", split_keys = true }";
        folder.prepared(split, LoadPurpose::Serve).unwrap();
        let keys = KeyFolder::read(&folder.keys()).unwrap();
        let two: Name = "two.test".parse().unwrap();
        let mut flags = Vec::new();
        for key in keys.of_zone(two.as_wire()) {
            assert_eq!(key.public.algorithm(), SigningAlgorithm::Ed25519);
            flags.push(key.public.flags());
        }
        flags.sort_unstable();
        assert_eq!(flags, [256, 257]);
    }

    #[test]
    fn what_cannot_be_signed_is_refused_with_the_way_out() {
        let folder = Folder::new(&["one.test"]);
        fs::create_dir(folder.keys()).unwrap();
        let refusal = folder.refusal("sign = \"*\"");
        assert!(refusal.contains("keys has no key that signs one.test; `meridian keys generate"));
        let refusal = folder.refusal("sign = [\"other.test\"]");
        assert!(
            refusal.contains("there is no zone other.test to sign"),
            "{refusal}"
        );
        let slow = "sign = \"*\"\ngenerate = true\npolicies.p = { zones = [\"one.test\"], \
                    algorithm = \"ecdsap384sha384\" }";
        let refusal = folder.refusal(slow);
        assert!(refusal.contains("signs too slowly for that"), "{refusal}");
        assert_eq!(
            fs::read_dir(folder.keys()).unwrap().count(),
            0,
            "no key is made"
        );
    }

    #[test]
    fn a_zone_that_is_signed_already_stays_as_it_is() {
        let folder = Folder::new(&["one.test", "two.test"]);
        let signature = "@ 300 RRSIG SOA 13 2 300 20300101000000 20200101000000 1 two.test. AAAA\n";
        let path = folder.0.path().join("zones/two.test.zone");
        fs::write(path, format!("{ZONE}{signature}")).unwrap();
        let all = "sign = \"*\"\ngenerate = true";
        let (prepared, _) = folder.prepared(all, LoadPurpose::Serve).unwrap();
        assert!(prepared.signers.of(0).is_some() && prepared.signers.of(1).is_none());
        let refusal = folder.refusal("sign = [\"two.test\"]\ngenerate = true");
        assert!(
            refusal.contains("the zone has signatures of its own"),
            "{refusal}"
        );
    }
}

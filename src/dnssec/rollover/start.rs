//! Begins a roll: which keys go, and which are to be made.
//!
//! One roll of a zone is under way at a time. New keys have the shape of the old ones: one key for
//! everything, or a KSK and a ZSK. Nothing is written here except by [`RollPlan::begin`], which
//! writes the new keys first and the roll last: a key without its roll does no harm.

use std::path::Path;

use super::roll_file::{roll_path, write_roll_times};
use super::{KeyLabel, KeyRoles, RollKind, ZoneRoll};
use crate::dns::Name;
use crate::dnssec::token_uri::TokenObject;
use crate::dnssec::zone_key::{SECURE_ENTRY, ZONE_KEY};
use crate::dnssec::{KeyFile, KeyPair, KeyTimes, SigningAlgorithm, TokenSetup, TokenUri, ZoneKey};

/// Attempts to make a key whose tag no other key of the zone has.
const ATTEMPTS: usize = 32;

/// What an operator wants to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollRequest {
    /// The key that signs everything.
    OnlyKey,
    /// The ZSK.
    Zsk,
    /// The KSK.
    Ksk,
    /// All keys, by others of this algorithm.
    Algorithm(SigningAlgorithm),
    /// No key: the parent is to remove the DS records.
    Leave,
    /// No key: the parent is to have the DS records again.
    Return,
}

/// A roll that can begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollPlan {
    kind: RollKind,
    old: Vec<KeyLabel>,
    /// Keys that are there already and become those that the parent is asked for.
    kept: Vec<KeyLabel>,
    /// Flags and algorithms of the keys to make.
    made: Vec<(u16, SigningAlgorithm)>,
}

/// The keys of a zone, where they lie, and the last roll.
#[derive(Debug, Clone, Copy)]
pub struct RolledZone<'k> {
    /// The zone.
    pub zone: &'k Name,
    /// Its keys.
    pub keys: &'k [KeyFile],
    /// Its last roll.
    pub roll: Option<&'k ZoneRoll>,
    /// How tokens are reached, and where new keys are made. If that is not said, the key that takes the
    /// place of one in a token is made in the same token.
    pub tokens: &'k TokenSetup,
}

impl RolledZone<'_> {
    /// What a request means for these keys.
    ///
    /// # Errors
    /// A sentence: a roll is under way, or the keys are not such that this can be done.
    pub fn plan(&self, request: RollRequest, now: u64) -> Result<RollPlan, String> {
        let zone = self.zone;
        if let Some(roll) = self.roll.filter(|roll| roll.is_under_way())
            && !(request == RollRequest::Return && roll.asks_for_deletion())
        {
            let (title, waits) = (roll.title(), roll.sentence());
            return Err(format!("{zone} {title} already: {waits}"));
        }
        let active = self.active(now);
        let Some(first) = active.first() else {
            return Err(format!("no key signs {zone}"));
        };
        let algorithm = first.public.algorithm();
        if active.iter().any(|key| key.public.algorithm() != algorithm) {
            return Err(format!(
                "keys of several algorithms sign {zone}; let those of all but one end first \
                 (dnssec-settime -I now -D +2d)"
            ));
        }
        self.plan_of(request, &active, algorithm)
    }

    fn plan_of(
        &self,
        request: RollRequest,
        active: &[&KeyFile],
        algorithm: SigningAlgorithm,
    ) -> Result<RollPlan, String> {
        let zone = self.zone;
        let is_split = active.iter().any(|key| !key.public.is_entry());
        let (all, entries) = (labels(active, None), labels(active, Some(true)));
        let (zsk, ksk) = ((ZONE_KEY, algorithm), (SECURE_ENTRY, algorithm));
        match request {
            RollRequest::Algorithm(new) if new == algorithm => Err(format!(
                "the keys of {zone} are of {new} already; leave --algorithm out to replace them"
            )),
            RollRequest::Algorithm(new) => {
                let made = shape(is_split, new);
                Ok(RollPlan::new(RollKind::Algorithm, all, made))
            }
            RollRequest::Zsk | RollRequest::Ksk if !is_split => Err(format!(
                "one key signs everything in {zone}; leave --zsk and --ksk out to replace it"
            )),
            RollRequest::Zsk => {
                let old = labels(active, Some(false));
                Ok(RollPlan::new(RollKind::Zsk, old, vec![zsk]))
            }
            RollRequest::Ksk => Ok(RollPlan::new(RollKind::Ksk, entries, vec![ksk])),
            RollRequest::OnlyKey if is_split => Err(format!(
                "{zone} has a KSK and a ZSK; say which one to replace: --ksk or --zsk"
            )),
            RollRequest::OnlyKey => Ok(RollPlan::new(RollKind::Csk, all, vec![ksk])),
            RollRequest::Leave => Ok(RollPlan::new(RollKind::Unsign, Vec::new(), Vec::new())),
            RollRequest::Return => self.plan_return(entries),
        }
    }

    fn plan_return(&self, kept: Vec<KeyLabel>) -> Result<RollPlan, String> {
        if !self.roll.is_some_and(ZoneRoll::asks_for_deletion) {
            let zone = self.zone;
            return Err(format!(
                "{zone} does not ask its parent to remove DS records"
            ));
        }
        Ok(RollPlan {
            kept,
            ..RollPlan::new(RollKind::Ksk, Vec::new(), Vec::new())
        })
    }

    /// The keys that sign.
    fn active(&self, now: u64) -> Vec<&KeyFile> {
        let roles = KeyRoles::of_files(self.keys, self.roll, now);
        let mut active = Vec::new();
        for (index, key) in self.keys.iter().enumerate() {
            if roles.sign_keys.contains(&index) || roles.sign_zone.contains(&index) {
                active.push(key);
            }
        }
        active
    }
}

/// The keys to make: one for everything, or a KSK and a ZSK.
fn shape(is_split: bool, algorithm: SigningAlgorithm) -> Vec<(u16, SigningAlgorithm)> {
    let mut made = vec![(SECURE_ENTRY, algorithm)];
    if is_split {
        made.push((ZONE_KEY, algorithm));
    }
    made
}

/// The public halves of keys.
pub fn public_halves(keys: &[KeyFile]) -> Vec<ZoneKey> {
    let mut halves = Vec::new();
    for key in keys {
        halves.push(key.public.clone());
    }
    halves
}

/// The labels of all keys, or of those that are entry points or not.
fn labels(keys: &[&KeyFile], is_entry: Option<bool>) -> Vec<KeyLabel> {
    let mut labels = Vec::new();
    for key in keys {
        if is_entry.is_none_or(|is_entry| key.public.is_entry() == is_entry) {
            labels.push(KeyLabel::of(&key.public));
        }
    }
    labels
}

impl RollPlan {
    fn new(kind: RollKind, old: Vec<KeyLabel>, made: Vec<(u16, SigningAlgorithm)>) -> RollPlan {
        RollPlan {
            kind,
            old,
            kept: Vec::new(),
            made,
        }
    }

    fn pairs(&self, zone: &RolledZone<'_>) -> Result<Vec<KeyPair>, String> {
        let mut tokens = zone.tokens.clone();
        tokens.new_keys = tokens.new_keys.or_else(|| self.token_of_old(zone.keys));
        let mut made = Vec::new();
        for (flags, algorithm) in &self.made {
            made.push(new_pair(zone, &tokens, &made, *flags, *algorithm)?);
        }
        Ok(made)
    }

    /// The token of a key that goes.
    fn token_of_old(&self, keys: &[KeyFile]) -> Option<TokenUri> {
        let mut old = keys
            .iter()
            .filter(|key| self.old.contains(&KeyLabel::of(&key.public)));
        let token = old.find_map(|key| key.pair.as_ref()?.token())?;
        Some(token.with_object(TokenObject::default()))
    }

    /// Makes the new keys and writes them and the roll into a folder. Returns the new keys and the
    /// roll.
    ///
    /// # Errors
    /// A sentence: a key cannot be made, or a file cannot be written.
    pub fn begin(
        self,
        zone: &RolledZone<'_>,
        folder: &Path,
        now: u64,
    ) -> Result<(Vec<KeyFile>, ZoneRoll), String> {
        if let Some(before) = zone.roll {
            // From now on the new roll speaks, and only for its own keys.
            write_roll_times(before, folder, &public_halves(zone.keys))?;
        }
        let made = self.pairs(zone)?;
        let mut new = self.kept;
        for pair in &made {
            new.push(KeyLabel::of(pair.public()));
        }
        let roll = ZoneRoll::begin(self.kind, self.old, new, zone.roll, now);
        let mut keys = Vec::new();
        for pair in made {
            let key = key_of(pair, &roll);
            key.write(folder)?;
            keys.push(key);
        }
        roll.write(&roll_path(folder, zone.zone))?;
        Ok((keys, roll))
    }
}

/// A new key with the times that its roll gives it.
fn key_of(pair: KeyPair, roll: &ZoneRoll) -> KeyFile {
    let times = KeyTimes {
        created: Some(roll.floor),
        ..KeyTimes::default()
    };
    let mut key = KeyFile::new(pair, times);
    roll.set_times_of(&mut key);
    key
}

/// A key whose tag is not that of another key of the zone.
fn new_pair(
    zone: &RolledZone<'_>,
    tokens: &TokenSetup,
    made: &[KeyPair],
    flags: u16,
    algorithm: SigningAlgorithm,
) -> Result<KeyPair, String> {
    for _ in 0..ATTEMPTS {
        let pair = KeyPair::generate_in(tokens, &zone.zone.to_lower(), flags, algorithm)
            .map_err(|error| error.to_string())?;
        let tag = pair.public().tag();
        let is_there = zone.keys.iter().any(|key| key.public.tag() == tag);
        if !is_there && !made.iter().any(|other| other.public().tag() == tag) {
            return Ok(pair);
        }
    }
    Err(format!("{} has too many keys", zone.zone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::KeyFolder;
    use crate::dnssec::rollover::RollPhase;

    const NOW: u64 = 1_800_000_000;

    /// A folder with keys of these flags, which sign since long.
    fn folder(flags: &[u16]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for &flags in flags {
            let zone = "example".parse().unwrap();
            let pair = KeyPair::generate(&zone, flags, SigningAlgorithm::Ed25519).unwrap();
            let key = KeyFile::new(pair, KeyTimes::from_now(NOW - 1000));
            key.write(folder.path()).unwrap();
        }
        folder
    }

    /// Begins what is asked for in a folder.
    fn begin(folder: &Path, request: RollRequest) -> Result<ZoneRoll, String> {
        let read = KeyFolder::read(folder).unwrap();
        let zone: Name = "example".parse().unwrap();
        let rolled = RolledZone {
            zone: &zone,
            keys: read.of_zone(zone.as_wire()),
            roll: read.roll_of(zone.as_wire()),
            tokens: &TokenSetup::default(),
        };
        let (_, roll) = rolled.plan(request, NOW)?.begin(&rolled, folder, NOW)?;
        let again = KeyFolder::read(folder).unwrap();
        assert_eq!(again.roll_of(zone.as_wire()), Some(&roll));
        Ok(roll)
    }

    fn begun(flags: &[u16], request: RollRequest) -> Result<ZoneRoll, String> {
        begin(folder(flags).path(), request)
    }

    #[test]
    fn a_request_replaces_the_keys_of_its_kind_by_as_many() {
        for (flags, request, kind, count) in [
            (&[257][..], RollRequest::OnlyKey, RollKind::Csk, 1),
            (&[257, 256], RollRequest::Zsk, RollKind::Zsk, 1),
            (&[257, 256], RollRequest::Ksk, RollKind::Ksk, 1),
            (
                &[257, 256],
                RollRequest::Algorithm(SigningAlgorithm::EcdsaP256Sha256),
                RollKind::Algorithm,
                2,
            ),
            (&[257], RollRequest::Leave, RollKind::Unsign, 0),
        ] {
            let roll = begun(flags, request).unwrap();
            assert_eq!(
                (roll.kind, roll.old.len(), roll.new.len()),
                (kind, count, count)
            );
            assert!(roll.is_under_way());
        }
    }

    #[test]
    fn what_cannot_be_rolled_is_refused_with_the_way_out() {
        for (flags, request, told) in [
            (&[257][..], RollRequest::Zsk, "leave --zsk and --ksk out"),
            (&[257, 256], RollRequest::OnlyKey, "--ksk or --zsk"),
            (
                &[257],
                RollRequest::Algorithm(SigningAlgorithm::Ed25519),
                "leave --algorithm out",
            ),
            (&[257], RollRequest::Return, "does not ask its parent"),
            (&[], RollRequest::OnlyKey, "no key signs"),
        ] {
            let error = begun(flags, request).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn one_roll_is_under_way_at_a_time_and_leaving_can_be_taken_back() {
        let folder = folder(&[257]);
        let leaves = begin(folder.path(), RollRequest::Leave).unwrap();
        let error = begin(folder.path(), RollRequest::OnlyKey).unwrap_err();
        assert!(error.contains("goes back to unsigned already"), "{error}");
        let returns = begin(folder.path(), RollRequest::Return).unwrap();
        assert_eq!(
            (returns.kind, returns.phase),
            (RollKind::Ksk, RollPhase::Publish)
        );
        assert!(returns.serial > leaves.serial && returns.old.is_empty());
        assert_eq!(returns.new.len(), 1);
    }

    #[test]
    fn a_new_key_signs_and_is_published_as_its_roll_says() {
        for (request, is_published) in [
            (RollRequest::OnlyKey, true),
            (
                RollRequest::Algorithm(SigningAlgorithm::EcdsaP256Sha256),
                false,
            ),
        ] {
            let folder = folder(&[257]);
            let roll = begin(folder.path(), request).unwrap();
            let read = KeyFolder::read(folder.path()).unwrap();
            let zone: Name = "example".parse().unwrap();
            let keys = read.of_zone(zone.as_wire());
            let new = keys
                .iter()
                .position(|key| roll.new.contains(&KeyLabel::of(&key.public)));
            let new = new.unwrap();
            let roles = KeyRoles::of_files(keys, Some(&roll), NOW);
            assert_eq!(roles.published.contains(&new), is_published);
            assert_eq!(roles.sign_keys.contains(&new), is_published);
            // The old key signs the zone until its successor is known everywhere.
            assert_eq!(roles.sign_zone.contains(&new), !is_published);
            assert!(!roles.synced.contains(&new));
        }
    }
}

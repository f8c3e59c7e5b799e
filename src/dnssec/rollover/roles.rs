//! What each key of a zone does now: whether it is published, and what it signs.
//!
//! Keys with the flag of an entry point sign the keys, the others sign the zone. Where an algorithm
//! lacks one kind, the other signs both (RFC 4035 section 2.2). Of several keys that could sign the
//! zone for want of a ZSK, the one that has been active longest does: the others may be in few caches
//! yet.

use super::{KeyLabel, ZoneRoll};
use crate::dnssec::{KeyFile, KeyTimes};

/// A key as far as its role depends on it.
#[derive(Debug, Clone)]
pub struct KeyStanding {
    /// Algorithm and tag.
    pub label: KeyLabel,
    /// Whether it has the flag of an entry point.
    pub is_entry: bool,
    /// Whether its private half is there.
    pub can_sign: bool,
    /// Its times.
    pub times: KeyTimes,
}

impl KeyStanding {
    /// The standing of a key as its files have it.
    pub fn of(key: &KeyFile) -> KeyStanding {
        KeyStanding {
            label: KeyLabel::of(&key.public),
            is_entry: key.public.is_entry(),
            can_sign: key.pair.is_some(),
            times: key.times.clone(),
        }
    }

    /// Its times as the roll of the zone has them.
    fn times_in(&self, roll: Option<&ZoneRoll>) -> KeyTimes {
        let mut times = self.times.clone();
        if let Some(roll) = roll {
            roll.set_times(self.label, &mut times);
        }
        times
    }
}

/// What the keys of a zone do, by their indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRoles {
    /// In the DNSKEY set.
    pub published: Vec<usize>,
    /// In the CDS and CDNSKEY sets.
    pub synced: Vec<usize>,
    /// Sign the DNSKEY, CDS and CDNSKEY sets.
    pub sign_keys: Vec<usize>,
    /// Sign everything else.
    pub sign_zone: Vec<usize>,
}

impl KeyRoles {
    /// The roles of keys as their files have them.
    pub fn of_files(keys: &[KeyFile], roll: Option<&ZoneRoll>, now: u64) -> KeyRoles {
        let mut standings = Vec::new();
        for key in keys {
            standings.push(KeyStanding::of(key));
        }
        KeyRoles::of(&standings, roll, now)
    }

    /// The roles of keys as of a time, under the roll of their zone if there is one.
    pub fn of(keys: &[KeyStanding], roll: Option<&ZoneRoll>, now: u64) -> KeyRoles {
        let now = roll.map_or(now, |roll| roll.time_of_keys(now));
        let mut roles = KeyRoles::default();
        let (mut active, mut unpublished) = (Vec::new(), Vec::new());
        for (index, key) in keys.iter().enumerate() {
            let times = key.times_in(roll);
            if times.is_published(now) {
                roles.published.push(index);
            }
            if key.is_entry && times.is_synced(now) {
                roles.synced.push(index);
            }
            if key.can_sign && times.is_active(now) {
                active.push((times.activate, index));
            } else if key.can_sign && roll.is_some_and(|roll| roll.signs_unpublished(key.label)) {
                unpublished.push(index);
            }
        }
        active.sort_unstable();
        let mut ordered = Vec::new();
        for (_, index) in active {
            ordered.push(index);
        }
        (roles.sign_keys, roles.sign_zone) = split(keys, &ordered);
        let (_, more) = split(keys, &unpublished);
        roles.sign_zone.extend(more);
        roles
    }
}

/// Those that sign the keys, and those that sign the zone.
fn split(keys: &[KeyStanding], active: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let (mut sign_keys, mut sign_zone) = (Vec::new(), Vec::new());
    for &index in active {
        match keys.get(index) {
            Some(key) if key.is_entry => sign_keys.push(index),
            _ => sign_zone.push(index),
        }
    }
    for &index in active {
        for role in [&mut sign_keys, &mut sign_zone] {
            let wanted = algorithm(keys, index);
            if !role.iter().any(|it| algorithm(keys, *it) == wanted) {
                role.push(index);
            }
        }
    }
    (sign_keys, sign_zone)
}

fn algorithm(keys: &[KeyStanding], index: usize) -> Option<u8> {
    keys.get(index).map(|key| key.label.algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tag: u16, is_entry: bool, activate: u64) -> KeyStanding {
        KeyStanding {
            label: KeyLabel { algorithm: 13, tag },
            is_entry,
            can_sign: true,
            times: KeyTimes {
                publish: Some(activate),
                activate: Some(activate),
                ..KeyTimes::default()
            },
        }
    }

    #[test]
    fn of_two_keys_for_everything_the_older_one_signs_the_zone() {
        for keys in [
            [key(1, true, 10), key(2, true, 20)],
            [key(1, true, 20), key(2, true, 10)],
        ] {
            let roles = KeyRoles::of(&keys, None, 30);
            assert_eq!(roles.sign_keys.len(), 2);
            let [zone] = roles.sign_zone[..] else {
                panic!("{roles:?}");
            };
            assert_eq!(keys[zone].times.activate, Some(10));
        }
    }

    #[test]
    fn a_zsk_signs_the_zone_alone() {
        let keys = [key(1, true, 10), key(2, false, 20)];
        let roles = KeyRoles::of(&keys, None, 30);
        assert_eq!((roles.sign_keys, roles.sign_zone), (vec![0], vec![1]));
    }
}

//! The store keeps what it was given, and a file that is cut or damaged anywhere never yields another
//! signature.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_800_000_000;

fn digest(number: u32) -> SignatureDigest {
    let hash = ring::digest::digest(&ring::digest::SHA256, &number.to_be_bytes());
    SignatureDigest(*hash.as_ref().first_chunk().unwrap())
}

fn times(number: u32) -> ValidityPeriod {
    ValidityPeriod {
        inception: NOW as u32 - 3600 + number,
        expiration: NOW as u32 + 86_400 + number,
    }
}

/// A signature that tells its number and round.
fn signature(number: u32, round: u8) -> Vec<u8> {
    let mut octets = vec![round; 64];
    octets[..4].copy_from_slice(&number.to_be_bytes());
    octets
}

fn filled(path: &Path, count: u32) -> SignatureStore {
    let (mut store, damage) = SignatureStore::open(path).unwrap();
    assert_eq!(damage, None);
    for number in 0..count {
        store
            .add(&digest(number), times(number), &signature(number, 1))
            .unwrap();
    }
    store.flush().unwrap();
    store
}

/// Asserts that whatever the store has is right, and returns how much it has.
fn count_right(store: &SignatureStore, most: u32) -> usize {
    let mut found = 0;
    for number in 0..most {
        if let Some(stored) = store.get(&digest(number)) {
            assert_eq!(stored.signature, signature(number, 1));
            assert_eq!(stored.times, times(number));
            found += 1;
        }
    }
    assert_eq!(found, store.len());
    found
}

#[test]
fn a_restart_finds_all_that_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signatures");
    let store = filled(&path, 3000);
    assert_eq!(fs::metadata(&path).unwrap().len() as usize, store.octets());
    drop(store);
    let (mut store, damage) = SignatureStore::open(&path).unwrap();
    assert_eq!((damage, count_right(&store, 3000)), (None, 3000));
    assert_eq!(store.newest_inception(), Some(times(2999).inception));
    store
        .add(&digest(3000), times(3000), &signature(3000, 1))
        .unwrap();
    drop(store);
    let (store, _) = SignatureStore::open(&path).unwrap();
    assert_eq!(store.len(), 3000, "what was not flushed is not there");
}

#[test]
fn a_cut_at_any_octet_leaves_the_whole_records_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signatures");
    drop(filled(&path, 5));
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let (mut store, damage) = SignatureStore::open(&path).unwrap();
        let expected = length.saturating_sub(HEADER.len()) / USUAL;
        assert_eq!(count_right(&store, 5), expected, "{length}");
        let at_end = length == 0 || length == HEADER.len() + expected * USUAL;
        assert_eq!(damage.is_none(), at_end, "{length}: {damage:?}");
        // What is added afterwards is found after the next start.
        store.add(&digest(4), times(4), &signature(4, 1)).unwrap();
        store.flush().unwrap();
        let (again, damage) = SignatureStore::open(&path).unwrap();
        assert_eq!((count_right(&again, 5), damage), (expected + 1, None));
    }
}

#[test]
fn a_flip_of_any_bit_never_yields_another_signature() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signatures");
    drop(filled(&path, 4));
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for bit in [0x01, 0x10, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= bit;
            let store = SignatureStore::of_log(damaged);
            let expected = at.saturating_sub(HEADER.len()) / USUAL;
            let expected = if at < HEADER.len() { 0 } else { expected };
            assert_eq!(count_right(&store, 4), expected, "octet {at}");
        }
    }
}

proptest! {
    #[test]
    fn octets_by_chance_are_no_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        SignatureStore::of_log([&HEADER[..], &octets].concat());
        SignatureStore::of_log(octets);
    }
}

proptest! {
    // Each step may wait for the disk.
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_store_is_a_map(
        steps in prop::collection::vec((0..50_u32, any::<u8>(), any::<bool>()), 0..200),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signatures");
        let (mut store, _) = SignatureStore::open(&path).unwrap();
        let mut map = BTreeMap::new();
        for (number, round, restart) in steps {
            store.add(&digest(number), times(number), &signature(number, round)).unwrap();
            map.insert(number, round);
            if restart && round % 16 == 0 {
                store.flush().unwrap();
                store = SignatureStore::open(&path).unwrap().0;
            } else if round % 16 == 1 {
                store.retain(|_, _| true).unwrap();
            } else if round % 16 == 2 {
                let dropped = digest(number);
                store.retain(|digest, _| *digest != dropped).unwrap();
                map.remove(&number);
            }
        }
        prop_assert_eq!(store.len(), map.len());
        for number in 0..50 {
            let found = store.get(&digest(number)).map(|stored| stored.signature.to_vec());
            prop_assert_eq!(found, map.get(&number).map(|round| signature(number, *round)));
        }
    }
}

#[test]
fn replaced_and_expired_signatures_are_dropped_when_they_are_more_than_half() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signatures");
    let count = 15_000;
    let mut store = filled(&path, count);
    assert!(!store.compact(NOW).unwrap(), "nothing is stale");
    for number in 0..count {
        store
            .add(&digest(number), times(number), &signature(number, 1))
            .unwrap();
    }
    let before = store.octets();
    assert!(
        !store.compact(NOW).unwrap(),
        "exactly half is less than more than half"
    );
    store.add(&digest(0), times(0), &signature(0, 1)).unwrap();
    store.flush().unwrap();
    assert!(store.compact(NOW).unwrap());
    assert_eq!(count_right(&store, count), count as usize);
    assert!(store.octets() < before / 2 + 100);
    assert_eq!(fs::metadata(&path).unwrap().len() as usize, store.octets());
    let (mut store, _) = SignatureStore::open(&path).unwrap();
    // All but 999 are expired then.
    let later = NOW + 86_400 + 14_001;
    assert!(store.compact(later).unwrap());
    assert_eq!(count_right(&store, count), 999);
    assert_eq!(store.newest_inception(), Some(times(count - 1).inception));
}

#[test]
fn what_another_thread_writes_is_noted_unless_the_file_was_replaced_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signatures");
    let mut store = filled(&path, 2);
    assert!(store.unflushed().is_none());
    let add = |store: &mut SignatureStore, number| {
        store
            .add(&digest(number), times(number), &signature(number, 1))
            .unwrap();
    };
    add(&mut store, 2);
    let write = store.unflushed().unwrap();
    add(&mut store, 3);
    write.run().unwrap();
    store.note_written(&write);
    let (found, _) = SignatureStore::open(&path).unwrap();
    assert_eq!(found.len(), 3);
    let write = store.unflushed().unwrap();
    store.retain(|found, _| *found != digest(0)).unwrap();
    add(&mut store, 4);
    write.run().unwrap();
    store.note_written(&write);
    store.flush().unwrap();
    let (found, damage) = SignatureStore::open(&path).unwrap();
    assert_eq!((count_right(&found, 5), damage), (4, None));
}

#[test]
fn a_full_store_says_so_and_stays_as_it_was() {
    let mut store = SignatureStore::in_memory();
    store.most = HEADER.len() + 2 * USUAL + 1;
    for number in 0..2 {
        store
            .add(&digest(number), times(number), &signature(number, 1))
            .unwrap();
    }
    let error = store
        .add(&digest(2), times(2), &signature(2, 1))
        .unwrap_err();
    assert_eq!(error, "the store of signatures is full: it has 2 in 0 MiB");
    assert_eq!(count_right(&store, 3), 2);
    assert!(store.add(&digest(2), times(2), &[0; 513]).is_err());
    store.flush().unwrap();
}

#[test]
fn another_version_is_begun_anew_with_a_word_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signatures");
    drop(filled(&path, 3));
    let mut octets = fs::read(&path).unwrap();
    octets[15] += 1;
    fs::write(&path, octets).unwrap();
    let (store, damage) = SignatureStore::open(&path).unwrap();
    assert!(store.is_empty());
    assert!(damage.unwrap().contains("is damaged behind octet 16"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = SignatureStore::open(&path).unwrap_err();
    assert!(
        error.ends_with("is a folder, not a regular file"),
        "{error}"
    );
}

/// Numbers in each part of a zone.
const IN_PART: u32 = 500;
const PARTS: u32 = 3;

/// The slot of renewal of a number's owner.
fn slot(number: u32) -> usize {
    (number.wrapping_mul(2_654_435_769) >> 26) as usize
}

/// Signs those of a zone again whose slot is `renewed`, or all, part by part.
fn renew(store: &mut SignatureStore, rounds: &mut [u8], renewed: Option<usize>) {
    for first in (0..PARTS * IN_PART).step_by(IN_PART as usize) {
        let mut part = SignaturePart::default();
        for number in first..first + IN_PART {
            if renewed.is_none_or(|renewed| renewed == slot(number)) {
                let round = &mut rounds[number as usize];
                *round += 1;
                let times = times(u32::from(*round));
                part.add(
                    &digest(number),
                    slot(number),
                    times,
                    &signature(number, *round),
                );
            }
        }
        store.add_part(&part).unwrap();
    }
}

#[test]
fn signatures_of_an_unchanged_zone_are_found_in_order_however_often_they_were_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signatures");
    let (mut store, _) = SignatureStore::open(&path).unwrap();
    let mut rounds = vec![0; (PARTS * IN_PART) as usize];
    renew(&mut store, &mut rounds, None);
    for renewed in 0..130 {
        store.flush().unwrap();
        if renewed % 50 == 49 {
            store.retain(|_, _| true).unwrap();
        }
        store = SignatureStore::open(&path).unwrap().0;
        for first in (0..PARTS * IN_PART).step_by(IN_PART as usize) {
            let mut tape = store.tape();
            for number in first..first + IN_PART {
                let round = rounds[number as usize];
                let found = tape.find(&digest(number), slot(number)).unwrap();
                assert_eq!(found.signature, signature(number, round));
            }
        }
        assert!(
            store.index.get().is_none(),
            "{renewed}: the index was needed"
        );
        renew(&mut store, &mut rounds, Some(renewed % 64));
    }
}

proptest! {
    #[test]
    fn whatever_is_asked_for_a_tape_finds_nothing_wrong_and_the_store_finds_all(
        renewed in prop::collection::vec(0..64_usize, 0..6),
        asked in prop::collection::vec(0..PARTS * IN_PART + 9, 0..400),
    ) {
        let mut store = SignatureStore::in_memory();
        let mut rounds = vec![0; (PARTS * IN_PART) as usize];
        renew(&mut store, &mut rounds, None);
        for slot in renewed {
            renew(&mut store, &mut rounds, Some(slot));
        }
        let store = SignatureStore::of_log(store.pieces().concat());
        let mut tape = store.tape();
        for number in asked {
            let wanted = rounds.get(number as usize).map(|round| signature(number, *round));
            if let Some(found) = tape.find(&digest(number), slot(number)) {
                // It may be an older one.
                prop_assert_eq!(&found.signature[..4], &number.to_be_bytes());
                if Some(found.signature) == wanted.as_deref() {
                    continue;
                }
            }
            let found = store.get_again(&digest(number), slot(number), &mut tape);
            prop_assert_eq!(found.map(|found| found.signature.to_vec()), wanted);
        }
    }
}

//! Collects signatures and type bitmaps while zones are signed.
//!
//! Two threads sign parts of the same zone, each into a table of its own; the tables are put together in
//! the order of their numbers. What many signatures or names share is kept once.

use std::collections::HashMap;

use super::signatures::{SignatureTable, SignatureTerms, UNSIGNED};
use crate::dns::{Name, RecordType};
use crate::dnssec::{MadeSignature, TypeSet};

/// Octets of an RRSIG record's data in front of the terms: type, algorithm, labels and TTL.
const SIGNATURE_HEAD: usize = 8;
/// Numbers without a signature that an even table may always have; beyond them, one of sixteen.
const FREE_UNSIGNED: usize = 4096;

/// Bitmaps, each once.
#[derive(Default)]
pub(super) struct BitmapTable {
    pub(super) bitmaps: Vec<Box<[u8]>>,
    known: HashMap<Box<[u8]>, u32>,
}

impl BitmapTable {
    pub(super) fn index(&mut self, types: &[RecordType]) -> u32 {
        let set: TypeSet = types.iter().copied().collect();
        let mut bitmap = Vec::new();
        set.append_to(&mut bitmap);
        self.index_of(&bitmap)
    }

    /// The index of a bitmap in wire form.
    pub(super) fn index_of(&mut self, bitmap: &[u8]) -> u32 {
        if let Some(known) = self.known.get(bitmap) {
            return *known;
        }
        let index = self.bitmaps.len() as u32;
        self.bitmaps.push(bitmap.into());
        self.known.insert(bitmap.into(), index);
        index
    }
}

/// A table of signatures that is being made. It is even until something does not fit.
#[derive(Default)]
pub(super) struct TableBuilder {
    table: SignatureTable,
    /// Numbers of an even table without a signature, which take room all the same.
    unsigned: usize,
    /// Whether each index has its offset, and each number its first index.
    is_uneven: bool,
    known: HashMap<SignatureTerms, u32>,
    /// What was found in `known` for this signer.
    found: foldhash::HashMap<TermsKey, u32>,
    signer: Option<Name>,
}

/// Which terms a signature of one signer has: a key that is made and hashed fast.
#[derive(PartialEq, Eq, Hash)]
struct TermsKey {
    algorithm: u8,
    length: u16,
    key_tag: u16,
    inception: u32,
    expiration: u32,
}

impl TableBuilder {
    /// Begins with the next number.
    pub(super) fn next(&mut self) {
        let table = &mut self.table;
        if self.is_uneven {
            table.firsts.push(table.shared.len() as u32);
            return;
        }
        table.shared.push(UNSIGNED);
        table.octets.resize(table.shared.len() * table.length, 0);
        self.unsigned += 1;
    }

    /// Adds the signatures of the present number.
    pub(super) fn add(&mut self, made: &[MadeSignature]) {
        match made {
            [] => {}
            [only] if self.is_even_with(only.octets.as_slice().len()) => self.add_even(only),
            _ => {
                self.make_uneven();
                for signature in made {
                    self.add_uneven(signature);
                }
            }
        }
    }

    /// Whether the table stays even with a signature of this length for the present number.
    fn is_even_with(&self, length: usize) -> bool {
        let is_first = self.table.shared.last() == Some(&UNSIGNED);
        !self.is_uneven && is_first && [0, length].contains(&self.table.length)
    }

    /// Adds the only signature of the present number.
    fn add_even(&mut self, signature: &MadeSignature) {
        let shared = self.shared(signature);
        let (table, octets) = (&mut self.table, signature.octets.as_slice());
        table.length = octets.len();
        table.octets.resize(table.shared.len() * table.length, 0);
        let at = table.octets.len() - table.length;
        table.octets[at..].copy_from_slice(octets);
        if let Some(last) = table.shared.last_mut() {
            *last = shared;
            self.unsigned -= 1;
        }
    }

    fn add_uneven(&mut self, signature: &MadeSignature) {
        let shared = self.shared(signature);
        let table = &mut self.table;
        table.shared.push(shared);
        table.offsets.push(table.octets.len() as u32);
        table.octets.extend_from_slice(signature.octets.as_slice());
    }

    fn shared(&mut self, signature: &MadeSignature) -> u32 {
        self.terms_of(signature) | u32::from(signature.fields.labels) << 24
    }

    /// Gives every number its first index, and every index its offset.
    fn make_uneven(&mut self) {
        if self.is_uneven {
            return;
        }
        self.is_uneven = true;
        let table = &mut self.table;
        for (number, shared) in std::mem::take(&mut table.shared).into_iter().enumerate() {
            table.firsts.push(table.shared.len() as u32);
            if shared != UNSIGNED {
                table.shared.push(shared);
                table.offsets.push((number * table.length) as u32);
            }
        }
    }

    fn terms_of(&mut self, signature: &MadeSignature) -> u32 {
        let fields = &signature.fields;
        if self.signer.as_ref() != Some(&fields.signer) {
            self.signer = Some(fields.signer.clone());
            self.found.clear();
        }
        let key = TermsKey {
            algorithm: fields.algorithm,
            length: signature.octets.as_slice().len() as u16,
            key_tag: fields.key_tag,
            inception: fields.times.inception,
            expiration: fields.times.expiration,
        };
        if let Some(found) = self.found.get(&key) {
            return *found;
        }
        let mut data = Vec::new();
        fields.append_to(&mut data);
        let index = self.terms(SignatureTerms {
            algorithm: key.algorithm,
            length: key.length,
            tail: data[SIGNATURE_HEAD..].into(),
        });
        self.found.insert(key, index);
        index
    }

    fn terms(&mut self, new: SignatureTerms) -> u32 {
        if let Some(known) = self.known.get(&new) {
            return *known;
        }
        let index = self.table.terms.len() as u32;
        self.table.terms.push(new.clone());
        self.known.insert(new, index);
        index
    }

    /// Adds the numbers of another table behind those of this one.
    pub(super) fn append(&mut self, mut other: TableBuilder) {
        let terms = std::mem::take(&mut other.table.terms);
        let mut indices = Vec::with_capacity(terms.len());
        for terms in terms {
            indices.push(self.terms(terms));
        }
        for shared in &mut other.table.shared {
            if *shared != UNSIGNED {
                *shared = indices[(*shared & 0xff_ffff) as usize] | *shared & 0xff00_0000;
            }
        }
        if self.stays_even_with(&other) {
            self.append_even(other);
        } else {
            self.make_uneven();
            other.make_uneven();
            self.append_uneven(&other.table);
        }
    }

    fn stays_even_with(&self, other: &TableBuilder) -> bool {
        let lengths = [self.table.length, other.table.length];
        let numbers = self.table.shared.len() + other.table.shared.len();
        let unsigned = self.unsigned + other.unsigned;
        !self.is_uneven
            && !other.is_uneven
            && (lengths.contains(&0) || lengths[0] == lengths[1])
            && unsigned <= FREE_UNSIGNED + numbers / 16
    }

    fn append_even(&mut self, other: TableBuilder) {
        let table = &mut self.table;
        table.length = table.length.max(other.table.length);
        table.octets.resize(table.shared.len() * table.length, 0);
        table.octets.extend_from_slice(&other.table.octets);
        table.shared.extend_from_slice(&other.table.shared);
        table.octets.resize(table.shared.len() * table.length, 0);
        self.unsigned += other.unsigned;
    }

    fn append_uneven(&mut self, other: &SignatureTable) {
        let table = &mut self.table;
        let (signatures, octets) = (table.shared.len(), table.octets.len());
        for first in &other.firsts {
            table.firsts.push(first + signatures as u32);
        }
        for offset in &other.offsets {
            table.offsets.push(offset + octets as u32);
        }
        table.shared.extend_from_slice(&other.shared);
        table.octets.extend_from_slice(&other.octets);
    }

    /// The table, without spare memory.
    pub(super) fn finish(mut self) -> SignatureTable {
        if self.is_uneven {
            self.next();
        }
        let table = &mut self.table;
        let signed = table.shared.iter().filter(|shared| **shared != UNSIGNED);
        table.count = signed.count();
        for column in [&mut table.firsts, &mut table.offsets, &mut table.shared] {
            column.shrink_to_fit();
        }
        table.octets.shrink_to_fit();
        self.table
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dnssec::{SignatureFields, SignatureOctets, ValidityPeriod};

    /// A signature of so many octets, all of them `octet`, by one of a few keys.
    fn made(length: usize, octet: u8) -> MadeSignature {
        let fields = SignatureFields {
            type_covered: RecordType::A,
            algorithm: 13,
            labels: octet % 3,
            original_ttl: 300,
            times: ValidityPeriod {
                inception: u32::from(octet % 5),
                expiration: 9,
            },
            key_tag: 7,
            signer: "example.test".parse().unwrap(),
        };
        let octets = SignatureOctets::from_slice(&vec![octet; length]);
        MadeSignature { fields, octets }
    }

    /// What a table must say of each number: labels, inception, and octets of its signatures.
    type Expected = Vec<Vec<(u8, u8, Vec<u8>)>>;

    fn built(parts: &[Vec<Vec<(usize, u8)>>]) -> (SignatureTable, Expected) {
        let (mut whole, mut expected) = (TableBuilder::default(), Vec::new());
        for part in parts {
            let mut builder = TableBuilder::default();
            for signatures in part {
                let (mut all, mut facts) = (Vec::new(), Vec::new());
                for (length, octet) in signatures {
                    all.push(made(*length, *octet));
                    facts.push((octet % 3, octet % 5, vec![*octet; *length]));
                }
                builder.next();
                builder.add(&all);
                expected.push(facts);
            }
            whole.append(builder);
        }
        (whole.finish(), expected)
    }

    fn said(table: &SignatureTable, numbers: usize) -> Expected {
        let mut said = Vec::new();
        for number in 0..numbers {
            let mut facts = Vec::new();
            for signature in table.of(number as u32) {
                let inception = signature.terms.tail[7];
                facts.push((signature.labels, inception, signature.octets.to_vec()));
            }
            said.push(facts);
        }
        said
    }

    /// Numbers with no signature, or one, or several, of one length or two.
    fn parts() -> impl Strategy<Value = Vec<Vec<Vec<(usize, u8)>>>> {
        let usual = prop_oneof![
            9 => any::<u8>().prop_map(|octet| vec![(64, octet)]),
            1 => Just(Vec::new()),
        ];
        let any = prop::collection::vec((prop::sample::select(vec![64, 96]), any::<u8>()), 0..3);
        let part = prop_oneof![
            2 => prop::collection::vec(usual, 0..20),
            1 => prop::collection::vec(any, 0..20),
        ];
        prop::collection::vec(part, 0..5)
    }

    proptest! {
        #[test]
        fn every_number_has_its_signatures_however_the_table_is_kept(parts in parts()) {
            let (table, expected) = built(&parts);
            prop_assert_eq!(&said(&table, expected.len()), &expected);
            let count = expected.iter().map(Vec::len).sum::<usize>();
            prop_assert_eq!(table.count(), count);
            prop_assert_eq!(table.of(expected.len() as u32).count(), 0);
        }
    }

    #[test]
    fn one_signature_of_each_takes_no_room_to_be_found() {
        let one = vec![vec![(64, 1)]; 10_000];
        let (table, _) = built(&[one.clone(), vec![Vec::new(); 100], one.clone()]);
        assert!(table.firsts.is_empty() && table.offsets.is_empty());
        assert_eq!(table.octets.len(), 20_100 * 64);
        let (table, expected) = built(&[one, vec![Vec::new(); 50_000]]);
        assert_eq!(table.octets.len(), 10_000 * 64, "most have none");
        assert_eq!(said(&table, 60_000), expected);
    }
}

//! Collects signatures and type bitmaps while zones are signed.
//!
//! Two threads sign parts of the same zone, each into a table of its own; the tables are put together in
//! the order of their numbers. What many signatures or names share is kept once.

use std::collections::HashMap;

use super::signatures::{SignaturePlace, SignatureTable, SignatureTerms};
use crate::dns::{Name, RecordType};
use crate::dnssec::{MadeSignature, TypeSet};

/// Octets of an RRSIG record's data in front of the terms: type, algorithm, labels and TTL.
const SIGNATURE_HEAD: usize = 8;

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

/// A table of signatures that is being made.
#[derive(Default)]
pub(super) struct TableBuilder {
    table: SignatureTable,
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
        self.table.firsts.push(self.table.places.len() as u32);
    }

    /// Adds the signatures of the present number.
    pub(super) fn add(&mut self, made: &[MadeSignature]) {
        for signature in made {
            let terms = self.terms_of(signature);
            self.table.places.push(SignaturePlace {
                at: self.table.octets.len() as u32,
                terms: terms | u32::from(signature.fields.labels) << 24,
            });
            self.table
                .octets
                .extend_from_slice(signature.octets.as_slice());
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
    pub(super) fn append(&mut self, other: TableBuilder) {
        let (places, octets) = (self.table.places.len(), self.table.octets.len());
        let mut indices = Vec::with_capacity(other.table.terms.len());
        for terms in other.table.terms {
            indices.push(self.terms(terms));
        }
        for first in other.table.firsts {
            self.table.firsts.push(first + places as u32);
        }
        for place in other.table.places {
            let index = indices[(place.terms & 0xff_ffff) as usize];
            self.table.places.push(SignaturePlace {
                at: place.at + octets as u32,
                terms: index | place.terms & 0xff00_0000,
            });
        }
        self.table.octets.extend_from_slice(&other.table.octets);
    }

    pub(super) fn finish(mut self) -> SignatureTable {
        self.next();
        self.table.firsts.shrink_to_fit();
        self.table.places.shrink_to_fit();
        self.table.octets.shrink_to_fit();
        self.table
    }
}

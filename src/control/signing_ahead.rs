//! Signs ahead of failovers, on a thread of its own, while the availability stays the same.
//!
//! A walk over the services is made of short parts. Between two of them it looks whether another
//! snapshot is in force, and gives up if so: the next turn begins anew and finds in the store what is
//! signed already. What was signed is written to the disk at the end.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::running::Control;
use crate::answer::Snapshot;
use crate::catalog::Catalog;
use crate::catalog::availability::Availability;

/// Signatures in one part of a walk: some 40 ms of one core.
const PART: u32 = 3000;

/// The snapshot that was signed ahead last.
#[derive(Default)]
pub(super) struct SignedAhead {
    last: Mutex<Option<AheadState>>,
}

struct AheadState {
    snapshot: Weak<Snapshot>,
    catalog: Weak<Catalog>,
    availability: Availability,
}

impl SignedAhead {
    /// Whether a snapshot was signed ahead, or has nothing to sign.
    pub(super) fn is_done(&self, snapshot: &Arc<Snapshot>) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_last = match &*last {
            Some(state) => Weak::ptr_eq(&state.snapshot, &Arc::downgrade(snapshot)),
            None => false,
        };
        is_last || !snapshot.live.is_signed()
    }

    /// The availability that was signed ahead last, if it was that of the same catalog.
    fn availability_of(&self, catalog: &Arc<Catalog>) -> Option<Availability> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let state = last.take()?;
        Weak::ptr_eq(&state.catalog, &Arc::downgrade(catalog)).then_some(state.availability)
    }

    fn note(&self, snapshot: &Arc<Snapshot>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(AheadState {
            snapshot: Arc::downgrade(snapshot),
            catalog: Arc::downgrade(&snapshot.catalog),
            availability: snapshot.live.availability().clone(),
        });
    }
}

impl Control {
    /// Signs what the states need that lie one change away from this snapshot.
    pub(super) fn sign_ahead(&self, snapshot: &Arc<Snapshot>) {
        let Snapshot { catalog, live, .. } = &**snapshot;
        let done = self.signed_ahead.availability_of(catalog);
        let mut next = Some(0);
        while let Some(from) = next {
            if !Arc::ptr_eq(&self.snapshot(), snapshot) {
                return;
            }
            next = live.sign_ahead(catalog, done.as_ref(), from, PART);
        }
        // No load is under way meanwhile, which would open the same file.
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&self.snapshot(), snapshot) {
            return;
        }
        if let Err(reason) = live.keep_signatures() {
            tracing::warn!("signatures are not kept for a restart: {reason}");
        }
        drop(files);
        self.signed_ahead.note(snapshot);
    }
}

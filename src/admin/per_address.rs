//! Limits per address on something scarce, such as calls under way.
//!
//! [`PerAddress`] counts what each address holds. It remembers only addresses that hold something
//! now, so its memory is bounded by what can be held in all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts what each address holds.
#[derive(Debug)]
pub struct PerAddress {
    most: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// One of the places of an address, free again when this is dropped.
#[derive(Debug)]
pub struct AddressShare {
    of: Arc<PerAddress>,
    /// `None`: a peer on the unix socket has no limit.
    address: Option<IpAddr>,
}

impl PerAddress {
    /// At most `most` places for each address.
    pub fn new(most: usize) -> Arc<PerAddress> {
        Arc::new(PerAddress {
            most,
            held: Mutex::default(),
        })
    }

    /// Takes a place; `None`: this address already holds as many as it may.
    pub fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<AddressShare> {
        if let Some(address) = address {
            let mut held = self.held();
            let count = held.entry(address).or_default();
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(AddressShare {
            of: self.clone(),
            address,
        })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AddressShare {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut held = self.of.held();
        let count = held.get(&address).copied().unwrap_or(0);
        if count > 1 {
            held.insert(address, count - 1);
        } else {
            held.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_a_limit_and_only_holders_are_remembered() {
        let shares = PerAddress::new(2);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().ok());
        let held: Vec<AddressShare> = (0..5).filter_map(|_| shares.take(one)).collect();
        assert_eq!(held.len(), 2);
        assert!(shares.take(other).is_some());
        assert_eq!((0..5).filter_map(|_| shares.take(None)).count(), 5);
        drop(held);
        assert!(shares.held().is_empty());
    }
}

//! Shares: what there is only so much of, and no address may take more than its part of.
//!
//! Only addresses that hold something now are remembered, so memory is bounded by what can be held at all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts what each address holds.
#[derive(Debug)]
pub struct PerAddress {
    most: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// One part of an address's share, free again when this is dropped.
#[derive(Debug)]
pub struct AddressShare {
    of: Arc<PerAddress>,
    /// `None`: whoever reaches the unix socket may take all there is.
    address: Option<IpAddr>,
}

impl PerAddress {
    /// So much for each.
    pub fn new(most: usize) -> Arc<PerAddress> {
        Arc::new(PerAddress {
            most,
            held: Mutex::default(),
        })
    }

    /// Takes a part; `None`: this address holds its share already.
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
    fn nobody_takes_more_than_its_share_and_nothing_is_remembered_of_who_holds_nothing() {
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

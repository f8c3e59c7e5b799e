//! What views of a live state share: outcome tables, and decks.
//!
//! Views with equal keys have one table, and the tables of the state before are taken over. Views that
//! are alike have one set of decks. Both caches live while one state is compiled.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::LiveView;
use crate::geo::catchment::{Catchment, Outcomes};
use crate::geo::each;
use crate::steering::deck::{DeckRegion, DeckRules};
use crate::steering::{FailoverChain, RegionStates, ViewDecks};

/// The outcome tables of a live state.
pub type Tables = HashMap<Arc<TableKey>, LiveTable>;

/// One outcome table.
#[derive(Debug, Clone)]
pub struct LiveTable {
    outcomes: Outcomes,
    /// Blocks are as wide as the outcomes allow.
    pub wide: bool,
}

impl LiveTable {
    /// A table with blocks as wide as the outcomes allow.
    pub fn wide(catchment: &Catchment, states: &RegionStates) -> LiveTable {
        LiveTable {
            outcomes: catchment.outcomes(states),
            wide: true,
        }
    }

    /// A table made from the classes of the catchment, within milliseconds.
    pub fn at_once(catchment: &Catchment, states: &RegionStates) -> LiveTable {
        LiveTable {
            outcomes: catchment.outcomes_at_once(states),
            wide: false,
        }
    }

    /// A table with an outcome for each class, as narrow as its blocks are.
    pub fn by_class(catchment: &Catchment, states: &RegionStates) -> LiveTable {
        LiveTable {
            outcomes: catchment.outcomes_by_class(states),
            wide: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableKey {
    /// The catchment's address: the catalog that holds it outlives the key's use.
    catchment: usize,
    states: RegionStates,
}

impl TableKey {
    /// The key of a table of a catchment.
    pub fn new(catchment: &Arc<Catchment>, states: RegionStates) -> TableKey {
        TableKey {
            catchment: Arc::as_ptr(catchment) as usize,
            states,
        }
    }
}

/// Makes each table once, or takes it from the state before.
pub struct TableCache<'b> {
    before: Option<&'b Tables>,
    tables: Tables,
    make: fn(&Catchment, &RegionStates) -> LiveTable,
}

impl<'b> TableCache<'b> {
    /// Takes tables from a state before, and makes the others with a function.
    pub fn new(
        before: Option<&'b Tables>,
        make: fn(&Catchment, &RegionStates) -> LiveTable,
    ) -> TableCache<'b> {
        TableCache {
            before,
            tables: Tables::new(),
            make,
        }
    }

    /// Takes over the tables of these views of the state before.
    pub fn keep<'v>(&mut self, views: impl Iterator<Item = &'v LiveView>) {
        let Some(before) = self.before else {
            return;
        };
        // Views with equal keys share one, so its address is enough.
        let mut seen = HashSet::new();
        for view in views {
            if seen.insert(Arc::as_ptr(&view.key))
                && let Some((key, table)) = before.get_key_value(&view.key)
            {
                self.tables.insert(key.clone(), table.clone());
            }
        }
    }

    /// Makes the tables of these keys from their catchments, on two threads.
    pub fn make_all<'v>(
        &mut self,
        keys: impl Iterator<Item = (&'v Arc<TableKey>, &'v Arc<Catchment>)>,
    ) {
        let mut missing = Vec::new();
        let mut seen = HashSet::new();
        for (key, catchment) in keys {
            if self.tables.contains_key(key) || !seen.insert(key) {
                continue;
            }
            match self.before.and_then(|before| before.get(key)) {
                Some(known) if known.wide => {
                    self.tables.insert(key.clone(), known.clone());
                }
                _ => missing.push((key, catchment)),
            }
        }
        let made = each(&missing, |(key, catchment)| {
            (self.make)(catchment, &key.states)
        });
        for ((key, _), table) in missing.into_iter().zip(made) {
            self.tables.insert(key.clone(), table);
        }
    }

    /// All tables.
    pub fn into_tables(self) -> Tables {
        self.tables
    }

    /// The table of a key, and the key as all views share it.
    pub fn get(&self, key: &TableKey) -> Option<(Arc<TableKey>, Outcomes)> {
        let (key, table) = self.tables.get_key_value(key)?;
        Some((key.clone(), table.outcomes.clone()))
    }
}

/// What decks are made from.
#[derive(PartialEq, Eq, Hash)]
pub struct DeckKey {
    /// The address of the key of the outcome table, which all its views share.
    pub table: usize,
    /// How they are dealt.
    pub rules: DeckRules,
    /// The endpoints of each region.
    pub regions: Vec<DeckRegion>,
}

/// Makes the decks of views that are alike once.
#[derive(Default)]
pub struct DeckCache {
    decks: HashMap<DeckKey, Option<Arc<ViewDecks>>>,
}

impl DeckCache {
    /// The decks of a view with these chains; `None`: it has none.
    pub fn get(&mut self, key: DeckKey, chains: &[FailoverChain]) -> Option<Arc<ViewDecks>> {
        if let Some(known) = self.decks.get(&key) {
            return known.clone();
        }
        let made = ViewDecks::compile(key.rules, &key.regions, chains).map(Arc::new);
        self.decks.insert(key, made.clone());
        made
    }
}

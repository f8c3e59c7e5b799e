//! What a server has noted of who asks: real clients to be counted instead of addresses.

use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sweep::{CellTally, ClientCell};
use crate::catalog::Catalog;
use crate::dns::Name;
use crate::geo::{AddressTable, Atlas};

/// The networks that asked lately, as far as they were noted. Its JSON form is stable: keys are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotedTraffic {
    /// Of so many queries one was noted; absent: none is.
    pub sample: Option<u32>,
    /// How many queries are noted here: at most 16,384, the latest.
    pub queries: u64,
    /// By service, and within it by network.
    pub clients: Vec<ClientTraffic>,
}

/// One network that asked for one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientTraffic {
    /// The service.
    pub service: String,
    /// ADDRESS/PREFIX, at the finest /24 and /48.
    pub client: String,
    /// How many of its queries were noted.
    pub queries: u64,
}

impl NotedTraffic {
    /// None is known.
    pub const NONE: &NotedTraffic = &NotedTraffic {
        sample: None,
        queries: 0,
        clients: Vec::new(),
    };

    /// What this World has noted by now.
    pub fn of(catalog: &Catalog) -> NotedTraffic {
        let Some(rules) = catalog.sample.rules() else {
            return NotedTraffic::default();
        };
        let noted = catalog.sample.noted();
        let client = |(noted, queries): &(crate::catalog::sample::SampledNetwork, u64)| {
            let service = catalog
                .services
                .get(noted.service.0 as usize)?
                .name
                .to_string();
            Some(ClientTraffic {
                service,
                client: noted.network(rules).to_string(),
                queries: *queries,
            })
        };
        let clients: Vec<ClientTraffic> = noted.iter().filter_map(client).collect();
        NotedTraffic {
            sample: Some(rules.one_in),
            queries: clients.iter().map(|client| client.queries).sum(),
            clients,
        }
    }

    /// # Errors
    /// A sentence: the server does not note who asks.
    pub fn expect_any(&self) -> Result<(), String> {
        let sentence = "the server notes no traffic; in its configuration, [traffic] sample = 64 notes one query of 64";
        self.sample.map(drop).ok_or_else(|| sentence.to_owned())
    }

    /// Clients of one service, and how often each has asked.
    ///
    /// # Errors
    /// A sentence: something is no network.
    pub fn clients_of(&self, name: &Name) -> Result<Vec<(IpAddr, u64)>, String> {
        let name = name.to_string();
        let own = self
            .clients
            .iter()
            .filter(|client| client.service.eq_ignore_ascii_case(&name));
        let read = |it: &ClientTraffic| {
            let address = it
                .client
                .split('/')
                .next()
                .and_then(|address| address.parse().ok());
            let address = address
                .ok_or_else(|| format!("traffic: client {:?} is not ADDRESS/PREFIX", it.client))?;
            Ok((address, it.queries))
        };
        own.map(read).collect()
    }

    /// The queries of every cell; each cell's example is the network that asked most.
    ///
    /// # Errors
    /// A sentence: nothing is noted, or something is no network.
    pub(super) fn cells(
        &self,
        name: &Name,
        atlas: &Atlas,
        before: &AddressTable,
        after: &AddressTable,
    ) -> Result<HashMap<ClientCell, CellTally>, String> {
        self.expect_any()?;
        let clients = self.clients_of(name)?;
        let mut cells: HashMap<ClientCell, CellTally> = HashMap::new();
        for (client, queries) in clients {
            let cell = (
                atlas.locate(client).place,
                before.find(client).value,
                after.find(client).value,
            );
            let tally = cells.entry(cell).or_default();
            tally.addresses += queries;
            if queries > tally.widest {
                (tally.widest, tally.example) = (queries, Some(client));
            }
        }
        Ok(cells)
    }
}

//! Sampled traffic: the client networks of each service, to be counted instead of addresses.
//!
//! A server samples queries if its configuration enables it ([`crate::catalog::ClientSample`]).
//! [`NotedTraffic`] is the JSON form, so that traffic of one server can be counted elsewhere.

use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sweep::{CellTally, ClientCell};
use crate::catalog::Catalog;
use crate::dns::Name;
use crate::geo::{Atlas, OutcomeTable};

/// A sample of recent client networks. Its JSON form is stable: keys are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotedTraffic {
    /// One query of this many was sampled; absent: none is.
    pub sample: Option<u32>,
    /// The number of sampled queries: the latest, at most 16,384.
    pub queries: u64,
    /// By service, and within it by network.
    pub clients: Vec<ClientTraffic>,
}

/// One client network of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientTraffic {
    /// The service.
    pub service: String,
    /// ADDRESS/PREFIX, at the finest /24 and /48.
    pub client: String,
    /// The number of its sampled queries.
    pub queries: u64,
}

impl ClientTraffic {
    /// The first address of the network.
    fn address(&self) -> Result<IpAddr, String> {
        let client = &self.client;
        let address = client
            .split_once('/')
            .map_or(&client[..], |(address, _)| address);
        match address.parse() {
            Ok(address) => Ok(address),
            Err(_) => Err(format!("traffic: client {client:?} is not ADDRESS/PREFIX")),
        }
    }
}

impl NotedTraffic {
    /// No traffic.
    pub const NONE: &NotedTraffic = &NotedTraffic {
        sample: None,
        queries: 0,
        clients: Vec::new(),
    };

    /// The traffic that a catalog has sampled so far.
    pub fn of(catalog: &Catalog) -> NotedTraffic {
        let Some(rules) = catalog.sample.rules() else {
            return NotedTraffic::default();
        };
        let (mut clients, mut all) = (Vec::new(), 0);
        for (noted, queries) in catalog.sample.noted() {
            if let Some(service) = catalog.services.get(noted.service.0 as usize) {
                all += queries;
                clients.push(ClientTraffic {
                    service: service.name.to_string(),
                    client: noted.network(rules).to_string(),
                    queries,
                });
            }
        }
        NotedTraffic {
            sample: Some(rules.one_in),
            queries: all,
            clients,
        }
    }

    /// Checks that traffic was sampled.
    ///
    /// # Errors
    /// A sentence: the server does not sample its queries.
    pub fn expect_any(&self) -> Result<(), String> {
        let sentence = "the server does not sample its traffic; in its configuration, [traffic] sample = 64 samples one query in 64";
        self.sample.map(drop).ok_or_else(|| sentence.to_owned())
    }

    /// The clients of one service, with the number of queries of each.
    ///
    /// # Errors
    /// A sentence: an entry is not a network.
    pub fn clients_of(&self, name: &Name) -> Result<Vec<(IpAddr, u64)>, String> {
        let name = name.to_string();
        let mut clients = Vec::new();
        for noted in &self.clients {
            if noted.service.eq_ignore_ascii_case(&name) {
                clients.push((noted.address()?, noted.queries));
            }
        }
        Ok(clients)
    }

    /// The same for every service that has any, by its name in small letters. Thousands of services
    /// are found here without reading the whole sample for each.
    ///
    /// # Errors
    /// A sentence: an entry is not a network.
    pub fn by_service(&self) -> Result<HashMap<String, Vec<(IpAddr, u64)>>, String> {
        let mut services: HashMap<String, Vec<(IpAddr, u64)>> = HashMap::new();
        for noted in &self.clients {
            let clients = services
                .entry(noted.service.to_ascii_lowercase())
                .or_default();
            clients.push((noted.address()?, noted.queries));
        }
        Ok(services)
    }

    /// The queries of every cell; each cell's example is the network with the most queries.
    ///
    /// # Errors
    /// A sentence: nothing was sampled, or an entry is not a network.
    pub(super) fn cells(
        &self,
        name: &Name,
        atlas: &Atlas,
        before: &OutcomeTable,
        after: &OutcomeTable,
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

//! What clients should be answered, and what they were.
//!
//! One region of the demo dies and comes back: [`HOME`]. For each client it is known beforehand what
//! it should get with that region and without it, from the code that explains answers. While the
//! nameservers find a change out, both answers are right; the story ends that time as soon as all three
//! have answered anew.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::answer::Snapshot;
use crate::control::LoadedState;
use crate::demo::settings::MAIN;
use crate::demo::traffic::Clients;
use crate::dns::{Name, RecordType};
use crate::explain::{ExplainQuestion, explain};
use crate::steering::pick::next_draw;

/// The region that dies.
pub const HOME: &str = "fra";
/// A network of the Netherlands, next to [`HOME`].
const NEXT_TO_HOME: Ipv4Addr = Ipv4Addr::new(193, 0, 0, 0);
/// Clients, beside the one next to [`HOME`].
const CLIENTS: usize = 100;

/// A network of clients, and the answers that it should get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetClient {
    /// Its first address.
    pub network: Ipv4Addr,
    with_home: Vec<Ipv4Addr>,
    without_home: Vec<Ipv4Addr>,
}

/// Whether the region that dies is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HomeState {
    /// It is up, and everybody knows.
    Up,
    /// It is down, and everybody knows.
    Down,
    /// The nameservers are finding out.
    Moving,
}

impl FleetClient {
    /// Whether an answer is right for a query that was sent and answered in these states.
    pub fn may_get(&self, answer: Ipv4Addr, sent: HomeState, answered: HomeState) -> bool {
        match (sent, answered) {
            (HomeState::Up, HomeState::Up) => self.gets_with_home(answer),
            (HomeState::Down, HomeState::Down) => self.gets_without_home(answer),
            _ => self.gets_with_home(answer) || self.gets_without_home(answer),
        }
    }

    fn gets_with_home(&self, answer: Ipv4Addr) -> bool {
        self.with_home.contains(&answer)
    }

    fn gets_without_home(&self, answer: Ipv4Addr) -> bool {
        self.without_home.contains(&answer)
    }

    /// Whether an answer tells that the region is there, or that it is not. Only of clients that it
    /// serves.
    pub fn tells(&self, answer: Ipv4Addr, home_is_up: bool) -> bool {
        let (told, other) = if home_is_up {
            (&self.with_home, &self.without_home)
        } else {
            (&self.without_home, &self.with_home)
        };
        told.contains(&answer) && !other.contains(&answer)
    }
}

/// Clients all over the world, in proportion to the population. The first is next to [`HOME`].
///
/// # Errors
/// A sentence: the configuration has no such service or region.
pub fn clients(loaded: &LoadedState) -> Result<Vec<FleetClient>, String> {
    let name: Name = MAIN.parse().map_err(|error| format!("{MAIN}: {error}"))?;
    let squares = Clients::in_squares(&loaded.snapshot, &loaded.config)?;
    let mut networks = vec![NEXT_TO_HOME];
    let mut draw = 1;
    for _ in 0..CLIENTS {
        draw = next_draw(draw);
        networks.extend(squares.pick(draw));
    }
    let mut clients = Vec::new();
    for network in networks {
        let network = first_of(network);
        clients.push(FleetClient {
            network,
            with_home: answers(&loaded.snapshot, &name, network, &[])?,
            without_home: answers(&loaded.snapshot, &name, network, &[HOME])?,
        });
    }
    Ok(clients)
}

/// The first address of the /24 around an address.
fn first_of(address: Ipv4Addr) -> Ipv4Addr {
    let [first, second, third, _] = address.octets();
    Ipv4Addr::new(first, second, third, 0)
}

/// The addresses that a client may get while regions are down.
fn answers(
    snapshot: &Snapshot,
    name: &Name,
    network: Ipv4Addr,
    down: &[&str],
) -> Result<Vec<Ipv4Addr>, String> {
    let client = format!("{network}/24");
    let question = ExplainQuestion {
        name: name.clone(),
        rtype: RecordType::A,
        client: client.parse().map_err(|error| format!("{error}"))?,
        down: down.iter().map(|region| (*region).to_owned()).collect(),
    };
    let explanation = explain(snapshot, &question, 0)?;
    let mut answers = Vec::new();
    if let Some(service) = explanation.service {
        for endpoint in service.endpoints {
            answers.extend(endpoint.endpoint.parse::<Ipv4Addr>());
        }
    }
    Ok(answers)
}

/// The state of the region that dies, and what clients saw. Shared by all threads.
#[derive(Debug)]
pub struct FleetTally {
    home: AtomicU8,
    asked: AtomicU64,
    asked_again: AtomicU64,
    lost: AtomicU64,
    wrong: AtomicU64,
}

/// What clients saw until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TallySums {
    /// Queries, each of which may have been sent to several nameservers.
    pub asked: u64,
    /// How often another nameserver was asked because one was silent.
    pub asked_again: u64,
    /// Queries that no nameserver answered.
    pub lost: u64,
    /// Answers that the client should not have got.
    pub wrong: u64,
}

/// What came of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryOutcome {
    /// A right answer.
    Right,
    /// A wrong one.
    Wrong,
    /// None.
    Lost,
}

impl Default for FleetTally {
    fn default() -> FleetTally {
        FleetTally {
            home: AtomicU8::new(HomeState::Up as u8),
            asked: AtomicU64::new(0),
            asked_again: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
        }
    }
}

impl FleetTally {
    /// The state of the region that dies.
    pub fn home(&self) -> HomeState {
        match self.home.load(Ordering::SeqCst) {
            state if state == HomeState::Up as u8 => HomeState::Up,
            state if state == HomeState::Down as u8 => HomeState::Down,
            _ => HomeState::Moving,
        }
    }

    /// Changes the state of the region that dies.
    pub fn set_home(&self, state: HomeState) {
        self.home.store(state as u8, Ordering::SeqCst);
    }

    /// Counts a query, and how often other nameservers had to be asked.
    pub fn count(&self, outcome: QueryOutcome, asked_again: u64) {
        raise(&self.asked, 1);
        raise(&self.asked_again, asked_again);
        match outcome {
            QueryOutcome::Right => {}
            QueryOutcome::Wrong => raise(&self.wrong, 1),
            QueryOutcome::Lost => raise(&self.lost, 1),
        }
    }

    /// What was counted.
    pub fn sums(&self) -> TallySums {
        TallySums {
            asked: read(&self.asked),
            asked_again: read(&self.asked_again),
            lost: read(&self.lost),
            wrong: read(&self.wrong),
        }
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::SeqCst)
}

fn raise(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::SeqCst);
}

impl TallySums {
    /// Whether clients saw nothing of what happened.
    pub fn is_clean(&self) -> bool {
        self.asked > 0 && self.lost == 0 && self.wrong == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::ConfigOrigin;
    use crate::demo::fleet::settings;

    fn loaded() -> LoadedState {
        let folder = tempfile::tempdir().unwrap();
        let ports = settings::FleetPorts::find().unwrap();
        let nameserver = settings::nameservers(folder.path(), &ports).remove(0);
        let file = nameserver.file.clone();
        let nats = "127.0.0.1:4222".parse().unwrap();
        settings::write(folder.path(), &[(nameserver, nats)], 8080).unwrap();
        ConfigOrigin::File(file).load(None).unwrap()
    }

    #[test]
    fn clients_of_the_dead_region_should_get_another_and_the_rest_the_same() {
        let clients = clients(&loaded()).unwrap();
        assert_eq!(clients.len(), CLIENTS + 1);
        let home = Ipv4Addr::new(127, 0, 1, 1);
        assert_eq!(clients[0].with_home, [home]);
        for client in &clients {
            assert!(!client.with_home.is_empty() && !client.without_home.is_empty());
            assert!(!client.without_home.contains(&home), "{client:?}");
            if !client.with_home.contains(&home) {
                assert_eq!(client.with_home, client.without_home, "{client:?}");
            }
        }
    }

    #[test]
    fn an_answer_is_wrong_if_it_names_a_dead_region_or_another_one_than_it_should() {
        let [home, next, other] = [1, 2, 3].map(|number| Ipv4Addr::new(127, 0, number, 1));
        let client = FleetClient {
            network: NEXT_TO_HOME,
            with_home: vec![home],
            without_home: vec![next],
        };
        use HomeState::{Down, Moving, Up};
        for (answer, sent, answered, is_right) in [
            (home, Up, Up, true),
            (next, Up, Up, false),
            (next, Down, Down, true),
            (home, Down, Down, false),
            (home, Moving, Moving, true),
            (next, Moving, Moving, true),
            (home, Moving, Down, true),
            (other, Moving, Moving, false),
        ] {
            let right = client.may_get(answer, sent, answered);
            assert_eq!(right, is_right, "{answer} {sent:?} {answered:?}");
        }
        assert!(client.tells(next, false) && !client.tells(home, false));
    }

    #[test]
    fn only_a_tally_with_queries_and_without_losses_is_clean() {
        let tally = FleetTally::default();
        assert!(!tally.sums().is_clean(), "nobody has asked");
        tally.count(QueryOutcome::Right, 2);
        assert!(tally.sums().is_clean());
        tally.count(QueryOutcome::Wrong, 0);
        tally.count(QueryOutcome::Lost, 0);
        let sums = TallySums {
            asked: 3,
            asked_again: 2,
            lost: 1,
            wrong: 1,
        };
        assert_eq!(tally.sums(), sums);
        assert!(!sums.is_clean());
    }
}

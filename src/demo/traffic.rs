//! Sample traffic of the demo: a few queries a second from clients all over the world.
//!
//! The queries go to the demo's own port over loopback. Each carries a client subnet, like those of
//! a resolver. Clients are picked in proportion to the population around them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::settings::MAIN;
use crate::catalog::services::ServiceFamily;
use crate::config::Config;
use crate::control::{Control, any_draw};
use crate::dns::edns::OPTION_CLIENT_SUBNET;
use crate::dns::{CLASS_IN, Name, RecordType};
use crate::foresight::{ForecastRequest, NotedTraffic, PlannedChange, ShareBasis, foresee};
use crate::steering::pick::next_draw;

/// Queries per second, of all clients together.
pub const PER_SECOND: u32 = 20;
/// How long to wait for an answer, so that none stays in the buffer of the socket.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(20);
/// The queries, each with its share in percent.
const QUERIES: [(&str, RecordType, u64); 6] = [
    (MAIN, RecordType::A, 50),
    (MAIN, RecordType::AAAA, 15),
    ("api.example.com", RecordType::A, 15),
    ("data.example.com", RecordType::A, 10),
    ("example.com", RecordType::A, 5),
    ("cdn.example.com", RecordType::A, 5),
];

/// Starts sending queries, on a thread that ends when the sender of `stopped` is dropped.
pub fn start(control: Arc<Control>, dns: SocketAddr, stopped: Receiver<()>) {
    // Without a thread, the demo runs without sample traffic.
    let _ = std::thread::Builder::new()
        .name("demo-traffic".to_owned())
        .spawn(move || {
            let Ok(clients) = Clients::of(&control) else {
                return;
            };
            drop(control);
            if let Err(error) = send_until(&stopped, &clients, reachable(dns)) {
                tracing::error!(%error, "the demo cannot send sample traffic");
            }
        });
}

/// The listening address, with loopback in place of the unspecified address.
fn reachable(listened: SocketAddr) -> SocketAddr {
    let ip = match listened.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listened.port())
}

fn send_until(stopped: &Receiver<()>, clients: &Clients, dns: SocketAddr) -> io::Result<()> {
    let any: IpAddr = if dns.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(dns)?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let queries = queries();
    let mut buffer = [0; 1500];
    // A thread that is late does not catch up.
    while stopped.recv_timeout(Duration::from_secs(1) / PER_SECOND)
        == Err(RecvTimeoutError::Timeout)
    {
        let draw = any_draw();
        let Some(((name, rtype), client)) = pick(&queries, draw).zip(clients.pick(next_draw(draw)))
        else {
            return Ok(());
        };
        // Errors are ignored: the server may be ending or busy.
        let _ = socket.send(&query(name, *rtype, client, draw as u16));
        let _ = socket.recv(&mut buffer);
    }
    Ok(())
}

/// A query, and its share in percent.
type WeightedQuery = ((Name, RecordType), u64);

fn queries() -> Vec<WeightedQuery> {
    let mut queries = Vec::new();
    for (name, rtype, share) in QUERIES {
        if let Ok(name) = name.parse() {
            queries.push(((name, rtype), share));
        }
    }
    queries
}

/// Picks an element at random, in proportion to its part.
fn pick<T>(parts: &[(T, u64)], draw: u64) -> Option<&T> {
    let all: u64 = parts.iter().map(|(_, part)| part).sum();
    let mut left = draw.checked_rem(all)?;
    for (one, part) in parts {
        if left < *part {
            return Some(one);
        }
        left -= part;
    }
    None
}

/// Networks all over the world, each with the population around it.
pub struct Clients(Vec<(Ipv4Addr, u64)>);

impl Clients {
    /// One network for each square of the map.
    fn of(control: &Control) -> Result<Clients, String> {
        let config = control.config();
        Clients::in_squares(&control.snapshot(), &config)
    }

    /// One network for each square of the map.
    ///
    /// # Errors
    /// A sentence: the main service is not configured.
    pub fn in_squares(
        snapshot: &crate::answer::Snapshot,
        config: &Config,
    ) -> Result<Clients, String> {
        let name: Name = MAIN.parse().map_err(|error| format!("{MAIN}: {error}"))?;
        let (change, traffic) = (PlannedChange::default(), NotedTraffic::default());
        let wanted = ForecastRequest {
            name: &name,
            family: ServiceFamily::V4,
            over: ShareBasis::Population,
            traffic: &traffic,
            change: &change,
        };
        let foresight = foresee((snapshot, config), None, wanted)?;
        let squares = foresight
            .cells
            .iter()
            .filter_map(|cell| match cell.example {
                IpAddr::V4(address) => Some((address, cell.addresses)),
                IpAddr::V6(_) => None,
            });
        Ok(Clients(squares.collect()))
    }

    /// One of them at random, in proportion to the population.
    pub fn pick(&self, draw: u64) -> Option<Ipv4Addr> {
        pick(&self.0, draw).copied()
    }
}

/// A query with the /24 of a client (RFC 7871 section 6).
pub fn query(name: &Name, rtype: RecordType, client: Ipv4Addr, id: u16) -> Vec<u8> {
    let [first, second, third, _] = client.octets();
    // The header: no recursion desired, one question and the OPT record.
    let mut query = [
        &id.to_be_bytes()[..],
        &[0, 0, 0, 1, 0, 0, 0, 0, 0, 1],
        name.as_wire(),
    ]
    .concat();
    query.extend(rtype.0.to_be_bytes());
    query.extend(CLASS_IN.to_be_bytes());
    // The root, 1232 octets of payload, no flags, 11 octets of data.
    query.push(0);
    query.extend(RecordType::OPT.0.to_be_bytes());
    query.extend(1232_u16.to_be_bytes());
    query.extend([0, 0, 0, 0, 0, 11]);
    query.extend(OPTION_CLIENT_SUBNET.to_be_bytes());
    query.extend([0, 7, 0, 1, 24, 0, first, second, third]);
    query
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dns::query::{QueryScratch, parse};
    use crate::explain::PlaceFacts;

    #[test]
    fn clients_follow_the_population() {
        let loaded = super::super::tests::loaded();
        let clients = Clients::in_squares(&loaded.snapshot, &loaded.config).unwrap();
        let mut by_continent: BTreeMap<String, u32> = BTreeMap::new();
        let mut draw = 7;
        for _ in 0..2000 {
            draw = next_draw(draw);
            let client = clients.pick(draw).unwrap();
            let place = PlaceFacts::of(&loaded.snapshot.catalog.atlas, client.into());
            *by_continent
                .entry(place.continent.unwrap_or_default())
                .or_default() += 1;
        }
        let part = |continent: &str| by_continent.get(continent).copied().unwrap_or_default();
        // Three of five people live in Asia, one of six in Africa, one of eleven in Europe.
        assert!((1000..1400).contains(&part("AS")), "{by_continent:?}");
        assert!(
            (200..500).contains(&part("AF")) && (100..300).contains(&part("EU")),
            "{by_continent:?}"
        );
        assert!(
            ["NA", "SA"].iter().all(|continent| part(continent) > 80) && part("OC") > 0,
            "{by_continent:?}"
        );
    }

    #[test]
    fn a_query_is_one_that_the_server_reads() {
        for ((name, rtype), _) in queries() {
            let query = query(&name, rtype, "192.0.2.77".parse().unwrap(), 5);
            let mut scratch = QueryScratch::default();
            let parsed =
                parse(&query, &mut scratch).unwrap_or_else(|_| panic!("{name} {rtype} is refused"));
            let subnet = parsed.edns.unwrap().client_subnet.unwrap();
            assert_eq!((subnet.source, parsed.question.rtype), (24, rtype));
        }
    }

    #[test]
    fn picks_are_in_proportion() {
        let parts = [("a", 1), ("none", 0), ("b", 3)];
        let picked: Vec<&str> = (0..4)
            .filter_map(|draw| pick(&parts, draw).copied())
            .collect();
        assert_eq!(picked, ["a", "b", "b", "b"]);
        assert_eq!(pick::<u8>(&[], 5), None);
    }

    #[test]
    fn a_server_on_the_unspecified_address_is_queried_over_loopback() {
        let of = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(
            (of("0.0.0.0:53"), of("[::]:53")),
            ("127.0.0.1:53".to_owned(), "[::1]:53".to_owned())
        );
        assert_eq!(of("192.0.2.1:53"), "192.0.2.1:53");
    }

    #[test]
    fn the_traffic_ends_with_the_demo() {
        let (stop, stopped) = std::sync::mpsc::channel();
        drop(stop);
        let clients = Clients(vec![(Ipv4Addr::new(192, 0, 2, 1), 1)]);
        send_until(&stopped, &clients, "127.0.0.1:9".parse().unwrap()).unwrap();
    }
}

//! What an order comes to is in every answer from the moment that the call returns, under load, and no query is lost.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::Question;
use crate::harness::strict::Message;
use crate::harness::types::A;
use crate::world::{self, TOKEN, call};

const FLIPS: usize = 20;
const PAUSE: Duration = Duration::from_micros(200);
const LONGEST: Duration = Duration::from_secs(30);

/// One query: when it was sent, how long it took, and what came; `None`: nothing did.
struct Asked {
    sent: Instant,
    took: Duration,
    address: Option<String>,
}

/// One order: when the call for it began, when it returned, and what is answered from then on.
struct Order {
    began: Instant,
    returned: Instant,
    address: &'static str,
}

#[test]
fn a_flip_is_in_every_answer_at_once_and_no_query_is_lost() {
    let server = world::start(
        "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n",
    );
    let over = AtomicBool::new(false);
    let mut orders = Vec::new();
    let asked: Vec<Asked> = std::thread::scope(|scope| {
        let over = &over;
        let askers = server.addresses.iter().map(|&address| scope.spawn(move || ask_until(address, over)));
        let askers: Vec<_> = askers.collect();
        for flip in 0..FLIPS {
            let (method, address) = [("PUT", "192.0.2.2"), ("DELETE", "192.0.2.1")][flip % 2];
            let began = Instant::now();
            let (status, said) = call(&server, method, "/v1/regions/fra/drain", TOKEN, "{\"reason\": \"flip\"}");
            assert_eq!(status, 200, "{said}");
            orders.push(Order { began, returned: Instant::now(), address });
            // The load goes on for a while between one order and the next.
            std::thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Relaxed);
        askers.into_iter().flat_map(|asker| asker.join().expect("it ended")).collect()
    });
    assert!(asked.len() > 10 * FLIPS, "hardly a load: {}", asked.len());
    let slowest = orders.iter().map(|order| order.returned - order.began).max();
    let longest = asked.iter().map(|asked| asked.took).max();
    println!("{} queries; the slowest order took {slowest:?}, the slowest answer {longest:?}", asked.len());
    for query in &asked {
        let address = query.address.as_deref().unwrap_or_else(|| panic!("a query was lost: {:?}", query.took));
        let after = orders.partition_point(|order| order.returned <= query.sent);
        // While an order is under way either answer is right.
        let next_began = orders.get(after).is_some_and(|next| next.began < query.sent + query.took);
        let expected = after.checked_sub(1).map_or("192.0.2.1", |last| orders[last].address);
        assert!(next_began || address == expected, "{address} and not {expected} after order {after}");
    }
}

/// Asks one query after the other.
fn ask_until(server: SocketAddr, over: &AtomicBool) -> Vec<Asked> {
    let any = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(any).expect("a free port");
    socket.connect(server).expect("an address");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("it is not zero");
    let subnet = [0, 1, 24, 0, 203, 0, 113];
    let question = Question::new("www.example.test", A).option(8, &subnet).octets();
    let mut asked = Vec::new();
    // Should the test fail on the way, this ends all the same.
    let begin = Instant::now();
    while !over.load(Ordering::Relaxed) && begin.elapsed() < LONGEST {
        let sent = Instant::now();
        socket.send(&question).expect("loopback takes it");
        let mut buffer = [0; 1500];
        let reply = socket.recv(&mut buffer).ok().and_then(|length| Message::read(&buffer[..length]).ok());
        let address = reply.and_then(|reply| reply.answers.first().map(|record| record.data.clone()));
        asked.push(Asked { sent, took: sent.elapsed(), address });
        // A steady load, not one that leaves no processor to anybody else.
        std::thread::sleep(PAUSE);
    }
    asked
}

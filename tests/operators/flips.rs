//! What an order comes to is in every answer a moment after the call begins, under a load that leaves no processor
//! idle, and no query is lost.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::Question;
use crate::harness::strict::Message;
use crate::harness::types::A;
use crate::world::{self, TOKEN, call};

const FLIPS: usize = 20;
/// Until an order is in every answer: usually, and should the machine be busy with something else besides.
const USUALLY: Duration = Duration::from_millis(100);
const AT_MOST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

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
    // Beside such a load a disk is not served at all for many seconds, at least that of a virtual machine.
    let memory = tempfile::tempdir_in("/dev/shm").expect("memory that is mounted as a folder");
    let server = world::start_with_state(
        &memory.path().display().to_string(),
        "[[services]]\nname = \"www.example.test\"\n[services.endpoints]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n",
    );
    let over = AtomicBool::new(false);
    let mut orders = Vec::new();
    let asked: Vec<Asked> = std::thread::scope(|scope| {
        let over = &over;
        let askers = server
            .addresses
            .iter()
            .map(|&address| scope.spawn(move || ask_until(address, over)));
        let askers: Vec<_> = askers.collect();
        for flip in 0..FLIPS {
            let (method, address) = [("PUT", "192.0.2.2"), ("DELETE", "192.0.2.1")][flip % 2];
            let began = Instant::now();
            let (status, said) = call(
                &server,
                method,
                "/v1/regions/fra/drain",
                TOKEN,
                "{\"reason\": \"flip\"}",
            );
            assert_eq!(status, 200, "{said}");
            orders.push(Order {
                began,
                returned: Instant::now(),
                address,
            });
            // The load goes on for a while between one order and the next.
            std::thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Relaxed);
        askers
            .into_iter()
            .flat_map(|asker| asker.join().expect("it ended"))
            .collect()
    });
    assert!(asked.len() > 10 * FLIPS, "hardly a load: {}", asked.len());
    let mut delays: Vec<Duration> = (0..FLIPS)
        .map(|flip| delay(&asked, &orders, flip))
        .collect();
    delays.sort();
    let longest = asked.iter().map(|asked| asked.took).max();
    println!(
        "{} queries; orders were in every answer after {delays:?}, the slowest answer {longest:?}",
        asked.len()
    );
    assert!(
        delays[FLIPS / 2] < USUALLY && delays[FLIPS - 1] < AT_MOST,
        "{delays:?}"
    );
    for query in &asked {
        let address = query
            .address
            .as_deref()
            .unwrap_or_else(|| panic!("a query was lost: {:?}", query.took));
        let after = orders.partition_point(|order| order.returned <= query.sent);
        // While an order is under way either answer is right here; how long the old one is given is seen above.
        let next_began = orders
            .get(after)
            .is_some_and(|next| next.began < query.sent + query.took);
        let expected = after
            .checked_sub(1)
            .map_or("192.0.2.1", |last| orders[last].address);
        assert!(
            next_began || address == expected,
            "{address} and not {expected} after order {after}"
        );
    }
}

/// From the beginning of the call to the last query that was answered as before.
fn delay(asked: &[Asked], orders: &[Order], flip: usize) -> Duration {
    let Order { began, address, .. } = orders[flip];
    let until = orders.get(flip + 1).map(|next| next.began);
    let within = |query: &&Asked| {
        query.sent >= began && until.is_none_or(|until| query.sent + query.took < until)
    };
    let before = |query: &&Asked| {
        query
            .address
            .as_deref()
            .is_some_and(|given| given != address)
    };
    let last = asked
        .iter()
        .filter(within)
        .filter(before)
        .map(|query| query.sent)
        .max();
    last.map_or(Duration::ZERO, |last| last - began)
}

/// Asks one query after the other.
fn ask_until(server: SocketAddr, over: &AtomicBool) -> Vec<Asked> {
    let any = if server.is_ipv4() {
        "127.0.0.1:0"
    } else {
        "[::1]:0"
    };
    let socket = UdpSocket::bind(any).expect("a free port");
    socket.connect(server).expect("an address");
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .expect("it is not zero");
    let subnet = [0, 1, 24, 0, 203, 0, 113];
    let question = Question::new("www.example.test", A)
        .option(8, &subnet)
        .octets();
    let mut asked = Vec::new();
    // Should the test fail on the way, this ends all the same.
    let begin = Instant::now();
    while !over.load(Ordering::Relaxed) && begin.elapsed() < LONGEST {
        let sent = Instant::now();
        socket.send(&question).expect("loopback takes it");
        let mut buffer = [0; 1500];
        let reply = socket
            .recv(&mut buffer)
            .ok()
            .and_then(|length| Message::read(&buffer[..length]).ok());
        let address =
            reply.and_then(|reply| reply.answers.first().map(|record| record.data.clone()));
        asked.push(Asked {
            sent,
            took: sent.elapsed(),
            address,
        });
    }
    asked
}

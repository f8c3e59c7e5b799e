//! More than the server can carry, for a moment: it holds no more memory, and a moment later it is whole again.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::Server;
use crate::harness::query::Question;
use crate::harness::types::*;
use crate::world::setup;

/// How long more is offered than is carried.
const FLOOD: Duration = Duration::from_secs(3);
/// Millions of names at most, so that this ends.
const MOST: u64 = 5_000_000;
const GROWTH: u64 = 32 << 20;

/// Names that nobody asked for before, as fast as this machine sends them, whatever is answered; how many they were.
fn flood(server: &Server, over: &AtomicBool) -> u64 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.connect(server.address()).expect("loopback");
    let mut sent = Question::new("x00000000.example.test", A).octets();
    let mut count = 0;
    while !over.load(Ordering::Relaxed) && count < MOST {
        count += 1;
        sent[14..22].copy_from_slice(
            format!("{:08x}", meridian::steering::pick::next_draw(count) as u32).as_bytes(),
        );
        // What the system has no room for is lost, as on a wire.
        let _ = socket.send(&sent);
    }
    count
}

/// The share of `count` queries that get a whole answer at the first attempt, each a moment after the last.
fn served(server: &Server, question: &Question, count: usize) -> f64 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.connect(server.address()).expect("loopback");
    let ask = |id: usize| {
        socket
            .send(
                &Question {
                    id: id as u16,
                    ..question.clone()
                }
                .octets(),
            )
            .expect("loopback takes it");
        let deadline = Instant::now() + Duration::from_millis(500);
        let mut buffer = [0; 1500];
        while let Some(left) = deadline
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            socket.set_read_timeout(Some(left)).expect("it is not zero");
            let length = socket.recv(&mut buffer).unwrap_or(0);
            if length > 12 && buffer[..2] == (id as u16).to_be_bytes() {
                // QR, not TC, and an answer.
                return buffer[2] & 0x82 == 0x80 && buffer[7] > 0;
            }
        }
        false
    };
    (0..count).filter(|&id| ask(id)).count() as f64 / count as f64
}

fn with_cookie(server: &Server) -> Question {
    let reply = server
        .ask("host.example.test", A)
        .with_option(10, b"client!!")
        .send();
    let cookie = reply
        .message
        .opt
        .iter()
        .flat_map(|opt| opt.option(10))
        .next()
        .expect("a cookie")
        .to_vec();
    Question::new("host.example.test", A).option(10, &cookie)
}

/// Of a network that is far above its limit, whoever has a cookie of ours fares better than whoever has none. `cargo bench
/// --bench overload` has the figures: this is what must hold on a machine that does something else besides.
#[test]
fn three_seconds_of_more_than_is_carried_leave_nothing_behind() {
    let mut server = setup().config("[limits]\nexempt = []\nslip = 2\n").start();
    let plain = Question::new("host.example.test", A);
    let cookie = with_cookie(&server);
    let (over, before) = (AtomicBool::new(false), server.resident());
    let (names, shares) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&server, &over));
        let mut shares = Vec::new();
        // Beside other tests the flood may be thin for a while.
        for _ in 0..5 {
            shares = served_for(&server, [&cookie, &plain], FLOOD);
            if mean(&shares, 0) > mean(&shares, 1) + 0.2 {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        (flood.join().expect("it ended"), shares)
    });
    assert!(names > 10_000, "hardly a flood: {names}");
    assert!(
        mean(&shares, 0) > mean(&shares, 1) + 0.2,
        "with a cookie {:.2}, without {:.2}",
        mean(&shares, 0),
        mean(&shares, 1)
    );
    let grown = server.resident().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} octets more after {names} names");
    std::thread::sleep(Duration::from_secs(2));
    assert!(
        served(&server, &cookie, 200) > 0.99,
        "two seconds later everything is answered again"
    );
    assert!(server.is_alive());
}

/// Which parts of two questions are answered, again and again for this time.
fn served_for(server: &Server, questions: [&Question; 2], time: Duration) -> Vec<[f64; 2]> {
    let start = Instant::now();
    let mut shares = Vec::new();
    while start.elapsed() < time {
        shares.push(questions.map(|question| served(server, question, 20)));
    }
    shares
}

fn mean(shares: &[[f64; 2]], which: usize) -> f64 {
    shares.iter().map(|shares| shares[which]).sum::<f64>() / shares.len() as f64
}

/// Random names are what floods are made of: each must cost about what a name costs that is there.
#[test]
fn a_name_that_is_missing_costs_no_more_than_one_that_is_there() {
    let server = setup().start();
    let cost = |name: &dyn Fn(u64) -> String, round: u64| {
        let before = server.processor_time();
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.connect(server.address()).expect("loopback");
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("it is not zero");
        for batch in 0..400 {
            for query in 0..50 {
                let question = Question::new(&name(round * 20_000 + batch * 50 + query), A);
                socket.send(&question.octets()).expect("loopback takes it");
            }
            for _ in 0..50 {
                socket
                    .recv(&mut [0; 1500])
                    .expect("every query is answered");
            }
        }
        server.processor_time() - before
    };
    let random = |number: u64| {
        format!(
            "x{:08x}.example.test",
            meridian::steering::pick::next_draw(number) as u32
        )
    };
    // What a start leaves to be done a moment later is done by then.
    cost(&|_| "host.example.test".to_owned(), 5);
    let before = server.resident();
    let rounds: Vec<[Duration; 2]> = (0..5)
        .map(|round| {
            [
                cost(&|_| "host.example.test".to_owned(), round),
                cost(&random, round),
            ]
        })
        .collect();
    let best = |which: usize| rounds.iter().map(|round| round[which]).min().expect("some");
    let (hit, miss) = (best(0), best(1));
    assert!(
        hit.as_secs_f64() >= 0.7 * miss.as_secs_f64(),
        "20,000 hits take {hit:?}, 20,000 misses {miss:?}"
    );
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} octets more after 100,000 names");
}

/// No answer is kept and given to somebody whom it is not for.
#[test]
fn one_name_asked_in_every_way_by_turns_is_answered_each_time_as_at_first() {
    let server = setup().start();
    let ways = |way: usize| {
        let name = ["www.example.test", "wWw.eXample.tEst"][way & 1];
        let ask = server.ask(name, [A, AAAA][way >> 1 & 1]);
        let ask = if way & 4 == 0 { ask } else { ask.with_dnssec() };
        let ask = match way >> 3 & 3 {
            0 => ask,
            1 => ask.from_subnet("203.0.113.0/24"),
            2 => ask.from_subnet("198.51.100.0/24"),
            _ => ask.from_subnet("2001:db8:2::/48"),
        };
        let reply = if way & 32 == 0 {
            ask.send()
        } else {
            ask.over_tcp().send()
        };
        let dnssec = reply.message.opt.as_ref().map(|opt| opt.flags);
        (
            reply.message.question.clone(),
            format!("{:?}", reply.message.answers),
            reply.scope(),
            dnssec,
        )
    };
    let first: Vec<_> = (0..64).map(&ways).collect();
    let mut draw = 7;
    for _ in 0..1000 {
        draw = meridian::steering::pick::next_draw(draw);
        let way = draw as usize % 64;
        assert_eq!(ways(way), first[way], "way {way}");
    }
    let answers: std::collections::BTreeSet<_> =
        first.iter().map(|(_, answers, ..)| answers).collect();
    assert!(
        answers.len() >= 4,
        "both families, both regions: {answers:?}"
    );
}

//! RFC 7766: DNS over TCP.

use std::io::ErrorKind::ConnectionReset;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use crate::harness::query::Question;
use crate::harness::reply::check_any;
use crate::harness::server::{read_framed, write_framed};
use crate::harness::types::*;
use crate::harness::{Server, Transport};
use crate::world::{server, setup};

fn query(id: u16) -> Vec<u8> {
    Question {
        id,
        ..Question::new("host.example.test", A)
    }
    .octets()
}

#[track_caller]
fn expect_reply(stream: &mut TcpStream, sent: &[u8]) {
    let reply = read_framed(stream).expect("a reply");
    assert_eq!(check_any(sent, Transport::Tcp, &reply).answers.len(), 1);
}

#[test]
fn section_6_2_1_1_pipelined_queries_are_all_answered() {
    let server = server();
    for count in [2u16, 50, 2000] {
        let mut stream = server.connect();
        let mut writer = stream.try_clone().expect("a second handle");
        let sender = std::thread::spawn(move || {
            (0..count).for_each(|id| write_framed(&mut writer, &query(id)))
        });
        for id in 0..count {
            expect_reply(&mut stream, &query(id));
        }
        sender.join().expect("everything was sent");
    }
}

#[test]
fn section_8_a_message_may_come_octet_by_octet() {
    let server = server();
    let mut stream = server.connect();
    let frame = [&(query(1).len() as u16).to_be_bytes()[..], &query(1)].concat();
    for octet in &frame {
        stream.write_all(&[*octet]).expect("the server reads");
        std::thread::sleep(Duration::from_millis(2));
    }
    expect_reply(&mut stream, &query(1));
}

#[test]
fn section_6_2_1_the_connection_stays_open_after_a_reply() {
    let server = server();
    let mut stream = server.connect();
    for id in 0..3 {
        write_framed(&mut stream, &query(id));
        expect_reply(&mut stream, &query(id));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn section_6_2_4_a_client_may_close_its_side_first() {
    let server = server();
    let mut stream = server.connect();
    write_framed(&mut stream, &query(1));
    stream
        .shutdown(Shutdown::Write)
        .expect("half of it can be closed");
    expect_reply(&mut stream, &query(1));
    assert_eq!(read_framed(&mut stream), None, "then the server closes too");
}

#[test]
fn section_8_stubs_and_responses_end_the_connection_and_nothing_else() {
    let server = server();
    let response = Question {
        flags: 0x8100,
        ..Question::new("host.example.test", A)
    }
    .octets();
    for message in [&[][..], &[0; 5], &response] {
        let mut stream = server.connect();
        write_framed(&mut stream, message);
        assert_eq!(read_framed(&mut stream), None, "{message:?}");
    }
    still_answers(&server);
}

#[track_caller]
fn still_answers(server: &Server) {
    server
        .ask("host.example.test", A)
        .expect_address("192.0.2.1");
    server
        .ask("host.example.test", A)
        .over_tcp()
        .expect_address("192.0.2.1");
}

#[test]
fn section_6_2_2_idle_and_half_sent_connections_keep_nobody_out() {
    let server = server();
    let idle: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    let half: Vec<TcpStream> = (0..30)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(&[0, 200, 1]).expect("the server reads");
            stream
        })
        .collect();
    still_answers(&server);
    drop((idle, half));
    still_answers(&server);
}

#[test]
fn section_6_2_3_idle_connections_are_closed() {
    let server = setup().server("tcp_idle = \"300ms\"").start();
    let start = Instant::now();
    let mut stream = server.connect();
    assert_eq!(stream.read(&mut [0; 1]).expect("the server closes"), 0);
    assert!(
        (Duration::from_millis(250)..Duration::from_secs(5)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
}

/// Each octet within the idle time, the message not: who sends so has no message to send.
#[test]
fn section_6_2_3_a_message_that_drips_is_cut_off() {
    let server = setup().server("tcp_idle = \"400ms\"").start();
    let start = Instant::now();
    let mut stream = server.connect();
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("it is not zero");
    let frame = [&[1, 0][..], &[0; 256]].concat();
    let mut cut = false;
    for octet in frame {
        let written = stream.write_all(&[octet]);
        let end = stream.read(&mut [0; 1]);
        cut = written.is_err()
            || matches!(end, Ok(0))
            || end.is_err_and(|error| error.kind() == ConnectionReset);
        if cut {
            break;
        }
    }
    assert!(cut, "256 octets were taken one by one");
    assert!(
        (Duration::from_millis(350)..Duration::from_secs(10)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
    still_answers(&server);
}

#[test]
fn section_6_2_3_a_connection_in_use_outlives_the_idle_time() {
    let server = setup().server("tcp_idle = \"500ms\"").start();
    let mut stream = server.connect();
    for id in 0..6 {
        std::thread::sleep(Duration::from_millis(200));
        write_framed(&mut stream, &query(id));
        expect_reply(&mut stream, &query(id));
    }
}

/// Whole questions for the longest of replies, of which not one octet is taken. Of each connection a reply or two wait,
/// and no more questions are read meanwhile.
#[test]
fn section_6_2_3_who_takes_no_replies_holds_little_and_is_cut_off() {
    const CONNECTIONS: usize = 50;
    let addresses: String = (0..4000)
        .map(|n| format!("t A 10.0.{}.{}\n", n / 250, n % 250))
        .collect();
    let zone = format!("$TTL 1h\n@ SOA ns h 1 4h 1h 2w 5m\n  NS ns\nns A 192.0.2.53\n{addresses}");
    let server = setup()
        .zone("many.test", &zone)
        .server("tcp_idle = \"3s\"")
        .start();
    let question = Question::new("t.many.test", A).octets();
    let questions = [&(question.len() as u16).to_be_bytes()[..], &question]
        .concat()
        .repeat(2000);
    let before = server.resident();
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.set_nonblocking(true).expect("a live socket");
        // As much as is taken at once: the rest would lie in our own buffers.
        let _ = stream.write(&questions);
    }
    still_answers(&server);
    let held = server.resident().saturating_sub(before);
    assert!(
        held < CONNECTIONS as u64 * (512 << 10),
        "{held} octets for {CONNECTIONS} connections"
    );
    // What was asked and not read any more is answered with a reset.
    let start = Instant::now();
    streams.retain(|stream| {
        while !matches!(stream.take_error(), Ok(Some(error)) if error.kind() == ConnectionReset) {
            assert!(start.elapsed() < Duration::from_secs(30), "they are kept");
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    });
    still_answers(&server);
}

#[test]
fn section_10_one_address_gets_its_number_of_connections() {
    let server = setup().server("tcp_connections_per_client = 5").start();
    let mut open: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
    for (id, stream) in open.iter_mut().enumerate() {
        write_framed(stream, &query(id as u16));
        expect_reply(stream, &query(id as u16));
    }
    let mut one_more = server.connect();
    write_framed(&mut one_more, &query(6));
    expect_reply(&mut one_more, &query(6));
    assert!(
        read_framed(&mut open[0]).is_none(),
        "its longest idle one has left"
    );
    for (id, stream) in open.iter_mut().enumerate().skip(1) {
        write_framed(stream, &query(id as u16));
        expect_reply(stream, &query(id as u16));
    }
}

#[test]
fn a_reset_in_the_middle_hurts_nobody() {
    let server = server();
    for _ in 0..50 {
        let mut stream = server.connect();
        write_framed(&mut stream, &query(1));
        // Closing with a reply unread resets the connection.
        drop(stream);
    }
    still_answers(&server);
}

/// A shell gives 1,024 descriptors, the system allows more: connections take none from probes and reloads.
#[test]
fn section_10_connections_find_descriptors() {
    let start = |most: u64| {
        setup().start_with(|command| {
            let limit = libc::rlimit {
                rlim_cur: 64,
                rlim_max: most,
            };
            // SAFETY: between fork and exec one system call is made, on a structure of the child's own stack.
            unsafe {
                command.pre_exec(move || {
                    match libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) {
                        0 => Ok(()),
                        _ => Err(std::io::Error::last_os_error()),
                    }
                })
            };
        })
    };
    let server = start(4096);
    let mut open: Vec<TcpStream> = (0..90).map(|_| server.connect()).collect();
    for (id, stream) in open.iter_mut().enumerate() {
        write_framed(stream, &query(id as u16));
        expect_reply(stream, &query(id as u16));
    }
    assert!(!server.log().contains("LimitNOFILE"), "{}", server.log());
    start(256).await_log(
        "this process may open 256 files, and 1000 connections (tcp_connections) would leave",
        1,
    );
}

//! RFC 7873: DNS Cookies, in the form of RFC 9018.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::query::{OptSent, Question, header};
use crate::harness::reply::check_any;
use crate::harness::types::*;
use crate::harness::{Message, Server, Setup, Transport, rcodes};
use crate::world::{server, setup};

const COOKIE: u16 = 10;
const CLIENT: &[u8] = b"client!!";
const FIRST: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
const SECOND: &str = "445536bcd2513298075a5d379663c962";

fn with_secrets(secrets: &[&str]) -> Setup {
    let setup = setup()
        .file("secrets", secrets.join("\n").as_bytes())
        .server("cookie_secrets_file = \"secrets\"");
    fs::set_permissions(
        setup.folder().join("secrets"),
        fs::Permissions::from_mode(0o600),
    )
    .expect("it is ours");
    setup
}

/// The cookie that a reply has.
fn cookie_for(server: &Server, sent: &[u8]) -> Vec<u8> {
    let reply = server
        .ask("host.example.test", A)
        .with_option(COOKIE, sent)
        .expect_address("192.0.2.1");
    let cookies: Vec<Vec<u8>> = reply
        .message
        .opt
        .iter()
        .flat_map(|opt| opt.option(COOKIE))
        .map(<[u8]>::to_vec)
        .collect();
    let [cookie] = &cookies[..] else {
        panic!("one cookie: {cookies:?}")
    };
    cookie.clone()
}

/// A query for nothing but a cookie.
fn ask_cookie_only(server: &Server, sent: &[u8], transport: Transport) -> Message {
    let options = [
        &COOKIE.to_be_bytes()[..],
        &(sent.len() as u16).to_be_bytes(),
        sent,
    ]
    .concat();
    let opt = OptSent {
        options,
        ..OptSent::default()
    }
    .octets();
    let message = [header(7, 0, [0, 0, 0, 1]), opt].concat();
    let reply = server.exchange(&message, transport).expect("a reply");
    check_any(&message, transport, &reply)
}

#[test]
fn section_5_2_3_a_client_cookie_gets_a_server_cookie() {
    let server = server();
    let cookie = cookie_for(&server, CLIENT);
    assert_eq!(
        (&cookie[..8], &cookie[8..12], cookie.len()),
        (CLIENT, &[1, 0, 0, 0][..], 24)
    );
    let made = u32::from_be_bytes(cookie[12..16].try_into().expect("four octets"));
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs() as u32;
    assert!(now.abs_diff(made) <= 5, "made at {made}, now is {now}");
}

#[test]
fn section_5_2_4_a_wrong_server_cookie_gets_a_new_one() {
    let server = server();
    let good = cookie_for(&server, CLIENT);
    let mut wrong = good.clone();
    wrong[23] ^= 1;
    assert_ne!(cookie_for(&server, &wrong), wrong);
    assert_eq!(
        cookie_for(&server, &good),
        good,
        "a good one is good for longer"
    );
    for length in [16, 17, 40] {
        assert_eq!(
            cookie_for(&server, &[&good[..8], &vec![7; length - 8]].concat()).len(),
            24
        );
    }
}

#[test]
fn section_5_2_2_lengths_that_no_cookie_has_are_malformed() {
    let server = server();
    for length in [0, 7, 9, 15, 41] {
        let reply = server
            .ask("host.example.test", A)
            .with_option(COOKIE, &vec![1; length])
            .send();
        assert_eq!(reply.message.rcode(), rcodes::FORMERR, "{length}");
    }
}

#[test]
fn section_5_4_a_query_for_a_cookie_alone() {
    let server = server();
    for transport in [Transport::Udp, Transport::Tcp] {
        let reply = ask_cookie_only(&server, CLIENT, transport);
        assert!(
            reply.rcode() == rcodes::NOERROR && reply.is_bare() && reply.question.is_empty(),
            "{reply:?}"
        );
        let cookie = reply
            .opt
            .iter()
            .flat_map(|opt| opt.option(COOKIE))
            .next()
            .expect("a cookie")
            .to_vec();
        assert_eq!(
            ask_cookie_only(&server, &cookie, transport).rcode(),
            rcodes::NOERROR
        );
        let mut wrong = cookie.clone();
        wrong[20] ^= 0x80;
        let reply = ask_cookie_only(&server, &wrong, transport);
        assert_eq!(reply.rcode(), 23, "BADCOOKIE");
        assert!(
            reply
                .opt
                .iter()
                .flat_map(|opt| opt.option(COOKIE))
                .next()
                .is_some_and(|new| new != wrong)
        );
    }
}

#[test]
fn section_5_4_without_cookies_a_query_without_a_question_is_malformed() {
    let server = setup().server("cookies = false").start();
    assert_eq!(
        ask_cookie_only(&server, CLIENT, Transport::Udp).rcode(),
        rcodes::FORMERR
    );
    let reply = server
        .ask("host.example.test", A)
        .with_option(COOKIE, CLIENT)
        .send();
    assert!(reply.message.opt.expect("OPT").options.is_empty());
    let server = crate::world::server();
    for options in [&[][..], &[0, 3, 0, 0]] {
        let opt = OptSent {
            options: options.to_vec(),
            ..OptSent::default()
        }
        .octets();
        let message = [header(7, 0, [0, 0, 0, 1]), opt].concat();
        let reply = server.exchange(&message, Transport::Udp).expect("a reply");
        assert_eq!(
            check_any(&message, Transport::Udp, &reply).rcode(),
            rcodes::FORMERR
        );
    }
}

#[test]
fn rfc9018_section_5_servers_with_the_same_secrets_know_each_other_s_cookies() {
    let (one, other) = (
        with_secrets(&[FIRST]).start(),
        with_secrets(&[SECOND, FIRST]).start(),
    );
    let cookie = cookie_for(&one, CLIENT);
    assert_eq!(
        ask_cookie_only(&other, &cookie, Transport::Udp).rcode(),
        rcodes::NOERROR
    );
    let new = cookie_for(&other, &cookie);
    assert_eq!(
        ask_cookie_only(&one, &new, Transport::Udp).rcode(),
        23,
        "this server does not know the second yet"
    );
    let path = one.folder().join("secrets");
    fs::write(&path, [FIRST, SECOND].join("\n")).expect("the file can be written");
    one.reload();
    one.await_log("reloaded", 1);
    assert_eq!(
        ask_cookie_only(&one, &new, Transport::Udp).rcode(),
        rcodes::NOERROR
    );
}

/// A secret that others may read is none, and the server goes on with what it had.
#[test]
fn secrets_that_others_may_read_are_refused() {
    let server = with_secrets(&[FIRST]).start();
    let cookie = cookie_for(&server, CLIENT);
    fs::set_permissions(
        server.folder().join("secrets"),
        fs::Permissions::from_mode(0o644),
    )
    .expect("it is ours");
    server.reload();
    server.await_log("others may read the cookie secrets", 1);
    assert_eq!(
        ask_cookie_only(&server, &cookie, Transport::Udp).rcode(),
        rcodes::NOERROR
    );
}

#[test]
fn without_a_good_cookie_replies_are_as_long_as_configured() {
    let server = setup().server("max_nocookie_response = 512").start();
    let ask = || server.ask("big.example.test", TXT).with_payload(1232);
    ask().send().expect_truncated(true);
    ask().over_tcp().send().expect_truncated(false);
    ask()
        .with_option(COOKIE, CLIENT)
        .send()
        .expect_truncated(true);
    let cookie = cookie_for(&server, CLIENT);
    ask()
        .with_option(COOKIE, &cookie)
        .send()
        .expect_truncated(false);
    let question = Question::new("host.example.test", A);
    server.put(question).expect_address("192.0.2.1");
}

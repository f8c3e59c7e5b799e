//! RFC 6672: DNAME.

use crate::harness::types::*;
use crate::harness::{Server, Setup, rcodes};

fn server() -> Server {
    let zone = "
$ORIGIN example.test.
$TTL 600
@         SOA   ns hostmaster 1 2 3 4 5
          NS    ns
ns        A     192.0.2.53
old       DNAME new
old       TXT   \"at the owner\"
host.new  A     192.0.2.1
away      DNAME example.net.
grows     DNAME more.grows
to-circle CNAME x.left
left      DNAME right
right     DNAME left
long      DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.new
";
    Setup::new().zone("example.test", zone).start()
}

#[test]
fn section_2_2_names_below_are_redirected() {
    let reply = server().ask("host.old.example.test", A).expect_answer(&[
        "old.example.test. 600 DNAME new.example.test.",
        "host.old.example.test. 600 CNAME host.new.example.test.",
        "host.new.example.test. 600 A 192.0.2.1",
    ]);
    reply.expect_authoritative(true);
}

#[test]
fn section_2_3_the_owner_itself_is_not() {
    let server = server();
    server
        .ask("old.example.test", TXT)
        .expect_answer(&["old.example.test. 600 TXT at the owner"]);
    server.ask("old.example.test", A).expect_nodata();
    server
        .ask("old.example.test", DNAME)
        .expect_answer(&["old.example.test. 600 DNAME new.example.test."]);
}

#[test]
fn section_2_2_a_missing_target_is_a_missing_name() {
    let reply = server()
        .ask("none.old.example.test", A)
        .send()
        .expect_rcode(rcodes::NXDOMAIN);
    reply.expect_answer(&[
        "old.example.test. 600 DNAME new.example.test.",
        "none.old.example.test. 600 CNAME none.new.example.test.",
    ]);
}

#[test]
fn section_2_2_a_target_outside_our_zones_is_left_to_the_resolver() {
    let reply = server()
        .ask("a.b.away.example.test", A)
        .send()
        .expect_rcode(rcodes::NOERROR);
    reply.expect_answer(&[
        "away.example.test. 600 DNAME example.net.",
        "a.b.away.example.test. 600 CNAME a.b.example.net.",
    ]);
}

#[test]
fn section_2_2_a_name_that_gets_too_long_is_yxdomain() {
    let label = "b".repeat(60);
    let name = format!("{label}.{label}.{label}.long.example.test");
    let reply = server().ask(&name, A).send().expect_rcode(rcodes::YXDOMAIN);
    assert_eq!(
        reply.message.answers.len(),
        1,
        "the DNAME without a CNAME: {:?}",
        reply.message
    );
}

#[test]
fn section_2_2_the_cname_that_is_made_answers_a_question_for_it() {
    server()
        .ask("host.old.example.test", CNAME)
        .expect_answer(&[
            "old.example.test. 600 DNAME new.example.test.",
            "host.old.example.test. 600 CNAME host.new.example.test.",
        ]);
    let reply = server()
        .ask("none.old.example.test", CNAME)
        .send()
        .expect_rcode(rcodes::NOERROR);
    reply.expect_authority(&[]);
}

#[test]
fn section_2_2_a_chain_that_comes_by_a_dname_again_gives_it_once() {
    let server = server();
    let reply = server
        .ask("x.grows.example.test", A)
        .over_tcp()
        .send()
        .expect_rcode(rcodes::NOERROR);
    let dnames = reply
        .message
        .answers
        .iter()
        .filter(|record| record.rtype == DNAME)
        .count();
    assert_eq!(
        (dnames, reply.message.answers.len()),
        (1, 17),
        "sixteen links: {:?}",
        reply.message
    );
    let reply = server
        .ask("to-circle.example.test", A)
        .send()
        .expect_rcode(rcodes::NOERROR);
    reply.expect_answer(&[
        "to-circle.example.test. 600 CNAME x.left.example.test.",
        "left.example.test. 600 DNAME right.example.test.",
        "x.left.example.test. 600 CNAME x.right.example.test.",
        "right.example.test. 600 DNAME left.example.test.",
        "x.right.example.test. 600 CNAME x.left.example.test.",
    ]);
}

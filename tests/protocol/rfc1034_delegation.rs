//! RFC 1034 section 4.3.2: aliases and referrals; RFC 9471: glue.

use std::time::{Duration, Instant};

use crate::harness::rcodes;
use crate::harness::types::*;
use crate::world::server;

#[test]
fn section_4_3_2_step_3a_aliases_are_followed_inside_our_zones() {
    let server = server();
    let alias = "alias.example.test. 3600 CNAME host.example.test.";
    server.ask("alias.example.test", A).expect_answer(&[alias, "host.example.test. 3600 A 192.0.2.1"]);
    server.ask("alias.example.test", CNAME).expect_answer(&[alias]);
    server.ask("outside.example.test", A).expect_answer(&["outside.example.test. 3600 CNAME www.example.net."]);
    let chain = server.ask("one.example.test", A).send().expect_rcode(rcodes::NOERROR);
    assert_eq!(chain.message.answers.len(), 5, "four links and the address: {:?}", chain.message);
}

#[test]
fn section_3_6_2_a_circle_ends() {
    let start = Instant::now();
    let reply = server().ask("circle.example.test", A).send();
    assert_eq!(reply.message.answers.len(), 2, "each link once: {:?}", reply.message);
    let _ = start;
    let server = server();
    let start = Instant::now();
    server.ask("circle.other.test", A).send();
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn an_alias_to_a_steered_name_answers_both() {
    let server = server();
    server
        .ask("steered.example.test", A)
        .expect_answer(&["steered.example.test. 3600 CNAME www.example.test.", "www.example.test. 30 A 192.0.2.10"]);
}

#[test]
fn section_4_3_2_step_3b_a_referral_has_no_aa_and_no_soa() {
    let server = server();
    for (name, rtype) in [
        ("x.child.example.test", A),
        ("child.example.test", A),
        ("child.example.test", NS),
        ("child.example.test", ANY),
        ("ns.child.example.test", A),
        ("ns.child.example.test", AAAA),
    ] {
        let reply = server.ask(name, rtype).send().expect_rcode(rcodes::NOERROR).expect_authoritative(false);
        reply.expect_answer(&[]).expect_authority(&[
            "child.example.test. 3600 NS ns.child.example.test.",
            "child.example.test. 3600 NS ns1.example.test.",
        ]);
    }
}

#[test]
fn rfc9471_section_3_1_a_referral_has_its_glue() {
    let server = server();
    let reply = server.ask("x.child.example.test", A).send();
    let glue: Vec<&str> = reply.message.additionals.iter().map(|record| &record.data[..]).collect();
    assert!(glue.contains(&"203.0.113.53"), "{:?}", reply.message);
    let reply = server.ask("x.sister.example.test", A).send();
    let glue: Vec<&str> = reply.message.additionals.iter().map(|record| &record.data[..]).collect();
    assert!(glue.contains(&"203.0.113.53"), "sibling glue is given too: {:?}", reply.message);
}

#[test]
fn rfc9471_section_3_1_glue_that_does_not_fit_sets_tc() {
    let server = server();
    server.ask("x.crowded.example.test", A).send().expect_truncated(true).expect_authoritative(false);
    let reply = server.ask("x.crowded.example.test", A).over_tcp().send();
    assert_eq!((reply.message.authorities.len(), reply.message.additionals.len()), (16, 16));
}

#[test]
fn rfc4035_section_3_1_4_1_ds_at_the_cut_is_the_parents() {
    let server = server();
    let reply = server.ask("child.example.test", DS).send().expect_rcode(rcodes::NOERROR).expect_authoritative(true);
    assert_eq!(reply.message.answers.len(), 1);
    server.ask("unsigned.example.test", DS).expect_nodata();
}

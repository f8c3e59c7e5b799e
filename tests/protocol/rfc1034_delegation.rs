//! RFC 1034 section 4.3.2: aliases and referrals; RFC 9471: glue.

use std::time::{Duration, Instant};

use crate::harness::types::*;
use crate::harness::{Question, Setup, Transport, rcodes};
use crate::world::server;

#[test]
fn section_4_3_2_step_3a_aliases_are_followed_inside_our_zones() {
    let server = server();
    let alias = "alias.example.test. 3600 CNAME host.example.test.";
    server
        .ask("alias.example.test", A)
        .expect_answer(&[alias, "host.example.test. 3600 A 192.0.2.1"]);
    server
        .ask("alias.example.test", CNAME)
        .expect_answer(&[alias]);
    server
        .ask("outside.example.test", A)
        .expect_answer(&["outside.example.test. 3600 CNAME www.example.net."]);
    let chain = server
        .ask("one.example.test", A)
        .send()
        .expect_rcode(rcodes::NOERROR);
    assert_eq!(
        chain.message.answers.len(),
        5,
        "four links and the address: {:?}",
        chain.message
    );
}

#[test]
fn section_3_6_2_a_circle_ends() {
    let start = Instant::now();
    let reply = server().ask("circle.example.test", A).send();
    assert_eq!(
        reply.message.answers.len(),
        2,
        "each link once: {:?}",
        reply.message
    );
    let _ = start;
    let server = server();
    let start = Instant::now();
    server.ask("circle.other.test", A).send();
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn an_alias_to_a_steered_name_answers_both() {
    let server = server();
    server.ask("steered.example.test", A).expect_answer(&[
        "steered.example.test. 3600 CNAME www.example.test.",
        "www.example.test. 30 A 192.0.2.10",
    ]);
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
        let reply = server
            .ask(name, rtype)
            .send()
            .expect_rcode(rcodes::NOERROR)
            .expect_authoritative(false);
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
    let glue: Vec<&str> = reply
        .message
        .additionals
        .iter()
        .map(|record| &record.data[..])
        .collect();
    assert!(glue.contains(&"203.0.113.53"), "{:?}", reply.message);
    let reply = server.ask("x.sister.example.test", A).send();
    let glue: Vec<&str> = reply
        .message
        .additionals
        .iter()
        .map(|record| &record.data[..])
        .collect();
    assert!(
        glue.contains(&"203.0.113.53"),
        "sibling glue is given too: {:?}",
        reply.message
    );
}

#[test]
fn rfc9471_section_3_1_glue_that_does_not_fit_sets_tc() {
    let server = server();
    server
        .ask("x.crowded.example.test", A)
        .send()
        .expect_truncated(true)
        .expect_authoritative(false);
    let reply = server.ask("x.crowded.example.test", A).over_tcp().send();
    assert_eq!(
        (
            reply.message.authorities.len(),
            reply.message.additionals.len()
        ),
        (16, 16)
    );
}

#[test]
fn rfc4035_section_3_1_4_1_ds_at_the_cut_is_the_parents() {
    let server = server();
    let reply = server
        .ask("child.example.test", DS)
        .send()
        .expect_rcode(rcodes::NOERROR)
        .expect_authoritative(true);
    assert_eq!(reply.message.answers.len(), 1);
    server.ask("unsigned.example.test", DS).expect_nodata();
}

#[test]
fn section_4_2_1_what_the_upper_zone_says_below_a_cut_makes_no_names_in_the_deeper_zone() {
    let head = "$TTL 60\n@ SOA ns.elsewhere. host.elsewhere. 1 2 3 4 5\n@ NS ns.elsewhere.\n";
    let upper = format!(
        "{head}child NS ns.b.child\nns.b.child A 192.0.2.1\nns.b.wild A 192.0.2.2\nwild NS ns.b.wild\n"
    );
    let server = Setup::new()
        .zone("example.test", &upper)
        .zone("child.example.test", &format!("{head}a A 192.0.2.3\n"))
        .zone("wild.example.test", &format!("{head}* A 192.0.2.4\n"))
        .start();
    server.ask("b.child.example.test", A).expect_no_name();
    server.ask("ns.b.child.example.test", A).expect_no_name();
    server
        .ask("ns.b.wild.example.test", A)
        .expect_address("192.0.2.4");
    server
        .ask("x.b.wild.example.test", A)
        .expect_address("192.0.2.4");
}

#[test]
fn rfc9471_section_3_1_all_glue_is_given_however_much_it_is() {
    let servers = (0..40).map(|n| format!("child NS ns{n}.child\nns{n}.child A 192.0.2.{n}\n"));
    let zone = format!(
        "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n@ NS a.\n{}",
        servers.collect::<String>()
    );
    let server = Setup::new().zone("example.test", &zone).start();
    let reply = server.ask("child.example.test", A).over_tcp().send();
    assert_eq!(
        (
            reply.message.authorities.len(),
            reply.message.additionals.len()
        ),
        (40, 40)
    );
}

#[test]
fn rfc1034_section_4_3_2_step_6_addresses_are_added_once() {
    let zone =
        "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n@ NS a.\n@ MX 1 m\n@ MX 2 m\n@ MX 3 M\nm A 192.0.2.1\n";
    let reply = Setup::new()
        .zone("example.test", zone)
        .start()
        .ask("example.test", MX)
        .send();
    reply.expect_additional(&["m.example.test. 60 A 192.0.2.1"]);
}

#[test]
fn rfc4035_section_3_1_4_1_ds_is_said_by_the_zone_right_above_and_none_further_up() {
    let zone = |name: &str, more: &str| {
        format!(
            "$ORIGIN {name}.\n$TTL 60\n@ SOA ns.example.net. h 1 2 3 4 5\n  NS ns.example.net.\n{more}"
        )
    };
    let ds = "8 2 0000000000000000000000000000000000000000000000000000000000000000";
    let server = Setup::new()
        .zone(
            "example.test",
            &zone(
                "example.test",
                &format!("c.b NS ns.example.net.\nc.b DS 1 {ds}\n"),
            ),
        )
        .zone(
            "b.example.test",
            &zone(
                "b.example.test",
                &format!("d NS ns.example.net.\nd DS 2 {ds}\n"),
            ),
        )
        .zone("c.b.example.test", &zone("c.b.example.test", ""))
        .zone("d.b.example.test", &zone("d.b.example.test", ""))
        .start();
    server.ask("c.b.example.test", DS).expect_nodata();
    server.ask("d.b.example.test", DS).expect_answer(&[&format!(
        "d.b.example.test. 60 DS 00020802{}",
        "0".repeat(64)
    )]);
}

/// A zone with a delegation to `count` servers of another domain.
fn delegating(count: usize) -> String {
    let servers = (0..count).map(|n| format!("child NS s{n:02}.gtld-servers.example.\n"));
    format!(
        "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n@ NS a.\n{}",
        servers.collect::<String>()
    )
}

#[test]
fn rfc1035_section_4_1_4_a_name_points_at_the_names_before_it() {
    let server = Setup::new().zone("test", &delegating(20)).start();
    let question = Question::new("x.child.test", A).octets();
    let reply = server.exchange(&question, Transport::Udp).expect("a reply");
    // Owner, type, class, TTL and length; one name in full, of the others their first label and a pointer.
    let full = "s00.gtld-servers.example.".len() + 1;
    assert_eq!(reply.len(), question.len() + 20 * 12 + full + 19 * (4 + 2));
    let reply = server.ask("x.child.test", A).send().expect_truncated(false);
    let names: Vec<String> = (0..20)
        .map(|n| format!("child.test. 60 NS s{n:02}.gtld-servers.example."))
        .collect();
    reply.expect_authority(&names.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn rfc1035_section_4_1_4_a_name_points_at_the_name_asked_for() {
    let zone = "$TTL 60\n@ SOA ns.a.b h 1 2 3 4 5\n@ NS ns.a.b\nns.a.b A 192.0.2.1\na.b MX 1 ns.a.b\n\
        *.w PTR x.w\nold DNAME new.example.\nsub NS ns.sub\nns.sub A 192.0.2.2\n";
    let server = Setup::new().zone("example.test", zone).start();
    let octets = |name: &str, rtype: u16| {
        let question = Question::new(name, rtype).octets();
        server
            .exchange(&question, Transport::Udp)
            .expect("a reply")
            .len()
            - question.len()
    };
    assert_eq!(
        octets("a.b.example.test", MX),
        (12 + 2 + 3 + 2) + 16,
        "one label and a pointer to all of the question"
    );
    assert_eq!(
        octets("y.w.example.test", PTR),
        12 + 2 + 2,
        "what the wildcard and the question share"
    );
    assert_eq!(
        octets("y.old.example.test", A),
        (12 + 13) + (12 + 2 + 2),
        "the CNAME ends with the DNAME's target"
    );
    assert_eq!(
        octets("z.y.sub.example.test", A),
        (12 + 3 + 2) + 16,
        "a name server below the cut"
    );
    server
        .ask("a.b.example.test", MX)
        .expect_answer(&["a.b.example.test. 60 MX 1 ns.a.b.example.test."]);
    server
        .ask("y.w.example.test", PTR)
        .expect_answer(&["y.w.example.test. 60 PTR x.w.example.test."]);
    server.ask("y.old.example.test", A).expect_answer(&[
        "old.example.test. 60 DNAME new.example.",
        "y.old.example.test. 60 CNAME y.new.example.",
    ]);
}

#[test]
fn rfc9471_section_3_2_sibling_glue_that_does_not_fit_is_left_out_without_tc() {
    // The sister's addresses fill the reply, so that only what must be there fits.
    let addresses = (0..40).map(|n| format!("ns.sister A 192.0.2.{n}\n"));
    let zone = format!(
        "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n@ NS a.\nsister NS ns.sister\n{}child NS ns.sister\nchild NS ns.child\n\
         ns.child A 192.0.2.200\n",
        addresses.collect::<String>()
    );
    let server = Setup::new().zone("example.test", &zone).start();
    let reply = server
        .ask("x.child.example.test", A)
        .send()
        .expect_truncated(false);
    reply.expect_additional(&["ns.child.example.test. 60 A 192.0.2.200"]);
    server
        .ask("x.sister.example.test", A)
        .send()
        .expect_truncated(true);
    let reply = server.ask("x.child.example.test", A).over_tcp().send();
    assert_eq!(reply.message.additionals.len(), 41);
}

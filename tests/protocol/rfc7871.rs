//! RFC 7871: EDNS Client Subnet.

use crate::harness::query::Question;
use crate::harness::types::*;
use crate::harness::{Server, rcodes};
use crate::world::server;

const SUBNETS: [&str; 9] = [
    "203.0.113.0/24",
    "203.0.112.0/22",
    "203.0.113.7/32",
    "128.0.0.0/1",
    "203.0.0.0/16",
    "2001:db8:1::/56",
    "2001:db8:1::1/128",
    "2001:db8::/33",
    "2000::/3",
];

#[test]
fn section_7_2_1_family_source_and_address_are_echoed() {
    let server = server();
    for subnet in SUBNETS {
        let reply = server
            .ask("www.example.test", A)
            .from_subnet(subnet)
            .send()
            .expect_subnet_echoed();
        let most = if subnet.contains(':') { 128 } else { 32 };
        assert!(
            reply.scope().is_some_and(|scope| scope <= most),
            "{subnet}: {:?}",
            reply.scope()
        );
        let over_tcp = server
            .ask("www.example.test", A)
            .from_subnet(subnet)
            .over_tcp()
            .send();
        assert_eq!(
            (reply.scope(), reply.addresses()),
            (over_tcp.scope(), over_tcp.addresses()),
            "{subnet}"
        );
    }
}

#[test]
fn section_7_2_1_no_option_without_one_in_the_query() {
    let server = server();
    assert_eq!(
        server
            .ask("www.example.test", A)
            .with_payload(1232)
            .send()
            .subnet(),
        None
    );
    server.ask("www.example.test", A).send();
}

#[test]
fn section_7_2_1_the_client_gets_its_region_and_the_scope_of_the_answer() {
    let server = server();
    server
        .ask("www.example.test", A)
        .from_subnet("203.0.113.0/24")
        .expect_address("192.0.2.10");
    server
        .ask("www.example.test", A)
        .from_subnet("198.51.100.0/24")
        .expect_address("198.51.100.10")
        .expect_scope(24);
    server
        .ask("www.example.test", AAAA)
        .from_subnet("2001:db8:1::/56")
        .expect_address("2001:db8::10")
        .expect_scope(48);
    server
        .ask("www.example.test", AAAA)
        .from_subnet("2001:db8:2::/56")
        .expect_address("2001:db8::20")
        .expect_scope(48);
}

#[test]
fn section_7_2_1_the_scope_may_be_longer_than_the_source() {
    let server = server();
    server
        .ask("www.example.test", A)
        .from_subnet("198.51.100.0/22")
        .expect_address("198.51.100.10")
        .expect_scope(24);
}

#[test]
fn section_7_1_2_source_0_is_answered_by_the_resolver_with_scope_0() {
    let server = server();
    for subnet in ["0.0.0.0/0", "::/0"] {
        server
            .ask("www.example.test", A)
            .from_subnet(subnet)
            .expect_address("192.0.2.10")
            .expect_scope(0);
    }
    // What some clients send for "no address": family 0. The RFC contradicts itself here; it is answered.
    let reply = server
        .ask("www.example.test", A)
        .with_option(8, &[0, 0, 0, 0])
        .expect_address("192.0.2.10");
    assert_eq!(reply.subnet(), Some(&[0, 0, 0, 0][..]));
}

#[track_caller]
fn malformed(server: &Server, value: &[u8]) {
    server
        .ask("www.example.test", A)
        .with_option(8, value)
        .expect_error(rcodes::FORMERR);
}

#[test]
fn section_7_2_1_unknown_families_are_malformed() {
    let server = server();
    for family in [3u16, 42, 65535] {
        malformed(
            &server,
            &[&family.to_be_bytes()[..], &[24, 0, 203, 0, 113]].concat(),
        );
    }
}

#[test]
fn section_6_prefixes_and_octets_must_agree() {
    let server = server();
    let long = [&[0, 2, 129, 0][..], &[0; 17]].concat();
    let bad: [&[u8]; 12] = [
        &[],
        &[0],
        &[0, 1],
        &[0, 1, 24],
        &[0, 1, 33, 0, 203, 0, 113, 0, 0],
        &[0, 1, 255, 0, 203, 0, 113, 0],
        &long,
        &[0, 1, 24, 0, 203, 0],
        &[0, 1, 24, 0, 203, 0, 113, 7],
        &[0, 1, 23, 0, 203, 0, 113],
        &[0, 1, 24, 24, 203, 0, 113],
        &[0, 0, 8, 0, 10],
    ];
    bad.iter().for_each(|value| malformed(&server, value));
}

#[test]
fn section_6_two_subnets_are_malformed() {
    let server = server();
    let ask = server
        .ask("www.example.test", A)
        .from_subnet("203.0.113.0/24");
    ask.from_subnet("198.51.100.0/24")
        .expect_error(rcodes::FORMERR);
}

#[test]
fn section_7_2_1_what_is_the_same_for_all_has_scope_0() {
    let server = server();
    let subnet = "198.51.100.0/24";
    for (name, rtype) in [
        ("example.test", SOA),
        ("example.test", NS),
        ("host.example.test", A),
        ("missing.example.test", A),
        ("host.example.test", AAAA),
        ("x.child.example.test", A),
        ("www.example.test", TXT),
        ("only4.example.test", AAAA),
        ("blind.example.test", A),
    ] {
        server
            .ask(name, rtype)
            .from_subnet(subnet)
            .send()
            .expect_scope(0);
    }
    server
        .ask("example.net", A)
        .from_subnet(subnet)
        .expect_refused()
        .expect_scope(0);
}

#[test]
fn a_service_that_ignores_subnets_answers_the_resolver() {
    server()
        .ask("blind.example.test", A)
        .from_subnet("198.51.100.0/24")
        .expect_address("192.0.2.12");
}

#[test]
fn rfc6891_section_6_1_3_version_1_is_refused_before_its_options() {
    let mut question = Question::new("www.example.test", A).option(8, &[9]);
    question.opt().version = 1;
    server().put(question).expect_error(rcodes::BADVERS);
}

#[test]
fn section_7_2_1_every_host_in_the_scope_has_the_same_answer_and_scope() {
    let server = server();
    for subnet in [
        "198.51.100.0/24",
        "8.8.8.0/24",
        "80.1.2.0/24",
        "200.160.0.0/24",
    ] {
        let reply = server.ask("www.example.test", A).from_subnet(subnet).send();
        let scope = reply.scope().expect("a scope");
        let address: std::net::Ipv4Addr = subnet
            .split('/')
            .next()
            .expect("an address")
            .parse()
            .expect("an address");
        let host = u32::MAX.checked_shr(scope.into()).unwrap_or(0);
        let base = address.to_bits() & !host;
        for inside in [
            base,
            base | host,
            base | (host & 0x5555_5555),
            base | (host & 0x1234_5678),
        ] {
            let host = format!("{}/32", std::net::Ipv4Addr::from(inside));
            let other = server.ask("www.example.test", A).from_subnet(&host).send();
            assert_eq!(
                (other.addresses(), other.scope()),
                (reply.addresses(), reply.scope()),
                "{host} in {subnet}/{scope}"
            );
        }
    }
}

#[test]
fn section_11_1_special_addresses_fall_back_to_the_resolver() {
    let server = server();
    for subnet in [
        "0.1.0.0/16",
        "127.0.0.0/24",
        "10.9.0.0/24",
        "192.168.0.0/24",
        "fe80::/56",
        "fd00::/48",
    ] {
        let rtype = A;
        let reply = server
            .ask("www.example.test", rtype)
            .from_subnet(subnet)
            .expect_address("192.0.2.10");
        reply.expect_subnet_echoed();
    }
}

//! RFC 2308, 8020 and 6604: negative answers.

use crate::harness::rcodes;
use crate::harness::types::*;
use crate::world::server;

const SOA_NEGATIVE: &str =
    "example.test. 300 SOA ns1.example.test. hostmaster.example.test. 7 14400 3600 1209600 300";

#[test]
fn section_2_1_a_missing_name_has_the_soa_at_its_negative_ttl() {
    let server = server();
    server
        .ask("missing.example.test", A)
        .expect_no_name()
        .expect_authority(&[SOA_NEGATIVE]);
    server
        .ask("missing.example.test", A)
        .over_tcp()
        .expect_no_name()
        .expect_authority(&[SOA_NEGATIVE]);
}

#[test]
fn section_2_2_a_missing_type_has_the_soa_at_its_negative_ttl() {
    let server = server();
    server
        .ask("host.example.test", AAAA)
        .expect_nodata()
        .expect_authority(&[SOA_NEGATIVE]);
    server
        .ask("example.test", A)
        .expect_nodata()
        .expect_authority(&[SOA_NEGATIVE]);
}

#[test]
fn section_2_2_a_balanced_name_without_ipv6_is_no_missing_name() {
    server().ask("only4.example.test", AAAA).expect_nodata();
}

#[test]
fn section_5_a_denial_of_a_balanced_name_is_kept_no_longer_than_its_answers() {
    let soa = SOA_NEGATIVE.replace("example.test. 300 SOA", "example.test. 30 SOA");
    let server = server();
    server
        .ask("only4.example.test", AAAA)
        .expect_nodata()
        .expect_authority(&[&soa]);
    server
        .ask("only4.example.test", AAAA)
        .over_tcp()
        .expect_nodata()
        .expect_authority(&[&soa]);
    server
        .ask("only4.example.test", TXT)
        .expect_nodata()
        .expect_authority(&[SOA_NEGATIVE]);
}

#[test]
fn rfc8020_section_2_a_missing_name_is_missing_for_every_type() {
    let server = server();
    for rtype in [A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, DS, ANY, 1000] {
        server.ask("missing.example.test", rtype).expect_no_name();
        server
            .ask("below.missing.example.test", rtype)
            .expect_no_name();
        server
            .ask("below.host.example.test", rtype)
            .expect_no_name();
    }
}

#[test]
fn rfc8020_section_2_empty_non_terminals_exist() {
    let server = server();
    for name in ["ent.example.test", "b.ent.example.test"] {
        server.ask(name, A).expect_nodata();
    }
    server.ask("c.ent.example.test", A).expect_no_name();
}

#[test]
fn section_2_1_an_alias_to_a_missing_name_is_a_missing_name() {
    // RFC 6604 section 3: the code is that of the last name.
    let reply = server()
        .ask("nowhere.example.test", A)
        .send()
        .expect_rcode(rcodes::NXDOMAIN);
    reply
        .expect_answer(&["nowhere.example.test. 3600 CNAME missing.example.test."])
        .expect_authority(&[SOA_NEGATIVE]);
}

#[test]
fn section_2_2_an_alias_to_a_name_without_the_type_has_both() {
    let reply = server()
        .ask("alias.example.test", AAAA)
        .send()
        .expect_rcode(rcodes::NOERROR);
    reply
        .expect_answer(&["alias.example.test. 3600 CNAME host.example.test."])
        .expect_authority(&[SOA_NEGATIVE]);
}

#[test]
fn rfc4035_section_3_1_4_1_ds_at_our_apex_is_ours_to_deny() {
    server().ask("example.test", DS).expect_nodata();
}

//! RFC 4592: wildcards; the first zone is the one of section 2.2.1.

use crate::harness::types::*;
use crate::harness::{Server, Setup, rcodes};
use crate::world;

const ZONE: &str = r#"
$ORIGIN example.
$TTL 3600
@            SOA  ns.example.com. host 1 2 3 4 5
             NS   ns.example.com.
             NS   ns.example.net.
*            TXT  "this is a wildcard"
             MX   10 host1
sub.*        TXT  "this is not a wildcard"
host1        A    192.0.2.1
_ssh._tcp.host1 SRV 0 0 22 host1
_ssh._tcp.host2 SRV 0 0 22 host1
subdel       NS   ns.example.com.
             NS   ns.example.net.
"#;

fn server() -> Server {
    Setup::new().zone("example", ZONE).start()
}

#[test]
fn section_2_2_1_what_is_synthesized() {
    let server = server();
    let reply = server
        .ask("host3.example", MX)
        .expect_answer(&["host3.example. 3600 MX 10 host1.example."]);
    reply.expect_authoritative(true);
    server.ask("host3.example", A).expect_nodata();
    server
        .ask("foo.bar.example", TXT)
        .expect_answer(&["foo.bar.example. 3600 TXT this is a wildcard"]);
}

#[test]
fn section_2_2_1_what_is_not_synthesized() {
    let server = server();
    server.ask("host1.example", MX).expect_nodata();
    server.ask("sub.*.example", MX).expect_nodata();
    server
        .ask("_telnet._tcp.host1.example", SRV)
        .expect_no_name();
    let referral = server
        .ask("host.subdel.example", A)
        .send()
        .expect_authoritative(false);
    assert!(referral.message.answers.is_empty());
    server.ask("ghost.*.example", MX).expect_no_name();
}

#[test]
fn section_2_2_2_empty_non_terminals_are_not_covered() {
    let server = server();
    server.ask("host2.example", TXT).expect_nodata();
    server.ask("_tcp.host2.example", TXT).expect_nodata();
}

#[test]
fn section_2_1_1_the_asterisk_itself_is_a_name() {
    server()
        .ask("*.example", TXT)
        .expect_answer(&["*.example. 3600 TXT this is a wildcard"]);
}

#[test]
fn section_3_3_1_the_closest_encloser_decides() {
    let server = world::server();
    server
        .ask("x.wild.example.test", A)
        .expect_address("192.0.2.3");
    server
        .ask("x.y.z.wild.example.test", A)
        .expect_address("192.0.2.3");
    server.ask("x.wild.example.test", AAAA).expect_nodata();
    server
        .ask("*.wild.example.test", A)
        .expect_address("192.0.2.3");
    server.ask("wild.example.test", A).expect_nodata();
    server.ask("sibling.wild.example.test", A).expect_nodata();
    server
        .ask("below.sibling.wild.example.test", A)
        .expect_no_name();
    server.ask("ent.wild.example.test", A).expect_nodata();
    server.ask("x.ent.wild.example.test", A).expect_no_name();
    server
        .ask("x.*.wild.example.test", A)
        .send()
        .expect_rcode(rcodes::NXDOMAIN);
}

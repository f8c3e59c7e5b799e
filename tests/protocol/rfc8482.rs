//! RFC 8482: queries for ANY get little.

use crate::harness::types::*;
use crate::world::server;

#[test]
fn section_4_any_gets_one_record() {
    let server = server();
    for name in [
        "host.example.test",
        "example.test",
        "www.example.test",
        "x.wild.example.test",
        "only4.example.test",
    ] {
        let reply = server
            .ask(name, ANY)
            .with_payload(4096)
            .send()
            .expect_rcode(0)
            .expect_authoritative(true);
        assert_eq!(
            reply.message.answers.len(),
            1,
            "{name}: {:?}",
            reply.message
        );
        assert!(reply.message.length < 512);
    }
}

#[test]
fn section_4_any_at_a_missing_name_is_a_missing_name() {
    let server = server();
    server.ask("missing.example.test", ANY).expect_no_name();
    server.ask("ent.example.test", ANY).expect_nodata();
}

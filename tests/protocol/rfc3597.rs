//! RFC 3597 and RFC 9460: types that nobody knows, and names in data that are not compressed.

use crate::harness::types::*;
use crate::world::server;

#[test]
fn section_3_unknown_types_are_served_as_they_are() {
    let server = server();
    server
        .ask("host.example.test", 65280)
        .expect_answer(&["host.example.test. 3600 TYPE65280 010203"]);
    server.ask("host.example.test", 1000).expect_nodata();
}

#[test]
fn section_4_names_in_srv_are_not_compressed() {
    let target = "04686f737407".to_owned() + "6578616d706c65" + "04" + "74657374" + "00";
    let record = format!("svc.example.test. 3600 TYPE33 0001000201bb{target}");
    let reply = server()
        .ask("svc.example.test", SRV)
        .expect_answer(&[&record]);
    reply.expect_additional(&["host.example.test. 3600 A 192.0.2.1"]);
}

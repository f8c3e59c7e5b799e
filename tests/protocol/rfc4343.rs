//! RFC 4343: letters in any case.

use crate::harness::Question;
use crate::harness::types::*;
use crate::world::server;

#[test]
fn section_3_case_makes_no_difference_and_comes_back_as_sent() {
    let server = server();
    for name in [
        "hOsT.eXaMpLe.TeSt",
        "HOST.EXAMPLE.TEST",
        "host.example.test",
    ] {
        // The harness compares the question octet for octet.
        let reply = server.ask(name, A).expect_address("192.0.2.1");
        assert_eq!(
            reply.message.answers[0].owner,
            format!("{name}."),
            "the owner points to the question"
        );
    }
    server
        .ask("mixed.example.test", A)
        .expect_address("192.0.2.9");
    server
        .ask("WwW.Example.Test", A)
        .from_subnet("198.51.100.0/24")
        .expect_address("198.51.100.10");
}

#[test]
fn section_2_1_only_ascii_letters_have_a_case() {
    // 0xE4 and 0xC4 differ by the same bit as `a` and `A`, and are not the same.
    let name = |octet: u8| [&[1, octet][..], b"\x07example\x04test\0"].concat();
    let zone = format!("{}\\228 A 192.0.2.99\n", crate::world::ZONE);
    let server = crate::harness::Setup::new()
        .zone("example.test", &zone)
        .start();
    server
        .put(Question {
            name: name(0xe4),
            ..Question::new("", A)
        })
        .expect_address("192.0.2.99");
    server
        .put(Question {
            name: name(0xc4),
            ..Question::new("", A)
        })
        .expect_no_name();
}

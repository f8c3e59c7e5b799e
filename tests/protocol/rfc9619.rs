//! RFC 9619: one question.

use crate::harness::query::{Question, header};
use crate::harness::reply::check_any;
use crate::harness::types::*;
use crate::harness::{Transport, rcodes};
use crate::world::server;

#[test]
fn section_4_any_other_count_than_one_is_malformed() {
    let server = server();
    let question = Question::new("host.example.test", A).question_octets();
    for (count, questions) in [(2u16, 2), (2, 1), (65535, 1), (0, 0), (0, 1)] {
        let message = [header(9, 0, [count, 0, 0, 0]), question.repeat(questions)].concat();
        let reply = server.exchange(&message, Transport::Udp).expect("FORMERR");
        let reply = check_any(&message, Transport::Udp, &reply);
        assert!(
            reply.rcode() == rcodes::FORMERR && reply.is_bare(),
            "{count}: {reply:?}"
        );
    }
}

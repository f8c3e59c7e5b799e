//! Asking in words.

use super::query::{Question, Transport, subnet_option};
use super::{Reply, Server, rcodes};

/// A query on its way; each `expect` sends it.
pub struct Ask<'s> {
    server: &'s Server,
    question: Question,
    transport: Transport,
}

impl<'s> Ask<'s> {
    pub fn new(server: &'s Server, question: Question) -> Ask<'s> {
        Ask {
            server,
            question,
            transport: Transport::Udp,
        }
    }

    pub fn over_tcp(mut self) -> Ask<'s> {
        self.transport = Transport::Tcp;
        self
    }

    /// With EDNS and this payload size.
    pub fn with_payload(mut self, octets: u16) -> Ask<'s> {
        self.question.opt().payload = octets;
        self
    }

    /// With EDNS and the DO bit.
    pub fn with_dnssec(mut self) -> Ask<'s> {
        self.question.opt().flags |= 0x8000;
        self
    }

    /// With EDNS and this option.
    pub fn with_option(mut self, code: u16, value: &[u8]) -> Ask<'s> {
        self.question = self.question.option(code, value);
        self
    }

    /// With EDNS Client Subnet.
    #[allow(
        clippy::wrong_self_convention,
        reason = "it reads as a sentence: ask a name from a subnet"
    )]
    pub fn from_subnet(self, subnet: &str) -> Ask<'s> {
        self.with_option(8, &subnet_option(subnet))
    }

    pub fn with_class(mut self, class: u16) -> Ask<'s> {
        self.question.class = class;
        self
    }

    /// With these bits of the flags turned over.
    pub fn with_flags(mut self, flags: u16) -> Ask<'s> {
        self.question.flags ^= flags;
        self
    }

    /// Sends the query; the reply has passed every check that holds for all replies.
    #[track_caller]
    pub fn send(self) -> Reply {
        let sent = self.question.octets();
        let received = self.server.exchange(&sent, self.transport);
        let received = received.unwrap_or_else(|| panic!("no reply to {:?}", self.question));
        Reply::checked(&self.question, self.transport, &received)
    }

    /// NOERROR with this address and nothing else in the answer.
    #[track_caller]
    pub fn expect_address(self, address: &str) -> Reply {
        self.send().expect_address(address)
    }

    /// NOERROR, SOA in authority, nothing else.
    #[track_caller]
    pub fn expect_nodata(self) -> Reply {
        self.send().expect_nodata()
    }

    /// NXDOMAIN with SOA.
    #[track_caller]
    pub fn expect_no_name(self) -> Reply {
        self.send().expect_no_name()
    }

    /// REFUSED, without AA, without records.
    #[track_caller]
    pub fn expect_refused(self) -> Reply {
        self.send().expect_error(rcodes::REFUSED)
    }

    /// This code, without records.
    #[track_caller]
    pub fn expect_error(self, rcode: u16) -> Reply {
        self.send().expect_error(rcode)
    }

    /// These records in the answer, `owner ttl type data` each.
    #[track_caller]
    pub fn expect_answer(self, records: &[&str]) -> Reply {
        self.send().expect_answer(records)
    }
}

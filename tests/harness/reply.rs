//! What holds for every reply, and words for what a reply should be.

use hickory_proto::op;

use super::compression::check_shortest;
use super::query::{Question, Transport};
use super::{Message, Record, rcodes, types};

/// A reply that passed the checks that hold for all replies.
#[derive(Debug)]
pub struct Reply {
    pub message: Message,
    question: Question,
}

/// Largest UDP payload that the server gives.
const UDP_PAYLOAD: u16 = 1232;

/// Checks that hold for every reply to any octets; the reply, read.
#[track_caller]
pub fn check_any(sent: &[u8], transport: Transport, received: &[u8]) -> Message {
    let message = Message::read(received)
        .unwrap_or_else(|fault| panic!("{fault} in {received:02x?} to {sent:02x?}"));
    assert!(message.is_response(), "a reply that is none: {message:?}");
    assert_eq!(
        message.id.to_be_bytes(),
        sent[..2],
        "the ID of another query"
    );
    assert_eq!(
        message.opcode(),
        u16::from(sent[2] >> 3 & 0xf),
        "another opcode"
    );
    assert_eq!(
        message.flags & 0x0100,
        u16::from(sent[2] & 1) << 8,
        "RD is copied"
    );
    assert_eq!(message.flags & 0x00e0, 0, "RA, Z and AD are 0");
    assert!(
        transport == Transport::Tcp || received.len() <= UDP_PAYLOAD.into(),
        "{} octets",
        received.len()
    );
    let asked = &sent[12.min(sent.len())..];
    assert!(
        asked.starts_with(&message.question),
        "the question is another, or repeats what was none"
    );
    check_second_decoder(&message, received);
    check_shortest(received);
    message
}

/// hickory-proto reads the same in it.
#[track_caller]
fn check_second_decoder(message: &Message, received: &[u8]) {
    // It knows no client subnet of family 0, which dig and others send for "no address" and which is echoed.
    if message
        .opt
        .iter()
        .flat_map(|opt| opt.option(8))
        .any(|subnet| subnet == [0; 4])
    {
        return;
    }
    let other = op::Message::from_vec(received);
    let other = other.unwrap_or_else(|fault| panic!("hickory-proto: {fault} in {received:02x?}"));
    let counts = [
        other.answers.len(),
        other.authorities.len(),
        other.additionals.len() + usize::from(other.signature.is_some()),
    ];
    let ours = [
        message.answers.len(),
        message.authorities.len(),
        message.additionals.len(),
    ];
    assert_eq!(
        counts, ours,
        "two decoders see different records in {received:02x?}"
    );
    assert_eq!(
        other.edns.is_some(),
        message.opt.is_some(),
        "two decoders disagree on OPT"
    );
}

impl Reply {
    /// Checks what holds for every reply to a well-formed query.
    #[track_caller]
    pub fn checked(question: &Question, transport: Transport, received: &[u8]) -> Reply {
        let message = check_any(&question.octets(), transport, received);
        let reply = Reply {
            message,
            question: question.clone(),
        };
        reply.check_size(transport, received.len());
        reply.check_opt();
        reply.check_no_repetition();
        // Another opcode may mean something else by its question.
        if reply.message.rcode() != rcodes::NOTIMP {
            assert_eq!(
                reply.message.question,
                question.question_octets(),
                "the question, octet for octet"
            );
        }
        reply
    }

    #[track_caller]
    fn check_size(&self, transport: Transport, length: usize) {
        let most = match (&self.question.opt, transport) {
            (_, Transport::Tcp) => u16::MAX,
            (None, _) => 512,
            (Some(opt), _) => opt.payload.clamp(512, UDP_PAYLOAD),
        };
        assert!(
            length <= most.into(),
            "{length} octets where {most} are allowed"
        );
        assert!(
            transport == Transport::Udp || !self.message.is_truncated(),
            "TC over TCP"
        );
    }

    #[track_caller]
    fn check_opt(&self) {
        match (&self.question.opt, &self.message.opt) {
            (None, None) => {}
            (Some(_), None) => panic!(
                "OPT is missing (RFC 6891 section 6.1.1): {:?}",
                self.message
            ),
            (None, Some(_)) => panic!("OPT although the query had none (RFC 6891 section 7)"),
            (Some(sent), Some(got)) => {
                assert_eq!((got.version, got.payload), (0, UDP_PAYLOAD));
                assert_eq!(got.flags & 0x7fff, 0, "flags that nobody knows are 0");
                assert_eq!(
                    got.flags,
                    sent.flags & 0x8000,
                    "DO is copied (RFC 3225 section 3)"
                );
            }
        }
    }

    #[track_caller]
    fn check_no_repetition(&self) {
        let message = &self.message;
        let mut all: Vec<&Record> = message
            .answers
            .iter()
            .chain(&message.authorities)
            .chain(&message.additionals)
            .collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "a record twice in {message:?}");
    }

    #[track_caller]
    pub fn expect_rcode(self, rcode: u16) -> Reply {
        assert_eq!(self.message.rcode(), rcode, "{:?}", self.message);
        self
    }

    #[track_caller]
    pub fn expect_error(self, rcode: u16) -> Reply {
        let reply = self.expect_rcode(rcode);
        assert!(
            reply.message.is_bare() && !reply.message.is_authoritative(),
            "{:?}",
            reply.message
        );
        reply
    }

    #[track_caller]
    pub fn expect_authoritative(self, expected: bool) -> Reply {
        assert_eq!(
            self.message.is_authoritative(),
            expected,
            "{:?}",
            self.message
        );
        self
    }

    #[track_caller]
    pub fn expect_truncated(self, expected: bool) -> Reply {
        assert_eq!(self.message.is_truncated(), expected, "{:?}", self.message);
        self
    }

    /// Data of the answer's addresses.
    pub fn addresses(&self) -> Vec<&str> {
        let is_address = |record: &&Record| matches!(record.rtype, types::A | types::AAAA);
        self.message
            .answers
            .iter()
            .filter(is_address)
            .map(|record| &record.data[..])
            .collect()
    }

    #[track_caller]
    pub fn expect_address(self, address: &str) -> Reply {
        let reply = self
            .expect_rcode(rcodes::NOERROR)
            .expect_authoritative(true);
        assert_eq!(reply.addresses(), [address], "{:?}", reply.message);
        assert_eq!(reply.message.answers.len(), 1);
        reply
    }

    #[track_caller]
    pub fn expect_nodata(self) -> Reply {
        self.expect_negative(rcodes::NOERROR)
    }

    #[track_caller]
    pub fn expect_no_name(self) -> Reply {
        self.expect_negative(rcodes::NXDOMAIN)
    }

    #[track_caller]
    fn expect_negative(self, rcode: u16) -> Reply {
        let reply = self.expect_rcode(rcode).expect_authoritative(true);
        let authorities: Vec<u16> = reply
            .message
            .authorities
            .iter()
            .map(|record| record.rtype)
            .collect();
        assert_eq!(
            authorities,
            [types::SOA],
            "the SOA of a negative answer: {:?}",
            reply.message
        );
        assert!(reply.message.answers.is_empty(), "{:?}", reply.message);
        reply
    }

    /// The records of the answer as `owner ttl type data`, in any order.
    #[track_caller]
    pub fn expect_answer(self, records: &[&str]) -> Reply {
        compare(&self.message.answers, records);
        self
    }

    #[track_caller]
    pub fn expect_authority(self, records: &[&str]) -> Reply {
        compare(&self.message.authorities, records);
        self
    }

    #[track_caller]
    pub fn expect_additional(self, records: &[&str]) -> Reply {
        compare(&self.message.additionals, records);
        self
    }

    /// FAMILY, SOURCE PREFIX-LENGTH, SCOPE PREFIX-LENGTH and ADDRESS of the reply's client subnet.
    pub fn subnet(&self) -> Option<&[u8]> {
        self.message
            .opt
            .as_ref()
            .and_then(|opt| opt.option(8).next())
    }

    pub fn scope(&self) -> Option<u8> {
        self.subnet().map(|value| value[3])
    }

    /// The scope; the rest of the option is echoed (RFC 7871 section 7.2.1).
    #[track_caller]
    pub fn expect_scope(self, scope: u8) -> Reply {
        assert_eq!(self.scope(), Some(scope), "{:?}", self.message);
        self.expect_subnet_echoed()
    }

    #[track_caller]
    pub fn expect_subnet_echoed(self) -> Reply {
        let options = &self
            .question
            .opt
            .as_ref()
            .expect("the query had a client subnet")
            .options;
        let at = options
            .windows(2)
            .position(|code| code == [0, 8])
            .expect("the query had a client subnet");
        let length = usize::from(options[at + 3]);
        let sent = &options[at + 4..at + 4 + length];
        let got = self.subnet().expect("the reply has a client subnet");
        assert_eq!(
            (&got[..3], &got[4..]),
            (&sent[..3], &sent[4..]),
            "FAMILY, SOURCE and ADDRESS are echoed"
        );
        self
    }
}

/// A record in one line.
pub fn line(record: &Record) -> String {
    let rtype = match record.rtype {
        types::A => "A".into(),
        types::NS => "NS".into(),
        types::CNAME => "CNAME".into(),
        types::SOA => "SOA".into(),
        types::HINFO => "HINFO".into(),
        types::MX => "MX".into(),
        types::TXT => "TXT".into(),
        types::AAAA => "AAAA".into(),
        types::DNAME => "DNAME".into(),
        types::DS => "DS".into(),
        types::PTR => "PTR".into(),
        other => format!("TYPE{other}"),
    };
    assert_eq!(record.class, 1, "class IN");
    format!("{} {} {} {}", record.owner, record.ttl, rtype, record.data).to_ascii_lowercase()
}

#[track_caller]
fn compare(records: &[Record], expected: &[&str]) {
    let mut got: Vec<String> = records.iter().map(line).collect();
    let mut expected: Vec<String> = expected
        .iter()
        .map(|line| line.to_ascii_lowercase())
        .collect();
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
}

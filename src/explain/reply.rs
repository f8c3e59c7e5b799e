//! Answers a query with the server's own code on behalf of a client, and parses the reply.
//!
//! The question becomes a DNS message, with an EDNS Client Subnet option (RFC 7871) if the client
//! is a subnet. The reply comes from [`crate::answer`], so an explanation can never differ from
//! what a client gets.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use domain::base::message::{Message, RecordSection};
use domain::base::name::ToName;
use domain::rdata::{AllRecordData, Rrsig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::client::LookupAddress;
use crate::answer::{Disposition, QueryContext, Transport, answer};
use crate::dns::edns::OPTION_CLIENT_SUBNET;
use crate::dns::{CLASS_IN, ClientSubnet, Name, QueryScratch, RecordType};
use crate::dnssec::SigningAlgorithm;
use crate::dnssec::key_file::time_for_people;
use crate::net::ClientAddress;

/// The client of a question: an address, or a client subnet as a resolver sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExplainClient {
    address: IpAddr,
    prefix: Option<u8>,
}

/// The error of a text that is neither an address nor a client subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseClientError;

impl std::fmt::Display for ParseClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a client is an address (203.0.113.7) or a client subnet (203.0.113.0/24)")
    }
}

impl std::error::Error for ParseClientError {}

impl FromStr for ExplainClient {
    type Err = ParseClientError;

    /// Parses `203.0.113.7` or `203.0.113.0/24`. The bits after the prefix are cleared, as RFC 7871
    /// section 6 requires of a resolver.
    fn from_str(text: &str) -> Result<ExplainClient, ParseClientError> {
        let Some((address, prefix)) = text.split_once('/') else {
            return Ok(ExplainClient {
                address: text.parse().map_err(|_| ParseClientError)?,
                prefix: None,
            });
        };
        let address: IpAddr = address.parse().map_err(|_| ParseClientError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = parse_prefix(prefix, most).ok_or(ParseClientError)?;
        Ok(ExplainClient {
            address: cleared(address, prefix),
            prefix: Some(prefix),
        })
    }
}

/// The address with the bits after the prefix cleared.
fn cleared(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

impl std::fmt::Display for ExplainClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.prefix {
            Some(prefix) => write!(f, "{}/{prefix}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

impl ExplainClient {
    /// The address whose location decides: the subnet's if it has one, else the resolver's.
    pub fn lookup_address(&self) -> LookupAddress {
        if let Some(subnet) = self.subnet()
            && let Some(address) = LookupAddress::of_subnet(&subnet)
        {
            return address;
        }
        LookupAddress::of(self.address.into())
    }

    /// Whether the query carries a client subnet that locates the client.
    pub fn is_subnet(&self) -> bool {
        self.prefix.is_some_and(|prefix| prefix > 0)
    }

    /// The source address of the query. The resolver of a client subnet is unknown: `0.0.0.0`.
    pub fn source(&self) -> ClientAddress {
        if self.prefix.is_some() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            self.address.into()
        }
    }

    /// The client subnet that a resolver would send; `None` if the client is an address.
    pub fn subnet(&self) -> Option<ClientSubnet> {
        Some(ClientSubnet::around(self.address, self.prefix?))
    }
}

fn parse_prefix(text: &str, most: u8) -> Option<u8> {
    let is_number = text.bytes().all(|octet| octet.is_ascii_digit());
    let prefix = text.parse().ok()?;
    (is_number && prefix <= most).then_some(prefix)
}

/// The message of a query, as a resolver would send it.
pub fn message(name: &Name, rtype: RecordType, client: &ExplainClient) -> Vec<u8> {
    let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    message.extend_from_slice(name.as_wire());
    message.extend_from_slice(&rtype.0.to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    let option = match client.subnet() {
        Some(subnet) => client_subnet_option(&subnet),
        None => Vec::new(),
    };
    // OPT (RFC 6891 section 6.1.2): the root, type 41, 1232 octets of payload, no flags.
    message.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, option.len() as u8]);
    message.extend_from_slice(&option);
    message
}

/// The same query with the DO flag, which asks for signatures (RFC 3225).
fn message_with_do(name: &Name, rtype: RecordType, client: &ExplainClient) -> Vec<u8> {
    let mut message = message(name, rtype, client);
    // Behind header, question, and the first seven octets of OPT.
    let flags = 12 + name.as_wire().len() + 4 + 7;
    if let Some(flags) = message.get_mut(flags) {
        *flags |= 0x80;
    }
    message
}

fn client_subnet_option(subnet: &ClientSubnet) -> Vec<u8> {
    let mut option = vec![0; 4 + subnet.size()];
    option[1] = OPTION_CLIENT_SUBNET as u8;
    option[3] = subnet.size() as u8;
    let written = subnet.write(0, &mut option[4..]);
    debug_assert!(written.is_some(), "the buffer has the size of the subnet");
    option
}

/// One record of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordFacts {
    /// The owner name.
    pub name: String,
    /// The time to live, in seconds.
    pub ttl: u32,
    /// The record type's mnemonic.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The record data in presentation format.
    pub data: String,
}

/// The parts of a reply that an explanation shows.
#[derive(Debug, Clone)]
pub struct ParsedReply {
    /// The result of the query.
    pub disposition: Disposition,
    /// The response code's mnemonic.
    pub rcode: String,
    /// The answer section.
    pub records: Vec<RecordFacts>,
    /// The question's name, then the target of every CNAME in the answer.
    pub names: Vec<Name>,
    /// SCOPE PREFIX-LENGTH, if a client subnet was sent.
    pub scope: Option<u8>,
}

/// Answers a query of a client and parses the reply.
pub fn ask(
    name: &Name,
    rtype: RecordType,
    client: &ExplainClient,
    context: &QueryContext<'_>,
) -> ParsedReply {
    let message = message(name, rtype, client);
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let answered = answer(
        &message,
        client.source(),
        Transport::Stream,
        context,
        &mut QueryScratch::default(),
        &mut buffer,
    );
    buffer.truncate(answered.length);
    let mut read = ParsedReply {
        disposition: answered.disposition,
        rcode: String::new(),
        records: Vec::new(),
        names: vec![name.clone()],
        scope: None,
    };
    if let Ok(reply) = Message::from_octets(&buffer[..]) {
        read.rcode = reply.header().rcode().to_string();
        read.scope = scope_of(&reply);
        read_answer(&reply, &mut read);
    }
    read
}

/// One signature of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignatureFacts {
    /// The owner of the records that it covers.
    pub name: String,
    /// Their type's mnemonic.
    pub covers: String,
    /// The mnemonic of its algorithm.
    pub algorithm: String,
    /// The tag of the key that made it.
    pub key: u16,
    /// When it expires: `7 December 2026 09:00 UTC`.
    pub expires: String,
}

/// The signatures that the same client gets if it asks for them: those of the answer, then those of
/// proofs.
pub fn signatures(
    name: &Name,
    rtype: RecordType,
    client: &ExplainClient,
    context: &QueryContext<'_>,
) -> Vec<SignatureFacts> {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let answered = answer(
        &message_with_do(name, rtype, client),
        client.source(),
        Transport::Stream,
        context,
        &mut QueryScratch::default(),
        &mut buffer,
    );
    buffer.truncate(answered.length);
    let mut found = Vec::new();
    if let Ok(reply) = Message::from_octets(&buffer[..]) {
        for section in [reply.answer(), reply.authority()].into_iter().flatten() {
            read_signatures(section, &mut found);
        }
    }
    found
}

fn read_signatures(section: RecordSection<'_, &[u8]>, found: &mut Vec<SignatureFacts>) {
    for record in section.limit_to::<Rrsig<_, _>>().flatten() {
        let signature = record.data();
        let number = signature.algorithm().to_int();
        let algorithm = SigningAlgorithm::from_number(number);
        found.push(SignatureFacts {
            name: record.owner().to_string(),
            covers: signature.type_covered().to_string(),
            algorithm: algorithm.map_or(number.to_string(), |it| it.mnemonic().to_owned()),
            key: signature.key_tag(),
            expires: time_for_people(signature.expiration().into_int().into()),
        });
    }
}

fn scope_of(reply: &Message<&[u8]>) -> Option<u8> {
    let subnet = reply.opt()?.opt().client_subnet()?;
    Some(subnet.scope_prefix_len())
}

fn read_answer(reply: &Message<&[u8]>, read: &mut ParsedReply) {
    let Ok(section) = reply.answer() else { return };
    for record in section.limit_to::<AllRecordData<_, _>>().flatten() {
        if let AllRecordData::Cname(cname) = record.data() {
            let target: domain::base::Name<Vec<u8>> = cname.cname().to_name();
            read.names.extend(Name::from_wire(target.as_slice()));
        }
        read.records.push(RecordFacts {
            name: record.owner().to_string(),
            ttl: record.ttl().as_secs(),
            rtype: record.rtype().to_string(),
            data: record.data().to_string(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::query;

    #[test]
    fn askers_are_read_and_written() {
        for (text, shown) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("::1/0", "::/0"),
        ] {
            assert_eq!(text.parse::<ExplainClient>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "203.0.113.7/33",
            "203.0.113.7/+8",
            "x/8",
            "::1/129",
            "1.2.3.4/",
        ] {
            assert_eq!(
                text.parse::<ExplainClient>(),
                Err(ParseClientError),
                "{text}"
            );
        }
    }

    #[test]
    fn an_ipv4_client_in_ipv6_form_is_seen_as_one() {
        for text in [
            "::ffff:203.0.113.7",
            "::ffff:203.0.113.7/128",
            "203.0.113.7/32",
        ] {
            let client: ExplainClient = text.parse().unwrap();
            assert_eq!(
                client.lookup_address().address(),
                IpAddr::from([203, 0, 113, 7]),
                "{text}"
            );
        }
        let client: ExplainClient = "::ffff:203.0.113.7".parse().unwrap();
        assert_eq!(client.source(), "203.0.113.7".parse().unwrap());
    }

    #[test]
    fn the_message_is_one_that_the_server_reads() {
        for client in [
            "203.0.113.7",
            "203.0.113.7/24",
            "2001:db8::/33",
            "0.0.0.0/0",
        ] {
            let client: ExplainClient = client.parse().unwrap();
            let octets = message(&"www.example.com".parse().unwrap(), RecordType::A, &client);
            let mut scratch = QueryScratch::default();
            let query = query::parse(&octets, &mut scratch).unwrap();
            assert_eq!(
                query.edns.unwrap().client_subnet,
                client.subnet(),
                "{client}"
            );
        }
    }
}

//! Queries, right and wrong, octet by octet: nothing here is shared with the server.

use std::net::IpAddr;

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// A query in the making. What is not said is as a stub resolver sends it.
#[derive(Debug, Clone)]
pub struct Question {
    pub id: u16,
    pub flags: u16,
    /// Wire form.
    pub name: Vec<u8>,
    pub rtype: u16,
    pub class: u16,
    pub opt: Option<OptSent>,
}

/// The OPT record of a query.
#[derive(Debug, Clone)]
pub struct OptSent {
    pub payload: u16,
    pub version: u8,
    pub flags: u16,
    /// Octets of all options.
    pub options: Vec<u8>,
}

impl Default for OptSent {
    fn default() -> OptSent {
        OptSent {
            payload: 1232,
            version: 0,
            flags: 0,
            options: Vec::new(),
        }
    }
}

impl Question {
    /// A query for a name in presentation form (no escapes), class IN, RD set, without EDNS.
    pub fn new(name: &str, rtype: u16) -> Question {
        Question {
            id: 0x1234,
            flags: 0x0100,
            name: wire_name(name),
            rtype,
            class: 1,
            opt: None,
        }
    }

    pub fn opt(&mut self) -> &mut OptSent {
        self.opt.get_or_insert_default()
    }

    /// Adds an option.
    pub fn option(mut self, code: u16, value: &[u8]) -> Question {
        let options = &mut self.opt().options;
        options.extend(code.to_be_bytes());
        options.extend((value.len() as u16).to_be_bytes());
        options.extend(value);
        self
    }

    /// The message.
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = header(
            self.id,
            self.flags,
            [1, 0, 0, u16::from(self.opt.is_some())],
        );
        octets.extend(self.question_octets());
        if let Some(opt) = &self.opt {
            octets.extend(opt.octets());
        }
        octets
    }

    /// Name, type, class.
    pub fn question_octets(&self) -> Vec<u8> {
        [
            &self.name[..],
            &self.rtype.to_be_bytes(),
            &self.class.to_be_bytes(),
        ]
        .concat()
    }
}

impl OptSent {
    /// The record.
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = vec![0, 0, 41];
        octets.extend(self.payload.to_be_bytes());
        octets.extend([0, self.version]);
        octets.extend(self.flags.to_be_bytes());
        octets.extend((self.options.len() as u16).to_be_bytes());
        octets.extend(&self.options);
        octets
    }
}

/// The twelve octets in front.
pub fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [id, flags]
        .into_iter()
        .chain(counts)
        .flat_map(u16::to_be_bytes)
        .collect()
}

/// The wire form of a name without escapes.
pub fn wire_name(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name
        .trim_end_matches('.')
        .split('.')
        .filter(|label| !label.is_empty())
    {
        wire.push(u8::try_from(label.len()).expect("a label of a test is short"));
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// The value of a client subnet option (RFC 7871 section 6), from `203.0.113.0/24`.
pub fn subnet_option(subnet: &str) -> Vec<u8> {
    let (address, prefix) = subnet
        .split_once('/')
        .expect("a subnet has a prefix length");
    let prefix: u8 = prefix.parse().expect("a prefix length");
    let (family, octets) = match address.parse().expect("an address") {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let mut value = vec![0, family, prefix, 0];
    value.extend(&octets[..usize::from(prefix).div_ceil(8)]);
    value
}

//! What endpoints put into replies.

use std::fmt;
use std::net::IpAddr;

use super::compression::CompressedData;
use crate::dns::{Name, RecordType};

/// What an endpoint puts into a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointData {
    /// A
    V4([u8; 4]),
    /// AAAA
    V6([u8; 16]),
    /// CNAME
    Name(Box<EndpointRecord>),
    /// MX or SRV
    Host(Box<EndpointRecord>),
}

/// A record that leads to a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRecord {
    /// Where it leads.
    pub name: Name,
    /// The whole of its data.
    pub data: CompressedData,
}

impl EndpointRecord {
    /// Its data is shortened against the name of the service.
    pub fn boxed(owner: &Name, rtype: RecordType, name: &Name, data: &[u8]) -> Box<EndpointRecord> {
        Box::new(EndpointRecord {
            name: name.clone(),
            data: CompressedData::new(owner, rtype, data),
        })
    }
}

impl fmt::Display for EndpointData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointData::V4(octets) => write!(f, "{}", IpAddr::from(*octets)),
            EndpointData::V6(octets) => write!(f, "{}", IpAddr::from(*octets)),
            EndpointData::Name(record) | EndpointData::Host(record) => write!(f, "{}", record.name),
        }
    }
}

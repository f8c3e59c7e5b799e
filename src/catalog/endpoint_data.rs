//! The record data that endpoints put into replies.
//!
//! It is made when a service is compiled, so that a reply copies octets. Data with a name is stored
//! without the labels that it shares with the owner ([`CompressedData`]).

use std::fmt;
use std::net::IpAddr;

use super::compression::CompressedData;
use crate::dns::{Name, RecordType};

/// The record data of an endpoint, by record type.
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
    /// The name.
    pub name: Name,
    /// The record data that contains the name.
    pub data: CompressedData,
}

impl EndpointRecord {
    /// Compresses the data against the name of the service.
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

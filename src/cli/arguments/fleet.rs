//! The options of `meridian fleet`.
//!
//! The parsers below read the compound values of `init`, such as `nats1=nats1.example.com:4222` and
//! `ns1=europe`, and name the wrong part in their errors.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::RemoteArgs;
use crate::text::is_plain_name;

/// The port of NATS for clients.
const PORT: u16 = 4222;

/// `meridian fleet`
#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Write the configuration of NATS servers, and the `[fleet]` section of each nameserver
    Init(FleetInit),
    /// Show all servers of the fleet of a running server: state, clocks, rates, differences, orders
    Status(FleetStatusArgs),
}

/// `meridian fleet status`
#[derive(Debug, Args)]
pub struct FleetStatusArgs {
    /// The server to ask; any of the fleet
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `meridian fleet init`
#[derive(Debug, Args)]
pub struct FleetInit {
    /// The folder to write; existing files are never overwritten
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The name of the fleet
    #[arg(long, value_name = "NAME", default_value = "world", value_parser = plain_name)]
    pub name: String,
    /// A NATS server: its name and where nameservers reach it; can be repeated
    #[arg(
        long,
        value_name = "NAME=HOST[:PORT]",
        default_values = ["nats1=127.0.0.1:4222", "nats2=127.0.0.1:4223", "nats3=127.0.0.1:4224"]
    )]
    pub nats: Vec<NatsGiven>,
    /// A nameserver: its name, and its vantage group if it shares one; can be repeated
    #[arg(long, value_name = "NAME[=GROUP]", default_values = ["ns1", "ns2", "ns3"])]
    pub voter: Vec<VoterGiven>,
}

/// A NATS server of `meridian fleet init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsGiven {
    /// Its name.
    pub name: String,
    /// Its host name or address, without brackets.
    pub host: String,
    /// Its port for clients.
    pub port: u16,
}

/// A nameserver of `meridian fleet init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterGiven {
    /// Its name.
    pub name: String,
    /// Its vantage group, if it is not its name.
    pub group: Option<String>,
}

fn plain_name(text: &str) -> Result<String, String> {
    if is_plain_name(text) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is not a name of 1 to 63 letters, digits, - and _"
        ))
    }
}

impl std::str::FromStr for NatsGiven {
    type Err = String;

    fn from_str(text: &str) -> Result<NatsGiven, String> {
        let Some((name, place)) = text.split_once('=') else {
            return Err("it is not NAME=HOST[:PORT], such as nats1=nats1.example.com".to_owned());
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (place, ""),
        };
        let port = match port {
            "" => PORT,
            port => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| format!("{port:?} is not a port"))?,
        };
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_letter = |octet: u8| octet.is_ascii_alphanumeric() || b"-.:".contains(&octet);
        let is_host = !host.is_empty() && host.bytes().all(is_letter);
        if !is_host || host.contains(':') != is_bracketed {
            return Err(format!(
                "{host:?} is not a host name or an address; an IPv6 address is in brackets"
            ));
        }
        Ok(NatsGiven {
            name: plain_name(name)?,
            host: host.to_owned(),
            port,
        })
    }
}

impl std::str::FromStr for VoterGiven {
    type Err = String;

    fn from_str(text: &str) -> Result<VoterGiven, String> {
        let (name, group) = match text.split_once('=') {
            Some((name, group)) => (name, Some(plain_name(group)?)),
            None => (text, None),
        };
        Ok(VoterGiven {
            name: plain_name(name)?,
            group,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nats_servers_are_read_and_others_refused() {
        for (text, host, port) in [
            ("n=nats1.example.com", "nats1.example.com", 4222),
            ("n=192.0.2.1:4333", "192.0.2.1", 4333),
            ("n=[2001:db8::1]", "2001:db8::1", 4222),
            ("n=[2001:db8::1]:4333", "2001:db8::1", 4333),
        ] {
            let read: NatsGiven = text.parse().unwrap();
            assert_eq!((read.host.as_str(), read.port), (host, port), "{text}");
        }
        for bad in [
            "n",
            "n=",
            "=a",
            "n=a:0",
            "n=a:b",
            "n=2001:db8::1",
            "n=a b",
            "n.m=a",
            "n=u@a",
        ] {
            assert!(bad.parse::<NatsGiven>().is_err(), "{bad}");
        }
    }

    #[test]
    fn voters_are_read_with_and_without_a_group() {
        let read = |text: &str| text.parse::<VoterGiven>();
        assert_eq!(read("ns1").unwrap().group, None);
        assert_eq!(read("ns1=europe").unwrap().group.as_deref(), Some("europe"));
        assert!(read("ns 1").is_err() && read("ns1=").is_err());
    }
}

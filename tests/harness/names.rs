//! A nameserver to be resolved through: says what it is told to say, or nothing at all.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

/// What it says of each name, in lower case without the last dot; of others it says NXDOMAIN.
pub struct NameServer {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    names: HashMap<String, (Vec<IpAddr>, u32)>,
    silent: bool,
    asked: usize,
}

impl NameServer {
    pub fn start() -> NameServer {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("bound");
        let state: Arc<Mutex<State>> = Arc::default();
        let told = state.clone();
        std::thread::spawn(move || {
            let mut query = [0; 4096];
            while let Ok((size, from)) = socket.recv_from(&mut query) {
                let reply = told.lock().expect("nobody panics here").answer(&query[..size]);
                reply.iter().for_each(|reply| drop(socket.send_to(reply, from)));
            }
        });
        NameServer { address, state }
    }

    /// A configuration that asks it and nobody else.
    pub fn config(&self) -> String {
        format!("[resolver]\nservers = [\"{}\"]\ntimeout = \"500ms\"\n", self.address)
    }

    /// From now on the name has these addresses.
    pub fn set(&self, name: &str, addresses: &[&str], ttl: u32) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        self.change(|state| drop(state.names.insert(name.to_owned(), (addresses, ttl))));
    }

    /// From now on there is no such name.
    pub fn forget(&self, name: &str) {
        self.change(|state| drop(state.names.remove(name)));
    }

    /// Whether it answers nobody.
    pub fn set_silent(&self, silent: bool) {
        self.change(|state| state.silent = silent);
    }

    /// How many queries have come.
    pub fn asked(&self) -> usize {
        self.state.lock().expect("nobody panics here").asked
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("nobody panics here"));
    }
}

impl State {
    /// RFC 1035 section 4.1: the question again, and a record for each address of its type. RA stays clear.
    fn answer(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        self.asked += 1;
        let (name, end) = read_name(query).filter(|_| !self.silent)?;
        let question = query.get(12..end + 4)?;
        let rtype = u16::from_be_bytes([query[end], query[end + 1]]);
        let known = self.names.get(&name);
        let (addresses, ttl) = known.cloned().unwrap_or_default();
        let data: Vec<Vec<u8>> = addresses.iter().filter_map(|address| data_of(*address, rtype)).collect();
        let rcode = if known.is_some() { 0 } else { 3 };
        let mut reply = query[..2].to_vec();
        reply.extend([0x84, rcode, 0, 1, 0, data.len() as u8, 0, 0, 0, 0]);
        reply.extend(question);
        for data in data {
            reply.extend([0xc0, 12]);
            reply.extend(rtype.to_be_bytes());
            reply.extend([0, 1]);
            reply.extend(ttl.to_be_bytes());
            reply.extend((data.len() as u16).to_be_bytes());
            reply.extend(data);
        }
        Some(reply)
    }
}

fn data_of(address: IpAddr, rtype: u16) -> Option<Vec<u8>> {
    match (address, rtype) {
        (IpAddr::V4(address), 1) => Some(address.octets().to_vec()),
        (IpAddr::V6(address), 28) => Some(address.octets().to_vec()),
        _ => None,
    }
}

/// QNAME, and where it ends.
fn read_name(query: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join(".").to_lowercase(), at));
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).into_owned());
        at += length;
    }
}

//! A nameserver to be resolved through: says what it is told to say, or nothing at all.
//!
//! It is hickory-server's, so that what the resolver reads was written by others.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::runtime::Runtime;

/// What it says of each name, in lower case without the last dot; of others it says NXDOMAIN.
pub struct NameServer {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// It answers as long as this is there.
    _runtime: Runtime,
}

#[derive(Default)]
struct State {
    names: HashMap<String, (Vec<IpAddr>, u32)>,
    silent: bool,
    /// Queries of this type get no answer.
    deaf_to: Option<RecordType>,
    asked: usize,
}

impl NameServer {
    pub fn start() -> NameServer {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_nonblocking(true).expect("sockets can be");
        let address = socket.local_addr().expect("bound");
        let state: Arc<Mutex<State>> = Arc::default();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let mut server = runtime.block_on(async { Server::new(Told(state.clone())) });
        runtime.block_on(async {
            server.register_socket(tokio::net::UdpSocket::from_std(socket).expect("a runtime"))
        });
        runtime.spawn(async move { server.block_until_done().await });
        NameServer {
            address,
            state,
            _runtime: runtime,
        }
    }

    /// A configuration that asks it and nobody else.
    pub fn config(&self) -> String {
        format!(
            "[resolver]\nservers = [\"{}\"]\ntimeout = \"500ms\"\n",
            self.address
        )
    }

    /// From now on the name has these addresses.
    pub fn set(&self, name: &str, addresses: &[&str], ttl: u32) {
        let addresses = addresses
            .iter()
            .map(|address| address.parse().expect("an address"))
            .collect();
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

    /// From now on only queries of this type are left without an answer; `None`: all are answered.
    pub fn set_deaf_to(&self, rtype: Option<u16>) {
        self.change(|state| state.deaf_to = rtype.map(RecordType::from));
    }

    /// How many queries have come.
    pub fn asked(&self) -> usize {
        self.state.lock().expect("nobody panics here").asked
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("nobody panics here"));
    }
}

/// Answers as it was told to.
struct Told(Arc<Mutex<State>>);

#[async_trait::async_trait]
impl RequestHandler for Told {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut handle: R,
    ) -> ResponseInfo {
        let answer = self.0.lock().expect("nobody panics here").answer(request);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = true;
        let nothing = ResponseInfo::from(Header {
            metadata,
            counts: HeaderCounts::default(),
        });
        let Some((code, records)) = answer else {
            return nothing;
        };
        metadata.response_code = code;
        let reply = MessageResponseBuilder::from_message_request(request).build(
            metadata,
            &records,
            [],
            [],
            [],
        );
        handle.send_response(reply).await.unwrap_or(nothing)
    }
}

impl State {
    /// A record for each address of the type asked for; `None`: no reply at all.
    fn answer(&mut self, request: &Request) -> Option<(ResponseCode, Vec<Record>)> {
        self.asked += 1;
        let query = request.request_info().ok().filter(|_| !self.silent)?.query;
        if self.deaf_to == Some(query.query_type()) {
            return None;
        }
        let name = query.original().name().clone();
        let Some((addresses, ttl)) = self
            .names
            .get(name.to_lowercase().to_ascii().trim_end_matches('.'))
        else {
            return Some((ResponseCode::NXDomain, Vec::new()));
        };
        let data = addresses.iter().map(|address| match *address {
            IpAddr::V4(address) => RData::A(address.into()),
            IpAddr::V6(address) => RData::AAAA(address.into()),
        });
        let asked = data.filter(|data| data.record_type() == query.query_type());
        Some((
            ResponseCode::NoError,
            asked
                .map(|data| Record::from_rdata(name.clone(), *ttl, data))
                .collect(),
        ))
    }
}

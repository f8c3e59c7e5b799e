//! A client that sends any octets over any transport.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::Server;
use crate::world::NAME;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// The certificates in a file.
pub fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .expect("the certificate is PEM")
}

/// Trust in the certificate in the server's folder, and in nothing else.
fn settings(server: &Server, protocol: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&server.folder().join("certificate.pem")) {
        roots.add(certificate).expect("a certificate");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .expect("ring has them");
    let mut settings = builder.with_root_certificates(roots).with_no_client_auth();
    settings.alpn_protocols = vec![protocol.to_vec()];
    settings
}

/// A TLS connection that has shaken hands.
pub fn try_connect(server: &Server, address: SocketAddr, protocol: &str) -> io::Result<Stream> {
    connect_behind(server, address, protocol, &[])
}

/// The same with octets in front.
fn connect_behind(
    server: &Server,
    address: SocketAddr,
    protocol: &str,
    header: &[u8],
) -> io::Result<Stream> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(header)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(NAME).expect("a name");
    let client = ClientConnection::new(Arc::new(settings(server, protocol.as_bytes())), name)
        .expect("good settings");
    let mut stream = StreamOwned::new(client, stream);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

pub fn connect_tls(server: &Server) -> Stream {
    try_connect(server, server.encrypted("tls"), "dot").expect("the server accepts")
}

/// Behind a PROXY header.
pub fn connect_tls_behind(server: &Server, header: &[u8]) -> io::Result<Stream> {
    connect_behind(server, server.encrypted("tls"), "dot", header)
}

pub fn write_framed(stream: &mut impl Write, message: &[u8]) {
    let frame = [&(message.len() as u16).to_be_bytes(), message].concat();
    stream
        .write_all(&frame)
        .and_then(|()| stream.flush())
        .expect("the server reads");
}

/// One message; `None` at the end of the stream.
pub fn read_framed(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

pub fn over_tls(server: &Server, message: &[u8]) -> Option<Vec<u8>> {
    let mut stream = connect_tls(server);
    write_framed(&mut stream, message);
    read_framed(&mut stream)
}

/// What an HTTP server said.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Said {
    /// The value of a header, as it was sent.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }
}

/// One request over HTTP/1.1. `head` is the request line without the version, and further header lines; `None`: the
/// connection ended without a reply.
pub fn over_http1(server: &Server, head: &str, body: &[u8]) -> Option<Said> {
    http1(server, head, body, &[])
}

fn http1(server: &Server, head: &str, body: &[u8], header: &[u8]) -> Option<Said> {
    let stream = connect_behind(server, server.encrypted("https"), "http/1.1", header);
    let mut stream = stream.expect("the server accepts");
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let headers: String = headers
        .lines()
        .map(|header| format!("{header}\r\n"))
        .collect();
    let fixed = format!(
        "Host: {NAME}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    let head = format!("{line} HTTP/1.1\r\n{fixed}{headers}\r\n");
    let _ = stream
        .write_all(&[head.as_bytes(), body].concat())
        .and_then(|()| stream.flush());
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    let end = said.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(said[..end].to_vec()).expect("a head is text");
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Said {
        status,
        head,
        body: said[end + 4..].to_vec(),
    })
}

/// A query by POST; `None`: there is no reply, or another status than 200.
pub fn over_https(server: &Server, message: &[u8]) -> Option<Vec<u8>> {
    over_https_behind(server, message, &[])
}

/// Behind a PROXY header.
pub fn over_https_behind(server: &Server, message: &[u8], header: &[u8]) -> Option<Vec<u8>> {
    let said = http1(
        server,
        "POST /dns-query\nContent-Type: application/dns-message",
        message,
        header,
    )?;
    (said.status == 200).then_some(said.body)
}

/// How a QUIC stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With these octets.
    Well(Vec<u8>),
    /// The server closed the connection with this code.
    Closed(u64),
    /// In any other way.
    Otherwise(String),
}

/// Opens a connection.
pub async fn connect_quic(
    server: &Server,
) -> Result<(quinn::Endpoint, quinn::Connection), quinn::ConnectionError> {
    let mut endpoint =
        quinn::Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let settings = QuicClientConfig::try_from(settings(server, b"doq")).expect("TLS 1.3 is there");
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(settings)));
    let connecting = endpoint
        .connect(server.encrypted("quic"), NAME)
        .expect("good settings");
    Ok((endpoint, connecting.await?))
}

/// Sends octets on a stream of their own, ends it, and reads to the end.
pub async fn exchange(connection: &quinn::Connection, octets: &[u8]) -> Ended {
    match try_exchange(connection, octets).await {
        Ok(octets) => Ended::Well(octets),
        Err(error) => match connection.close_reason() {
            Some(quinn::ConnectionError::ApplicationClosed(closed)) => {
                Ended::Closed(closed.error_code.into_inner())
            }
            _ => Ended::Otherwise(error),
        },
    }
}

async fn try_exchange(connection: &quinn::Connection, octets: &[u8]) -> Result<Vec<u8>, String> {
    let (mut send, mut receive) = connection
        .open_bi()
        .await
        .map_err(|error| error.to_string())?;
    send.write_all(octets)
        .await
        .map_err(|error| error.to_string())?;
    send.finish().map_err(|error| error.to_string())?;
    receive
        .read_to_end(70_000)
        .await
        .map_err(|error| error.to_string())
}

/// Runs something that must end in time.
pub fn run<T>(task: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE * 3, task)
            .await
            .expect("it ends in time")
    })
}

/// A message with its length in front.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// Sends octets on a connection of their own.
pub fn quic_octets(server: &Server, octets: &[u8]) -> Ended {
    run(async {
        let (_endpoint, connection) = connect_quic(server).await.expect("the server accepts");
        exchange(&connection, octets).await
    })
}

/// A query over QUIC; `None`: there is no reply.
pub fn over_quic(server: &Server, message: &[u8]) -> Option<Vec<u8>> {
    match quic_octets(server, &framed(message)) {
        Ended::Well(octets) => {
            let (_, message) = octets
                .split_first_chunk::<2>()
                .expect("a reply, not an empty stream");
            assert_eq!(framed(message), octets, "one whole message");
            Some(message.to_vec())
        }
        _ => None,
    }
}

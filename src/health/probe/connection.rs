//! Connections: TCP, TLS above it where a check wants it, and one HTTP exchange upon either.
//!
//! What an endpoint sends is bounded in octets ([`BoundedStream`]), so that neither endless interim answers nor endless fields,
//! pings or chunks keep a core busy until the timeout.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::SystemTime;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::bounded::BoundedStream;
use super::expect::{AnswerBody, BODY_LIMIT};
use super::shortage::ProbeError;
use super::tls::{AlpnProtocol, server_name};
use super::{Stopwatch, TrustStore, certificate};
use crate::health::check::CheckTls;

/// What octets can be sent and received over.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A connection to an endpoint's own address.
pub struct ProbeConnection {
    /// In clear, or what TLS makes of it.
    pub stream: Box<dyn ByteStream>,
    /// Days until the leaf certificate expires.
    pub certificate_days: Option<i64>,
}

/// A whole HTTP answer.
pub struct HttpAnswer {
    /// Status and header.
    pub head: Response<()>,
    /// The body, up to its limit; what lies beyond it is not waited for.
    pub body: AnswerBody,
    /// What came behind the body.
    pub trailers: HeaderMap,
}

/// Connects, and shakes hands where there is TLS.
pub async fn open(
    trust: &TrustStore,
    address: SocketAddr,
    tls: Option<&CheckTls>,
    protocol: AlpnProtocol,
    stopwatch: &Stopwatch,
) -> Result<ProbeConnection, ProbeError> {
    // A name that nobody can have is found before anybody is bothered.
    let name = tls.map(|tls| server_name(tls, address)).transpose()?;
    let stream = TcpStream::connect(address).await.map_err(|error| {
        stopwatch.failed(&error);
        ProbeError::of_socket(&format!("cannot connect to {address}"), &error)
    })?;
    stopwatch.connected();
    let Some((tls, name)) = tls.zip(name) else {
        return Ok(ProbeConnection {
            stream: Box::new(stream),
            certificate_days: None,
        });
    };
    let connector = TlsConnector::from(trust.settings_for(&tls.certificate, protocol));
    let stream = connector.connect(name, stream).await;
    let stream =
        stream.map_err(|error| ProbeError::of_socket(&format!("no TLS with {address}"), &error))?;
    stopwatch.shaken_hands();
    let leaf = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first);
    let certificate_days =
        leaf.and_then(|leaf| certificate::expires_in_days(leaf, SystemTime::now()));
    Ok(ProbeConnection {
        stream: Box::new(stream),
        certificate_days,
    })
}

/// An exchange under way. In a box, since the compiler cannot see through all of it that it may change threads.
pub type ProbeExchange = Pin<Box<dyn Future<Output = Result<HttpAnswer, hyper::Error>> + Send>>;

/// One request and its answer over HTTP/1.1; the connection is used once.
pub fn exchange_http1(
    stream: Box<dyn ByteStream>,
    request: Request<Full<Bytes>>,
    stopwatch: Stopwatch,
) -> ProbeExchange {
    Box::pin(async move {
        let (stream, allowance) = BoundedStream::new(stream);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let _beside = go_on(connection);
        let is_head = request.method() == hyper::Method::HEAD;
        let response = sender.send_request(request).await?;
        allowance.extend();
        let mut answer = read(response, stopwatch).await?;
        let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        answer.body.absent = is_head || bodiless.contains(&answer.head.status());
        Ok(answer)
    })
}

/// One request and its answer over HTTP/2, without asking whether the endpoint speaks it.
pub fn exchange_http2(
    stream: Box<dyn ByteStream>,
    request: Request<Full<Bytes>>,
    stopwatch: Stopwatch,
) -> ProbeExchange {
    Box::pin(async move {
        let (stream, allowance) = BoundedStream::new(stream);
        let handshake =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await?;
        let _beside = go_on(connection);
        let response = sender.send_request(request).await?;
        allowance.extend();
        read(response, stopwatch).await
    })
}

/// Keeps a connection going until what is returned is dropped.
fn go_on<E>(connection: impl Future<Output = Result<(), E>> + Send + 'static) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    // What the connection ended with, the exchange is told as well.
    tasks.spawn(async move { drop(connection.await) });
    tasks
}

async fn read(
    response: Response<Incoming>,
    stopwatch: Stopwatch,
) -> Result<HttpAnswer, hyper::Error> {
    stopwatch.answered();
    let (head, mut incoming) = response.into_parts();
    let (mut body, mut trailers) = (AnswerBody::default(), HeaderMap::new());
    while let Some(frame) = incoming.frame().await {
        match frame?.into_data() {
            Ok(data) => {
                let room = BODY_LIMIT - body.octets.len();
                body.octets
                    .extend_from_slice(data.get(..room).unwrap_or(&data));
                body.cut = data.len() > room;
                if body.cut {
                    break;
                }
            }
            Err(other) => trailers = other.into_trailers().unwrap_or_default(),
        }
    }
    stopwatch.read_whole();
    Ok(HttpAnswer {
        head: Response::from_parts(head, ()),
        body,
        trailers,
    })
}

/// Why there was no whole answer.
pub fn describe(error: &hyper::Error, address: SocketAddr) -> ProbeError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let what = format!("no whole answer from {address}");
    match cause.downcast_ref::<std::io::Error>() {
        Some(error) => ProbeError::of_socket(&what, error),
        None => ProbeError::Endpoint(format!("{what}: {cause}")),
    }
}

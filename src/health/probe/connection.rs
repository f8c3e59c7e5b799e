//! Connections to endpoints: TCP, optionally with TLS, and one HTTP exchange over either.
//!
//! [`open`] connects to the endpoint's own address, never to a resolved name. [`exchange_http1`]
//! and [`exchange_http2`] send one request and read the whole answer. A [`BoundedStream`] limits
//! what the endpoint can send, so endless headers, pings or chunks cannot keep a core busy.

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
use super::certificate;
use super::expect::AnswerBody;
use super::observation::Stopwatch;
use super::reasons::root_cause;
use super::shortage::ProbeError;
use super::tls::TrustStore;
use super::tls::{AlpnProtocol, server_name};
use crate::health::check::CheckTls;

/// A stream in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A connection to an endpoint.
pub struct ProbeConnection {
    /// The TCP or TLS stream.
    pub stream: Box<dyn ByteStream>,
    /// Days until the leaf certificate expires.
    pub certificate_days: Option<i64>,
}

/// A complete HTTP answer.
pub struct HttpAnswer {
    /// Status and headers.
    pub head: Response<()>,
    /// The body, up to its limit. The rest is not read.
    pub body: AnswerBody,
    /// The trailers after the body.
    pub trailers: HeaderMap,
}

/// Connects, and completes the TLS handshake if the check uses TLS.
pub async fn open(
    trust: &TrustStore,
    address: SocketAddr,
    tls: Option<&CheckTls>,
    protocol: AlpnProtocol,
    stopwatch: &Stopwatch,
) -> Result<ProbeConnection, ProbeError> {
    let Some(tls) = tls else {
        return Ok(ProbeConnection {
            stream: Box::new(connect(address, stopwatch).await?),
            certificate_days: None,
        });
    };
    // An invalid name fails before the endpoint sees a connection.
    let name = server_name(tls, address)?;
    let stream = connect(address, stopwatch).await?;
    let connector = TlsConnector::from(trust.settings_for(&tls.certificate, protocol));
    let stream = match connector.connect(name, stream).await {
        Ok(stream) => stream,
        Err(error) => {
            let what = format!("no TLS with {address}");
            return Err(ProbeError::of_socket(&what, &error));
        }
    };
    stopwatch.handshake_done();
    let (_, session) = stream.get_ref();
    let certificate_days = match session.peer_certificates() {
        Some([leaf, ..]) => certificate::expires_in_days(leaf, SystemTime::now()),
        _ => None,
    };
    Ok(ProbeConnection {
        stream: Box::new(stream),
        certificate_days,
    })
}

async fn connect(address: SocketAddr, stopwatch: &Stopwatch) -> Result<TcpStream, ProbeError> {
    match TcpStream::connect(address).await {
        Ok(stream) => {
            stopwatch.connected();
            Ok(stream)
        }
        Err(error) => {
            stopwatch.failed(&error);
            let what = format!("cannot connect to {address}");
            Err(ProbeError::of_socket(&what, &error))
        }
    }
}

/// An exchange in progress. It is boxed because the compiler cannot prove that the inner future is
/// `Send`.
pub type ProbeExchange = Pin<Box<dyn Future<Output = Result<HttpAnswer, hyper::Error>> + Send>>;

/// Sends one request over HTTP/1.1 and reads its answer. The connection is not reused.
pub fn exchange_http1(
    stream: Box<dyn ByteStream>,
    request: Request<Full<Bytes>>,
    stopwatch: Stopwatch,
) -> ProbeExchange {
    Box::pin(async move {
        let (stream, allowance) = BoundedStream::new(stream);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let _driver = drive(connection);
        let is_head = request.method() == hyper::Method::HEAD;
        let response = sender.send_request(request).await?;
        allowance.extend();
        let mut answer = read_answer(response, stopwatch).await?;
        let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        answer.body.absent = is_head || bodiless.contains(&answer.head.status());
        Ok(answer)
    })
}

/// Sends one request over HTTP/2 with prior knowledge and reads its answer.
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
        let _driver = drive(connection);
        let response = sender.send_request(request).await?;
        allowance.extend();
        read_answer(response, stopwatch).await
    })
}

/// Runs the connection in the background until the returned set is dropped.
fn drive<E>(connection: impl Future<Output = Result<(), E>> + Send + 'static) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    // The exchange gets the same error, so it is not needed here.
    tasks.spawn(async move { drop(connection.await) });
    tasks
}

async fn read_answer(
    response: Response<Incoming>,
    stopwatch: Stopwatch,
) -> Result<HttpAnswer, hyper::Error> {
    stopwatch.answered();
    let (head, mut incoming) = response.into_parts();
    let mut body = AnswerBody::default();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = incoming.frame().await {
        match frame?.into_data() {
            Ok(data) => body.append(&data),
            Err(other) => trailers = other.into_trailers().unwrap_or_default(),
        }
        if body.cut {
            break;
        }
    }
    stopwatch.body_read();
    Ok(HttpAnswer {
        head: Response::from_parts(head, ()),
        body,
        trailers,
    })
}

/// Why there was no complete answer.
pub fn describe(error: &hyper::Error, address: SocketAddr) -> ProbeError {
    let cause = root_cause(error);
    let what = format!("no whole answer from {address}");
    match cause.downcast_ref::<std::io::Error>() {
        Some(error) => ProbeError::of_socket(&what, error),
        None => ProbeError::Endpoint(format!("{what}: {cause}")),
    }
}

//! DNS over HTTPS (RFC 8484), by GET and POST, over HTTP/2 and HTTP/1.1.
//!
//! ALPN selects the version of HTTP. All requests of a connection share one conversation, so their
//! queries are answered one at a time. A connection that is idle for too long, or evicted, is shut
//! down gracefully.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::TlsIdentity;
use super::tls::{GOODBYE, handshake};
use crate::dns::message::freshness;
use crate::server::connections::ConnectionPermit;
use crate::server::conversation::{Conversation, NoReply, QUERY};
use crate::server::framed::FramedConnection;

/// The media type of queries and replies (RFC 8484 section 6).
const MEDIA_TYPE: &str = "application/dns-message";
/// Most concurrent queries of one HTTP/2 connection.
const STREAMS: u32 = 100;
/// Most octets of a request's head: room for the longest query in `dns=` and for other headers.
const HEAD: u32 = 16 << 10;
/// Flow control window of HTTP/2 in octets, for one stream and for the connection.
const WINDOW: u32 = 64 << 10;

/// Serves connections of DNS over HTTPS.
#[derive(Clone)]
pub struct HttpsHandler {
    acceptor: TlsAcceptor,
    path: Arc<str>,
}

/// What the requests of one connection share.
struct HttpsConnection {
    conversation: Mutex<Conversation>,
    permit: ConnectionPermit,
    path: Arc<str>,
}

type Reply = Response<Full<Bytes>>;

impl HttpsHandler {
    /// A handler that presents this identity and answers at this path.
    pub fn new(identity: Arc<TlsIdentity>, path: &str) -> HttpsHandler {
        let settings = identity.settings(&[b"h2", b"http/1.1"]);
        HttpsHandler {
            acceptor: TlsAcceptor::from(Arc::new(settings)),
            path: path.into(),
        }
    }

    /// Serves one connection.
    pub async fn serve(&self, stream: TcpStream, framed: FramedConnection) -> io::Result<()> {
        let FramedConnection {
            conversation,
            permit,
            idle,
        } = framed;
        let stream = handshake(&self.acceptor, stream).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let shared = Arc::new(HttpsConnection {
            conversation: Mutex::new(conversation),
            permit,
            path: self.path.clone(),
        });
        let handler = shared.clone();
        let service = service_fn(move |request| {
            let handler = handler.clone();
            async move { handler.reply(request).await }
        });
        let stream = TokioIo::new(stream);
        // Errors on a connection are not logged, since any client can cause them.
        if is_http2 {
            let mut http = http2::Builder::new(TokioExecutor::new());
            http.timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS)
                .max_header_list_size(HEAD);
            http.initial_stream_window_size(WINDOW)
                .initial_connection_window_size(WINDOW);
            let mut connection = pin!(http.serve_connection(stream, service));
            tokio::select! {
                _ = connection.as_mut() => {}
                () = shared.permit.revoked() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = timeout(GOODBYE, connection).await;
                }
            }
        } else {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(idle)
                .max_buf_size(HEAD as usize);
            let mut connection = pin!(http.serve_connection(stream, service));
            tokio::select! {
                _ = connection.as_mut() => {}
                () = shared.permit.revoked() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = timeout(GOODBYE, connection).await;
                }
            }
        }
        Ok(())
    }
}

impl HttpsConnection {
    /// The reply to one request; an error ends the exchange without a reply.
    async fn reply(&self, request: Request<Incoming>) -> Result<Reply, io::Error> {
        if request.uri().path() != &*self.path {
            return Ok(refusal(StatusCode::NOT_FOUND));
        }
        let message = match *request.method() {
            Method::GET => message_of_uri(request.uri()),
            Method::POST => message_of_body(request).await,
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        };
        let message = match message {
            Ok(message) => message,
            Err(status) => return Ok(refusal(status)),
        };
        match self.answer(&message) {
            Ok(reply) => Ok(reply),
            Err(NoReply::Unfit) => Ok(refusal(StatusCode::BAD_REQUEST)),
            Err(NoReply::Ignored) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    fn answer(&self, message: &[u8]) -> Result<Reply, NoReply> {
        let mut octets = Vec::new();
        self.conversation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answer(message, &mut octets)?;
        self.permit.touch();
        // Another client may get another answer, so shared caches must not store it.
        let cache = HeaderValue::from_str(&format!("private, max-age={}", freshness(&octets)));
        let mut reply = Response::new(Full::new(Bytes::copy_from_slice(&octets)));
        reply
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Ok(cache) = cache {
            reply.headers_mut().insert(CACHE_CONTROL, cache);
        }
        Ok(reply)
    }
}

/// A response without a body.
fn refusal(status: StatusCode) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        reply
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    reply
}

/// The query in `?dns=`, base64url without padding (RFC 8484 sections 4.1 and 6).
fn message_of_uri(uri: &Uri) -> Result<Vec<u8>, StatusCode> {
    let mut parameters = uri.query().unwrap_or("").split('&');
    let text = parameters
        .find_map(|parameter| parameter.strip_prefix("dns="))
        .ok_or(StatusCode::BAD_REQUEST)?;
    if text.len() > base64::encoded_len(QUERY, false).unwrap_or(0) {
        return Err(StatusCode::URI_TOO_LONG);
    }
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| StatusCode::BAD_REQUEST)
}

/// The query in the body.
async fn message_of_body(request: Request<Incoming>) -> Result<Vec<u8>, StatusCode> {
    if !is_dns_message(request.headers()) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    match Limited::new(request.into_body(), QUERY).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

fn is_dns_message(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    media_type
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .eq_ignore_ascii_case(MEDIA_TYPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(uri: &str) -> Result<Vec<u8>, StatusCode> {
        message_of_uri(&uri.parse().unwrap())
    }

    #[test]
    fn rfc_8484_section_4_1_get_has_the_query_in_dns() {
        assert_eq!(message("/dns-query?dns=AAEC_w"), Ok(vec![0, 1, 2, 255]));
        assert_eq!(
            message("/dns-query?x=1&dns=AAEC_w&y"),
            Ok(vec![0, 1, 2, 255])
        );
        for bad in [
            "/dns-query",
            "/dns-query?",
            "/dns-query?dn=AA",
            "/q?dns=AA==",
            "/q?dns=A",
            "/q?dns=AB",
            "/q?dns=A/AA",
        ] {
            assert_eq!(message(bad), Err(StatusCode::BAD_REQUEST), "{bad}");
        }
        let long = |octets: usize| format!("/q?dns={}", URL_SAFE_NO_PAD.encode(vec![0; octets]));
        assert_eq!(message(&long(QUERY)), Ok(vec![0; QUERY]));
        assert_eq!(message(&long(QUERY + 1)), Err(StatusCode::URI_TOO_LONG));
    }

    #[test]
    fn the_media_type_may_have_parameters() {
        let is = |text: &'static str| {
            let headers = [(CONTENT_TYPE, HeaderValue::from_static(text))];
            is_dns_message(&HeaderMap::from_iter(headers))
        };
        assert!(is("application/dns-message") && is("Application/DNS-Message ; x=y"));
        assert!(!is("application/dns-json") && !is("") && !is_dns_message(&HeaderMap::new()));
    }
}

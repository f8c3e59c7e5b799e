//! The test queries of an announcer: what clients do, asked of the server beside it.
//!
//! A round asks every service address over UDP and then over TCP, and ends with the first that is not
//! answered well: with NOERROR, with authority (AA), and about the question that was asked. An error
//! of any other kind means that clients had better go elsewhere. Every wait has an end, so a server
//! that is frozen, whose kernel goes on accepting connections, fails like one that is gone.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::dns::{CLASS_IN, Name, RecordType};

/// Octets of a header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

/// The queries that a server must answer.
#[derive(Debug, Clone)]
pub struct TestQuery {
    /// The service addresses.
    pub addresses: Vec<IpAddr>,
    /// The port of the server.
    pub port: u16,
    /// The name that is queried.
    pub name: Name,
    /// The record type that is queried.
    pub rtype: RecordType,
    /// The longest that one answer may take.
    pub timeout: Duration,
}

impl TestQuery {
    /// Asks every address over both transports.
    ///
    /// # Errors
    /// A sentence about the first that is not answered well.
    pub fn ask(&self) -> Result<(), String> {
        for address in &self.addresses {
            self.ask_at(SocketAddr::new(*address, self.port))?;
        }
        Ok(())
    }

    fn ask_at(&self, server: SocketAddr) -> Result<(), String> {
        self.judge(server, "UDP", self.over_udp(server))?;
        self.judge(server, "TCP", self.over_tcp(server))
    }

    fn judge(
        &self,
        server: SocketAddr,
        transport: &str,
        answer: io::Result<Vec<u8>>,
    ) -> Result<(), String> {
        match answer {
            Ok(reply) => good_answer(&reply).map_err(|what| {
                format!(
                    "{server} answers {} {} over {transport} {what}",
                    self.name, self.rtype
                )
            }),
            Err(error) if is_timeout(&error) => {
                let limit = self.timeout.as_millis();
                Err(format!(
                    "no answer from {server} over {transport} within {limit} ms"
                ))
            }
            Err(error) => Err(format!("no answer from {server} over {transport}: {error}")),
        }
    }

    fn over_udp(&self, server: SocketAddr) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + self.timeout;
        let socket = UdpSocket::bind((server.ip(), 0))?;
        socket.connect(server)?;
        let query = self.query();
        socket.send(&query)?;
        let mut buffer = [0; 4096];
        loop {
            socket.set_read_timeout(Some(left(deadline)?))?;
            let size = socket.recv(&mut buffer)?;
            let reply = buffer.get(..size).unwrap_or_default();
            if is_reply_to(&query, reply) {
                return Ok(reply.to_vec());
            }
        }
    }

    fn over_tcp(&self, server: SocketAddr) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + self.timeout;
        let mut stream = connect(server, self.timeout)?;
        let query = self.query();
        let mut message = (query.len() as u16).to_be_bytes().to_vec();
        message.extend(&query);
        stream.set_write_timeout(Some(left(deadline)?))?;
        stream.write_all(&message)?;
        let mut length = [0; 2];
        read_all(&mut stream, &mut length, deadline)?;
        let mut reply = vec![0; u16::from_be_bytes(length).into()];
        read_all(&mut stream, &mut reply, deadline)?;
        if is_reply_to(&query, &reply) {
            return Ok(reply);
        }
        let sentence = "what it sends is no reply to the query";
        Err(io::Error::new(ErrorKind::InvalidData, sentence))
    }

    /// A query with an id that others do not know.
    fn query(&self) -> Vec<u8> {
        let id = RandomState::new().hash_one(self.port) as u16;
        let mut query = id.to_be_bytes().to_vec();
        query.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        query.extend(self.name.as_wire());
        query.extend(self.rtype.0.to_be_bytes());
        query.extend(CLASS_IN.to_be_bytes());
        query
    }
}

/// Connects from the server's own address. Where this machine does not have it, that is an error, and
/// no other server of the same anycast address is asked.
fn connect(server: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(server.ip(), 0).into())?;
    socket.connect_timeout(&server.into(), timeout)?;
    Ok(TcpStream::from(socket))
}

/// The time that is left; an error if none is.
pub(super) fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// Whether an operation ended because its time was over. A socket says "would block".
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

/// Fills the buffer before the deadline, however few octets arrive at a time.
fn read_all(stream: &mut TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(rest)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            size => filled += size,
        }
    }
    Ok(())
}

/// Whether a message replies to the query: the same id and the same question (RFC 1035 section 4.1).
fn is_reply_to(query: &[u8], reply: &[u8]) -> bool {
    let (Some(question), Some(header)) = (query.get(HEADER..), reply.first_chunk::<HEADER>())
    else {
        return false;
    };
    let echoed = reply.get(HEADER..HEADER + question.len());
    query.starts_with(&header[..2])
        && header[2] & 0x80 != 0
        && echoed.is_some_and(|echoed| echoed.eq_ignore_ascii_case(question))
}

/// What is wrong with a reply: the end of a sentence.
fn good_answer(reply: &[u8]) -> Result<(), String> {
    let Some(header) = reply.first_chunk::<HEADER>() else {
        return Err("with a message that is cut off".to_owned());
    };
    match header[3] & 0x0f {
        0 if header[2] & 0x04 != 0 => Ok(()),
        0 => Err("without authority: it is not in a zone of the server".to_owned()),
        2 => Err("with SERVFAIL".to_owned()),
        3 => Err("with NXDOMAIN: the zone does not hold the name".to_owned()),
        5 => Err(
            "with REFUSED: no zone of the server holds it, or [server] does not allow it"
                .to_owned(),
        ),
        rcode => Err(format!("with RCODE {rcode}")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server on one port of loopback that gives each query to `reply`; octets that it does not
    /// return are not sent.
    fn serve(udp: fn(&[u8]) -> Vec<u8>, tcp: fn(&[u8]) -> Vec<u8>) -> TestQuery {
        let stream = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = stream.local_addr().unwrap();
        let datagram = UdpSocket::bind(address).unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((size, peer)) = datagram.recv_from(&mut buffer) {
                let reply = udp(&buffer[..size]);
                if !reply.is_empty() {
                    datagram.send_to(b"noise", peer).unwrap();
                    datagram.send_to(&reply, peer).unwrap();
                }
            }
        });
        thread::spawn(move || {
            let mut open = Vec::new();
            while let Ok((mut peer, _)) = stream.accept() {
                let mut length = [0; 2];
                peer.read_exact(&mut length).unwrap();
                let mut query = vec![0; u16::from_be_bytes(length).into()];
                peer.read_exact(&mut query).unwrap();
                let reply = tcp(&query);
                if !reply.is_empty() {
                    let _ = peer.write_all(&(reply.len() as u16).to_be_bytes());
                    let _ = peer.write_all(&reply);
                }
                open.push(peer);
            }
        });
        TestQuery {
            addresses: vec![address.ip()],
            port: address.port(),
            name: Name::parse("Example.com", &Name::root()).unwrap(),
            rtype: RecordType(6),
            timeout: Duration::from_millis(200),
        }
    }

    fn reply(query: &[u8], flags: [u8; 2]) -> Vec<u8> {
        let mut reply = query.to_ascii_lowercase();
        reply[..2].copy_from_slice(&query[..2]);
        reply[2..4].copy_from_slice(&flags);
        reply
    }

    fn good(query: &[u8]) -> Vec<u8> {
        reply(query, [0x84, 0])
    }

    #[test]
    fn noerror_with_authority_over_both_transports_is_good() {
        assert_eq!(serve(good, good).ask(), Ok(()));
    }

    #[test]
    fn everything_else_fails_and_says_what() {
        let silent: fn(&[u8]) -> Vec<u8> = |_| Vec::new();
        let refused: fn(&[u8]) -> Vec<u8> = |query| reply(query, [0x80, 5]);
        let lame: fn(&[u8]) -> Vec<u8> = |query| reply(query, [0x80, 0]);
        let missing: fn(&[u8]) -> Vec<u8> = |query| reply(query, [0x84, 3]);
        let other: fn(&[u8]) -> Vec<u8> = |query| {
            let mut other = good(query);
            other[13] = b'f';
            other
        };
        let cases = [
            (
                silent,
                silent as fn(&[u8]) -> Vec<u8>,
                "over UDP within 200 ms",
            ),
            (good, silent, "over TCP within 200 ms"),
            (refused, good, "over UDP with REFUSED"),
            (good, refused, "over TCP with REFUSED"),
            (lame, good, "without authority"),
            (missing, good, "NXDOMAIN"),
            (other, good, "over UDP within 200 ms"),
            (good, other, "no reply to the query"),
            (good, |_| vec![0], "no reply to the query"),
        ];
        for (udp, tcp, expected) in cases {
            let sentence = serve(udp, tcp).ask().unwrap_err();
            assert!(sentence.contains(expected), "{expected}: {sentence}");
        }
    }

    #[test]
    fn a_closed_port_fails_at_once() {
        let mut query = serve(good, good);
        query.port = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let began = Instant::now();
        assert!(query.ask().unwrap_err().contains("no answer from"));
        assert!(began.elapsed() < Duration::from_millis(150));
    }
}

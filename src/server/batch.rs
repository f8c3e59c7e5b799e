//! A batch of datagrams: `recvmmsg` and `sendmmsg` over buffers that are laid out once.
//!
//! A worker receives up to [`BATCH`] datagrams with one system call, writes its replies into the
//! buffers of the batch, and sends them with another. All unsafe code of the query path is here.
//! The kernel's structures hold pointers into boxed arrays that live as long as the batch and never
//! move.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use crate::dns::UDP_PAYLOAD;
use crate::net::ClientAddress;

/// Datagrams in one batch: enough to share the cost of a system call, few enough to bound the wait
/// of the first.
pub const BATCH: usize = 64;
/// Longest query that is read, in octets; longer ones are dropped, since no resolver sends them.
const QUERY: usize = 8192;
/// Room for one control message with a destination address (in6_pktinfo, the larger one, has 20
/// octets and a header).
const CONTROL: usize = 64;

/// Longest reply over UDP, in octets.
pub const REPLY: usize = UDP_PAYLOAD as usize;

#[repr(C, align(16))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// The buffers of a batch, and the kernel's structures that point into them.
pub struct DatagramBatch {
    queries: Box<[[u8; QUERY]]>,
    replies: Box<[[u8; REPLY]]>,
    sources: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    received: Box<[libc::mmsghdr]>,
    sent: Box<[libc::mmsghdr]>,
    /// Kept alive for the pointers in `received` and `sent`.
    _query_vectors: Box<[libc::iovec]>,
    reply_vectors: Box<[libc::iovec]>,
    /// How many headers of `received` hold lengths written by the kernel.
    filled: usize,
    /// How many replies are ready to be sent.
    waiting: usize,
    wildcard: bool,
}

// SAFETY: the pointers inside lead only to memory that the batch owns.
unsafe impl Send for DatagramBatch {}

/// One datagram of a batch.
pub struct Datagram<'b> {
    /// The query.
    pub octets: &'b [u8],
    /// The sender.
    pub source: ClientAddress,
    /// The buffer for the reply.
    pub reply: &'b mut [u8; REPLY],
}

/// The way back to the client of a datagram, for a reply that does not belong to its batch.
pub struct ReturnPath {
    name: libc::sockaddr_storage,
    name_length: libc::socklen_t,
    control: Control,
    /// 0: the socket has one address, so it is that of the reply.
    control_length: usize,
}

impl ReturnPath {
    /// Sends a reply, if the kernel takes it at once; UDP may lose datagrams anyway.
    pub fn send(&mut self, socket: &UdpSocket, reply: &mut [u8]) {
        let mut vector = io_vector(reply, reply.len());
        let mut header = zeroed::<libc::msghdr>();
        header.msg_name = (&raw mut self.name).cast();
        header.msg_namelen = self.name_length;
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        if self.control_length > 0 {
            header.msg_control = self.control.0.as_mut_ptr().cast();
            header.msg_controllen = self.control_length;
        }
        // SAFETY: every pointer in the header leads to a value of the stated length that outlives
        // the call.
        unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
    }
}

fn zeroed<T: Copy>() -> T {
    // SAFETY: used only for C structures of integers and pointers, for which all zeros is valid.
    unsafe { std::mem::zeroed() }
}

fn io_vector(buffer: &mut [u8], length: usize) -> libc::iovec {
    libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: length,
    }
}

impl DatagramBatch {
    /// Empty buffers. With `wildcard`, the socket reports the destination of each datagram.
    #[expect(clippy::indexing_slicing, reason = "every array has BATCH elements")]
    pub fn new(wildcard: bool) -> DatagramBatch {
        let mut queries = vec![[0; QUERY]; BATCH].into_boxed_slice();
        let mut replies = vec![[0; REPLY]; BATCH].into_boxed_slice();
        let mut sources = vec![zeroed::<libc::sockaddr_storage>(); BATCH].into_boxed_slice();
        let mut controls = vec![Control([0; CONTROL]); BATCH].into_boxed_slice();
        let mut query_vectors: Box<[_]> = queries
            .iter_mut()
            .map(|buffer| io_vector(buffer, QUERY))
            .collect();
        let mut reply_vectors: Box<[_]> = replies
            .iter_mut()
            .map(|buffer| io_vector(buffer, 0))
            .collect();
        let mut received = vec![zeroed::<libc::mmsghdr>(); BATCH].into_boxed_slice();
        let mut sent = received.clone();
        for at in 0..BATCH {
            let header = &mut received[at].msg_hdr;
            header.msg_name = (&raw mut sources[at]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut query_vectors[at];
            header.msg_iovlen = 1;
            header.msg_control = if wildcard {
                controls[at].0.as_mut_ptr().cast()
            } else {
                ptr::null_mut()
            };
            sent[at].msg_hdr.msg_iov = &raw mut reply_vectors[at];
            sent[at].msg_hdr.msg_iovlen = 1;
        }
        DatagramBatch {
            queries,
            replies,
            sources,
            controls,
            received,
            sent,
            _query_vectors: query_vectors,
            reply_vectors,
            filled: BATCH,
            waiting: 0,
            wildcard,
        }
    }

    /// Waits for datagrams; returns how many arrived.
    ///
    /// # Errors
    /// The error of the system call; `WouldBlock` or `Interrupted` when none arrived before the
    /// socket's timeout.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.waiting = 0;
        self.forget_received();
        let no_timeout: *mut libc::timespec = ptr::null_mut();
        // A direct system call: the wrapper of the C library is a cancellation point, which costs
        // time.
        // SAFETY: every pointer in `received` points to a buffer of the stated length, owned by
        // `self`.
        let count = unsafe {
            libc::syscall(
                libc::SYS_recvmmsg,
                socket.as_raw_fd(),
                self.received.as_mut_ptr(),
                BATCH,
                libc::MSG_WAITFORONE,
                no_timeout,
            )
        };
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        self.filled = count as usize;
        Ok(self.filled)
    }

    /// Restores the lengths that the kernel overwrote with those of what it stored. All addresses
    /// of a socket have the same length, so only the control messages need it.
    #[inline]
    fn forget_received(&mut self) {
        let filled = std::mem::take(&mut self.filled);
        if !self.wildcard {
            return;
        }
        for message in self.received.iter_mut().take(filled) {
            message.msg_hdr.msg_controllen = CONTROL;
        }
    }

    /// One received datagram; `None` if it was truncated or its source cannot be a client.
    #[inline]
    pub fn datagram(&mut self, at: usize) -> Option<Datagram<'_>> {
        let message = self.received.get(at)?;
        if message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let source = source_address(self.sources.get(at)?)?;
        let octets = self.queries.get(at)?.get(..message.msg_len as usize)?;
        Some(Datagram {
            octets,
            source,
            reply: self.replies.get_mut(at)?,
        })
    }

    /// Marks the reply to datagram `at` for sending.
    #[inline]
    #[expect(clippy::arithmetic_side_effects, reason = "the place was there")]
    pub fn reply(&mut self, at: usize, length: usize) {
        let (Some(question), Some(buffer)) = (self.received.get(at), self.replies.get_mut(at))
        else {
            return;
        };
        let Some(vector) = self.reply_vectors.get_mut(self.waiting) else {
            return;
        };
        vector.iov_base = buffer.as_mut_ptr().cast();
        vector.iov_len = length.min(REPLY);
        let Some(message) = self.sent.get_mut(self.waiting) else {
            return;
        };
        message.msg_hdr.msg_name = question.msg_hdr.msg_name;
        message.msg_hdr.msg_namelen = question.msg_hdr.msg_namelen;
        if self.wildcard {
            if let Some(control) = self.controls.get_mut(at) {
                forget_interface(control);
            }
            message.msg_hdr.msg_control = question.msg_hdr.msg_control;
            message.msg_hdr.msg_controllen = question.msg_hdr.msg_controllen;
        }
        self.waiting += 1;
    }

    /// The way back to the client of datagram `at`.
    #[cold]
    pub fn return_path(&mut self, at: usize) -> Option<ReturnPath> {
        let header = &self.received.get(at)?.msg_hdr;
        let mut path = ReturnPath {
            name: *self.sources.get(at)?,
            name_length: header.msg_namelen,
            control: *self.controls.get(at)?,
            control_length: 0,
        };
        if self.wildcard {
            forget_interface(&mut path.control);
            path.control_length = header.msg_controllen.min(CONTROL);
        }
        Some(path)
    }

    /// Sends the replies that are ready. A reply that the kernel refuses is skipped, so that the
    /// worker never blocks; UDP may lose datagrams anyway.
    #[expect(clippy::arithmetic_side_effects, reason = "at most a batch")]
    pub fn send(&mut self, socket: &UdpSocket) {
        let mut next = 0;
        while let Some(rest) = self.sent.get_mut(next..self.waiting)
            && !rest.is_empty()
        {
            // SAFETY: `reply` filled in the first `waiting` headers with pointers into buffers of
            // `self`.
            let count = unsafe {
                libc::syscall(
                    libc::SYS_sendmmsg,
                    socket.as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len(),
                    0,
                )
            };
            match count {
                0.. => next += (count as usize).max(1),
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                _ => next += 1,
            }
        }
        self.waiting = 0;
    }
}

/// The address of the sender; `None` for port 0, which no reply reaches, and for an address that is
/// not a host's.
#[inline]
fn source_address(storage: &libc::sockaddr_storage) -> Option<ClientAddress> {
    let (address, port) = match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: for this family the kernel wrote a sockaddr_in, which is smaller than the
            // storage and needs no stricter alignment.
            let address = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            (
                ClientAddress::from(address.sin_addr.s_addr.to_ne_bytes()),
                address.sin_port,
            )
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for sockaddr_in6.
            let address = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            (
                ClientAddress::from(address.sin6_addr.s6_addr),
                address.sin6_port,
            )
        }
        _ => return None,
    };
    if port != 0 && is_host(address) {
        Some(address)
    } else {
        None
    }
}

/// False for 0.0.0.0/8, 224.0.0.0/3, `::` and IPv6 multicast, which only forged packets come from.
#[inline]
fn is_host(address: ClientAddress) -> bool {
    match address.ip() {
        IpAddr::V4(address) => matches!(address.octets(), [1..=223, ..]),
        IpAddr::V6(address) => !matches!(address.octets(), [0xff, ..]) && !address.is_unspecified(),
    }
}

/// Clears the interface in a control message with a destination, so that the reply follows the
/// routing table. Link-local IPv6 keeps it, because the interface is part of such an address.
fn forget_interface(control: &mut Control) {
    let Some((header, data)) = control
        .0
        .split_first_chunk_mut::<{ size_of::<libc::cmsghdr>() }>()
    else {
        return;
    };
    let level = header
        .last_chunk::<8>()
        .and_then(|tail| tail.first_chunk::<4>());
    let interface = match level.map(|level| i32::from_ne_bytes(*level)) {
        // in_pktinfo: the interface is first.
        Some(libc::IPPROTO_IP) => data.get_mut(..4),
        // in6_pktinfo: address, then interface.
        Some(libc::IPPROTO_IPV6) if !data.starts_with(&[0xfe, 0x80]) => data.get_mut(16..20),
        _ => None,
    };
    if let Some(interface) = interface {
        interface.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{PassedSockets, socket};
    use std::net::SocketAddr;

    #[test]
    fn an_ipv4_client_of_a_socket_of_both_families_is_an_ipv4_client() {
        let socket = UdpSocket::bind("[::]:0").unwrap();
        let at = SocketAddr::from(([127, 0, 0, 1], socket.local_addr().unwrap().port()));
        UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .send_to(b"query", at)
            .unwrap();
        let mut batch = DatagramBatch::new(true);
        assert_eq!(batch.receive(&socket).unwrap(), 1);
        assert_eq!(
            batch.datagram(0).unwrap().source.ip(),
            IpAddr::from([127, 0, 0, 1])
        );
    }

    #[test]
    fn a_late_reply_comes_from_the_address_that_was_asked() {
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        let opened = socket::pair(any, 1, &mut PassedSockets::default()).unwrap();
        let [server] = &opened.udp[..] else {
            panic!("one worker has one socket");
        };
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        // A connected socket takes replies from this address alone.
        client
            .connect(("127.0.0.7", opened.address.port()))
            .unwrap();
        client.send(b"query").unwrap();
        let mut batch = DatagramBatch::new(true);
        assert_eq!(batch.receive(server).unwrap(), 1);
        let mut path = batch.return_path(0).unwrap();
        drop(batch);
        path.send(server, &mut b"late".to_owned());
        client
            .set_read_timeout(Some(std::time::Duration::from_secs(10)))
            .unwrap();
        let mut reply = [0; 8];
        assert_eq!(client.recv(&mut reply).unwrap(), 4);
        assert_eq!(&reply[..4], b"late");
    }

    #[test]
    fn an_address_that_is_no_hosts_is_none_in_either_spelling() {
        for address in [
            "0.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "ff02::1",
            "::ffff:0.1.2.3",
            "::ffff:224.0.0.1",
        ] {
            assert!(!is_host(address.parse().unwrap()), "{address}");
        }
        for host in [
            "1.0.0.1",
            "223.255.255.255",
            "::1",
            "2001:db8::1",
            "::ffff:192.0.2.1",
        ] {
            assert!(is_host(host.parse().unwrap()), "{host}");
        }
    }
}

//! Datagrams by the batch.

// Each bench is a crate of its own and uses what it needs.
#![allow(dead_code)]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// Datagrams in one system call.
pub const BATCH: usize = 64;
/// A socket of this machine that talks to one address and waits for nothing.
pub fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((
        if address.is_ipv4() {
            "127.0.0.1"
        } else {
            "::1"
        },
        0,
    ))?;
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sends every query back as its own reply, until that fails.
pub fn turn_round(socket: &UdpSocket) -> io::Error {
    let mut batch = Batch::new(true);
    loop {
        let count = match batch.receive(socket, libc::MSG_WAITFORONE) {
            Ok(count) => count,
            Err(error) => return error,
        };
        for at in 0..count {
            // QR and AA.
            batch.buffers[at][2] |= 0x84;
            batch.vectors[at].iov_len = batch.messages[at].msg_len as usize;
        }
        if let Err(error) = batch.send(socket, count) {
            return error;
        }
    }
}

/// Buffers and the kernel's view of them; the pointers lead into boxes that never move.
pub struct Batch {
    /// A datagram each.
    pub buffers: Box<[[u8; 4096]]>,
    /// How long each is, to be sent.
    pub vectors: Box<[libc::iovec]>,
    /// How long each is, as received.
    pub messages: Box<[libc::mmsghdr]>,
    addresses: Box<[libc::sockaddr_storage]>,
}

impl Batch {
    /// `addressed`: datagrams go back to where they came from; otherwise the socket is connected.
    pub fn new(addressed: bool) -> Batch {
        // SAFETY: structures of integers and pointers, for which all zeros is a value.
        let (vector, message, address) = unsafe {
            (
                std::mem::zeroed(),
                std::mem::zeroed::<libc::mmsghdr>(),
                std::mem::zeroed(),
            )
        };
        let mut batch = Batch {
            buffers: vec![[0; 4096]; BATCH].into(),
            vectors: vec![vector; BATCH].into(),
            messages: vec![message; BATCH].into(),
            addresses: vec![address; BATCH].into(),
        };
        for at in 0..BATCH {
            batch.vectors[at].iov_base = batch.buffers[at].as_mut_ptr().cast();
            let header = &mut batch.messages[at].msg_hdr;
            (header.msg_iov, header.msg_iovlen) = (&raw mut batch.vectors[at], 1);
            if addressed {
                header.msg_name = (&raw mut batch.addresses[at]).cast();
            }
        }
        batch
    }

    /// Receives; returns how many came.
    pub fn receive(&mut self, socket: &UdpSocket, flags: libc::c_int) -> io::Result<usize> {
        for at in 0..BATCH {
            self.vectors[at].iov_len = self.buffers[at].len();
            let header = &mut self.messages[at].msg_hdr;
            header.msg_namelen = if header.msg_name.is_null() {
                0
            } else {
                size_of::<libc::sockaddr_storage>() as u32
            };
        }
        let (descriptor, room) = (socket.as_raw_fd(), BATCH as libc::c_uint);
        // SAFETY: every pointer leads to a buffer of `self` of the length stated beside it.
        let count = unsafe {
            libc::recvmmsg(
                descriptor,
                self.messages.as_mut_ptr(),
                room,
                flags as _,
                std::ptr::null_mut(),
            )
        };
        if count < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(count as usize)
        }
    }

    /// Sends the first `count`; returns how many went.
    pub fn send(&mut self, socket: &UdpSocket, count: usize) -> io::Result<usize> {
        let mut sent = 0;
        while sent < count {
            let rest = &mut self.messages[sent..count];
            // SAFETY: as above; the lengths were set by whoever filled the buffers.
            let done = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len() as libc::c_uint,
                    0,
                )
            };
            match done {
                1.. => sent += done as usize,
                _ if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => break,
                _ => return Err(io::Error::last_os_error()),
            }
        }
        Ok(sent)
    }
}

//! A region to be checked: an HTTP server that breaks when it is told to.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An HTTP server that can say that it is broken.
pub struct Region {
    pub port: u16,
    broken: Arc<AtomicBool>,
    listener: TcpListener,
}

impl Region {
    pub fn start(address: &str, port: u16) -> Region {
        let listener = TcpListener::bind((address, port)).expect("a free port");
        let (port, broken) = (
            listener.local_addr().expect("bound").port(),
            Arc::new(AtomicBool::new(false)),
        );
        let state = broken.clone();
        let listening = listener.try_clone().expect("descriptors are left");
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listening.accept() {
                let _ = stream.read(&mut [0; 4096]);
                let line = if state.load(Ordering::Relaxed) {
                    "503 Broken"
                } else {
                    "200 OK"
                };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
            }
        });
        Region {
            port,
            broken,
            listener,
        }
    }

    /// From now on connections are refused.
    pub fn close(&self) {
        socket2::SockRef::from(&self.listener)
            .shutdown(Shutdown::Both)
            .expect("it listens");
    }

    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }
}

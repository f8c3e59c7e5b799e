//! A region to be checked: an HTTP server that breaks when it is told to.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An HTTP server that can say that it is broken.
pub struct Region {
    pub port: u16,
    broken: Arc<AtomicBool>,
}

impl Region {
    pub fn start(address: &str, port: u16) -> Region {
        let listener = TcpListener::bind((address, port)).expect("a free port");
        let (port, broken) = (listener.local_addr().expect("bound").port(), Arc::new(AtomicBool::new(false)));
        let state = broken.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let line = if state.load(Ordering::Relaxed) { "503 Broken" } else { "200 OK" };
                let _ = write!(stream, "HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Region { port, broken }
    }

    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }
}

//! ExaBGP's named pipe: announces and withdraws a host route for each service address.
//!
//! The pipe (`exabgp.in`) is the one that `exabgpcli` uses, so ExaBGP needs no other configuration,
//! and it is restarted without this process. It gives no receipt that can be trusted: `exabgp.out` is
//! read by whoever is first. So the commands are repeated every `REPEAT`; ExaBGP sends its peers
//! nothing for a route that it has already announced.
//!
//! ```text
//! announce route 192.0.2.53/32 next-hop self
//! ```

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;

use super::test_query::left;

/// How often what holds is said again.
const REPEAT: Duration = Duration::from_secs(10);

/// ExaBGP, and the service addresses.
#[derive(Debug, Clone)]
pub struct ExabgpPipe {
    /// The named pipe.
    pub pipe: PathBuf,
    /// The service addresses.
    pub addresses: Vec<IpAddr>,
    /// The longest that one [`ExabgpPipe::set`] may take.
    pub timeout: Duration,
    /// What was said last, and when; `None`: nothing, or not all of it.
    pub said: Option<(bool, Instant)>,
}

impl ExabgpPipe {
    /// Announces or withdraws every address, unless that was said within the last seconds. Returns
    /// whether the opposite was said before.
    ///
    /// # Errors
    /// A sentence: nobody reads the pipe, or not in time.
    pub fn set(&mut self, is_announced: bool) -> Result<bool, String> {
        let said = self.said.filter(|(said, _)| *said == is_announced);
        if said.is_some_and(|(_, at)| at.elapsed() < REPEAT) {
            return Ok(false);
        }
        let has_changed = said.is_none();
        self.said = None;
        self.write(&self.commands(is_announced))
            .map_err(|sentence| {
                format!(
                    "ExaBGP cannot be told at {}: {sentence}",
                    self.pipe.display()
                )
            })?;
        self.said = Some((is_announced, Instant::now()));
        Ok(has_changed)
    }

    fn commands(&self, is_announced: bool) -> String {
        let word = if is_announced { "announce" } else { "withdraw" };
        let mut commands = String::new();
        for address in &self.addresses {
            let prefix = if address.is_ipv4() { 32 } else { 128 };
            commands += &format!("{word} route {address}/{prefix} next-hop self\n");
        }
        commands
    }

    /// Writes the commands at once. They are shorter than a pipe takes as a whole (pipe(7),
    /// `PIPE_BUF`), so those of two writers do not mix.
    fn write(&self, commands: &str) -> Result<(), String> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = open(&self.pipe, flags, Mode::empty()).map_err(|error| match error {
            Errno::NXIO => "nobody reads it; is ExaBGP running?".to_owned(),
            error => error.to_string(),
        })?;
        let is_pipe =
            fstat(&opened).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_fifo());
        if !is_pipe {
            return Err("it is no named pipe".to_owned());
        }
        let mut pipe = File::from(opened);
        let deadline = Instant::now() + self.timeout;
        loop {
            match pipe.write(commands.as_bytes()) {
                Ok(size) if size == commands.len() => return Ok(()),
                Ok(_) => return Err("it took a part of the commands only".to_owned()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.to_string()),
            }
            let left = left(deadline).map_err(|_| "it is full, and nobody reads it".to_owned())?;
            let left = Timespec::try_from(left).ok();
            let mut polled = [PollFd::new(&pipe, PollFlags::OUT)];
            match poll(&mut polled, left.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    /// A pipe in a folder, and the end that ExaBGP would read.
    fn pipe() -> (tempfile::TempDir, ExabgpPipe, File) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exabgp.in");
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        );
        made.unwrap();
        let reader = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(&path)
            .unwrap();
        let pipe = ExabgpPipe {
            pipe: path,
            addresses: vec![
                "192.0.2.53".parse().unwrap(),
                "2001:db8::53".parse().unwrap(),
            ],
            timeout: Duration::from_millis(100),
            said: None,
        };
        (folder, pipe, reader)
    }

    fn read(mut reader: &File) -> String {
        let mut octets = [0; 4096];
        match reader.read(&mut octets) {
            Ok(size) => String::from_utf8_lossy(&octets[..size]).into_owned(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => String::new(),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn each_address_has_a_line_that_is_said_once_until_it_changes() {
        let (_folder, mut pipe, reader) = pipe();
        assert_eq!(pipe.set(true), Ok(true));
        assert_eq!(
            read(&reader),
            "announce route 192.0.2.53/32 next-hop self\n\
             announce route 2001:db8::53/128 next-hop self\n"
        );
        assert_eq!(pipe.set(true), Ok(false));
        assert_eq!(read(&reader), "");
        assert_eq!(pipe.set(false), Ok(true));
        assert!(read(&reader).starts_with("withdraw route 192.0.2.53/32 next-hop self\n"));
        pipe.said = Some((false, Instant::now() - REPEAT));
        assert_eq!(pipe.set(false), Ok(false));
        assert!(read(&reader).starts_with("withdraw"), "it is said again");
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_an_error_within_the_timeout_and_said_again_later() {
        let (_folder, mut pipe, reader) = pipe();
        let lines = pipe.commands(true);
        let began = Instant::now();
        let mut error = None;
        for round in 0..100_000 {
            pipe.said = None;
            if let Err(sentence) = pipe.set(round % 2 == 0) {
                error = Some(sentence);
                break;
            }
        }
        assert!(error.unwrap().contains("it is full"));
        assert!(began.elapsed() < Duration::from_secs(5));
        assert!(read(&reader).starts_with(&lines), "no line is cut");
        drop(reader);
        assert!(pipe.set(true).unwrap_err().contains("is ExaBGP running?"));
        assert!(pipe.said.is_none());
    }

    #[test]
    fn a_file_is_not_written() {
        let (folder, mut pipe, _reader) = pipe();
        pipe.pipe = folder.path().join("file");
        assert!(pipe.set(true).is_err(), "it does not exist");
        std::fs::write(&pipe.pipe, "precious").unwrap();
        assert!(pipe.set(true).unwrap_err().contains("no named pipe"));
        assert_eq!(std::fs::read_to_string(&pipe.pipe).unwrap(), "precious");
    }
}

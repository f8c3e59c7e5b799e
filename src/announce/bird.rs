//! BIRD's control socket: enables and disables the protocols that hold the routes.
//!
//! The socket speaks lines. A reply ends with the line in which a space follows the code of four
//! digits; other lines have a `-` there, or begin with a space or a `+` (BIRD's programmer's
//! documentation, "Command line interface"). Enabling what is enabled changes nothing, so a round
//! simply says what holds, and a BIRD that was restarted hears it.
//!
//! ```text
//! 0001 BIRD 2.0.12 ready.
//! enable meridian
//! 0011-meridian: enabled
//! 0000
//! ```

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use super::test_query::{is_timeout, left};

/// The longest reply that is read, in octets. Those to our commands have less than 200.
const MOST: usize = 16 * 1024;

/// BIRD, and the protocols that hold the routes to the service addresses.
#[derive(Debug, Clone)]
pub struct BirdControl {
    /// The control socket.
    pub socket: PathBuf,
    /// The names of the protocols.
    pub protocols: Vec<String>,
    /// The longest that all of one [`BirdControl::set`] may take.
    pub timeout: Duration,
}

impl BirdControl {
    /// Enables or disables every protocol. Returns whether any was otherwise.
    ///
    /// # Errors
    /// A sentence: BIRD cannot be reached, does not answer in time, or refuses.
    pub fn set(&self, is_announced: bool) -> Result<bool, String> {
        let word = if is_announced { "enable" } else { "disable" };
        let mut session = BirdSession::open(&self.socket, self.timeout)?;
        let mut result = Ok(false);
        for protocol in &self.protocols {
            let reply = session.command(&format!("{word} {protocol}\n"));
            // The others are told whatever is wrong with one.
            result = match (result, reply.and_then(|reply| judge(&reply, protocol))) {
                (Ok(before), Ok(now)) => Ok(before | now),
                (Err(first), _) | (Ok(_), Err(first)) => Err(first),
            };
        }
        result
    }
}

/// Whether a reply to `enable` or `disable` says that something has changed.
fn judge(reply: &BirdReply, protocol: &str) -> Result<bool, String> {
    match reply.code {
        9 | 11 => Ok(true),
        8 | 10 => Ok(false),
        16 | 8007 => Err("BIRD denies it: this is a restricted control socket".to_owned()),
        9001 if reply.text.contains("CF_SYM_UNDEFINED") => {
            Err(format!("BIRD has no protocol \"{protocol}\""))
        }
        code => Err(format!("BIRD answers {code:04} {}", reply.text)),
    }
}

/// The first line of a reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct BirdReply {
    code: u16,
    text: String,
}

/// One connection, with an end for everything that happens on it.
struct BirdSession<'p> {
    stream: UnixStream,
    path: &'p Path,
    deadline: Instant,
    /// What was read and not used.
    octets: Vec<u8>,
}

impl<'p> BirdSession<'p> {
    fn open(path: &'p Path, timeout: Duration) -> Result<BirdSession<'p>, String> {
        let deadline = Instant::now() + timeout;
        let stream = connect(path, timeout).map_err(|error| {
            let path = path.display();
            format!("BIRD cannot be reached at {path}: {error}")
        })?;
        let mut session = BirdSession {
            stream,
            path,
            deadline,
            octets: Vec::new(),
        };
        let greeting = session.reply()?;
        if greeting.code == 1 {
            return Ok(session);
        }
        let BirdReply { code, text } = greeting;
        Err(format!(
            "{} is no control socket of BIRD: it says {code:04} {text}",
            path.display()
        ))
    }

    fn command(&mut self, line: &str) -> Result<BirdReply, String> {
        let sent = self.send(line);
        sent.map_err(|error| self.lost(&error))?;
        self.reply()
    }

    fn send(&mut self, line: &str) -> io::Result<()> {
        let left = left(self.deadline)?;
        self.stream.set_write_timeout(Some(left))?;
        self.stream.write_all(line.as_bytes())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = left(self.deadline)?;
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }

    /// The first line with a code, once the last line is there.
    fn reply(&mut self) -> Result<BirdReply, String> {
        let mut first = None;
        let mut size = 0;
        loop {
            let line = self.line(&mut size)?;
            let Some((code, mark)) = code_of(&line) else {
                if line.first().is_some_and(|octet| b" +".contains(octet)) {
                    continue;
                }
                let path = self.path.display();
                return Err(format!("{path} is no control socket of BIRD"));
            };
            let text = line.get(5..).unwrap_or_default();
            let text = String::from_utf8_lossy(text).trim().to_owned();
            let reply = first.get_or_insert(BirdReply { code, text });
            if mark == b' ' {
                return Ok(std::mem::take(reply));
            }
        }
    }

    /// The next line, without its end.
    fn line(&mut self, size: &mut usize) -> Result<Vec<u8>, String> {
        loop {
            if let Some(end) = self.octets.iter().position(|octet| *octet == b'\n') {
                let mut line: Vec<u8> = self.octets.drain(..=end).collect();
                line.pop();
                return Ok(line);
            }
            let mut buffer = [0; 1024];
            let read = self.receive(&mut buffer);
            let count = read.map_err(|error| self.lost(&error))?;
            *size += count;
            if count == 0 || *size > MOST {
                let path = self.path.display();
                return Err(format!("BIRD's reply at {path} is cut off or too long"));
            }
            self.octets
                .extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
    }

    fn lost(&self, error: &io::Error) -> String {
        let path = self.path.display();
        if is_timeout(error) {
            return format!("BIRD does not answer in time at {path}");
        }
        format!("the connection to BIRD at {path} is lost: {error}")
    }
}

/// Connects before the timeout, also where the other end does not accept.
fn connect(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.connect_timeout(&address, timeout)?;
    Ok(UnixStream::from(socket))
}

/// The code of a line and the octet behind it.
fn code_of(line: &[u8]) -> Option<(u16, u8)> {
    let (digits, rest) = line.split_first_chunk::<4>()?;
    let mark = *rest.first()?;
    let is_code = digits.iter().all(u8::is_ascii_digit) && b" -".contains(&mark);
    let digits = str::from_utf8(digits).ok().filter(|_| is_code)?;
    Some((digits.parse().ok()?, mark))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    /// A control socket that greets and then answers each line with the next of these texts; what it
    /// heard.
    fn serve(
        texts: Vec<Vec<u8>>,
    ) -> (
        tempfile::TempDir,
        BirdControl,
        thread::JoinHandle<Vec<String>>,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bird.ctl");
        let listener = UnixListener::bind(&socket).unwrap();
        let heard = thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(peer.try_clone().unwrap()).lines();
            let mut heard = Vec::new();
            for (at, text) in texts.iter().enumerate() {
                if at > 0 {
                    match lines.next() {
                        Some(Ok(line)) => heard.push(line),
                        _ => break,
                    }
                }
                let _ = peer.write_all(text);
            }
            heard
        });
        let control = BirdControl {
            socket,
            protocols: vec!["four".into(), "six".into()],
            timeout: Duration::from_millis(300),
        };
        (folder, control, heard)
    }

    const READY: &[u8] = b"0001 BIRD 2.0.12 ready.\n";

    #[test]
    fn every_protocol_is_told_and_changes_are_noticed() {
        for (is_announced, first, changed) in [
            (true, "0011-four: enabled\n", true),
            (true, "0010-four: already enabled\n", false),
            (false, "0009-four: disabled\n", true),
            (false, "0008-four: already disabled\n", false),
        ] {
            let code = if is_announced { "0010-six" } else { "0008-six" };
            let first = format!("+ a message of the log\n{first}0000 \n");
            let second = format!("{code}: already\n more\n0000 \n");
            let texts = vec![READY.to_vec(), first.into(), second.into()];
            let (_folder, control, heard) = serve(texts);
            assert_eq!(control.set(is_announced), Ok(changed));
            let word = if is_announced { "enable" } else { "disable" };
            let heard = heard.join().unwrap();
            assert_eq!(heard, [format!("{word} four"), format!("{word} six")]);
        }
    }

    #[test]
    fn each_way_of_going_wrong_has_its_sentence() {
        let undefined = b"9001 syntax error, unexpected CF_SYM_UNDEFINED, expecting ALL\n";
        let ready = READY.to_vec();
        let long = [&b"0011-"[..], &vec![b'a'; 40_000], b"\n0000 \n"].concat();
        for (texts, expected) in [
            (vec![], "is lost"),
            (vec![b"220 mail ready\n".to_vec()], "is no control socket"),
            (
                vec![b"0016 Access restricted\n".to_vec()],
                "is no control socket",
            ),
            (
                vec![ready.clone(), b"8007 Access denied\n".to_vec()],
                "restricted",
            ),
            (
                vec![ready.clone(), undefined.to_vec()],
                "no protocol \"four\"",
            ),
            (
                vec![ready.clone(), b"9001 syntax error\n".to_vec()],
                "9001 syntax error",
            ),
            (vec![ready.clone(), long], "too long"),
            (vec![ready.clone(), b"0011-four".to_vec()], "cut off"),
        ] {
            let (_folder, control, _heard) = serve(texts);
            let sentence = control.set(true).unwrap_err();
            let is_lost = expected == "is lost" && sentence.contains("cut off");
            assert!(
                sentence.contains(expected) || is_lost,
                "{expected}: {sentence}"
            );
        }
    }

    #[test]
    fn one_that_is_gone_or_silent_takes_no_longer_than_the_timeout() {
        let folder = tempfile::tempdir().unwrap();
        let mut control = BirdControl {
            socket: folder.path().join("bird.ctl"),
            protocols: vec!["four".into()],
            timeout: Duration::from_millis(300),
        };
        assert!(control.set(true).unwrap_err().contains("cannot be reached"));
        let _listener = UnixListener::bind(&control.socket).unwrap();
        let began = Instant::now();
        assert!(control.set(true).unwrap_err().contains("in time"));
        assert!(began.elapsed() < Duration::from_millis(900));
        control.socket = "a".repeat(200).into();
        assert!(control.set(true).unwrap_err().contains("cannot be reached"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_reply_breaks_it(
            replies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..4),
        ) {
            let (_folder, mut control, _heard) = serve(
                [vec![READY.to_vec()], replies].concat()
            );
            control.timeout = Duration::from_millis(20);
            let _ = control.set(true);
        }

        #[test]
        fn a_code_is_four_digits_and_a_mark(line in prop::collection::vec(any::<u8>(), 0..8)) {
            if let Some((code, mark)) = code_of(&line) {
                let start = format!("{code:04}{}", char::from(mark));
                prop_assert!(line.starts_with(start.as_bytes()));
            }
        }
    }
}

//! Reads a message as strictly as the RFCs allow: nothing here is shared with the server.
//!
//! Pointers go backwards only, every count is kept, nothing stands behind the last record, and there is at most one
//! OPT record.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::types;

/// A message that was read to its last octet.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: u16,
    pub flags: u16,
    /// The question's octets: name, type, class.
    pub question: Vec<u8>,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    /// Without OPT.
    pub additionals: Vec<Record>,
    pub opt: Option<Opt>,
    /// Its length on the wire.
    pub length: usize,
}

/// A record; names are written out, with `\DDD` for odd octets and a final dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub owner: String,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    /// Presentation form of common types, hexadecimal digits of the others.
    pub data: String,
}

/// The OPT record.
#[derive(Debug, Clone)]
pub struct Opt {
    pub payload: u16,
    pub extended_rcode: u8,
    pub version: u8,
    pub flags: u16,
    pub options: Vec<(u16, Vec<u8>)>,
}

impl Message {
    /// Reads a whole message; the error says what is wrong with it.
    pub fn read(octets: &[u8]) -> Result<Message, String> {
        let mut reader = Reader { octets, at: 0 };
        let id = reader.u16()?;
        let flags = reader.u16()?;
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        if counts[0] > 1 {
            return Err(format!("{} questions", counts[0]));
        }
        let start = reader.at;
        for _ in 0..counts[0] {
            reader.name()?;
            reader.take(4)?;
        }
        let question = octets[start..reader.at].to_vec();
        let mut opt = None;
        let mut sections = [Vec::new(), Vec::new(), Vec::new()];
        for (section, &count) in counts[1..].iter().enumerate() {
            for _ in 0..count {
                match reader.record()? {
                    Parsed::Record(record) => sections[section].push(record),
                    Parsed::Opt(_) if section != 2 => {
                        return Err("an OPT record outside the additional section".into());
                    }
                    Parsed::Opt(_) if opt.is_some() => return Err("two OPT records".into()),
                    Parsed::Opt(read) => opt = Some(read),
                }
            }
        }
        if reader.at != octets.len() {
            return Err(format!(
                "{} octets behind the last record",
                octets.len() - reader.at
            ));
        }
        let [answers, authorities, additionals] = sections;
        Ok(Message {
            id,
            flags,
            question,
            answers,
            authorities,
            additionals,
            opt,
            length: octets.len(),
        })
    }

    /// The values of an option, if there is an OPT record.
    pub fn option(&self, code: u16) -> impl Iterator<Item = &[u8]> {
        self.opt.iter().flat_map(move |opt| opt.option(code))
    }

    /// All twelve bits of the response code (RFC 6891 section 6.1.3).
    pub fn rcode(&self) -> u16 {
        self.opt
            .as_ref()
            .map_or(0, |opt| u16::from(opt.extended_rcode) << 4)
            | self.flags & 0xf
    }

    pub fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    pub fn opcode(&self) -> u16 {
        self.flags >> 11 & 0xf
    }

    pub fn is_authoritative(&self) -> bool {
        self.flags & 0x0400 != 0
    }

    pub fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// Whether it holds no record but OPT.
    pub fn is_bare(&self) -> bool {
        self.answers.is_empty() && self.authorities.is_empty() && self.additionals.is_empty()
    }
}

impl Opt {
    /// Values of one option, in order.
    pub fn option(&self, code: u16) -> impl Iterator<Item = &[u8]> {
        self.options
            .iter()
            .filter(move |(known, _)| *known == code)
            .map(|(_, value)| &value[..])
    }
}

enum Parsed {
    Record(Record),
    Opt(Opt),
}

struct Reader<'o> {
    octets: &'o [u8],
    at: usize,
}

impl<'o> Reader<'o> {
    fn take(&mut self, count: usize) -> Result<&'o [u8], String> {
        let taken = self
            .octets
            .get(self.at..self.at + count)
            .ok_or(format!("ends inside something at {}", self.at))?;
        self.at += count;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.take(2)
            .map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.take(4)
            .map(|octets| u32::from_be_bytes(octets.try_into().expect("four were taken")))
    }

    /// A name, its pointers followed; each must point before the place where the last one was found.
    fn name(&mut self) -> Result<String, String> {
        let (mut at, mut limit, mut end) = (self.at, self.at, None);
        let (mut text, mut length) = (String::new(), 1);
        loop {
            let octet = *self.octets.get(at).ok_or("a name runs over the end")?;
            match octet {
                0 => break,
                1..=63 => {
                    let label = self
                        .octets
                        .get(at + 1..at + 1 + usize::from(octet))
                        .ok_or("a label over the end")?;
                    length += 1 + label.len();
                    label
                        .iter()
                        .for_each(|&octet| write_octet(&mut text, octet));
                    text.push('.');
                    at += 1 + label.len();
                }
                0xc0.. => {
                    let low = *self.octets.get(at + 1).ok_or("a pointer over the end")?;
                    let target = usize::from(octet & 0x3f) << 8 | usize::from(low);
                    if target >= limit || target < 12 {
                        return Err(format!(
                            "the pointer at {at} points to {target}, not backwards"
                        ));
                    }
                    end.get_or_insert(at + 2);
                    (at, limit) = (target, target);
                }
                _ => return Err(format!("a label of kind {octet:#x}")),
            }
            if length > 255 {
                return Err("a name of more than 255 octets".into());
            }
        }
        self.at = end.unwrap_or(at + 1);
        Ok(if text.is_empty() {
            ".".to_owned()
        } else {
            text
        })
    }

    fn record(&mut self) -> Result<Parsed, String> {
        let owner = self.name()?;
        let (rtype, class, ttl, length) = (self.u16()?, self.u16()?, self.u32()?, self.u16()?);
        let end = self.at + usize::from(length);
        if end > self.octets.len() {
            return Err(format!("the data of {owner} type {rtype} run over the end"));
        }
        if rtype == types::OPT {
            if owner != "." {
                return Err(format!("OPT belongs to {owner}"));
            }
            return self.options(end, class, ttl).map(Parsed::Opt);
        }
        if ttl > i32::MAX as u32 {
            return Err(format!("{owner} has a TTL of {ttl} (RFC 2181 section 8)"));
        }
        let data = self.data(rtype, end)?;
        if self.at != end {
            return Err(format!(
                "the data of {owner} type {rtype} are not as long as they say"
            ));
        }
        Ok(Parsed::Record(Record {
            owner,
            rtype,
            class,
            ttl,
            data,
        }))
    }

    fn options(&mut self, end: usize, payload: u16, ttl: u32) -> Result<Opt, String> {
        let mut options = Vec::new();
        while self.at < end {
            let (code, length) = (self.u16()?, self.u16()?);
            options.push((code, self.take(length.into())?.to_vec()));
        }
        if self.at != end {
            return Err("an option runs over the end of OPT".into());
        }
        Ok(Opt {
            payload,
            extended_rcode: (ttl >> 24) as u8,
            version: (ttl >> 16) as u8,
            flags: ttl as u16,
            options,
        })
    }

    fn data(&mut self, rtype: u16, end: usize) -> Result<String, String> {
        Ok(match rtype {
            types::A => {
                let octets: [u8; 4] = self
                    .take(end - self.at)?
                    .try_into()
                    .map_err(|_| "A of another length")?;
                Ipv4Addr::from(octets).to_string()
            }
            types::AAAA => {
                let octets: [u8; 16] = self
                    .take(end - self.at)?
                    .try_into()
                    .map_err(|_| "AAAA of another length")?;
                Ipv6Addr::from(octets).to_string()
            }
            types::NS | types::CNAME | types::PTR | types::DNAME => self.name()?,
            types::MX => format!("{} {}", self.u16()?, self.name()?),
            types::SOA => {
                let names = format!("{} {}", self.name()?, self.name()?);
                let numbers = [
                    self.u32()?,
                    self.u32()?,
                    self.u32()?,
                    self.u32()?,
                    self.u32()?,
                ];
                format!(
                    "{names} {}",
                    numbers.map(|number| number.to_string()).join(" ")
                )
            }
            types::TXT => {
                let mut strings = Vec::new();
                while self.at < end {
                    let length = self.take(1)?[0];
                    strings.push(self.take(length.into())?.escape_ascii().to_string());
                }
                strings.join(" ")
            }
            _ => self
                .take(end - self.at)?
                .iter()
                .map(|octet| format!("{octet:02x}"))
                .collect(),
        })
    }
}

fn write_octet(text: &mut String, octet: u8) {
    match octet {
        b'.' | b'\\' => text.extend(['\\', octet as char]),
        0x21..=0x7e => text.push(octet as char),
        _ => text.push_str(&format!("\\{octet:03}")),
    }
}

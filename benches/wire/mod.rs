//! Queries in wire form, as resolvers send them: EDNS with 1,232 octets, and a client subnet or none.

// Each bench is a crate of its own and uses what it needs.
#![allow(dead_code)]

/// A kind of query, by what the answer to it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A steered name, a random public IPv4 client subnet.
    SteeredSubnet,
    /// A steered name, no client subnet.
    Steered,
    /// A steered name's IPv6 addresses, a random IPv6 client subnet.
    SteeredSubnetV6,
    /// A record of the zone.
    Static,
    /// A random name that does not exist.
    NoName,
    /// A type that the name does not have.
    NoData,
    /// A name below a delegation.
    Referral,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 7] = [
        Kind::SteeredSubnet,
        Kind::Steered,
        Kind::SteeredSubnetV6,
        Kind::Static,
        Kind::NoName,
        Kind::NoData,
        Kind::Referral,
    ];

    /// What tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::SteeredSubnet => "steered-subnet",
            Kind::Steered => "steered",
            Kind::SteeredSubnetV6 => "steered-subnet-v6",
            Kind::Static => "static",
            Kind::NoName => "no-name",
            Kind::NoData => "no-data",
            Kind::Referral => "referral",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// `count` queries, the same on every run.
    pub fn queries(self, count: usize) -> Vec<Vec<u8>> {
        let mut random = Random(7);
        (0..count)
            .map(|id| self.query(id as u16, &mut random))
            .collect()
    }

    /// The same queries with the DO flag, which asks for signatures.
    pub fn queries_with_do(self, count: usize) -> Vec<Vec<u8>> {
        let mut queries = self.queries(count);
        let option = match self {
            Kind::SteeredSubnet => 11,
            Kind::SteeredSubnetV6 => 14,
            _ => 0,
        };
        for query in &mut queries {
            // The flags stand before the length of the options and the option itself.
            let at = query.len() - option - 4;
            query[at] |= 0x80;
        }
        queries
    }

    /// Queries without an end.
    pub fn endless(self) -> Endless {
        Endless {
            kind: self,
            queries: self.queries(1 << 16),
            next: 0,
            random: Random(11),
        }
    }

    fn query(self, id: u16, random: &mut Random) -> Vec<u8> {
        const A: u16 = 1;
        const TXT: u16 = 16;
        const AAAA: u16 = 28;
        match self {
            Kind::SteeredSubnet => query(id, "www.example.com", A, &subnet_v4(random)),
            Kind::Steered => query(id, "www.example.com", A, &[]),
            Kind::SteeredSubnetV6 => query(id, "www.example.com", AAAA, &subnet_v6(random)),
            Kind::Static => query(id, "static.example.com", A, &[]),
            Kind::NoName => query(
                id,
                &format!("x{:08x}.example.com", random.next() as u32),
                A,
                &[],
            ),
            Kind::NoData => query(id, "static.example.com", TXT, &[]),
            Kind::Referral => query(id, "host.below.example.com", A, &[]),
        }
    }
}

/// Queries of a kind one after the other, the same ones again and again; but a name that does not exist is never asked
/// for twice.
pub struct Endless {
    kind: Kind,
    queries: Vec<Vec<u8>>,
    next: usize,
    random: Random,
}

impl Endless {
    /// How many were written.
    pub fn written(&self) -> usize {
        self.next
    }

    /// Writes the next query; returns its length.
    pub fn write(&mut self, buffer: &mut [u8]) -> usize {
        let query = &self.queries[self.next % self.queries.len()];
        self.next += 1;
        buffer[..query.len()].copy_from_slice(query);
        if self.kind == Kind::NoName {
            // Behind the header, the length of the label and its `x`.
            for (octet, four) in buffer[14..22]
                .iter_mut()
                .zip(self.random.next().to_be_bytes())
            {
                *octet = b"0123456789abcdef"[usize::from(four & 15)];
            }
        }
        query.len()
    }
}

/// A query with one option of EDNS, or none.
pub fn query(id: u16, name: &str, rtype: u16, option: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(128);
    wire.extend(id.to_be_bytes());
    wire.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    for label in name.split('.') {
        wire.push(label.len() as u8);
        wire.extend(label.bytes());
    }
    wire.push(0);
    wire.extend([rtype.to_be_bytes(), [0, 1]].concat());
    wire.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0]);
    wire.extend((option.len() as u16).to_be_bytes());
    wire.extend(option);
    wire
}

/// A /24 of space that is routed: the first octet is 1..=223, but not 10 and not 127.
fn subnet_v4(random: &mut Random) -> Vec<u8> {
    let first = loop {
        let octet = (random.next() % 223 + 1) as u8;
        if octet != 10 && octet != 127 {
            break octet;
        }
    };
    let rest = random.next().to_be_bytes();
    vec![0, 8, 0, 7, 0, 1, 24, 0, first, rest[0], rest[1]]
}

/// A /48 of 2000::/3.
fn subnet_v6(random: &mut Random) -> Vec<u8> {
    let rest = random.next().to_be_bytes();
    let mut option = vec![0, 8, 0, 10, 0, 2, 48, 0];
    option.push(0x20 | rest[0] & 0x1f);
    option.extend(&rest[1..6]);
    option
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// Uniform over all of `u64`.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

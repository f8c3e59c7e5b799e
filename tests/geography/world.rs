//! Worlds made of a configuration text, and questions to them without sockets.

use std::fs;
use std::net::IpAddr;

use meridian::answer::{Transport, answer};
use meridian::control::{LoadedState, load};
use meridian::dns::QueryScratch;
use meridian::steering::pick::next_draw;

use crate::harness::query::{OptSent, Question};
use crate::harness::{Message, types};

const ZONE: &str =
    "$ORIGIN example.test.\n$TTL 1h\n@ SOA ns hostmaster 1 4h 1h 2w 5m\n  NS ns\nns A 192.0.2.53\n";

/// A small generator, so that a failure can be seen again.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = next_draw(self.0);
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

/// Loads a configuration; its folder is gone afterwards.
pub fn world(config: &str) -> LoadedState {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("zones")).expect("an empty folder");
    fs::write(folder.path().join("zones/example.test.zone"), ZONE).expect("writable");
    let file = folder.path().join("meridian.toml");
    fs::write(&file, config).expect("writable");
    load(&file, None).unwrap_or_else(|mistakes| panic!("{}", mistakes.join("\n")))
}

/// Asks for a name's A records; `subnet` is an address and a prefix length.
pub fn ask(
    loaded: &LoadedState,
    name: &str,
    source: IpAddr,
    subnet: Option<(IpAddr, u8)>,
    draw: u64,
) -> Message {
    ask_for(loaded, name, types::A, source, subnet, draw)
}

/// The same for records of any type.
pub fn ask_for(
    loaded: &LoadedState,
    name: &str,
    rtype: u16,
    source: IpAddr,
    subnet: Option<(IpAddr, u8)>,
    draw: u64,
) -> Message {
    let mut question = Question::new(name, rtype);
    if let Some((address, prefix)) = subnet {
        question.opt = Some(OptSent::default());
        question = question.option(8, &subnet_value(address, prefix));
    }
    let mut buffer = [0; 1232];
    let moment = loaded.snapshot.context(draw);
    let answered = answer(
        &question.octets(),
        source.into(),
        Transport::Udp,
        &moment,
        &mut QueryScratch::default(),
        &mut buffer,
    );
    Message::read(&buffer[..answered.length]).expect("a good reply")
}

/// The option's value, with the bits behind the prefix cleared.
fn subnet_value(address: IpAddr, prefix: u8) -> Vec<u8> {
    let (family, mut octets) = match address {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    octets.truncate(usize::from(prefix).div_ceil(8));
    if let Some(last) = octets.last_mut().filter(|_| !prefix.is_multiple_of(8)) {
        *last &= 0xff << (8 - prefix % 8);
    }
    [vec![0, family, prefix, 0], octets].concat()
}

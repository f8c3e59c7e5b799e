//! Reads a long file in blocks, on two threads.
//!
//! What a line of a master file means depends on the lines before it: the origin, the default TTL,
//! the last owner and TTL. After the head of a file, these rarely change. So the head is read first;
//! the rest is divided into blocks that begin with the owner of a record, and each is read as if
//! nothing but the state after the head came before it. A block in which that could matter (it has a
//! directive, an SOA, a mistake, or an open parenthesis) ends this: from there on, the file is read
//! in its order. The result is the same either way.
//!
//! Blocks end where the content says so, not at a fixed length. After an edit, the same blocks are
//! found again before and behind it.

use std::path::Path;

use super::{Owner, ZoneReader};
use crate::dns::Name;
use crate::two_threads::each;
use crate::zone::error::ZoneReport;
use crate::zone::known::FileBlocks;
use crate::zone::scanner::{Scanner, without_mark};
use crate::zone::store::RecordStore;

/// The least length of a block, in octets.
const LEAST: usize = 32 << 10;
/// From this length on, a block ends at the next line that can begin another.
const MOST: usize = 256 << 10;
/// One line in so many ends a block that is long enough.
const ENDS: u64 = 128;
/// How many blocks are in memory beside the records that they add to.
const TOGETHER: usize = 128;

/// What a block of a file is read with, besides its text.
#[derive(Debug, Clone)]
pub struct BlockStart {
    /// Completes relative names.
    origin: Option<Name>,
    /// Of `$TTL`.
    default_ttl: Option<u32>,
    /// Of the record before.
    last_ttl: Option<u32>,
}

impl BlockStart {
    /// Whether blocks mean the same after both; the case of the origin counts.
    pub fn is_like(&self, other: &BlockStart) -> bool {
        self.origin_wire() == other.origin_wire()
            && self.default_ttl == other.default_ttl
            && self.last_ttl == other.last_ttl
    }

    fn origin_wire(&self) -> Option<&[u8]> {
        self.origin.as_ref().map(Name::as_wire)
    }
}

/// A block that was read without a mistake.
pub struct BlockRead {
    /// Its records, with lines counted from its start.
    pub records: RecordStore,
    /// The last TTL that a record in it states.
    stated_ttl: Option<u32>,
    /// A record takes its TTL from the one before the block.
    pub needs_last_ttl: bool,
    /// Its number of lines.
    pub lines: u32,
}

impl ZoneReader<'_> {
    /// Reads the text of the zone's own file. What is returned lets the next load find what was
    /// edited; `None` if the file is short, or was not read by blocks to its end.
    pub fn read_file(&mut self, text: &[u8]) -> Option<FileBlocks> {
        let text = without_mark(text);
        let mut scanner = Scanner::new(text);
        let start = self.read_head(text, &mut scanner);
        let mut known = None;
        if scanner.position().0 < text.len()
            && let Some(start) = start
        {
            let mut blocks = FileBlocks::new(start);
            let (head, line) = scanner.position();
            blocks.add(&text[..head], &self.reading.records, line - 1);
            let is_whole = self.read_blocks(text, &mut blocks, &mut scanner);
            known = is_whole.then_some(blocks);
        }
        self.read(0, &mut scanner, usize::MAX);
        known
    }

    /// Reads the first block, and returns what the others start with. `None`: they are not read by
    /// themselves.
    pub fn read_head(&mut self, text: &[u8], scanner: &mut Scanner<'_>) -> Option<BlockStart> {
        let head = block_end(text, 0);
        self.read(0, scanner, head);
        self.block_start().filter(|_| scanner.position().0 == head)
    }

    /// Reads blocks until one must be read in its order, which is where the scanner is then. Returns
    /// whether there was none, and no block depends on another.
    fn read_blocks(
        &mut self,
        text: &[u8],
        known: &mut FileBlocks,
        scanner: &mut Scanner<'_>,
    ) -> bool {
        let mut is_whole = true;
        let start = &known.start.clone();
        loop {
            let (mut at, mut line) = scanner.position();
            let mut blocks = Vec::new();
            while at < text.len() && blocks.len() < TOGETHER {
                let end = block_end(text, at);
                blocks.push(&text[at..end]);
                at = end;
            }
            if blocks.is_empty() {
                return is_whole;
            }
            let read = each(&blocks, |block| {
                let read = BlockRead::of(start, block)?;
                let known = known.block(block, &read.records, read.lines);
                Some((read, known))
            });
            for (block, read) in blocks.iter().zip(read) {
                let Some((read, block_known)) =
                    read.filter(|(read, _)| self.add_block(read, start, line - 1))
                else {
                    return false;
                };
                is_whole &= !read.needs_last_ttl;
                known.blocks.push(block_known);
                line += read.lines;
                scanner.go_to((scanner.position().0 + block.len(), line));
            }
        }
    }

    /// What a block at this place starts with. `None`: the file is not read by blocks, because
    /// something in its head makes them depend on more.
    fn block_start(&self) -> Option<BlockStart> {
        let is_simple = self.report.errors.is_empty()
            && self.soa_minimum.is_some()
            && !self.reading.saw_wrong_soa
            && self.reading.files.len() == 1
            && self.generated == 0;
        is_simple.then(|| BlockStart {
            origin: self.origin.clone(),
            default_ttl: self.default_ttl,
            last_ttl: self.last_ttl,
        })
    }

    /// Adds a block whose text starts so many lines below the first. False: it depends on something
    /// that was not so, and nothing was added.
    fn add_block(&mut self, block: &BlockRead, start: &BlockStart, lines: u32) -> bool {
        let fits = !block.needs_last_ttl || self.last_ttl == start.last_ttl;
        if !fits || self.reading.records.append(&block.records, lines).is_err() {
            return false;
        }
        self.last_ttl = block.stated_ttl.or(self.last_ttl);
        // The next block begins with an owner of its own.
        self.owner = Owner::Unknown;
        self.owner_text.clear();
        true
    }
}

impl BlockRead {
    /// Reads a block. `None`: it must be read in its order.
    pub fn of(start: &BlockStart, text: &[u8]) -> Option<BlockRead> {
        let mut report = ZoneReport::default();
        let mut reader = ZoneReader::new(Path::new(""), start.origin.as_ref(), None, &mut report);
        reader.is_block = true;
        reader.default_ttl = start.default_ttl;
        reader.inherited_ttl = start.last_ttl;
        reader.reading.records = RecordStore::with_capacity(text.len(), text.len() / 24);
        let mut scanner = Scanner::new(text);
        reader.read(0, &mut scanner, usize::MAX);
        let ZoneReader {
            reading,
            last_ttl: stated_ttl,
            needs_last_ttl,
            ..
        } = reader;
        let is_good = report.errors.is_empty() && report.warnings.is_empty();
        is_good.then_some(BlockRead {
            records: reading.records,
            stated_ttl,
            needs_last_ttl,
            lines: scanner.position().1 - 1,
        })
    }
}

/// The end of the block that starts at this offset: where a line begins with the owner of a record,
/// or the end of the text.
pub fn block_end(text: &[u8], start: usize) -> usize {
    let mut at = start.saturating_add(LEAST);
    while let Some(rest) = text.get(at..)
        && let Some(end) = rest.iter().position(|&octet| octet == b'\n')
    {
        at += end + 1;
        let line = &text[at..];
        let begins = line.first().is_some_and(|&octet| begins_with_owner(octet));
        if begins && (at - start >= MOST || ends_block(line)) {
            return at;
        }
    }
    text.len()
}

/// Whether a line that begins so begins with an owner, if no parenthesis is open.
fn begins_with_owner(octet: u8) -> bool {
    !matches!(
        octet,
        b' ' | b'\t' | b'\r' | b'\n' | b';' | b'$' | b'(' | b')' | b'"'
    )
}

/// Whether a block ends in front of this line, which its first octets decide.
fn ends_block(line: &[u8]) -> bool {
    let mut hash = 0_u64;
    for &octet in &line[..line.len().min(16)] {
        hash = (hash ^ u64::from(octet)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    hash.is_multiple_of(ENDS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every record of a text as `place owner type data`, and its mistakes; read by blocks or in
    /// its order.
    fn read(text: &str, by_blocks: bool) -> (Vec<String>, Vec<String>) {
        let origin = "example.com".parse().expect("a name");
        let mut report = ZoneReport::default();
        let mut reader = ZoneReader::new(Path::new("z.zone"), Some(&origin), None, &mut report);
        if by_blocks {
            reader.read_file(text.as_bytes());
        } else {
            reader.read(0, &mut Scanner::new(text.as_bytes()), usize::MAX);
        }
        let store = reader.finish().records;
        let mut records = Vec::new();
        for record in store.records() {
            let view = store.view(record);
            records.push(format!("{view:?} {}", record.ttl));
        }
        let mistakes = report.errors.into_sorted(Path::new("z.zone"));
        (records, mistakes.iter().map(ToString::to_string).collect())
    }

    fn lines() -> impl Strategy<Value = Vec<String>> {
        let line = prop_oneof![
            400 => (0..5000_u32).prop_map(|n| format!("host{n} A 192.0.2.{}", n % 256)),
            100 => (0..5000_u32).prop_map(|n| format!("  TXT \"{n} ; (\"")),
            100 => (0..5000_u32).prop_map(|n| format!("host{n} MX {n} mail ; a word")),
            50 => (0..500_u32).prop_map(|n| format!("host{n} {n} AAAA ::1")),
            20 => Just("; words".to_owned()),
            20 => Just(String::new()),
            1 => Just("x TXT ( a\nb c\n d )".to_owned()),
            1 => Just("$TTL 77".to_owned()),
            1 => Just("$ORIGIN sub".to_owned()),
            1 => Just("y A wrong".to_owned()),
            1 => Just("z TXT ( never closed".to_owned()),
        ];
        prop::collection::vec(line, 0..9000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn blocks_read_as_the_file_does_in_its_order(
            mut lines in lines(),
            ttl in any::<bool>(),
            simple in any::<bool>(),
        ) {
            if simple {
                lines.retain(|line| line.starts_with("host") || line.starts_with("  "));
            }
            let head = if ttl { "$TTL 1h\n" } else { "" };
            let soa = "@ 9 SOA ns.example.net. host.example.net. 1 2h 3 4 5";
            let text = format!("{head}{soa}\n{}\n", lines.join("\n"));
            prop_assert_eq!(read(&text, true), read(&text, false));
        }
    }

    #[test]
    fn blocks_are_found_again_around_an_edit() {
        let mut lines = Vec::new();
        for n in 0..20_000 {
            lines.push(format!("host{n} A 192.0.2.{}", n % 256));
        }
        let blocks = |text: &str| {
            let (mut at, mut found) = (0, Vec::new());
            while at < text.len() {
                let end = block_end(text.as_bytes(), at);
                found.push(text[at..end].to_owned());
                at = end;
            }
            found
        };
        let before = blocks(&lines.join("\n"));
        lines.insert(10_000, "new A 192.0.2.1".to_owned());
        let after = blocks(&lines.join("\n"));
        let kept = after.iter().filter(|block| before.contains(block)).count();
        assert!(before.len() > 10, "{}", before.len());
        assert!(
            kept + 2 >= before.len(),
            "{kept} of {} are the same",
            before.len()
        );
    }
}

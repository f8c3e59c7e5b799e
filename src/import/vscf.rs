//! A parser for vscf, the syntax of gdnsd's configuration files (gdnsd.config(5), "LOW-LEVEL
//! SYNTAX").
//!
//! A file holds hashes, arrays and strings, and can include other files. The parser accepts any
//! octets as input. It bounds the total size, the nesting depth and the number of included files.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::str::FromStr;

use super::source::{SourcePlace, read_file};

/// Most octets in all files together.
const MOST_OCTETS: usize = 64 << 20;
/// Most files that one configuration reads.
const MOST_FILES: usize = 1000;
/// Deepest nesting of hashes, arrays and files.
const DEEPEST: usize = 64;

/// A value with its place.
#[derive(Debug, Clone)]
pub struct VscfValue {
    /// Where the value begins.
    pub place: SourcePlace,
    /// The value itself.
    pub content: VscfContent,
}

/// The three kinds of values.
#[derive(Debug, Clone)]
pub enum VscfContent {
    Text(String),
    List(Vec<VscfValue>),
    Table(VscfHash),
}

/// A hash, in the order of the file. No key occurs twice.
#[derive(Debug, Clone, Default)]
pub struct VscfHash(pub Vec<VscfEntry>);

/// One pair of a hash.
#[derive(Debug, Clone)]
pub struct VscfEntry {
    pub key: String,
    pub place: SourcePlace,
    pub value: VscfValue,
}

impl VscfHash {
    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&VscfEntry> {
        self.0.iter().find(|entry| entry.key == key)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&VscfValue> {
        Some(&self.entry(key)?.value)
    }

    /// The value of a key, if it is a string.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// The value of a key, if it is a string that parses as a number.
    pub fn number<N: FromStr>(&self, key: &str) -> Option<N> {
        self.text(key)?.parse().ok()
    }

    /// Whether the value of a key is `true`, if it is a string.
    pub fn flag(&self, key: &str) -> Option<bool> {
        Some(self.text(key)?.eq_ignore_ascii_case("true"))
    }

    /// The strings of a list or of a single value; empty if the key is missing.
    pub fn texts(&self, key: &str) -> Vec<String> {
        match self.get(key) {
            Some(value) => value.texts(),
            None => Vec::new(),
        }
    }

    /// The value of a key, if it is a hash.
    pub fn table(&self, key: &str) -> Option<&VscfHash> {
        self.get(key)?.table()
    }

    /// The value of a key, or an empty hash if it is none.
    pub fn table_or_empty(&self, key: &str) -> &VscfHash {
        const EMPTY: &VscfHash = &VscfHash(Vec::new());
        self.table(key).unwrap_or(EMPTY)
    }
}

impl VscfValue {
    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        if let VscfContent::Text(text) = &self.content {
            Some(text)
        } else {
            None
        }
    }

    /// The hash, if it is one.
    pub fn table(&self) -> Option<&VscfHash> {
        if let VscfContent::Table(table) = &self.content {
            Some(table)
        } else {
            None
        }
    }

    /// The elements; a single value counts as a list of one.
    pub fn list(&self) -> &[VscfValue] {
        if let VscfContent::List(list) = &self.content {
            list
        } else {
            std::slice::from_ref(self)
        }
    }

    /// The elements that are strings.
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for value in self.list() {
            texts.extend(value.text().map(str::to_owned));
        }
        texts
    }
}

/// Reads a file whose top is a hash.
///
/// # Errors
/// A sentence that begins with file, line and column.
pub fn read_table(path: &Path) -> Result<VscfHash, String> {
    match Files::default().read(path, 0)?.content {
        VscfContent::Table(table) => Ok(table),
        _ => Err(format!(
            "{}:1:1: expected a hash at the top of this file, not an array",
            path.display()
        )),
    }
}

/// The total of all files read so far, against the limits.
#[derive(Default)]
struct Files {
    count: usize,
    octets: usize,
}

impl Files {
    fn read(&mut self, path: &Path, depth: usize) -> Result<VscfValue, String> {
        let text = read_file(path)?;
        (self.count, self.octets) = (self.count + 1, self.octets + text.len());
        if self.count > MOST_FILES || self.octets > MOST_OCTETS {
            return Err(format!(
                "{}: more than {MOST_FILES} files or 64 MiB are included",
                path.display()
            ));
        }
        let mut reader = Reader {
            file: path.into(),
            text: &text,
            at: 0,
            depth,
            files: self,
        };
        let place = reader.place();
        reader.blank();
        let content = match reader.peek() {
            Some(b'[') => reader.value()?.content,
            _ => VscfContent::Table(reader.pairs(None)?),
        };
        reader.blank();
        match reader.peek() {
            None => Ok(VscfValue { place, content }),
            Some(_) => Err(reader.wrong("nothing more is expected here; remove it")),
        }
    }
}

/// Parses one file.
struct Reader<'t> {
    file: Rc<Path>,
    text: &'t [u8],
    at: usize,
    depth: usize,
    files: &'t mut Files,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn place(&self) -> SourcePlace {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        SourcePlace {
            file: Rc::clone(&self.file),
            line: 1 + before.iter().filter(|octet| **octet == b'\n').count(),
        }
    }

    fn wrong(&self, sentence: &str) -> String {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        let line_start = match before.iter().rposition(|octet| *octet == b'\n') {
            Some(newline) => newline + 1,
            None => 0,
        };
        let column = before.len() - line_start + 1;
        format!("{}:{column}: {sentence}", self.place())
    }

    /// Skips spaces and comments.
    fn blank(&mut self) {
        while let Some(octet) = self.peek() {
            match octet {
                b'#' | b';' => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    self.at += rest
                        .iter()
                        .position(|octet| *octet == b'\n')
                        .unwrap_or(rest.len());
                }
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                _ => return,
            }
        }
    }

    fn take(&mut self, octet: u8) -> bool {
        let there = self.peek() == Some(octet);
        self.at += usize::from(there);
        there
    }

    /// Runs `read` one nesting level deeper, if the limit allows it.
    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        if self.depth >= DEEPEST {
            return Err(self.wrong("nested more than 64 levels deep"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// The pairs of a hash; consumes the octet that ends it.
    fn pairs(&mut self, end: Option<u8>) -> Result<VscfHash, String> {
        let mut table = VscfHash::default();
        loop {
            self.blank();
            match (self.peek(), end) {
                (None, None) => return Ok(table),
                (None, Some(_)) => return Err(self.wrong("the hash has no end; close it with }")),
                (Some(octet), Some(end)) if octet == end => {
                    self.at += 1;
                    return Ok(table);
                }
                (Some(b'$'), _) => self.merge(&mut table)?,
                _ => self.pair(&mut table)?,
            }
            self.blank();
            self.take(b',');
        }
    }

    fn pair(&mut self, table: &mut VscfHash) -> Result<(), String> {
        let place = self.place();
        let key = self.string()?;
        self.blank();
        if !self.take(b'=') {
            return Err(self.wrong(&format!("expected = or => after the key {key:?}")));
        }
        self.take(b'>');
        self.blank();
        let value = self.value()?;
        self.insert(table, VscfEntry { key, place, value })
    }

    fn insert(&self, table: &mut VscfHash, entry: VscfEntry) -> Result<(), String> {
        if table.get(&entry.key).is_some() {
            return Err(self.wrong(&format!("the key {:?} occurs twice; remove one", entry.key)));
        }
        table.0.push(entry);
        Ok(())
    }

    fn value(&mut self) -> Result<VscfValue, String> {
        let place = self.place();
        let content = match self.peek() {
            Some(b'{') => {
                self.at += 1;
                VscfContent::Table(self.deeper(|it| it.pairs(Some(b'}')))?)
            }
            Some(b'[') => {
                self.at += 1;
                VscfContent::List(self.deeper(Self::elements)?)
            }
            Some(b'$') => return self.included_value(),
            _ => VscfContent::Text(self.string()?),
        };
        Ok(VscfValue { place, content })
    }

    fn elements(&mut self) -> Result<Vec<VscfValue>, String> {
        let mut list = Vec::new();
        loop {
            self.blank();
            if self.take(b']') {
                return Ok(list);
            }
            if self.peek().is_none() {
                return Err(self.wrong("the array has no end; close it with ]"));
            }
            list.push(self.value()?);
            self.blank();
            self.take(b',');
        }
    }

    /// A quoted or bare string with its escapes resolved. Invalid UTF-8 is replaced.
    fn string(&mut self) -> Result<String, String> {
        let quoted = self.take(b'"');
        let (start, mut octets) = (self.at, Vec::new());
        loop {
            match self.peek() {
                None if quoted => return Err(self.wrong("the string has no end; close it with \"")),
                Some(b'"') if quoted => {
                    self.at += 1;
                    break;
                }
                Some(b'\\') => octets.push(self.escape()?),
                Some(octet) if quoted || !b"][}{;#,\"= \t\r\n".contains(&octet) => {
                    octets.push(octet);
                    self.at += 1;
                }
                _ => break,
            }
        }
        if !quoted && self.at == start {
            return Err(self.wrong("expected a string here"));
        }
        Ok(String::from_utf8_lossy(&octets).into_owned())
    }

    /// `\DDD` or `\X`, as in zone files (RFC 1035 section 5.1).
    fn escape(&mut self) -> Result<u8, String> {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        match rest {
            [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ..] => {
                let [a, b, c] = [a, b, c].map(|digit| u16::from(digit - b'0'));
                let Ok(octet) = u8::try_from(a * 100 + b * 10 + c) else {
                    return Err(self.wrong("an escaped octet is at most 255"));
                };
                self.at += 4;
                Ok(octet)
            }
            [octet, ..] if !octet.is_ascii_digit() => {
                self.at += 2;
                Ok(*octet)
            }
            _ => Err(self
                .wrong("a backslash must be followed by three digits or by a character that is not a digit")),
        }
    }

    /// The files of `$include{PATH}`.
    fn include(&mut self) -> Result<Vec<PathBuf>, String> {
        const WORD: &[u8] = b"$include{";
        if !self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(WORD))
        {
            return Err(self.wrong("after $ only include{FILE} is allowed; quote other strings"));
        }
        self.at += WORD.len();
        self.blank();
        let path = self.string()?;
        self.blank();
        if !self.take(b'}') {
            return Err(self.wrong("the include has no end; close it with }"));
        }
        let path = self.file.parent().unwrap_or(Path::new("")).join(path);
        files_of(&path).map_err(|sentence| self.wrong(&sentence))
    }

    fn included_value(&mut self) -> Result<VscfValue, String> {
        let files = self.include()?;
        match &files[..] {
            [file] => self.deeper(|it| it.files.read(file, it.depth)),
            _ => Err(self.wrong("an include that stands for a value must be one file")),
        }
    }

    fn merge(&mut self, table: &mut VscfHash) -> Result<(), String> {
        for file in self.include()? {
            let value = self.deeper(|it| it.files.read(&file, it.depth))?;
            let VscfContent::Table(included) = value.content else {
                return Err(self.wrong(&format!(
                    "{} is an array; only a hash can be merged here",
                    file.display()
                )));
            };
            for entry in included.0 {
                self.insert(table, entry)?;
            }
        }
        Ok(())
    }
}

/// The sorted files that a path names: the file, all files of a folder, or the matches of a pattern
/// in the last part of the path.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, String> {
    let pattern = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("")
        .to_owned();
    let wild = pattern.contains(['*', '?']);
    if !wild && !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let folder = if wild {
        path.parent().unwrap_or(Path::new(""))
    } else {
        path
    };
    let entries = fs::read_dir(folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_meant =
            !name.starts_with('.') && (!wild || matches(pattern.as_bytes(), name.as_bytes()));
        if is_meant && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    if files.is_empty() && wild {
        Err(format!("there is no file {}", path.display()))
    } else {
        Ok(files)
    }
}

/// Whether a pattern with `*` and `?` matches a name. A star first matches as little as possible,
/// and only the last star is retried, so this takes at most pattern times name steps.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p, n));
                p += 1;
            }
            (Some(octet), _) if *octet == b'?' || *octet == name[n] => (p, n) = (p + 1, n + 1),
            (_, Some((at, from))) => {
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(|octet| *octet == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &[u8]) -> Result<VscfHash, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config");
        fs::write(&file, text).expect("written");
        read_table(&file)
            .map_err(|error| error.replace(&folder.path().display().to_string(), "DIR"))
    }

    fn shown(value: &VscfValue) -> String {
        match &value.content {
            VscfContent::Text(text) => text.clone(),
            VscfContent::List(list) => {
                format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" "))
            }
            VscfContent::Table(table) => table_shown(table),
        }
    }

    fn table_shown(table: &VscfHash) -> String {
        let pairs = table
            .0
            .iter()
            .map(|entry| format!("{}={}", entry.key, shown(&entry.value)));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_three_ways_to_write_it_that_the_manual_shows_are_the_same() {
        for text in [
            "options = {\n  listen = [ 192.0.2.1, 192.0.2.2 ],\n}\n",
            "\"options\" => { # a comment\n listen => [ 192.0.2.1 192.0.2.2 ] ; another\n}",
            "options={listen=[192.0.2.1 192.0.2.2]}",
        ] {
            let table = read(text.as_bytes()).expect("good");
            assert_eq!(
                table_shown(&table),
                "{options={listen=[192.0.2.1 192.0.2.2]}}",
                "{text}"
            );
        }
    }

    #[test]
    fn escapes_are_those_of_the_manual() {
        for (text, meaning) in [
            (r#"ex\097mpl\e"#, "example"),
            (r#""ex\097mpl\e""#, "example"),
            (r#"internal\"doublequote"#, "internal\"doublequote"),
            (r#"white\ space"#, "white space"),
            (
                r#"braces\{every\[where\]oh\}my"#,
                "braces{every[where]oh}my",
            ),
            (r#"\\\=\=\="#, "\\==="),
        ] {
            let table = read(format!("a => {text}").as_bytes()).expect("good");
            assert_eq!(table.text("a"), Some(meaning), "{text}");
        }
    }

    #[test]
    fn mistakes_are_reported_with_their_place() {
        for (text, sentence) in [
            (
                "a => {\n b = 1\n",
                "DIR/config:3:1: the hash has no end; close it with }",
            ),
            (
                "a = [ 1",
                "DIR/config:1:8: the array has no end; close it with ]",
            ),
            (
                "a = \"x",
                "DIR/config:1:7: the string has no end; close it with \"",
            ),
            (
                "\n a 1",
                "DIR/config:2:4: expected = or => after the key \"a\"",
            ),
            (
                "a=1 a=2",
                "DIR/config:1:8: the key \"a\" occurs twice; remove one",
            ),
            (
                "a = \\999",
                "DIR/config:1:5: an escaped octet is at most 255",
            ),
            ("}", "DIR/config:1:1: expected a string here"),
            (
                "[ 1 ]",
                "DIR/config:1:1: expected a hash at the top of this file, not an array",
            ),
        ] {
            assert_eq!(read(text.as_bytes()).expect_err(text), sentence);
        }
        let deep = format!("a = {}", "[".repeat(1000));
        assert!(
            read(deep.as_bytes())
                .expect_err("deep")
                .contains("nested more than 64 levels deep")
        );
    }

    #[test]
    fn files_are_included_as_values_and_merged() {
        let folder = tempfile::tempdir().expect("a folder");
        let write =
            |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        fs::create_dir(folder.path().join("d")).expect("made");
        write(
            "config",
            "a => $include{list}, b => { $include{ \"d/*.cfg\" } c => 3 } $include{d}",
        );
        write("list", "[ 1, 2 ]");
        write("d/x.cfg", "x = 1");
        let table = read_table(&folder.path().join("config")).expect("good");
        assert_eq!(table_shown(&table), "{a=[1 2] b={x=1 c=3} x=1}");
        write("config", "a => $include{config}");
        let endless = read_table(&folder.path().join("config")).expect_err("it includes itself");
        assert!(
            endless.contains("nested more than 64 levels deep"),
            "{endless}"
        );
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, is) in [
            ("*", "x", true),
            ("*.cfg", "a.cfg", true),
            ("*.cfg", "a.cfgs", false),
            ("a?c*", "abcd", true),
            ("a", "b", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                is,
                "{pattern} {name}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_octets_are_too_much(text in prop::collection::vec(prop_oneof![
            prop::sample::select(&b"{}[]=>,\"\\$ \n#;a1"[..]), any::<u8>()
        ], 0..200)) {
            let _ = read(&text);
        }
    }
}

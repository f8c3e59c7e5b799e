//! gdnsd's zone files (gdnsd.zonefile(5)) as ours: DYNA and DYNC are taken out, everything else stays as it was written.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use super::notes::Notes;
use super::vscf::Place;
use super::words::{Statement, cut, statements};

/// Most files that one zone includes, itself counted.
const MOST_FILES: usize = 256;
/// Deepest inclusion.
const DEEPEST: usize = 16;

/// A zone file as it is to be written.
#[derive(Debug)]
pub struct Zone {
    /// Without the final dot.
    pub name: String,
    pub text: Vec<u8>,
}

/// A DYNA or DYNC record.
#[derive(Debug, Clone)]
pub struct Dynamic {
    /// The owner, without the final dot.
    pub name: String,
    /// Most and least seconds, as far as they are stated.
    pub ttl: Option<(u32, u32)>,
    /// `plugin!resource`.
    pub reference: String,
    pub place: Place,
}

/// Every zone of a folder, and what is dynamic in them.
///
/// # Errors
/// A sentence: something cannot be read.
pub fn read(folder: &Path, default_ttl: u32, notes: &mut Notes) -> Result<(Vec<Zone>, Vec<Dynamic>), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    let (mut zones, mut dynamic) = (Vec::new(), Vec::new());
    for file in files {
        let Some(name) = file.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.')) else {
            continue;
        };
        // RFC 2317 names have a slash, which no file name can have.
        let name = name.trim_end_matches('.').replace('@', "/").to_ascii_lowercase();
        let mut writer = Writer::new(&name, default_ttl, notes);
        writer.file(&file, &name, 0)?;
        zones.push(Zone { name, text: writer.text });
        dynamic.extend(writer.dynamic);
    }
    Ok((zones, dynamic))
}

/// Writes one zone.
struct Writer<'n> {
    zone: String,
    text: Vec<u8>,
    dynamic: Vec<Dynamic>,
    notes: &'n mut Notes,
    files: usize,
    origin: String,
    owner: String,
    ttl: String,
    /// What was written last does not say the owner of the next record.
    owner_lost: bool,
}

impl<'n> Writer<'n> {
    fn new(zone: &str, default_ttl: u32, notes: &'n mut Notes) -> Self {
        let text = format!("$ORIGIN {zone}.\n$TTL {default_ttl}\n").into_bytes();
        let (zone, ttl) = (zone.to_owned(), default_ttl.to_string());
        let (origin, owner) = (zone.clone(), zone.clone());
        Writer { zone, text, dynamic: Vec::new(), notes, files: 0, origin, owner, ttl, owner_lost: true }
    }

    /// A file; `start` is its first origin, which `@F` stands for.
    fn file(&mut self, file: &Path, start: &str, depth: usize) -> Result<(), String> {
        let text = super::read_file(file)?;
        self.files += 1;
        if self.files > MOST_FILES || depth > DEEPEST {
            return Err(format!("{}: one zone includes at most {MOST_FILES} files, {DEEPEST} deep", file.display()));
        }
        let label: Rc<Path> = file.into();
        for statement in statements(&text) {
            let place = Place { file: Rc::clone(&label), line: statement.line };
            let words: Vec<String> = statement.words.iter().map(|word| word_text(&text, word)).collect();
            match words.first() {
                None => self.text.extend_from_slice(&text[statement.range]),
                Some(word) if word.starts_with('$') && !statement.ownerless => {
                    self.directive(&words, file, start, depth, &place)?;
                }
                Some(_) => self.record(&text, &statement, &words, start, place),
            }
        }
        if self.text.last() != Some(&b'\n') {
            self.text.push(b'\n');
        }
        Ok(())
    }

    fn directive(
        &mut self,
        words: &[String],
        file: &Path,
        start: &str,
        depth: usize,
        place: &Place,
    ) -> Result<(), String> {
        let argument = words.get(1).map_or("", |word| word);
        match &*words[0].to_ascii_uppercase() {
            "$ORIGIN" => {
                self.origin = self.absolute(argument, start);
                self.line(&format!("$ORIGIN {}.", self.origin));
            }
            "$TTL" => {
                self.ttl = argument.to_owned();
                self.line(&format!("$TTL {argument}"));
            }
            "$INCLUDE" => {
                let inner = words.get(2).map_or(self.origin.clone(), |origin| self.absolute(origin, start));
                let outer = (self.origin.clone(), self.ttl.clone(), self.owner.clone());
                let path = file.parent().unwrap_or(Path::new("")).join(argument.trim_matches('"'));
                self.line(&format!("$ORIGIN {inner}."));
                self.origin.clone_from(&inner);
                self.file(&path, &inner, depth + 1)?;
                (self.origin, self.ttl, self.owner) = outer;
                self.line(&format!("$ORIGIN {}.\n$TTL {}", self.origin, self.ttl));
                self.owner_lost = true;
            }
            other => self.notes.add(place, format!("{other}: there is no such directive here; it is left out")),
        }
        Ok(())
    }

    fn line(&mut self, line: &str) {
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
    }

    /// A record: written, or kept as a dynamic one.
    fn record(&mut self, text: &[u8], statement: &Statement, words: &[String], start: &str, place: Place) {
        let own = usize::from(!statement.ownerless);
        if own == 1 {
            self.owner = self.absolute(&words[0], start);
        }
        let is_ttl = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
        let before = words.iter().skip(own).take_while(|word| is_ttl(word) || word.eq_ignore_ascii_case("IN")).count();
        let rtype = words.get(own + before).map_or(String::new(), |word| word.to_ascii_uppercase());
        if rtype != "DYNA" && rtype != "DYNC" {
            return self.copy(text, statement, words, start, &rtype);
        }
        let ttl = words.iter().skip(own).take(before).find(|word| is_ttl(word)).and_then(|word| range(word));
        let stated = words.get(own + before + 1).cloned().unwrap_or_default();
        let ttl = ttl.or_else(|| range(&self.ttl));
        self.dynamic.push(Dynamic { name: self.owner.clone(), ttl, reference: stated, place });
        self.owner_lost = true;
    }

    /// As it was written, but for `@Z` and `@F`, long strings, and an owner that would be another now.
    fn copy(&mut self, text: &[u8], statement: &Statement, words: &[String], start: &str, rtype: &str) {
        if statement.ownerless && self.owner_lost {
            self.text.extend_from_slice(format!("{}.", self.owner).as_bytes());
        }
        self.owner_lost = false;
        let mut at = statement.range.start;
        for (place, word) in statement.words.iter().zip(words) {
            let named = !place.quoted && ["@Z", "@F"].iter().any(|end| ends_with_special(word, end));
            let instead = match rtype {
                _ if named => Some(format!("{}.", self.absolute(word, start)).into_bytes()),
                "TXT" => cut(&text[place.range.clone()]),
                _ => None,
            };
            if let Some(instead) = instead {
                self.text.extend_from_slice(&text[at..place.range.start]);
                self.text.extend_from_slice(&instead);
                at = place.range.end;
            }
        }
        self.text.extend_from_slice(&text[at..statement.range.end]);
    }

    /// A name without its final dot, completed by the origin that it is meant to have.
    fn absolute(&self, name: &str, start: &str) -> String {
        for (special, origin) in [("@Z", &*self.zone), ("@F", start), ("@", &*self.origin)] {
            if name == special {
                return origin.to_owned();
            }
            if special != "@" && ends_with_special(name, special) {
                return format!("{}{origin}", &name[..name.len() - special.len()]);
            }
        }
        match name.strip_suffix('.') {
            Some(name) if !name.ends_with('\\') => name.to_owned(),
            _ => format!("{name}.{}", self.origin),
        }
    }
}

fn ends_with_special(name: &str, special: &str) -> bool {
    name.strip_suffix(special).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn word_text(text: &[u8], word: &super::words::Word) -> String {
    String::from_utf8_lossy(&text[word.range.clone()]).into_owned()
}

/// `MAX[/MIN]`; the least is half the most if it is not stated.
fn range(text: &str) -> Option<(u32, u32)> {
    match text.split_once('/') {
        Some((most, least)) => Some((seconds(most)?, seconds(least)?)),
        None => seconds(text).map(|most| (most, most / 2)),
    }
}

/// `1h30m`, or a plain number of seconds.
fn seconds(text: &str) -> Option<u32> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (mut total, mut number) = (0u32, String::new());
    for c in text.chars() {
        let unit = match c.to_ascii_lowercase() {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u32>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    number.is_empty().then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a zone comes to, and its dynamic records.
    fn written(files: &[(&str, &str)]) -> (String, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("inside")).expect("made");
            fs::write(path, text).expect("written");
        }
        let mut notes = Notes::default();
        let (zones, dynamic) = read(folder.path(), 86_400, &mut notes).expect("good");
        let dynamic = dynamic.iter().map(|it| format!("{} {:?} {}:{}", it.name, it.ttl, it.reference, it.place.line));
        (String::from_utf8_lossy(&zones[0].text).into_owned(), dynamic.collect())
    }

    #[test]
    fn dynamic_records_are_taken_out_and_owners_kept() {
        let text = "@ SOA ns1 h 1 2 3 4 5\n NS ns1\nwww 600/10 DYNA geoip!www\n  MX 10 mail ; kept\n$ttl 1h\n$ORIGIN sub\n\
                    * IN DYNC weighted!any\n";
        let (zone, dynamic) = written(&[("example.com", text)]);
        assert_eq!(
            zone,
            "$ORIGIN example.com.\n$TTL 86400\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nwww.example.com.  MX 10 mail ; kept\n\
             $TTL 1h\n$ORIGIN sub.example.com.\n"
        );
        assert_eq!(
            dynamic,
            ["www.example.com Some((600, 10)) geoip!www:3", "*.sub.example.com Some((3600, 1800)) weighted!any:7"]
        );
    }

    #[test]
    fn includes_and_special_names_are_those_of_the_manual() {
        let foo = "$ORIGIN bar\nasdf A 192.0.2.1\n$ORIGIN baz.@F\nasdf A 192.0.2.2\n$ORIGIN quux.@Z\nasdf CNAME x.@F\n";
        let files =
            [("example.org", "a A 192.0.2.9\n$INCLUDE includes/foo foo\n A 192.0.2.8\n"), ("includes/foo", foo)];
        let (zone, _) = written(&files);
        for line in ["$ORIGIN bar.foo.example.org.", "$ORIGIN baz.foo.example.org.", "$ORIGIN quux.example.org."] {
            assert!(zone.contains(line), "{zone}");
        }
        assert!(zone.contains("asdf CNAME x.foo.example.org.\n"), "{zone}");
        assert!(zone.ends_with("$ORIGIN example.org.\n$TTL 86400\na.example.org. A 192.0.2.8\n"), "{zone}");
    }

    #[test]
    fn times_have_units() {
        for (text, is) in
            [("300", Some(300)), ("1h30M", Some(5400)), ("2w", Some(1_209_600)), ("5x", None), ("99999999w", None)]
        {
            assert_eq!(seconds(text), is, "{text}");
        }
    }
}

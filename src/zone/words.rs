//! Hands out the words of one record's data in order.
//!
//! Our own field readers take words directly. For the `domain` crate, [`WordReader`] implements the
//! crate's `Scanner`. An error does not know its place; the caller adds it with the word at which
//! reading stopped.

use std::fmt;

use domain::base::CharStr;
use domain::base::scan::{ConvertSymbols, EntrySymbol, Scanner, ScannerError, Symbol};
use domain::dep::octseq::str::Str;

use super::binding::KeyStandIns;
use super::scanner::{Token, unescape};
use crate::dns::{Name, NameError};

/// Why record data cannot be read; the caller adds the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataError {
    /// The reason, as a clause.
    Wrong(String),
    /// Words are missing.
    TooFew,
    /// Words are left over.
    TooMany,
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataError::Wrong(reason) => f.write_str(reason),
            DataError::TooFew => f.write_str("it ends too early"),
            DataError::TooMany => f.write_str("it goes on after its end"),
        }
    }
}

impl std::error::Error for DataError {}

impl ScannerError for DataError {
    fn custom(reason: &'static str) -> Self {
        DataError::Wrong(reason.to_owned())
    }

    fn end_of_entry() -> Self {
        DataError::TooFew
    }

    fn short_buf() -> Self {
        DataError::custom("it is longer than 65535 octets")
    }

    fn trailing_tokens() -> Self {
        DataError::TooMany
    }
}

/// Reads the words of a record's data one after the other.
pub struct WordReader<'t, 'a> {
    tokens: &'t [Token<'a>],
    next: usize,
    origin: Option<&'t Name>,
    /// For service bindings: keys under numbers that the `domain` crate reads.
    stand_ins: Option<KeyStandIns>,
}

impl<'t, 'a> WordReader<'t, 'a> {
    /// Starts at the first of `tokens`; relative names take `origin`.
    pub fn new(tokens: &'t [Token<'a>], origin: Option<&'t Name>) -> Self {
        WordReader {
            tokens,
            next: 0,
            origin,
            stand_ins: None,
        }
    }

    /// Gives stand-ins to the keys of service bindings that the `domain` crate cannot read.
    pub fn give_stand_ins(&mut self) {
        self.stand_ins = Some(KeyStandIns::default());
    }

    /// The stand-ins that were used.
    pub fn take_stand_ins(&mut self) -> KeyStandIns {
        self.stand_ins.take().unwrap_or_default()
    }

    /// The next word.
    pub fn take(&mut self) -> Result<Token<'a>, DataError> {
        let token = *self.tokens.get(self.next).ok_or(DataError::TooFew)?;
        self.next += 1;
        Ok(token)
    }

    /// Whether all words are taken.
    pub fn is_empty(&self) -> bool {
        self.next == self.tokens.len()
    }

    /// The next word as text without escapes, for numbers and addresses.
    pub fn take_plain(&mut self) -> Result<&'a str, DataError> {
        std::str::from_utf8(self.take()?.text)
            .map_err(|_| DataError::custom("it has octets that are not UTF-8"))
    }

    /// The next word's octets, escapes undone.
    pub fn take_octets(&mut self) -> Result<Vec<u8>, DataError> {
        octets_of(self.take()?)
    }

    /// The next word as a name, completed with the origin.
    pub fn take_name(&mut self) -> Result<Name, DataError> {
        complete(self.take()?.text, self.origin).map_err(DataError::Wrong)
    }

    /// Appends the next word as a name in wire form, completed with the origin.
    pub fn append_name(&mut self, wire: &mut Vec<u8>) -> Result<(), DataError> {
        append_complete(self.take()?.text, self.origin, wire).map_err(DataError::Wrong)
    }

    /// The remaining words as one text, because base 16 and base 64 may be split anywhere.
    pub fn take_rest(&mut self) -> Result<String, DataError> {
        let mut rest = String::new();
        while !self.is_empty() {
            rest.push_str(self.take_plain()?);
        }
        Ok(rest)
    }

    /// The word that `error` is about: the last one taken, the first one left over, or `before`,
    /// the word in front of the data.
    pub fn blamed<'w>(&'w self, error: &DataError, before: &'w Token<'a>) -> &'w Token<'a> {
        let index = if *error == DataError::TooMany {
            Some(self.next)
        } else {
            self.next.checked_sub(1)
        };
        index
            .and_then(|index| self.tokens.get(index))
            .unwrap_or(before)
    }

    /// Passes on the symbols of the next word.
    fn symbols(
        &mut self,
        mut op: impl FnMut(Symbol) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let token = self.take()?;
        let mut at = 0;
        while let Some((symbol, next)) = symbol_at(token.text, at)? {
            op(symbol)?;
            at = next;
        }
        Ok(())
    }
}

/// The symbol at `at` and the position after it; `None` at the end of the text.
fn symbol_at(text: &[u8], at: usize) -> Result<Option<(Symbol, usize)>, DataError> {
    Symbol::from_slice_index(text, at).map_err(|_| {
        DataError::custom("it has a backslash that protects nothing or octets that are not UTF-8")
    })
}

/// A token's octets, escapes undone.
fn octets_of(token: Token<'_>) -> Result<Vec<u8>, DataError> {
    match unescape(token.text) {
        Some(octets) => Ok(octets.into()),
        None => Err(DataError::custom(
            "it has a backslash that is not followed by a character or three digits",
        )),
    }
}

/// The name that `text` means below `origin`, or a sentence that says what is wrong.
pub fn complete(text: &[u8], origin: Option<&Name>) -> Result<Name, String> {
    let mut wire = Vec::with_capacity(text.len() + 2);
    append_complete(text, origin, &mut wire)?;
    Name::from_wire(&wire).map_err(|error| error.to_string())
}

/// Appends the name that `text` means below `origin` in wire form.
pub fn append_complete(
    text: &[u8],
    origin: Option<&Name>,
    wire: &mut Vec<u8>,
) -> Result<(), String> {
    let text = std::str::from_utf8(text).map_err(|_| NameError::NotAscii(None).to_string())?;
    match origin {
        Some(origin) => Name::append(text, origin, wire).map_err(|error| error.to_string()),
        None if text.ends_with('.') => {
            Name::append(text, &Name::root(), wire).map_err(|error| error.to_string())
        }
        None => {
            Err("the name is relative, but no $ORIGIN is stated above; state one or end the name with a dot".into())
        }
    }
}

impl Scanner for WordReader<'_, '_> {
    type Octets = Vec<u8>;
    type OctetsBuilder = Vec<u8>;
    type Name = domain::base::Name<Vec<u8>>;
    type Error = DataError;

    fn has_space(&self) -> bool {
        self.tokens
            .get(self.next)
            .is_some_and(|token| !token.joined)
    }

    fn continues(&mut self) -> bool {
        !self.is_empty()
    }

    fn scan_symbols<F>(&mut self, op: F) -> Result<(), DataError>
    where
        F: FnMut(Symbol) -> Result<(), DataError>,
    {
        self.symbols(op)
    }

    fn scan_entry_symbols<F>(&mut self, mut op: F) -> Result<(), DataError>
    where
        F: FnMut(EntrySymbol) -> Result<(), DataError>,
    {
        while !self.is_empty() {
            self.symbols(|symbol| op(symbol.into()))?;
            op(EntrySymbol::EndOfToken)?;
        }
        Ok(())
    }

    fn convert_token<C: ConvertSymbols<Symbol, DataError>>(
        &mut self,
        mut convert: C,
    ) -> Result<Vec<u8>, DataError> {
        let mut octets = Vec::new();
        self.symbols(|symbol| {
            octets.extend_from_slice(convert.process_symbol(symbol)?.unwrap_or_default());
            Ok(())
        })?;
        octets.extend_from_slice(convert.process_tail()?.unwrap_or_default());
        Ok(octets)
    }

    fn convert_entry<C>(&mut self, mut convert: C) -> Result<Vec<u8>, DataError>
    where
        C: ConvertSymbols<EntrySymbol, DataError>,
    {
        let mut octets = Vec::new();
        self.scan_entry_symbols(|symbol| {
            octets.extend_from_slice(convert.process_symbol(symbol)?.unwrap_or_default());
            Ok(())
        })?;
        octets.extend_from_slice(convert.process_tail()?.unwrap_or_default());
        Ok(octets)
    }

    fn scan_octets(&mut self) -> Result<Vec<u8>, DataError> {
        self.take_octets()
    }

    fn scan_svcb_octets(&mut self) -> Result<Vec<u8>, DataError> {
        let mut octets = self.take_octets()?;
        while self.tokens.get(self.next).is_some_and(|token| token.joined) {
            octets.extend(self.take_octets()?);
        }
        let Some(stand_ins) = &mut self.stand_ins else {
            return Ok(octets);
        };
        let texts: Vec<&[u8]> = self.tokens.iter().map(|token| token.text).collect();
        Ok(stand_ins.replace(octets, &String::from_utf8_lossy(&texts.join(&b' '))))
    }

    fn scan_ascii_str<F, T>(&mut self, op: F) -> Result<T, DataError>
    where
        F: FnOnce(&str) -> Result<T, DataError>,
    {
        let text = self.scan_string()?;
        if text.is_ascii() {
            op(&text)
        } else {
            Err(DataError::custom("it has characters outside ASCII"))
        }
    }

    fn scan_name(&mut self) -> Result<Self::Name, DataError> {
        let name = self.take_name()?;
        domain::base::Name::from_octets(name.as_wire().to_vec())
            .map_err(|_| DataError::custom("the name is wrong"))
    }

    fn scan_charstr(&mut self) -> Result<CharStr<Vec<u8>>, DataError> {
        CharStr::from_octets(self.take_octets()?)
            .map_err(|_| DataError::custom("a text is longer than 255 octets"))
    }

    fn scan_string(&mut self) -> Result<Str<Vec<u8>>, DataError> {
        Str::from_utf8(self.take_octets()?)
            .map_err(|_| DataError::custom("it has octets that are not UTF-8"))
    }

    fn scan_charstr_entry(&mut self) -> Result<Vec<u8>, DataError> {
        let mut octets = Vec::new();
        while !self.is_empty() {
            let text = self.scan_charstr()?;
            octets.push(text.len() as u8);
            octets.extend_from_slice(text.as_slice());
        }
        Ok(octets)
    }

    fn scan_opt_unknown_marker(&mut self) -> Result<bool, DataError> {
        let marked = self
            .tokens
            .get(self.next)
            .is_some_and(|token| !token.quoted && token.text == br"\#");
        self.next += usize::from(marked);
        Ok(marked)
    }

    fn octets_builder(&mut self) -> Result<Vec<u8>, DataError> {
        Ok(Vec::new())
    }
}

//! `$INCLUDE`: reads another file of the zones folder in place.
//!
//! Depth and number of the files are bounded, a file cannot include itself, and none is read from
//! outside the folder.

use std::path::{Path, PathBuf};

use super::{Outcome, ZoneReader, at};
use crate::dns::Name;
use crate::files::{self, FileKind};
use crate::zone::scanner::{ScanFault, Scanner, Token, unescape};

/// The greatest depth of nested `$INCLUDE`.
const MAX_DEPTH: usize = 8;
/// The most files that one zone may include, because includes can multiply at every level.
const MAX_INCLUDED: usize = 256;
impl ZoneReader<'_> {
    /// Reads another file here; origin and owner are as before afterwards (RFC 1035 section 5.1).
    pub(super) fn include(&mut self, path: Token<'_>, origin: Option<Name>) -> Outcome {
        if self.open.is_empty() {
            self.open.extend(self.reading.files[0].canonicalize());
        }
        let (label, canonical) = self.included_path(path)?;
        let content = files::read(&canonical, FileKind::Zone);
        let content =
            content.or_else(|error| at(path, format!("{}: it {error}", label.display())))?;
        self.reading.included.push(content.read);
        let number = self.reading.files.len() as u16;
        self.reading.files.push(label);
        self.open.push(canonical);
        let outer_origin = self.origin.clone();
        let outer_owner = self.owner;
        if origin.is_some() {
            self.set_origin(origin);
        }
        let mut scanner = Scanner::new(&content.octets);
        self.read(number, &mut scanner, usize::MAX);
        self.open.pop();
        self.set_origin(outer_origin);
        self.owner = outer_owner;
        Ok(())
    }

    /// Finds the file of an `$INCLUDE`. It must lie in the folder and must not include itself.
    fn included_path(&self, path: Token<'_>) -> Result<(PathBuf, PathBuf), ScanFault> {
        let Some(folder) = self.folder else {
            return at(
                path,
                "$INCLUDE needs a zones folder, and there is none here",
            );
        };
        if self.open.len() > MAX_DEPTH {
            return at(
                path,
                format!("files include files more than {MAX_DEPTH} deep; flatten them"),
            );
        }
        if self.reading.files.len() > MAX_INCLUDED {
            return at(
                path,
                format!("one zone includes at most {MAX_INCLUDED} files; join some"),
            );
        }
        let text =
            unescape(path.text).and_then(|octets| String::from_utf8(octets.into_owned()).ok());
        let Some(text) = text else {
            return at(path, "the file name is not text");
        };
        match self.open_included(folder, &text) {
            Ok(found) => Ok(found),
            Err(sentence) => at(path, sentence),
        }
    }

    /// The path of an included file for messages, and its canonical path.
    fn open_included(&self, folder: &Path, text: &str) -> Result<(PathBuf, PathBuf), String> {
        let label = folder.join(text);
        let resolved = folder
            .canonicalize()
            .and_then(|folder| Ok((folder, label.canonicalize()?)));
        let shown = label.display();
        let (inside, canonical) =
            resolved.map_err(|error| format!("{shown} cannot be opened: {error}"))?;
        if !canonical.starts_with(inside) {
            return Err(format!(
                "{shown} lies outside the zones folder; move it inside"
            ));
        }
        if self.open.contains(&canonical) {
            return Err(format!("{shown} includes itself; remove one $INCLUDE"));
        }
        Ok((label, canonical))
    }
}

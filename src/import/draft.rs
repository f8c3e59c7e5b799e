//! The text of an output file, with the source of each line.
//!
//! The check of the output reports lines. The draft maps a line back to the object of the input
//! that it was made from.

use super::source::ImportSource;

/// The text of a file so far.
#[derive(Debug, Default)]
pub struct TextDraft {
    text: String,
    lines: usize,
    /// The first line (from 1) of each part, and the source of the part.
    parts: Vec<(usize, Option<ImportSource>)>,
}

impl TextDraft {
    /// Adds text that starts on a new line.
    pub fn push(&mut self, text: &str, source: Option<ImportSource>) {
        self.parts.push((self.lines + 1, source));
        self.text.push_str(text);
        self.lines += text.bytes().filter(|octet| *octet == b'\n').count();
        if !text.ends_with('\n') && !text.is_empty() {
            self.text.push('\n');
            self.lines += 1;
        }
    }

    /// The source of a line (from 1), if it has one.
    pub fn source(&self, line: usize) -> Option<&ImportSource> {
        let after = self.parts.partition_point(|(first, _)| *first <= line);
        self.parts.get(after.checked_sub(1)?)?.1.as_ref()
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Consumes the draft and returns its text.
    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::import::source::SourcePlace;

    #[test]
    fn every_line_knows_its_source() {
        let source = |line| {
            Some(ImportSource::new(
                &SourcePlace {
                    file: Path::new("x").into(),
                    line,
                },
                "it",
            ))
        };
        let mut draft = TextDraft::default();
        draft.push("a\nb\n", source(1));
        draft.push("c", source(2));
        draft.push("", source(3));
        draft.push("d\n", None);
        assert_eq!(draft.text(), "a\nb\nc\nd\n");
        let lines = [1, 2, 3, 4].map(|line| draft.source(line).map(|source| source.place.line));
        assert_eq!(lines, [Some(1), Some(1), Some(2), None]);
    }
}

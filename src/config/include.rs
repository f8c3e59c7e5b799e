//! `include`: further configuration files, found by paths and patterns.
//!
//! Each team can keep its services in a file of its own. The files are read in the order of the
//! patterns, and those of one pattern in the order of their names. A file is read once, however
//! many patterns match it. Hidden files are left out, because editors keep unfinished copies in
//! them. Only the main file may include others.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::document::{ConfigReport, SpannedList, WithOffset};
use super::values::plain::SingleLine;

/// Most files that are included.
const MOST_FILES: usize = 10_000;

const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The files that the patterns of `main` match, each with the place of its pattern.
pub fn find(
    patterns: &SpannedList<SingleLine<1024>>,
    main: &Path,
    report: &mut ConfigReport,
) -> Vec<WithOffset<PathBuf>> {
    let folder = main.parent().unwrap_or(Path::new(""));
    let mut files = Vec::new();
    let mut known: HashSet<PathBuf> = HashSet::from([main.to_owned()]);
    for WithOffset { at, value } in patterns {
        let text = &value.0;
        for path in matches(text, folder, *at, report) {
            if path == main && !is_pattern(text) {
                report.error(*at, "the file includes itself".to_owned());
            }
            if files.len() == MOST_FILES {
                let sentence = format!("more than {MOST_FILES} files are included");
                report.error(*at, sentence);
                return files;
            }
            if known.insert(path.clone()) {
                let (at, value) = (*at, path);
                files.push(WithOffset { at, value });
            }
        }
    }
    files
}

/// The text of an included file. A mistake is reported where its pattern stands.
pub fn read(found: &WithOffset<PathBuf>, report: &mut ConfigReport) -> Option<String> {
    match super::read_text(&found.value) {
        Ok((text, read)) => {
            report.files.push(read);
            Some(text)
        }
        Err(sentence) => {
            let file = found.value.display();
            report.error(found.at, format!("{file}: {sentence}"));
            None
        }
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The paths that one pattern matches, sorted.
fn matches(text: &str, folder: &Path, at: usize, report: &mut ConfigReport) -> Vec<PathBuf> {
    if !is_pattern(text) {
        return vec![folder.join(text)];
    }
    if text.contains("**") {
        let sentence = "\"**\" would search all folders below; give each folder its own pattern";
        report.error(at, sentence.to_owned());
        return Vec::new();
    }
    // The folder is no pattern, whatever its name contains.
    let start = folder.to_str().map(Pattern::escape).unwrap_or_default();
    let pattern = Path::new(&start).join(text);
    let found = match glob::glob_with(&pattern.to_string_lossy(), MATCHING) {
        Ok(found) => found,
        Err(error) => {
            report.error(at, format!("\"{text}\" is no pattern: {}", error.msg));
            return Vec::new();
        }
    };
    let mut paths = Vec::new();
    for entry in found {
        match entry {
            Ok(path) if path.is_dir() => {}
            Ok(path) => paths.push(path),
            Err(error) => {
                let sentence = format!(
                    "{} cannot be read: {}",
                    error.path().display(),
                    error.error()
                );
                report.error(at, sentence);
            }
        }
        if paths.len() > MOST_FILES {
            break;
        }
    }
    if paths.is_empty() {
        report.warning(at, format!("\"{text}\" matches no file"));
    }
    paths
}

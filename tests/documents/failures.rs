//! The table of failure modes: each line names a test, and that test is there.

use std::fs;
use std::path::{Path, PathBuf};

/// Every file below a folder of the project.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder)
        .expect("the project can be read")
        .flatten()
    {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_failure_mode_names_an_existing_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    files_below(&root.join("src"), &mut files);
    files_below(&root.join("tests"), &mut files);
    let source: String = files
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    let is_there = |test: &str| match test.strip_suffix(".play") {
        Some(_) => files.iter().any(|path| path.ends_with(test)),
        None => source.contains(&format!(
            "fn {}()",
            test.rsplit("::").next().unwrap_or(test)
        )),
    };
    let page =
        fs::read_to_string(root.join("docs/guide/failures.md")).expect("the guide has the page");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.ends_with(" |"))
        .collect();
    let (head, rows) = rows.split_first().expect("the page has a table");
    assert!(head.ends_with("| shown by |"), "{head}");
    assert!(rows.len() > 25, "{} lines", rows.len());
    for row in rows {
        let named = row
            .trim_end_matches(" |")
            .rsplit(" | ")
            .next()
            .unwrap_or("");
        let test = named.trim_matches('`');
        assert!(
            named.starts_with('`') && is_there(test),
            "no test is named {test:?} in: {row}"
        );
    }
}

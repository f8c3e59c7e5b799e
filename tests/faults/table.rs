//! The table of `docs/faults.md`, which is both what people read and what is tested.

/// The document.
const DOCUMENT: &str = include_str!("../../docs/faults.md");

/// One line of it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// System calls, with spaces between them.
    pub calls: &'static str,
    /// What becomes of them, in strace's words: `error=EIO`, `delay_enter=2000000`.
    pub fault: &'static str,
    /// Whether a region that dies meanwhile is left: `follow` or `are held`.
    pub answers: &'static str,
    /// What becomes of a drain: `taken`, `not kept`, `refused` or `no connection`.
    pub order: &'static str,
    /// What becomes of a reload: `done`, `refused` or `no connection`.
    pub reload: &'static str,
    /// What log, status or metrics say of it; empty: nothing needs to be said.
    pub said: &'static str,
}

/// Lines of the section with this heading.
#[track_caller]
pub fn rows(section: &str) -> Vec<Row> {
    let (_, text) = DOCUMENT
        .split_once(&format!("## {section}\n"))
        .expect("the document has this section");
    let text = text.split("\n## ").next().unwrap_or(text);
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<Row> = lines.map(row).collect();
    assert!(!rows.is_empty(), "{section} has no rows");
    rows
}

/// Every call that the document names, also those that are not made to fail.
pub fn known_calls() -> Vec<&'static str> {
    let lines = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    let cells = lines.filter_map(|line| line.trim_matches('|').split('|').next());
    cells
        .flat_map(|cell| cell.trim().trim_matches('`').split_whitespace())
        .collect()
}

#[track_caller]
fn row(line: &'static str) -> Row {
    let cells: Vec<&str> = line
        .trim_matches('|')
        .split('|')
        .map(|cell| cell.trim().trim_matches('`'))
        .collect();
    let [calls, fault, answers, order, reload, said] = cells[..] else {
        panic!("six cells: {line}")
    };
    Row {
        calls,
        fault,
        answers,
        order,
        reload,
        said,
    }
}

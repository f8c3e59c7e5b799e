//! `docs/configuration.md` states the defaults of the tables, key by key, and the schema describes
//! every table.
//!
//! A line `<!-- defaults of Server -->` in the page means that the rows of the next table are keys
//! of
//! `Server`. Their column `default` comes from the declaration. This command updates it:
//!
//! ```text
//! MERIDIAN_WRITE_REFERENCE=1 cargo test --lib config::reference_tests
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::document::table::{Absent, Key, Table};
use super::{included_schema, schema, tables};

const MARK: &str = "<!-- defaults of ";

macro_rules! every_table {
    ($($name:ident)*) => {
        &[$((stringify!($name), <tables::$name as Table>::KEYS, || { let _ = tables::$name::default(); })),*]
    };
}

/// A table: its name, its keys, and what makes an empty one.
type DeclaredTable = (&'static str, &'static [Key], fn());

/// Every declared table.
const TABLES: &[DeclaredTable] = every_table!(
    RawConfig IncludedConfig Server Tls Limits Admin State Events Guard Fleet Releases Announce Traffic Zones AccessEntry Dnssec SigningPolicy Resolver Geo Network Region Check Damping
    Expect JsonExpect HeaderFile Service Policy TtlRange Endpoint Fence FenceClients
);

/// A row of a table in the page.
struct Row {
    /// Index of its line.
    line: usize,
    table: &'static str,
    key: &'static Key,
    /// Its cells, without the bars.
    cells: Vec<String>,
    /// Which of them is the default.
    column: usize,
}

impl Row {
    fn expected(&self) -> String {
        self.key
            .shown_default()
            .unwrap_or_else(|| panic!("{}.{} has no default to show", self.table, self.key.name))
    }
}

fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|').trim_end_matches('|');
    line.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The rows of every marked table.
fn rows(page: &str) -> Vec<Row> {
    let lines: Vec<&str> = page.lines().collect();
    let mut rows = Vec::new();
    for (mark, line) in lines.iter().enumerate() {
        let Some(name) = line
            .strip_prefix(MARK)
            .and_then(|rest| rest.strip_suffix(" -->"))
        else {
            continue;
        };
        let (table, keys, _) = *TABLES
            .iter()
            .find(|(known, ..)| *known == name)
            .unwrap_or_else(|| panic!("no table {name}"));
        let header = (mark..lines.len())
            .find(|&at| lines[at].starts_with('|'))
            .expect("a table follows the mark");
        let column = cells(lines[header])
            .iter()
            .position(|cell| cell == "default")
            .expect("it has a column `default`");
        for (line, text) in lines
            .iter()
            .enumerate()
            .skip(header + 2)
            .take_while(|(_, text)| text.starts_with('|'))
        {
            let cells = cells(text);
            let name = cells[0].trim_matches('`');
            let key = keys
                .iter()
                .find(|key| key.name == name)
                .unwrap_or_else(|| panic!("{table} has no key {name}"));
            rows.push(Row {
                line,
                table,
                key,
                cells,
                column,
            });
        }
    }
    rows
}

#[test]
fn the_reference_states_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = fs::read_to_string(&path).unwrap();
    let mut wrong = Vec::new();
    let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
    let mut told = BTreeSet::new();
    for mut row in rows(&page) {
        assert!(
            told.insert((row.table, row.key.name)),
            "{}.{} has two rows",
            row.table,
            row.key.name
        );
        let expected = row.expected();
        if row.cells[row.column] != expected {
            let found = std::mem::replace(&mut row.cells[row.column], expected.clone());
            wrong.push(format!(
                "{}.{}: found {found}, expected {expected}",
                row.table, row.key.name
            ));
            lines[row.line] = format!("| {} |", row.cells.join(" | ")).replace("|  |", "| |");
        }
    }
    for (table, keys, _) in TABLES {
        for key in keys
            .iter()
            .filter(|key| !matches!(key.absent, Absent::Unstated))
        {
            assert!(
                told.contains(&(*table, key.name)),
                "docs/configuration.md has no row for {table}.{}",
                key.name
            );
        }
    }
    if std::env::var_os("MERIDIAN_WRITE_REFERENCE").is_some() {
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        return;
    }
    assert!(
        wrong.is_empty(),
        "MERIDIAN_WRITE_REFERENCE=1 writes them anew:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_table_of_the_schema_is_compared_and_has_the_declared_defaults() {
    let schema = schema();
    let included = included_schema();
    let mut known: Vec<_> = schema["$defs"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    known.extend(["RawConfig", "IncludedConfig"]);
    let mut declared: Vec<_> = TABLES.iter().map(|(name, ..)| *name).collect();
    known.sort_unstable();
    declared.sort_unstable();
    assert_eq!(declared, known);
    for (name, keys, _) in TABLES {
        let table = match *name {
            "RawConfig" => &schema,
            "IncludedConfig" => &included,
            name => &schema["$defs"][name],
        };
        for key in *keys {
            let property = &table["properties"][key.name];
            let description = property["description"]
                .as_str()
                .unwrap_or_else(|| panic!("{name}.{}", key.name));
            match key.absent {
                Absent::Value(text) => {
                    let value: serde_json::Value =
                        serde_json::from_str(text).expect("a default is JSON, too");
                    assert_eq!(property["default"], value, "{name}.{}", key.name);
                    assert!(
                        description.ends_with('.') && description.contains(text),
                        "{description}"
                    );
                }
                Absent::Needed => {
                    let required = table["required"].as_array().expect("a list");
                    assert!(
                        required.iter().any(|it| it == key.name),
                        "{name}.{}",
                        key.name
                    );
                }
                _ => assert!(property.get("default").is_none(), "{name}.{}", key.name),
            }
        }
    }
}

#[test]
fn every_default_can_be_read() {
    // Each table reads its defaults when an empty one is made; it panics where one cannot be read.
    for (_, _, make_empty) in TABLES {
        make_empty();
    }
}

#[test]
fn the_words_about_ports_name_the_ports_of_the_types() {
    let port = tables::Check::KEYS
        .iter()
        .find(|key| key.name == "port")
        .expect("it is declared");
    let text = port.shown_default().unwrap();
    for kind in ["http", "https", "tls", "dns"] {
        let text_of = format!("[checks.a]\ntype = \"{kind}\"\n");
        let config = super::parse(&text_of, Path::new("meridian.toml"))
            .unwrap()
            .config;
        let group = text
            .split(", ")
            .find(|group| group.split([' ', ',']).any(|word| word == kind))
            .expect(kind);
        assert!(
            group.starts_with(&format!("{} for ", config.checks[0].port)),
            "{kind}: {group}"
        );
    }
}

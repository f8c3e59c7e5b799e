//! Console blocks of Markdown: commands behind `$ `, and below each what it prints.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::programs::{find, finish};

/// Where the documents say that a server listens.
const PORT: &str = "@127.0.0.1 -p 1053";
/// And where for TLS and for HTTPS.
const ENCRYPTED: [&str; 2] = ["@127.0.0.1 -p 8853", "@127.0.0.1 -p 8443"];

/// A command and the lines it is said to print.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    pub command: String,
    pub expected: Vec<String>,
}

/// Every command of every ```` ```console ```` block, in order.
pub fn steps(markdown: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        match (inside, line.strip_prefix("$ ")) {
            (false, _) => inside = line == "```console",
            (true, _) if line == "```" => inside = false,
            (true, Some(command)) => steps.push(Step {
                command: command.to_owned(),
                expected: Vec::new(),
            }),
            (true, None) => {
                let step = steps
                    .last_mut()
                    .unwrap_or_else(|| panic!("{line:?} stands before every command"));
                step.expected.push(line.trim_end().to_owned());
            }
        }
    }
    assert!(!inside, "a console block has no end");
    steps
}

impl Step {
    /// What `meridian` is given, where that is the command, however it is started.
    pub fn meridian(&self) -> Option<Vec<&str>> {
        let started = [
            "meridian ",
            "cargo run --release -- ",
            "target/release/meridian ",
            "./meridian ",
        ];
        let rest = started
            .iter()
            .find_map(|start| self.command.strip_prefix(start))?;
        let words = rest
            .split(" #")
            .next()
            .unwrap_or(rest)
            .trim_end_matches('&')
            .split_whitespace();
        Some(words.collect())
    }

    /// Whether it asks the server of the document.
    pub fn asks(&self) -> bool {
        self.command.contains(PORT) || ENCRYPTED.iter().any(|place| self.command.contains(place))
    }

    /// Asks a server on this port instead, and compares what comes with what is said to come.
    #[track_caller]
    pub fn ask(&self, port: u16, folder: &Path) {
        find("dig");
        let command = self.command.replace(PORT, &format!("@127.0.0.1 -p {port}"));
        // A question that somebody else's client sent to the port that dig has now is not a reply of ours.
        let stray = |printed: &String| printed.contains(";; Warning: query response not set");
        let mut replies = (0..3).map(|_| in_shell(&command, folder));
        let printed = replies
            .find(|printed| !stray(printed))
            .expect("three strays are no accident");
        let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
        if command.ends_with("| sort | uniq -c") {
            return self.expect_counts(&printed);
        }
        assert!(
            !printed.is_empty() && printed.iter().all(|line| !line.starts_with(";;")),
            "{command}: {printed:?}"
        );
        if !self.expected.is_empty() {
            assert_eq!(printed, self.expected, "{command}");
        }
    }

    /// Counted lines agree when each count lies within five standard deviations of the one that is said.
    #[track_caller]
    fn expect_counts(&self, printed: &[&str]) {
        let (expected, printed) = (
            counts(self.expected.iter().map(|line| &line[..])),
            counts(printed.iter().copied()),
        );
        let total: f64 = expected.iter().map(|(count, _)| count).sum();
        assert_eq!(
            total,
            printed.iter().map(|(count, _)| count).sum::<f64>(),
            "{}: {printed:?}",
            self.command
        );
        let known = |text: &str| expected.iter().any(|(_, datum)| *datum == text);
        assert!(
            printed.iter().all(|(_, datum)| known(datum)),
            "{}: {printed:?}",
            self.command
        );
        for (count, datum) in &expected {
            let came = printed
                .iter()
                .find(|(_, other)| other == datum)
                .map_or(0.0, |(count, _)| *count);
            let sigma = (count * (1.0 - count / total)).sqrt();
            assert!(
                (came - count).abs() < 5.0 * sigma,
                "{}: {datum} came {came} times",
                self.command
            );
        }
    }
}

/// What a command prints.
#[track_caller]
fn in_shell(command: &str, folder: &Path) -> String {
    let shell = Command::new("bash")
        .args(["-c", command])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash is there");
    finish(command, shell)
}

/// `     72 192.0.2.10`
fn counts<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<(f64, &'l str)> {
    let count = |line: &'l str| {
        let (count, datum) = line.trim().split_once(' ')?;
        Some((count.parse().ok()?, datum))
    };
    lines
        .map(|line| count(line).unwrap_or_else(|| panic!("no count in {line:?}")))
        .collect()
}

#[test]
fn commands_are_found_with_what_they_print() {
    let markdown = "$ no\n```console\n$ meridian serve --config x  # note\n$ dig y\n1\n2\n```\n1\n```text\n$ no\n```\n";
    let steps = steps(markdown);
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert_eq!(steps[0].meridian(), Some(vec!["serve", "--config", "x"]));
    assert_eq!(
        steps[1],
        Step {
            command: "dig y".to_owned(),
            expected: vec!["1".to_owned(), "2".to_owned()]
        }
    );
}

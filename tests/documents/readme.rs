//! The README's commands: what is asked of the demo is answered so, and every subcommand is there.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::console::{Step, steps};
use crate::harness::Server;
use crate::harness::server::start;

fn text() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("README.md")).expect("the project has a README.md")
}

fn readme() -> Vec<Step> {
    steps(&text())
}

fn meridian(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.args(arguments);
    command
}

#[test]
fn what_the_readme_asks_the_demo_is_answered_as_it_says() {
    let server = Server::demo();
    let questions: Vec<Step> = readme().into_iter().filter(|step| step.asks()).collect();
    assert!(
        questions.iter().any(|step| !step.expected.is_empty()),
        "the README shows no question with its answer"
    );
    for question in questions {
        question.ask(server.address().port(), server.folder());
    }
}

/// The configuration is the `toml` block; its queries are in the `text` block behind it.
#[test]
fn the_readmes_configuration_answers_as_it_says() {
    let text = text();
    let (_, rest) = text
        .split_once("```toml\n")
        .expect("the README has a configuration");
    let (config, rest) = rest.split_once("```\n").expect("the configuration ends");
    let (_, rest) = rest
        .split_once("```text\n")
        .expect("queries follow the configuration");
    let (queries, _) = rest.split_once("```\n").expect("the queries end");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/nearest/zones");
    crate::examples::copy_folder(&zones, &folder.path().join("zones"));
    let ports = "[server]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    fs::write(
        folder.path().join("meridian.toml"),
        format!("{ports}{config}"),
    )
    .expect("written");
    let mut command = meridian(&["serve"]);
    command.current_dir(folder.path());
    let server = start(command, tempfile::tempdir().expect("a temporary folder"));
    let queries = steps(&format!("```console\n{queries}```\n"));
    assert!(queries.len() >= 2, "{queries:?}");
    for query in queries {
        query.ask(server.address().port(), folder.path());
    }
}

#[test]
fn every_command_of_the_readme_is_there() {
    let steps = readme();
    let commands: Vec<Vec<&str>> = steps.iter().filter_map(Step::meridian).collect();
    assert!(!commands.is_empty(), "the README starts nothing");
    for arguments in commands {
        let flags = |argument: &&&str| !argument.starts_with('-');
        let mut words: Vec<&str> = arguments.iter().take_while(flags).copied().collect();
        // `geodata build` is two words; elsewhere the second is a value already.
        words.truncate(if words.first() == Some(&"geodata") {
            2
        } else {
            1
        });
        let output = meridian(&words)
            .arg("--help")
            .output()
            .expect("the binary runs");
        assert!(
            output.status.success(),
            "the README types {arguments:?}: {output:?}"
        );
        let help = String::from_utf8_lossy(&output.stdout);
        for option in arguments
            .iter()
            .filter(|argument| argument.starts_with("--"))
        {
            let option = option.split('=').next().unwrap_or(option);
            assert!(
                help.contains(option),
                "the README types {arguments:?}, but {words:?} has no {option}:\n{help}"
            );
        }
    }
}

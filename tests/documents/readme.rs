//! The README's commands: what is asked of the demo is answered so, and every subcommand is there.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::console::{Step, steps};
use crate::harness::Server;

fn readme() -> Vec<Step> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    steps(&fs::read_to_string(root.join("README.md")).expect("the project has a README.md"))
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

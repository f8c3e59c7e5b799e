//! Every folder of examples/ is started as its README says, and every question of its README has the answer there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::console::{Step, steps};
use crate::harness::Server;
use crate::harness::server::start;

/// Where an example looks for a server that stands for somebody else's.
const ELSEWHERE: &str = "127.0.0.1:1153";

/// The examples, copied into a folder of ours, with ports that the system chooses.
struct Copy {
    folder: tempfile::TempDir,
    example: String,
}

impl Copy {
    fn of(example: &Path) -> Copy {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let name = example
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name in ASCII")
            .to_owned();
        let copy = Copy {
            folder,
            example: name,
        };
        copy_folder(example, &copy.path());
        for file in copy.configurations() {
            let text = fs::read_to_string(&file).expect("an example has a configuration");
            fs::write(&file, with_free_ports(&text)).expect("the temporary folder can be written");
        }
        copy
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("examples").join(&self.example)
    }

    /// `meridian.toml`, and that of whoever else is needed.
    fn configurations(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.path())
            .expect("it can be read")
            .flatten()
            .map(|entry| entry.path());
        files
            .filter(|file| {
                file.extension()
                    .is_some_and(|extension| extension == "toml")
            })
            .collect()
    }

    /// Lets every configuration find a server that was started as [`ELSEWHERE`] where it really is.
    fn tell_of(&self, server: &Server) {
        for file in self.configurations() {
            let text = fs::read_to_string(&file).expect("it was written");
            let text = text.replace(ELSEWHERE, &server.address().to_string());
            fs::write(&file, text).expect("the temporary folder can be written");
        }
    }

    fn meridian(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// Does what a step says; `servers` are those that earlier steps have started, of which the last is asked.
    fn follow(&self, step: &Step, servers: &mut Vec<Server>) {
        match (step.meridian(), servers.last()) {
            (Some(arguments), _) if arguments[0] == "serve" => {
                let server = start(
                    self.meridian(&arguments),
                    tempfile::tempdir().expect("a temporary folder"),
                );
                self.tell_of(&server);
                servers.push(server);
            }
            (Some(arguments), _) => self.run(&arguments, &step.expected),
            (None, Some(server)) if step.asks() => {
                with_real_ports(step, server).ask(server.address().port(), self.folder.path());
            }
            (None, _) if is_preparation(step) => self.prepare(step),
            _ => panic!(
                "{}: nobody knows how to test {:?}",
                self.example, step.command
            ),
        }
    }

    /// Makes what is not in the repository.
    fn prepare(&self, step: &Step) {
        match step.meridian() {
            Some(arguments) => self.run(&arguments, &[]),
            None => {
                let output = Command::new("bash")
                    .args(["-c", &step.command])
                    .current_dir(self.folder.path())
                    .output();
                let output = output.expect("bash is there");
                assert!(output.status.success(), "{}: {output:?}", step.command);
            }
        }
    }

    /// A command that ends well and begins with what it is said to print.
    fn run(&self, arguments: &[&str], expected: &[String]) {
        let output = self.meridian(arguments).output().expect("the binary runs");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(!printed.trim().is_empty(), "{arguments:?} printed nothing");
        let first: Vec<&str> = printed
            .lines()
            .take(expected.len())
            .map(str::trim_end)
            .collect();
        assert_eq!(first, expected, "{arguments:?}");
    }
}

pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the temporary folder can be written");
    for entry in fs::read_dir(from)
        .expect("an example can be read")
        .flatten()
    {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the temporary folder can be written");
        }
    }
}

/// Whether a step makes what is not in the repository.
fn is_preparation(step: &Step) -> bool {
    step.command.starts_with("openssl ")
        || step
            .meridian()
            .is_some_and(|arguments| ["fleet", "geodata"].contains(&arguments[0]))
}

/// The same question at the ports where the server has its encrypted transports.
fn with_real_ports(step: &Step, server: &Server) -> Step {
    let said = [
        ("@127.0.0.1 -p 8853", "tls"),
        ("@127.0.0.1 -p 8443", "https"),
    ];
    let command = said
        .into_iter()
        .find(|(place, _)| step.command.contains(place))
        .map(|(place, transport)| {
            step.command.replace(
                place,
                &format!("@127.0.0.1 -p {}", server.encrypted(transport).port()),
            )
        });
    Step {
        command: command.unwrap_or_else(|| step.command.clone()),
        expected: step.expected.clone(),
    }
}

/// The same configuration on ports that nobody else has.
fn with_free_ports(text: &str) -> String {
    let encrypted = text
        .lines()
        .filter(|line| line.starts_with("listen_"))
        .filter_map(|line| line.split_once(" = "));
    let encrypted: String = encrypted
        .map(|(key, _)| format!("{key} = [\"127.0.0.1:0\"]\n"))
        .collect();
    let server = format!("[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n{encrypted}");
    let rest: Vec<&str> = text
        .lines()
        .filter(|line| !["[server]", "[admin]"].contains(line) && !line.starts_with("listen"))
        .collect();
    // Keys without a table, such as `include`, must stay first.
    format!(
        "{}\n{server}[admin]\nlisten = \"127.0.0.1:0\"\n",
        rest.join("\n")
    )
}

fn examples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(root)
        .expect("there are examples")
        .flatten()
        .map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

#[test]
fn every_example_does_what_its_readme_says() {
    let examples = examples();
    assert!(examples.len() >= 8, "{examples:?}");
    for example in &examples {
        println!("{}", example.display());
        let steps =
            steps(&fs::read_to_string(example.join("README.md")).expect("an example has a README"));
        assert!(
            steps
                .iter()
                .any(|step| step.asks() && !step.expected.is_empty()),
            "{}: no answer",
            example.display()
        );
        let copy = Copy::of(example);
        let mut servers = Vec::new();
        steps
            .iter()
            .for_each(|step| copy.follow(step, &mut servers));
    }
}

#[test]
fn examples_have_no_mistake_and_no_warning() {
    for example in examples() {
        let copy = Copy::of(&example);
        // What is not in the repository is made by the README's own command first.
        let text = fs::read_to_string(example.join("README.md")).expect("an example has a README");
        for step in steps(&text) {
            if is_preparation(&step) {
                copy.prepare(&step);
            }
        }
        for config in copy.configurations() {
            let output = copy
                .meridian(&["check", "--config"])
                .arg(&config)
                .output()
                .expect("the binary runs");
            let printed = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && printed.lines().count() == 1,
                "{printed}"
            );
        }
    }
}

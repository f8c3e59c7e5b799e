//! The guide: on every page, each file is written as it stands there, each command is run in order, and prints what is
//! written below it. `…` stands for what differs from run to run: the rest of a line, or whole lines where it is alone.
//!
//! What cannot be run here (another server's configuration, an installation) is a block of another kind, and the line above
//! it says why: `<!-- not run here: ... -->`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::console::{Step, steps};
use crate::harness::Server;
use crate::harness::server::start;
use crate::programs::finish;

/// A fenced block: its language, the line above it, and what it holds.
struct Block<'m> {
    language: &'m str,
    above: &'m str,
    text: String,
}

fn blocks(markdown: &str) -> Vec<Block<'_>> {
    let (mut found, mut above): (Vec<Block<'_>>, &str) = (Vec::new(), "");
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push(Block {
                language,
                above,
                text: text.join("\n") + "\n",
            });
        }
        above = line;
    }
    found
}

/// A page in a folder of its own.
struct Page {
    folder: tempfile::TempDir,
    server: Option<Server>,
}

impl Page {
    fn new() -> Page {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("bin")).expect("made");
        let binary = folder.path().join("bin/meridian");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_meridian"), binary).expect("linked");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/gdnsd");
        crate::examples::copy_folder(&example, &folder.path().join("gdnsd"));
        Page {
            folder,
            server: None,
        }
    }

    /// `# meridian.toml` in the first line says that this is that file. A table has no comments, so there it is left out.
    fn file(&self, block: &Block<'_>) {
        let name = block
            .text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix(['#', ';']))
            .map(str::trim);
        let name = name
            .and_then(|name| name.split(',').next())
            .filter(|name| !name.contains(' ') && name.contains('.'));
        let path = self
            .folder
            .path()
            .join(name.unwrap_or_else(|| panic!("which file is this?\n{}", block.text)));
        fs::create_dir_all(path.parent().expect("inside")).expect("made");
        let text = if block.language == "csv" {
            block.text.split_once('\n').map_or("", |(_, rest)| rest)
        } else {
            &block.text
        };
        fs::write(path, text).expect("written");
    }

    fn follow(&mut self, step: &Step) {
        match step.meridian() {
            Some(arguments) if arguments[0] == "serve" => self.serve(&arguments),
            _ => self.run(step),
        }
    }

    fn serve(&mut self, arguments: &[&str]) {
        let config = arguments
            .iter()
            .position(|word| *word == "--config")
            .map_or("meridian.toml", |at| arguments[at + 1]);
        let file = self.folder.path().join(config);
        let text = fs::read_to_string(&file).expect("the page has written it");
        fs::write(&file, with_free_ports(&text)).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
        command.args(arguments).current_dir(self.folder.path());
        self.server = None;
        self.server = Some(start(
            command,
            tempfile::tempdir().expect("a temporary folder"),
        ));
    }

    #[track_caller]
    fn run(&self, step: &Step) {
        let command = self.with_real_ports(&step.command);
        let path = std::env::var("PATH").unwrap_or_default();
        let shell = Command::new("bash")
            .args([
                "-c",
                &format!(
                    "{command}\nexit $(( $? == {} ? 0 : 1 ))",
                    exit_code(&command)
                ),
            ])
            .current_dir(self.folder.path())
            .env(
                "PATH",
                format!(
                    "{}:{path}:/usr/sbin",
                    self.folder.path().join("bin").display()
                ),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash is there");
        let printed = finish(&command, shell);
        let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
        let expected: Vec<&str> = step.expected.iter().map(String::as_str).collect();
        let shown = printed.join("\n");
        assert!(
            expected.is_empty() || agree(&expected, &printed),
            "{}: it printed\n{shown}",
            step.command
        );
    }

    fn with_real_ports(&self, command: &str) -> String {
        let Some(server) = &self.server else {
            return command.to_owned();
        };
        let admin = server
            .admin
            .expect("the guide's servers have an admin address")
            .to_string();
        let command = command.replace("-p 1053", &format!("-p {}", server.address().port()));
        let command = command.replace("127.0.0.1:8053", &admin);
        let asks = [
            "status", "drain", "undrain", "shift", "unshift", "force", "weight", "reload",
        ];
        let asked = asks.iter().find_map(|word| {
            command
                .strip_prefix(&format!("meridian {word}"))
                .map(|rest| (word, rest))
        });
        match asked {
            Some((word, rest)) if !command.contains("--admin") => {
                format!("meridian {word} --admin http://{admin}{rest}")
            }
            _ => command,
        }
    }
}

/// `# exit 1` behind a command says that it ends so.
fn exit_code(command: &str) -> u8 {
    command
        .split_once("# exit ")
        .and_then(|(_, code)| code.trim().parse().ok())
        .unwrap_or(0)
}

fn with_free_ports(text: &str) -> String {
    let said = [
        "127.0.0.1:1053",
        "[::1]:1053",
        "0.0.0.0:53",
        "[::]:53",
        "127.0.0.1:8053",
    ];
    let real = [
        "127.0.0.1:0",
        "[::1]:0",
        "127.0.0.1:0",
        "[::1]:0",
        "127.0.0.1:0",
    ];
    let mut text = said
        .iter()
        .zip(real)
        .fold(text.to_owned(), |text, (said, real)| {
            text.replace(said, real)
        });
    for (table, listen) in [
        ("[server]", "[\"127.0.0.1:0\"]"),
        ("[admin]", "\"127.0.0.1:0\""),
    ] {
        if !text.lines().any(|line| line == table) {
            text.push_str(&format!("\n{table}\nlisten = {listen}\n"));
        }
    }
    text
}

/// Whether lines are as expected; `…` in one is any text, and alone it is any lines.
fn agree(expected: &[&str], printed: &[&str]) -> bool {
    match (expected, printed) {
        (["…", rest @ ..], _) => {
            (0..=printed.len()).any(|skipped| agree(rest, &printed[skipped..]))
        }
        ([line, rest @ ..], [first, others @ ..]) => {
            line_agrees(line, first) && agree(rest, others)
        }
        ([], []) => true,
        _ => false,
    }
}

fn line_agrees(expected: &str, printed: &str) -> bool {
    let Some((before, after)) = expected.split_once('…') else {
        return expected == printed;
    };
    let Some(rest) = printed.strip_prefix(before) else {
        return false;
    };
    (0..=rest.len())
        .filter(|at| rest.is_char_boundary(*at))
        .any(|at| line_agrees(after, &rest[at..]))
}

fn pages() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide");
    let files = fs::read_dir(folder)
        .expect("there is a guide")
        .flatten()
        .map(|entry| entry.path());
    let mut pages: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .collect();
    pages.sort();
    assert!(pages.len() >= 12, "{pages:?}");
    pages
}

fn text(page: &Path) -> String {
    fs::read_to_string(page).expect("a page is text")
}

#[test]
fn every_page_of_the_guide_is_true() {
    for path in pages() {
        println!("{}", path.display());
        let text = text(&path);
        let mut page = Page::new();
        for block in blocks(&text) {
            match block.language {
                "console" => steps(&format!("```console\n{}```\n", block.text))
                    .iter()
                    .for_each(|step| page.follow(step)),
                _ if block.above.starts_with("<!-- not run here: ") => {}
                "toml" | "zone" | "csv" => page.file(&block),
                "text" => {}
                other => panic!(
                    "{}: is a block of {other:?} run, and if not, why?",
                    path.display()
                ),
            }
        }
    }
}

#[test]
fn every_page_of_the_guide_is_in_its_index_and_its_links_lead_somewhere() {
    let index = text(
        &pages()
            .into_iter()
            .find(|path| path.ends_with("README.md"))
            .expect("the guide has an index"),
    );
    for page in pages() {
        let name = page
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name in ASCII");
        assert!(
            name == "README.md" || index.contains(&format!("]({name})")),
            "the index of the guide lacks {name}"
        );
        let text = text(&page);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = link.split('#').next().unwrap_or("");
            let is_path = !file.is_empty() && !file.contains("://");
            assert!(
                !is_path || page.parent().expect("a folder").join(file).exists(),
                "{name}: {link}"
            );
        }
    }
}

#[test]
fn dots_stand_for_anything() {
    assert!(agree(&["up …s", "…", "z"], &["up 3s", "a", "b", "z"]));
    assert!(agree(&["…"], &[]) && agree(&["a…b…c"], &["a1b2c"]));
    assert!(
        !agree(&["a", "…", "z"], &["a", "b"])
            && !agree(&["a"], &["a", "b"])
            && !agree(&["a…b"], &["ac"])
    );
}

//! What the source promises about itself: imports point down, sockets stay where they belong, every file opens with
//! its idea, nothing panics on purpose, files stay short.

mod circles;
mod density;
mod parsed;

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom; a file imports from its own layer or from lower ones.
const LAYERS: [(&str, u8); 31] = [
    ("disk", 0),
    ("log_queue", 0),
    ("files", 0),
    ("net", 0),
    ("new_files", 1),
    ("text", 0),
    ("two_threads", 0),
    ("terminal", 1),
    ("dns", 1),
    ("steering", 1),
    ("dnssec", 2),
    ("zone", 2),
    ("geo", 2),
    ("health", 2),
    ("resolve", 2),
    ("config", 3),
    ("catalog", 4),
    ("answer", 5),
    ("balance", 6),
    ("explain", 6),
    ("fleet", 6),
    ("server", 6),
    ("foresight", 7),
    ("control", 8),
    ("admin", 9),
    ("daemon", 10),
    ("announce", 11),
    ("demo", 11),
    ("import", 11),
    ("cli", 12),
    ("main", 13),
];

/// Where sockets may be: the nameserver's, the probes', the operators', and what people type to talk to those.
const WITH_SOCKETS: [&str; 8] = [
    "announce", "server", "health", "control", "admin", "daemon", "demo", "cli",
];

/// What every query passes through; clippy denies there what could panic. Modules below `dns`, `answer` and `catalog` inherit it.
const QUERY_PATH: [&str; 10] = [
    "src/dns.rs",
    "src/answer.rs",
    "src/catalog.rs",
    "src/steering/pick.rs",
    "src/geo/table.rs",
    "src/server/udp.rs",
    "src/server/batch.rs",
    "src/server/limit.rs",
    "src/server/proxy.rs",
    "src/server/stats.rs",
];

/// What could panic, as clippy calls it.
const PANICS: [&str; 5] = [
    "arithmetic_side_effects",
    "indexing_slicing",
    "unwrap_used",
    "expect_used",
    "panic",
];

/// What fuzzers and the replay of their corpora call: it reaches into every layer, and panics where something is wrong.
const FUZZING: &str = "src/fuzzing.rs";

/// Where the wall clock is read, which anybody may set, and what for. Nothing that ends after a while is counted on it.
const WALL_CLOCK: [(&str, &str); 13] = [
    (
        "src/admin/health.rs",
        "since when an endpoint is as it is, for people",
    ),
    ("src/admin/metrics.rs", "how old geodata is"),
    ("src/admin/status.rs", "how old geodata is"),
    (
        "src/control/clock.rs",
        "what people read as the end of an order, and the time between two boots",
    ),
    (
        "src/control/events.rs",
        "when something happened, for people",
    ),
    (
        "src/control/identity.rs",
        "whether a certificate is still good",
    ),
    ("src/control.rs", "a number by chance"),
    ("src/control/process.rs", "cookies (RFC 9018)"),
    (
        "src/control/signing/purpose.rs",
        "when signatures begin and end (RFC 4034 section 3.1.5)",
    ),
    (
        "src/control/reload.rs",
        "when something happened, for people",
    ),
    (
        "src/files.rs",
        "how long ago a file was written, of which its times are told by that clock",
    ),
    ("src/health/board.rs", "when something happened, for people"),
    (
        "src/health/probe/connection.rs",
        "whether a certificate is still good",
    ),
];

/// One source file, without its tests.
struct Source {
    path: String,
    text: String,
    /// Everything before `#[cfg(test)]` on a module of tests.
    code: String,
    layer: Option<&'static str>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join("src"), &mut paths);
    paths.sort();
    let sources: Vec<Source> = paths.iter().map(|path| Source::read(root, path)).collect();
    assert!(
        sources.len() > 50,
        "the source is where this test looks for it"
    );
    sources
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder)
        .expect("the source can be read")
        .flatten()
    {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

impl Source {
    fn read(root: &Path, path: &Path) -> Source {
        let text = fs::read_to_string(path).expect("source is text");
        let path = path
            .strip_prefix(root)
            .expect("it lies there")
            .display()
            .to_string();
        // Tests come last in a file, and are the only thing behind this attribute at the left margin.
        let code = text
            .split("\n#[cfg(test)]\n")
            .next()
            .unwrap_or(&text)
            .to_owned();
        let top = path
            .split('/')
            .nth(1)
            .map(|name| name.trim_end_matches(".rs"));
        let layer = LAYERS
            .iter()
            .map(|(name, _)| *name)
            .find(|name| Some(*name) == top);
        Source {
            path,
            text,
            code,
            layer,
        }
    }

    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or("");
        name.contains("tests") || name.contains("testing") || self.path == FUZZING
    }

    /// Lines with their numbers, comments left out.
    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..)
            .zip(self.code.lines())
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

#[track_caller]
fn expect_none(found: Vec<String>, rule: &str) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

fn rank(layer: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(name, _)| *name == layer)
        .map(|(_, rank)| *rank)
}

#[test]
fn imports_point_down() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some(own) = source.layer else { continue };
        for (number, line) in source.code_lines() {
            for imported in line.split("crate::").skip(1) {
                let layer = imported
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .next()
                    .unwrap_or("");
                let allowed =
                    layer == own || rank(layer).is_none_or(|rank| Some(rank) < self::rank(own));
                if !allowed {
                    found.push(format!("{}:{number}: {own} imports {layer}", source.path));
                }
            }
        }
    }
    expect_none(found, "a layer imports from lower layers only");
}

#[test]
fn the_layers_are_the_modules() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))
        .expect("the crate has one");
    for module in lib.lines().filter_map(|line| line.strip_prefix("pub mod ")) {
        let module = module.trim_end_matches(';');
        assert!(
            rank(module).is_some() || FUZZING == format!("src/{module}.rs"),
            "{module} has no rank in this test"
        );
    }
}

#[test]
fn sockets_stay_where_they_belong() {
    let words = [
        "UdpSocket",
        "TcpListener",
        "TcpStream",
        "UnixListener",
        "UnixStream",
        "socket2::",
    ];
    let mut found = Vec::new();
    for source in sources() {
        if source
            .layer
            .is_none_or(|layer| WITH_SOCKETS.contains(&layer))
        {
            continue;
        }
        let lines = source
            .code_lines()
            .filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        found.extend(
            lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())),
        );
    }
    expect_none(found, "only the outer layers have sockets");
}

/// What opens a file to read it. The lock of the state directory is opened by who owns it, and never waits either.
const READING: [&str; 5] = [
    "File::open(",
    "fs::read(",
    "fs::read_to_string(",
    "OpenOptions::new().read(",
    ".read(true)",
];

/// Where that may be.
const WITH_FILES: [&str; 2] = ["src/files.rs", "src/control/state_directory.rs"];

#[test]
fn files_are_read_in_one_place() {
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !WITH_FILES.contains(&&*source.path) && !source.is_test())
    {
        let reads = |line: &str| {
            READING
                .iter()
                .any(|word| line.replace("OpenFile::open(", "").contains(word))
        };
        let lines = source.code_lines().filter(|(_, line)| reads(line));
        // A folder is opened to have it written to the disk.
        let lines = lines.filter(|(_, line)| !line.contains(".sync_all()"));
        found.extend(
            lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())),
        );
    }
    expect_none(
        found,
        "files are read through crate::files: bounded, never waiting, whole or not at all",
    );
}

/// Where stdout and stderr may be named: what escapes text from outside, the log, the signs of life of our own words, and
/// the supervisor of a program, whose stderr is a pipe to the server.
const WITH_OUTPUT: [&str; 6] = [
    "src/terminal.rs",
    "src/daemon/log.rs",
    "src/log_queue.rs",
    "src/daemon/progress.rs",
    "src/demo.rs",
    "src/health/probe/supervisor.rs",
];

#[test]
fn what_is_printed_passes_one_place() {
    let words = [
        "println!(",
        "eprintln!(",
        "print!(",
        "eprint!(",
        "stdout()",
        "stderr()",
        "io::stdout",
        "io::stderr",
    ];
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !WITH_OUTPUT.contains(&&*source.path) && !source.is_test())
    {
        let lines = source
            .code_lines()
            .filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        let lines = lines.filter(|(_, line)| !line.contains("TextOutput::stdout()"));
        found.extend(
            lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())),
        );
    }
    expect_none(
        found,
        "the commands print through crate::terminal, which shows what would play with a terminal",
    );
}

#[test]
fn every_file_opens_with_its_idea() {
    let silent = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "));
    expect_none(
        silent.map(|source| source.path).collect(),
        "a file starts with //! and its idea",
    );
}

#[test]
fn modules_and_their_tests_have_one_style() {
    let mut found = Vec::new();
    for source in sources() {
        if source.path.ends_with("/mod.rs") {
            found.push(format!("{}: a module is name.rs beside name/", source.path));
        }
        if source.text.contains("\n#[path = ") {
            found.push(format!(
                "{}: a module lies where its name says",
                source.path
            ));
        }
    }
    expect_none(
        found,
        "modules are name.rs beside name/, long tests are name/tests.rs",
    );
}

#[test]
fn nothing_unwraps() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let lines = source.code_lines().filter(|(_, line)| {
            line.contains(".unwrap()")
                || line.contains("panic!(")
                || line.contains("todo!(")
                || line.contains("dbg!(")
        });
        found.extend(
            lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())),
        );
    }
    expect_none(found, "outside tests nothing unwraps or panics");
}

/// These panic where the system has no thread to give; `std::thread::Builder` returns the error.
#[test]
fn a_thread_that_cannot_be_made_is_no_panic() {
    let words = ["thread::spawn(", "scope.spawn(", "spawn_blocking("];
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let lines = source
            .code_lines()
            .filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        found.extend(
            lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())),
        );
    }
    expect_none(
        found,
        "threads are made by std::thread::Builder, or once at the start",
    );
}

#[test]
fn the_wall_clock_is_read_where_it_says_and_nowhere_else() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let listed = WALL_CLOCK.iter().any(|(path, _)| *path == source.path);
        let reads = source
            .code_lines()
            .any(|(_, line)| line.contains("SystemTime::now"));
        if reads && !listed {
            found.push(format!("{} reads the wall clock", source.path));
        }
        if listed && !reads {
            found.push(format!(
                "{} reads it no longer, so it need not be listed",
                source.path
            ));
        }
    }
    expect_none(
        found,
        "what ends after a while is a Deadline (src/control/clock.rs); the wall clock may be set",
    );
}

#[test]
fn files_stay_short() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let lines = source.code.lines().count();
        if lines > 500 {
            found.push(format!(
                "{} has {lines} lines before its tests",
                source.path
            ));
        }
    }
    expect_none(found, "a file has at most 500 lines without its tests");
}

/// The text that `--help` prints stands in the README between a line ```` ```text ```` with the command and its end.
#[test]
fn the_readmes_help_is_the_binarys() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(readme) = fs::read_to_string(root.join("README.md")) else {
        return;
    };
    let Some((_, rest)) = readme.split_once("$ meridian --help\n") else {
        return;
    };
    let (stated, _) = rest
        .split_once("```")
        .expect("the block of the help text ends");
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_meridian"))
        .arg("--help")
        .output()
        .expect("it runs");
    let help = String::from_utf8_lossy(&help.stdout);
    let words = |text: &str| {
        text.lines()
            .map(|line| line.trim().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(
        words(stated.trim()),
        words(help.trim()),
        "README.md states another help text"
    );
}

#[test]
fn relative_links_of_the_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = vec![root.join("README.md")];
    documents.extend(
        fs::read_dir(root.join("docs"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path()),
    );
    let mut found = Vec::new();
    for document in documents
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
    {
        let Ok(text) = fs::read_to_string(document) else {
            continue;
        };
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or("");
            let is_path = !target.is_empty() && !target.contains("://") && !target.contains(' ');
            let folder = document.parent().expect("a file lies in a folder");
            if is_path && !folder.join(target).exists() {
                found.push(format!("{}: {link}", document.display()));
            }
        }
    }
    expect_none(found, "a link leads to a file that is there");
}

/// The image is built from the folders that the Dockerfile copies, and from nothing else.
#[test]
fn the_dockerfile_copies_what_the_source_includes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dockerfile = fs::read_to_string(root.join("Dockerfile")).expect("there is one");
    let (build, _) = dockerfile.split_once("\nFROM debian").expect("two stages");
    let copied: Vec<&str> = build
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .collect();
    let copies = |name: &str| {
        copied
            .iter()
            .any(|line| line.split(' ').any(|word| word == name))
    };
    let mut needed = vec![
        "Cargo.toml".to_owned(),
        "Cargo.lock".to_owned(),
        "src".to_owned(),
        "benches".to_owned(),
    ];
    for source in sources().iter().filter(|source| !source.is_test()) {
        for included in ["include_str!(\"", "include_bytes!(\""]
            .iter()
            .flat_map(|call| source.code.split(call).skip(1))
        {
            let outside = included
                .trim_start_matches("../")
                .split(['/', '"'])
                .next()
                .unwrap_or("");
            if included.starts_with("../") {
                needed.push(outside.to_owned());
            }
        }
    }
    assert!(needed.iter().any(|name| name == "geodata"), "{needed:?}");
    expect_none(
        needed.into_iter().filter(|name| !copies(name)).collect(),
        "the Dockerfile copies what a build needs",
    );
}

/// Mirrors come and go, and each builder has his own: what packages are called is said, not where they lie.
#[test]
fn no_file_names_the_host_of_a_package_registry() {
    let hosts = [
        ["index.", "crates.io"],
        ["static.", "crates.io"],
        ["//", "crates.io"],
        ["registry.", "npmjs"],
        ["registry.", "yarnpkg"],
        ["py", "pi.org"],
        ["files.", "pythonhosted"],
        ["deb.", "debian.org"],
        ["archive.", "ubuntu.com"],
        ["proxy.", "golang.org"],
        ["registry-1.", "docker.io"],
    ]
    .map(|parts| parts.concat());
    let mut found = Vec::new();
    for (path, text) in texts() {
        let named = hosts.iter().filter(|host| text.contains(&**host));
        found.extend(named.map(|host| format!("{path}: {host}")));
    }
    expect_none(found, "no file names the host of a package registry");
}

/// Every text of the repository, without what is built or fetched.
fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect_all(root, &mut paths);
    assert!(
        paths.len() > 200,
        "the repository is where this test looks for it"
    );
    let text = |path: &PathBuf| {
        let name = path
            .strip_prefix(root)
            .unwrap_or(path)
            .display()
            .to_string();
        Some((name, fs::read_to_string(path).ok()?))
    };
    paths.iter().filter_map(text).collect()
}

fn collect_all(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder)
        .expect("the repository can be read")
        .flatten()
    {
        let path = entry.path();
        let skipped = matches!(
            entry.file_name().to_str(),
            Some(".git" | "target" | "artifacts" | "coverage")
        );
        if path.is_dir() && !skipped {
            collect_all(&path, paths);
        } else if path.is_file() && !skipped {
            paths.push(path);
        }
    }
}

#[test]
fn on_the_query_path_nothing_that_could_panic_is_allowed() {
    let sources = sources();
    for path in QUERY_PATH {
        let source = sources
            .iter()
            .find(|source| source.path == path)
            .expect("every file that is named is there");
        let denied = source
            .code
            .split("deny(")
            .nth(1)
            .and_then(|rest| rest.split(')').next())
            .unwrap_or_default();
        for lint in PANICS {
            assert!(
                denied.contains(&format!("clippy::{lint}")),
                "{path} does not deny {lint}"
            );
        }
    }
}

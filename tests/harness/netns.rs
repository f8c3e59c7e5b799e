//! Network namespaces, cables between them, and programs inside. All of it needs root.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Namespaces that are deleted at the end, with the cables in them.
pub struct Namespaces {
    prefix: String,
    names: Vec<&'static str>,
}

impl Namespaces {
    /// Namespaces with these names; their full names begin with `prefix`.
    #[track_caller]
    pub fn add(prefix: String, names: &[&'static str]) -> Namespaces {
        let namespaces = Namespaces {
            prefix,
            names: names.to_vec(),
        };
        for name in names {
            let name = namespaces.full_name(name);
            ip(&format!("netns add {name}"));
            ip(&format!("-n {name} link set lo up"));
        }
        namespaces
    }

    pub fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A cable between two of them, whose ends have the addresses 1 and 2 of `subnet`. The end in the
    /// first is named after the second, and the other way round.
    #[track_caller]
    pub fn cable(&self, near: &str, far: &str, subnet: &str) {
        let (this, that) = (self.full_name(near), self.full_name(far));
        ip(&format!(
            "link add name {far} netns {this} type veth peer name {near} netns {that}"
        ));
        for (name, device, address) in [(&this, far, 1), (&that, near, 2)] {
            ip(&format!(
                "-n {name} address add {subnet}.{address}/30 dev {device}"
            ));
            ip(&format!("-n {name} link set {device} up"));
        }
    }

    /// Lets one of them forward.
    pub fn forward(&self, name: &str) {
        inside(&self.full_name(name), || {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("root may forward");
        });
    }

    /// A program in one of them.
    pub fn command(&self, name: &str, program: &str) -> Command {
        let mut command = Command::new(find("ip"));
        command.args(["netns", "exec", &self.full_name(name)]);
        command.arg(find(program));
        command
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new(find("ip"))
                .args(["netns", "delete", &self.full_name(name)])
                .status();
        }
    }
}

/// Does something on a thread of its own in a network namespace.
pub fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let entered = scope.spawn(|| {
            enter(namespace);
            work()
        });
        entered.join().expect("the work in the namespace is done")
    })
}

/// Moves this thread into a network namespace.
pub fn enter(namespace: &str) {
    let file = File::open(format!("/run/netns/{namespace}")).expect("ip has made it");
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("root may enter it");
}

#[track_caller]
pub fn ip(words: &str) {
    let output = Command::new(find("ip"))
        .args(words.split(' '))
        .output()
        .expect("ip can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "ip {words}: {said}(a network namespace needs root; run the tests as root)"
    );
}

/// The program's path; a test cannot go on without it.
pub fn find(program: &str) -> PathBuf {
    if program.starts_with('/') {
        return program.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    let package = match program {
        "ip" => "iproute2",
        "bird" | "birdc" => "bird2",
        other => other,
    };
    found.unwrap_or_else(|| {
        panic!("{program} is not installed; install it with: sudo apt-get install {package}")
    })
}

/// A program that ends with the test.
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it with its output in a file.
    pub fn start(mut command: Command, log: &Path) -> Program {
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .expect("the folder can be written");
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("descriptors are left"))
            .stderr(file);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Program {
            child,
            log: log.to_owned(),
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn signal(&self, signal: libc::c_int) {
        let id = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: the process is a child of this one that was not waited for.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// Sends SIGTERM and waits for the end.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal(libc::SIGTERM);
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

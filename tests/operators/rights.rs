//! What the process may do: to open low ports, if it could before, and nothing else; the programs that it runs, no more.

use std::fs;

use crate::harness::Setup;

/// `CAP_NET_BIND_SERVICE` of capabilities(7).
const OPEN_LOW_PORTS: u64 = 1 << 10;
const ZONE: &str =
    "$ORIGIN example.test.\n@ 60 SOA ns hostmaster 1 1 1 1 1\n@ 60 NS ns\nns 60 A 192.0.2.53\n";

/// Rights by their names in proc(5): permitted, effective, inheritable and ambient.
fn rights(status: &str) -> [u64; 4] {
    ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"].map(|name| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("Linux tells them");
        u64::from_str_radix(line.trim(), 16).expect("they are hexadecimal")
    })
}

fn cannot_gain_any(status: &str) -> bool {
    status.lines().any(|line| line == "NoNewPrivs:\t1")
}

#[test]
fn threads_keep_one_right_and_programs_gain_none() {
    let setup = Setup::new().zone("example.test", ZONE);
    let told = setup.folder().join("told");
    let server = setup
        .config(&format!(
            "[regions.fra]\nlocation = \"FRA\"\n[checks.own]\ntype = \"exec\"\nprogram = \"/bin/cp\"\n\
             arguments = [\"/proc/self/status\", \"{}\"]\n[[services]]\nname = \"www.example.test\"\n\
             endpoints = {{ fra = {{ address = \"192.0.2.1\", check = \"own\" }} }}\n",
            told.display()
        ))
        .start();
    let ours = rights(&fs::read_to_string("/proc/self/status").expect("Linux has it"));
    let kept = ours[0] & OPEN_LOW_PORTS;
    let threads = fs::read_dir(format!("/proc/{}/task", server.id())).expect("it runs");
    let threads =
        threads.map(|thread| fs::read_to_string(thread.expect("a thread").path().join("status")));
    let threads: Vec<String> = threads.flatten().collect();
    assert!(threads.len() > 3, "workers and the runtime");
    for status in threads {
        assert_eq!(rights(&status), [kept, kept, 0, 0], "{status}");
        assert!(cannot_gain_any(&status), "{status}");
    }
    // It was run before the first answer. `root` would regain every right with a new program, were that not forbidden.
    let program = fs::read_to_string(told).expect("the check has run");
    assert_eq!(rights(&program)[3], 0, "{program}");
    assert_eq!(rights(&program)[0] & !OPEN_LOW_PORTS, 0, "{program}");
    assert!(cannot_gain_any(&program), "{program}");
}

//! What services share (policies and pools), and configurations of several files.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::steering::{PickMethod, RegionOrder};

const REGIONS: &str =
    "regions = { fra = { location = [50, 8] }, iad = { location = [39, -77] }, bare = {} }\n";

fn read(text: &str) -> Result<LoadedConfig, Vec<String>> {
    parse(&format!("{REGIONS}{text}"), Path::new("meridian.toml")).map_err(lines)
}

fn lines(errors: Vec<ConfigError>) -> Vec<String> {
    errors.iter().map(ConfigError::to_string).collect()
}

#[test]
fn a_service_takes_from_its_policy_what_it_does_not_state() {
    let text = r#"
[checks.web]
type = "http"
[[fences.eu]]
clients = { continents = ["EU"] }
regions = ["fra"]
[[fences.us]]
clients = { countries = ["US"] }
regions = ["iad"]
[policies.shared]
ttl = { max = 60, min = 10 }
order = "none"
pick = "sticky"
answers = 2
check = "web"
ramp = "5s"
max_removed = "50%"
all_down = "servfail"
client_subnet = false
fences = "eu"
[[services]]
name = "a.example"
policy = "shared"
endpoints = { fra = ["192.0.2.1", "192.0.2.2"], iad = "192.0.2.3" }
[[services]]
name = "b.example"
policy = "shared"
ttl = 7
order = "nearest"
pick = "weighted"
client_subnet = true
fences = "us"
endpoints = { fra = "192.0.2.1", iad = "192.0.2.3" }
"#;
    let loaded = read(text).unwrap();
    let [one, other] = &loaded.config.services[..] else {
        panic!("two services");
    };
    assert_eq!(one.policy.as_deref(), Some("shared"));
    assert_eq!((one.ttl, one.least_ttl), (60, Some(10)));
    assert_eq!(
        (one.order, one.pick),
        (RegionOrder::None, PickMethod::Sticky)
    );
    assert_eq!(
        (one.answers, one.check, one.client_subnet),
        (2, Some(CheckId(0)), false)
    );
    assert_eq!((one.fold.ramp.as_secs(), one.fold.max_removed), (5, 0.5));
    assert_eq!(one.fences[0].list.as_deref(), Some("eu"));
    assert_eq!((other.ttl, other.least_ttl), (7, None));
    assert_eq!(
        (other.order, other.pick),
        (RegionOrder::Nearest, PickMethod::Weighted)
    );
    assert_eq!((other.answers, other.client_subnet), (2, true));
    assert_eq!(other.fences[0].list.as_deref(), Some("us"));
}

#[test]
fn pools_hold_endpoints_for_many_services() {
    let text = r#"
[checks.web]
type = "tcp"
port = 80
[checks.deep]
type = "http"
[pools.edge]
fra = ["192.0.2.1", { address = "192.0.2.2", check = "deep", port = 81 }]
iad = { address = "192.0.2.3", weight = 7 }
[[services]]
name = "a.example"
check = "web"
pool = "edge"
capacity = { fra = 100 }
[[services]]
name = "b.example"
pool = "edge"
"#;
    let loaded = read(text).unwrap();
    let [one, other] = &loaded.config.services[..] else {
        panic!("two services");
    };
    let checks = |service: &ServiceConfig| -> Vec<Option<CheckId>> {
        let regions = service.regions.iter();
        regions
            .flat_map(|region| region.endpoints.iter().map(|endpoint| endpoint.check))
            .collect()
    };
    assert_eq!(
        checks(one),
        [Some(CheckId(0)), Some(CheckId(1)), Some(CheckId(0))]
    );
    assert_eq!(checks(other), [None, Some(CheckId(1)), None]);
    assert_eq!(one.regions[1].endpoints[0].weight, 7);
    assert_eq!(one.regions[0].capacity, Some(Capacity::Rate(100.0)));
    assert_eq!(other.pool.as_deref(), Some("edge"));
}

#[test]
fn mistakes_about_policies_and_pools_are_said_once_and_where_they_are() {
    let cases = [
        (
            "[[services]]\nname = \"a.example\"\npolicy = \"eu-onyl\"\nendpoints = { fra = \"192.0.2.1\" }\n\
             [policies.eu-only]",
            "meridian.toml:4:10: there is no policy \"eu-onyl\" (did you mean \"eu-only\"?)",
        ),
        (
            "[[services]]\nname = \"a.example\"\npool = \"egde\"\n[pools.edge]\nfra = \"192.0.2.1\"",
            "meridian.toml:4:8: there is no pool \"egde\" (did you mean \"edge\"?)",
        ),
        (
            "[[services]]\nname = \"a.example\"\n",
            "meridian.toml:2:1: the service needs endpoints, or a pool",
        ),
        (
            "[pools.edge]\nfra = \"192.0.2.1\"\n[[services]]\nname = \"a.example\"\npool = \"edge\"\n\
             endpoints = { fra = \"192.0.2.1\" }",
            "meridian.toml:6:8: the service has endpoints of its own; give either a pool or endpoints",
        ),
        (
            "[pools.edge]\nfra = [\"192.0.2.1\", \"192.0.2.1\"]\n[[services]]\nname = \"a.example\"\npool = \"edge\"",
            "meridian.toml:3:21: the pool has the endpoint 192.0.2.1 twice",
        ),
        (
            "[pools.edge]\nbare = \"192.0.2.1\"\n[[services]]\nname = \"a.example\"\npool = \"edge\"",
            "meridian.toml:6:8: region \"bare\" has no location, which order = \"nearest\" needs",
        ),
        (
            "[policies.p]\nmin_endpoints = 2\n[[services]]\nname = \"a.example\"\npolicy = \"p\"\n\
             endpoints = { fra = \"192.0.2.1\" }",
            "meridian.toml:6:10: region \"fra\" has only 1 of the 2 endpoints that min_endpoints requires",
        ),
        (
            "[policies.p]\nttl = { max = 5, min = 9 }\n[[services]]\nname = \"a.example\"\npolicy = \"p\"\n\
             endpoints = { fra = \"192.0.2.1\" }",
            "meridian.toml:3:24: min is more than the 5 of max",
        ),
        (
            "[[fences.us]]\nclients = { countries = [\"US\"] }\nregions = [\"iad\"]\n[policies.p]\nfences = \"us\"\n\
             [[services]]\nname = \"a.example\"\npolicy = \"p\"\nendpoints = { fra = \"192.0.2.1\" }",
            "meridian.toml:9:10: the fence of \"us\" in line 2 leaves no region of this service; give endpoints in one \
             of them",
        ),
        (
            "[checks.a]\ntype = \"tcp\"\nport = 1\n[checks.both]\nall = [\"a\"]\n[pools.edge]\nfra = { address = \"192.0.2.1\", port = 81 }\n\
             [[services]]\nname = \"a.example\"\npool = \"edge\"\ncheck = \"both\"",
            "meridian.toml:11:8: the pool has an endpoint with port 81, but its check combines others, each of which has its \
             own port",
        ),
    ];
    for (text, sentence) in cases {
        let found = read(text).expect_err(text);
        assert_eq!(found, [sentence], "{text}");
    }
}

#[test]
fn what_no_service_uses_is_a_warning() {
    let text = "[policies.p]\nband = \"5%\"\norder = \"priority\"\n[pools.q]\nfra = \"192.0.2.1\"\niad = \"192.0.2.2\"\n\
                bare = \"192.0.2.3\"";
    assert_eq!(
        lines(read(text).unwrap().warnings),
        [
            "meridian.toml:2:11: policy \"p\" is used by no service",
            "meridian.toml:3:8: band means something only where order = \"nearest\"",
            "meridian.toml:5:8: pool \"q\" is used by no service",
        ]
    );
}

/// A folder with files; the first one is loaded.
fn load_files(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<LoadedConfig, Vec<String>>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let loaded = load(&folder.path().join(files[0].0));
    let start = format!("{}/", folder.path().display());
    let relative = |error: &ConfigError| error.to_string().replace(&start, "");
    let loaded = loaded.map_err(|errors| errors.iter().map(relative).collect());
    (folder, loaded)
}

const MAIN: &str = "include = [\"services.d/*.toml\"]\n[regions.fra]\nlocation = [50, 8]\n";

#[test]
fn a_configuration_may_have_many_files() {
    let (folder, loaded) = load_files(&[
        ("meridian.toml", MAIN),
        (
            "services.d/shop.toml",
            "[policies.p]\nttl = 5\n[[services]]\nname = \"shop.example\"\npolicy = \"p\"\npool = \"edge\"",
        ),
        (
            "services.d/edge.toml",
            "[pools.edge]\nfra = \"192.0.2.1\"\n[[services]]\nname = \"a.example\"\npool = \"edge\"",
        ),
        ("services.d/.#shop.toml", "not = a = configuration"),
        ("services.d/deeper/b.toml", "nor = this = one"),
    ]);
    let loaded = loaded.unwrap();
    let names: Vec<String> = loaded
        .config
        .services
        .iter()
        .map(|service| service.name.to_string())
        .collect();
    assert_eq!(names, ["a.example", "shop.example"]);
    assert_eq!(loaded.config.services[1].ttl, 5);
    let stated = loaded.config.services[1].stated.to_string();
    assert!(stated.ends_with("services.d/shop.toml:3"), "{stated}");
    let read: Vec<_> = loaded.files.iter().map(|read| read.path.clone()).collect();
    let expected = [
        "meridian.toml",
        "services.d/edge.toml",
        "services.d/shop.toml",
    ];
    assert_eq!(read, expected.map(|name| folder.path().join(name)));
    assert_eq!(loaded.sources.len(), 3);
}

#[test]
fn every_mistake_has_its_own_file_and_line() {
    let service = "[[services]]\nname = \"a.example\"\nendpoints = { fra = \"192.0.2.1\" }\n";
    let (_folder, loaded) = load_files(&[
        ("meridian.toml", &format!("{MAIN}[server]\nworkers = 0\n")),
        (
            "services.d/1.toml",
            &format!("{service}[checks.web]\ntype = \"http\"\ninterval = \"x\""),
        ),
        (
            "services.d/2.toml",
            &format!("\n{service}[regions.fra]\n[server]\n"),
        ),
        (
            "services.d/3.toml",
            "[[services]]\nname = \"b.example\"\nendpoints = { frx = \"192.0.2.1\" }\n",
        ),
    ]);
    assert_eq!(
        loaded.unwrap_err(),
        [
            "meridian.toml:5:11: workers: expected a whole number from 1 to 1024, found 0",
            "services.d/1.toml:6:12: interval: expected a duration from 100ms to 1h, such as \"3s\" or \"1h30m\", found \"x\"",
            "services.d/2.toml:3:8: a.example is a service already in line 1 of services.d/1.toml",
            "services.d/2.toml:5:10: there is a region \"fra\" already in line 2 of meridian.toml",
            "services.d/2.toml:6:2: unknown key \"server\"; known here: regions, checks, fences, policies, pools, services",
            "services.d/3.toml:3:15: there is no region \"frx\" (did you mean \"fra\"?)",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake_of_its_pattern() {
    let service = "[[services]]\nname = \"a.example\"\nendpoints = { fra = \"192.0.2.1\" }\n";
    let (_folder, loaded) = load_files(&[
        (
            "meridian.toml",
            &MAIN.replace("services.d/*.toml", "gone.toml"),
        ),
        ("services.d/1.toml", service),
    ]);
    let found = loaded.unwrap_err();
    assert!(
        found[0]
            .starts_with("meridian.toml:1:12: gone.toml: the file cannot be read: No such file"),
        "{found:?}"
    );
    // A syntax error is not followed by the names that its file would have declared.
    let (_folder, loaded) = load_files(&[
        ("meridian.toml", MAIN),
        ("services.d/1.toml", "[pools.edge\n"),
        (
            "services.d/2.toml",
            "[[services]]\nname = \"a.example\"\npool = \"edge\"\n",
        ),
    ]);
    let found = loaded.unwrap_err();
    assert!(
        found
            .iter()
            .all(|line| line.starts_with("services.d/1.toml:1:")),
        "{found:?}"
    );
    for (pattern, start) in [
        (
            "[",
            "meridian.toml:1:12: \"[\" is no pattern: invalid range pattern",
        ),
        (
            "meridian.toml",
            "meridian.toml:1:12: the file includes itself",
        ),
        (
            "/**/*",
            "meridian.toml:1:12: \"**\" would search all folders below; give each folder its own pattern",
        ),
    ] {
        let (_folder, loaded) =
            load_files(&[("meridian.toml", &MAIN.replace("services.d/*.toml", pattern))]);
        assert_eq!(loaded.unwrap_err(), [start]);
    }
    let (_folder, loaded) = load_files(&[("meridian.toml", MAIN)]);
    let warning = loaded.unwrap().warnings[0].to_string();
    assert!(
        warning.ends_with("\"services.d/*.toml\" matches no file"),
        "{warning}"
    );
}

#[test]
fn paths_of_a_check_start_at_its_own_file() {
    let (folder, loaded) = load_files(&[
        ("meridian.toml", MAIN),
        (
            "services.d/1.toml",
            "[checks.run]\ntype = \"exec\"\nprogram = \"check.sh\"\n",
        ),
    ]);
    assert_eq!(
        loaded.unwrap_err(),
        [format!(
            "services.d/1.toml:3:11: {}: the program does not exist",
            folder.path().join("services.d/check.sh").display()
        )
        .replace(&format!("{}/", folder.path().display()), "")]
    );
}

/// A key that a policy can hold, and two values of it.
const SHARED_KEYS: [(&str, [&str; 2]); 10] = [
    ("ttl", ["7", "{ max = 60, min = 6 }"]),
    ("order", ["\"nearest\"", "\"priority\""]),
    ("pick", ["\"sticky\"", "\"round-robin\""]),
    ("answers", ["2", "3"]),
    ("check", ["\"web\"", "\"deep\""]),
    ("ramp", ["\"5s\"", "\"0s\""]),
    ("max_removed", ["\"50%\"", "\"0%\""]),
    ("all_down", ["\"nodata\"", "\"servfail\""]),
    ("client_subnet", ["true", "false"]),
    ("fences", ["\"eu\"", "[\"eu\", \"us\"]"]),
];

/// Where the values of a key stand: the index of the value in the policy, and in the service.
type StatedValues = (Option<usize>, Option<usize>);

/// The configuration with a policy and a pool, and the one that says the same without them.
fn both_spellings(keys: &[StatedValues]) -> [String; 2] {
    let head = "[checks.web]\ntype = \"tcp\"\nport = 80\n[checks.deep]\ntype = \"tcp\"\nport = 81\n\
                [[fences.eu]]\nclients = { continents = [\"EU\"] }\nregions = [\"fra\"]\n\
                [[fences.us]]\nclients = { countries = [\"US\"] }\nregions = [\"iad\"]\n";
    let endpoints = "fra = \"192.0.2.1\"\niad = [\"192.0.2.2\", { address = \"192.0.2.3\", check = \"deep\" }]\n";
    let (mut policy, mut own, mut written_out) = (String::new(), String::new(), String::new());
    for ((key, values), (in_policy, in_service)) in SHARED_KEYS.iter().zip(keys) {
        if let Some(at) = in_policy {
            policy += &format!("{key} = {}\n", values[*at]);
        }
        if let Some(at) = in_service {
            own += &format!("{key} = {}\n", values[*at]);
        }
        if let Some(at) = in_service.or(*in_policy) {
            written_out += &format!("{key} = {}\n", values[at]);
        }
    }
    let service = "[[services]]\nname = \"a.example\"\n";
    [
        format!(
            "{head}[policies.p]\n{policy}[pools.q]\n{endpoints}{service}policy = \"p\"\npool = \"q\"\n{own}"
        ),
        format!("{head}{service}{written_out}[services.endpoints]\n{endpoints}"),
    ]
}

/// Everything that a service is, but for where it is stated.
fn meaning(loaded: &LoadedConfig) -> String {
    let service = ServiceConfig {
        stated: SourceLine::none(),
        policy: None,
        pool: None,
        ..loaded.config.services[0].clone()
    };
    format!("{service:?}")
}

proptest! {
    #[test]
    fn a_policy_and_a_pool_mean_what_they_mean_written_out(
        keys in prop::collection::vec((prop::option::of(0..2usize), prop::option::of(0..2usize)), 10)
    ) {
        let [shared, written_out] = both_spellings(&keys);
        let (shared, written_out) = (read(&shared).unwrap(), read(&written_out).unwrap());
        prop_assert_eq!(meaning(&shared), meaning(&written_out));
    }
}
